//! The runtime with two small services: commits, consumers, poison, restarts, on both engines.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use contracts::{
    Code, Currency, Refusal,
    ids::{AccountId, WalletId},
    ledger::WalletCreated,
};
use runtime::{
    Clock, Command, Commit, Delivered, Fault, Handle, Running, Service, Settings, Tier, Work,
};
use store::{Insert, Kind, Location, Migration, OnConflict, Options, Sql, Store, Value};

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
                _ => {}
            }
            let id = work.fresh(u8::try_from(number % 251).unwrap());
            work.tx.insert_many(&MADE, [*number], |n| [Value::Int(n), Value::Int(1)])?;
            let event = WalletCreated {
                wallet_id: WalletId(contracts::ids::from_parts(*number, 0)),
                account_id: AccountId(id),
                currency: Currency::USD,
            };
            let shard = work.shard_of(u8::try_from(number % 251).unwrap());
            // Things share a key by tens, so that a poisoned one has kin behind it.
            work.emit(number / 10, shard, &event);
            results.push(Ok(*number));
        }
        Ok(results)
    }
}

/// Plays payment-methods: notes what it saw; some things are poison to it.
struct Seer {
    poison: Vec<i64>,
}
impl Handle<WalletCreated> for Seer {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<WalletCreated>],
    ) -> Result<(), Fault> {
        for event in batch {
            let number = event.data.wallet_id.row();
            if self.poison.contains(&number) {
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
    let (store, mut writer) = Store::open(location, Options::default()).unwrap();
    let maker = Service::new("ledger", Tier::Service, Arc::new(Maker))
        .tables(&["probe"], MIGRATIONS)
        .commits::<Make>()
        .emits::<WalletCreated>()
        .wire();
    let seer = Arc::new(Seer { poison: poison.to_vec() });
    let seer =
        Service::new("payment-methods", Tier::Service, seer).handles::<WalletCreated>().wire();
    let watcher = Service::new("transfers", Tier::Service, watcher).handles::<WalletCreated>();
    let services = vec![maker, seer, watcher.wire()];
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

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_the_same() {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: runtime on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return;
    };
    tokio::task::spawn_blocking(move || {
        let (_, mut writer) =
            Store::open(Location::Postgres(url.clone()), Options::default()).unwrap();
        let mut tx = writer.begin().unwrap();
        tx.execute(&Sql::new("DROP SCHEMA IF EXISTS runtime_it CASCADE"), &[]).unwrap();
        tx.execute(&Sql::new("CREATE SCHEMA runtime_it"), &[]).unwrap();
        tx.commit().unwrap();
        drop(writer);
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}options=-c%20search_path%3Druntime_it");
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
