//! A platform with transfers and its stand-ins, and requests to it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
};

use axum::{
    body::Body,
    http::{Request, Response, header},
};
use contracts::ids::{AccountId, TransferId};
use http_body_util::BodyExt;
use runtime::{Clock, Running, Settings};
use serde_json::{Value, json};
use store::{Location, Options, Store};
use tower::ServiceExt;

use crate::doubles::{self, Methods, account, method};

/// The platform account; 2 and 3 are connected to it, 8 is another platform's with 9 under it.
pub const PLATFORM: i64 = 1;

pub struct Harness {
    pub running: Running,
    pub store: Store,
    pub methods: Arc<Methods>,
    /// The rail has taken the money: a request to cancel finds nothing to cancel.
    pub claimed: Arc<AtomicBool>,
    keys: AtomicI64,
    directory: Option<tempfile::TempDir>,
}

/// An answer, read.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    pub headers: axum::http::HeaderMap,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
    /// The transfer that it names.
    pub fn transfer(&self) -> TransferId {
        self.json()["transferID"].as_str().unwrap().parse().unwrap()
    }
}

impl Harness {
    pub async fn new() -> Self {
        Self::with_shards(1).await
    }
    pub async fn with_shards(shards: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let methods = Arc::new(Methods::default());
        for (number, owner) in [(1, 1), (2, 2), (3, 3), (9, 9)] {
            methods.put(number, owner, "moov-wallet");
        }
        methods.put(12, 2, "rtp-credit");
        methods.put(22, 2, "ach-debit-fund");
        methods.put(32, 2, "card-payment");
        let (running, store) = open(directory.path(), &methods, &Arc::default(), shards);
        let mut harness = Self {
            running,
            store,
            methods,
            claimed: Arc::default(),
            keys: AtomicI64::new(0),
            directory: Some(directory),
        };
        harness = harness.restart(shards).await;
        for (number, facilitator) in [(1, 1), (2, 1), (3, 1), (8, 8), (9, 8)] {
            let (made, key) = doubles::new_account(number, facilitator, &[]);
            harness.running.platform.commit(made).await.unwrap();
            harness.running.platform.commit(key).await.unwrap();
        }
        harness
    }
    /// The same data, opened again.
    pub async fn restart(mut self, shards: u32) -> Self {
        let directory = self.directory.take().unwrap();
        let (methods, claimed) = (Arc::clone(&self.methods), Arc::clone(&self.claimed));
        self.running.stop().await;
        drop(self.store);
        let (running, store) = open(directory.path(), &methods, &claimed, shards);
        let keys = AtomicI64::new(self.keys.load(Relaxed));
        Self { running, store, methods, claimed, keys, directory: Some(directory) }
    }
    pub fn fresh_key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Relaxed))
    }
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response: Response<Body> = self.running.public.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Reply { status: parts.status.as_u16(), text, headers: parts.headers }
    }
    pub async fn get(&self, as_account: i64, path: &str) -> Reply {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, doubles::basic(account(as_account)))
            .body(Body::empty())
            .unwrap();
        self.send(request).await
    }
    /// Posts a transfer as the platform account with these headers.
    pub async fn post(&self, body: &str, headers: &[(&str, &str)]) -> Reply {
        self.post_as(PLATFORM, account(PLATFORM), body, headers).await
    }
    pub async fn post_as(
        &self,
        key_of: i64,
        under: AccountId,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::post(format!("/accounts/{under}/transfers"))
            .header(header::AUTHORIZATION, doubles::basic(account(key_of)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
    /// Makes a transfer under a fresh key, which must be accepted.
    pub async fn make(&self, source: i64, destination: i64, amount: i64) -> TransferId {
        let body = body(source, destination, amount).to_string();
        let reply = self.post(&body, &[("x-idempotency-key", &self.fresh_key())]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.transfer()
    }
    /// A transfer as its platform account sees it.
    pub async fn show(&self, transfer: TransferId) -> Value {
        let path = format!("/accounts/{}/transfers/{transfer}", account(PLATFORM));
        let reply = self.get(PLATFORM, &path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
    pub async fn status(&self, transfer: TransferId) -> String {
        self.show(transfer).await["status"].as_str().unwrap().to_owned()
    }
    /// The names of a transfer's events, oldest first.
    pub async fn events(&self, transfer: TransferId) -> Vec<String> {
        let path = format!("/accounts/{}/transfers/{transfer}/events", account(PLATFORM));
        let events = self.get(PLATFORM, &path).await.json();
        let name = |event: &Value| {
            let status = event["data"]["status"].as_str();
            let name = event["name"].as_str().unwrap();
            status.map_or(name.to_owned(), |status| format!("{name} {status}"))
        };
        events["events"].as_array().unwrap().iter().map(name).collect()
    }
    /// Posts to something of a transfer, as the platform account.
    pub async fn post_to(
        &self,
        transfer: TransferId,
        what: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let path = format!("/accounts/{}/transfers/{transfer}/{what}", account(PLATFORM));
        let mut request =
            Request::post(path).header(header::AUTHORIZATION, doubles::basic(account(PLATFORM)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
    /// What the event of this name told of a transfer.
    pub async fn event_data(&self, transfer: TransferId, name: &str) -> Value {
        let path = format!("/accounts/{}/transfers/{transfer}/events", account(PLATFORM));
        let events = self.get(PLATFORM, &path).await.json();
        let events = events["events"].as_array().unwrap();
        events.iter().find(|event| event["name"] == name).unwrap()["data"].clone()
    }
    pub async fn cancel(&self, transfer: TransferId) -> Reply {
        let path = format!("/accounts/{}/transfers/{transfer}/cancellations", account(PLATFORM));
        let request = Request::post(path)
            .header(header::AUTHORIZATION, doubles::basic(account(PLATFORM)))
            .body(Body::empty())
            .unwrap();
        self.send(request).await
    }
    pub fn count(&self, table: &str) -> i64 {
        self.store.read(|tx| Ok(doubles::count(tx, table))).unwrap()
    }
    /// Runs every invariant of this service; all must hold.
    pub fn verify(&self) {
        assert_eq!(faults(&self.store), Vec::<String>::new());
    }
    /// Stops, runs one statement behind everybody's back, and says what the invariants find.
    pub async fn corrupted(mut self, statement: &'static str) -> Vec<String> {
        let directory = self.directory.take().unwrap();
        self.running.stop().await;
        drop(self.store);
        let options = Options { min_free_bytes: 0, ..Options::default() };
        let (store, mut writer) =
            Store::open(Location::Directory(directory.path().to_owned()), options).unwrap();
        let mut tx = writer.begin().unwrap();
        assert_eq!(tx.execute(&store::Sql::new(statement), &[]).unwrap(), 1);
        tx.commit().unwrap();
        faults(&store)
    }
}

fn faults(store: &Store) -> Vec<String> {
    let faults = store.read(|tx| {
        let indexes = transfers::store::Indexes::new(store);
        indexes.restore(tx)?;
        let mut faults = transfers::store::keys_unique(tx, &indexes)?.1;
        let of_trails = transfers::store::trails_hold(tx, eventlog::Log::some)?;
        faults.extend(of_trails.into_iter().flat_map(|(_, faults)| faults));
        faults.extend(transfers::store::refunds_limited(tx)?.1);
        Ok(faults)
    });
    faults.unwrap()
}

fn open(
    directory: &Path,
    methods: &Arc<Methods>,
    claimed: &Arc<AtomicBool>,
    shards: u32,
) -> (Running, Store) {
    let options = Options { min_free_bytes: 0, ..Options::default() };
    let (store, mut writer) =
        Store::open(Location::Directory(directory.to_owned()), options).unwrap();
    let services = vec![
        doubles::accounts().wire(),
        doubles::methods(Arc::clone(methods)).wire(),
        doubles::ledger().wire(),
        transfers::service(&store).wire(),
        doubles::rtp(Arc::clone(claimed)).wire(),
    ];
    writer.migrate(&runtime::migrations(&services)).unwrap();
    let settings = Settings {
        shards,
        waiting_most: 10_000,
        sandbox: true,
        directory: None,
        clock: Clock::system(),
    };
    (runtime::start(store.clone(), writer, services, settings).unwrap(), store)
}

/// A request between two payment methods.
pub fn body(source: i64, destination: i64, amount: i64) -> Value {
    json!({
        "source": { "paymentMethodID": method(source) },
        "destination": { "paymentMethodID": method(destination) },
        "amount": { "currency": "USD", "value": amount },
    })
}
