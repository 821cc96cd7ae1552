//! Money through the platform: every movement, twice, out of order, and at random.

use std::collections::BTreeMap;

use contracts::{
    ids::{CancellationId, TransferId, WalletId, from_parts},
    rails::{
        Rail,
        RailState::{Accepted, Canceled, Pending, Rejected, Returned},
    },
    transfers::TransferCancelRequested,
};

use crate::harness::{
    Bed, Harness, NO_FUNDS, NO_WALLET, OVERFLOW, Said, To, account, created, on_both, outcome,
    outcome_of,
};

on_both! {
    wallet_to_wallet: 1;
    wallet_to_wallet_between_shards: 64;
    by_rail: 4;
    from_a_rail: 4;
    brought_back: 4;
    delivered_twice: 4;
    poison_is_a_dead_letter: 1;
    random_with_one_shard: 1;
    random_with_four: 4;
    random_with_sixty_four: 64;
    goes_on_after_a_restart: 4;
}

fn wallet_to_wallet(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(3, 1_000);
    let (a, b) = (people[0], people[1]);
    assert_eq!(harness.one(a, To::Wallet(b), 400).1, Said::Posted);
    assert_eq!((harness.available(a), harness.available(b)), (600, 1_400));
    assert_eq!(harness.one(a, To::Wallet(b), 601).1, NO_FUNDS);
    assert_eq!(harness.one(a, To::Wallet(b), 600).1, Said::Posted);
    assert_eq!((harness.available(a), harness.available(b)), (0, 2_000));
    let nobody = WalletId(from_parts(5, 5));
    assert_eq!(harness.one(b, To::Wallet(nobody), 1).1, NO_WALLET);
    assert_eq!(harness.one(nobody, To::Wallet(b), 1).1, NO_WALLET);
    assert_eq!(harness.one(b, To::Wallet(b), 1).1, NO_WALLET);
    // Within one batch each sees what the one before left.
    let said = harness.make(vec![
        (b, To::Wallet(a), 2_000),
        (b, To::Wallet(a), 1),
        (a, To::Wallet(people[2]), 1_500),
        (a, To::Wallet(people[2]), 501),
        (people[2], To::Wallet(b), 2_500),
    ]);
    let said: Vec<Said> = said.into_iter().map(|(_, said)| said).collect();
    assert_eq!(said, [Said::Posted, NO_FUNDS, Said::Posted, NO_FUNDS, Said::Posted]);
    assert_eq!([a, b, people[2]].map(|wallet| harness.available(wallet)), [500, 2_500, 0]);
    let body = format!(
        r#"{{"walletID":"{a}","amount":{{"currency":"USD","value":{}}}}}"#,
        i64::MAX - 4_000
    );
    // The adjustments account is part of the same books: it overflows first.
    assert_eq!(harness.ask("POST", "/sandbox/fund", &body).0, 200);
    assert_eq!(harness.ask("POST", "/sandbox/fund", &body).0, 422);
    assert_eq!(harness.one(a, To::Wallet(b), i64::MAX - 4_000).1, OVERFLOW);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

fn wallet_to_wallet_between_shards(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(6, 1_000);
    for pair in people.windows(2) {
        assert_ne!(pair[0].bucket() % 64, pair[1].bucket() % 64, "they are in two shards");
        assert_eq!(harness.one(pair[0], To::Wallet(pair[1]), 700).1, Said::Posted);
        assert_eq!(harness.one(pair[0], To::Wallet(pair[1]), 2_000).1, NO_FUNDS);
    }
    assert_eq!(harness.available(people[5]), 1_700);
    // A wallet that is not there, in another shard: the money goes and comes back.
    let nobody = WalletId(from_parts(5, i64::from(people[5].bucket() ^ 1)));
    assert_eq!(harness.one(people[5], To::Wallet(nobody), 1_700).1, NO_WALLET);
    assert_eq!(harness.available(people[5]), 1_700);
    let path = format!("/accounts/{}/wallets/{}/transactions", account(6), people[5]);
    let list = harness.get(&path);
    let amounts: Vec<i64> =
        list.as_array().unwrap().iter().map(|t| t["netAmount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [1_700, -1_700, 700, 1_000]);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

fn by_rail(bed: &Bed) {
    let harness = Harness::start(bed);
    let a = harness.people(1, 1_000)[0];
    let (first, said) = harness.one(a, To::Bank, 300);
    assert_eq!((said, harness.available(a)), (Said::Reserved, 700));
    let (second, _) = harness.one(a, To::Bank, 700);
    assert_eq!(harness.available(a), 0);
    assert_eq!(harness.one(a, To::Bank, 1).1, NO_FUNDS);
    let (first, second) = (first.transfer_id, second.transfer_id);
    assert_eq!(harness.outcome(first, Pending), None);
    assert_eq!(harness.outcome(second, Rejected), Some(Said::Voided));
    assert_eq!(harness.available(a), 700);
    assert_eq!(harness.outcome(first, Accepted), Some(Said::Posted));
    assert_eq!(harness.available(a), 700);
    // Said again: nothing. Taken back: an alarm and nothing.
    assert_eq!(harness.outcome(first, Accepted), None);
    assert_eq!(harness.outcome(first, Pending), None);
    assert_eq!(harness.outcome(first, Rejected), None);
    assert_eq!(harness.outcome(second, Accepted), None);
    let (third, _) = harness.one(a, To::Bank, 700);
    assert_eq!(harness.outcome(third.transfer_id, Canceled), Some(Said::Voided));
    assert_eq!(harness.outcome(third.transfer_id, Canceled), None);
    assert_eq!(harness.available(a), 700);
    let books = harness.get("/ledger/accounts");
    let find = |name: &str| {
        let all = books.as_array().unwrap();
        all.iter().find(|account| account["name"] == name).unwrap().clone()
    };
    let (out, bank) = (find("rtp:out"), find("rtp:settlement"));
    assert_eq!(
        (out["creditsPosted"].as_i64(), out["debitsPosted"].as_i64()),
        (Some(300), Some(300))
    );
    let held = (out["creditsPending"].as_i64(), out["creditsReleased"].as_i64());
    assert_eq!(held, (Some(1_700), Some(1_700)));
    assert_eq!(bank["creditsPosted"].as_i64(), Some(300));
    let path = format!("/accounts/{}/wallets/{a}/transactions", account(1));
    let list = harness.get(&path);
    let shown: Vec<(&str, &str, i64)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|t| {
            let text = |name: &str| t[name].as_str().unwrap();
            (text("transactionType"), text("status"), t["availableBalance"].as_i64().unwrap())
        })
        .collect();
    let expected = [
        ("payout", "canceled", 0),
        ("payout", "failed", 0),
        ("payout", "completed", 700),
        ("adjustment", "completed", 1_000),
    ];
    assert_eq!(shown, expected);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

/// What a rail is to bring is pending until its funds are released; what it takes back is forced.
fn from_a_rail(bed: &Bed) {
    let harness = Harness::start(bed);
    let a = harness.people(1, 1_000)[0];
    let hears = |id, state| harness.hears(outcome_of(id, Rail::Card, state));
    let (first, said) = harness.one(a, To::FromCard, 300);
    assert_eq!((said, harness.available(a)), (Said::Reserved, 1_000));
    let (second, _) = harness.one(a, To::FromCard, 50);
    let (first, second) = (first.transfer_id, second.transfer_id);
    assert_eq!(hears(first, Pending), None);
    assert_eq!(hears(second, Rejected), Some(Said::Voided));
    assert_eq!(hears(second, Returned), None, "an alarm, and nothing");
    assert_eq!(harness.available(a), 1_000);
    assert_eq!(hears(first, Accepted), Some(Said::Posted));
    assert_eq!(harness.available(a), 1_300);
    assert_eq!(harness.one(a, To::Bank, 1_200).1, Said::Reserved);
    assert_eq!(hears(first, Returned), Some(Said::Reversed));
    assert_eq!(hears(first, Returned), None);
    assert_eq!(hears(first, Accepted), None);
    assert_eq!(harness.available(a), -200, "a forced entry takes a wallet below its limit");
    let books = harness.get("/ledger/accounts");
    let find = |name: &str| {
        let all = books.as_array().unwrap();
        let one = all.iter().find(|account| account["name"] == name).unwrap();
        (one["debitsPosted"].as_i64().unwrap(), one["creditsPosted"].as_i64().unwrap())
    };
    assert_eq!([find("card:in"), find("card:settlement")], [(600, 600), (300, 300)]);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

/// What a rail took for good and brings back later goes to the wallet that paid.
fn brought_back(bed: &Bed) {
    let harness = Harness::start(bed);
    let a = harness.people(1, 1_000)[0];
    let paid = harness.one(a, To::Bank, 400).0.transfer_id;
    assert_eq!(harness.outcome(paid, Returned), None, "not before it was paid");
    assert_eq!(harness.outcome(paid, Accepted), Some(Said::Posted));
    assert_eq!(harness.available(a), 600);
    assert_eq!(harness.outcome(paid, Returned), Some(Said::Reversed));
    assert_eq!(harness.outcome(paid, Returned), None);
    assert_eq!(harness.available(a), 1_000);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

/// Every event a second time, in one batch with new ones and alone: the books stay as they are and
/// nothing is said twice.
fn delivered_twice(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(4, 1_000);
    let mut made = Vec::new();
    for (index, wallet) in people.iter().enumerate() {
        made.push(harness.one(*wallet, To::Wallet(people[(index + 1) % 4]), 100).0);
        made.push(harness.one(*wallet, To::Bank, 50).0);
        made.push(harness.one(*wallet, To::Wallet(people[(index + 2) % 4]), 5_000).0);
    }
    let held = made[1].transfer_id;
    harness.outcome(held, Accepted);
    let before: Vec<i64> = people.iter().map(|wallet| harness.available(*wallet)).collect();
    let said = harness.double.said.lock().len();
    harness.emit(made.clone());
    for event in &made {
        harness.emit(vec![event.clone()]);
    }
    harness.emit(vec![outcome(held, Accepted), outcome(held, Accepted)]);
    let cancel = TransferCancelRequested {
        transfer_id: made[0].transfer_id,
        cancellation_id: CancellationId(from_parts(1, 1)),
        rail: None,
        destination_rail: None,
    };
    harness.emit(vec![cancel.clone(), cancel]);
    harness.settle();
    // The same id for another amount: an alarm, and nothing.
    let mut other = made[0].clone();
    other.amount.value = 1;
    harness.emit(vec![other]);
    // One id twice in one batch.
    let id = TransferId(from_parts(made[11].transfer_id.row() + 1, made[0].transfer_id.tail()));
    let twice = created(id, people[0], To::Wallet(people[1]), 1);
    harness.emit(vec![twice.clone(), twice]);
    harness.settle();
    assert_eq!(harness.double.said.lock().len(), said + 1);
    let mut after: Vec<i64> = people.iter().map(|wallet| harness.available(*wallet)).collect();
    after[0] += 1;
    after[1] -= 1;
    assert_eq!(before, after);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

fn poison_is_a_dead_letter(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(2, 1_000);
    // An outcome without a hold, among good ones.
    let held = harness.make(vec![(people[0], To::Bank, 10), (people[1], To::Bank, 10)]);
    let mut bad = harness.one(people[0], To::Wallet(people[1]), 1).0;
    harness.emit(vec![
        outcome(held[0].0.transfer_id, Accepted),
        outcome(bad.transfer_id, Accepted),
        outcome(held[1].0.transfer_id, Accepted),
    ]);
    harness.wait(|| harness.dead_letters() == 1);
    harness.settle();
    assert_eq!(harness.available(people[0]), 989);
    assert_eq!(harness.available(people[1]), 991);
    // No transfers service emits an amount of nothing.
    bad.transfer_id = TransferId(from_parts(bad.transfer_id.row() + 1, 9));
    bad.amount.value = 0;
    let said = harness.double.said.lock().len();
    harness.emit(vec![bad]);
    harness.wait(|| harness.dead_letters() == 2);
    assert_eq!(harness.one(people[0], To::Wallet(people[1]), 1).1, Said::Posted);
    assert_eq!(harness.double.said.lock().len(), said + 1);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

fn goes_on_after_a_restart(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(3, 1_000);
    let (held, _) = harness.one(people[0], To::Bank, 300);
    let (posted, _) = harness.one(people[0], To::Wallet(people[1]), 100);
    let proof = harness.get("/ledger/proof");
    harness.stop();
    let harness = Harness::start(bed);
    assert_eq!(harness.get("/ledger/proof"), proof);
    harness.double.wallets.lock().extend([(people[0], account(1)), (people[1], account(2))]);
    harness.emit(vec![posted]);
    assert_eq!(harness.outcome(held.transfer_id, Accepted), Some(Said::Posted));
    assert_eq!(harness.one(people[0], To::Wallet(people[1]), 600).1, Said::Posted);
    assert_eq!(harness.available(people[0]), 0);
    let path = format!("/accounts/{}/wallets/{}/transactions", account(1), people[0]);
    assert_eq!(harness.get(&path).as_array().unwrap().len(), 4);
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}

fn random_with_one_shard(bed: &Bed) {
    random(bed, 1);
}
fn random_with_four(bed: &Bed) {
    random(bed, 2);
}
fn random_with_sixty_four(bed: &Bed) {
    random(bed, 3);
}

/// Random movements against a model that knows only what the ledger said.
fn random(bed: &Bed, seed: u64) {
    let mut state = seed;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let harness = Harness::start(bed);
    let people = harness.people(8, 10_000);
    let mut model: BTreeMap<WalletId, i64> = people.iter().map(|w| (*w, 10_000)).collect();
    let mut held = Vec::new();
    for _ in 0..20 {
        let moves: Vec<_> = (0..40)
            .map(|_| {
                let from = people[usize::try_from(next(8)).unwrap()];
                let to = people[usize::try_from(next(8)).unwrap()];
                let to = if next(3) == 0 || to == from { To::Bank } else { To::Wallet(to) };
                (from, to, i64::try_from(next(3_000)).unwrap() + 1)
            })
            .collect();
        for ((event, said), (from, to, amount)) in harness.make(moves.clone()).iter().zip(&moves) {
            match (said, to) {
                (Said::Posted, To::Wallet(to)) => {
                    *model.get_mut(from).unwrap() -= amount;
                    *model.get_mut(to).unwrap() += amount;
                }
                (Said::Reserved, To::Bank) => {
                    *model.get_mut(from).unwrap() -= amount;
                    held.push((event.transfer_id, *from, *amount));
                }
                (refused, _) => assert_eq!(*refused, NO_FUNDS),
            }
        }
        let mut outcomes = Vec::new();
        held.retain(|(id, from, amount)| {
            let state = [Accepted, Rejected, Canceled, Pending][usize::try_from(next(4)).unwrap()];
            outcomes.push(outcome(*id, state));
            if matches!(state, Rejected | Canceled) {
                *model.get_mut(from).unwrap() += amount;
            }
            state == Pending
        });
        harness.emit(outcomes);
        harness.settle();
        for (wallet, balance) in &model {
            assert_eq!(harness.available(*wallet), *balance);
        }
    }
    assert_eq!(harness.dead_letters(), 0);
    harness.stop();
    assert_eq!(bed.faults(), BTreeMap::new());
}
