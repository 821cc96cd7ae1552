//! All migrations of a set of services, in the order in which they are applied.

use contracts::{Event, accounts::KeyCreated};
use store::Migration;

use crate::{access, dead_letters, exchanges, service::Wiring};

/// The topics that these services write or read; keys and accounts are read by all.
pub(crate) fn topics(services: &[Wiring]) -> Vec<&'static str> {
    let own = services.iter().map(|service| service.name).filter(|name| *name != access::CONSUMER);
    let read = services.iter().flat_map(|service| &service.handlers);
    let read = read.flat_map(|handler| handler.topics.iter().copied());
    let mut all: Vec<&'static str> =
        own.chain(read).chain(KeyCreated::EMITTERS.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The migrations of the platform's own tables and of these services.
pub fn migrations(services: &[Wiring]) -> Vec<Migration> {
    let mut all = eventlog::migrations(&topics(services));
    all.extend_from_slice(access::MIGRATIONS);
    all.extend_from_slice(exchanges::MIGRATIONS);
    all.extend_from_slice(dead_letters::MIGRATIONS);
    for service in services {
        all.extend_from_slice(service.migrations);
    }
    all
}
