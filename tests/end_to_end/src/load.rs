//! Clients of every kind at work while things break, and what must be true of it afterwards: nothing
//! acknowledged is lost, nothing is doubled, books are equal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use crate::{
    api::{Api, Reply, key},
    process::Process,
};

/// Kinds of transfers: the type of method beside the platform's wallet.
const KINDS: [&str; 7] = [
    "moov-wallet",
    "ach-credit-standard",
    "ach-debit-fund",
    "moov-wallet",
    "rtp-credit",
    "push-to-card",
    "card-payment",
];
/// Kinds that bring money to the platform's wallet.
const BRINGS: [&str; 2] = ["ach-debit-fund", "card-payment"];
/// Now and then a bank returns an entry for want of money: then it failed, and is not paid.
const RETURNED: i64 = 77_9901;

/// Clients that wait so long before each transfer make 100 a second in all.
const PAUSE: Duration = Duration::from_millis(140);
/// Once the load ends everything is final within.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// What clients were told: key to transfer, its kind, and the amount.
#[derive(Default)]
struct Told {
    accepted: BTreeMap<String, (String, usize, i64)>,
    unanswered: BTreeMap<String, (usize, i64)>,
}

/// The body of a transfer of a kind: to the method, or from it where it pays.
fn body(api: &Api, kind: usize, value: i64) -> Value {
    match KINDS[kind] {
        from if BRINGS.contains(&from) => {
            Api::transfer_body(api.method(0, from), api.wallet(), value)
        }
        "push-to-card" => Api::transfer_body(api.wallet(), api.method(1, "push-to-card"), value),
        to => Api::transfer_body(api.wallet(), api.method(0, to), value),
    }
}

async fn client(
    api: Api,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    (kind, several): (usize, bool),
    pause: Duration,
) {
    let mut value = 1;
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(pause).await;
        value = value % 900 + 1;
        let key = key();
        let returned = value == 300 && KINDS[kind].starts_with("ach-");
        let value = if returned { RETURNED } else { value };
        let body = body(&api, kind, value);
        match api.send(api.transfer_request(&key, &body)).await {
            Ok(reply) if reply.status == 200 => {
                let id = reply.text_of("transferID");
                told.lock().expect("no client panicked").accepted.insert(key, (id, kind, value));
            }
            // A gateway cannot know whether a service that died had made it durable.
            Ok(reply) if reply.status == 503 && several => {
                told.lock().expect("no client panicked").unanswered.insert(key, (kind, value));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(reply) => assert!([429, 503].contains(&reply.status), "{reply:?}"),
            Err(_) => {
                told.lock().expect("no client panicked").unanswered.insert(key, (kind, value));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// How often the operator's feed says of each transfer that it was created, once it has so many.
async fn feed(api: &Api, expected: usize) -> BTreeMap<String, u32> {
    let (mut after, mut created) = ("0".to_owned(), BTreeMap::new());
    for _ in 0..500 {
        let page = api.get(&format!("/events?after={after}&count=1000")).await.json();
        for event in page["events"].as_array().expect("a list") {
            if event["type"] == "transfer.created" {
                let id = event["data"]["transferID"].as_str().expect("text").to_owned();
                *created.entry(id).or_default() += 1;
            }
        }
        let next = page["next"].as_str().expect("text").to_owned();
        if next == after {
            if created.len() >= expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        after = next;
    }
    created
}

/// What the counterparties paid for each transfer, and what they have in force.
async fn paid(api: &Api) -> BTreeMap<String, i64> {
    let mut paid = BTreeMap::<String, i64>::new();
    for row in api.books().await {
        let state = row["state"].as_str().expect("text");
        if ["accepted", "approved", "settled"].contains(&state) {
            let value =
                row["amount"].as_i64().or(row["amount"]["value"].as_i64()).expect("an amount");
            *paid.entry(row["transferID"].as_str().expect("text").to_owned()).or_default() += value;
        }
    }
    paid
}

/// The transfers of an answer, a line each; the answer itself where it is no list.
fn listed(found: &Reply) -> String {
    if found.status != 200 {
        return format!("{found:?}");
    }
    let line = |one: &Value| format!("\n{} {}", one["transferID"], one["createdOn"]);
    found.json().as_array().into_iter().flatten().map(line).collect()
}

/// Clients of every kind at work until they are told to stop.
pub struct Load {
    api: Api,
    had: i64,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub async fn start(process: &Process) -> Self {
        Self::start_at(process, Duration::ZERO).await
    }
    /// 100 transfers a second in all.
    pub async fn start_steady(process: &Process) -> Self {
        Self::start_at(process, PAUSE).await
    }
    /// With a pause of each client before each transfer.
    async fn start_at(process: &Process, pause: Duration) -> Self {
        let api = process.api();
        let had = api.balance(api.account()).await;
        let told = Arc::new(Mutex::new(Told::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let several = process.roles().len() > 1;
        let clients = (0..14).map(|number| {
            let (told, stop) = (Arc::clone(&told), Arc::clone(&stop));
            tokio::spawn(client(api.clone(), told, stop, (number % KINDS.len(), several), pause))
        });
        let clients = clients.collect();
        Self { api, had, told, stop, clients }
    }
    /// Ends the clients, and waits until no transfer is on its way, a minute at most; how long that
    /// took.
    pub async fn drained(&mut self) -> Duration {
        let begun = tokio::time::Instant::now();
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.expect("no client panicked");
        }
        for status in ["created", "pending"] {
            let path =
                format!("/accounts/{}/transfers?status={status}&count=200", self.api.account());
            loop {
                let found = self.api.get(&path).await;
                // A gateway may still find out that a connection is gone.
                if found.status == 200 && found.json().as_array().is_some_and(Vec::is_empty) {
                    break;
                }
                let late = begun.elapsed() >= DRAINED_WITHIN;
                assert!(!late, "{status} after {DRAINED_WITHIN:?}: {}", listed(&found));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        begun.elapsed()
    }
    /// Stops it and compares what clients were told with balances, books and feed; the number of
    /// transfers.
    pub async fn audit(self) -> usize {
        let Self { api, had, told, stop, clients } = self;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("no client panicked");
        }
        // Everybody repeats what was never answered: the same key decides.
        let unanswered = std::mem::take(&mut told.lock().expect("no client panicked").unanswered);
        for (key, (kind, value)) in unanswered {
            let body = body(&api, kind, value);
            let reply = api.send(api.transfer_request(&key, &body)).await.expect("an answer");
            assert!([200, 409].contains(&reply.status), "{reply:?}");
            let id = reply.text_of("transferID");
            told.lock().expect("no client panicked").accepted.insert(key, (id, kind, value));
        }
        let told = Arc::try_unwrap(told)
            .unwrap_or_else(|_| panic!("clients ended"))
            .into_inner()
            .expect("no client panicked");
        let ids: BTreeSet<&String> = told.accepted.values().map(|(id, ..)| id).collect();
        assert_eq!(ids.len(), told.accepted.len(), "two keys, one transfer");
        let mut moved = 0;
        let mut completed = BTreeMap::new();
        for (id, kind, value) in told.accepted.values() {
            let transfer = api.settled(id).await;
            assert_eq!(transfer["amount"]["value"], *value);
            if transfer["status"] == "completed" {
                moved += if BRINGS.contains(&KINDS[*kind]) { -value } else { *value };
                assert_ne!(*value, RETURNED, "{id} is returned, and completed");
                completed.insert(id.clone(), *value);
            }
        }
        assert_eq!(api.balance(api.account()).await, had - moved, "the wallet paid what completed");
        let paid = paid(&api).await;
        for (id, kind, _) in told.accepted.values().filter(|(id, ..)| completed.contains_key(id)) {
            let by_rail = KINDS[*kind] != "moov-wallet";
            assert_eq!(
                paid.contains_key(id),
                by_rail,
                "{id} completed, and is in the books or not"
            );
        }
        for (id, value) in &paid {
            assert_eq!(completed.get(id), Some(value), "a counterparty paid {id}");
        }
        for (number, kind) in KINDS.iter().enumerate() {
            let of_it =
                |one: &&(String, usize, i64)| one.1 == number && completed.contains_key(&one.0);
            assert!(told.accepted.values().any(|one| of_it(&one)), "no {kind} completed");
        }
        let created = feed(&api, told.accepted.len()).await;
        assert_eq!(created.len(), told.accepted.len(), "the feed has each transfer");
        assert!(created.values().all(|times| *times == 1), "and has it once");
        ids.len()
    }
}
