//! Which processes share the work of a service now: rows that each renews, by the database's clock,
//! and a lock that the database gives up with the connection of a process that died.
//!
//! Who shares which shards is only a hint to keep processes out of each other's way: what keeps a
//! shard's effects single is the compare-and-set on its position.

use store::{Sql, Tx, Value};

static NUMBER: Sql = Sql::new("SELECT nextval('process_number')");
static JOIN: Sql = Sql::new(
    "INSERT INTO member (service, process, until) \
     VALUES ($1, $2, now() + $3::bigint * interval '1 millisecond') \
     ON CONFLICT (service, process) DO UPDATE SET until = excluded.until",
);
static EXPIRE: Sql = Sql::new("DELETE FROM member WHERE until < now()");
static LEAVE: Sql = Sql::new("DELETE FROM member WHERE process = $1");
static MEMBERS: Sql = Sql::new(
    "SELECT service, process FROM member WHERE until >= now() AND EXISTS ( \
     SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid::bigint = process \
     AND classid::bigint = hashtext(current_schema())::bigint & 4294967295) \
     ORDER BY service, process",
);
static ALIVE: Sql = Sql::new(
    "SELECT pg_try_advisory_lock(hashtext(current_schema()), $1::bigint::int)::text \
     WHERE NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 \
     AND objid::bigint = $1 AND pid = pg_backend_pid())",
);

static CLOCK: Sql = Sql::new("SELECT value FROM installation WHERE name = 'clock_offset'");
static MOVE_CLOCK: Sql = Sql::new(
    "INSERT INTO installation (name, value) VALUES ('clock_offset', $1) ON CONFLICT (name) \
     DO UPDATE SET value = greatest(installation.value, excluded.value)",
);

/// By how many microseconds the business clock of the installation is ahead of the machine's.
pub fn clock_offset(tx: &mut Tx<'_>) -> store::Result<i64> {
    Ok(tx.query_one(&CLOCK, &[], |row| row.int(0))?.unwrap_or(0))
}

/// Moves the business clock of the installation ahead; it never goes back.
pub fn move_clock(tx: &mut Tx<'_>, offset: i64) -> store::Result<()> {
    tx.execute(&MOVE_CLOCK, &[Value::Int(offset)]).map(drop)
}

/// One process's part in one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub service: String,
    pub process: i64,
}

/// A number that no other process on this database has or had.
pub fn process_number(tx: &mut Tx<'_>) -> store::Result<i64> {
    let number = tx.query_one(&NUMBER, &[], |row| row.int(0))?;
    number.ok_or_else(|| store::Error::Other("a sequence gave no number".to_owned()))
}

/// Takes part in these services for so long from now on, as long as this connection lives, and ends
/// the parts of those that have not been heard of.
pub fn join(tx: &mut Tx<'_>, process: i64, services: &[&str], millis: i64) -> store::Result<()> {
    tx.execute(&EXPIRE, &[])?;
    tx.query(&ALIVE, &[Value::Int(process)], |_| Ok(()))?;
    for service in services {
        let values = [Value::Text(service), Value::Int(process), Value::Int(millis)];
        tx.execute(&JOIN, &values)?;
    }
    Ok(())
}

/// Takes no part any more.
pub fn leave(tx: &mut Tx<'_>, process: i64) -> store::Result<()> {
    tx.execute(&LEAVE, &[Value::Int(process)]).map(drop)
}

/// Who takes part in what, in the order in which shares are dealt out.
pub fn members(tx: &mut Tx<'_>) -> store::Result<Vec<Member>> {
    tx.query(&MEMBERS, &[], |row| {
        Ok(Member { service: row.text(0)?.to_string(), process: row.int(1)? })
    })
}
