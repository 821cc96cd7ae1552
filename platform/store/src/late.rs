//! An index that is filled late, in sorted pieces, so that a random key costs no page per row.
//!
//! The base row is appended by the caller in its transaction; it is durable and the index can be
//! rebuilt from it. The entry of the index stays in memory (the *tail*, 256 slices by a hash of
//! the key). When enough rows have come, one slice is sorted and inserted into the *tree*, a table
//! whose key begins with the slice, so that a page takes many entries at once. The *mark* of a
//! slice says up to which id its rows are in the tree; after a restart the tail is read from the
//! rows above.
//! All this is SQLite's; on PostgreSQL an entry goes into the tree at once.
//!
//! Rules for the caller:
//! - Ids ascend from commit to commit (two entries may share an id, in one transaction).
//! - After the transaction: [`LateIndex::committed`] at once after COMMIT and before anything is
//!   answered, or [`LateIndex::rolled_back`].
//! - A unique index is checked by [`LateIndex::find_many`] before the insert. The tree enforces it
//!   too, but late: a clash there is [`Error::IndexClash`], an alarm.
//!
//! A reader ([`crate::Store::read`]) sees every entry whose commit was over before it began, and
//! none whose base row is not in its snapshot.

mod merge;
mod slice;

use crate::store::Store;
use crate::tx::{Batch, Tx};
use crate::{Engine, Error, Kind, Result, Value};
use merge::WriterSide;
use parking_lot::{Mutex, RwLock};
use slice::{Record, Slice, hash, slice_of};
use std::collections::VecDeque;
use std::sync::Arc;

/// The bounds of a step that grows with the tree.
const STEP_LEAST: usize = 512;
const STEP_MOST: usize = 4_096;

/// What an index is made of. Its tables come from [`late_tables!`](crate::late_tables).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateSpec {
    /// The tables are `<name>_tree` and `<name>_mark`.
    pub name: &'static str,
    /// Bytes of a key, 1 to 40.
    pub key_len: usize,
    /// Bytes stored with each entry, 0 to 64.
    pub payload: usize,
    /// One entry per key.
    pub unique: bool,
    /// Rows after which one slice of 256 is merged; the tail holds about 128 to 256 times as many.
    /// By default it grows with the tree, so that a page takes several rows at once.
    pub step: Option<usize>,
}

impl LateSpec {
    /// Many entries per key, no payload, a step that grows with the tree.
    pub const fn new(name: &'static str, key_len: usize) -> LateSpec {
        LateSpec { name, key_len, payload: 0, unique: false, step: None }
    }

    /// One entry per key.
    pub const fn unique(mut self) -> LateSpec {
        self.unique = true;
        self
    }

    /// Bytes stored with each entry.
    pub const fn payload(mut self, bytes: usize) -> LateSpec {
        self.payload = bytes;
        self
    }

    /// Rows after which one slice is merged.
    pub const fn step(mut self, rows: usize) -> LateSpec {
        self.step = Some(rows);
        self
    }

    /// The step where the tree has so many rows. Keys of a unique index are spread over all pages:
    /// about seven rows fall on each. Other keys come again, at the end of their own rows.
    fn step_at(&self, rows: u64) -> usize {
        let per_row = if self.unique { 2_048 } else { 8_192 };
        let step = usize::try_from(rows / per_row).unwrap_or(usize::MAX);
        self.step.unwrap_or(step.clamp(STEP_LEAST, STEP_MOST))
    }
}

/// The text that makes the two tables of an index, for a migration:
/// `late_tables!(sqlite, unique, "idem")`, `late_tables!(postgres, many, "by_account")`.
#[macro_export]
macro_rules! late_tables {
    (sqlite, unique, $name:literal) => {
        concat!(
            "CREATE TABLE ",
            $name,
            "_tree(slice INTEGER NOT NULL, key BLOB NOT NULL, ",
            "id INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY(slice, key)) WITHOUT ROWID; ",
            "CREATE TABLE ",
            $name,
            "_mark(slice INTEGER PRIMARY KEY, id INTEGER NOT NULL); "
        )
    };
    (sqlite, many, $name:literal) => {
        concat!(
            "CREATE TABLE ",
            $name,
            "_tree(slice INTEGER NOT NULL, key BLOB NOT NULL, ",
            "id INTEGER NOT NULL, payload BLOB NOT NULL, ",
            "PRIMARY KEY(slice, key, id)) WITHOUT ROWID; ",
            "CREATE TABLE ",
            $name,
            "_mark(slice INTEGER PRIMARY KEY, id INTEGER NOT NULL); "
        )
    };
    (postgres, unique, $name:literal) => {
        concat!(
            "CREATE TABLE ",
            $name,
            "_tree(slice BIGINT NOT NULL, key BYTEA NOT NULL, ",
            "id BIGINT NOT NULL, payload BYTEA NOT NULL, PRIMARY KEY(slice, key)); "
        )
    };
    (postgres, many, $name:literal) => {
        concat!(
            "CREATE TABLE ",
            $name,
            "_tree(slice BIGINT NOT NULL, key BYTEA NOT NULL, ",
            "id BIGINT NOT NULL, payload BYTEA NOT NULL, PRIMARY KEY(slice, key, id)); "
        )
    };
}

/// An entry that goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// Exactly `key_len` bytes.
    pub key: &'e [u8],
    /// The id of the base row.
    pub id: i64,
    /// Exactly `payload` bytes.
    pub payload: &'e [u8],
}

/// What [`LateIndex::restore`] gives to be called with each entry.
pub type EachEntry<'e> = &'e mut dyn FnMut(Entry<'_>) -> Result<()>;

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The id of the base row.
    pub id: i64,
    /// What was stored with it.
    pub payload: Vec<u8>,
}

impl Found {
    fn of(record: Record<'_>) -> Found {
        Found { id: record.id(), payload: record.payload().to_vec() }
    }
}

impl Slice {
    fn of(spec: &LateSpec) -> Slice {
        Slice::new(spec.key_len, spec.payload, spec.step_at(0))
    }
}

struct Texts {
    insert: [String; 2],
    find: [String; 2],
    scan: String,
    mark: String,
    marks: String,
    rows: String,
}

impl Texts {
    fn new(name: &str) -> Texts {
        let tree = format!("{name}_tree");
        let columns = "(slice, key, id, payload)";
        let newest = "ORDER BY id DESC LIMIT 1";
        Texts {
            insert: [
                format!("INSERT INTO {tree} {columns} VALUES ($1, $2, $3, $4)"),
                format!(
                    "INSERT INTO {tree} {columns} SELECT * FROM \
                     unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bytea[])"
                ),
            ],
            find: [
                format!(
                    "SELECT $1, id, payload FROM {tree} WHERE slice = $2 AND key = $3 {newest}"
                ),
                format!(
                    "SELECT u.n, f.id, f.payload \
                     FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS u(n, slice, key), \
                     LATERAL (SELECT t.id, t.payload FROM {tree} AS t \
                     WHERE t.slice = u.slice AND t.key = u.key {newest}) AS f"
                ),
            ],
            scan: format!(
                "SELECT id, payload FROM {tree} WHERE slice = $1 AND key = $2 AND id < $3 \
                 ORDER BY id DESC LIMIT $4"
            ),
            mark: format!(
                "INSERT INTO {name}_mark (slice, id) VALUES ($1, $2) \
                 ON CONFLICT (slice) DO UPDATE SET id = excluded.id"
            ),
            marks: format!("SELECT slice, id FROM {name}_mark"),
            rows: format!("SELECT count(*) FROM {tree} WHERE slice = 0"),
        }
    }
}

struct Inner {
    spec: LateSpec,
    engine: Engine,
    store: Store,
    texts: Texts,
    /// The tail; empty on PostgreSQL.
    slices: Vec<RwLock<Slice>>,
    /// For the commits that some reader may not see yet: the highest id of each. The first holds
    /// for every reader under way.
    history: Mutex<VecDeque<(u64, i64)>>,
    writer: Mutex<WriterSide>,
}

/// The index; cheap to clone, to be used from any thread (all but `find` and `scan` by the writer).
#[derive(Clone)]
pub struct LateIndex(Arc<Inner>);

impl LateIndex {
    /// An index over tables that are there already. Call [`LateIndex::restore`] before its use.
    pub fn new(store: &Store, spec: LateSpec) -> LateIndex {
        assert!((1..=40).contains(&spec.key_len), "a key has 1 to 40 bytes");
        assert!(spec.payload <= 64, "a payload has at most 64 bytes");
        assert!(spec.step != Some(0), "a step has rows");
        let engine = store.engine();
        let count = if engine == Engine::Sqlite { 256 } else { 0 };
        let slice = || RwLock::new(Slice::of(&spec));
        LateIndex(Arc::new(Inner {
            spec,
            engine,
            store: store.clone(),
            texts: Texts::new(spec.name),
            slices: std::iter::repeat_with(slice).take(count).collect(),
            history: Mutex::new(VecDeque::from([(0, i64::MIN)])),
            writer: Mutex::new(WriterSide::default()),
        }))
    }

    /// What it is made of.
    pub fn spec(&self) -> &LateSpec {
        &self.0.spec
    }

    /// Entries in memory that are not in the tree yet.
    pub fn tail_len(&self) -> u64 {
        self.0.slices.iter().map(|slice| slice.read().unmerged()).sum()
    }

    /// Adds entries; their base rows are written by the caller in the same transaction.
    pub fn insert(&self, tx: &mut Tx<'_>, entries: &[Entry<'_>]) -> Result<()> {
        for entry in entries {
            self.check_key(entry.key)?;
            if entry.payload.len() != self.0.spec.payload {
                return Err(self.misuse(format!("a payload of {} bytes", entry.payload.len())));
            }
        }
        match self.0.engine {
            Engine::Sqlite => tx.guarded(|_| self.stage(entries)),
            Engine::Postgres => {
                let mut rows: Vec<_> = entries.iter().map(|e| (slice_of(hash(e.key)), e)).collect();
                // Always in the same order, so that two processes cannot wait for each other.
                rows.sort_unstable_by_key(|(slice, e)| (*slice, e.key, e.id));
                self.insert_tree(tx, rows.iter().map(|(slice, e)| (*slice, **e)))
            }
        }
    }

    fn insert_tree<'t>(
        &self,
        tx: &mut Tx<'_>,
        rows: impl Iterator<Item = (u8, Entry<'t>)>,
    ) -> Result<()> {
        let columns =
            [("slice", Kind::Int), ("key", Kind::Blob), ("id", Kind::Int), ("payload", Kind::Blob)];
        let [sqlite, postgres] = &self.0.texts.insert;
        let batch = Batch { sqlite, postgres, place: self.0.spec.name, columns: [&columns, &[]] };
        let rows = rows
            .map(|(slice, e)| [slice.into(), Value::Blob(e.key), e.id.into(), e.payload.into()]);
        tx.guarded(|tx| tx.run(&batch, rows)).map(drop)
    }

    /// The newest entry of a key, if any.
    pub fn find(&self, tx: &mut Tx<'_>, key: &[u8]) -> Result<Option<Found>> {
        Ok(self.find_many(tx, &[key])?.pop().flatten())
    }

    /// For each key its newest entry, if any.
    pub fn find_many<K: AsRef<[u8]>>(
        &self,
        tx: &mut Tx<'_>,
        keys: &[K],
    ) -> Result<Vec<Option<Found>>> {
        let visible = self.visible(tx);
        let mut out = Vec::with_capacity(keys.len());
        let mut rest: Vec<(i64, u8, &[u8])> = Vec::new();
        for (n, key) in (0..).zip(keys) {
            let key = key.as_ref();
            self.check_key(key)?;
            let h = hash(key);
            let slice = slice_of(h);
            let found = self.0.slices.get(usize::from(slice)).and_then(|s| {
                let s = s.read();
                s.of_key(h, key).find(|r| r.id() <= visible).map(Found::of)
            });
            if found.is_none() {
                rest.push((n, slice, key));
            }
            out.push(found);
        }
        if rest.is_empty() {
            return Ok(out);
        }
        let columns = [("n", Kind::Int), ("slice", Kind::Int), ("key", Kind::Blob)];
        let [sqlite, postgres] = &self.0.texts.find;
        let batch = Batch { sqlite, postgres, place: self.0.spec.name, columns: [&columns, &[]] };
        let rows = rest.iter().map(|(n, s, key)| [(*n).into(), (*s).into(), Value::Blob(key)]);
        tx.guarded(|tx| {
            tx.fetch(&batch, rows, &mut |row| {
                let n = usize::try_from(row.int(0)?).expect("the engine returns what was given");
                out[n] = Some(Found { id: row.int(1)?, payload: row.blob(2)?.to_vec() });
                Ok(())
            })
        })?;
        Ok(out)
    }

    /// The entries of a key with an id below `before` (all, if none is given), newest first.
    pub fn scan(
        &self,
        tx: &mut Tx<'_>,
        key: &[u8],
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Found>> {
        self.check_key(key)?;
        let visible = self.visible(tx);
        let h = hash(key);
        let slice = slice_of(h);
        let mut out = Vec::new();
        if let Some(s) = self.0.slices.get(usize::from(slice)) {
            let s = s.read();
            let fits = |r: &Record<'_>| r.id() <= visible && before.is_none_or(|b| r.id() < b);
            out.extend(s.of_key(h, key).filter(fits).take(limit).map(Found::of));
        }
        if out.len() == limit {
            return Ok(out);
        }
        // What is in the tree and not in the tail is older than all that the tail holds.
        let before = out.last().map(|found| found.id).or(before);
        let left = i64::try_from(limit - out.len()).unwrap_or(i64::MAX);
        let values = [
            Value::from(slice),
            Value::Blob(key),
            // Nothing has the highest id, which a bound of "below" would leave out.
            before.unwrap_or(i64::MAX).into(),
            left.into(),
        ];
        let rest = tx.query_text(&self.0.texts.scan, &values, |row| {
            Ok(Found { id: row.int(0)?, payload: row.blob(1)?.to_vec() })
        })?;
        out.extend(rest);
        Ok(out)
    }

    /// The highest id that this transaction may see in the tail.
    fn visible(&self, tx: &Tx<'_>) -> i64 {
        match tx.epoch() {
            Some(epoch) if self.0.engine == Engine::Sqlite => {
                let history = self.0.history.lock();
                history.iter().rev().find(|(e, _)| *e <= epoch).map_or(i64::MIN, |(_, id)| *id)
            }
            _ => i64::MAX,
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<()> {
        if key.len() == self.0.spec.key_len {
            return Ok(());
        }
        Err(self.misuse(format!("a key of {} bytes", key.len())))
    }

    fn misuse(&self, detail: String) -> Error {
        Error::IndexMisuse { index: self.0.spec.name, detail }
    }
}
