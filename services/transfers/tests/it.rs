//! transfers alone: its API over a store in a temporary directory, its neighbours as stand-ins.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails here")]

#[path = "it/doubles.rs"]
mod doubles;
#[path = "it/harness.rs"]
mod harness;
#[path = "it/idempotency.rs"]
mod idempotency;
#[path = "it/invariants.rs"]
mod invariants;
#[path = "it/lists.rs"]
mod lists;
#[path = "it/micro_deposits.rs"]
mod micro_deposits;
#[path = "it/refunds.rs"]
mod refunds;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/statuses.rs"]
mod statuses;
#[path = "it/timelines.rs"]
mod timelines;
