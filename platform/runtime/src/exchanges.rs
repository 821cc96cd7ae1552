//! Recorded exchanges: which batch applied which events when, which commit made them durable.
//!
//! One row per consumer and batch, one per topic and commit; none per event. A service's part of a
//! timeline is read from them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use axum::{Router, extract::Query, routing::get};
use contracts::{
    Refusal, Timestamp,
    exchanges::{EventPlace, Exchange, ExchangeKind, Exchanges, ExchangesQuery},
    ids::TransferId,
};
use eventlog::{Cursor, Log, Stored};
use parking_lot::Mutex;
use store::{Insert, Kind, Migration, OnConflict, Sql, Tx, Value};

use crate::{http, platform::Platform, work::Fault};

pub(crate) static MIGRATIONS: &[Migration] = &[Migration {
    owner: "exchanges",
    version: 1,
    name: "batches",
    sqlite: "CREATE TABLE exchange_batch (party TEXT NOT NULL, topic TEXT NOT NULL,
          last INTEGER NOT NULL, first INTEGER NOT NULL, began INTEGER NOT NULL,
          ended INTEGER NOT NULL, PRIMARY KEY (party, topic, last)) WITHOUT ROWID;",
    postgres: "CREATE TABLE exchange_batch (party TEXT NOT NULL, topic TEXT NOT NULL,
          last BIGINT NOT NULL, first BIGINT NOT NULL, began BIGINT NOT NULL,
          ended BIGINT NOT NULL, PRIMARY KEY (party, topic, last));",
}];

/// Stands for the commit itself where a consumer's name stands.
const COMMIT: &str = "";

static NEW: Insert<6> = Insert::new(
    "exchange_batch",
    [
        ("party", Kind::Text),
        ("topic", Kind::Text),
        ("last", Kind::Int),
        ("first", Kind::Int),
        ("began", Kind::Int),
        ("ended", Kind::Int),
    ],
    OnConflict::Nothing,
);
static FIND: Sql = Sql::new(
    "SELECT first, began, ended FROM exchange_batch \
     WHERE party = $1 AND topic = $2 AND last >= $3 ORDER BY last LIMIT 1",
);
static LAST_ROW: Sql = Sql::new("SELECT value FROM installation WHERE name = $1");
static SAVE_ROW: Sql = Sql::new("UPDATE installation SET value = $1 WHERE name = $2");
static NEW_ROW: Sql = Sql::new("INSERT INTO installation (name, value) VALUES ($1, $2)");

/// The highest ordered part of an id that was ever stored, as last saved.
pub(crate) fn last_row(tx: &mut Tx<'_>) -> Result<i64, Fault> {
    Ok(tx.query_one(&LAST_ROW, &[Value::Text("last_row")], |row| row.int(0))?.unwrap_or(0))
}

/// Saves it with the commit that used it: ids go on above it also where the clock went back.
pub(crate) fn save_last_row(tx: &mut Tx<'_>, row: i64) -> Result<(), Fault> {
    if tx.execute(&SAVE_ROW, &[Value::Int(row), Value::Text("last_row")])? == 0 {
        tx.execute(&NEW_ROW, &[Value::Text("last_row"), Value::Int(row)])?;
    }
    Ok(())
}

/// A range of one topic that one party applied or one commit made durable. On an engine that
/// numbers by shard the range is over the shard's name with the topic's.
struct Range {
    party: &'static str,
    topic: String,
    first: i64,
    last: i64,
    began: Timestamp,
    ended: Timestamp,
}

fn stream(topic: &str, shard: u32) -> String {
    if shard == 0 { topic.to_owned() } else { format!("{topic}/{shard}") }
}

fn insert(tx: &mut Tx<'_>, ranges: &[Range]) -> Result<(), store::Error> {
    tx.insert_many(&NEW, ranges, |range| {
        [
            Value::Text(range.party),
            Value::Text(&range.topic),
            Value::Int(range.last),
            Value::Int(range.first),
            Value::Int(range.began.0),
            Value::Int(range.ended.0),
        ]
    })?;
    Ok(())
}

/// Records that a consumer applied these events now.
pub(crate) fn consumed(
    tx: &mut Tx<'_>,
    party: &'static str,
    topic: &str,
    events: &[Arc<Stored>],
    at: Timestamp,
) -> Result<(), Fault> {
    let mut ranges: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    let by_shard = tx.engine() == store::Engine::Postgres;
    for event in events {
        let shard = if by_shard { event.shard } else { 0 };
        let range = ranges.entry(shard).or_insert((event.place, event.place));
        range.1 = event.place;
    }
    let ranges: Vec<Range> = ranges
        .into_iter()
        .map(|(shard, (first, last))| Range {
            party,
            topic: stream(topic, shard),
            first,
            last,
            began: at,
            ended: at,
        })
        .collect();
    insert(tx, &ranges)?;
    Ok(())
}

/// Commits whose end is known but not yet stored: the next commit stores them.
#[derive(Default)]
pub(crate) struct Pending {
    waiting: Mutex<VecDeque<Range>>,
    saved: Mutex<usize>,
}

impl Pending {
    /// Stores what earlier commits left.
    pub fn save(&self, tx: &mut Tx<'_>) -> Result<(), store::Error> {
        let waiting = self.waiting.lock();
        let (first, _) = waiting.as_slices();
        insert(tx, first)?;
        *self.saved.lock() = first.len();
        Ok(())
    }
    /// The commit that stored them is durable, and is itself to be stored by the next.
    pub fn committed(&self, log: &Log, began: Timestamp, ended: Timestamp) {
        let mut waiting = self.waiting.lock();
        let saved = std::mem::take(&mut *self.saved.lock());
        waiting.drain(..saved);
        for topic in log.topics() {
            let (old, new) = (log.end(topic, true), log.end(topic, false));
            for (shard, first, last) in moved(old, new) {
                let topic = stream(topic, shard);
                waiting.push_back(Range { party: COMMIT, topic, first, last, began, ended });
            }
        }
    }
    /// The commit that stored them is gone.
    pub fn rolled_back(&self) {
        *self.saved.lock() = 0;
    }
    fn find(&self, topic: &str, place: i64) -> Option<(Timestamp, Timestamp)> {
        let waiting = self.waiting.lock();
        waiting
            .iter()
            .find(|range| range.topic == topic && range.first <= place && place <= range.last)
            .map(|range| (range.began, range.ended))
    }
}

fn moved(old: &Cursor, new: &Cursor) -> Vec<(u32, i64, i64)> {
    if new.total() == old.total() {
        return Vec::new();
    }
    if new.places_are_offsets() {
        return vec![(0, old.offset + 1, new.offset)];
    }
    let pairs = old.sequences.iter().zip(&new.sequences).enumerate();
    pairs
        .filter(|(_, (old, new))| new > old)
        .map(|(shard, (old, new))| (u32::try_from(shard).expect("few shards"), old + 1, *new))
        .collect()
}

/// Adds `GET /internal/{service}/exchanges` to a service's internal routes.
pub(crate) fn mount(router: Router, service: &'static str, platform: Platform) -> Router {
    let path = format!("/internal/{service}/exchanges");
    let answer = move |Query(query): Query<ExchangesQuery>| {
        let platform = platform.clone();
        async move {
            match part(service, &platform, query).await {
                Ok(exchanges) => http::replied(&Exchanges { exchanges }),
                Err(refusal) => http::refused(&refusal),
            }
        }
    };
    router.route(&path, get(answer))
}

/// A service's part: what it consumed, the commits of what it emitted, its rail's messages.
async fn part(
    service: &'static str,
    platform: &Platform,
    query: ExchangesQuery,
) -> Result<Vec<Exchange>, Refusal> {
    let mut exchanges = Vec::new();
    for named in query.events.split(',').filter(|named| !named.is_empty()) {
        let Some((topic, at)) = place(platform, named) else { continue };
        let Some(event) = platform.event(topic, at).await? else { continue };
        if topic == service {
            exchanges.extend(commit_of(platform, topic, &event).await?);
        }
        if platform.consumes(service, topic, eventlog::kind_of(event.kind)) {
            exchanges.push(consumption_of(platform, service, topic, &event).await?);
        }
    }
    exchanges.extend(platform.shown(service, query.transfer).await?);
    Ok(exchanges)
}

fn place(platform: &Platform, named: &str) -> Option<(&'static str, EventPlace)> {
    let mut parts = named.split(':');
    let (topic, shard, place) = (parts.next()?, parts.next()?, parts.next()?);
    let topic = platform.services().iter().find(|name| **name == topic)?;
    Some((topic, EventPlace { shard: shard.parse().ok()?, place: place.parse().ok()? }))
}

async fn batch(
    platform: &Platform,
    party: &'static str,
    topic: &str,
    event: &Stored,
) -> Result<Option<(Timestamp, Timestamp)>, Refusal> {
    let by_shard = platform.engine() == store::Engine::Postgres;
    let name = stream(topic, if by_shard { event.shard } else { 0 });
    if let Some(found) = platform.pending().find(&name, event.place).filter(|_| party == COMMIT) {
        return Ok(Some(found));
    }
    let at = event.place;
    let found = platform
        .read(move |tx| {
            let key = [Value::Text(party), Value::Text(&name), Value::Int(at)];
            tx.query_one(&FIND, &key, |row| {
                Ok((row.int(0)?, Timestamp(row.int(1)?), Timestamp(row.int(2)?)))
            })
        })
        .await?;
    Ok(found.filter(|(first, _, _)| *first <= at).map(|(_, began, ended)| (began, ended)))
}

async fn commit_of(
    platform: &Platform,
    topic: &'static str,
    event: &Stored,
) -> Result<Option<Exchange>, Refusal> {
    let Some((began, ended)) = batch(platform, COMMIT, topic, event).await? else {
        return Ok(None);
    };
    let mut exchange = blank(topic, topic, ExchangeKind::Commit, "commit", began);
    exchange.duration_micros = Some(ended.micros_since(began));
    exchange.synchronous = true;
    exchange.stream = Some(format!("{topic}/{}", event.shard));
    exchange.sequence = Some(event.sequence);
    Ok(Some(exchange))
}

async fn consumption_of(
    platform: &Platform,
    service: &'static str,
    topic: &'static str,
    event: &Stored,
) -> Result<Exchange, Refusal> {
    let kind = eventlog::kind_of(event.kind);
    let name = contracts::registry::by_kind(kind).map_or("unknown", |entry| entry.name);
    let mut exchange = blank(topic, service, ExchangeKind::Event, name, event.at);
    match batch(platform, service, topic, event).await? {
        Some((at, _)) => exchange.duration_micros = Some(at.micros_since(event.at)),
        None => exchange.outcome = Some("not yet consumed".to_owned()),
    }
    exchange.stream = Some(format!("{topic}/{}", event.shard));
    exchange.sequence = Some(event.sequence);
    exchange.bytes = Some(event.payload.len() as u64);
    Ok(exchange)
}

fn blank(from: &str, to: &str, kind: ExchangeKind, name: &str, at: Timestamp) -> Exchange {
    Exchange {
        number: 0,
        at,
        duration_micros: None,
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        name: name.to_owned(),
        synchronous: false,
        stream: None,
        sequence: None,
        bytes: None,
        cause: None,
        outcome: None,
    }
}

/// What a rail adds: its messages about a transfer.
pub(crate) type Shows = fn(&mut Tx<'_>, TransferId) -> Result<Vec<Exchange>, store::Error>;
