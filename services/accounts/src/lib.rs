//! accounts: who takes part, what each may do, and by which keys it proves who it is.
//!
//! *Owns*: accounts, capabilities, API keys (only their hash).
//! *Answers*: `/accounts`, `/accounts/{accountID}`, its capabilities, `/operations/keys`.
//! *Handles*: nothing.
//! *Emits*: `account.created`, `capability.updated`, `key.created`, `key.revoked`, in the commit of
//! the write that caused them; the other services know keys and accounts by these alone.
//! *Never*: keeps a secret that can be read again, or answers another service's question about a
//! key or an account.

mod domain;
mod events;
mod http;
mod store;

use std::sync::Arc;

use contracts::accounts::{
    AccountCreated, CapabilityUpdated, CreateAccount, CreateKey, GetAccount, GetCapability,
    KeyCreated, KeyRevoked, ListAccounts, ListCapabilities, ListKeys, RequestCapabilities,
    RevokeKey,
};
use runtime::{Service, Tier};

pub use http::{Bootstrap, Bootstrapped};

/// How this service runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Accounts are shown with the mode `sandbox`; otherwise `production`.
    pub sandbox: bool,
}

/// The service's state: it keeps nothing in memory but its configuration.
pub struct Accounts {
    mode: &'static str,
}

/// The service with its wiring.
pub fn service(config: Config) -> Service<Accounts> {
    let mode = if config.sandbox { "sandbox" } else { "production" };
    Service::new("accounts", Tier::Service, Arc::new(Accounts { mode }))
        .tables(store::TABLES, store::MIGRATIONS)
        .answers::<CreateAccount>()
        .answers::<ListAccounts>()
        .answers::<GetAccount>()
        .answers::<RequestCapabilities>()
        .answers::<ListCapabilities>()
        .answers::<GetCapability>()
        .answers::<CreateKey>()
        .answers::<ListKeys>()
        .answers::<RevokeKey>()
        .commits::<Bootstrap>()
        .commits::<http::NewAccount>()
        .commits::<http::NewCapabilities>()
        .commits::<http::NewKey>()
        .commits::<http::EndKey>()
        .emits::<AccountCreated>()
        .emits::<CapabilityUpdated>()
        .emits::<KeyCreated>()
        .emits::<KeyRevoked>()
}
