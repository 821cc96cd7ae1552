//! Refunds and reversals: how much, of what, once per key, and never more than was paid.

use std::sync::Arc;

use contracts::{ids::TransferId, rails::RailState};
use serde_json::{Value, json};

use crate::{
    doubles::{IGNORED, Say, TOO_MUCH, outcome},
    harness::{Harness, Reply, body},
    statuses::becomes,
};

const MOOV: &str = "x-idempotency-key";
const DRAFT: &str = "idempotency-key";

async fn refund(harness: &Harness, of: TransferId, amount: Option<i64>) -> Reply {
    let body = amount.map_or_else(String::new, |amount| json!({ "amount": amount }).to_string());
    harness.post_to(of, "refunds", &body, &[(DRAFT, &harness.fresh_key())]).await
}

fn id(reply: &Reply, name: &str) -> TransferId {
    reply.json()[name].as_str().unwrap_or_else(|| panic!("{reply:?}")).parse().unwrap()
}

async fn say(harness: &Harness, of: TransferId, state: RailState) {
    let words = vec![(of.row(), of.bucket(), outcome(of, state, false))];
    harness.running.platform.commit(Say(words)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_a_transfer_the_other_way() {
    let harness = Harness::new().await;
    let original = harness.make(32, 1, 500).await;
    let reply = refund(&harness, original, Some(200)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["amount"], json!({ "currency": "USD", "value": 200 }));
    let first = id(&reply, "refundID");
    let shown = harness.show(first).await;
    let of_original = harness.show(original).await;
    assert_eq!(shown["refundOf"], original.to_string());
    assert_eq!(shown["source"]["wallet"], of_original["destination"]["wallet"]);
    for field in ["paymentMethodID", "paymentMethodType"] {
        assert_eq!(shown["destination"][field], of_original["source"][field]);
    }
    assert_eq!(of_original["refundedAmount"]["value"], 200);
    assert_eq!(of_original["refunds"][0]["refundID"], first.to_string());
    assert_eq!(of_original["refunds"][0]["status"], "pending");
    // The rest, and then nothing; one that failed may be made again.
    let rest = refund(&harness, original, None).await;
    assert_eq!(rest.json()["amount"]["value"], 300);
    let nothing = refund(&harness, original, None).await;
    assert_eq!((nothing.status, nothing.json()["error"].as_str().is_some()), (422, true));
    say(&harness, first, RailState::Rejected).await;
    becomes(&harness, first, "failed").await;
    assert_eq!(harness.show(original).await["refundedAmount"]["value"], 300);
    let too_much = refund(&harness, original, Some(201)).await;
    assert_eq!(too_much.json()["amount"], "only 200 is left to refund", "{too_much:?}");
    let again = refund(&harness, original, Some(200)).await;
    say(&harness, id(&again, "refundID"), RailState::Accepted).await;
    becomes(&harness, id(&again, "refundID"), "completed").await;
    let all = format!("/accounts/{}/transfers/{original}/refunds", crate::doubles::account(1));
    let listed = harness.get(1, &all).await.json();
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|r| r["status"].clone()).collect();
    assert_eq!(states, ["failed", "pending", "completed"]);
    let one = harness.get(1, &format!("{all}/{first}")).await.json();
    assert_eq!((&one, one["failureCode"].as_str()), (&listed[0], Some("account-closed")));
    assert_eq!(harness.get(1, &format!("{all}/{original}")).await.status, 404);
    let filter =
        |of: bool| format!("/accounts/{}/transfers?refunded={of}", crate::doubles::account(1));
    let refunded = harness.get(1, &filter(true)).await.json();
    assert_eq!(refunded.as_array().unwrap().len(), 1);
    assert_eq!(harness.get(1, &filter(false)).await.json().as_array().unwrap().len(), 3);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_refunded_is_refused_and_leaves_nothing() {
    let harness = Harness::new().await;
    let card = harness.make(32, 1, 500).await;
    let of_card = refund(&harness, card, Some(5)).await;
    for (of, error) in [
        (harness.make(1, 2, IGNORED).await, "cancel it instead"),
        (harness.make(1, 2, TOO_MUCH).await, "the transfer is failed"),
        (id(&of_card, "refundID"), "a refund is not refunded"),
    ] {
        let reply = refund(&harness, of, None).await;
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(reply.json()["error"].as_str().unwrap().contains(error), "{reply:?}");
    }
    let gone = harness.make(1, 12, 70).await;
    say(&harness, gone, RailState::Accepted).await;
    becomes(&harness, gone, "completed").await;
    assert!(refund(&harness, gone, None).await.text.contains("only its owner"));
    for (body, status, holds) in [
        (r#"{"amount": 0}"#, 422, "amount"),
        (r#"{"amount": -1}"#, 422, "amount"),
        (r#"{"amount": 1.5}"#, 422, "amount"),
        (r#"{"amount": 9223372036854775808}"#, 422, "amount"),
        (r#"{"amuont": 1}"#, 422, "amuont"),
        ("{", 400, "malformed-request"),
    ] {
        let reply = harness.post_to(card, "refunds", body, &[(DRAFT, "x")]).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        assert!(reply.text.contains(holds), "{body}: {reply:?}");
    }
    assert_eq!(harness.post_to(card, "refunds", "", &[]).await.status, 400, "a key is needed");
    let unknown = TransferId(uuid::Uuid::from_bytes([7; 16]));
    assert_eq!(refund(&harness, unknown, None).await.status, 404);
    assert_eq!(harness.count("transfers_refund"), 1);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_refund() {
    let harness = Harness::new().await;
    let original = harness.make(32, 1, 500).await;
    let all = async |key| harness.post_to(original, "refunds", "", &[(key, "k")]).await;
    let first = all(DRAFT).await;
    // All is refunded now: the key goes before the rule.
    let again = all(DRAFT).await;
    assert_eq!((again.status, &again.text), (200, &first.text));
    let moov = all(MOOV).await;
    assert_eq!((moov.status, id(&moov, "refundID")), (409, id(&first, "refundID")));
    for (body, what) in [(r#"{"amount": 1}"#, "refunds"), ("", "reversals")] {
        let other = harness.post_to(original, what, body, &[(DRAFT, "k")]).await;
        assert_eq!(other.status, 422, "{other:?}");
        assert!(other.text.contains("another request"), "{other:?}");
    }
    let transfer = harness.post(&body(1, 2, 5).to_string(), &[(DRAFT, "k")]).await;
    assert!(transfer.text.contains("another request"), "one namespace: {transfer:?}");
    let harness = harness.restart(1).await;
    let again = harness.post_to(original, "refunds", "", &[(DRAFT, "k")]).await;
    assert_eq!(again.text, first.text);
    assert_eq!(harness.count("transfers_refund"), 1);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refunds_at_once_never_exceed_the_transfer() {
    let harness = Arc::new(Harness::new().await);
    for round in 0..10 {
        let original = harness.make(1, 2, 500 + round).await;
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let harness = Arc::clone(&harness);
            asking.spawn(async move { refund(&harness, original, Some(100)).await.status });
        }
        let statuses = asking.join_all().await;
        let made = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(made, 5, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 422].contains(status)));
        assert_eq!(harness.show(original).await["refundedAmount"]["value"], 500);
    }
    harness.verify();
}

async fn reverse(harness: &Harness, of: TransferId, body: &Value, key: &str) -> Reply {
    harness.post_to(of, "reversals", &body.to_string(), &[(MOOV, key)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_cancels_while_it_can_and_refunds_after() {
    let harness = Harness::new().await;
    let waiting = harness.make(1, 12, 40).await;
    let part = reverse(&harness, waiting, &json!({ "amount": 39 }), "part").await;
    assert_eq!(part.status, 422, "a part of what has not moved: {part:?}");
    let whole = reverse(&harness, waiting, &json!({ "amount": 40 }), "whole").await;
    assert_eq!(whole.status, 202, "{whole:?}");
    assert!(whole.json()["cancellation"]["cancellationID"].is_string());
    becomes(&harness, waiting, "canceled").await;
    let again = reverse(&harness, waiting, &json!({ "amount": 40 }), "whole").await;
    assert_eq!(
        (again.status, again.json()["cancellation"]["status"].as_str()),
        (200, Some("completed"))
    );
    // Completed: a refund, waited for where that is asked.
    let done = harness.make(32, 1, 500).await;
    let started = reverse(&harness, done, &json!({ "amount": 200 }), "some").await;
    assert_eq!(
        (started.status, started.json()["refund"]["amount"]["value"].as_i64()),
        (202, Some(200))
    );
    let repeated = reverse(&harness, done, &json!({ "amount": 200 }), "some").await;
    assert_eq!(repeated.json()["refund"]["refundID"], started.json()["refund"]["refundID"]);
    let between_wallets = harness.make(1, 2, 500).await;
    let headers = [(MOOV, "waits"), ("x-wait-for", "rail-response")];
    let waited = harness.post_to(between_wallets, "reversals", "{}", &headers).await;
    assert_eq!(
        (waited.status, waited.json()["refund"]["status"].as_str()),
        (200, Some("completed"))
    );
    assert_eq!(harness.count("transfers_refund"), 2);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refunds_timeline_has_no_hop() {
    let harness = Harness::new().await;
    let original = harness.make(1, 2, 500).await;
    let refund = id(&refund(&harness, original, None).await, "refundID");
    let path = format!("/accounts/{}/transfers/{refund}/timeline", crate::doubles::account(1));
    let timeline = harness.get(1, &path).await.json();
    let names: Vec<&str> = timeline["exchanges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    let post = "POST /accounts/{accountID}/transfers/{transferID}/refunds";
    assert_eq!((names[0], names.contains(&"ResolvePaymentMethods")), (post, false), "{names:?}");
    assert_eq!(harness.events(refund).await[0], "transfer.created");
    assert_eq!(timeline["complete"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_refund_is_named() {
    for (statement, found) in [
        ("UPDATE transfers_transfer SET amount = 299 WHERE amount = 500", "300 is refunded of"),
        ("UPDATE transfers_refund SET amount = 1", "another amount"),
        ("UPDATE transfers_refund SET number = 2", "not numbered in order"),
        ("DELETE FROM transfers_refund", "which does not know it"),
        ("UPDATE transfers_refund SET refund = original", "is of another transfer"),
        ("UPDATE transfers_refund SET refund = zeroblob(16)", "is not stored"),
        ("UPDATE transfers_refund SET original = zeroblob(16)", "is refunded and not stored"),
    ] {
        let harness = Harness::new().await;
        let original = harness.make(1, 2, 500).await;
        assert_eq!(refund(&harness, original, Some(300)).await.status, 200);
        let faults = harness.corrupted(statement).await;
        assert!(faults.iter().any(|fault| fault.contains(found)), "{statement}: {faults:#?}");
    }
}
