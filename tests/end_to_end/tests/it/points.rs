//! kill -9 at points of each rail's path: the whole process dies as its writer enters the n-th write,
//! or the n-th fsync, of a transfer's way from the POST to its end. With the writes before, between
//! and within the commits of request, claim, record and release come all moments of the way: before
//! and after anything is sent, and before and after its answer is recorded. The counterparties live in
//! the same process, and die in the middle of theirs.

use std::time::Duration;

use end_to_end::{Api, Process, Traced, in_force, key};
use serde_json::json;

/// Points by writes and by fsyncs.
const POINTS: [(&str, u32); 2] = [("pwrite64", 14), ("fdatasync", 6)];
/// How long a path may take until it is killed at its end.
const PATH_MOST: Duration = Duration::from_secs(6);
const CENTS: i64 = 1_234;

/// A rail's path: the types of the methods that pay and are paid.
struct Road {
    from: &'static str,
    to: &'static str,
    /// What the platform's wallet loses by it.
    costs: i64,
}

impl Road {
    fn method<'a>(&self, api: &'a Api, kind: &str) -> &'a str {
        match kind {
            "moov-wallet" => api.wallet(),
            "push-to-card" => api.method(1, kind),
            kind => api.method(0, kind),
        }
    }
    async fn post(&self, api: &Api, key: &str) -> Option<String> {
        let (from, to) = (self.method(api, self.from), self.method(api, self.to));
        let body = Api::transfer_body(from, to, CENTS);
        let reply = api.send(api.transfer_request(key, &body)).await.ok()?;
        assert!([200, 409].contains(&reply.status), "{reply:?}");
        Some(reply.text_of("transferID"))
    }
}

/// Windows and settlements come at once: business time moves until the transfer is final, or the
/// process is gone.
pub async fn hurried(api: &Api, id: &str) -> Option<String> {
    for _ in 0..300 {
        let path = format!("/accounts/{}/transfers/{id}", api.account());
        let reply = api.send(api.request("GET".parse().unwrap(), &path)).await.ok()?;
        let status = reply.text_of("status");
        if ["completed", "failed", "reversed"].contains(&status.as_str()) {
            return Some(status);
        }
        let clock = api.request("POST".parse().unwrap(), "/sandbox/clock/advance");
        api.send(clock.json(&json!({ "duration": "1s" }))).await.ok()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{id} is stuck")
}

async fn killed_at_twenty_points(road: Road) {
    let mut process = Process::start_on_a_directory(&[]).await;
    let had = process.api().balance(process.api().account()).await;
    let (mut lost, mut killed, mut points) = (0, 0, 0);
    for (call, count) in POINTS {
        // The whole way, counted.
        let api = process.api();
        let Some(traced) = Traced::attach(process.id(), process.folder(), call, None).await else {
            return;
        };
        let id = road.post(&api, &key()).await.unwrap();
        assert_eq!(hurried(&api, &id).await.as_deref(), Some("completed"));
        lost += road.costs;
        let whole = traced.end();
        for point in 0..count {
            let at = 1 + whole * point / count;
            points += 1;
            let armed = Traced::attach(process.id(), process.folder(), call, Some(at)).await;
            let (api, key) = (process.api(), key());
            if let Some(id) = road.post(&api, &key).await {
                let _ = tokio::time::timeout(PATH_MOST, hurried(&api, &id)).await;
            }
            killed += u32::from(process.killed(Duration::from_millis(200)).await);
            armed.unwrap().end();
            process.again().await;
            let api = process.api();
            let id = road.post(&api, &key).await.expect("the same key decides");
            let status = hurried(&api, &id).await.unwrap();
            let books = api.books().await;
            let paid = in_force(&books, &id);
            let expected = if status == "completed" { vec![CENTS] } else { Vec::new() };
            assert_eq!(paid, expected, "killed at {call} {at} of {whole}: {status}");
            lost += if status == "completed" { road.costs } else { 0 };
            let has = api.balance(api.account()).await;
            assert_eq!(has, had - lost, "killed at {call} {at} of {whole}: {status}");
        }
    }
    println!("{}>{}: {points} points, {killed} of them on the way", road.from, road.to);
    assert!(killed * 4 >= points * 3, "{killed} of {points} kills were on the way");
    process.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_credit_by_rtp() {
    killed_at_twenty_points(Road { from: "moov-wallet", to: "rtp-credit", costs: CENTS }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_money_to_a_card() {
    killed_at_twenty_points(Road { from: "moov-wallet", to: "push-to-card", costs: CENTS }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_card_payment() {
    killed_at_twenty_points(Road { from: "card-payment", to: "moov-wallet", costs: -CENTS }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_ach_credit() {
    let road = Road { from: "moov-wallet", to: "ach-credit-standard", costs: CENTS };
    killed_at_twenty_points(road).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_ach_debit() {
    let road = Road { from: "ach-debit-fund", to: "moov-wallet", costs: -CENTS };
    killed_at_twenty_points(road).await;
}
