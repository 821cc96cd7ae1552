//! All SQL of the ACH rail.
//!
//! An entry's key is (bucket, id, tail): id is four times the transfer's ordered part and the leg, so
//! that SQLite appends and PostgreSQL keeps a bucket together. No row has an account number: a file is
//! kept as what rebuilds it, with the hash of its bytes.

mod files;
mod inbound;
mod lease;
mod verify;

use std::collections::BTreeMap;

use contracts::{
    Amount, Currency,
    ids::{PaymentMethodId, TransferId},
    rails::Direction,
};
use store::{Error, Insert, Kind, Migration, OnConflict, Row, Select, Sql, Tx, Update, Value};

use crate::domain::{Entry, Key, State};

pub use files::{
    Batch, File, insert_file, last_sent, last_slot, list_batches, list_newest_files, list_to_send,
    load_file, load_files_named, save_file,
};
pub use inbound::{
    Inbound, Message, Unmatched, exchanges, insert_inbound, insert_messages, insert_unmatched,
    list_newest_inbound, list_unmatched,
};
pub use lease::{Numbers, free_lease, is_held, renew_lease, take_lease, take_numbers};
pub use verify::{Instructed, Standing, verify};

/// The tables.
pub static TABLES: &[&str] = &[
    "ach_entry",
    "ach_file",
    "ach_batch",
    "ach_message",
    "ach_inbound",
    "ach_exception",
    "ach_lease",
];

macro_rules! verifications {
    () => {
        "ALTER TABLE ach_entry ADD COLUMN verifies BIGINT NOT NULL DEFAULT 0;"
    };
}

/// How they are made.
pub static MIGRATIONS: &[Migration] = &[ENTRIES, VERIFICATIONS];

/// Micro-deposits go in batches of their own.
const VERIFICATIONS: Migration = Migration {
    owner: "ach",
    version: 2,
    name: "verifications",
    sqlite: verifications!(),
    postgres: verifications!(),
};

const ENTRIES: Migration = Migration {
    owner: "ach",
    version: 1,
    name: "entries",
    sqlite: "CREATE TABLE ach_entry (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
          bucket INTEGER NOT NULL, state INTEGER NOT NULL, queued INTEGER NOT NULL,
          due INTEGER NOT NULL, inbound INTEGER NOT NULL, currency TEXT NOT NULL,
          amount INTEGER NOT NULL, method BLOB NOT NULL, version INTEGER NOT NULL,
          file INTEGER NOT NULL, batch INTEGER NOT NULL, number INTEGER NOT NULL,
          rdfi INTEGER NOT NULL, messages INTEGER NOT NULL, code TEXT, trace BLOB);
        CREATE INDEX ach_entry_open ON ach_entry (state, due) WHERE state < 3;
        CREATE UNIQUE INDEX ach_entry_number ON ach_entry (number) WHERE number > 0;
        CREATE TABLE ach_file (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
          state INTEGER NOT NULL, day INTEGER NOT NULL, slot INTEGER NOT NULL,
          created INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
          entries INTEGER NOT NULL, debit INTEGER NOT NULL, credit INTEGER NOT NULL,
          hash TEXT NOT NULL, size INTEGER NOT NULL, attempts INTEGER NOT NULL,
          at INTEGER NOT NULL, micros INTEGER NOT NULL, heard INTEGER NOT NULL, reason TEXT);
        CREATE UNIQUE INDEX ach_file_slot ON ach_file (day, slot);
        CREATE INDEX ach_file_open ON ach_file (state, number) WHERE state < 5;
        CREATE TABLE ach_batch (file INTEGER NOT NULL, number INTEGER NOT NULL,
          class INTEGER NOT NULL, cutoff INTEGER NOT NULL, settles INTEGER NOT NULL,
          PRIMARY KEY (file, number)) WITHOUT ROWID;
        CREATE TABLE ach_message (id INTEGER NOT NULL, number INTEGER NOT NULL,
          tail INTEGER NOT NULL, bucket INTEGER NOT NULL, name TEXT NOT NULL,
          at INTEGER NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (id, number)) WITHOUT ROWID;
        CREATE TABLE ach_inbound (hash TEXT PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL,
          applied INTEGER NOT NULL, apart INTEGER NOT NULL, fault TEXT) WITHOUT ROWID;
        CREATE TABLE ach_exception (number INTEGER PRIMARY KEY, at INTEGER NOT NULL,
          file TEXT NOT NULL, trace TEXT NOT NULL, code TEXT NOT NULL, amount INTEGER NOT NULL,
          why TEXT NOT NULL);
        CREATE TABLE ach_lease (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL,
          expires INTEGER NOT NULL, number INTEGER NOT NULL, file INTEGER NOT NULL,
          exception INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO ach_lease (name, epoch, expires, number, file, exception)
          VALUES ('ach', 0, 0, 0, 0, 0);",
    postgres: "CREATE TABLE ach_entry (id BIGINT NOT NULL, tail BIGINT NOT NULL,
          bucket BIGINT NOT NULL, state BIGINT NOT NULL, queued BIGINT NOT NULL,
          due BIGINT NOT NULL, inbound BIGINT NOT NULL, currency TEXT NOT NULL,
          amount BIGINT NOT NULL, method BYTEA NOT NULL, version BIGINT NOT NULL,
          file BIGINT NOT NULL, batch BIGINT NOT NULL, number BIGINT NOT NULL,
          rdfi BIGINT NOT NULL, messages BIGINT NOT NULL, code TEXT, trace BYTEA,
          PRIMARY KEY (bucket, id, tail));
        CREATE INDEX ach_entry_open ON ach_entry (state, due) WHERE state < 3;
        CREATE UNIQUE INDEX ach_entry_number ON ach_entry (number) WHERE number > 0;
        CREATE TABLE ach_file (number BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE,
          state BIGINT NOT NULL, day BIGINT NOT NULL, slot BIGINT NOT NULL,
          created BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
          entries BIGINT NOT NULL, debit BIGINT NOT NULL, credit BIGINT NOT NULL,
          hash TEXT NOT NULL, size BIGINT NOT NULL, attempts BIGINT NOT NULL,
          at BIGINT NOT NULL, micros BIGINT NOT NULL, heard BIGINT NOT NULL, reason TEXT);
        CREATE UNIQUE INDEX ach_file_slot ON ach_file (day, slot);
        CREATE INDEX ach_file_open ON ach_file (state, number) WHERE state < 5;
        CREATE TABLE ach_batch (file BIGINT NOT NULL, number BIGINT NOT NULL,
          class BIGINT NOT NULL, cutoff BIGINT NOT NULL, settles BIGINT NOT NULL,
          PRIMARY KEY (file, number));
        CREATE TABLE ach_message (id BIGINT NOT NULL, number BIGINT NOT NULL,
          tail BIGINT NOT NULL, bucket BIGINT NOT NULL, name TEXT NOT NULL, at BIGINT NOT NULL,
          outcome TEXT NOT NULL, PRIMARY KEY (bucket, id, tail, number));
        CREATE TABLE ach_inbound (hash TEXT PRIMARY KEY, name TEXT NOT NULL, at BIGINT NOT NULL,
          applied BIGINT NOT NULL, apart BIGINT NOT NULL, fault TEXT);
        CREATE TABLE ach_exception (number BIGINT PRIMARY KEY, at BIGINT NOT NULL,
          file TEXT NOT NULL, trace TEXT NOT NULL, code TEXT NOT NULL, amount BIGINT NOT NULL,
          why TEXT NOT NULL);
        CREATE TABLE ach_lease (name TEXT PRIMARY KEY, epoch BIGINT NOT NULL,
          expires BIGINT NOT NULL, number BIGINT NOT NULL, file BIGINT NOT NULL,
          exception BIGINT NOT NULL);
        INSERT INTO ach_lease (name, epoch, expires, number, file, exception)
          VALUES ('ach', 0, 0, 0, 0, 0);",
};

/// The columns of an entry, in the order in which [`entry`] reads them.
const COLUMNS: &[&str] = &[
    "id", "tail", "state", "queued", "due", "inbound", "currency", "amount", "method", "version",
    "file", "batch", "number", "rdfi", "messages", "code", "trace", "verifies",
];
macro_rules! columns {
    () => {
        "SELECT id, tail, state, queued, due, inbound, currency, amount, method, version, file, \
         batch, number, rdfi, messages, code, trace, verifies FROM ach_entry "
    };
}
use columns;

static NEW: Insert<19> = Insert::new(
    "ach_entry",
    [
        ("id", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("state", Kind::Int),
        ("queued", Kind::Int),
        ("due", Kind::Int),
        ("inbound", Kind::Int),
        ("currency", Kind::Text),
        ("amount", Kind::Int),
        ("method", Kind::Blob),
        ("version", Kind::Int),
        ("file", Kind::Int),
        ("batch", Kind::Int),
        ("number", Kind::Int),
        ("rdfi", Kind::Int),
        ("messages", Kind::Int),
        ("code", Kind::Text),
        ("trace", Kind::Blob),
        ("verifies", Kind::Int),
    ],
    OnConflict::None,
);
static SAVE: Update<4, 9> = Update::new(
    "ach_entry",
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int), ("state", Kind::Int)],
    [
        ("state", Kind::Int),
        ("queued", Kind::Int),
        ("due", Kind::Int),
        ("file", Kind::Int),
        ("batch", Kind::Int),
        ("number", Kind::Int),
        ("rdfi", Kind::Int),
        ("messages", Kind::Int),
        ("code", Kind::Text),
    ],
);
const THREE: [(&str, Kind); 3] = [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int)];
static FIND: Select<3> = Select::new("ach_entry", COLUMNS, THREE);
static NUMBERED: Select<1> = Select::new("ach_entry", COLUMNS, [("number", Kind::Int)]);
// Written with the indexes' own conditions, so that they are used.
static DUE: Sql =
    Sql::new(concat!(columns!(), "WHERE state = $1 AND state < 3 ORDER BY due LIMIT $2"));
static READY_BY: Sql = Sql::new(concat!(
    columns!(),
    "WHERE state = 0 AND state < 3 AND due <= $1 ORDER BY due LIMIT $2"
));
static READY_AFTER: Sql =
    Sql::new("SELECT MIN(due) FROM ach_entry WHERE state = 0 AND state < 3 AND due > $1");
static BETWEEN: Sql = Sql::new(concat!(
    columns!(),
    "WHERE number >= $1 AND number <= $2 AND number > 0 ORDER BY number"
));
static BEFORE: Sql =
    Sql::new("SELECT count(*) FROM ach_entry WHERE state = 0 AND state < 3 AND due < $1");
static COUNT: Sql = Sql::new("SELECT count(*) FROM ach_entry WHERE state = $1 AND state < 3");
static FORCE: Sql = Sql::new(
    "UPDATE ach_entry SET due = $1, queued = -1 WHERE state = 0 AND state < 3 AND queued >= 0",
);

fn id_of(row: i64, leg: u8) -> i64 {
    row * 4 + i64::from(leg)
}

fn keys(key: Key) -> [Value<'static>; 3] {
    let transfer = key.transfer;
    [
        Value::from(transfer.bucket()),
        Value::Int(id_of(transfer.row(), key.leg)),
        Value::Int(transfer.tail()),
    ]
}

fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    let id = row.int(0)?;
    let transfer = TransferId::from_parts(id.div_euclid(4), row.int(1)?);
    let leg = u8::try_from(id.rem_euclid(4)).expect("below 4");
    let state = row.int(2)?;
    let state = State::from_number(state)
        .ok_or_else(|| Error::Other(format!("ach_entry: no state has number {state}")))?;
    let currency = Currency::new(row.text(6)?)
        .ok_or_else(|| Error::Other("ach_entry: no such currency".to_owned()))?;
    let trace = match row.opt_blob(16)? {
        Some(_) => Some(row.bytes::<24>(16)?),
        None => None,
    };
    Ok(Entry {
        key: Key { transfer, leg },
        state,
        queued: row.int(3)?,
        due: row.int(4)?,
        direction: if row.int(5)? == 0 { Direction::Out } else { Direction::In },
        amount: Amount::new(row.int(7)?, currency),
        method: PaymentMethodId(uuid::Uuid::from_bytes(row.bytes(8)?)),
        version: row.int(9)?,
        file: row.int(10)?,
        batch: row.int(11)?,
        number: row.int(12)?,
        rdfi: row.int(13)?,
        messages: row.int(14)?,
        code: row.opt_text(15)?.map(str::to_owned),
        trace,
        verifies: row.bool(17)?,
    })
}

/// The entries with these keys.
pub fn load_many(
    tx: &mut Tx<'_>,
    wanted: impl IntoIterator<Item = Key>,
) -> Result<BTreeMap<Key, Entry>, Error> {
    let found = tx.select_many(&FIND, wanted, keys, entry)?;
    Ok(found.into_iter().map(|entry| (entry.key, entry)).collect())
}

/// The entries with these numbers.
pub fn load_numbered(
    tx: &mut Tx<'_>,
    wanted: impl IntoIterator<Item = i64>,
) -> Result<Vec<Entry>, Error> {
    // All that were never claimed have number 0.
    let wanted = wanted.into_iter().filter(|number| *number > 0);
    tx.select_many(&NUMBERED, wanted, |number| [Value::Int(number)], entry)
}

/// The entries of a file, in its order.
pub fn list_of_file(tx: &mut Tx<'_>, file: &File) -> Result<Vec<Entry>, Error> {
    let found = tx.query(&BETWEEN, &[Value::Int(file.first), Value::Int(file.last)], entry)?;
    Ok(found.into_iter().filter(|entry| entry.file == file.number).collect())
}

/// New entries; their keys are known to be free.
pub fn insert_many(tx: &mut Tx<'_>, new: &[Entry]) -> Result<(), Error> {
    tx.insert_many(&NEW, new, |new| {
        let [bucket, id, tail] = keys(new.key);
        [
            id,
            tail,
            bucket,
            Value::Int(new.state.number()),
            Value::Int(new.queued),
            Value::Int(new.due),
            Value::Int(i64::from(new.direction == Direction::In)),
            Value::Text(new.amount.currency.as_str()),
            Value::Int(new.amount.value),
            Value::Blob(new.method.as_bytes()),
            Value::Int(new.version),
            Value::Int(new.file),
            Value::Int(new.batch),
            Value::Int(new.number),
            Value::Int(new.rdfi),
            Value::Int(new.messages),
            Value::from(new.code.as_deref()),
            new.trace.as_ref().map_or(Value::Null, |trace| Value::Blob(trace)),
            new.verifies.into(),
        ]
    })?;
    Ok(())
}

/// Saves each where it is still in the state in which it was read; an error where one is not: another
/// process was faster, and the batch is decided again on what is there then.
pub fn save_many(tx: &mut Tx<'_>, changed: &[(State, Entry)]) -> Result<(), Error> {
    let hits = tx.update_many(&SAVE, changed, |(expected, new)| {
        let [bucket, id, tail] = keys(new.key);
        let sets = [
            Value::Int(new.state.number()),
            Value::Int(new.queued),
            Value::Int(new.due),
            Value::Int(new.file),
            Value::Int(new.batch),
            Value::Int(new.number),
            Value::Int(new.rdfi),
            Value::Int(new.messages),
            Value::from(new.code.as_deref()),
        ];
        ([bucket, id, tail, Value::Int(expected.number())], sets)
    })?;
    if hits == changed.len() as u64 {
        Ok(())
    } else {
        Err(Error::Other("another process changed an entry meanwhile".to_owned()))
    }
}

/// Those in a state, the earliest due first.
pub fn list_due(tx: &mut Tx<'_>, state: State, most: usize) -> Result<Vec<Entry>, Error> {
    assert!(state.is_open(), "only open ones are in the index");
    let most = i64::try_from(most).expect("a bound of some thousands");
    tx.query(&DUE, &[Value::Int(state.number()), Value::Int(most)], entry)
}

/// Those collected whose cut-off is at or before a business time, the earliest first, and when the next
/// one is. What is collected for later is not read: it may be a day's.
pub fn list_ready(
    tx: &mut Tx<'_>,
    business: i64,
    most: usize,
) -> Result<(Vec<Entry>, Option<i64>), Error> {
    let most = i64::try_from(most).expect("a bound of some thousands");
    let due = tx.query(&READY_BY, &[Value::Int(business), Value::Int(most)], entry)?;
    let next = tx.query_one(&READY_AFTER, &[Value::Int(business)], |row| row.opt_int(0))?;
    Ok((due, next.flatten()))
}

/// How many are in a state.
pub fn count(tx: &mut Tx<'_>, state: State) -> Result<u64, Error> {
    let count = tx.query_one(&COUNT, &[Value::Int(state.number())], |row| row.int(0))?;
    Ok(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
}

/// How many are before this one among those that are collected.
pub fn count_before(tx: &mut Tx<'_>, due: i64) -> Result<u64, Error> {
    let count = tx.query_one(&BEFORE, &[Value::Int(due)], |row| row.int(0))?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Makes the cut-off of all that are collected now; how many that were. They wait for no cut-off of
/// their own any more, which is what a `queued` below 0 says.
pub fn force(tx: &mut Tx<'_>, now: i64) -> Result<u64, Error> {
    tx.execute(&FORCE, &[Value::Int(now)])
}
