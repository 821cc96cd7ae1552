//! What the bank said: each of its files once, what of them fits nothing, and the messages of each
//! entry for timelines.

use std::collections::BTreeMap;

use contracts::{
    Timestamp,
    exchanges::{Exchange, ExchangeKind},
    ids::TransferId,
};
use store::{Error, Insert, Kind, OnConflict, Sql, Tx, Value};

use super::{files, id_of, keys, lease, load_many};
use crate::domain::{Entry, Key, files::FileState};

/// Messages recorded for one entry at most.
const MESSAGES_MOST: i64 = 64;

static NEW_MESSAGE: Insert<7> = Insert::new(
    "ach_message",
    [
        ("id", Kind::Int),
        ("number", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("name", Kind::Text),
        ("at", Kind::Int),
        ("outcome", Kind::Text),
    ],
    OnConflict::None,
);
static MESSAGES: Sql = Sql::new(
    "SELECT name, at, outcome FROM ach_message \
     WHERE bucket = $1 AND id >= $2 AND id <= $3 AND tail = $4 ORDER BY id, number",
);
static NEW_INBOUND: Insert<6> = Insert::new(
    "ach_inbound",
    [
        ("hash", Kind::Text),
        ("name", Kind::Text),
        ("at", Kind::Int),
        ("applied", Kind::Int),
        ("apart", Kind::Int),
        ("fault", Kind::Text),
    ],
    OnConflict::Nothing,
);
static NEWEST: Sql =
    Sql::new("SELECT name, at, applied, fault FROM ach_inbound ORDER BY at DESC, hash LIMIT $1");
static NEW_EXCEPTION: Insert<7> = Insert::new(
    "ach_exception",
    [
        ("number", Kind::Int),
        ("at", Kind::Int),
        ("file", Kind::Text),
        ("trace", Kind::Text),
        ("code", Kind::Text),
        ("amount", Kind::Int),
        ("why", Kind::Text),
    ],
    OnConflict::None,
);
static EXCEPTIONS: Sql = Sql::new(
    "SELECT at, file, trace, code, amount, why FROM ach_exception ORDER BY number DESC LIMIT $1",
);

/// A file of the bank that was taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inbound {
    pub name: String,
    /// Machine time.
    pub at: Timestamp,
    pub entries: i64,
    /// Why nothing of it was applied.
    pub fault: Option<String>,
}

/// A return or notification of one entry.
#[derive(Clone, Debug)]
pub struct Message {
    /// `return R01`, `change C01`
    pub name: String,
    /// Machine time at which it was read.
    pub at: Timestamp,
    /// What it means.
    pub outcome: String,
}

/// What is kept for a person: an answer that fits nothing, or a file that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmatched {
    /// Machine time.
    pub at: Timestamp,
    /// The bank's file.
    pub file: String,
    /// The trace number that it names.
    pub trace: String,
    pub code: String,
    /// Cents.
    pub amount: i64,
    pub why: String,
}

/// Takes a file of the bank in, by its content; false where that was taken in before. `apart` counts
/// what of it is kept for a person; `fault` says why nothing of it is applied.
pub fn insert_inbound(
    tx: &mut Tx<'_>,
    hash: &str,
    name: &str,
    at: Timestamp,
    (applied, apart, fault): (usize, usize, Option<&str>),
) -> Result<bool, Error> {
    let count = |count| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let values = [
        Value::Text(hash),
        Value::Text(name),
        Value::Int(at.0),
        count(applied),
        count(apart),
        Value::from(fault),
    ];
    Ok(tx.insert_many(&NEW_INBOUND, [values], |values| values)? == 1)
}

/// The files of the bank that were taken in last.
pub fn list_newest_inbound(tx: &mut Tx<'_>, most: i64) -> Result<Vec<Inbound>, Error> {
    tx.query(&NEWEST, &[Value::Int(most)], |row| {
        Ok(Inbound {
            name: row.text(0)?.to_owned(),
            at: Timestamp(row.int(1)?),
            entries: row.int(2)?,
            fault: row.opt_text(3)?.map(str::to_owned),
        })
    })
}

/// Keeps what fits nothing.
pub fn insert_unmatched(tx: &mut Tx<'_>, unmatched: &[Unmatched]) -> Result<(), Error> {
    if unmatched.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(unmatched.len()).expect("entries of one file");
    let before = lease::take_numbers(tx, |numbers| lease::Numbers {
        exception: numbers.exception + count,
        ..numbers
    })?;
    tx.insert_many(&NEW_EXCEPTION, (before.exception + 1..).zip(unmatched), |(number, one)| {
        [
            Value::Int(number),
            Value::Int(one.at.0),
            Value::Text(&one.file),
            Value::Text(&one.trace),
            Value::Text(&one.code),
            Value::Int(one.amount),
            Value::Text(&one.why),
        ]
    })?;
    Ok(())
}

/// What is kept for a person, the newest first.
pub fn list_unmatched(tx: &mut Tx<'_>, most: i64) -> Result<Vec<Unmatched>, Error> {
    tx.query(&EXCEPTIONS, &[Value::Int(most)], |row| {
        Ok(Unmatched {
            at: Timestamp(row.int(0)?),
            file: row.text(1)?.to_owned(),
            trace: row.text(2)?.to_owned(),
            code: row.text(3)?.to_owned(),
            amount: row.int(4)?,
            why: row.text(5)?.to_owned(),
        })
    })
}

/// Records messages; each entry's count is raised, and saved by the caller.
pub fn insert_messages(
    tx: &mut Tx<'_>,
    of: &mut BTreeMap<Key, Entry>,
    messages: &[(Key, Message)],
) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(messages.len());
    for (key, message) in messages {
        let Some(entry) = of.get_mut(key) else { continue };
        if entry.messages < MESSAGES_MOST {
            entry.messages += 1;
            rows.push((*key, entry.messages, message));
        }
    }
    tx.insert_many(&NEW_MESSAGE, rows, |(key, number, message)| {
        let [bucket, id, tail] = keys(key);
        [
            id,
            Value::Int(number),
            tail,
            bucket,
            Value::Text(&message.name),
            Value::Int(message.at.0),
            Value::Text(&message.outcome),
        ]
    })?;
    Ok(())
}

/// The messages of a transfer, as its timeline shows them: the file that it went with, the file's
/// acknowledgement, and what the receiving bank said.
pub fn exchanges(tx: &mut Tx<'_>, transfer: TransferId) -> Result<Vec<Exchange>, Error> {
    let entries = load_many(tx, [0, 1, 2].map(|leg| Key { transfer, leg }))?;
    let with_file: Vec<i64> = entries.values().map(|one| one.file).filter(|one| *one > 0).collect();
    let files = files::list_files(tx, with_file)?;
    let mut all = Vec::new();
    for file in files.values().filter(|file| file.at > 0) {
        let took = u64::try_from(file.micros).ok().filter(|micros| *micros > 0);
        let named = format!("{}.ach", file.name);
        all.push(shown(true, "NACHA file", Timestamp(file.at), took, &named));
        if file.heard > 0 {
            let said = match file.state {
                FileState::Refused => file.reason.as_deref().unwrap_or("refused"),
                _ => "accepted",
            };
            all.push(shown(false, "ack", Timestamp(file.heard), None, said));
        }
    }
    let of = [
        Value::from(transfer.bucket()),
        Value::Int(id_of(transfer.row(), 0)),
        Value::Int(id_of(transfer.row(), 3)),
        Value::Int(transfer.tail()),
    ];
    let heard = tx.query(&MESSAGES, &of, |row| {
        Ok(shown(false, row.text(0)?, Timestamp(row.int(1)?), None, row.text(2)?))
    })?;
    all.extend(heard);
    all.sort_by_key(|exchange| exchange.at);
    Ok(all)
}

fn shown(
    is_sent: bool,
    name: &str,
    at: Timestamp,
    duration_micros: Option<u64>,
    outcome: &str,
) -> Exchange {
    let (us, them) = ("ach".to_owned(), "bank".to_owned());
    let (from, to) = if is_sent { (us, them) } else { (them, us) };
    Exchange {
        number: 0,
        at,
        duration_micros,
        from,
        to,
        kind: ExchangeKind::Rail,
        name: name.to_owned(),
        synchronous: false,
        stream: None,
        sequence: None,
        bytes: None,
        cause: None,
        outcome: Some(outcome.to_owned()),
    }
}
