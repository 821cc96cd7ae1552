//! The lease on the bank's folders, and the counters that only its holder raises.

use contracts::Timestamp;
use store::{Engine, Error, Sql, Tx, Value};

static TAKE: Sql =
    Sql::new("UPDATE ach_lease SET epoch = epoch + 1, expires = $1 WHERE expires <= $2");
static RENEW: Sql = Sql::new("UPDATE ach_lease SET expires = $1 WHERE epoch = $2");
static EPOCH: Sql = Sql::new("SELECT epoch FROM ach_lease WHERE name = $1");
static FREE: Sql = Sql::new("UPDATE ach_lease SET expires = 0 WHERE name = $1");
static NUMBERS: Sql = Sql::new("SELECT number, file, exception FROM ach_lease WHERE name = $1");
static SET: Sql =
    Sql::new("UPDATE ach_lease SET number = $1, file = $2, exception = $3 WHERE name = $4");

/// The last numbers given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers {
    pub entry: i64,
    pub file: i64,
    pub exception: i64,
}

/// Gives numbers: `next` says what the last ones are then.
pub fn take_numbers(
    tx: &mut Tx<'_>,
    next: impl FnOnce(Numbers) -> Numbers,
) -> Result<Numbers, Error> {
    let before = tx.query_one(&NUMBERS, &[Value::Text("ach")], |row| {
        Ok(Numbers { entry: row.int(0)?, file: row.int(1)?, exception: row.int(2)? })
    })?;
    let before = before.ok_or_else(|| Error::Other("ach_lease: its row is gone".to_owned()))?;
    let after = next(before);
    if after != before {
        let [entry, file, exception] = [after.entry, after.file, after.exception].map(Value::Int);
        tx.execute(&SET, &[entry, file, exception, Value::Text("ach")])?;
    }
    Ok(before)
}

/// Takes the lease where it expired before `free_before`; the epoch if it is ours now.
pub fn take_lease(
    tx: &mut Tx<'_>,
    expires: Timestamp,
    free_before: Timestamp,
) -> Result<Option<i64>, Error> {
    if tx.execute(&TAKE, &[Value::Int(expires.0), Value::Int(free_before.0)])? == 0 {
        return Ok(None);
    }
    tx.query_one(&EPOCH, &[Value::Text("ach")], |row| row.int(0))
}

/// Renews the lease; false where another holder took it.
pub fn renew_lease(tx: &mut Tx<'_>, expires: Timestamp, epoch: i64) -> Result<bool, Error> {
    Ok(tx.execute(&RENEW, &[Value::Int(expires.0), Value::Int(epoch)])? == 1)
}

/// Whether the lease is still the one of this epoch.
pub fn is_held(tx: &mut Tx<'_>, epoch: i64) -> Result<bool, Error> {
    let there = tx.query_one(&EPOCH, &[Value::Text("ach")], |row| row.int(0))?;
    Ok(there == Some(epoch))
}

/// Frees the lease of a process that is gone: on the embedded engine the lock on the directory says
/// that there is no other.
pub fn free_lease(tx: &mut Tx<'_>) -> Result<(), Error> {
    if tx.engine() == Engine::Sqlite {
        tx.execute(&FREE, &[Value::Text("ach")])?;
    }
    Ok(())
}
