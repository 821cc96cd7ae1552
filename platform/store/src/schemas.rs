//! PostgreSQL: each owner's tables in a schema of their own, and roles that may use them.
//!
//! The platform's own tables (events, positions, histories of migrations) stay in the schema that the
//! connection was given, `public` if none. Tables that are named after the owner of their migrations
//! (`ledger_posting`) live beside it, in `switchyard_ledger` or `SCHEMA_ledger`. Names are unique over
//! all of them, so statements need not say the schema.

use crate::pg::Pg;
use crate::{Error, Result};
use std::collections::BTreeSet;

/// What a role may do, and with what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// Everything with the tables of an owner that has a schema of its own.
    All(&'static str),
    /// To read the tables of an owner that has a schema of its own.
    Read(&'static str),
    /// These privileges on one of the platform's own tables or sequences.
    Table(String, &'static str),
}

/// A role with what it may do; it cannot log in by itself.
#[derive(Clone, Debug)]
pub struct Role {
    /// What follows the installation's name: a service.
    pub name: &'static str,
    pub grants: Vec<Grant>,
}

/// The comment of a schema with one owner's tables; the platform's own schema follows.
const MARK: &str = "switchyard: the tables of one service, beside schema ";
/// The longest name that PostgreSQL keeps whole.
const NAME_MOST: usize = 63;

/// Lets statements find the tables of every schema that this connection's role may use.
pub(crate) fn find(pg: &mut Pg) -> Result<()> {
    let path = "SELECT set_config('search_path', string_agg(quote_ident(name), ', ' \
         ORDER BY place, name), false) \
         FROM (SELECT current_schema()::text AS name, 0 AS place UNION ALL \
               SELECT nspname::text, 1 FROM pg_namespace JOIN pg_description \
               ON objoid = pg_namespace.oid AND classoid = 'pg_namespace'::regclass \
               WHERE description = $1 || current_schema()) AS found \
         HAVING count(*) > 1";
    pg.client().query(path, &[&MARK]).map(drop).map_err(Error::from)
}

/// The schema that the connection was given, where the platform's own tables are.
fn platform(pg: &mut Pg) -> Result<String> {
    let found: Option<String> =
        pg.client().query_one("SELECT current_schema()::text", &[])?.try_get(0)?;
    found.ok_or_else(|| Error::Migration("the schema of the search path is not there".into()))
}

/// What the names of an installation's schemas and roles begin with.
fn installation(platform: &str) -> &str {
    if platform == "public" { "switchyard" } else { platform }
}

/// The name of a schema or role.
fn name(platform: &str, owner: &str) -> Result<String> {
    let name = format!("{}_{}", installation(platform), owner.replace('-', "_"));
    match name.len() {
        0..=NAME_MOST => Ok(name),
        _ => Err(Error::Migration(format!("{name}: longer than {NAME_MOST} bytes"))),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Moves what is named after one of these owners into the owner's schema.
pub(crate) fn settle(pg: &mut Pg, owners: &BTreeSet<&'static str>) -> Result<()> {
    let platform = platform(pg)?;
    for owner in owners {
        let prefix = format!("{}_", owner.replace('-', "_"));
        let tables = pg.client().query(
            "SELECT tablename::text FROM pg_tables \
             WHERE schemaname = $1 AND starts_with(tablename, $2)",
            &[&platform, &prefix],
        )?;
        if tables.is_empty() {
            continue;
        }
        let schema = name(&platform, owner)?;
        let mark = format!("{MARK}{platform}").replace('\'', "''");
        let mut text = format!(
            "BEGIN; CREATE SCHEMA IF NOT EXISTS {0}; COMMENT ON SCHEMA {0} IS '{mark}';",
            quoted(&schema)
        );
        for row in tables {
            let table = quoted(row.try_get(0)?);
            let (from, to) = (quoted(&platform), quoted(&schema));
            text.push_str(&format!("ALTER TABLE {from}.{table} SET SCHEMA {to};"));
        }
        text.push_str("COMMIT");
        pg.simple(&text).inspect_err(|_| pg.simple("ROLLBACK").unwrap_or_default())?;
    }
    find(pg)
}

/// Makes the roles that are missing and gives each what it may do; the names of all, whole.
pub(crate) fn grant(pg: &mut Pg, roles: &[Role]) -> Result<Vec<String>> {
    let platform = platform(pg)?;
    let mut names = Vec::with_capacity(roles.len());
    let mut text = String::from("BEGIN;");
    for role in roles {
        let whole = name(&platform, role.name)?;
        let there = "SELECT 1 FROM pg_roles WHERE rolname = $1";
        if pg.client().query_opt(there, &[&whole])?.is_none() {
            text.push_str(&format!("CREATE ROLE {} NOLOGIN;", quoted(&whole)));
        }
        let usage = format!("GRANT USAGE ON SCHEMA {} TO {};", quoted(&platform), quoted(&whole));
        text.push_str(&usage);
        for grant in &role.grants {
            text.push_str(&granted(&platform, grant, &quoted(&whole))?);
        }
        names.push(whole);
    }
    text.push_str("COMMIT");
    pg.simple(&text).inspect_err(|_| pg.simple("ROLLBACK").unwrap_or_default())?;
    Ok(names)
}

fn granted(platform: &str, grant: &Grant, role: &str) -> Result<String> {
    let (owner, rights) = match grant {
        Grant::All(owner) => (owner, "SELECT, INSERT, UPDATE, DELETE"),
        Grant::Read(owner) => (owner, "SELECT"),
        Grant::Table(table, rights) => {
            let platform = quoted(platform);
            return Ok(format!("GRANT {rights} ON {platform}.{} TO {role};", quoted(table)));
        }
    };
    let schema = quoted(&name(platform, owner)?);
    Ok(format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role};"
    ))
}
