//! One transaction type over two engines: SQLite in a directory, or PostgreSQL.
//!
//! *Owns*: the one writing connection ([`Writer`]), the pool of readers ([`Store`]), the text of
//! every hot statement in both dialects ([`Insert`], [`Update`], [`Select`], [`Delete`], [`Sql`]),
//! the migrations, the checkpoints of SQLite's write-ahead log, and indexes that are filled late
//! ([`late::LateIndex`]).
//!
//! Everything is synchronous. The writer is a plain thread; nothing here may be called on a tokio
//! thread when the engine is PostgreSQL (its driver runs a tokio runtime of its own).
//!
//! The rules that make the two engines one:
//! - A column is BIGINT, TEXT or BYTEA (SQLite: INTEGER, TEXT, BLOB); a value of another kind than
//!   its column's is refused on both.
//! - A text with a NUL character is refused on both (PostgreSQL cannot hold one).
//! - After any statement that failed, the transaction can only be rolled back.
//! - A batch touches each row at most once. PostgreSQL counts a second hit of the same row as no
//!   hit, which the caller sees as a lost race; SQLite would count both.
//! - `sum()` of a BIGINT is NUMERIC on PostgreSQL: write `CAST(sum(x) AS BIGINT)`.

mod bell;
mod checkpoint;
mod directory;
mod dynamic;
mod epoch;
mod error;
pub mod late;
mod migrate;
mod pg;
mod schemas;
mod sqlite;
mod statement;
mod store;
mod tls;
mod tx;
mod value;

pub use bell::Bell;
pub use checkpoint::{Checkpoint, Counters};
pub use error::{Error, Result};
pub use migrate::{Migration, history};
pub use schemas::{Grant, Role};
pub use sea_query;
pub use statement::{Delete, Insert, OnConflict, Select, Sql, Update};
pub use store::{AtCommit, Engine, Location, Options, Side, Store, Writer};
pub use tx::Tx;
pub use value::{Kind, Row, Value};
