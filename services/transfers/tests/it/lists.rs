//! Lists: newest first, Moov's filters, both ways of paging.

use contracts::ids::TransferId;
use serde_json::json;

use crate::{
    doubles::{TOO_MUCH, account},
    harness::{Harness, PLATFORM, body},
};

async fn list(harness: &Harness, viewer: i64, query: &str) -> Vec<TransferId> {
    let reply =
        harness.get(viewer, &format!("/accounts/{}/transfers?{query}", account(viewer))).await;
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    let id = |one: &serde_json::Value| one["transferID"].as_str().unwrap().parse().unwrap();
    reply.json().as_array().unwrap().iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn filters() {
    let harness = Harness::new().await;
    let to_two = harness.make(1, 2, 1).await;
    let to_three = harness.make(1, 3, 2).await;
    let failed = harness.make(2, 3, TOO_MUCH).await;
    let mut request = body(3, 12, 5);
    request["foreignID"] = json!("mine");
    let reply = harness.post(&request.to_string(), &[("idempotency-key", "f")]).await;
    let rail = reply.transfer();
    let all = [rail, failed, to_three, to_two];
    assert_eq!(list(&harness, PLATFORM, "").await, all);
    assert_eq!(list(&harness, 2, "").await, [rail, failed, to_two]);
    assert_eq!(list(&harness, 3, "").await, [rail, failed, to_three]);
    assert_eq!(list(&harness, 8, "").await, []);
    assert_eq!(list(&harness, PLATFORM, "status=failed").await, [failed]);
    assert_eq!(list(&harness, PLATFORM, "status=pending").await, [rail]);
    assert_eq!(list(&harness, PLATFORM, "foreignID=mine").await, [rail]);
    assert_eq!(list(&harness, PLATFORM, "foreignID=theirs").await, []);
    let accounts = |of: &[i64]| {
        let of: Vec<String> = of.iter().map(|number| account(*number).to_string()).collect();
        format!("accountIDs={}", of.join(","))
    };
    assert_eq!(list(&harness, PLATFORM, &accounts(&[2])).await, [rail, failed, to_two]);
    assert_eq!(list(&harness, PLATFORM, &accounts(&[1, 2])).await, all);
    assert_eq!(list(&harness, PLATFORM, &accounts(&[1])).await, [to_three, to_two]);
    assert_eq!(list(&harness, PLATFORM, &accounts(&[9])).await, []);
    assert_eq!(list(&harness, 2, &accounts(&[3])).await, [rail, failed], "its own only");
    let created = |shown: &serde_json::Value| shown["createdOn"].as_str().unwrap().to_owned();
    let third = created(&harness.show(failed).await);
    let from = format!("startDateTime={third}");
    let until = format!("endDateTime={third}");
    assert_eq!(list(&harness, PLATFORM, &from).await, [rail, failed], "inclusive");
    assert_eq!(list(&harness, PLATFORM, &until).await, [to_three, to_two], "exclusive");
    let none = "startDateTime=2001-01-01T00:00:00Z&endDateTime=2002-01-01T00:00:00Z";
    assert_eq!(list(&harness, PLATFORM, none).await, []);
    for (query, key) in [
        ("count=0", "count"),
        ("count=1001", "count"),
        ("accountIDs=x", "accountIDs"),
        ("status=odd", "query"),
        ("startDateTime=today", "query"),
    ] {
        let path = format!("/accounts/{}/transfers?{query}", account(PLATFORM));
        let reply = harness.get(PLATFORM, &path).await;
        assert_eq!(reply.status, 422, "{query}: {reply:?}");
        assert!(reply.json().get(key).is_some(), "{query}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn paging_over_many() {
    let harness = std::sync::Arc::new(Harness::new().await);
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..700 {
        let harness = std::sync::Arc::clone(&harness);
        asking.spawn(async move {
            let destination = if number % 2 == 0 { 2 } else { 3 };
            harness.make(1, destination, 1 + number).await
        });
    }
    let mut made = asking.join_all().await;
    made.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(list(&harness, PLATFORM, "count=1000").await, made);
    assert_eq!(list(&harness, PLATFORM, "").await, made[..200]);
    assert_eq!(list(&harness, PLATFORM, "skip=650&count=100").await, made[650..]);
    assert_eq!(list(&harness, PLATFORM, "skip=700").await, []);
    let mut paged = Vec::new();
    let mut query = "count=97".to_owned();
    loop {
        let page = list(&harness, PLATFORM, &query).await;
        let Some(last) = page.last() else { break };
        query = format!("count=97&before={last}");
        paged.extend(page);
    }
    assert_eq!(paged, made);
    let two = list(&harness, 2, "count=1000").await;
    let three = list(&harness, 3, "count=1000").await;
    assert_eq!(two.len() + three.len(), 700);
    let both = format!("accountIDs={},{}&count=1000", account(2), account(3));
    assert_eq!(list(&harness, PLATFORM, &both).await, made);
    let harness = std::sync::Arc::into_inner(harness).unwrap().restart(1).await;
    assert_eq!(list(&harness, PLATFORM, "count=1000").await, made, "after a restart");
    assert_eq!(list(&harness, 2, "count=1000").await, two);
    harness.verify();
}
