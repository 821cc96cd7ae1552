//! Micro-deposits: two transfers that no client asked for, once, and seen by who pays alone.

use contracts::{
    Amount, Currency,
    ids::{BankAccountId, TransferId},
    payment_methods::{MicroDeposit, MicroDepositsInitiated},
    rails::RailState,
};

use crate::{
    doubles::{Deposit, Say, account, method, outcome, wallet},
    harness::{Harness, PLATFORM},
};

/// So many cents each, by RTP to the bank account of account 2 (the only rail of these tests).
fn initiated(cents: [i64; 2]) -> MicroDepositsInitiated {
    let deposits = cents.into_iter().zip(1..).map(|(cents, number)| MicroDeposit {
        transfer_id: TransferId::from_parts(4096 + number, wallet(PLATFORM).tail()),
        amount: Amount::new(cents, Currency::USD),
    });
    MicroDepositsInitiated {
        bank_account_id: BankAccountId::from_parts(1, 1),
        facilitator_id: account(PLATFORM),
        wallet_id: wallet(PLATFORM),
        wallet_method_id: method(1),
        payment_method_id: method(12),
        version: 3,
        payment_method_type: "rtp-credit".to_owned(),
        deposits: deposits.collect(),
    }
}

async fn tell(harness: &Harness, key: i64, events: &[&MicroDepositsInitiated]) {
    let events = events.iter().map(|event| (key, wallet(PLATFORM).bucket(), (*event).clone()));
    harness.running.platform.commit(Deposit(events.collect())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_event_makes_one_pair() {
    let mut harness = Harness::new().await;
    let event = initiated([7, 7]);
    let pair: Vec<TransferId> = event.deposits.iter().map(|one| one.transfer_id).collect();
    tell(&harness, 7, &[&event, &event]).await;
    tell(&harness, 7, &[&event]).await;
    harness = harness.restart(1).await;
    tell(&harness, 7, &[&event]).await;
    assert_eq!(harness.count("transfers_transfer"), 2);
    // A repeat is no fault: it would hold up what comes under the same key.
    let mut next = initiated([8, 8]);
    for deposit in &mut next.deposits {
        deposit.transfer_id =
            TransferId::from_parts(deposit.transfer_id.row() + 8, deposit.transfer_id.tail());
    }
    tell(&harness, 7, &[&next]).await;
    assert_eq!(harness.count("transfers_transfer"), 4);
    for transfer in &pair {
        let created = ["transfer.created", "ledger.reserved", "transfer.updated pending"];
        assert_eq!(harness.events(*transfer).await, created);
        let accepted = outcome(*transfer, RailState::Accepted, false);
        let said = Say(vec![(transfer.row(), transfer.bucket(), accepted)]);
        harness.running.platform.commit(said).await.unwrap();
        let shown = harness.show(*transfer).await;
        assert_eq!((&shown["status"], &shown["amount"]["value"]), (&"completed".into(), &7.into()));
        assert_eq!(shown["destination"]["paymentMethodType"], "rtp-credit");
    }
    let reserved = harness.event_data(pair[0], "ledger.reserved").await;
    assert_eq!(reserved["purpose"], "account-verification");
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_pays_sees_them() {
    let harness = Harness::new().await;
    let event = initiated([3, 4]);
    let transfer = event.deposits[0].transfer_id;
    tell(&harness, 7, &[&event]).await;
    let listed = async |viewer: i64| {
        let reply = harness.get(viewer, &format!("/accounts/{}/transfers", account(viewer))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json().as_array().unwrap().len()
    };
    assert_eq!((listed(PLATFORM).await, listed(2).await), (2, 0));
    for part in ["", "/events", "/timeline"] {
        let path = |viewer| format!("/accounts/{}/transfers/{transfer}{part}", account(viewer));
        assert_eq!(harness.get(PLATFORM, &path(PLATFORM)).await.status, 200);
        assert_eq!(harness.get(2, &path(2)).await.status, 404, "{part}");
    }
    let path = format!("/accounts/{}/transfers/{transfer}/timeline", account(PLATFORM));
    let timeline = harness.get(PLATFORM, &path).await.json();
    let exchanges = timeline["exchanges"].as_array().unwrap();
    let line = |exchange: &serde_json::Value| {
        let text = |name: &str| exchange[name].as_str().unwrap().to_owned();
        let cause = exchange["cause"].as_u64().unwrap_or(0);
        format!("{} {}>{} {} <{cause}", text("kind"), text("from"), text("to"), text("name"))
    };
    let lines: Vec<String> = exchanges.iter().map(line).collect();
    assert_eq!(lines[0], "event payment-methods>transfers microDeposits.initiated <0");
    let commit = lines.iter().position(|line| line.starts_with("commit transfers>")).unwrap();
    assert!(lines[commit].ends_with("<1"), "{lines:?}");
    let created = format!("event transfers>ledger transfer.created <{}", commit + 1);
    assert!(lines.contains(&created), "{lines:?}");
    assert!(!timeline.to_string().contains("/accounts/"), "no client asked: {timeline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paid_so_is_set_aside() {
    let harness = Harness::new().await;
    let no_destination = MicroDepositsInitiated {
        payment_method_type: "ach-debit-fund".to_owned(),
        ..initiated([1, 2])
    };
    let other_home = MicroDepositsInitiated { wallet_id: wallet(2), ..initiated([1, 2]) };
    for (key, event) in [(1, &no_destination), (2, &other_home)] {
        tell(&harness, key, &[event]).await;
        assert_eq!(harness.count("transfers_transfer"), 0);
    }
    tell(&harness, 3, &[&initiated([1, 2])]).await;
    assert_eq!(harness.count("transfers_transfer"), 2);
    harness.verify();
}
