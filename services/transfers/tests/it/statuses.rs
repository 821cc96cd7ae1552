//! How transfers end: between wallets, by rail, in both orders of topics, waited for, cancelled.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use contracts::{
    ids::TransferId,
    ledger::{LedgerPosted, LedgerRefused, PostedState, RefusedReason},
    rails::RailState,
};

use crate::{
    doubles::{Book, IGNORED, Refuse, Say, TOO_MUCH, account, outcome},
    harness::{Harness, PLATFORM, body},
};

async fn say(harness: &Harness, transfer: TransferId, state: RailState, by_hand: bool) {
    let event = (transfer.row(), transfer.bucket(), outcome(transfer, state, by_hand));
    harness.running.platform.commit(Say(vec![event])).await.unwrap();
}

async fn book(harness: &Harness, transfer_id: TransferId, state: PostedState) {
    let event = LedgerPosted { transfer_id, leg: 0, state, undone: None };
    let events = vec![(transfer_id.row(), transfer_id.bucket(), event)];
    harness.running.platform.commit(Book(events)).await.unwrap();
}

/// Waits until the status is this one: rails are consumed a commit later.
pub async fn becomes(harness: &Harness, transfer: TransferId, status: &str) {
    for _ in 0..400 {
        if harness.status(transfer).await == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{transfer} is {} and not {status}", harness.status(transfer).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_wallets_it_is_over_in_the_same_commit() {
    for shards in [1, 4] {
        let harness = Harness::with_shards(shards).await;
        let transfer = harness.make(1, 2, 100).await;
        let shown = harness.show(transfer).await;
        assert_eq!(shown["status"], "completed");
        assert!(shown["completedOn"].is_string());
        assert_eq!(
            harness.events(transfer).await,
            ["transfer.created", "ledger.posted posted", "transfer.updated completed"]
                .map(|name| name.replace("posted posted", "posted"))
        );
        let poor = harness.make(2, 3, TOO_MUCH).await;
        let shown = harness.show(poor).await;
        assert_eq!(shown["failureReason"], "wallet-insufficient-funds");
        assert!(shown.get("completedOn").is_none());
        assert_eq!(
            harness.events(poor).await,
            ["transfer.created", "ledger.refused", "transfer.updated failed"]
        );
        harness.verify();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_rail_in_both_orders_of_topics() {
    let harness = Harness::new().await;
    for (state, books, ends, reason) in [
        (RailState::Accepted, PostedState::Posted, "completed", None),
        (RailState::Rejected, PostedState::Voided, "failed", Some("destination-payment-error")),
        (RailState::Canceled, PostedState::Voided, "canceled", None),
    ] {
        for ledger_first in [true, false] {
            let transfer = harness.make(1, 12, 100).await;
            assert_eq!(harness.status(transfer).await, "pending");
            if ledger_first {
                book(&harness, transfer, books).await;
                say(&harness, transfer, state, true).await;
            } else {
                say(&harness, transfer, state, true).await;
                assert_eq!(harness.status(transfer).await, "pending", "the books decide");
                book(&harness, transfer, books).await;
            }
            becomes(&harness, transfer, ends).await;
            let shown = harness.show(transfer).await;
            assert_eq!(shown["failureReason"].as_str(), reason);
            let details = &shown["destination"]["instantBankDetails"];
            match state {
                RailState::Accepted => {
                    assert_eq!(details["status"], "completed");
                    assert_eq!(details["networkResponseCode"], "ACTC");
                }
                RailState::Rejected => assert_eq!(details["failureCode"], "account-closed"),
                _ => assert_eq!(details["status"], "failed"),
            }
            // Late and repeated words: nothing moves.
            say(&harness, transfer, RailState::Pending, true).await;
            say(&harness, transfer, state, true).await;
            book(&harness, transfer, books).await;
            assert_eq!(harness.status(transfer).await, ends);
            assert_eq!(harness.show(transfer).await.get("needsAttention"), None);
        }
    }
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn reversed_after_completed_and_alarms_that_move_nothing() {
    let harness = Harness::new().await;
    let transfer = harness.make(1, 12, 100).await;
    say(&harness, transfer, RailState::Pending, false).await;
    let details = harness.show(transfer).await["destination"]["instantBankDetails"].clone();
    assert_eq!(details["status"], "accepted-without-posting");
    say(&harness, transfer, RailState::Accepted, false).await;
    becomes(&harness, transfer, "completed").await;
    say(&harness, transfer, RailState::Rejected, true).await;
    book(&harness, transfer, PostedState::Reversed).await;
    becomes(&harness, transfer, "reversed").await;
    assert!(harness.show(transfer).await["completedOn"].is_string());
    let failed = harness.make(1, 2, TOO_MUCH).await;
    book(&harness, failed, PostedState::Posted).await;
    let shown = harness.show(failed).await;
    assert_eq!((&shown["status"], &shown["needsAttention"]), (&"failed".into(), &true.into()));
    let done = harness.make(1, 2, 1).await;
    let reason = RefusedReason::Overflow;
    let event = LedgerRefused { transfer_id: done, leg: 0, reason };
    let refuse = Refuse(vec![(done.row(), done.bucket(), event)]);
    harness.running.platform.commit(refuse).await.unwrap();
    assert_eq!(harness.status(done).await, "completed");
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_no_transfer_is_a_dead_letter_and_others_go_on() {
    let harness = Harness::new().await;
    let nobody = TransferId(contracts::ids::from_parts(12_345, i64::MIN));
    book(&harness, nobody, PostedState::Posted).await;
    let transfer = harness.make(1, 2, 100).await;
    becomes(&harness, transfer, "completed").await;
    let count = || harness.count("dead_letter");
    for _ in 0..200 {
        if count() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count(), 1);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_rail() {
    let harness = Arc::new(Harness::new().await);
    let wallet = body(1, 2, 3).to_string();
    let reply =
        harness.post(&wallet, &[("x-idempotency-key", "w"), ("x-wait-for", "rail-response")]).await;
    assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("completed")));
    // Nobody answers: 202 with the whole transfer once the time is over.
    let rail = body(1, 12, 3).to_string();
    let began = harness.running.platform.monotonic().micros();
    let reply = harness.post(&rail, &[("x-idempotency-key", "x"), ("prefer", "wait=1")]).await;
    let waited = harness.running.platform.monotonic().micros() - began;
    assert_eq!((reply.status, reply.json()["status"].as_str()), (202, Some("pending")));
    assert!((900_000..3_000_000).contains(&waited), "{waited}");
    let reply = harness.post(&rail, &[("x-idempotency-key", "y"), ("prefer", "wait=0")]).await;
    assert_eq!(reply.status, 202);
    // The rail answers meanwhile: 200 at once.
    let waiting = {
        let harness = Arc::clone(&harness);
        tokio::spawn(async move {
            let headers = [("x-idempotency-key", "z"), ("x-wait-for", "rail-response")];
            harness.post(&rail, &headers).await
        })
    };
    let list = format!("/accounts/{}/transfers?count=1", account(PLATFORM));
    let transfer = loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if harness.count("transfers_transfer") == 4 {
            let newest = harness.get(PLATFORM, &list).await.json();
            break newest[0]["transferID"].as_str().unwrap().parse().unwrap();
        }
    };
    say(&harness, transfer, RailState::Rejected, false).await;
    let reply = waiting.await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["failureReason"], "destination-payment-error");
    assert_eq!(reply.json()["destination"]["rtpDetails"]["failureCode"], "account-closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_before_the_claim_wins() {
    let harness = Harness::new().await;
    let transfer = harness.make(1, 12, 100).await;
    let reply = harness.cancel(transfer).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["status"], "pending");
    becomes(&harness, transfer, "canceled").await;
    let shown = harness.show(transfer).await;
    let cancellation = reply.json()["cancellationID"].as_str().unwrap().to_owned();
    assert_eq!(shown["cancellations"][0]["cancellationID"], cancellation);
    assert_eq!(shown["cancellations"][0]["status"], "completed");
    let path = format!("/accounts/{}/transfers/{transfer}/cancellations", account(PLATFORM));
    assert_eq!(harness.get(PLATFORM, &path).await.json().as_array().unwrap().len(), 1);
    let one = harness.get(PLATFORM, &format!("{path}/{cancellation}")).await;
    assert_eq!((one.status, one.json()["status"].as_str()), (200, Some("completed")));
    let other = format!("{path}/{}", uuid::Uuid::nil());
    assert_eq!(harness.get(PLATFORM, &other).await.status, 404);
    assert_eq!(harness.cancel(transfer).await.status, 409, "it is over");
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_after_the_claim_fails_with_the_transfers_end() {
    let harness = Harness::new().await;
    harness.claimed.store(true, Relaxed);
    let transfer = harness.make(1, 12, 100).await;
    let first = harness.cancel(transfer).await.json();
    let again = harness.cancel(transfer).await.json();
    assert_eq!(first, again, "while one is pending, asking again changes nothing");
    say(&harness, transfer, RailState::Accepted, false).await;
    becomes(&harness, transfer, "completed").await;
    let shown = harness.show(transfer).await;
    assert_eq!(shown["cancellations"].as_array().unwrap().len(), 1);
    assert_eq!(shown["cancellations"][0]["status"], "failed");
    let wallet = harness.make(1, 2, 100).await;
    assert_eq!(harness.cancel(wallet).await.status, 409, "a wallet transfer is over at once");
    let nobody = TransferId(contracts::ids::from_parts(12_345, i64::MIN));
    assert_eq!(harness.cancel(nobody).await.status, 404);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancellations_race_the_rail() {
    let harness = Arc::new(Harness::new().await);
    harness.claimed.store(true, Relaxed);
    for round in 0..20 {
        let transfer = harness.make(1, 12, 100).await;
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let harness = Arc::clone(&harness);
            asking.spawn(async move { harness.cancel(transfer).await });
        }
        let state = if round % 2 == 0 { RailState::Accepted } else { RailState::Canceled };
        say(&harness, transfer, state, false).await;
        let replies = asking.join_all().await;
        let ends = if round % 2 == 0 { "completed" } else { "canceled" };
        becomes(&harness, transfer, ends).await;
        assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 409)));
        let shown = harness.show(transfer).await;
        let cancellations = shown["cancellations"].as_array().cloned().unwrap_or_default();
        let expected = if round % 2 == 0 { "failed" } else { "completed" };
        assert!(cancellations.len() <= 1, "{shown}");
        assert!(cancellations.iter().all(|one| one["status"] == expected), "{shown}");
    }
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_loses_nothing() {
    let harness = Harness::new().await;
    let rail = harness.make(1, 12, 100).await;
    let ignored = harness.make(1, 2, IGNORED).await;
    assert_eq!(harness.status(ignored).await, "created");
    assert_eq!(harness.cancel(ignored).await.json()["status"], "pending");
    let harness = harness.restart(1).await;
    say(&harness, rail, RailState::Accepted, false).await;
    becomes(&harness, rail, "completed").await;
    let event = LedgerRefused { transfer_id: ignored, leg: 0, reason: RefusedReason::Canceled };
    let refuse = Refuse(vec![(ignored.row(), ignored.bucket(), event)]);
    harness.running.platform.commit(refuse).await.unwrap();
    becomes(&harness, ignored, "canceled").await;
    assert_eq!(harness.show(ignored).await["cancellations"][0]["status"], "completed");
    harness.verify();
}
