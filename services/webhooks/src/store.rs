//! Every SQL statement of webhooks.

use std::collections::BTreeMap;

use contracts::ids::AccountId;
use store::{Insert, Kind, Migration, OnConflict, Result, Select, Sql, Tx, Value};

use crate::domain::Entry;

pub static MIGRATIONS: &[Migration] = &[Migration {
    owner: "webhooks",
    version: 1,
    name: "feed",
    sqlite: "CREATE TABLE webhooks_feed (account BLOB NOT NULL, sequence INTEGER NOT NULL,
          topic TEXT NOT NULL, shard INTEGER NOT NULL, place INTEGER NOT NULL,
          PRIMARY KEY (account, sequence)) WITHOUT ROWID;
        CREATE TABLE webhooks_counter (account BLOB PRIMARY KEY, last INTEGER NOT NULL)
          WITHOUT ROWID;",
    postgres: "CREATE TABLE webhooks_feed (account BYTEA NOT NULL, sequence BIGINT NOT NULL,
          topic TEXT NOT NULL, shard BIGINT NOT NULL, place BIGINT NOT NULL,
          PRIMARY KEY (account, sequence));
        CREATE TABLE webhooks_counter (account BYTEA PRIMARY KEY, last BIGINT NOT NULL);",
}];

static FEED: Insert<5> = Insert::new(
    "webhooks_feed",
    [
        ("account", Kind::Blob),
        ("sequence", Kind::Int),
        ("topic", Kind::Text),
        ("shard", Kind::Int),
        ("place", Kind::Int),
    ],
    OnConflict::None,
);
static COUNTER: Insert<2> = Insert::new(
    "webhooks_counter",
    [("account", Kind::Blob), ("last", Kind::Int)],
    OnConflict::Update { key: &["account"], set: &["last"] },
);
static COUNTERS: Select<1> =
    Select::new("webhooks_counter", &["account", "last"], [("account", Kind::Blob)]);
static PAGE: Sql = Sql::new(
    "SELECT sequence, topic, shard, place FROM webhooks_feed \
     WHERE account = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
);
static GAPS: Sql = Sql::new(
    "SELECT c.account, c.last, count(f.sequence), coalesce(max(f.sequence), 0) \
     FROM webhooks_counter c LEFT JOIN webhooks_feed f ON f.account = c.account \
     GROUP BY c.account, c.last",
);

fn account(row: &store::Row<'_>, column: usize) -> Result<AccountId> {
    AccountId::from_slice(row.blob(column)?)
        .ok_or_else(|| store::Error::Other("an account id has 16 bytes".to_owned()))
}

/// The last number of each of these accounts; those without a feed are left out.
pub fn load_counters(tx: &mut Tx<'_>, accounts: &[AccountId]) -> Result<BTreeMap<AccountId, i64>> {
    let rows = tx.select_many(
        &COUNTERS,
        accounts,
        |account| [Value::Blob(account.as_bytes())],
        |row| Ok((account(row, 0)?, row.int(1)?)),
    )?;
    Ok(rows.into_iter().collect())
}

/// Writes entries, sorted, and the new last numbers.
pub fn insert_entries(
    tx: &mut Tx<'_>,
    entries: &[Entry],
    last: &BTreeMap<AccountId, i64>,
) -> Result<()> {
    tx.insert_many(&FEED, entries, |entry| {
        [
            Value::Blob(entry.account.as_bytes()),
            Value::Int(entry.sequence),
            Value::Text(entry.topic),
            Value::Int(i64::from(entry.shard)),
            Value::Int(entry.place),
        ]
    })?;
    tx.insert_many(&COUNTER, last, |(account, last)| {
        [Value::Blob(account.as_bytes()), Value::Int(*last)]
    })?;
    Ok(())
}

/// One row of a page: number, topic, shard, place.
pub type Row = (i64, String, u32, i64);

/// A page of one feed after a number.
pub fn list_entries(tx: &mut Tx<'_>, of: AccountId, after: i64, count: i64) -> Result<Vec<Row>> {
    let key = [Value::Blob(of.as_bytes()), Value::Int(after), Value::Int(count)];
    tx.query(&PAGE, &key, |row| {
        let shard = u32::try_from(row.int(2)?).unwrap_or(u32::MAX);
        Ok((row.int(0)?, row.text(1)?.to_owned(), shard, row.int(3)?))
    })
}

/// Each feed is gapless: as many rows as its last number. Returns what was counted and the faults.
pub fn verify(tx: &mut Tx<'_>) -> Result<(u64, Vec<String>)> {
    let rows =
        tx.query(&GAPS, &[], |row| Ok((account(row, 0)?, row.int(1)?, row.int(2)?, row.int(3)?)))?;
    let faults = rows
        .iter()
        .filter(|(_, last, count, max)| last != count || last != max)
        .map(|(account, last, count, _)| {
            format!("feed of {account}: {count} events where the last number is {last}")
        })
        .collect();
    Ok((rows.len() as u64, faults))
}
