//! All SQL of the card rail.
//!
//! An instruction's key is (bucket, id, tail): id is four times the transfer's ordered part and the
//! leg, so that SQLite appends and PostgreSQL keeps a bucket together.

mod messages;
mod settlements;
mod verify;

use std::collections::BTreeMap;

use contracts::{
    Amount, Currency, Timestamp,
    ids::{AccountId, PaymentMethodId, TransferId},
    rails::Direction,
};
use store::{
    Engine, Error, Insert, Kind, Migration, OnConflict, Row, Select, Sql, Tx, Update, Value,
};

use crate::domain::{Instruction, Key, State};

pub use messages::{Recorded, Unmatched, exchanges, insert_messages, insert_unmatched};
pub use settlements::{
    Exception, File, covered, find_file, insert_exceptions, insert_file, list_exceptions,
    list_missed, list_newest_files, save_file,
};
pub use verify::{Instructed, Standing, verify};

/// The tables.
pub static TABLES: &[&str] = &[
    "card_instruction",
    "card_message",
    "card_unmatched",
    "card_lease",
    "card_settlement",
    "card_exception",
];

/// How they are made.
pub static MIGRATIONS: &[Migration] = &[INSTRUCTIONS, SETTLEMENTS];

macro_rules! settlements {
    ($integer:literal) => {
        concat!(
            "CREATE INDEX card_instruction_unsettled ON card_instruction (created) WHERE state = 4;
        CREATE TABLE card_settlement (hash TEXT PRIMARY KEY, name TEXT NOT NULL, at ",
            $integer,
            " NOT NULL, since ",
            $integer,
            " NOT NULL, until ",
            $integer,
            " NOT NULL, applied ",
            $integer,
            " NOT NULL, apart ",
            $integer,
            " NOT NULL, done ",
            $integer,
            " NOT NULL, fault TEXT);
        CREATE TABLE card_exception (at ",
            $integer,
            " NOT NULL, file TEXT NOT NULL,
          reference TEXT NOT NULL, amount ",
            $integer,
            " NOT NULL, why TEXT NOT NULL);
        CREATE INDEX card_exception_at ON card_exception (at);"
        )
    };
}

/// What is paid is matched with the host's settlement files.
const SETTLEMENTS: Migration = Migration {
    owner: "card",
    version: 2,
    name: "settlements",
    sqlite: settlements!("INTEGER"),
    postgres: settlements!("BIGINT"),
};

const INSTRUCTIONS: Migration = Migration {
    owner: "card",
    version: 1,
    name: "instructions",
    sqlite: "CREATE TABLE card_instruction (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
          bucket INTEGER NOT NULL, state INTEGER NOT NULL, queued INTEGER NOT NULL,
          due INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
          reversals INTEGER NOT NULL, messages INTEGER NOT NULL, inbound INTEGER NOT NULL,
          currency TEXT NOT NULL, amount INTEGER NOT NULL, method BLOB NOT NULL,
          version INTEGER NOT NULL, merchant BLOB NOT NULL, number INTEGER NOT NULL,
          created INTEGER NOT NULL, reversal INTEGER NOT NULL, reversed INTEGER NOT NULL,
          unknown_there INTEGER NOT NULL, code TEXT, trace BLOB);
        CREATE INDEX card_instruction_open ON card_instruction (state, due) WHERE state < 4;
        CREATE TABLE card_message (id INTEGER NOT NULL, number INTEGER NOT NULL,
          tail INTEGER NOT NULL, bucket INTEGER NOT NULL, name TEXT NOT NULL,
          at INTEGER NOT NULL, micros INTEGER NOT NULL, answered TEXT,
          outcome TEXT NOT NULL, PRIMARY KEY (id, number)) WITHOUT ROWID;
        CREATE TABLE card_unmatched (at INTEGER NOT NULL, name TEXT NOT NULL,
          reference TEXT NOT NULL, code TEXT NOT NULL, why TEXT NOT NULL);
        CREATE INDEX card_unmatched_at ON card_unmatched (at);
        CREATE TABLE card_lease (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL,
          expires INTEGER NOT NULL, number INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO card_lease (name, epoch, expires, number) VALUES ('card', 0, 0, 0);",
    postgres: "CREATE TABLE card_instruction (id BIGINT NOT NULL, tail BIGINT NOT NULL,
          bucket BIGINT NOT NULL, state BIGINT NOT NULL, queued BIGINT NOT NULL,
          due BIGINT NOT NULL, attempt BIGINT NOT NULL, epoch BIGINT NOT NULL,
          reversals BIGINT NOT NULL, messages BIGINT NOT NULL, inbound BIGINT NOT NULL,
          currency TEXT NOT NULL, amount BIGINT NOT NULL, method BYTEA NOT NULL,
          version BIGINT NOT NULL, merchant BYTEA NOT NULL, number BIGINT NOT NULL,
          created BIGINT NOT NULL, reversal BIGINT NOT NULL, reversed BIGINT NOT NULL,
          unknown_there BIGINT NOT NULL, code TEXT, trace BYTEA,
          PRIMARY KEY (bucket, id, tail));
        CREATE INDEX card_instruction_open ON card_instruction (state, due) WHERE state < 4;
        CREATE TABLE card_message (id BIGINT NOT NULL, number BIGINT NOT NULL,
          tail BIGINT NOT NULL, bucket BIGINT NOT NULL, name TEXT NOT NULL, at BIGINT NOT NULL,
          micros BIGINT NOT NULL, answered TEXT, outcome TEXT NOT NULL,
          PRIMARY KEY (bucket, id, tail, number));
        CREATE TABLE card_unmatched (at BIGINT NOT NULL, name TEXT NOT NULL,
          reference TEXT NOT NULL, code TEXT NOT NULL, why TEXT NOT NULL);
        CREATE INDEX card_unmatched_at ON card_unmatched (at);
        CREATE TABLE card_lease (name TEXT PRIMARY KEY, epoch BIGINT NOT NULL,
          expires BIGINT NOT NULL, number BIGINT NOT NULL);
        INSERT INTO card_lease (name, epoch, expires, number) VALUES ('card', 0, 0, 0);",
};

/// The columns of an instruction, in the order in which [`instruction`] reads them.
const COLUMNS: &[&str] = &[
    "id",
    "tail",
    "state",
    "queued",
    "due",
    "attempt",
    "epoch",
    "reversals",
    "messages",
    "inbound",
    "currency",
    "amount",
    "method",
    "version",
    "merchant",
    "number",
    "created",
    "reversal",
    "reversed",
    "unknown_there",
    "code",
    "trace",
];
macro_rules! columns {
    () => {
        "SELECT id, tail, state, queued, due, attempt, epoch, reversals, messages, inbound, \
         currency, amount, method, version, merchant, number, created, reversal, reversed, \
         unknown_there, code, trace FROM card_instruction "
    };
}
use columns;

static NEW: Insert<23> = Insert::new(
    "card_instruction",
    [
        ("id", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("state", Kind::Int),
        ("queued", Kind::Int),
        ("due", Kind::Int),
        ("attempt", Kind::Int),
        ("epoch", Kind::Int),
        ("reversals", Kind::Int),
        ("messages", Kind::Int),
        ("inbound", Kind::Int),
        ("currency", Kind::Text),
        ("amount", Kind::Int),
        ("method", Kind::Blob),
        ("version", Kind::Int),
        ("merchant", Kind::Blob),
        ("number", Kind::Int),
        ("created", Kind::Int),
        ("reversal", Kind::Int),
        ("reversed", Kind::Int),
        ("unknown_there", Kind::Int),
        ("code", Kind::Text),
        ("trace", Kind::Blob),
    ],
    OnConflict::None,
);
static SAVE: Update<4, 12> = Update::new(
    "card_instruction",
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int), ("state", Kind::Int)],
    [
        ("state", Kind::Int),
        ("due", Kind::Int),
        ("attempt", Kind::Int),
        ("epoch", Kind::Int),
        ("reversals", Kind::Int),
        ("messages", Kind::Int),
        ("number", Kind::Int),
        ("created", Kind::Int),
        ("reversal", Kind::Int),
        ("reversed", Kind::Int),
        ("unknown_there", Kind::Int),
        ("code", Kind::Text),
    ],
);
const THREE: [(&str, Kind); 3] = [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int)];
static FIND: Select<3> = Select::new("card_instruction", COLUMNS, THREE);
// Written with the index's own condition, so that it is used.
static DUE: Sql =
    Sql::new(concat!(columns!(), "WHERE state = $1 AND state < 4 ORDER BY due LIMIT $2"));
static BEFORE: Sql =
    Sql::new("SELECT count(*) FROM card_instruction WHERE state = 0 AND state < 4 AND due < $1");
static COUNTS: Sql =
    Sql::new("SELECT state, count(*) FROM card_instruction WHERE state < 4 GROUP BY state");
static OPEN: Sql = Sql::new(concat!(columns!(), "WHERE state < 4 ORDER BY queued LIMIT $1"));
static GONE: Sql =
    Sql::new("UPDATE card_instruction SET state = 2, due = $1 WHERE state = 1 AND state < 4");
static TAKE: Sql =
    Sql::new("UPDATE card_lease SET epoch = epoch + 1, expires = $1 WHERE expires <= $2");
static RENEW: Sql = Sql::new("UPDATE card_lease SET expires = $1 WHERE epoch = $2");
static EPOCH: Sql = Sql::new("SELECT epoch FROM card_lease WHERE name = $1");
static FREE: Sql = Sql::new("UPDATE card_lease SET expires = 0 WHERE name = $1");
static NUMBERS: Sql = Sql::new("UPDATE card_lease SET number = number + $1 WHERE name = $2");
static NUMBER: Sql = Sql::new("SELECT number FROM card_lease WHERE name = $1");

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

fn instruction(row: &Row<'_>) -> Result<Instruction, Error> {
    let id = row.int(0)?;
    let transfer = TransferId::from_parts(id.div_euclid(4), row.int(1)?);
    let leg = u8::try_from(id.rem_euclid(4)).expect("below 4");
    let state = row.int(2)?;
    let state = State::from_number(state)
        .ok_or_else(|| Error::Other(format!("card_instruction: no state has number {state}")))?;
    let currency = Currency::new(row.text(10)?)
        .ok_or_else(|| Error::Other("card_instruction: no such currency".to_owned()))?;
    let trace = match row.opt_blob(21)? {
        Some(_) => Some(row.bytes::<24>(21)?),
        None => None,
    };
    Ok(Instruction {
        key: Key { transfer, leg },
        state,
        queued: row.int(3)?,
        due: row.int(4)?,
        attempt: row.int(5)?,
        epoch: row.int(6)?,
        reversals: row.int(7)?,
        messages: row.int(8)?,
        direction: if row.int(9)? == 0 { Direction::Out } else { Direction::In },
        amount: Amount::new(row.int(11)?, currency),
        method: PaymentMethodId(uuid::Uuid::from_bytes(row.bytes(12)?)),
        version: row.int(13)?,
        merchant: AccountId(uuid::Uuid::from_bytes(row.bytes(14)?)),
        number: row.int(15)?,
        created: row.int(16)?,
        reversal: row.int(17)?,
        reversed: row.int(18)?,
        unknown_there: row.int(19)? != 0,
        code: row.opt_text(20)?.map(str::to_owned),
        trace,
    })
}

/// The instructions with these keys.
pub fn load_many(
    tx: &mut Tx<'_>,
    wanted: impl IntoIterator<Item = Key>,
) -> Result<BTreeMap<Key, Instruction>, Error> {
    let found = tx.select_many(&FIND, wanted, keys, instruction)?;
    Ok(found.into_iter().map(|instruction| (instruction.key, instruction)).collect())
}

/// New instructions; their keys are known to be free.
pub fn insert_many(tx: &mut Tx<'_>, new: &[Instruction]) -> Result<(), Error> {
    tx.insert_many(&NEW, new, |new| {
        let [bucket, id, tail] = keys(new.key);
        [
            id,
            tail,
            bucket,
            Value::Int(new.state.number()),
            Value::Int(new.queued),
            Value::Int(new.due),
            Value::Int(new.attempt),
            Value::Int(new.epoch),
            Value::Int(new.reversals),
            Value::Int(new.messages),
            Value::Int(i64::from(new.direction == Direction::In)),
            Value::Text(new.amount.currency.as_str()),
            Value::Int(new.amount.value),
            Value::Blob(new.method.as_bytes()),
            Value::Int(new.version),
            Value::Blob(new.merchant.as_bytes()),
            Value::Int(new.number),
            Value::Int(new.created),
            Value::Int(new.reversal),
            Value::Int(new.reversed),
            Value::Int(i64::from(new.unknown_there)),
            Value::from(new.code.as_deref()),
            new.trace.as_ref().map_or(Value::Null, |trace| Value::Blob(trace)),
        ]
    })?;
    Ok(())
}

/// Saves each where it is still in the state in which it was read; an error where one is not: another
/// process was faster, and the batch is decided again on what is there then.
pub fn save_many(tx: &mut Tx<'_>, changed: &[(State, Instruction)]) -> Result<(), Error> {
    let hits = tx.update_many(&SAVE, changed, |(expected, new)| {
        let [bucket, id, tail] = keys(new.key);
        let sets = [
            Value::Int(new.state.number()),
            Value::Int(new.due),
            Value::Int(new.attempt),
            Value::Int(new.epoch),
            Value::Int(new.reversals),
            Value::Int(new.messages),
            Value::Int(new.number),
            Value::Int(new.created),
            Value::Int(new.reversal),
            Value::Int(new.reversed),
            Value::Int(i64::from(new.unknown_there)),
            Value::from(new.code.as_deref()),
        ];
        ([bucket, id, tail, Value::Int(expected.number())], sets)
    })?;
    if hits == changed.len() as u64 {
        Ok(())
    } else {
        Err(Error::Other("another process changed an instruction meanwhile".to_owned()))
    }
}

/// Those in a state, the earliest due first.
pub fn list_due(tx: &mut Tx<'_>, state: State, most: usize) -> Result<Vec<Instruction>, Error> {
    assert!(!state.is_final(), "only open ones are in the index");
    let most = i64::try_from(most).expect("a bound of some hundreds");
    tx.query(&DUE, &[Value::Int(state.number()), Value::Int(most)], instruction)
}

/// How many there are in each state that is not final.
pub fn count_open(tx: &mut Tx<'_>) -> Result<BTreeMap<i64, u64>, Error> {
    let counts =
        tx.query(&COUNTS, &[], |row| Ok((row.int(0)?, u64::try_from(row.int(1)?).unwrap_or(0))))?;
    Ok(counts.into_iter().collect())
}

/// Those that are not final, the longest waiting first.
pub fn list_open(tx: &mut Tx<'_>, most: usize) -> Result<Vec<Instruction>, Error> {
    let most = i64::try_from(most).expect("a bound of some dozens");
    tx.query(&OPEN, &[Value::Int(most)], instruction)
}

/// How many are before this one in the queue.
pub fn count_before(tx: &mut Tx<'_>, due: i64) -> Result<u64, Error> {
    let count = tx.query_one(&BEFORE, &[Value::Int(due)], |row| row.int(0))?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(0))
}

/// So many numbers for messages, the first of them; none was ever given before.
pub fn take_numbers(tx: &mut Tx<'_>, count: usize) -> Result<i64, Error> {
    let count = i64::try_from(count).expect("a batch of some hundreds");
    tx.execute(&NUMBERS, &[Value::Int(count), Value::Text("card")])?;
    let last = tx.query_one(&NUMBER, &[Value::Text("card")], |row| row.int(0))?;
    let last = last.ok_or_else(|| Error::Other("card_lease: its row is gone".to_owned()))?;
    Ok(last - count + 1)
}

/// Takes the lease where it expired before `free_before`; the epoch if it is ours now. What an
/// earlier holder claimed is to be reversed: it may have sent it.
pub fn take_lease(
    tx: &mut Tx<'_>,
    expires: Timestamp,
    free_before: Timestamp,
    now: Timestamp,
) -> Result<Option<i64>, Error> {
    if tx.execute(&TAKE, &[Value::Int(expires.0), Value::Int(free_before.0)])? == 0 {
        return Ok(None);
    }
    tx.execute(&GONE, &[Value::Int(now.0)])?;
    tx.query_one(&EPOCH, &[Value::Text("card")], |row| row.int(0))
}

/// Renews the lease; false where another holder took it.
pub fn renew_lease(tx: &mut Tx<'_>, expires: Timestamp, epoch: i64) -> Result<bool, Error> {
    Ok(tx.execute(&RENEW, &[Value::Int(expires.0), Value::Int(epoch)])? == 1)
}

/// Whether the lease is still the one of this epoch.
pub fn is_held(tx: &mut Tx<'_>, epoch: i64) -> Result<bool, Error> {
    let there = tx.query_one(&EPOCH, &[Value::Text("card")], |row| row.int(0))?;
    Ok(there == Some(epoch))
}

/// Frees the lease of a process that is gone: on the embedded engine the lock on the directory says
/// that there is no other.
pub fn free_lease(tx: &mut Tx<'_>) -> Result<(), Error> {
    if tx.engine() == Engine::Sqlite {
        tx.execute(&FREE, &[Value::Text("card")])?;
    }
    Ok(())
}
