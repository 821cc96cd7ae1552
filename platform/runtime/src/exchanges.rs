//! Recorded exchanges: which batch applied which events when, which commit made them durable.
//!
//! One row a commit, whatever it does; none per event. A service's part of a timeline is read from
//! them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::Query, routing::get};
use contracts::{
    Refusal, Timestamp,
    exchanges::{EventPlace, Exchange, ExchangeKind, Exchanges, ExchangesQuery},
    ids::TransferId,
    operations::DeadLetterId,
};
use eventlog::{Cursor, Log, Stored};
use parking_lot::Mutex;
use store::{Insert, Kind, Migration, OnConflict, Sql, Tx, Value};

use crate::{dead_letters, http, platform::Platform, work::Fault};

pub(crate) static MIGRATIONS: &[Migration] = &[Migration {
    owner: "exchanges",
    version: 1,
    name: "commits",
    sqlite: "CREATE TABLE exchange_commit (id INTEGER PRIMARY KEY, before INTEGER,
          ranges BLOB NOT NULL);",
    postgres: "CREATE TABLE exchange_commit (id BIGINT PRIMARY KEY, before BIGINT,
          ranges BYTEA NOT NULL);",
}];

/// Stands for the commit itself where a consumer's name stands.
const COMMIT: &str = "";
/// Bits of a commit's number that say which process made it; above them are the microseconds at
/// which it began.
const PROCESS_BITS: u32 = 10;
/// Commits that are looked through for one event, and how many at a time.
const LOOKED_MOST: i64 = 65_536;
const LOOKED_AT_ONCE: i64 = 64;

static NEW: Insert<3> = Insert::new(
    "exchange_commit",
    [("id", Kind::Int), ("before", Kind::Int), ("ranges", Kind::Blob)],
    OnConflict::None,
);
static LAST: Sql = Sql::new("SELECT coalesce(max(id), 0) FROM exchange_commit WHERE id <= $1");
static FROM: Sql =
    Sql::new("SELECT id, before, ranges FROM exchange_commit WHERE id >= $1 ORDER BY id LIMIT $2");
static LAST_ROW: Sql = Sql::new("SELECT value FROM installation WHERE name = $1");
static SAVE_ROW: Sql = Sql::new("UPDATE installation SET value = $1 WHERE name = $2");
static NEW_ROW: Sql = Sql::new("INSERT INTO installation (name, value) VALUES ($1, $2)");

/// No ordered part of an id that was ever stored is above this.
pub(crate) fn last_row(tx: &mut Tx<'_>) -> Result<i64, Fault> {
    Ok(tx.query_one(&LAST_ROW, &[Value::Text("last_row")], |row| row.int(0))?.unwrap_or(0))
}

/// Saves a bound that ids of this commit stay below: they go on above it after a restart, also
/// where the clock went back.
pub(crate) fn save_last_row(tx: &mut Tx<'_>, row: i64) -> Result<(), Fault> {
    if tx.execute(&SAVE_ROW, &[Value::Int(row), Value::Text("last_row")])? == 0 {
        tx.execute(&NEW_ROW, &[Value::Text("last_row"), Value::Int(row)])?;
    }
    Ok(())
}

/// A range of one topic that one party applied or one commit made durable. On an engine that
/// numbers by shard the range is over the shard's name with the topic's.
struct Range {
    party: String,
    stream: String,
    first: i64,
    last: i64,
    /// Microseconds after the commit began.
    after: i64,
}

fn stream(topic: &str, shard: u32) -> String {
    if shard == 0 { topic.to_owned() } else { format!("{topic}/{shard}") }
}

/// CBOR: party, stream, first, last, after, party, ... without a head.
fn packed(ranges: &[Range]) -> Vec<u8> {
    let mut bytes = minicbor::Encoder::new(Vec::with_capacity(ranges.len() * 40));
    for range in ranges {
        bytes
            .str(&range.party)
            .and_then(|bytes| bytes.str(&range.stream))
            .and_then(|bytes| bytes.i64(range.first))
            .and_then(|bytes| bytes.i64(range.last))
            .and_then(|bytes| bytes.i64(range.after))
            .expect("writing to memory cannot fail");
    }
    bytes.into_writer()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<Range>, minicbor::decode::Error> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let mut ranges = Vec::new();
    while decoder.position() < bytes.len() {
        ranges.push(Range {
            party: decoder.str()?.to_owned(),
            stream: decoder.str()?.to_owned(),
            first: decoder.i64()?,
            last: decoder.i64()?,
            after: decoder.i64()?,
        });
    }
    Ok(ranges)
}

/// What the commit under way does, to be stored with it as one row.
pub(crate) struct Recorder {
    process: i64,
    /// The number of the last row, and how long its commit took until it was durable: that is
    /// known only then, so the next row stores it.
    last: i64,
    /// The number of the commit under way.
    id: i64,
    ranges: Vec<Range>,
    latest: Arc<Latest>,
}

/// The last commit with how long it took, which no row says yet.
#[derive(Default)]
pub(crate) struct Latest(Mutex<Option<(i64, i64)>>);

impl Recorder {
    /// Goes on after what is stored; `process` tells this writer from others on the same database.
    pub fn open(tx: &mut Tx<'_>, process: i64, latest: Arc<Latest>) -> Result<Self, Fault> {
        let last = tx.query_one(&LAST, &[Value::Int(i64::MAX)], |row| row.int(0))?.unwrap_or(0);
        let process = process & ((1 << PROCESS_BITS) - 1);
        Ok(Self { process, last, id: last, ranges: Vec::new(), latest })
    }
    /// A commit begins now; what it does comes after, and what an earlier one left is dropped.
    pub fn starts(&mut self, now: Timestamp) {
        let began = now.0.max((self.last >> PROCESS_BITS) + 1);
        self.id = (began << PROCESS_BITS) | self.process;
        self.ranges.clear();
    }
    /// Records that a consumer applies these events now.
    pub fn consumed(
        &mut self,
        party: &'static str,
        topic: &str,
        engine: store::Engine,
        events: &[Arc<Stored>],
        now: Timestamp,
    ) {
        let after = now.0.saturating_sub(self.id >> PROCESS_BITS);
        let by_shard = engine == store::Engine::Postgres;
        let mut ranges: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
        for event in events {
            let shard = if by_shard { event.shard } else { 0 };
            let range = ranges.entry(shard).or_insert((event.place, event.place));
            range.1 = event.place;
        }
        self.ranges.extend(ranges.into_iter().map(|(shard, (first, last))| Range {
            party: party.to_owned(),
            stream: stream(topic, shard),
            first,
            last,
            after,
        }));
    }
    /// Stores what this commit consumed and appended.
    pub fn save(&mut self, tx: &mut Tx<'_>, log: &Log) -> Result<(), Fault> {
        for topic in log.topics() {
            for (shard, first, last) in moved(log.end(topic, true), log.end(topic, false)) {
                let (party, stream) = (COMMIT.to_owned(), stream(topic, shard));
                self.ranges.push(Range { party, stream, first, last, after: 0 });
            }
        }
        if self.ranges.is_empty() {
            return Ok(());
        }
        let before = self.latest.0.lock().map(|(_, took)| took);
        let ranges = packed(&self.ranges);
        tx.insert_many(&NEW, [()], |()| {
            [Value::Int(self.id), before.into(), Value::Blob(&ranges)]
        })?;
        Ok(())
    }
    /// It is durable now.
    pub fn committed(&mut self, now: Timestamp) {
        if !self.ranges.is_empty() {
            self.last = self.id;
            let took = now.0.saturating_sub(self.id >> PROCESS_BITS).max(0);
            *self.latest.0.lock() = Some((self.id, took));
        }
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

/// A commit in which something was found.
#[derive(Clone, Copy)]
struct Seen {
    /// When the commit began, and how long it took where that is known.
    began: Timestamp,
    took: Option<i64>,
    /// When it was done in it.
    at: Timestamp,
}

/// The commit in which a party did something with the event at this place, which was emitted at
/// this moment: never before it.
fn look(
    tx: &mut Tx<'_>,
    (party, stream): (&str, &str),
    (emitted, place): (Timestamp, i64),
) -> Result<Option<(i64, Seen)>, store::Error> {
    let newest = ((emitted.0 + 1) << PROCESS_BITS) - 1;
    let start = tx.query_one(&LAST, &[Value::Int(newest)], |row| row.int(0))?;
    let mut from = start.unwrap_or(0);
    let mut found: Option<(i64, Seen)> = None;
    for _ in 0..LOOKED_MOST / LOOKED_AT_ONCE {
        let rows = tx.query(&FROM, &[Value::Int(from), Value::Int(LOOKED_AT_ONCE)], |row| {
            let ranges = unpacked(row.blob(2)?);
            let ranges = ranges.map_err(|_| store::Error::Other("a commit's ranges".to_owned()))?;
            Ok((row.int(0)?, row.opt_int(1)?, ranges))
        })?;
        for (id, before, ranges) in &rows {
            if let Some((number, seen)) = &mut found {
                // The next row of the same process says how long the commit took.
                if (*id ^ *number) & ((1 << PROCESS_BITS) - 1) == 0 {
                    seen.took = *before;
                    return Ok(found);
                }
                continue;
            }
            let one = ranges.iter().find(|range| {
                range.party == party
                    && range.stream == stream
                    && (range.first..=range.last).contains(&place)
            });
            found = one.map(|range| {
                let began = Timestamp(*id >> PROCESS_BITS);
                (*id, Seen { began, took: None, at: began.plus_micros(range.after) })
            });
        }
        match rows.last() {
            Some((last, _, _)) if rows.len() as i64 == LOOKED_AT_ONCE => from = last + 1,
            _ => break,
        }
    }
    Ok(found)
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

async fn seen(
    platform: &Platform,
    party: &'static str,
    topic: &str,
    event: &Stored,
) -> Result<Option<Seen>, Refusal> {
    let by_shard = platform.engine() == store::Engine::Postgres;
    let name = stream(topic, if by_shard { event.shard } else { 0 });
    let at = (event.at, event.place);
    let Some((id, mut seen)) = platform.read(move |tx| look(tx, (party, &name), at)).await? else {
        return Ok(None);
    };
    let latest = *platform.latest().0.lock();
    seen.took = seen.took.or(latest.filter(|(last, _)| *last == id).map(|(_, took)| took));
    Ok(Some(seen))
}

async fn commit_of(
    platform: &Platform,
    topic: &'static str,
    event: &Stored,
) -> Result<Option<Exchange>, Refusal> {
    let Some(seen) = seen(platform, COMMIT, topic, event).await? else { return Ok(None) };
    let mut exchange = blank(topic, topic, ExchangeKind::Commit, "commit", seen.began);
    exchange.duration_micros = seen.took.and_then(|took| u64::try_from(took).ok());
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
    match seen(platform, service, topic, event).await? {
        Some(seen) => exchange.duration_micros = Some(seen.at.micros_since(event.at)),
        None => exchange.outcome = Some(unseen(platform, service, topic, event).await?.to_owned()),
    }
    exchange.stream = Some(format!("{topic}/{}", event.shard));
    exchange.sequence = Some(event.sequence);
    exchange.bytes = Some(event.payload.len() as u64);
    Ok(exchange)
}

/// Why there is no commit in which a service consumed an event.
async fn unseen(
    platform: &Platform,
    service: &str,
    topic: &str,
    event: &Stored,
) -> Result<&'static str, Refusal> {
    let (consumer, topic) = (service.to_owned(), topic.to_owned());
    let (shard, sequence) = (event.shard, event.sequence);
    let id = DeadLetterId { consumer, topic, shard, sequence };
    let letter = platform.read(move |tx| dead_letters::load(tx, &id)).await?;
    Ok(if letter.is_some() { "dead letter" } else { "not yet consumed" })
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
