//! What can go wrong, sorted by what the caller must do about it.

use std::path::PathBuf;

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store. [`Error::is_transient`] says whether the same work may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused a statement.
    #[error("SQLite: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// PostgreSQL refused a statement, or the connection to it was lost.
    #[error("PostgreSQL: {}", pg_text(.0))]
    Postgres(#[source] postgres::Error),
    /// The database's URL asks for what is not there: an unknown mode of TLS, a file that cannot be
    /// read.
    #[error("the database's URL: {0}")]
    Url(String),
    /// A row with the same unique key is there already (or another constraint was broken).
    #[error("constraint: {0}")]
    Conflict(String),
    /// The connection was lost while COMMIT was under way: whether the transaction is durable must
    /// be looked up before anything is done again.
    #[error("the connection was lost during COMMIT, the outcome is unknown: {0}")]
    CommitUnknown(String),
    /// A statement of this transaction failed before; only a rollback is left.
    #[error("an earlier statement of this transaction failed; it can only be rolled back")]
    Aborted,
    /// A value has another kind than its column.
    #[error("value {index} of {place} is {found}, not {expected}")]
    Kind {
        /// Table or statement.
        place: String,
        /// Position, from 0.
        index: usize,
        /// The kind declared.
        expected: &'static str,
        /// The kind met.
        found: &'static str,
    },
    /// A text with a NUL character, which PostgreSQL cannot hold.
    #[error("a text in value {index} of {place} has a NUL character")]
    NulInText {
        /// Table or statement.
        place: String,
        /// Position, from 0.
        index: usize,
    },
    /// A late index met the same key twice: the check before the insert was passed by.
    #[error("ALARM: index {index} holds a key twice: {detail}")]
    IndexClash {
        /// The index.
        index: &'static str,
        /// What the engine said.
        detail: String,
    },
    /// A late index was used against its rules.
    #[error("index {index}: {detail}")]
    IndexMisuse {
        /// The index.
        index: &'static str,
        /// Which rule.
        detail: String,
    },
    /// The data directory cannot be used; the text says what to do.
    #[error("{path}: {detail}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A migration failed or does not fit the database.
    #[error("migration: {0}")]
    Migration(String),
    /// The database was made by a newer version of the program.
    #[error(
        "made by a newer version of switchyard: {owner} is at schema version {found}, this binary \
         knows {known}; install the newer version, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The owner of the migrations.
        owner: String,
        /// Highest version in the database.
        found: i64,
        /// Highest version this binary knows.
        known: i64,
    },
    /// A new connection came to another server than the first one, or to the same one in another
    /// life: a standby was promoted, or a backup put back.
    #[error(
        "the database is another one than when this process began: it was promoted or put back; \
             start the process again"
    )]
    Replaced,
    /// Anything else a caller's mapping function wants to report.
    #[error("{0}")]
    Other(String),
}

fn pg_text(e: &postgres::Error) -> String {
    match e.as_db_error() {
        Some(db) => format!("{} {}", db.code().code(), db.message()),
        None => match std::error::Error::source(e) {
            Some(source) => format!("{e}: {source}"),
            None => e.to_string(),
        },
    }
}

impl Error {
    /// True when the same work may succeed if it is simply done again: the database was busy, the
    /// transaction lost a race, the connection was lost before COMMIT, or there was no room.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Sqlite(e) => matches!(
                e.sqlite_error_code(),
                Some(
                    rusqlite::ErrorCode::DatabaseBusy
                        | rusqlite::ErrorCode::DatabaseLocked
                        | rusqlite::ErrorCode::DiskFull
                )
            ),
            Error::Postgres(e) => match e.code() {
                Some(code) => {
                    let code = code.code();
                    // 40001 serialization failure, 40P01 deadlock, 55P03 lock not available, 08xxx
                    // connection, 57Pxx server going down, 53xxx out of connections, of room or the
                    // like, 25P03 and 57014 a time-out, 25006 a standby.
                    matches!(code, "40001" | "40P01" | "55P03" | "25P03" | "57014" | "25006")
                        || code.starts_with("08")
                        || code.starts_with("57P")
                        || code.starts_with("53")
                }
                None => is_connection_loss(e),
            },
            // Not in this process.
            Error::Replaced => true,
            // A file of certificates may be in the middle of its renewal.
            Error::Url(_) => true,
            _ => false,
        }
    }

    /// True when the database is to blame and not what was to be written: it is busy, full, damaged,
    /// without a right, of another schema, or another one. Sound, it would take the same.
    pub fn is_of_the_database(&self) -> bool {
        use rusqlite::ErrorCode as Of;
        match self {
            Error::Sqlite(e) => !matches!(
                e.sqlite_error_code(),
                // `Unknown` is SQLITE_ERROR, such as a sum that overflows.
                None | Some(
                    Of::Unknown
                        | Of::TooBig
                        | Of::ConstraintViolation
                        | Of::TypeMismatch
                        | Of::ParameterOutOfRange
                )
            ),
            // 21 a row met twice by one statement, 22 data exception, 23 integrity constraint, 54 too
            // large, P0001 raised by a statement. One without a code is the driver's.
            Error::Postgres(e) => e.code().map_or_else(
                || is_connection_loss(e),
                |code| {
                    let code = code.code();
                    !["21", "22", "23", "54", "P0001"].iter().any(|of| code.starts_with(of))
                },
            ),
            Error::CommitUnknown(_) => true,
            other => other.is_transient(),
        }
    }

    /// True when a unique key (or another constraint) was broken.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Conflict(_))
    }
}

/// True when the error came from the connection and not from the server's answer.
pub(crate) fn is_connection_loss(e: &postgres::Error) -> bool {
    if e.is_closed() {
        return true;
    }
    let mut source = std::error::Error::source(e);
    while let Some(s) = source {
        if s.is::<std::io::Error>() {
            return true;
        }
        source = s.source();
    }
    // The driver's "unexpected message", "error communicating with the server" have no code.
    is_failed_handshake(e) || e.as_db_error().is_none() && e.to_string().contains("communicating")
}

/// True when no TLS came about; the driver says it in words alone.
pub(crate) fn is_failed_handshake(e: &postgres::Error) -> bool {
    e.as_db_error().is_none() && e.to_string().contains("TLS handshake")
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Error::Conflict(e.to_string()),
            _ => Error::Sqlite(e),
        }
    }
}

impl From<postgres::Error> for Error {
    fn from(e: postgres::Error) -> Self {
        match e.as_db_error() {
            Some(db) if db.code().code().starts_with("23") => {
                Error::Conflict(format!("{} {}", db.code().code(), db.message()))
            }
            _ => Error::Postgres(e),
        }
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Error::Other(text)
    }
}
