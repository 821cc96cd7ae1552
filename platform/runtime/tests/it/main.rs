//! The runtime with two small services: commits, consumers, poison, restarts, on both engines.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod lag;
mod room;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, http::Request};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    Code, Currency, Refusal,
    accounts::KeyCreated,
    ids::{AccountId, KeyId, WalletId},
    ledger::WalletCreated,
};
use runtime::{
    Clock, Command, Commit, Delivered, Fault, Handle, Running, Service, Settings, Tier, Work,
};
use sha2::{Digest, Sha256};
use store::{Insert, Kind, Location, Migration, OnConflict, Options, Sql, Store, Value};
use tower::ServiceExt;

static MIGRATIONS: &[Migration] = &[Migration {
    owner: "probe",
    version: 1,
    name: "probe",
    sqlite: "CREATE TABLE probe (number INTEGER PRIMARY KEY, made INTEGER NOT NULL);
        CREATE TABLE probe_seen (number INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);",
    postgres: "CREATE TABLE probe (number BIGINT PRIMARY KEY, made BIGINT NOT NULL);
        CREATE TABLE probe_seen (number BIGINT PRIMARY KEY, sequence BIGINT NOT NULL);",
}];
static MADE: Insert<2> =
    Insert::new("probe", [("number", Kind::Int), ("made", Kind::Int)], OnConflict::None);
static SEEN: Insert<2> =
    Insert::new("probe_seen", [("number", Kind::Int), ("sequence", Kind::Int)], OnConflict::None);

/// Plays the ledger: makes numbered things and emits an event for each.
struct Maker;
struct Make(i64);
impl Command for Make {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "Make";
    type Done = i64;
}
impl Commit<Make> for Maker {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Make],
    ) -> Result<Vec<Result<i64, Refusal>>, Fault> {
        let mut results = Vec::new();
        for Make(number) in batch {
            match number {
                -1 => {
                    results.push(Err(Refusal::new(Code::Conflict, "refused")));
                    continue;
                }
                -2 => return Err(Fault::Poison("a bad command".to_owned())),
                -3 => panic!("a command that panics"),
                -4 => {
                    let event = wallet_created(*number, work.fresh(0));
                    work.emit(*number, 0, &event);
                    return Err(Fault::Poison("a command that fails late".to_owned()));
                }
                _ => {}
            }
            let id = work.fresh(u8::try_from(number % 251).unwrap());
            work.tx.insert_many(&MADE, [*number], |n| [Value::Int(n), Value::Int(1)])?;
            let event = wallet_created(*number, id);
            let shard = work.shard_of(u8::try_from(number % 251).unwrap());
            // Things share a key by tens, so that a poisoned one has kin behind it.
            work.emit(number / 10, shard, &event);
            results.push(Ok(*number));
        }
        Ok(results)
    }
}

fn wallet_created(number: i64, account: uuid::Uuid) -> WalletCreated {
    WalletCreated {
        wallet_id: WalletId(contracts::ids::from_parts(number, 0)),
        account_id: AccountId(account),
        currency: Currency::USD,
    }
}

/// Plays accounts: makes the key `operator:secret`, and `other:secret` without that scope.
struct Keys;
struct NewKey(&'static str, Vec<String>);
impl Command for NewKey {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "NewKey";
    type Done = ();
}
impl Commit<NewKey> for Keys {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[NewKey],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for NewKey(name, scopes) in batch {
            let hash = Sha256::digest(format!("{name}:secret")).to_vec();
            let key_id = KeyId(work.fresh(0));
            let account_id = AccountId::from_parts(77, 0);
            let key = KeyCreated { key_id, account_id, hash, scopes: scopes.clone() };
            work.emit(key_id.row(), 0, &key);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

/// Plays payment-methods: notes what it saw; some things are poison to it.
struct Seer {
    poison: Arc<Mutex<Vec<i64>>>,
    /// Takes all room that the database may still have, so long as this is set.
    fills: Arc<AtomicBool>,
}
impl Seer {
    /// Writes until SQLite says that it is full.
    fn fill(work: &mut Work<'_, '_>) -> Result<(), Fault> {
        static PAGES: Sql = Sql::new("PRAGMA page_count");
        let pages = work.tx.query_one(&PAGES, &[], |row| row.int(0))?.unwrap();
        let most = format!("PRAGMA max_page_count = {}", pages + 100);
        work.tx.query_one(&Sql::new(most.leak()), &[], |row| row.int(0))?;
        for number in 1_000_000.. {
            work.tx.insert_many(&SEEN, [number], |number| [Value::Int(number), Value::Int(0)])?;
        }
        Ok(())
    }
}
impl Handle<WalletCreated> for Seer {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<WalletCreated>],
    ) -> Result<(), Fault> {
        if self.fills.load(Ordering::Relaxed) {
            return Self::fill(work);
        }
        for event in batch {
            let number = event.data.wallet_id.row();
            if self.poison.lock().unwrap().contains(&number) {
                panic!("{number} is poison");
            }
            work.tx.insert_many(&SEEN, [event], |event| {
                [Value::Int(number), Value::Int(event.sequence)]
            })?;
        }
        Ok(())
    }
}

/// Plays a service that has nothing to do with the poison of another: notes how late it is.
#[derive(Default)]
struct Watcher {
    seen: AtomicU64,
    slowest_micros: AtomicU64,
}
impl Handle<WalletCreated> for Watcher {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<WalletCreated>],
    ) -> Result<(), Fault> {
        for event in batch {
            self.slowest_micros.fetch_max(work.machine.micros_since(event.at), Ordering::Relaxed);
        }
        self.seen.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn start(location: Location, shards: u32, poison: &[i64]) -> Running {
    start_watched(location, shards, poison, Arc::default())
}

fn start_watched(
    location: Location,
    shards: u32,
    poison: &[i64],
    watcher: Arc<Watcher>,
) -> Running {
    let seer = Seer { poison: Arc::new(Mutex::new(poison.to_vec())), fills: Arc::default() };
    start_with(location, Options::default(), shards, seer, watcher)
}

fn start_with(
    location: Location,
    options: Options,
    shards: u32,
    seer: Seer,
    watcher: Arc<Watcher>,
) -> Running {
    let (store, mut writer) = Store::open(location, options).unwrap();
    let maker = Service::new("ledger", Tier::Service, Arc::new(Maker))
        .tables(&["probe"], MIGRATIONS)
        .commits::<Make>()
        .emits::<WalletCreated>()
        .wire();
    let accounts = Service::new("accounts", Tier::Service, Arc::new(Keys))
        .commits::<NewKey>()
        .emits::<KeyCreated>()
        .wire();
    let seer = Service::new("payment-methods", Tier::Service, Arc::new(seer));
    let seer = seer.handles::<WalletCreated>().wire();
    let watcher = Service::new("transfers", Tier::Service, watcher).handles::<WalletCreated>();
    let services = vec![accounts, maker, seer, watcher.wire()];
    writer.migrate(&runtime::migrations(&services)).unwrap();
    let settings = Settings {
        shards,
        waiting_most: 10_000,
        sandbox: true,
        directory: None,
        clock: Clock::system(),
    };
    runtime::start(store, writer, services, settings).unwrap()
}

fn directory(path: &Path) -> Location {
    Location::Directory(path.to_owned())
}

static COUNT_SEEN: Sql = Sql::new("SELECT count(*) FROM probe_seen");
static COUNT_MADE: Sql = Sql::new("SELECT count(*) FROM probe");
static LAST_TOTAL: Sql = Sql::new("SELECT total FROM position WHERE consumer = 'payment-methods'");

async fn count(running: &Running, sql: &'static Sql) -> i64 {
    running
        .platform
        .read(move |tx| tx.query_one(sql, &[], |row| row.int(0)))
        .await
        .unwrap()
        .unwrap()
}

async fn eventually(running: &Running, sql: &'static Sql, expected: i64) {
    for _ in 0..400 {
        if count(running, sql).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count(running, sql).await, expected);
}

async fn make_many(running: &Running, numbers: std::ops::Range<i64>) {
    let mut all = Vec::new();
    for number in numbers {
        let platform = running.platform.clone();
        all.push(tokio::spawn(async move { platform.commit(Make(number)).await }));
    }
    for one in all {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_committed_and_consumed_with_it() {
    for shards in [1, 4, 64] {
        let dir = tempfile::tempdir().unwrap();
        let running = start(directory(dir.path()), shards, &[]);
        make_many(&running, 0..300).await;
        // Consumed in the commit of the answer: nothing to wait for.
        assert_eq!(count(&running, &COUNT_SEEN).await, 300);
        running.stop().await;
        let running = start(directory(dir.path()), shards, &[]);
        make_many(&running, 300..400).await;
        assert_eq!(count(&running, &COUNT_SEEN).await, 400);
        assert_eq!(count(&running, &LAST_TOTAL).await, 400);
        running.stop().await;
    }
}

/// What a crash leaves: the files as they are, without an orderly end.
fn crashed(from: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), left.path().join(file.file_name())).unwrap();
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_before_a_crash_is_not_applied_again() {
    for shards in [1, 4] {
        let dir = tempfile::tempdir().unwrap();
        let running = start(directory(dir.path()), shards, &[]);
        make_many(&running, 0..200).await;
        assert_eq!(count(&running, &COUNT_SEEN).await, 200);
        let left = crashed(dir.path());
        running.stop().await;
        let watcher = Arc::new(Watcher::default());
        let running = start_watched(directory(left.path()), shards, &[], Arc::clone(&watcher));
        make_many(&running, 200..201).await;
        eventually(&running, &COUNT_SEEN, 201).await;
        assert_eq!(watcher.seen.load(Ordering::Relaxed), 1, "the one that was not there before");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_command_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(directory(dir.path()), 1, &[]);
    let mut all = Vec::new();
    for number in [1, -1, 2, -2, 3, -3, 4] {
        let platform = running.platform.clone();
        all.push(tokio::spawn(async move { platform.commit(Make(number)).await }));
    }
    let mut codes = Vec::new();
    for one in all {
        codes.push(one.await.unwrap().map_err(|refusal| refusal.code));
    }
    use Code::{Conflict, Internal};
    assert_eq!(codes, [Ok(1), Err(Conflict), Ok(2), Err(Internal), Ok(3), Err(Internal), Ok(4)]);
    assert_eq!(count(&running, &COUNT_MADE).await, 4);
    eventually(&running, &COUNT_SEEN, 4).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_command_emitted_leaves_no_gap() {
    for shards in [1, 4] {
        let dir = tempfile::tempdir().unwrap();
        let running = start(directory(dir.path()), shards, &[]);
        make_many(&running, 0..4).await;
        let failed = running.platform.commit(Make(-4)).await;
        assert_eq!(failed.map_err(|refusal| refusal.code), Err(Code::Internal));
        make_many(&running, 4..8).await;
        eventually(&running, &COUNT_SEEN, 8).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_becomes_a_dead_letter_its_kin_wait_and_others_flow() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(directory(dir.path()), 4, &[42]);
    make_many(&running, 0..100).await;
    // 42 is dead, 43 to 49 share its key and are parked where they came later.
    let dead = |running: &Running| {
        let platform = running.platform.clone();
        async move { platform.read(runtime::dead_letters).await.unwrap() }
    };
    for _ in 0..400 {
        if count(&running, &LAST_TOTAL).await == 100 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let letters = dead(&running).await;
    let seen = count(&running, &COUNT_SEEN).await;
    assert_eq!(seen + i64::try_from(letters.len()).unwrap(), 100);
    assert_eq!(letters.iter().filter(|letter| letter.state == "poisoned").count(), 1);
    assert!(letters.iter().all(|letter| letter.key == 4), "{letters:?}");
    assert!(letters.iter().any(|letter| letter.error.contains("42 is poison")));
    // POSTs are never refused by a consumer's poison.
    make_many(&running, 100..120).await;
    running.stop().await;
    // After a restart the parked key is still parked.
    let running = start(directory(dir.path()), 4, &[]);
    make_many(&running, 120..130).await;
    assert_eq!(dead(&running).await.len(), letters.len());
    running.stop().await;
}

/// Asks the operations API; status and JSON.
async fn ask(
    running: &Running,
    key: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, serde_json::Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/operations/dead-letters{path}"))
        .header("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:secret"))))
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = running.public.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// What was seen of the numbers 40 to 49, in the order of the log.
async fn seen_of_four(running: &Running) -> Vec<i64> {
    static SEEN_OF_FOUR: Sql = Sql::new(
        "SELECT number FROM probe_seen WHERE number >= 40 AND number < 50 ORDER BY sequence",
    );
    running.platform.read(|tx| tx.query(&SEEN_OF_FOUR, &[], |row| row.int(0))).await.unwrap()
}

/// Started on a thread that is not tokio's: PostgreSQL's driver has a runtime of its own.
async fn begun(location: Location, poison: &Arc<Mutex<Vec<i64>>>) -> Running {
    let (tokio, poison) = (tokio::runtime::Handle::current(), Arc::clone(poison));
    let start = move || {
        let _inside = tokio.enter();
        let seer = Seer { poison, fills: Arc::default() };
        start_with(location, Options::default(), 1, seer, Arc::default())
    };
    let begun = tokio::task::spawn_blocking(|| std::thread::spawn(start).join().unwrap());
    begun.await.unwrap()
}

/// Numbers one after the other, so that the log has them in this order; keys for both callers.
async fn poisoned(location: Location, poison: &Arc<Mutex<Vec<i64>>>) -> Running {
    let running = begun(location, poison).await;
    let key = |name, scope: &str| NewKey(name, vec![scope.to_owned()]);
    running.platform.commit(key("operator", "operator")).await.unwrap();
    running.platform.commit(key("other", "transfers.read")).await.unwrap();
    for number in 30..60 {
        running.platform.commit(Make(number)).await.unwrap();
    }
    let dead = poison.lock().unwrap().iter().filter(|number| **number >= 30).count();
    // The poisoned one, and those of the same ten that came later.
    let waits = if dead == 0 { 0 } else { 8 };
    eventually(&running, &COUNT_SEEN, 30 - waits).await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_is_applied_once_and_those_behind_it_follow_in_order() {
    let dir = tempfile::tempdir().unwrap();
    replayed_once(|| directory(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_letters_are_replayed_the_same() {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: dead letters on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return;
    };
    let made = tokio::task::spawn_blocking(move || fresh_schema(&url, "runtime_letters"));
    let url = made.await.unwrap();
    replayed_once(|| Location::Postgres(url.clone())).await;
}

async fn replayed_once(location: impl Fn() -> Location) {
    let poison = Arc::new(Mutex::new(vec![42]));
    let running = poisoned(location(), &poison).await;
    assert_eq!(seen_of_four(&running).await, [40, 41]);
    let (status, letters) = ask(&running, "operator", "GET", "", "").await;
    assert_eq!((status, letters.as_array().unwrap().len()), (200, 8), "{letters}");
    let first = &letters[0];
    assert_eq!((&first["state"], &first["behind"]), (&"poisoned".into(), &7.into()), "{first}");
    let id = format!("/{}", first["deadLetterID"].as_str().unwrap());
    let (_, shown) = ask(&running, "operator", "GET", &id, "").await;
    assert_eq!(shown["event"], "wallet.created", "{shown}");
    assert_eq!(shown["data"]["walletID"], WalletId::from_parts(42, 0).to_string(), "{shown}");
    // A page at a time, the cursor is the last one seen.
    let (_, page) = ask(&running, "operator", "GET", "?count=3", "").await;
    let last = page[2]["deadLetterID"].as_str().unwrap();
    let (_, rest) = ask(&running, "operator", "GET", &format!("?after={last}"), "").await;
    assert_eq!(rest.as_array().unwrap().len(), 5, "{rest}");
    // The cause is still there: nothing is done, and the reason is newer.
    let (status, refused) = ask(&running, "operator", "POST", &format!("{id}/replay"), "").await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("42 is poison"), "{refused}");
    // Nothing is applied before what comes before it.
    let parked = format!("/{}/replay", letters[1]["deadLetterID"].as_str().unwrap());
    let (status, refused) = ask(&running, "operator", "POST", &parked, "").await;
    assert_eq!(status, 409, "{refused}");
    assert_eq!(seen_of_four(&running).await, [40, 41]);
    poison.lock().unwrap().clear();
    let (status, done) = ask(&running, "operator", "POST", &format!("{id}/replay"), "").await;
    assert_eq!((status, &done["applied"]), (200, &8.into()), "{done}");
    assert_eq!(seen_of_four(&running).await, (40..50).collect::<Vec<_>>());
    // Twice does nothing twice.
    let (status, again) = ask(&running, "operator", "POST", &format!("{id}/replay"), "").await;
    assert_eq!((status, &again["applied"]), (200, &0.into()), "{again}");
    assert_eq!(count(&running, &COUNT_SEEN).await, 30);
    let (status, refused) =
        ask(&running, "operator", "POST", &format!("{id}/drop"), "{\"reason\":\"x\"}").await;
    assert_eq!(status, 409, "{refused}");
    let (_, ended) = ask(&running, "operator", "GET", &id, "").await;
    assert_eq!(ended["state"], "replayed", "{ended}");
    assert_eq!(ended["endedBy"], AccountId::from_parts(77, 0).to_string(), "{ended}");
    // The key is free: what comes later is applied at once.
    running.platform.commit(Make(49 + 1000)).await.unwrap();
    assert_eq!(ask(&running, "operator", "GET", "", "").await.1.as_array().unwrap().len(), 0);
    running.stop().await;
    let running = begun(location(), &poison).await;
    assert_eq!(count(&running, &COUNT_SEEN).await, 31, "and is applied no more after a restart");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_poison_of_the_key_stops_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let poison = Arc::new(Mutex::new(vec![42, 45]));
    let running = poisoned(directory(dir.path()), &poison).await;
    let (_, letters) = ask(&running, "operator", "GET", "", "").await;
    let id = format!("/{}", letters[0]["deadLetterID"].as_str().unwrap());
    *poison.lock().unwrap() = vec![45];
    let (status, done) = ask(&running, "operator", "POST", &format!("{id}/replay"), "").await;
    assert_eq!((status, &done["applied"]), (200, &3.into()), "{done}");
    assert_eq!(seen_of_four(&running).await, [40, 41, 42, 43, 44]);
    let next = format!("/{}", done["nextID"].as_str().unwrap());
    let (_, letter) = ask(&running, "operator", "GET", &next, "").await;
    assert_eq!(letter["state"], "poisoned", "{letter}");
    assert!(letter["error"].as_str().unwrap().contains("45 is poison"), "{letter}");
    // It is given up, for a reason that is kept; what is behind it follows.
    for body in ["", "{}", "{\"reason\":\"  \"}", "{\"reason\":\"x\",\"force\":true}"] {
        let (status, _) = ask(&running, "operator", "POST", &format!("{next}/drop"), body).await;
        assert!([400, 422].contains(&status), "{status} {body}");
    }
    let body = "{\"reason\":\"paid by hand\"}";
    let (status, done) = ask(&running, "operator", "POST", &format!("{next}/drop"), body).await;
    assert_eq!((status, &done["applied"]), (200, &4.into()), "{done}");
    assert_eq!(seen_of_four(&running).await, [40, 41, 42, 43, 44, 46, 47, 48, 49]);
    let (_, ended) = ask(&running, "operator", "GET", &next, "").await;
    assert_eq!((&ended["state"], &ended["reason"]), (&"dropped".into(), &"paid by hand".into()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_for_operators() {
    let dir = tempfile::tempdir().unwrap();
    let running = poisoned(directory(dir.path()), &Arc::new(Mutex::new(vec![42]))).await;
    let id = "/payment-methods:ledger:0:13";
    for (method, path) in [
        ("GET", String::new()),
        ("GET", id.to_owned()),
        ("POST", format!("{id}/replay")),
        ("POST", format!("{id}/drop")),
    ] {
        let body = "{\"reason\":\"x\"}";
        assert_eq!(ask(&running, "other", method, &path, body).await.0, 403, "{path}");
        assert_eq!(ask(&running, "nobody", method, &path, body).await.0, 401, "{path}");
    }
    for unknown in ["/payment-methods:ledger:0:9999", "/nobody:ledger:0:1", "/nonsense"] {
        let replay = format!("{unknown}/replay");
        assert_eq!(ask(&running, "operator", "POST", &replay, "").await.0, 404, "{unknown}");
        assert_eq!(ask(&running, "operator", "GET", unknown, "").await.0, 404, "{unknown}");
    }
    assert_eq!(seen_of_four(&running).await, [40, 41]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_of_one_service_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let watcher = Arc::new(Watcher::default());
    let poison: Vec<i64> = (0..4_000).step_by(400).collect();
    let running = start_watched(directory(dir.path()), 1, &poison, Arc::clone(&watcher));
    for from in (0..4_000).step_by(100) {
        make_many(&running, from..from + 100).await;
    }
    for _ in 0..400 {
        if watcher.seen.load(Ordering::Relaxed) >= 4_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(watcher.seen.load(Ordering::Relaxed) >= 4_000);
    let slowest = Duration::from_micros(watcher.slowest_micros.load(Ordering::Relaxed));
    println!("the other service was {slowest:?} late at most");
    assert!(slowest < Duration::from_millis(100), "{slowest:?}");
    running.stop().await;
}

/// A fresh schema; the URL that leads there. On a thread that is not tokio's.
fn fresh_schema(url: &str, name: &str) -> String {
    let location = Location::Postgres(url.to_owned());
    let (_, mut writer) = Store::open(location, Options::default()).unwrap();
    let mut tx = writer.begin().unwrap();
    let name = format!("{name}_{}", std::process::id());
    tx.execute(&Sql::new(format!("CREATE SCHEMA {name}").leak()), &[]).unwrap();
    tx.commit().unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-c%20search_path%3D{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_the_same() {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: runtime on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return;
    };
    tokio::task::spawn_blocking(move || {
        let url = fresh_schema(&url, "runtime_it");
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        for round in 0..2 {
            let begun = std::thread::spawn({
                let url = url.clone();
                let handle = tokio.handle().clone();
                move || {
                    let _inside = handle.enter();
                    start(Location::Postgres(url), 4, &[])
                }
            });
            let running = begun.join().unwrap();
            tokio.block_on(async {
                make_many(&running, round * 100..(round + 1) * 100).await;
                assert_eq!(count(&running, &COUNT_SEEN).await, (round + 1) * 100);
                running.stop().await;
            });
        }
    })
    .await
    .unwrap();
}
