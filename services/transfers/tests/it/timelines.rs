//! Timelines and events: what was recorded of a transfer, in the order of causes.

use axum::{
    body::Body,
    http::{Request, header},
};
use contracts::rails::RailState;
use http_body_util::BodyExt;
use runtime::EventReader;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    doubles::{self, Say, account, outcome},
    harness::{Harness, PLATFORM},
};

async fn timeline(harness: &Harness, transfer: contracts::ids::TransferId) -> Value {
    let path = format!("/accounts/{}/transfers/{transfer}/timeline", account(PLATFORM));
    let reply = harness.get(PLATFORM, &path).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// `kind from>to name <cause`
fn lines(timeline: &Value) -> Vec<String> {
    let text = |exchange: &Value, name: &str| exchange[name].as_str().unwrap().to_owned();
    let line = |exchange: &Value| {
        let cause = exchange["cause"].as_u64().map_or("-".to_owned(), |cause| cause.to_string());
        let (kind, name) = (text(exchange, "kind"), text(exchange, "name"));
        format!("{kind} {}>{} {name} <{cause}", text(exchange, "from"), text(exchange, "to"))
    };
    timeline["exchanges"].as_array().unwrap().iter().map(line).collect()
}

fn numbered_after_their_causes(timeline: &Value) {
    for (index, exchange) in timeline["exchanges"].as_array().unwrap().iter().enumerate() {
        assert_eq!(exchange["number"], index as u64 + 1);
        if let Some(cause) = exchange["cause"].as_u64() {
            assert!(cause <= index as u64, "{exchange}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_transfer_step_by_step() {
    let harness = Harness::new().await;
    let transfer = harness.make(1, 2, 100).await;
    let timeline = timeline(&harness, transfer).await;
    assert_eq!(timeline["complete"], true);
    assert_eq!(timeline["status"], "completed");
    numbered_after_their_causes(&timeline);
    let lines = lines(&timeline);
    assert_eq!(
        lines[..3],
        [
            "request client>transfers POST /accounts/{accountID}/transfers <-",
            "request transfers>payment-methods ResolvePaymentMethods <1",
            "response payment-methods>transfers ResolvePaymentMethods <2",
        ]
    );
    assert_eq!(lines[3], "commit transfers>transfers commit <3", "{lines:#?}");
    let has = |line: &str| assert!(lines.iter().any(|l| l.starts_with(line)), "{line}: {lines:#?}");
    has("response transfers>client POST /accounts/{accountID}/transfers <4");
    has("event transfers>ledger transfer.created <4");
    has("event ledger>transfers ledger.posted");
    let exchanges = timeline["exchanges"].as_array().unwrap();
    assert!(exchanges[0]["bytes"].as_u64().unwrap() > 100);
    assert!(exchanges[2]["durationMicros"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_transfer_and_its_events() {
    let harness = Harness::new().await;
    let transfer = harness.make(1, 12, 100).await;
    let said = (transfer.row(), transfer.bucket(), outcome(transfer, RailState::Accepted, false));
    harness.running.platform.commit(Say(vec![said])).await.unwrap();
    for _ in 0..400 {
        if harness.status(transfer).await == "completed" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let timeline = timeline(&harness, transfer).await;
    numbered_after_their_causes(&timeline);
    let lines = lines(&timeline);
    for line in [
        "event transfers>ledger transfer.created <4",
        "event ledger>transfers ledger.reserved",
        "event rtp>ledger rail.outcome",
        "event rtp>transfers rail.outcome",
        "event ledger>transfers ledger.posted",
    ] {
        assert!(lines.iter().any(|l| l.starts_with(line)), "{line}: {lines:#?}");
    }
    let mut events = harness.events(transfer).await;
    events.sort();
    assert_eq!(
        events,
        [
            "ledger.posted",
            "ledger.reserved",
            "rail.outcome",
            "transfer.created",
            "transfer.updated completed",
            "transfer.updated pending",
        ]
    );
    let path = format!("/accounts/{}/transfers/{transfer}/events", account(PLATFORM));
    let first = harness.get(PLATFORM, &path).await.json()["events"][0].clone();
    assert_eq!(first["name"], "transfer.created");
    assert_eq!((&first["from"], &first["stream"]), (&"transfers".into(), &"transfers/0".into()));
    assert_eq!(first["data"]["amount"]["value"], 100);
    assert_eq!(first["data"]["destination"]["rail"], "rtp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_is_followed_until_the_transfer_is_final() {
    let harness = Harness::new().await;
    let transfer = harness.make(1, 12, 100).await;
    let path = format!("/accounts/{}/transfers/{transfer}/timeline", account(PLATFORM));
    let follow = || {
        Request::get(&path)
            .header(header::AUTHORIZATION, doubles::basic(account(PLATFORM)))
            .header(header::ACCEPT, "text/event-stream")
            .body(Body::empty())
            .unwrap()
    };
    let response = harness.running.public.clone().oneshot(follow()).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut events = EventReader::new(response.into_body());
    let most = std::time::Duration::from_secs(5);
    let mut next = async || tokio::time::timeout(most, events.next()).await.unwrap();
    let (name, first) = next().await.unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((name.as_str(), &first["status"]), ("timeline", &"pending".into()), "{first}");
    let said = (transfer.row(), transfer.bucket(), outcome(transfer, RailState::Accepted, false));
    harness.running.platform.commit(Say(vec![said])).await.unwrap();
    let mut statuses = Vec::new();
    while let Some((name, data)) = next().await {
        let data: Value = serde_json::from_str(&data).unwrap();
        statuses.push((name, data["status"].as_str().unwrap_or_default().to_owned()));
    }
    let last = statuses.len() - 2;
    assert_eq!(statuses[last], ("timeline".to_owned(), "completed".to_owned()), "{statuses:?}");
    assert_eq!(statuses[last + 1].0, "end");
    // One that is final already is told once.
    let response = harness.running.public.clone().oneshot(follow()).await.unwrap();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert_eq!(text.matches("event: timeline").count(), 1, "{text}");
    assert!(text.ends_with("event: end\ndata: \"completed\"\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_let_go_when_the_process_drains() {
    let harness = Harness::new().await;
    let transfer = harness.make(1, 12, 100).await;
    let path = format!("/accounts/{}/transfers/{transfer}/timeline", account(PLATFORM));
    let request = Request::get(path)
        .header(header::AUTHORIZATION, doubles::basic(account(PLATFORM)))
        .header(header::ACCEPT, "text/event-stream")
        .body(Body::empty())
        .unwrap();
    let response = harness.running.public.clone().oneshot(request).await.unwrap();
    harness.running.drain();
    let most = std::time::Duration::from_secs(5);
    let all = tokio::time::timeout(most, response.into_body().collect()).await;
    assert!(all.is_ok(), "the stream ends though the transfer is pending");
}
