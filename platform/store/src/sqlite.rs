//! SQLite: how a connection is opened, and how a statement runs on it.

use crate::statement::Column;
use crate::value::RowOf;
use crate::{Error, Result, Row, Value};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ToSql};
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

/// Statements kept prepared per connection; far more than the hot ones of all services.
const PREPARED: usize = 512;
/// How long a connection waits for a lock that another process holds (a command beside a server).
pub(crate) const BUSY: Duration = Duration::from_secs(5);
/// Bytes of one page; with its header one frame of the log is 24 more.
pub(crate) const PAGE: u64 = 4096;

thread_local! {
    // rusqlite takes a plain function as the hook, so what it hears is left here for the thread
    // that commits, which reads it right after.
    static FRAMES: Cell<u32> = const { Cell::new(0) };
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
    Checkpointer,
    /// A reader of another process, which must not touch the file.
    Outsider,
}

/// Opens `file` for a role.
pub(crate) fn open(file: &Path, role: Role, cache_kib: u32) -> Result<Connection> {
    let access = match role {
        Role::Writer => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Role::Reader | Role::Checkpointer => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Role::Outsider => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let conn = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.busy_timeout(BUSY)?;
    if role == Role::Writer {
        conn.execute_batch(&format!("PRAGMA page_size={PAGE}; PRAGMA journal_mode=WAL;"))?;
    }
    conn.execute_batch(&format!(
        "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; \
         PRAGMA cache_size=-{cache_kib}; PRAGMA wal_autocheckpoint=0; PRAGMA foreign_keys=OFF;"
    ))?;
    match role {
        // After wal_autocheckpoint, which would replace the hook.
        Role::Writer => conn.wal_hook(Some(|_, frames| {
            FRAMES.set(u32::try_from(frames).unwrap_or(0));
            Ok(())
        })),
        Role::Reader => conn.execute_batch("PRAGMA query_only=1")?,
        Role::Checkpointer | Role::Outsider => {}
    }
    Ok(conn)
}

/// Whether the last connection to close leaves the log as it is.
pub(crate) fn keep_log(conn: &Connection, keep: bool) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)?;
    Ok(())
}

/// There is no room for what is to be written.
pub(crate) fn full() -> Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
    Error::Sqlite(rusqlite::Error::SqliteFailure(code, None))
}

/// Frames in the log after the last commit of this thread; 0 when it wrote nothing.
pub(crate) fn take_frames() -> u32 {
    FRAMES.take()
}

/// Ends the process after an input/output error at a place where going on would lose data: what
/// the system has failed to write once it may later claim to have written.
pub(crate) fn die_on_io_error(e: &rusqlite::Error, at: &str) {
    let code = e.sqlite_error_code();
    if matches!(code, Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt)) {
        eprintln!(
            "switchyard: the disk failed at {at}: {e}. Nothing after the last answered request \
             was acknowledged. The process ends now; check the disk, then start it again."
        );
        std::process::abort();
    }
}

/// Runs a statement without parameters and without an answer.
pub(crate) fn simple(conn: &Connection, text: &str) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(text)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// `PRAGMA wal_checkpoint`: (was it busy, frames in the log, frames copied to the database).
pub(crate) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<(bool, u32, u32)> {
    let mut statement = conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    let answer = statement.query_row([], |row| {
        Ok((row.get::<_, i64>(0)? != 0, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    let count = |n: i64| u32::try_from(n).unwrap_or(0);
    Ok((answer.0, count(answer.1), count(answer.2)))
}

struct Bind<'v>(&'v Value<'v>);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(v) => ValueRef::Integer(*v),
            Value::Text(v) => ValueRef::Text(v.as_bytes()),
            Value::Blob(v) => ValueRef::Blob(v),
            Value::Bytes16(v) => ValueRef::Blob(v),
        }))
    }
}

/// A prepared statement with the check of its values.
pub(crate) struct Prepared<'c, 'p> {
    statement: CachedStatement<'c>,
    columns: [&'p [Column]; 2],
    place: &'p str,
}

impl<'c, 'p> Prepared<'c, 'p> {
    pub(crate) fn new(
        conn: &'c Connection,
        text: &str,
        columns: [&'p [Column]; 2],
        place: &'p str,
    ) -> Result<Self> {
        Ok(Prepared { statement: conn.prepare_cached(text)?, columns, place })
    }

    pub(crate) fn bind(&mut self, index: usize, value: &Value<'_>) -> Result<()> {
        value.check(kind_at(self.columns, index), index, self.place)?;
        Ok(self.statement.raw_bind_parameter(index + 1, Bind(value))?)
    }

    pub(crate) fn execute(&mut self) -> Result<u64> {
        Ok(self.statement.raw_execute()? as u64)
    }

    pub(crate) fn rows(&mut self, f: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        let mut rows = self.statement.raw_query();
        while let Some(row) = rows.next()? {
            f(&Row(RowOf::Sqlite(row)))?;
        }
        Ok(())
    }
}

/// The kind declared for a parameter; the columns stand in two lists, one after the other.
pub(crate) fn kind_at(columns: [&[Column]; 2], index: usize) -> Option<crate::Kind> {
    let [first, second] = columns;
    match index.checked_sub(first.len()) {
        None => Some(first[index].1),
        Some(rest) => second.get(rest).map(|column| column.1),
    }
}

/// How an error at COMMIT is answered: the process ends when the disk failed.
pub(crate) fn commit(conn: &Connection) -> Result<()> {
    simple(conn, "COMMIT").map_err(|e| {
        die_on_io_error(&e, "COMMIT");
        Error::from(e)
    })
}

/// Rolls back, unless SQLite has done so itself after a severe error.
pub(crate) fn rollback(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() {
        return Ok(());
    }
    Ok(simple(conn, "ROLLBACK")?)
}
