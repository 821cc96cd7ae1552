//! All migrations of a set of services, in the order in which they are applied, and the rights of
//! each service on what they make.

use contracts::{Endpoint, Event, accounts::KeyCreated};
use store::{Grant, Migration, Role};

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

/// What is not in a service's schema and not an event: every process writes rows of its own there.
const SHARED: [&str; 3] = ["dead_letter", "dead_letter_end", "exchange_commit"];
const WRITE: &str = "SELECT, INSERT, UPDATE, DELETE";

/// A role of the database for each service, and one for each of `others` that only reads what all
/// read. A service has its own tables, reads the events of all, and adds to its own.
pub fn roles(services: &[Wiring], others: &[&'static str]) -> Vec<Role> {
    let topics = topics(services);
    let histories: Vec<String> =
        migrations(services).iter().map(|m| store::history(m.owner)).collect();
    let tables = |name: &'static str, migrations: &[Migration]| {
        let mut grants: Vec<Grant> = eventlog::rights(&topics, name);
        grants.extend(SHARED.iter().map(|table| Grant::Table((*table).to_owned(), WRITE)));
        grants.extend(histories.iter().map(|table| Grant::Table(table.clone(), "SELECT")));
        grants.extend((!migrations.is_empty()).then_some(Grant::All(name)));
        // Keys and accounts: all know them, the process of accounts keeps the tables.
        let keeper = name == contracts::accounts::CreateKey::SERVICE;
        let access = if keeper { Grant::All } else { Grant::Read };
        grants.push(access(access::CONSUMER));
        grants.sort();
        grants.dedup();
        Role { name, grants }
    };
    let own = services.iter().map(|service| tables(service.name, service.migrations));
    own.chain(others.iter().map(|name| tables(name, &[]))).collect()
}
