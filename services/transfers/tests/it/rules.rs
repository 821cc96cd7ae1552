//! Every rule about a request: a clear answer with Moov's keys, and nothing changed.

use std::sync::atomic::Ordering::Relaxed;

use contracts::Currency;
use serde_json::{Value, json};

use crate::{
    doubles::{account, method},
    harness::{Harness, PLATFORM, body},
};

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut body = body(1, 2, 100);
    change(&mut body);
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_rule_names_its_key() {
    let harness = Harness::new().await;
    let long = "d".repeat(257);
    let names: std::collections::BTreeMap<String, String> =
        (0..101).map(|n| (n.to_string(), String::new())).collect();
    let raw = |amount: &str| with(|_| ()).replace("100", amount);
    let cases: Vec<(String, u16, &str)> = vec![
        (with(|b| b["amount"]["value"] = json!(0)), 422, "amount"),
        (with(|b| b["amount"]["value"] = json!(-1)), 422, "amount"),
        (with(|b| b["amount"]["value"] = json!(1.5)), 422, "amount"),
        (with(|b| b["amount"]["value"] = json!("1")), 422, "amount"),
        (raw("9223372036854775808"), 422, "amount"),
        (raw("1e3"), 422, "amount"),
        (with(|b| b["amount"]["currency"] = json!("XXQ")), 422, "amount"),
        (with(|b| b["amount"]["currency"] = json!("usd")), 422, "amount"),
        (with(|b| b["amount"]["currency"] = json!("EUR")), 422, "amount"),
        (
            with(|b| b["destination"] = json!({ "paymentMethodID": method(99) })),
            422,
            "destinationPaymentMethodID",
        ),
        (
            with(|b| b["source"] = json!({ "paymentMethodID": method(99) })),
            422,
            "sourcePaymentMethodID",
        ),
        (with(|b| b["source"] = json!({ "paymentMethodID": "x" })), 422, "sourcePaymentMethodID"),
        (
            with(|b| b["source"] = json!({ "paymentMethodID": method(12) })),
            422,
            "sourcePaymentMethodID",
        ),
        (
            with(|b| b["destination"] = json!({ "paymentMethodID": method(22) })),
            422,
            "destinationPaymentMethodID",
        ),
        (
            with(|b| b["destination"] = json!({ "paymentMethodID": method(1) })),
            422,
            "destinationPaymentMethodID",
        ),
        // Another platform's: as unknown as one that never was.
        (
            with(|b| b["destination"] = json!({ "paymentMethodID": method(9) })),
            422,
            "destinationPaymentMethodID",
        ),
        (with(|b| b["description"] = json!(long)), 422, "description"),
        (with(|b| b["description"] = json!("a\0b")), 422, "description"),
        (with(|b| b["foreignID"] = json!("f".repeat(65))), 422, "foreignID"),
        (with(|b| b["metadata"] = json!(names)), 422, "metadata"),
        (with(|b| b["metadata"] = json!({ "a": "b\0" })), 422, "metadata"),
        (with(|b| b["surprise"] = json!(1)), 422, "surprise"),
        ("{".to_owned(), 400, "error"),
        (String::new(), 400, "error"),
        ("[".repeat(10_000), 400, "error"),
    ];
    for (body, status, key) in cases {
        let reply = harness.post(&body, &[("x-idempotency-key", &harness.fresh_key())]).await;
        let shown = &body[..body.len().min(200)];
        assert_eq!(reply.status, status, "{shown}: {reply:?}");
        assert!(reply.json().get(key).is_some(), "{shown} has no {key}: {reply:?}");
    }
    let large = with(|b| b["description"] = json!("d".repeat(70_000)));
    let reply = harness.post(&large, &[("x-idempotency-key", "large")]).await;
    assert_eq!(reply.status, 413);
    assert_eq!(harness.count("transfers_transfer"), 0);
    assert_eq!(harness.count("event_transfers"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_checked_as_they_are_now() {
    let harness = Harness::new().await;
    harness.methods.change(2, |method| method.enabled = false);
    let reply = harness.post(&with(|_| ()), &[("x-idempotency-key", "a")]).await;
    assert_eq!(reply.status, 422);
    assert!(reply.json()["destinationPaymentMethodID"].as_str().unwrap().contains("disabled"));
    harness.methods.change(2, |method| {
        method.enabled = true;
        method.currency = Currency::new("EUR").unwrap();
    });
    let reply = harness.post(&with(|_| ()), &[("x-idempotency-key", "a")]).await;
    assert_eq!(reply.status, 422);
    assert!(reply.json()["amount"].as_str().unwrap().contains("currency"));
    harness.methods.change(2, |method| method.currency = Currency::USD);
    let reply = harness.post(&with(|_| ()), &[("x-idempotency-key", "a")]).await;
    assert_eq!(reply.status, 200, "a refusal is not stored under the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_are_named_at_once() {
    let harness = Harness::new().await;
    let both = body(98, 99, 1).to_string();
    let reply = harness.post(&both, &[("x-idempotency-key", "a")]).await;
    assert_eq!(reply.status, 422);
    let fields = reply.json();
    assert!(fields.get("sourcePaymentMethodID").is_some());
    assert!(fields.get("destinationPaymentMethodID").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hop_for_a_write_and_a_retry_where_it_fails() {
    let harness = Harness::new().await;
    harness.make(1, 2, 5).await;
    assert_eq!(harness.methods.asked.load(Relaxed), 1, "one call for both methods");
    harness.methods.failing.store(1, Relaxed);
    harness.make(1, 2, 6).await;
    assert_eq!(harness.methods.asked.load(Relaxed), 3, "one retry");
    harness.methods.failing.store(2, Relaxed);
    let reply = harness.post(&with(|_| ()), &[("x-idempotency-key", "down")]).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(harness.count("transfers_transfer"), 2, "nothing is written without the answer");
    let reply = harness.post(&with(|_| ()), &[("x-idempotency-key", "down")]).await;
    assert_eq!(reply.status, 200, "the key is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_ask() {
    let harness = Harness::new().await;
    let wallet = body(1, 2, 5).to_string();
    let key = [("x-idempotency-key", "k")];
    let unknown = harness.post_as(PLATFORM, account(77), &wallet, &key).await;
    assert_eq!(unknown.status, 404);
    let foreign = harness.post_as(8, account(PLATFORM), &wallet, &key).await;
    assert_eq!(foreign.status, 404);
    let connected = harness.post_as(PLATFORM, account(2), &wallet, &key).await;
    assert_eq!(connected.status, 403, "{connected:?}");
    let nobody = harness.post_as(76, account(PLATFORM), &wallet, &key).await;
    assert_eq!(nobody.status, 401);
    let transfer = harness.make(1, 2, 5).await;
    for (viewer, under, status) in [(1, 1, 200), (1, 2, 200), (2, 2, 200), (3, 3, 404), (8, 8, 404)]
    {
        let path = format!("/accounts/{}/transfers/{transfer}", account(under));
        assert_eq!(harness.get(viewer, &path).await.status, status, "{viewer} under {under}");
        let path = format!("{path}/timeline");
        assert_eq!(harness.get(viewer, &path).await.status, status, "{viewer} under {under}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_shown() {
    let harness = Harness::new().await;
    let sent = with(|b| {
        b["description"] = json!("für Müller ✓");
        b["metadata"] = json!({ "b": "2", "a": "1" });
        b["foreignID"] = json!("order-7");
        b["destination"] = json!({ "paymentMethodID": method(12) });
    });
    let transfer = harness.post(&sent, &[("idempotency-key", "a")]).await.transfer();
    let shown = harness.show(transfer).await;
    assert_eq!(shown["description"], "für Müller ✓");
    assert_eq!(shown["metadata"], json!({ "a": "1", "b": "2" }));
    assert_eq!(shown["foreignID"], "order-7");
    assert_eq!(shown["amount"], json!({ "currency": "USD", "value": 100 }));
    assert_eq!(shown["source"]["paymentMethodType"], "moov-wallet");
    assert_eq!(shown["source"]["account"]["displayName"], "Account 1");
    assert_eq!(shown["source"]["account"]["email"], "1@example.com");
    assert_eq!(shown["destination"]["paymentMethodID"], method(12).to_string());
    assert_eq!(shown["destination"]["paymentMethodType"], "rtp-credit");
    assert_eq!(shown["destination"]["bankAccount"]["lastFourAccountNumber"], "0002");
    assert_eq!(shown["destination"]["instantBankDetails"]["network"], "rtp");
    assert_eq!(shown["destination"]["rtpDetails"]["status"], "initiated");
    assert_eq!(shown["status"], "pending");
    assert_eq!(shown["waiting"], json!({ "reason": "queued", "position": 4 }));
    // A rail that does not say and payment-methods that do not answer leave only their parts out.
    harness.claimed.store(true, Relaxed);
    harness.methods.failing.store(9, Relaxed);
    let shown = harness.show(transfer).await;
    assert!(shown["destination"].get("bankAccount").is_none());
    assert!(shown.get("waiting").is_none());
    assert_eq!(shown["status"], "pending");
}
