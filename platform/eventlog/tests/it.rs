//! The conformance suite of the event log's contract: the same cases on every transport, with 1, 4
//! and 64 shards. A transport passes it unchanged or is none.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "it/bed.rs"]
mod bed;
#[path = "it/carried.rs"]
mod carried;
#[path = "it/contract.rs"]
mod contract;
#[path = "it/fake.rs"]
mod fake;
#[path = "it/processes.rs"]
mod processes;
