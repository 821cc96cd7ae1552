//! All SQL of the RTP rail.
//!
//! An instruction's key is (bucket, id, tail): id is four times the transfer's ordered part and the
//! leg, so that SQLite appends and PostgreSQL keeps a bucket together.

mod verify;

use std::collections::BTreeMap;

use contracts::{
    Amount, Currency, Timestamp,
    exchanges::{Exchange, ExchangeKind},
    ids::{AccountId, PaymentMethodId, TransferId},
};
use store::{
    Engine, Error, Insert, Kind, Migration, OnConflict, Row, Select, Sql, Tx, Update, Value,
};

use crate::{
    domain::{Instruction, Key, State},
    wire::Place,
};

pub use verify::{Instructed, Standing, verify};

/// Messages recorded for one instruction at most; a flood of posted reports adds no more.
const MESSAGES_MOST: i64 = 64;
/// Unmatched reports kept at most, the newest.
const UNMATCHED_MOST: i64 = 1_000;

/// The tables.
pub static TABLES: &[&str] = &["rtp_instruction", "rtp_message", "rtp_unmatched", "rtp_lease"];

/// How they are made.
pub static MIGRATIONS: &[Migration] = &[Migration {
    owner: "rtp",
    version: 1,
    name: "instructions",
    sqlite: "CREATE TABLE rtp_instruction (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
          bucket INTEGER NOT NULL, state INTEGER NOT NULL, queued INTEGER NOT NULL,
          due INTEGER NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
          asked INTEGER NOT NULL, messages INTEGER NOT NULL, currency TEXT NOT NULL,
          amount INTEGER NOT NULL, method BLOB NOT NULL, version INTEGER NOT NULL,
          source BLOB NOT NULL, created INTEGER NOT NULL, sent INTEGER NOT NULL,
          receiver TEXT NOT NULL, code TEXT, trace BLOB);
        CREATE INDEX rtp_instruction_open ON rtp_instruction (state, due) WHERE state < 4;
        CREATE TABLE rtp_message (id INTEGER NOT NULL, number INTEGER NOT NULL,
          tail INTEGER NOT NULL, bucket INTEGER NOT NULL, name TEXT NOT NULL,
          at INTEGER NOT NULL, bytes INTEGER NOT NULL, micros INTEGER NOT NULL,
          answer_bytes INTEGER, outcome TEXT NOT NULL, PRIMARY KEY (id, number)) WITHOUT ROWID;
        CREATE TABLE rtp_unmatched (at INTEGER NOT NULL, reference TEXT NOT NULL,
          status TEXT NOT NULL, why TEXT NOT NULL);
        CREATE INDEX rtp_unmatched_at ON rtp_unmatched (at);
        CREATE TABLE rtp_lease (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL,
          expires INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO rtp_lease (name, epoch, expires) VALUES ('rtp', 0, 0);",
    postgres: "CREATE TABLE rtp_instruction (id BIGINT NOT NULL, tail BIGINT NOT NULL,
          bucket BIGINT NOT NULL, state BIGINT NOT NULL, queued BIGINT NOT NULL,
          due BIGINT NOT NULL, attempt BIGINT NOT NULL, epoch BIGINT NOT NULL,
          asked BIGINT NOT NULL, messages BIGINT NOT NULL, currency TEXT NOT NULL,
          amount BIGINT NOT NULL, method BYTEA NOT NULL, version BIGINT NOT NULL,
          source BYTEA NOT NULL, created BIGINT NOT NULL, sent BIGINT NOT NULL,
          receiver TEXT NOT NULL, code TEXT, trace BYTEA, PRIMARY KEY (bucket, id, tail));
        CREATE INDEX rtp_instruction_open ON rtp_instruction (state, due) WHERE state < 4;
        CREATE TABLE rtp_message (id BIGINT NOT NULL, number BIGINT NOT NULL,
          tail BIGINT NOT NULL, bucket BIGINT NOT NULL, name TEXT NOT NULL, at BIGINT NOT NULL,
          bytes BIGINT NOT NULL, micros BIGINT NOT NULL, answer_bytes BIGINT,
          outcome TEXT NOT NULL, PRIMARY KEY (bucket, id, tail, number));
        CREATE TABLE rtp_unmatched (at BIGINT NOT NULL, reference TEXT NOT NULL,
          status TEXT NOT NULL, why TEXT NOT NULL);
        CREATE INDEX rtp_unmatched_at ON rtp_unmatched (at);
        CREATE TABLE rtp_lease (name TEXT PRIMARY KEY, epoch BIGINT NOT NULL,
          expires BIGINT NOT NULL);
        INSERT INTO rtp_lease (name, epoch, expires) VALUES ('rtp', 0, 0);",
}];

/// The columns of an instruction, in the order in which [`instruction`] reads them.
const COLUMNS: &[&str] = &[
    "id", "tail", "state", "queued", "due", "attempt", "epoch", "asked", "messages", "currency",
    "amount", "method", "version", "source", "created", "sent", "receiver", "code", "trace",
];
macro_rules! columns {
    () => {
        "SELECT id, tail, state, queued, due, attempt, epoch, asked, messages, currency, amount, \
         method, version, source, created, sent, receiver, code, trace FROM rtp_instruction "
    };
}
use columns;

static NEW: Insert<20> = Insert::new(
    "rtp_instruction",
    [
        ("id", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("state", Kind::Int),
        ("queued", Kind::Int),
        ("due", Kind::Int),
        ("attempt", Kind::Int),
        ("epoch", Kind::Int),
        ("asked", Kind::Int),
        ("messages", Kind::Int),
        ("currency", Kind::Text),
        ("amount", Kind::Int),
        ("method", Kind::Blob),
        ("version", Kind::Int),
        ("source", Kind::Blob),
        ("created", Kind::Int),
        ("sent", Kind::Int),
        ("receiver", Kind::Text),
        ("code", Kind::Text),
        ("trace", Kind::Blob),
    ],
    OnConflict::None,
);
static SAVE: Update<4, 10> = Update::new(
    "rtp_instruction",
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int), ("state", Kind::Int)],
    [
        ("state", Kind::Int),
        ("due", Kind::Int),
        ("attempt", Kind::Int),
        ("epoch", Kind::Int),
        ("asked", Kind::Int),
        ("messages", Kind::Int),
        ("created", Kind::Int),
        ("sent", Kind::Int),
        ("receiver", Kind::Text),
        ("code", Kind::Text),
    ],
);
static FIND: Select<3> = Select::new(
    "rtp_instruction",
    COLUMNS,
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int)],
);
static AT: Sql = Sql::new(concat!(columns!(), "WHERE bucket = $1 AND id = $2"));
// The second condition is the index's own: SQLite uses a partial index only where it stands there.
static DUE: Sql =
    Sql::new(concat!(columns!(), "WHERE state = $1 AND state < 4 ORDER BY due LIMIT $2"));
static BEFORE: Sql =
    Sql::new("SELECT count(*) FROM rtp_instruction WHERE state = 0 AND state < 4 AND due < $1");
static COUNTS: Sql =
    Sql::new("SELECT state, count(*) FROM rtp_instruction WHERE state < 4 GROUP BY state");
static OPEN: Sql =
    Sql::new(concat!(columns!(), "WHERE state < 4 ORDER BY state DESC, due LIMIT $1"));
static GONE: Sql =
    Sql::new("UPDATE rtp_instruction SET state = 2, due = $1 WHERE state = 1 AND state < 4");
static NEW_MESSAGE: Insert<10> = Insert::new(
    "rtp_message",
    [
        ("id", Kind::Int),
        ("number", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("name", Kind::Text),
        ("at", Kind::Int),
        ("bytes", Kind::Int),
        ("micros", Kind::Int),
        ("answer_bytes", Kind::Int),
        ("outcome", Kind::Text),
    ],
    OnConflict::None,
);
static MESSAGES: Sql = Sql::new(
    "SELECT name, at, bytes, micros, answer_bytes, outcome FROM rtp_message \
     WHERE bucket = $1 AND id >= $2 AND id <= $3 AND tail = $4 ORDER BY id, number",
);
static UNMATCHED: Sql =
    Sql::new("INSERT INTO rtp_unmatched (at, reference, status, why) VALUES ($1, $2, $3, $4)");
static PRUNE: Sql = Sql::new(
    "DELETE FROM rtp_unmatched WHERE at < \
     (SELECT at FROM rtp_unmatched ORDER BY at DESC LIMIT 1 OFFSET $1)",
);
static TAKE: Sql =
    Sql::new("UPDATE rtp_lease SET epoch = epoch + 1, expires = $1 WHERE expires <= $2");
static RENEW: Sql = Sql::new("UPDATE rtp_lease SET expires = $1 WHERE epoch = $2");
static EPOCH: Sql = Sql::new("SELECT epoch FROM rtp_lease WHERE name = $1");
static FREE: Sql = Sql::new("UPDATE rtp_lease SET expires = 0 WHERE name = $1");

/// A message that went out, or came in unasked, with what came of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `pacs.008`, `pacs.028`, or `pacs.002` for one that came to our own address.
    pub name: &'static str,
    /// Machine time of its first byte.
    pub at: Timestamp,
    pub bytes: usize,
    /// Until the answer's last byte, or until it was given up.
    pub micros: u64,
    /// Size of the answer, where there was one.
    pub answer_bytes: Option<usize>,
    /// `ACTC`, `RJCT AC04`, `no answer`, `refused the connection`.
    pub outcome: String,
}

/// A report that fits nothing, or contradicts what is final.
pub struct Unmatched<'a> {
    pub at: Timestamp,
    pub reference: &'a str,
    pub status: &'a str,
    pub why: &'a str,
}

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
        .ok_or_else(|| Error::Other(format!("rtp_instruction: no state has number {state}")))?;
    let currency = Currency::new(row.text(9)?)
        .ok_or_else(|| Error::Other("rtp_instruction: no such currency".to_owned()))?;
    let trace = match row.opt_blob(18)? {
        Some(_) => Some(row.bytes::<24>(18)?),
        None => None,
    };
    Ok(Instruction {
        key: Key { transfer, leg },
        state,
        queued: row.int(3)?,
        due: row.int(4)?,
        attempt: row.int(5)?,
        epoch: row.int(6)?,
        asked: row.int(7)?,
        messages: row.int(8)?,
        amount: Amount::new(row.int(10)?, currency),
        method: PaymentMethodId(uuid::Uuid::from_bytes(row.bytes(11)?)),
        version: row.int(12)?,
        source: AccountId(uuid::Uuid::from_bytes(row.bytes(13)?)),
        created: row.int(14)?,
        sent: row.int(15)?,
        receiver: row.text(16)?.to_owned(),
        code: row.opt_text(17)?.map(str::to_owned),
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
            Value::Int(new.asked),
            Value::Int(new.messages),
            Value::Text(new.amount.currency.as_str()),
            Value::Int(new.amount.value),
            Value::Blob(new.method.as_bytes()),
            Value::Int(new.version),
            Value::Blob(new.source.as_bytes()),
            Value::Int(new.created),
            Value::Int(new.sent),
            Value::Text(&new.receiver),
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
            Value::Int(new.asked),
            Value::Int(new.messages),
            Value::Int(new.created),
            Value::Int(new.sent),
            Value::Text(&new.receiver),
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

/// Those that are not final: first what the network was told of, then by when they are due.
pub fn list_open(tx: &mut Tx<'_>, most: usize) -> Result<Vec<Instruction>, Error> {
    let most = i64::try_from(most).expect("a bound of some dozens");
    tx.query(&OPEN, &[Value::Int(most)], instruction)
}

/// Those stored at a place: one, or a few that share their ordered part.
pub fn list_at(tx: &mut Tx<'_>, place: Place) -> Result<Vec<Instruction>, Error> {
    let at = [Value::from(place.bucket), Value::Int(id_of(place.row, place.leg))];
    tx.query(&AT, &at, instruction)
}

/// How many are before this one in the queue.
pub fn count_before(tx: &mut Tx<'_>, due: i64) -> Result<u64, Error> {
    let count = tx.query_one(&BEFORE, &[Value::Int(due)], |row| row.int(0))?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Records messages; each instruction's count is raised, and saved by the caller.
pub fn insert_messages(
    tx: &mut Tx<'_>,
    of: &mut BTreeMap<Key, Instruction>,
    messages: &[(Key, &Recorded)],
) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(messages.len());
    for (key, message) in messages {
        let Some(instruction) = of.get_mut(key) else { continue };
        if instruction.messages < MESSAGES_MOST {
            instruction.messages += 1;
            rows.push((*key, instruction.messages, *message));
        }
    }
    let size = |bytes: usize| Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX));
    tx.insert_many(&NEW_MESSAGE, rows, |(key, number, message)| {
        let [bucket, id, tail] = keys(key);
        [
            id,
            Value::Int(number),
            tail,
            bucket,
            Value::Text(message.name),
            Value::Int(message.at.0),
            size(message.bytes),
            Value::Int(i64::try_from(message.micros).unwrap_or(i64::MAX)),
            message.answer_bytes.map_or(Value::Null, size),
            Value::Text(&message.outcome),
        ]
    })?;
    Ok(())
}

/// The messages of a transfer, as its timeline shows them: each exchange is what was sent and, where
/// there was one, the answer.
pub fn exchanges(tx: &mut Tx<'_>, transfer: TransferId) -> Result<Vec<Exchange>, Error> {
    let of = [
        Value::from(transfer.bucket()),
        Value::Int(id_of(transfer.row(), 0)),
        Value::Int(id_of(transfer.row(), 3)),
        Value::Int(transfer.tail()),
    ];
    let pairs = tx.query(&MESSAGES, &of, |row| {
        let name = row.text(0)?;
        let (at, micros) = (Timestamp(row.int(1)?), u64::try_from(row.int(3)?).unwrap_or(0));
        let outcome = row.text(5)?.to_owned();
        if name == "pacs.002" {
            return Ok(vec![shown(false, name, at, (row.int(2)?, None), false, outcome)]);
        }
        let sent = (row.int(2)?, Some(micros));
        let Some(answer) = row.opt_int(4)? else {
            return Ok(vec![shown(true, name, at, sent, true, outcome)]);
        };
        let back = at.plus_micros(i64::try_from(micros).unwrap_or(i64::MAX));
        Ok(vec![
            shown(true, name, at, sent, true, "answered".to_owned()),
            shown(false, "pacs.002", back, (answer, None), true, outcome),
        ])
    })?;
    Ok(pairs.into_iter().flatten().collect())
}

fn shown(
    is_sent: bool,
    name: &str,
    at: Timestamp,
    (bytes, duration_micros): (i64, Option<u64>),
    synchronous: bool,
    outcome: String,
) -> Exchange {
    let (us, them) = ("rtp".to_owned(), "rtp-participant".to_owned());
    let (from, to) = if is_sent { (us, them) } else { (them, us) };
    Exchange {
        number: 0,
        at,
        duration_micros,
        from,
        to,
        kind: ExchangeKind::Rail,
        name: name.to_owned(),
        synchronous,
        stream: None,
        sequence: None,
        bytes: u64::try_from(bytes).ok(),
        cause: None,
        outcome: Some(outcome),
    }
}

/// Keeps reports that fit nothing, the newest thousand.
pub fn insert_unmatched(tx: &mut Tx<'_>, unmatched: &[Unmatched<'_>]) -> Result<(), Error> {
    for one in unmatched {
        let values = [
            Value::Int(one.at.0),
            Value::Text(one.reference),
            Value::Text(one.status),
            Value::Text(one.why),
        ];
        tx.execute(&UNMATCHED, &values)?;
    }
    if !unmatched.is_empty() {
        tx.execute(&PRUNE, &[Value::Int(UNMATCHED_MOST)])?;
    }
    Ok(())
}

/// Takes the lease where it expired before `free_before`; the epoch if it is ours now. What an
/// earlier holder claimed becomes unknown: it may have sent it.
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
    tx.query_one(&EPOCH, &[Value::Text("rtp")], |row| row.int(0))
}

/// Renews the lease; false where another holder took it.
pub fn renew_lease(tx: &mut Tx<'_>, expires: Timestamp, epoch: i64) -> Result<bool, Error> {
    Ok(tx.execute(&RENEW, &[Value::Int(expires.0), Value::Int(epoch)])? == 1)
}

/// Frees the lease of a process that is gone: on the embedded engine the lock on the directory says
/// that there is no other.
pub fn free_lease(tx: &mut Tx<'_>) -> Result<(), Error> {
    if tx.engine() == Engine::Sqlite {
        tx.execute(&FREE, &[Value::Text("rtp")])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::store::{Location, Options, Store};

    #[test]
    fn one_holder_at_a_time_and_its_claims_become_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::Directory(dir.path().to_owned());
        let (_store, mut writer) = Store::open(location, Options::default()).unwrap();
        writer.migrate(MIGRATIONS).unwrap();
        let mut tx = writer.begin().unwrap();
        let at = Timestamp;
        assert_eq!(take_lease(&mut tx, at(110), at(100), at(100)).unwrap(), Some(1));
        assert_eq!(take_lease(&mut tx, at(115), at(105), at(105)).unwrap(), None);
        assert!(renew_lease(&mut tx, at(120), 1).unwrap());
        let mut claimed = Instruction {
            key: Key { transfer: TransferId::from_parts(9 << 12, 3), leg: 0 },
            state: State::Ready,
            queued: 1,
            due: 1,
            attempt: 0,
            epoch: 0,
            asked: 0,
            messages: 0,
            amount: Amount::new(5, Currency::USD),
            method: PaymentMethodId::from_parts(1, 1),
            version: 1,
            source: AccountId::from_parts(1, 1),
            created: 0,
            sent: 0,
            receiver: String::new(),
            code: None,
            trace: Some([7; 24]),
        };
        insert_many(&mut tx, std::slice::from_ref(&claimed)).unwrap();
        assert!(claimed.claim(1, at(100), at(100), 50));
        save_many(&mut tx, &[(State::Ready, claimed.clone())]).unwrap();
        let lost = save_many(&mut tx, &[(State::Unknown, claimed.clone())]);
        assert!(lost.is_err(), "a compare-and-set that lost");
        assert_eq!(list_due(&mut tx, State::Sending, 9).unwrap(), [claimed.clone()]);
        // Another process, once the lease has run out: what was claimed may have been sent.
        assert_eq!(take_lease(&mut tx, at(140), at(121), at(130)).unwrap(), Some(2));
        assert!(!renew_lease(&mut tx, at(150), 1).unwrap(), "the first holder has lost it");
        let unknown = load_many(&mut tx, [claimed.key]).unwrap().remove(&claimed.key).unwrap();
        assert_eq!((unknown.state, unknown.due), (State::Unknown, 130));
        assert_eq!(unknown.trace, Some([7; 24]));
        free_lease(&mut tx).unwrap();
        assert_eq!(take_lease(&mut tx, at(200), at(131), at(131)).unwrap(), Some(3));
        tx.commit().unwrap();
    }

    #[test]
    fn unmatched_reports_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::Directory(dir.path().to_owned());
        let (_store, mut writer) = Store::open(location, Options::default()).unwrap();
        writer.migrate(MIGRATIONS).unwrap();
        let mut tx = writer.begin().unwrap();
        for number in 0..UNMATCHED_MOST + 50 {
            let (reference, status, why) = ("M", "ACTC", "unknown");
            let one = Unmatched { at: Timestamp(number), reference, status, why };
            insert_unmatched(&mut tx, &[one]).unwrap();
        }
        static COUNT: Sql = Sql::new("SELECT count(*) FROM rtp_unmatched");
        let count = tx.query_one(&COUNT, &[], |row| row.int(0)).unwrap();
        assert!(count.is_some_and(|count| count <= UNMATCHED_MOST + 1), "{count:?}");
    }
}
