//! The conformance suite: the same cases on SQLite and, when `SWITCHYARD_TEST_POSTGRES` holds the
//! URL of a database, on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "it/bed.rs"]
mod bed;
#[path = "it/directory.rs"]
mod directory;
#[path = "it/engine.rs"]
mod engine;
#[path = "it/late.rs"]
mod late;
#[path = "it/log.rs"]
mod log;
#[path = "it/schema.rs"]
mod schema;
#[path = "it/tls.rs"]
mod tls;
