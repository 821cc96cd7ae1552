//! The whole program from outside: HTTP in, the sandbox's counterparties out.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod bad_input;
mod crashes;
mod idempotency;
mod rtp;
mod shape;
mod wallets;
