//! Migrations, by refinery; each owner (a service) counts its own versions in a table of its own.

use crate::tx::Line;
use crate::{Engine, Error, Result, schemas};
use std::collections::{BTreeMap, BTreeSet};

/// One step of one owner's schema, in both texts. A step that was released is never changed.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The service or crate, in lower case.
    pub owner: &'static str,
    /// From 1, without gaps.
    pub version: u32,
    /// What it does, `like_this`.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL.
    pub postgres: &'static str,
}

/// Migrations of several processes queue here (PostgreSQL's advisory locks; any fixed number).
const LOCK: i64 = 0x5377_7463_6879_6172;

/// The name of the table that says which steps an owner's schema has taken.
pub fn history(owner: &str) -> String {
    format!("schema_{}", owner.replace('-', "_"))
}

fn by_owner(all: &[Migration]) -> BTreeMap<&'static str, Vec<Migration>> {
    let mut owners: BTreeMap<_, Vec<Migration>> = BTreeMap::new();
    for migration in all {
        owners.entry(migration.owner).or_default().push(*migration);
    }
    owners
}

/// Brings the schema up to date; returns the number of steps that were applied.
pub(crate) fn run(line: &mut Line, all: &[Migration]) -> Result<usize> {
    if let Line::Postgres(pg) = line {
        // A new index of a large table takes what it takes.
        pg.simple("SET statement_timeout = 0; SET lock_timeout = 0")?;
        pg.simple(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    }
    let result = run_locked(line, all);
    if let Line::Postgres(pg) = line {
        pg.simple(&format!("SELECT pg_advisory_unlock({LOCK})"))?;
    }
    result
}

fn run_locked(line: &mut Line, all: &[Migration]) -> Result<usize> {
    let owners = by_owner(all);
    // Every owner is checked before the first is changed.
    for (owner, steps) in &owners {
        refuse_newer(owner, steps, &applied(line, owner)?)?;
    }
    let mut count = 0;
    for (owner, steps) in &owners {
        let failed = |e: refinery::Error| Error::Migration(format!("{owner}: {e}"));
        let mut list = Vec::with_capacity(steps.len());
        for step in steps {
            let text = match line {
                Line::Sqlite(_) => step.sqlite,
                Line::Postgres(_) => step.postgres,
            };
            let name = format!("V{}__{}", step.version, step.name);
            list.push(refinery::Migration::unapplied(&name, text).map_err(failed)?);
        }
        let mut runner = refinery::Runner::new(&list);
        runner.set_migration_table_name(history(owner));
        let report = match line {
            Line::Sqlite(conn) => runner.run(conn),
            Line::Postgres(pg) => runner.run(pg.client()),
        };
        count += report.map_err(failed)?.applied_migrations().len();
    }
    if let Line::Postgres(pg) = line {
        schemas::settle(pg, &owners.into_keys().collect())?;
    }
    Ok(count)
}

/// True when every step is applied; an error when the database is of a newer version.
pub(crate) fn is_current(line: &mut Line, all: &[Migration]) -> Result<bool> {
    for (owner, steps) in by_owner(all) {
        let applied = applied(line, owner)?;
        refuse_newer(owner, &steps, &applied)?;
        if !steps.iter().all(|step| applied.contains(&i64::from(step.version))) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn refuse_newer(owner: &str, steps: &[Migration], applied: &BTreeSet<i64>) -> Result<()> {
    let known = steps.iter().map(|step| i64::from(step.version)).max().unwrap_or(0);
    match applied.last() {
        Some(&found) if found > known => Err(Error::Newer { owner: owner.into(), found, known }),
        _ => Ok(()),
    }
}

/// The versions that the database has.
fn applied(line: &mut Line, owner: &str) -> Result<BTreeSet<i64>> {
    let table = history(owner);
    let versions = format!("SELECT version FROM {table}");
    match line {
        Line::Sqlite(conn) => {
            let there = conn
                .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1")?
                .exists([&table])?;
            if !there {
                return Ok(BTreeSet::new());
            }
            let mut statement = conn.prepare(&versions)?;
            let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        }
        Line::Postgres(pg) => {
            let found = pg.client().query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])?;
            if !found.try_get::<_, bool>(0)? {
                return Ok(BTreeSet::new());
            }
            let rows = pg.client().query(&versions, &[])?;
            rows.iter().map(|row| Ok(i64::from(row.try_get::<_, i32>(0)?))).collect()
        }
    }
}

impl Line {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Line::Sqlite(_) => Engine::Sqlite,
            Line::Postgres(_) => Engine::Postgres,
        }
    }
}
