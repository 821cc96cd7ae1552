//! `migrate`: creates or upgrades the schema of a PostgreSQL database.

use crate::{cli::Migrate, compose, exit::Outcome};

/// Applies what is missing, and says how much that was.
pub fn run(arguments: &Migrate) -> Outcome {
    let compose::Migrated { applied, shards, roles, lives } = compose::migrate(arguments)?;
    let made = compose::make_topics(shards, &arguments.kafka)?;
    if made > 0 {
        super::print(&format!("{made} topics made\n"));
    }
    if lives > 0 {
        super::print(&format!(
            "{lives} topics begin a new life: what brokers hold of a later state is left alone\n"
        ));
    }
    if !roles.is_empty() {
        super::print(&format!("roles: {}\n", roles.join(", ")));
    }
    super::print(&match applied {
        0 => format!("the schema is current; shards: {shards}\n"),
        1 => format!("1 migration applied; shards: {shards}\n"),
        _ => format!("{applied} migrations applied; shards: {shards}\n"),
    });
    Ok(())
}
