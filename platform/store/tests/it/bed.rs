//! Where a case runs: a fresh directory, or a fresh schema.

use std::sync::atomic::{AtomicU32, Ordering};
use store::{Engine, Location, Migration, Options, Sql, Store, Writer, late_tables};

pub const SCHEMA: &[Migration] = &[Migration {
    owner: "test",
    version: 1,
    name: "init",
    sqlite: concat!(
        "CREATE TABLE item(id INTEGER PRIMARY KEY, state INTEGER NOT NULL, name TEXT, body BLOB); ",
        "CREATE TABLE base(id INTEGER NOT NULL, key BLOB NOT NULL, payload BLOB NOT NULL, ",
        "PRIMARY KEY(id, key)) WITHOUT ROWID; ",
        late_tables!(sqlite, many, "by_key"),
        late_tables!(sqlite, unique, "once"),
    ),
    postgres: concat!(
        "CREATE TABLE item(id BIGINT PRIMARY KEY, state BIGINT NOT NULL, name TEXT, body BYTEA); ",
        "CREATE TABLE base(id BIGINT NOT NULL, key BYTEA NOT NULL, payload BYTEA NOT NULL, ",
        "PRIMARY KEY(id, key)); ",
        late_tables!(postgres, many, "by_key"),
        late_tables!(postgres, unique, "once"),
    ),
}];

pub struct Bed {
    pub location: Location,
    _directory: Option<tempfile::TempDir>,
}

impl Bed {
    /// `None` (said loudly) when there is no such engine here.
    pub fn new(engine: Engine) -> Option<Bed> {
        match engine {
            Engine::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let location = Location::Directory(directory.path().join("data"));
                Some(Bed { location, _directory: Some(directory) })
            }
            Engine::Postgres => {
                let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
                    eprintln!(
                        "\n!!! SKIPPED on PostgreSQL: set SWITCHYARD_TEST_POSTGRES to a URL !!!\n"
                    );
                    return None;
                };
                Some(Bed::on(&url))
            }
        }
    }

    /// A fresh schema in this database.
    pub fn on(url: &str) -> Bed {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let n = NUMBER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("store_{}_{n}", std::process::id());
        let location = Location::Postgres(url.into());
        let (_store, mut writer) = Store::open(location, Options::default()).unwrap();
        let create = Sql::new(Box::leak(format!("CREATE SCHEMA {schema}").into_boxed_str()));
        let mut tx = writer.begin().unwrap();
        tx.execute(&create, &[]).unwrap();
        tx.commit().unwrap();
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}options=-c%20search_path%3D{schema}");
        Bed { location: Location::Postgres(url), _directory: None }
    }

    pub fn open(&self) -> (Store, Writer) {
        self.open_with(Options::default())
    }

    pub fn open_with(&self, options: Options) -> (Store, Writer) {
        let (store, mut writer) = Store::open(self.location.clone(), options).unwrap();
        writer.migrate(SCHEMA).unwrap();
        (store, writer)
    }
}

/// One test per engine for each case, a function that takes a [`Bed`].
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        $(mod $case {
            #[test]
            fn sqlite() {
                super::$case(&$crate::bed::Bed::new(store::Engine::Sqlite).unwrap());
            }
            #[test]
            fn postgres() {
                if let Some(bed) = $crate::bed::Bed::new(store::Engine::Postgres) {
                    super::$case(&bed);
                }
            }
        })*
    };
}
pub(crate) use on_both;
