//! Events that a consumer could not apply, and those parked behind them.

use std::collections::BTreeSet;

use contracts::{
    Refusal, Timestamp,
    operations::{DeadLetter, ListDeadLetters},
};
use eventlog::Stored;
use store::{Insert, Kind, Migration, OnConflict, Sql, Tx, Value};

use crate::{
    access::Projection,
    http::{Answer, Answered, Ask},
    work::Fault,
};

pub(crate) static MIGRATIONS: &[Migration] = &[Migration {
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
}];

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
static KEYS: Sql = Sql::new("SELECT key FROM dead_letter WHERE consumer = $1 AND topic = $2");
static ALL: Sql = Sql::new(
    "SELECT consumer, topic, shard, sequence, key, kind, error, at FROM dead_letter \
     ORDER BY consumer, topic, shard, sequence LIMIT 1000",
);

/// Keys of a consumer that have a dead letter.
pub(crate) fn keys(tx: &mut Tx<'_>, group: &str, topic: &str) -> Result<BTreeSet<i64>, Fault> {
    let of = [Value::Text(group), Value::Text(topic)];
    Ok(tx.query(&KEYS, &of, |row| row.int(0))?.into_iter().collect())
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

/// The first 1,000 dead letters and parked events, by consumer and place.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<DeadLetter>, store::Error> {
    let mut number = 0;
    tx.query(&ALL, &[], |row| {
        number += 1;
        let kind = eventlog::kind_of(row.int(5)?);
        let error = row.opt_text(6)?.map(str::to_owned);
        Ok(DeadLetter {
            dead_letter_id: number,
            consumer: row.text(0)?.to_owned(),
            stream: format!("{}/{}", row.text(1)?, row.int(2)?),
            sequence: row.int(3)?,
            event: contracts::registry::by_kind(kind).map_or("unknown", |e| e.name).to_owned(),
            key: row.int(4)?,
            state: if error.is_some() { "poisoned" } else { "parked" }.to_owned(),
            error: error.unwrap_or_default(),
            at: Timestamp(row.int(7)?),
        })
    })
}

impl Answer<ListDeadLetters> for Projection {
    async fn answer(
        &self,
        ask: Ask<ListDeadLetters>,
    ) -> Result<Answered<ListDeadLetters>, Refusal> {
        let letters = ask.platform.read(list).await?;
        Ok(Answered::ok(&letters))
    }
}
