//! The whole program from outside: HTTP in, the sandbox's counterparties out.

mod bad_input;
mod crashes;
mod idempotency;
mod rtp;
mod shape;
mod wallets;
