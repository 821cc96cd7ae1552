//! Walls between the rails: a card host that hangs and a bank that nobody reaches slow nobody else
//! down, their own transfers say why they wait, and all of them end by themselves afterwards.

use std::time::Duration;

use end_to_end::{Api, Process, in_force};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Transfers of each kind during the outage.
const EACH: usize = 40;
/// How long it lasts.
const OUTAGE: Duration = Duration::from_secs(12);

async fn fault(api: &Api, rail: &str, fault: &str) {
    let duration = format!("{}s", OUTAGE.as_secs());
    let body = json!({ "rail": rail, "fault": fault, "duration": duration });
    let set = api.post("/sandbox/faults", &body).await;
    assert_eq!(set.status, 200, "{set:?}");
}

/// The state of a rail's circuit, as operators see it.
async fn circuit(api: &Api, rail: &str) -> Value {
    let rails = api.get("/operations/rails").await.json();
    let all = rails.as_array().or_else(|| rails["rails"].as_array());
    let all = all.unwrap_or_else(|| panic!("{rails}"));
    let one = all.iter().find(|one| one["name"] == rail);
    one.unwrap_or_else(|| panic!("no {rail}: {rails}"))["circuit"]["state"].clone()
}

/// Waits for a state of a circuit.
async fn until_circuit(api: &Api, rail: &str, state: &str) {
    for _ in 0..3_000 {
        if circuit(api, rail).await == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the circuit of {rail} is never {state}");
}

/// What a transfer says of its waiting is whole: a reason, when it is expected, and its place where
/// it stands in a queue.
fn assert_told(transfer: &Value) -> String {
    let waiting = &transfer["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_else(|| panic!("no reason: {transfer}"));
    assert!(waiting["expectedOn"].is_string(), "{transfer}");
    reason.to_owned()
}

/// Makes so many transfers from the platform's wallet.
async fn send(api: &Api, to: &str, first: i64) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..i64::try_from(EACH).unwrap() {
        ids.push(api.transfer(api.wallet(), to, first + number).await);
    }
    ids
}

/// During `of_card`'s fault of the card host; whether cards may fail for being taken back.
async fn outage(process: Process, of_card: &str, may_fail: bool) {
    let api = process.api();
    let had = api.balance(api.account()).await;
    fault(&api, "card", of_card).await;
    fault(&api, "ach", "refuse").await;
    let begun = Instant::now();
    let cards = send(&api, api.method(1, "push-to-card"), 1_000).await;
    let banks = send(&api, api.method(1, "ach-credit-standard"), 2_000).await;
    let wallets = send(&api, api.method(0, "moov-wallet"), 3_000).await;
    let instant = send(&api, api.method(0, "rtp-credit"), 4_000).await;
    let mut moved = 0;
    for id in wallets.iter().chain(&instant) {
        let transfer = api.settled(id).await;
        assert_eq!(transfer["status"], "completed", "{transfer}");
        moved += transfer["amount"]["value"].as_i64().unwrap();
    }
    assert!(begun.elapsed() < OUTAGE / 2, "they did not wait for the others");
    until_circuit(&api, "ach", "open").await;
    // Every one of the others says why it waits; the newest ones stand in a queue.
    let mut reasons = std::collections::BTreeSet::new();
    for id in &cards {
        reasons.insert(assert_told(&api.transfer_now(id).await));
    }
    let last = api.transfer_now(cards.last().unwrap()).await;
    if last["waiting"]["reason"] != "awaiting-answer" {
        assert!(last["waiting"]["position"].is_u64(), "{last}");
    }
    let bank = |transfer: &Value| transfer["waiting"]["reason"] == "rail-unavailable";
    assert_told(&api.until(&banks[0], bank).await);
    assert!(begun.elapsed() < OUTAGE, "all of this was during the outage: {reasons:?}");
    // They end by themselves.
    let mut done = Vec::new();
    for id in cards.iter().chain(&banks) {
        let transfer = api.settled(id).await;
        let completed = transfer["status"] == "completed";
        let is_card = cards.contains(id);
        assert!(completed || (is_card && may_fail && transfer["status"] == "failed"), "{transfer}");
        done.push(transfer);
    }
    assert!(begun.elapsed() > OUTAGE, "nothing was taken before its host was back");
    until_circuit(&api, "ach", "closed").await;
    until_circuit(&api, "card", "closed").await;
    let books = api.books().await;
    for transfer in &done {
        let amount = transfer["amount"]["value"].as_i64().unwrap();
        let completed = transfer["status"] == "completed";
        let expected = if completed { vec![amount] } else { Vec::new() };
        assert_eq!(
            in_force(&books, transfer["transferID"].as_str().unwrap()),
            expected,
            "{transfer}"
        );
        moved += if completed { amount } else { 0 };
    }
    assert_eq!(api.balance(api.account()).await, had - moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_host_that_hangs_and_a_dead_bank() {
    // What was sent and never answered is taken back, and so fails.
    outage(Process::start().await, "hang", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_host_that_is_gone_and_a_dead_bank() {
    outage(Process::start().await, "refuse", false).await;
}
