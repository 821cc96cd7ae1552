//! What was sent and heard, for timelines and for people who have to ask the host.

use std::collections::BTreeMap;

use contracts::{
    Timestamp,
    exchanges::{Exchange, ExchangeKind},
    ids::TransferId,
};
use store::{Error, Insert, Kind, OnConflict, Sql, Tx, Value};

use super::{id_of, keys};
use crate::domain::{Instruction, Key};

/// Messages recorded for one instruction at most.
const MESSAGES_MOST: i64 = 64;
/// Messages that fit nothing are kept at most, the newest.
const UNMATCHED_MOST: i64 = 1_000;

static NEW_MESSAGE: Insert<9> = Insert::new(
    "card_message",
    [
        ("id", Kind::Int),
        ("number", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("name", Kind::Text),
        ("at", Kind::Int),
        ("micros", Kind::Int),
        ("answered", Kind::Text),
        ("outcome", Kind::Text),
    ],
    OnConflict::None,
);
static MESSAGES: Sql = Sql::new(
    "SELECT name, at, micros, answered, outcome FROM card_message \
     WHERE bucket = $1 AND id >= $2 AND id <= $3 AND tail = $4 ORDER BY id, number",
);
static UNMATCHED: Sql = Sql::new(
    "INSERT INTO card_unmatched (at, name, reference, code, why) VALUES ($1, $2, $3, $4, $5)",
);
static PRUNE: Sql = Sql::new(
    "DELETE FROM card_unmatched WHERE at < \
     (SELECT at FROM card_unmatched ORDER BY at DESC LIMIT 1 OFFSET $1)",
);

/// A message that went out, or came in unasked, with what came of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `0100`, `0400` or `0401`; the answer's own type for one that came when nobody waited.
    pub name: &'static str,
    /// Machine time at which it was handed to the connection, or came.
    pub at: Timestamp,
    /// Until the answer, or until it was given up.
    pub micros: u64,
    /// `0110` or `0410`, where it was answered.
    pub answered: Option<&'static str>,
    /// `00`, `no answer`, `not sent: ...`.
    pub outcome: String,
}

/// A message that fits nothing, or contradicts what is decided.
pub struct Unmatched<'a> {
    pub at: Timestamp,
    pub name: &'a str,
    pub reference: &'a str,
    pub code: &'a str,
    pub why: &'a str,
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
    tx.insert_many(&NEW_MESSAGE, rows, |(key, number, message)| {
        let [bucket, id, tail] = keys(key);
        [
            id,
            Value::Int(number),
            tail,
            bucket,
            Value::Text(message.name),
            Value::Int(message.at.0),
            Value::Int(i64::try_from(message.micros).unwrap_or(i64::MAX)),
            Value::from(message.answered),
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
        let (name, outcome) = (row.text(0)?, row.text(4)?);
        let (at, micros) = (Timestamp(row.int(1)?), row.int(2)?);
        let took = u64::try_from(micros).ok();
        // The host speaks last in its own types: a request's third digit is even.
        if name.as_bytes().get(2) == Some(&b'1') {
            return Ok(vec![shown(false, name, at, None, outcome)]);
        }
        Ok(match row.opt_text(3)? {
            None => vec![shown(true, name, at, took, outcome)],
            Some(answer) => vec![
                shown(true, name, at, took, "answered"),
                shown(false, answer, at.plus_micros(micros), None, outcome),
            ],
        })
    })?;
    Ok(pairs.into_iter().flatten().collect())
}

fn shown(
    is_sent: bool,
    name: &str,
    at: Timestamp,
    duration_micros: Option<u64>,
    outcome: &str,
) -> Exchange {
    let (us, them) = ("card".to_owned(), "card-host".to_owned());
    let (from, to) = if is_sent { (us, them) } else { (them, us) };
    Exchange {
        number: 0,
        at,
        duration_micros,
        from,
        to,
        kind: ExchangeKind::Rail,
        name: name.to_owned(),
        synchronous: true,
        stream: None,
        sequence: None,
        bytes: None,
        cause: None,
        outcome: Some(outcome.to_owned()),
    }
}

/// Keeps messages that fit nothing, the newest thousand.
pub fn insert_unmatched(tx: &mut Tx<'_>, unmatched: &[Unmatched<'_>]) -> Result<(), Error> {
    for one in unmatched {
        let values = [
            Value::Int(one.at.0),
            Value::Text(one.name),
            Value::Text(one.reference),
            Value::Text(one.code),
            Value::Text(one.why),
        ];
        tx.execute(&UNMATCHED, &values)?;
    }
    if !unmatched.is_empty() {
        tx.execute(&PRUNE, &[Value::Int(UNMATCHED_MOST)])?;
    }
    Ok(())
}
