//! The ledger alone: fed with events by stand-ins, on SQLite and (where
//! `SWITCHYARD_TEST_POSTGRES` names one) PostgreSQL, with 1, 4 and 64 shards.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

#[path = "it/api.rs"]
mod api;
#[path = "it/corruption.rs"]
mod corruption;
#[path = "it/harness.rs"]
mod harness;
#[path = "it/movements.rs"]
mod movements;
