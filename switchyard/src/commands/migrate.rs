//! `migrate`: creates or upgrades the schema of a PostgreSQL database.

use crate::{cli::Migrate, compose, exit::Outcome};

/// Applies what is missing, and says how much that was.
pub fn run(arguments: &Migrate) -> Outcome {
    let (applied, shards) = compose::migrate(&arguments.database, arguments.shards)?;
    let made = compose::make_topics(shards, &arguments.kafka)?;
    if made > 0 {
        super::print(&format!("{made} topics made\n"));
    }
    super::print(&match applied {
        0 => format!("the schema is current; shards: {shards}\n"),
        1 => format!("1 migration applied; shards: {shards}\n"),
        _ => format!("{applied} migrations applied; shards: {shards}\n"),
    });
    Ok(())
}
