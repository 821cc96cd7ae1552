//! All migrations of a set of services, in the order in which they are applied.

use store::Migration;

use crate::{access, dead_letters, exchanges, service::Wiring};

/// The migrations of the platform's own tables and of these services.
pub fn migrations(services: &[Wiring]) -> Vec<Migration> {
    let topics: Vec<&'static str> = services.iter().map(|service| service.name).collect();
    let mut all = eventlog::migrations(&topics);
    all.extend_from_slice(access::MIGRATIONS);
    all.extend_from_slice(exchanges::MIGRATIONS);
    all.extend_from_slice(dead_letters::MIGRATIONS);
    for service in services {
        all.extend_from_slice(service.migrations);
    }
    all
}
