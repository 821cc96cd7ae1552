//! One key, one transfer: under both headers, at once, after a restart, for each tenant.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    doubles::{TOO_MUCH, account},
    harness::{Harness, body},
};

/// Names and values.
type Headers<'h> = &'h [(&'h str, &'h str)];

const MOOV: &str = "x-idempotency-key";
const DRAFT: &str = "idempotency-key";

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_of_headers() {
    let harness = Harness::new().await;
    let wallet = body(1, 2, 100).to_string();
    let long = "x".repeat(37);
    let cases: [(Headers<'_>, u16, &str); 9] = [
        (&[], 400, "idempotency-key-missing"),
        (&[(MOOV, "")], 400, "idempotency-key-missing"),
        (&[(MOOV, &long)], 400, "idempotency-key-missing"),
        (&[(DRAFT, "\"\"")], 400, "idempotency-key-missing"),
        (&[(MOOV, "a\tb")], 400, "idempotency-key-missing"),
        (&[(MOOV, "a"), (DRAFT, "b")], 400, "idempotency-key-ambiguous"),
        (&[(MOOV, "a"), (MOOV, "b")], 400, "idempotency-key-ambiguous"),
        (&[(MOOV, "both"), (DRAFT, "\"both\"")], 200, "transferID"),
        (&[(DRAFT, &"k".repeat(36))], 200, "transferID"),
    ];
    for (headers, status, holds) in cases {
        let reply = harness.post(&wallet, headers).await;
        assert_eq!(reply.status, status, "{headers:?}: {reply:?}");
        assert!(reply.text.contains(holds), "{headers:?}: {reply:?}");
    }
    assert_eq!(harness.count("transfers_transfer"), 2, "what was refused left nothing");
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_by_its_header() {
    let harness = Harness::new().await;
    let wallet = body(1, 2, 100).to_string();
    let first = harness.post(&wallet, &[(DRAFT, "k1")]).await;
    assert_eq!(first.status, 200);
    // The draft's header: the first answer byte for byte, also where the body is spelled otherwise.
    let spelled = serde_json::to_string_pretty(&body(1, 2, 100)).unwrap();
    for again in [&wallet, &spelled] {
        let reply = harness.post(again, &[(DRAFT, "k1")]).await;
        assert_eq!((reply.status, &reply.text), (200, &first.text));
    }
    // One namespace: the same key under Moov's name is a 409 with the original.
    let reply = harness.post(&wallet, &[(MOOV, "k1")]).await;
    assert_eq!(reply.status, 409, "{reply:?}");
    assert_eq!(reply.transfer(), first.transfer());
    assert_eq!(reply.json()["status"], "completed");
    assert_eq!(reply.json()["source"]["wallet"]["walletID"], crate::doubles::wallet(1).to_string());
    // Another body: 422 under both, and nothing done.
    for header in [MOOV, DRAFT] {
        let reply = harness.post(&body(1, 2, 101).to_string(), &[(header, "k1")]).await;
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(reply.json()["error"].as_str().unwrap().contains("another request"));
    }
    // A repeat that asks to wait gets the current state.
    let reply = harness.post(&wallet, &[(DRAFT, "k1"), ("prefer", "wait=2")]).await;
    assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("completed")));
    assert_eq!(harness.count("transfers_transfer"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_survives_a_disabled_method_a_silent_hop_and_a_restart() {
    let harness = Harness::new().await;
    let wallet = body(1, 2, 100).to_string();
    let first = harness.post(&wallet, &[(DRAFT, "k1")]).await;
    harness.methods.change(2, |method| method.enabled = false);
    harness.methods.failing.store(2, Relaxed);
    for _ in 0..2 {
        let again = harness.post(&wallet, &[(DRAFT, "k1")]).await;
        assert_eq!((again.status, &again.text), (200, &first.text));
    }
    let reused = harness.post(&body(1, 2, 7).to_string(), &[(DRAFT, "k1")]).await;
    assert!(reused.text.contains("another request"), "the key goes first: {reused:?}");
    let other = harness.post(&wallet, &[(DRAFT, "k2")]).await;
    assert_eq!(other.status, 422, "a new key meets the disabled method");
    let harness = harness.restart(1).await;
    let again = harness.post(&wallet, &[(DRAFT, "k1")]).await;
    assert_eq!((again.status, &again.text), (200, &first.text));
    assert_eq!(harness.count("transfers_transfer"), 1);
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_two_tenants_are_two() {
    let harness = Harness::new().await;
    let ours = harness.post(&body(1, 2, 5).to_string(), &[(DRAFT, "same")]).await;
    harness.methods.put(8, 8, "moov-wallet");
    let theirs = body(8, 9, 5).to_string();
    let theirs = harness.post_as(8, account(8), &theirs, &[(DRAFT, "same")]).await;
    assert_eq!((ours.status, theirs.status), (200, 200), "{theirs:?}");
    assert_ne!(ours.transfer(), theirs.transfer());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_transfer_stays_what_its_key_stands_for() {
    let harness = Harness::new().await;
    let poor = body(1, 2, TOO_MUCH).to_string();
    let first = harness.post(&poor, &[(MOOV, "poor")]).await;
    assert_eq!(first.status, 200, "the ledger decides, not the API");
    let again = harness.post(&poor, &[(MOOV, "poor")]).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.json()["failureReason"], "wallet-insufficient-funds");
    assert_eq!(again.transfer(), first.transfer());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_with_one_key_make_one_transfer() {
    let harness = Arc::new(Harness::new().await);
    for round in 0..20 {
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..64 {
            let harness = Arc::clone(&harness);
            asking.spawn(async move {
                // Every fourth with another body: whichever is first decides for all.
                let amount = if number % 4 == 3 { 2 } else { 1 };
                let key = format!("round-{round}");
                let body = body(1, 2, amount).to_string();
                (amount, harness.post(&body, &[(DRAFT, &key)]).await)
            });
        }
        let replies = asking.join_all().await;
        let mut accepted: Vec<_> =
            replies.iter().filter(|(_, reply)| reply.status == 200).collect();
        let amount = accepted[0].0;
        assert!(
            accepted.iter().all(|(of, reply)| *of == amount && reply.text == accepted[0].1.text)
        );
        let refused = replies.iter().filter(|(of, _)| *of != amount);
        assert!(refused.into_iter().all(|(_, reply)| reply.status == 422));
        accepted.dedup_by_key(|(_, reply)| reply.transfer());
        assert_eq!(accepted.len(), 1);
        assert_eq!(harness.count("transfers_transfer"), round + 1);
    }
    assert_eq!(harness.count("event_transfers"), 40, "one creation and one completion each");
    harness.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_went_away_finds_its_transfer() {
    let harness = Harness::new().await;
    let wallet = body(1, 2, 9).to_string();
    let lost = harness.post(&wallet, &[(DRAFT, "lost")]);
    let in_time = tokio::time::timeout(std::time::Duration::from_micros(50), lost).await;
    let again = harness.post(&wallet, &[(DRAFT, "lost")]).await;
    assert_eq!(again.status, 200);
    if let Ok(first) = in_time {
        assert_eq!(first.text, again.text);
    }
    assert_eq!(harness.count("transfers_transfer"), 1);
    assert_eq!(harness.show(again.transfer()).await["amount"]["value"], 9);
    let foreign = format!("/accounts/{}/transfers/{}", account(8), again.transfer());
    assert_eq!(harness.get(8, &foreign).await.status, 404);
}
