//! The shape of communication: topology as declared, GETs that emit nothing, one hop a write.

use std::collections::BTreeMap;

use end_to_end::{Api, Process};
use serde_json::Value;

/// Appended events of all kinds, and answers of synchronous edges, from the process itself.
async fn counted(api: &Api) -> (u64, BTreeMap<String, u64>) {
    let metrics = api.send(api.anonymous(reqwest::Method::GET, "/metrics")).await.unwrap().text;
    let appended = metrics
        .lines()
        .filter(|line| line.starts_with("switchyard_events_appended_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let topology = api.get("/operations/topology").await.json();
    let hops = topology["edges"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|edge| edge["kind"] == "synchronous" && edge["observed"].as_u64() > Some(0))
        .map(|edge| (edge["name"].to_string(), edge["observed"].as_u64().unwrap()))
        .collect();
    (appended, hops)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_appends_nothing_and_a_write_makes_one_hop() {
    let process = Process::start().await;
    let api = process.api();
    let id = api.transfer(api.wallet(), api.method(0, "moov-wallet"), 5).await;
    api.settled(&id).await;
    let before = counted(&api).await;
    for _ in 0..10 {
        api.transfer(api.wallet(), api.method(0, "moov-wallet"), 5).await;
    }
    let after = counted(&api).await;
    let hops: u64 = after.1.values().sum::<u64>() - before.1.values().sum::<u64>();
    assert_eq!(hops, 10, "one synchronous hop for each write: {before:?} {after:?}");
    let account = api.account().to_owned();
    for path in [
        format!("/accounts/{account}/transfers"),
        format!("/accounts/{account}/transfers/{id}"),
        format!("/accounts/{account}/transfers/{id}/timeline"),
        format!("/accounts/{account}/transfers/{id}/events"),
        format!("/accounts/{account}/wallets"),
        format!("/accounts/{account}/payment-methods"),
        format!("/accounts/{account}/bank-accounts"),
        format!("/accounts/{account}/capabilities"),
        format!("/accounts/{account}"),
        "/accounts".to_owned(),
        "/events".to_owned(),
        "/ledger/accounts".to_owned(),
        "/ledger/journal".to_owned(),
        "/ledger/proof".to_owned(),
        "/operations/dead-letters".to_owned(),
        "/operations/keys".to_owned(),
        "/operations/rails".to_owned(),
        "/operations/topology".to_owned(),
        "/health/ready".to_owned(),
        "/sandbox/books".to_owned(),
    ] {
        let reply = api.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
    assert_eq!(counted(&api).await.0, after.0, "a GET appended an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_was_declared() {
    let process = Process::start().await;
    let api = process.api();
    for (kind, value) in [("moov-wallet", 10), ("rtp-credit", 20)] {
        let id = api.transfer(api.wallet(), api.method(0, kind), value).await;
        assert_eq!(api.settled(&id).await["status"], "completed");
    }
    let topology = api.get("/operations/topology").await.json();
    let edges = topology["edges"].as_array().unwrap();
    let undeclared: Vec<&Value> = edges.iter().filter(|edge| edge["declared"] == false).collect();
    assert!(undeclared.is_empty(), "{undeclared:?}");
    // The road itself was used, every step of it.
    for (from, to, name) in [
        ("transfers", "payment-methods", "ResolvePaymentMethods"),
        ("transfers", "ledger", "transfer.created"),
        ("ledger", "transfers", "ledger.reserved"),
        ("ledger", "rtp", "ledger.reserved"),
        ("rtp", "ledger", "rail.outcome"),
        ("rtp", "transfers", "rail.outcome"),
        ("ledger", "transfers", "ledger.posted"),
    ] {
        let edge = edges.iter().find(|e| e["from"] == from && e["to"] == to && e["name"] == name);
        let edge = edge.unwrap_or_else(|| panic!("{from} -> {to} {name} is declared"));
        assert!(edge["observed"].as_u64() > Some(0), "{edge}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_server_and_says_so() {
    let process = Process::start_on_a_directory(&[]).await;
    let data = process.data();
    let data = data.to_str().unwrap();
    let (code, _, errors) = process.command(&["up", "--data", data, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("already in use"), "{errors}");
    process.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_topology_is_the_generated_one() {
    let process = Process::start().await;
    let (code, page, errors) = process.command(&["topology", "--format", "markdown"]);
    assert_eq!(code, 0, "{errors}");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/topology.md");
    let committed = std::fs::read_to_string(root).unwrap();
    assert_eq!(page, committed, "run `switchyard topology --format markdown > docs/topology.md`");
}
