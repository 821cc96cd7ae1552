//! Files and their batches: what rebuilds the bytes, and how far they came.

use std::collections::BTreeMap;

use store::{Error, Insert, Kind, OnConflict, Row, Select, Sql, Tx, Value};

use crate::domain::files::FileState;

/// A file of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    pub number: i64,
    /// Without `.ach`.
    pub name: String,
    pub state: FileState,
    /// The day of its header, `YYYYMMDD`.
    pub day: i64,
    /// Which file of the day it is, from 0.
    pub slot: i64,
    /// Business time of its header.
    pub created: i64,
    /// The numbers of its entries lie between these, both included.
    pub first: i64,
    pub last: i64,
    pub entries: i64,
    /// Cents.
    pub debit: i64,
    pub credit: i64,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub hash: String,
    /// Bytes.
    pub size: i64,
    /// How often it was begun to be sent.
    pub attempts: i64,
    /// Machine time: when it was last begun to be sent.
    pub at: i64,
    /// From then until it was known to be there.
    pub micros: i64,
    /// Machine time of its acknowledgement; 0 before.
    pub heard: i64,
    /// Why it is held, or was refused.
    pub reason: Option<String>,
}

/// A batch of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch {
    pub file: i64,
    /// From 1.
    pub number: i64,
    /// The number of its class.
    pub class: i64,
    /// Business time of its cut-off.
    pub cutoff: i64,
    /// Business time at which it settles, if it was sent in time.
    pub settles: i64,
}

macro_rules! columns {
    () => {
        "SELECT number, name, state, day, slot, created, first, last, entries, debit, credit, \
         hash, size, attempts, at, micros, heard, reason FROM ach_file "
    };
}
const COLUMNS: &[&str] = &[
    "number", "name", "state", "day", "slot", "created", "first", "last", "entries", "debit",
    "credit", "hash", "size", "attempts", "at", "micros", "heard", "reason",
];

static NEW: Insert<18> = Insert::new(
    "ach_file",
    [
        ("number", Kind::Int),
        ("name", Kind::Text),
        ("state", Kind::Int),
        ("day", Kind::Int),
        ("slot", Kind::Int),
        ("created", Kind::Int),
        ("first", Kind::Int),
        ("last", Kind::Int),
        ("entries", Kind::Int),
        ("debit", Kind::Int),
        ("credit", Kind::Int),
        ("hash", Kind::Text),
        ("size", Kind::Int),
        ("attempts", Kind::Int),
        ("at", Kind::Int),
        ("micros", Kind::Int),
        ("heard", Kind::Int),
        ("reason", Kind::Text),
    ],
    OnConflict::None,
);
static NEW_BATCH: Insert<5> = Insert::new(
    "ach_batch",
    [
        ("file", Kind::Int),
        ("number", Kind::Int),
        ("class", Kind::Int),
        ("cutoff", Kind::Int),
        ("settles", Kind::Int),
    ],
    OnConflict::None,
);
static SAVE: Sql = Sql::new(
    "UPDATE ach_file SET state = $1, hash = $2, size = $3, attempts = $4, at = $5, micros = $6, \
     heard = $7, reason = $8 WHERE number = $9 AND state = $10",
);
static NAMED: Select<1> = Select::new("ach_file", COLUMNS, [("name", Kind::Text)]);
static FIND: Sql = Sql::new(concat!(columns!(), "WHERE number = $1"));
static MANY: Select<1> = Select::new("ach_file", COLUMNS, [("number", Kind::Int)]);
static TO_SEND: Sql =
    Sql::new(concat!(columns!(), "WHERE state < $1 AND state < 5 ORDER BY state, number LIMIT $2"));
static NEWEST: Sql = Sql::new(concat!(columns!(), "ORDER BY number DESC LIMIT $1"));
static SENT: Sql = Sql::new("SELECT MAX(at + micros) FROM ach_file WHERE state >= 4 AND at > 0");
static SLOT: Sql = Sql::new("SELECT MAX(slot) FROM ach_file WHERE day = $1");
static BATCHES: Sql = Sql::new(
    "SELECT file, number, class, cutoff, settles FROM ach_batch WHERE file = $1 ORDER BY number",
);

fn file(row: &Row<'_>) -> Result<File, Error> {
    let state = row.int(2)?;
    Ok(File {
        number: row.int(0)?,
        name: row.text(1)?.to_owned(),
        state: FileState::from_number(state)
            .ok_or_else(|| Error::Other(format!("ach_file: no state has number {state}")))?,
        day: row.int(3)?,
        slot: row.int(4)?,
        created: row.int(5)?,
        first: row.int(6)?,
        last: row.int(7)?,
        entries: row.int(8)?,
        debit: row.int(9)?,
        credit: row.int(10)?,
        hash: row.text(11)?.to_owned(),
        size: row.int(12)?,
        attempts: row.int(13)?,
        at: row.int(14)?,
        micros: row.int(15)?,
        heard: row.int(16)?,
        reason: row.opt_text(17)?.map(str::to_owned),
    })
}

/// A new file with its batches.
pub fn insert_file(tx: &mut Tx<'_>, new: &File, batches: &[Batch]) -> Result<(), Error> {
    tx.insert_many(&NEW, [new], |new| {
        [
            Value::Int(new.number),
            Value::Text(&new.name),
            Value::Int(new.state.number()),
            Value::Int(new.day),
            Value::Int(new.slot),
            Value::Int(new.created),
            Value::Int(new.first),
            Value::Int(new.last),
            Value::Int(new.entries),
            Value::Int(new.debit),
            Value::Int(new.credit),
            Value::Text(&new.hash),
            Value::Int(new.size),
            Value::Int(new.attempts),
            Value::Int(new.at),
            Value::Int(new.micros),
            Value::Int(new.heard),
            Value::from(new.reason.as_deref()),
        ]
    })?;
    tx.insert_many(&NEW_BATCH, batches, |batch| {
        [batch.file, batch.number, batch.class, batch.cutoff, batch.settles].map(Value::Int)
    })?;
    Ok(())
}

/// Saves a file where it is still in the state in which it was read; false where it is not.
pub fn save_file(tx: &mut Tx<'_>, before: FileState, new: &File) -> Result<bool, Error> {
    let values = [
        Value::Int(new.state.number()),
        Value::Text(&new.hash),
        Value::Int(new.size),
        Value::Int(new.attempts),
        Value::Int(new.at),
        Value::Int(new.micros),
        Value::Int(new.heard),
        Value::from(new.reason.as_deref()),
        Value::Int(new.number),
        Value::Int(before.number()),
    ];
    Ok(tx.execute(&SAVE, &values)? == 1)
}

/// One file.
pub fn load_file(tx: &mut Tx<'_>, number: i64) -> Result<Option<File>, Error> {
    tx.query_one(&FIND, &[Value::Int(number)], file)
}

/// The files with these numbers.
pub fn list_files(
    tx: &mut Tx<'_>,
    wanted: impl IntoIterator<Item = i64>,
) -> Result<BTreeMap<i64, File>, Error> {
    let found = tx.select_many(&MANY, wanted, |number| [Value::Int(number)], file)?;
    Ok(found.into_iter().map(|file| (file.number, file)).collect())
}

/// The files with these names.
pub fn load_files_named(tx: &mut Tx<'_>, name: &str) -> Result<Option<File>, Error> {
    Ok(tx.select_many(&NAMED, [name], |name| [Value::Text(name)], file)?.pop())
}

/// Files that are below this state, oldest first in each state.
pub fn list_to_send(tx: &mut Tx<'_>, below: FileState, most: usize) -> Result<Vec<File>, Error> {
    let most = i64::try_from(most).expect("a bound of some hundreds");
    let mut found = tx.query(&TO_SEND, &[Value::Int(below.number()), Value::Int(most)], file)?;
    found.sort_unstable_by_key(|file| file.number);
    Ok(found)
}

/// The newest files.
pub fn list_newest_files(tx: &mut Tx<'_>, most: i64) -> Result<Vec<File>, Error> {
    tx.query(&NEWEST, &[Value::Int(most)], file)
}

/// Machine time at which a file was last known to be at the bank.
pub fn last_sent(tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
    Ok(tx.query_one(&SENT, &[], |row| row.opt_int(0))?.flatten())
}

/// The last slot of a day that is taken.
pub fn last_slot(tx: &mut Tx<'_>, day: i64) -> Result<Option<i64>, Error> {
    Ok(tx.query_one(&SLOT, &[Value::Int(day)], |row| row.opt_int(0))?.flatten())
}

/// The batches of a file, in its order.
pub fn list_batches(tx: &mut Tx<'_>, file: i64) -> Result<Vec<Batch>, Error> {
    tx.query(&BATCHES, &[Value::Int(file)], |row| {
        Ok(Batch {
            file: row.int(0)?,
            number: row.int(1)?,
            class: row.int(2)?,
            cutoff: row.int(3)?,
            settles: row.int(4)?,
        })
    })
}
