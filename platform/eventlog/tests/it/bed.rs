//! Where a case runs: a fresh log with so many shards, on one engine.

use std::sync::atomic::{AtomicU32, Ordering};

use eventlog::{Cursor, Error, Log, NewEvent, Stored};
use store::{Engine, Location, Options, Sql, Store, Tx, Writer};

/// The topic that cases write.
pub const TOPIC: &str = "ledger";
/// One that nobody writes.
pub const QUIET: &str = "transfers";

pub struct Bed {
    pub shards: u32,
    location: Location,
    _directory: Option<tempfile::TempDir>,
}

/// An opened log with its writer.
pub struct Open {
    pub writer: Writer,
    pub log: Log,
    pub store: Store,
}

impl Bed {
    /// `None` (said loudly) when there is no such engine here.
    pub fn new(engine: Engine, shards: u32) -> Option<Bed> {
        if engine == Engine::Sqlite {
            let directory = tempfile::tempdir().unwrap();
            let location = Location::Directory(directory.path().join("data"));
            return Some(Bed { shards, location, _directory: Some(directory) });
        }
        let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
            eprintln!("\n!!! SKIPPED on PostgreSQL: set SWITCHYARD_TEST_POSTGRES to a URL !!!\n");
            return None;
        };
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("eventlog_{}_{number}", std::process::id());
        let (_store, mut writer) =
            Store::open(Location::Postgres(url.clone()), Options::default()).unwrap();
        let mut tx = writer.begin().unwrap();
        let text: &'static str = format!("CREATE SCHEMA {schema}").leak();
        tx.execute(&Sql::new(text), &[]).unwrap();
        tx.commit().unwrap();
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}options=-c%20search_path%3D{schema}");
        Some(Bed { shards, location: Location::Postgres(url), _directory: None })
    }
    /// Opens it, as a process does at its start.
    pub fn open(&self) -> Open {
        self.open_with(self.shards)
    }
    pub fn open_with(&self, shards: u32) -> Open {
        let (store, mut writer) = Store::open(self.location.clone(), Options::default()).unwrap();
        writer.migrate(&eventlog::migrations(&[TOPIC, QUIET])).unwrap();
        let mut tx = writer.begin().unwrap();
        let log = Log::open(&mut tx, &[TOPIC, QUIET], shards).unwrap();
        tx.commit().unwrap();
        Open { writer, log, store }
    }
}

/// Numbers and appends one event for each shard named, with its number as its key.
pub fn append(log: &mut Log, tx: &mut Tx<'_>, shards: &[u32]) -> Vec<NewEvent> {
    let event = |log: &mut Log, shard: u32| {
        let numbered = log.number(TOPIC, shard);
        NewEvent {
            shard,
            sequence: numbered.sequence,
            place: numbered.place,
            key: numbered.sequence,
            kind: eventlog::kind_and_version(7, 2),
            at: contracts::Timestamp(1_000 + numbered.sequence),
            trace: (shard == 0).then_some([9; 24]),
            payload: format!("{shard}:{}", numbered.sequence).into_bytes(),
        }
    };
    let events: Vec<NewEvent> = shards.iter().map(|shard| event(log, *shard)).collect();
    log.append_many(tx, TOPIC, events.clone()).unwrap();
    events
}

impl Open {
    /// The same in a commit of its own.
    pub fn commit(&mut self, shards: &[u32]) -> Vec<NewEvent> {
        let mut tx = self.writer.begin().unwrap();
        let events = append(&mut self.log, &mut tx, shards);
        tx.commit().unwrap();
        self.log.committed();
        events
    }
    /// Reads on, at most `most`.
    pub fn read(&mut self, cursor: &mut Cursor, most: usize) -> Result<Vec<Stored>, Error> {
        let mut tx = self.writer.begin().unwrap();
        let events = self.log.read(&mut tx, TOPIC, cursor, most, true)?;
        tx.rollback().unwrap();
        Ok(events.iter().map(|event| Stored::clone(event)).collect())
    }
    /// Reads to the end in steps.
    pub fn read_all(&mut self, cursor: &mut Cursor, step: usize) -> Vec<Stored> {
        let mut all = Vec::new();
        loop {
            let events = self.read(cursor, step).unwrap();
            if events.is_empty() {
                return all;
            }
            assert!(events.len() <= step, "a read is bounded");
            all.extend(events);
        }
    }
}

/// The numbers of each shard, in the order read.
pub fn numbers(events: &[Stored], shards: u32) -> Vec<Vec<i64>> {
    let mut all = vec![Vec::new(); shards as usize];
    for event in events {
        all[event.shard as usize].push(event.sequence);
    }
    all
}

/// One test for each case, engine and number of shards.
macro_rules! on_all {
    ($($case:ident),* $(,)?) => {
        $(mod $case {
            fn run(engine: store::Engine, shards: u32) {
                if let Some(bed) = $crate::bed::Bed::new(engine, shards) {
                    super::$case(&bed);
                }
            }
            #[test]
            fn sqlite() {
                [1, 4, 64].into_iter().for_each(|shards| run(store::Engine::Sqlite, shards));
            }
            #[test]
            fn postgres() {
                [1, 4, 64].into_iter().for_each(|shards| run(store::Engine::Postgres, shards));
            }
        })*
    };
}
pub(crate) use on_all;
