//! Events that a consumer could not apply, and those parked behind them; how each of them ended.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use contracts::{
    Timestamp,
    exchanges::EventPlace,
    ids::AccountId,
    operations::{DeadLetter, DeadLetterId},
};
use eventlog::Stored;
use store::{Insert, Kind, Migration, OnConflict, Row, Sql, Tx, Value};

use crate::work::Fault;

pub(crate) static MIGRATIONS: &[Migration] = &[
    Migration {
        owner: "dead_letters",
        version: 1,
        name: "dead_letters",
        sqlite: "CREATE TABLE dead_letter (consumer TEXT NOT NULL, topic TEXT NOT NULL,
          shard INTEGER NOT NULL, sequence INTEGER NOT NULL, place INTEGER NOT NULL,
          key INTEGER NOT NULL, kind INTEGER NOT NULL, error TEXT, at INTEGER NOT NULL,
          PRIMARY KEY (consumer, topic, shard, sequence)) WITHOUT ROWID;",
        postgres: "CREATE TABLE dead_letter (consumer TEXT NOT NULL, topic TEXT NOT NULL,
          shard BIGINT NOT NULL, sequence BIGINT NOT NULL, place BIGINT NOT NULL,
          key BIGINT NOT NULL, kind BIGINT NOT NULL, error TEXT, at BIGINT NOT NULL,
          PRIMARY KEY (consumer, topic, shard, sequence));",
    },
    Migration {
        owner: "dead_letters",
        version: 2,
        name: "ends",
        sqlite: "CREATE INDEX dead_letter_key ON dead_letter (consumer, topic, key, place);
          CREATE TABLE dead_letter_end (consumer TEXT NOT NULL, topic TEXT NOT NULL,
          shard INTEGER NOT NULL, sequence INTEGER NOT NULL, place INTEGER NOT NULL,
          key INTEGER NOT NULL, kind INTEGER NOT NULL, error TEXT, at INTEGER NOT NULL,
          ended INTEGER NOT NULL, by BLOB, reason TEXT,
          PRIMARY KEY (consumer, topic, shard, sequence)) WITHOUT ROWID;",
        postgres: "CREATE INDEX dead_letter_key ON dead_letter (consumer, topic, key, place);
          CREATE TABLE dead_letter_end (consumer TEXT NOT NULL, topic TEXT NOT NULL,
          shard BIGINT NOT NULL, sequence BIGINT NOT NULL, place BIGINT NOT NULL,
          key BIGINT NOT NULL, kind BIGINT NOT NULL, error TEXT, at BIGINT NOT NULL,
          ended BIGINT NOT NULL, by BYTEA, reason TEXT,
          PRIMARY KEY (consumer, topic, shard, sequence));",
    },
];

static NEW: Insert<9> = Insert::new(
    "dead_letter",
    [
        ("consumer", Kind::Text),
        ("topic", Kind::Text),
        ("shard", Kind::Int),
        ("sequence", Kind::Int),
        ("place", Kind::Int),
        ("key", Kind::Int),
        ("kind", Kind::Int),
        ("error", Kind::Text),
        ("at", Kind::Int),
    ],
    OnConflict::Nothing,
);
static KEYS: Sql = Sql::new("SELECT topic, key FROM dead_letter WHERE consumer = $1");
macro_rules! columns {
    () => {
        "SELECT consumer, topic, shard, sequence, place, key, kind, error, at FROM dead_letter "
    };
}
static AFTER: Sql = Sql::new(concat!(
    columns!(),
    "WHERE (consumer, topic, shard, sequence) > ($1, $2, $3, $4) \
     ORDER BY consumer, topic, shard, sequence LIMIT $5"
));
static ONE: Sql = Sql::new(concat!(
    columns!(),
    "WHERE consumer = $1 AND topic = $2 AND shard = $3 AND sequence = $4"
));
static FIRST: Sql = Sql::new(concat!(
    columns!(),
    "WHERE consumer = $1 AND topic = $2 AND key = $3 ORDER BY place, shard LIMIT 1"
));
static OF_KEY: Sql = Sql::new(
    "SELECT count(*) FROM dead_letter WHERE consumer = $1 AND topic = $2 AND key = $3 \
     AND place > $4",
);
static FAILED: Sql = Sql::new(
    "UPDATE dead_letter SET error = $1 \
     WHERE consumer = $2 AND topic = $3 AND shard = $4 AND sequence = $5",
);
static GONE: Sql = Sql::new(
    "DELETE FROM dead_letter WHERE consumer = $1 AND topic = $2 AND shard = $3 AND sequence = $4",
);
static NEW_END: Sql = Sql::new(
    "INSERT INTO dead_letter_end (consumer, topic, shard, sequence, place, key, kind, error, at, \
     ended, by, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
);
static END: Sql = Sql::new(
    "SELECT consumer, topic, shard, sequence, place, key, kind, error, at, ended, by, reason \
     FROM dead_letter_end WHERE consumer = $1 AND topic = $2 AND shard = $3 AND sequence = $4",
);

/// A letter as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub id: DeadLetterId,
    pub place: i64,
    pub key: i64,
    kind: i64,
    error: Option<String>,
    at: Timestamp,
}

/// How a letter ended.
pub(crate) struct End {
    pub at: Timestamp,
    pub by: Option<AccountId>,
    /// Why it was dropped; none where it was applied.
    pub reason: Option<String>,
}

impl End {
    /// `replayed` or `dropped`
    pub fn state(&self) -> &'static str {
        if self.reason.is_some() { "dropped" } else { "replayed" }
    }
}

impl Letter {
    /// Where its event is stored.
    pub fn event(&self) -> EventPlace {
        EventPlace { shard: self.id.shard, place: self.place }
    }
    fn shown(self) -> DeadLetter {
        let kind = eventlog::kind_of(self.kind);
        DeadLetter {
            consumer: self.id.consumer.clone(),
            stream: format!("{}/{}", self.id.topic, self.id.shard),
            sequence: self.id.sequence,
            dead_letter_id: self.id,
            event: contracts::registry::by_kind(kind).map_or("unknown", |e| e.name).to_owned(),
            key: self.key,
            state: if self.error.is_some() { "poisoned" } else { "parked" }.to_owned(),
            error: self.error.unwrap_or_default(),
            at: self.at,
            behind: 0,
            data: None,
            reason: None,
            ended_on: None,
            ended_by: None,
        }
    }
}

fn letter(row: &Row<'_>) -> Result<Letter, store::Error> {
    Ok(Letter {
        id: DeadLetterId {
            consumer: row.text(0)?.to_owned(),
            topic: row.text(1)?.to_owned(),
            shard: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
            sequence: row.int(3)?,
        },
        place: row.int(4)?,
        key: row.int(5)?,
        kind: row.int(6)?,
        error: row.opt_text(7)?.map(str::to_owned),
        at: Timestamp(row.int(8)?),
    })
}

fn named(id: &DeadLetterId) -> [Value<'_>; 4] {
    [
        Value::Text(&id.consumer),
        Value::Text(&id.topic),
        Value::Int(i64::from(id.shard)),
        Value::Int(id.sequence),
    ]
}

/// Keys that have a dead letter, as one transaction finds them: by consumer, asked once, and topic.
#[derive(Default)]
pub(crate) struct Parked(BTreeMap<&'static str, Vec<(String, i64)>>);

impl Parked {
    pub fn keys(
        &mut self,
        tx: &mut Tx<'_>,
        (group, topic): (&'static str, &str),
    ) -> Result<BTreeSet<i64>, Fault> {
        let all = match self.0.entry(group) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(tx.query(&KEYS, &[Value::Text(group)], |row| {
                Ok((row.text(0)?.to_owned(), row.int(1)?))
            })?),
        };
        Ok(all.iter().filter(|(of, _)| of == topic).map(|(_, key)| *key).collect())
    }
}

/// Keeps an event that could not be applied (with the error) or comes after one (without).
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    group: &str,
    topic: &str,
    event: &Stored,
    error: Option<&str>,
) -> Result<(), Fault> {
    tx.insert_many(&NEW, &[event], |event| {
        [
            Value::Text(group),
            Value::Text(topic),
            Value::Int(i64::from(event.shard)),
            Value::Int(event.sequence),
            Value::Int(event.place),
            Value::Int(event.key),
            Value::Int(event.kind),
            error.map_or(Value::Null, Value::Text),
            Value::Int(event.at.0),
        ]
    })?;
    Ok(())
}

/// A letter that has not ended.
pub(crate) fn load(tx: &mut Tx<'_>, id: &DeadLetterId) -> Result<Option<Letter>, store::Error> {
    tx.query_one(&ONE, &named(id), letter)
}

/// The first letter of a key: nothing behind it may be applied before it.
pub(crate) fn first(
    tx: &mut Tx<'_>,
    (group, topic): (&str, &str),
    key: i64,
) -> Result<Option<Letter>, store::Error> {
    tx.query_one(&FIRST, &[Value::Text(group), Value::Text(topic), Value::Int(key)], letter)
}

/// Says why a letter could not be applied.
pub(crate) fn failed(tx: &mut Tx<'_>, id: &DeadLetterId, error: &str) -> Result<(), store::Error> {
    let [consumer, topic, shard, sequence] = named(id);
    tx.execute(&FAILED, &[Value::Text(error), consumer, topic, shard, sequence])?;
    Ok(())
}

/// How a letter ended, if it has.
pub(crate) fn end_of(
    tx: &mut Tx<'_>,
    id: &DeadLetterId,
) -> Result<Option<(Letter, End)>, store::Error> {
    tx.query_one(&END, &named(id), |row| {
        let by = row.opt_blob(10)?.and_then(AccountId::from_slice);
        let reason = row.opt_text(11)?.map(str::to_owned);
        Ok((letter(row)?, End { at: Timestamp(row.int(9)?), by, reason }))
    })
}

/// Ends a letter: it is kept as ended, in the transaction of its effects.
pub(crate) fn end(tx: &mut Tx<'_>, letter: &Letter, end: &End) -> Result<(), store::Error> {
    tx.execute(&GONE, &named(&letter.id))?;
    let [consumer, topic, shard, sequence] = named(&letter.id);
    let values = [
        consumer,
        topic,
        shard,
        sequence,
        Value::Int(letter.place),
        Value::Int(letter.key),
        Value::Int(letter.kind),
        letter.error.as_deref().map_or(Value::Null, Value::Text),
        Value::Int(letter.at.0),
        Value::Int(end.at.0),
        end.by.as_ref().map_or(Value::Null, |by| Value::Blob(by.as_bytes())),
        end.reason.as_deref().map_or(Value::Null, Value::Text),
    ];
    tx.execute(&NEW_END, &values)?;
    Ok(())
}

/// So many letters after one, by consumer and stream; from the first where none is named.
pub(crate) fn list_after(
    tx: &mut Tx<'_>,
    after: Option<&DeadLetterId>,
    count: i64,
) -> Result<Vec<DeadLetter>, store::Error> {
    let start =
        DeadLetterId { consumer: String::new(), topic: String::new(), shard: 0, sequence: 0 };
    let [consumer, topic, shard, sequence] = named(after.unwrap_or(&start));
    let of = [consumer, topic, shard, sequence, Value::Int(count)];
    let letters = tx.query(&AFTER, &of, letter)?;
    letters.into_iter().map(|letter| with_behind(tx, letter)).collect()
}

fn with_behind(tx: &mut Tx<'_>, letter: Letter) -> Result<DeadLetter, store::Error> {
    let of = [
        Value::Text(&letter.id.consumer),
        Value::Text(&letter.id.topic),
        Value::Int(letter.key),
        Value::Int(letter.place),
    ];
    let behind = tx.query_one(&OF_KEY, &of, |row| row.int(0))?.unwrap_or(0);
    let mut shown = letter.shown();
    shown.behind = u64::try_from(behind).unwrap_or(0);
    Ok(shown)
}

/// One letter as it is shown, with where its event is; also one that has ended.
pub(crate) fn show(
    tx: &mut Tx<'_>,
    id: &DeadLetterId,
) -> Result<Option<(DeadLetter, EventPlace)>, store::Error> {
    if let Some(letter) = load(tx, id)? {
        let at = letter.event();
        return Ok(Some((with_behind(tx, letter)?, at)));
    }
    Ok(end_of(tx, id)?.map(|(letter, end)| {
        let at = letter.event();
        let mut shown = letter.shown();
        end.state().clone_into(&mut shown.state);
        (shown.ended_on, shown.ended_by, shown.reason) = (Some(end.at), end.by, end.reason);
        (shown, at)
    }))
}

/// The first 1,000 dead letters and parked events, by consumer and place.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<DeadLetter>, store::Error> {
    list_after(tx, None, 1_000)
}
