//! Which processes share the work of a service now: rows that each renews, by the database's clock.
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
static MEMBERS: Sql =
    Sql::new("SELECT service, process FROM member WHERE until >= now() ORDER BY service, process");

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

/// Takes part in these services for so long from now on, and ends the parts of those that have not
/// been heard of.
pub fn join(tx: &mut Tx<'_>, process: i64, services: &[&str], millis: i64) -> store::Result<()> {
    tx.execute(&EXPIRE, &[])?;
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
