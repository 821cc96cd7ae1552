//! An installation at the beginning of a run: accounts, and wallets with money.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use parking_lot::Mutex;
use runtime::{HttpBody, Running};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::{
    auditor::Books,
    client::Door,
    plan::{FUNDS, SHARDS, WALLETS},
    process::{MachineClock, folder, open, runtime, services, start},
    random::Random,
    world::BEGIN,
};

/// How long before a run its installation was made.
const BEFORE_MICROS: i64 = 60_000_000;

/// An installation at its beginning, by its number of shards: made once, copied for each run.
pub struct Template {
    pub(crate) installations: BTreeMap<u32, Installation>,
}

pub(crate) struct Installation {
    pub directory: TempDir,
    pub authorization: String,
    pub account: String,
    pub methods: Vec<String>,
    pub books: Books,
}

impl Default for Template {
    /// Makes an installation of each number of shards.
    fn default() -> Self {
        let made = SHARDS.iter().map(|shards| (*shards, installation(*shards)));
        Self { installations: made.collect() }
    }
}

fn installation(shards: u32) -> Installation {
    let directory = folder();
    let random = Arc::new(Mutex::new(Random::of(u64::from(shards), "installation")));
    let made = runtime().block_on(async {
        let (store, mut writer) = open(directory.path(), 64 << 20, None);
        let migrations = runtime::migrations(&services(&store));
        writer.migrate(&migrations).unwrap_or_else(|error| panic!("the schema: {error}"));
        let at = (directory.path(), shards);
        let running =
            start((store, writer), at, MachineClock::new(BEGIN - BEFORE_MICROS).clock(), &random);
        let made = furnish(&running).await;
        running.stop().await;
        made
    });
    let (authorization, account, methods, books) = made;
    Installation { directory, authorization, account, methods, books }
}

/// The platform's account, and the wallets of the plan with their money.
async fn furnish(running: &Running) -> (String, String, Vec<String>, Books) {
    let command = accounts::Bootstrap { name: "Switchyard".to_owned() };
    let first = running.platform.commit(command).await;
    let first = first.unwrap_or_else(|refusal| panic!("the first account: {refusal}"));
    let secret = first.key.secret_key.clone().unwrap_or_default();
    let authorization = basic(&format!("{}:{secret}", first.key.public_key));
    let account = first.account_id.to_string();
    let door = door(running, (&authorization, &account, &[]), Arc::default());
    let (mut methods, mut books) = (Vec::new(), Books { wallets: Vec::new() });
    for number in 0..WALLETS {
        let name = json!({ "firstName": "Wallet", "lastName": format!("Number {number}") });
        let body = json!({
            "accountType": "individual",
            "profile": { "individual": { "name": name } },
            "foreignID": format!("wallet-{number}"),
        });
        let made = posted(&door, "/accounts", &body).await;
        let account = text(&made, "accountID");
        let of = |what: &str| format!("/accounts/{account}/{what}");
        methods.push(text(&first_of(&door, &of("payment-methods")).await, "paymentMethodID"));
        let wallet = text(&first_of(&door, &of("wallets")).await, "walletID");
        let amount = json!({ "currency": "USD", "value": FUNDS });
        let funds = json!({ "walletID": wallet, "amount": amount });
        posted(&door, "/sandbox/fund", &funds).await;
        books.wallets.push((account, wallet));
    }
    (authorization, account, methods, books)
}

/// The process as clients see it.
pub(crate) fn door(
    running: &Running,
    (authorization, account, methods): (&str, &str, &[String]),
    dead: Arc<AtomicBool>,
) -> Door {
    Door {
        public: running.public.clone(),
        authorization: authorization.to_owned(),
        account: account.to_owned(),
        methods: methods.to_vec(),
        dead,
        requests: AtomicU64::new(0),
        asked: Notify::new(),
    }
}

fn text(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap_or_else(|| panic!("{field} of {of}")).to_owned()
}

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(key))
}

async fn posted(door: &Door, path: &str, body: &Value) -> Value {
    let request = door.request("POST", path).body(HttpBody::from(body.to_string()));
    let answer = door.ask(request.expect("a request of plain texts")).await;
    let answer = answer.expect("nobody dies here");
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer.body
}

/// The first of a list, once it has one.
async fn first_of(door: &Door, path: &str) -> Value {
    loop {
        let answer = door.get(path).await.expect("nobody dies here");
        if let Some(first) = answer.body.as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A copy of an installation whose process was killed: what others remember of its log is gone.
pub(crate) fn copied(from: &Path) -> TempDir {
    let copy = folder();
    let files = std::fs::read_dir(from).expect("the installation is there");
    for file in files.map(|file| file.expect("a file of it")) {
        let name = file.file_name();
        if !name.to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), copy.path().join(name)).expect("it can be copied");
        }
    }
    copy
}
