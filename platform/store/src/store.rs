//! The store: one writer, a pool of readers.

use crate::checkpoint::{Checkpoint, Checkpointer, Counters};
use crate::epoch::Epochs;
use crate::pg::Pg;
use crate::sqlite::{self, Role};
use crate::tx::{Line, Tx};
use crate::{Error, Migration, Result, Value, directory, migrate, schemas};
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// The engine below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One file in a data directory.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A data directory, which holds `switchyard.db`; it is made if it is not there.
    Directory(PathBuf),
    /// A PostgreSQL URL, as libpq takes it, with `sslmode`, `sslrootcert`, `sslcert`, `sslkey`;
    /// another schema than `public` goes into it as `?options=-c%20search_path%3Dname`, and its name
    /// before those of the owners' schemas.
    Postgres(String),
}

/// What may be chosen at the opening.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that read at the same time.
    pub readers: usize,
    /// Memory for the writer's pages (SQLite), in KiB.
    pub writer_cache_kib: u32,
    /// Memory for the pages of each reader (SQLite), in KiB.
    pub reader_cache_kib: u32,
    /// Refuse to start with less room on the disk.
    pub min_free_bytes: u64,
    /// With less room than this the disk counts as nearly full.
    pub low_free_bytes: u64,
    /// The write-ahead log is kept below this size.
    pub log_limit_bytes: u64,
    /// Run the checkpoints on a thread; without it somebody calls [`Store::checkpoint_step`].
    pub checkpoint_thread: bool,
    /// Leave the write-ahead log as it is at the end (SQLite), as a process that is killed does.
    pub keep_log: bool,
    /// Is told of each commit of the writer.
    pub at_commit: Option<AtCommit>,
}

/// A side of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nothing of it is durable yet.
    Before,
    /// All of it is durable, and nobody knows.
    After,
}

/// Hears of each commit of the writer, on its thread, and says before it whether there is room for it;
/// where it panics, the commit ends there.
#[derive(Clone)]
pub struct AtCommit(pub Arc<dyn Fn(Side) -> bool + Send + Sync>);

impl std::fmt::Debug for AtCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AtCommit")
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            readers: 4,
            writer_cache_kib: 64 << 10,
            reader_cache_kib: 16 << 10,
            min_free_bytes: 64 << 20,
            low_free_bytes: 256 << 20,
            log_limit_bytes: 64 << 20,
            checkpoint_thread: true,
            keep_log: false,
            at_commit: None,
        }
    }
}

struct Pool {
    idle: Vec<Line>,
    open: usize,
}

pub(crate) struct Shared {
    location: Location,
    options: Options,
    outsider: bool,
    pool: Mutex<Pool>,
    returned: Condvar,
    checkpointer: Option<Checkpointer>,
    commits: AtomicU64,
    /// Which server the first connection came to (PostgreSQL).
    server: OnceLock<String>,
    replaced: AtomicBool,
    pub(crate) epochs: Epochs,
    // Last, so that the directory is given free only after every connection is closed.
    _lock: Option<directory::Claim>,
}

impl Shared {
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The writer's transaction is at this side of its commit; whether there is room.
    pub(crate) fn at_commit(&self, side: Side) -> bool {
        self.options.at_commit.as_ref().is_none_or(|AtCommit(hears)| hears(side))
    }

    /// The writer's transaction is durable.
    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Relaxed);
        self.epochs.commit();
        if let Some(checkpointer) = &self.checkpointer {
            let frames = sqlite::take_frames();
            if frames > 0 {
                checkpointer.committed(frames);
            }
        }
    }

    /// Begins on a connection; one to PostgreSQL that turns out to be dead is made anew.
    pub(crate) fn start(&self, line: &mut Line, reader: bool) -> Result<()> {
        match (line.start(reader), line, &self.location) {
            (Err(e), line @ Line::Postgres(_), Location::Postgres(url)) if e.is_transient() => {
                *line = Line::Postgres(Box::new(self.connect(url, !reader)?));
                line.start(reader)
            }
            (result, _, _) => result,
        }
    }

    fn connect_reader(&self) -> Result<Line> {
        match &self.location {
            Location::Directory(path) => {
                let role = if self.outsider { Role::Outsider } else { Role::Reader };
                let file = directory::database(path);
                let conn = sqlite::open(&file, role, self.options.reader_cache_kib)?;
                sqlite::keep_log(&conn, self.options.keep_log)?;
                Ok(Line::Sqlite(conn))
            }
            Location::Postgres(url) => Ok(Line::Postgres(Box::new(self.connect(url, false)?))),
        }
    }

    /// One more connection to the server of the first one.
    pub(crate) fn connect(&self, url: &str, writer: bool) -> Result<Pg> {
        let pg = Pg::connect(url, writer)?;
        let first = self.server.get_or_init(|| pg.server().to_owned());
        if first.is_empty() || pg.server().is_empty() || first == pg.server() {
            return Ok(pg);
        }
        self.replaced.store(true, Relaxed);
        Err(Error::Replaced)
    }

    fn take_reader(&self) -> Result<Line> {
        let mut pool = self.pool.lock();
        loop {
            if let Some(line) = pool.idle.pop() {
                return Ok(line);
            }
            if pool.open < self.options.readers.max(1) {
                pool.open += 1;
                break;
            }
            self.returned.wait(&mut pool);
        }
        drop(pool);
        self.connect_reader().inspect_err(|_| self.give_back(None))
    }

    /// Returns a reader's connection, or only its place when the connection is of no more use.
    fn give_back(&self, line: Option<Line>) {
        let mut pool = self.pool.lock();
        match line {
            Some(line) => pool.idle.push(line),
            None => pool.open -= 1,
        }
        self.returned.notify_one();
    }
}

/// Gives the connection back however the reader ends.
struct Borrowed<'s> {
    shared: &'s Shared,
    line: Option<Line>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let line = self.line.take().filter(|line| match line {
            Line::Sqlite(conn) => conn.is_autocommit(),
            Line::Postgres(pg) => !pg.is_closed(),
        });
        self.shared.give_back(line);
    }
}

/// The shared half: readers and figures. Cheap to clone, to be used from any thread.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

impl Store {
    /// Opens the store for a server: exactly one [`Writer`] comes with it.
    pub fn open(location: Location, options: Options) -> Result<(Store, Writer)> {
        let mut checkpointer = None;
        let mut lock = None;
        let line = match &location {
            Location::Directory(path) => {
                lock = Some(directory::claim(path, options.min_free_bytes)?);
                let file = directory::database(path);
                let writer = open_file(path, &file, options.writer_cache_kib)?;
                let conn = sqlite::open(&file, Role::Checkpointer, 2 << 10)?;
                sqlite::keep_log(&writer, options.keep_log)?;
                sqlite::keep_log(&conn, options.keep_log)?;
                checkpointer = Some(Checkpointer::new(conn, options.log_limit_bytes));
                Line::Sqlite(writer)
            }
            Location::Postgres(url) => Line::Postgres(Box::new(Pg::connect(url, true)?)),
        };
        let threaded = checkpointer.is_some() && options.checkpoint_thread;
        let store = Store::assemble(location, options, false, checkpointer, lock);
        if let Line::Postgres(pg) = &line {
            store.0.server.get_or_init(|| pg.server().to_owned());
        }
        let thread = if threaded { Some(spawn_checkpointer(&store)?) } else { None };
        let writer = Writer { line, shared: store.0.clone(), thread };
        Ok((store, writer))
    }

    /// Opens the store to read only, beside a server that may be running. What is still in the
    /// memory of that server (the tail of a late index) is not seen: restore the index from the
    /// rows, in the same transaction that reads.
    pub fn open_read_only(location: Location, options: Options) -> Result<Store> {
        if let Location::Directory(path) = &location
            && !directory::database(path).is_file()
        {
            return Err(Error::Directory {
                path: path.clone(),
                detail: "there is no switchyard.db; is this the data directory?".into(),
            });
        }
        let store = Store::assemble(location, options, true, None, None);
        store.read(|_| Ok(()))?;
        Ok(store)
    }

    fn assemble(
        location: Location,
        options: Options,
        outsider: bool,
        checkpointer: Option<Checkpointer>,
        lock: Option<directory::Claim>,
    ) -> Store {
        Store(Arc::new(Shared {
            location,
            options,
            outsider,
            pool: Mutex::new(Pool { idle: Vec::new(), open: 0 }),
            returned: Condvar::new(),
            checkpointer,
            commits: AtomicU64::new(0),
            server: OnceLock::new(),
            replaced: AtomicBool::new(false),
            epochs: Epochs::default(),
            _lock: lock,
        }))
    }

    /// Reads in one snapshot. Waits while all readers are busy. Not on a tokio thread.
    pub fn read<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let line = Some(self.0.take_reader()?);
        let mut borrowed = Borrowed { shared: &self.0, line };
        let line = borrowed.line.as_mut().expect("it is taken out only on drop");
        let mut tx = Tx::begin(line, &self.0, true)?;
        let value = f(&mut tx)?;
        tx.rollback()?;
        Ok(value)
    }

    /// Reads by one statement, and no more. On PostgreSQL it is its own transaction, one way there and
    /// back in place of three. Not on a tokio thread.
    pub fn read_once<T>(&self, mut f: impl FnMut(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        if self.engine() == Engine::Sqlite {
            return self.read(f);
        }
        match self.once(&mut f, false) {
            // A connection that was lost while it was idle shows only now.
            Err(e) if e.is_transient() => self.once(&mut f, true),
            done => done,
        }
    }

    fn once<T>(&self, f: &mut impl FnMut(&mut Tx<'_>) -> Result<T>, anew: bool) -> Result<T> {
        let line = Some(self.0.take_reader()?);
        let mut borrowed = Borrowed { shared: &self.0, line };
        let line = borrowed.line.as_mut().expect("it is taken out only on drop");
        if anew {
            *line = self.0.connect_reader()?;
        }
        match line {
            Line::Postgres(pg) => f(&mut Tx::each(pg, &self.0, true, Some(1))),
            Line::Sqlite(_) => Err(Error::Other("another engine than the store's".into())),
        }
    }

    /// Which engine is below.
    pub fn engine(&self) -> Engine {
        match self.0.location {
            Location::Directory(_) => Engine::Sqlite,
            Location::Postgres(_) => Engine::Postgres,
        }
    }

    /// Whether a connection came to another database than the first one: nothing that is remembered
    /// of it holds, and no connection is made any more.
    pub fn is_replaced(&self) -> bool {
        self.0.replaced.load(Relaxed)
    }

    /// Figures since the start.
    pub fn counters(&self) -> Counters {
        let mut counters =
            Counters { commits: self.0.commits.load(Relaxed), ..Counters::default() };
        if let Some(checkpointer) = &self.0.checkpointer {
            checkpointer.fill(&mut counters);
        }
        counters
    }

    /// Whether hardly any room is left on the disk of the data directory. Never on PostgreSQL, whose
    /// disk is elsewhere, nor where it cannot be told.
    pub fn is_nearly_full(&self) -> bool {
        match &self.0.location {
            Location::Directory(path) => {
                directory::free_bytes(path).is_ok_and(|free| free < self.0.options.low_free_bytes)
            }
            Location::Postgres(_) => false,
        }
    }

    /// The work that the checkpoint thread does when it is woken.
    pub fn checkpoint_step(&self) -> Result<Checkpoint> {
        self.0.checkpointer.as_ref().map_or(Ok(Checkpoint::Idle), Checkpointer::step)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(crate) fn shared_handle(&self) -> Arc<Shared> {
        self.0.clone()
    }
}

fn open_file(path: &Path, file: &Path, cache_kib: u32) -> Result<rusqlite::Connection> {
    sqlite::open(file, Role::Writer, cache_kib).map_err(|e| match &e {
        Error::Sqlite(inner) => Error::Directory {
            path: path.into(),
            detail: match inner.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => "switchyard.db is not a database (or \
                     is damaged); restore a backup, or choose another directory"
                    .into(),
                Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => format!(
                    "switchyard.db cannot be written ({inner}); give this user the right to"
                ),
                _ => format!("switchyard.db cannot be opened: {inner}"),
            },
        },
        _ => e,
    })
}

fn spawn_checkpointer(store: &Store) -> Result<JoinHandle<()>> {
    let shared = store.0.clone();
    std::thread::Builder::new()
        .name("checkpoint".into())
        .spawn(move || {
            if let Some(checkpointer) = &shared.checkpointer {
                checkpointer.drive();
            }
        })
        .map_err(|e| Error::Other(format!("no thread for the checkpoints: {e}")))
}

/// The one writing connection. It belongs to one thread.
pub struct Writer {
    line: Line,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins a transaction. On PostgreSQL a connection that was lost is made anew.
    pub fn begin(&mut self) -> Result<Tx<'_>> {
        Tx::begin(&mut self.line, &self.shared, false)
    }

    /// To be called between two transactions: the writer's part of a checkpoint, mostly nothing.
    pub fn checkpoint_if_due(&mut self) -> Result<()> {
        match (&self.line, &self.shared.checkpointer) {
            (Line::Sqlite(conn), Some(checkpointer)) => checkpointer.finish_if_due(conn),
            _ => Ok(()),
        }
    }

    /// Brings the schema up to date; returns the number of steps that were applied.
    pub fn migrate(&mut self, migrations: &[Migration]) -> Result<usize> {
        let count = migrate::run(&mut self.line, migrations)?;
        // Readers find tables where they were when they connected.
        let idle = std::mem::take(&mut self.shared.pool.lock().idle);
        idle.into_iter().for_each(|_| self.shared.give_back(None));
        if let Some(checkpointer) = &self.shared.checkpointer {
            match sqlite::take_frames() {
                0 => {}
                frames => checkpointer.committed(frames),
            }
        }
        Ok(count)
    }

    /// True when [`Writer::migrate`] would have nothing to do.
    pub fn schema_is_current(&mut self, migrations: &[Migration]) -> Result<bool> {
        migrate::is_current(&mut self.line, migrations)
    }

    /// Makes roles of the database that may do this and no more; their whole names.
    pub fn grant(&mut self, roles: &[schemas::Role]) -> Result<Vec<String>> {
        match &mut self.line {
            Line::Sqlite(_) => Ok(Vec::new()),
            Line::Postgres(pg) => schemas::grant(pg, roles),
        }
    }

    /// Rings for the other processes on the database, after a commit ([`crate::Bell`]).
    pub fn ring(&mut self, channel: &str, payload: &str) -> Result<()> {
        match &mut self.line {
            Line::Sqlite(_) => Ok(()),
            Line::Postgres(pg) => {
                let values = [Value::Text(channel), Value::Text(payload)];
                pg.query("SELECT pg_notify($1, $2)::text", &values).map(drop)
            }
        }
    }

    /// Which engine is below.
    pub fn engine(&self) -> Engine {
        self.line.engine()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(checkpointer) = &self.shared.checkpointer {
            checkpointer.stop();
        }
        if let Some(thread) = self.thread.take() {
            // A panic there was printed by its thread; here there is nothing left to stop.
            thread.join().unwrap_or_default();
        }
    }
}
