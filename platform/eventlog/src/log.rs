//! Appending, reading and positions, in batches.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use contracts::{Timestamp, exchanges::EventPlace};
use store::{Engine, Insert, Kind, OnConflict, Row, Select, Sql, Tx, Value};

use crate::{
    Error,
    cursor::Cursor,
    heads::Heads,
    lives::Lives,
    rules::{self, Rule},
    share::Share,
    tables::{self, declared},
};

/// How many fresh events of a topic stay in memory for consumers that keep up.
const TAIL_MOST: usize = 16_384;

/// An event about to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub shard: u32,
    pub sequence: i64,
    pub place: i64,
    /// The ordered part of the id it is about: order is kept for each key.
    pub key: i64,
    /// Kind and version, see [`crate::kind_and_version`].
    pub kind: i64,
    /// Machine time.
    pub at: Timestamp,
    /// W3C trace id and parent id.
    pub trace: Option<[u8; 24]>,
    /// The compact form.
    pub payload: Vec<u8>,
}

/// An event as it stands in the log; rows are never changed.
pub type Stored = NewEvent;

/// The next number of a shard and the row's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub sequence: i64,
    pub place: i64,
}

pub(crate) struct Topic {
    name: &'static str,
    insert: &'static Insert<8>,
    read: &'static Sql,
    by_place: &'static Select<2>,
    /// The last place and numbers given, committed or not.
    pub(crate) head: Cursor,
    /// What the row of heads says in this transaction (PostgreSQL).
    pub(crate) saved: Cursor,
    /// What was durable at the last commit.
    pub(crate) committed: Cursor,
    /// Fresh events, oldest first, with nothing missing up to `head`.
    pub(crate) tail: VecDeque<Arc<Stored>>,
    pub(crate) lives: Arc<Lives>,
}

/// The log, as the writer of a process holds it. On PostgreSQL other processes write too: what is
/// remembered of a stream's end is trusted only under a compare-and-set, see [`Log::begin`].
pub struct Log {
    shards: u32,
    engine: Engine,
    pub(crate) topics: BTreeMap<&'static str, Topic>,
    pub(crate) heads: Heads,
}

/// A row of a topic's table.
static COLUMNS: &[&str] = &["place", "shard", "sequence", "key", "kind", "at", "trace", "payload"];
static SETTING: Sql = Sql::new("SELECT value FROM installation WHERE name = $1");
static NEW_SETTING: Sql = Sql::new(
    "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
);

impl Topic {
    fn new(name: &'static str, engine: Engine, shards: u32) -> Self {
        let table = tables::table(name);
        let columns = COLUMNS.join(", ");
        let read = match engine {
            Engine::Sqlite => {
                format!("SELECT {columns} FROM {table} WHERE place > $1 ORDER BY place LIMIT $2")
            }
            // After a gap: where the stream goes on.
            Engine::Postgres => format!(
                "SELECT {columns} FROM {table} WHERE shard = $1 AND sequence > $2 \
                 ORDER BY sequence LIMIT 1"
            ),
        };
        // What addresses a row: the row's own number, or its number in its stream.
        let place = match engine {
            Engine::Sqlite => "place",
            Engine::Postgres => "sequence",
        };
        let places = [("shard", Kind::Int), (place, Kind::Int)];
        let insert = Insert::new(
            table,
            [
                ("place", Kind::Int),
                ("shard", Kind::Int),
                ("sequence", Kind::Int),
                ("key", Kind::Int),
                ("kind", Kind::Int),
                ("at", Kind::Int),
                ("trace", Kind::Blob),
                ("payload", Kind::Blob),
            ],
            OnConflict::None,
        );
        Self {
            name,
            insert: Box::leak(Box::new(insert)),
            read: declared(read),
            by_place: Box::leak(Box::new(Select::new(table, COLUMNS, places))),
            head: Cursor::start(shards),
            saved: Cursor::start(shards),
            committed: Cursor::start(shards),
            tail: VecDeque::new(),
            lives: Arc::new(Lives::first(shards)),
        }
    }
    fn load_head(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let table = tables::table(self.name);
        let last =
            declared(format!("SELECT coalesce(max(sequence), 0) FROM {table} WHERE shard = $1"));
        let place = declared(format!("SELECT coalesce(max(place), 0) FROM {table}"));
        let engine = tx.engine();
        if engine == Engine::Sqlite {
            self.head.offset = tx.query_one(place, &[], |row| row.int(0))?.unwrap_or(0);
            return self.load_embedded_numbers(tx);
        }
        for shard in 0..self.head.sequences.len() {
            let number = i64::try_from(shard).expect("few shards");
            self.head.sequences[shard] =
                tx.query_one(last, &[Value::Int(number)], |row| row.int(0))?.unwrap_or(0);
        }
        Ok(())
    }
    /// The last number of each shard, found by walking back from the end: no index is kept for it.
    fn load_embedded_numbers(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let shards = self.head.sequences.len();
        if shards == 1 {
            self.head.sequences[0] = self.head.offset;
            return Ok(());
        }
        let table = tables::table(self.name);
        let all = declared(format!(
            "SELECT shard, max(sequence) FROM {table} WHERE place > $1 GROUP BY shard"
        ));
        // A window of the newest rows nearly always meets every shard; the whole table otherwise.
        for window in [100_000, i64::MAX] {
            let from = self.head.offset.saturating_sub(window).max(0);
            let rows = tx.query(all, &[Value::Int(from)], |row| Ok((row.int(0)?, row.int(1)?)))?;
            for (shard, sequence) in &rows {
                let shard = usize::try_from(*shard).expect("shards are small");
                self.head.sequences[shard] = *sequence;
            }
            if rows.len() == shards || from == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Log {
    /// Opens the log of these topics with S shards; S is fixed by the first call of an installation.
    pub fn open(tx: &mut Tx<'_>, topics: &[&'static str], shards: u32) -> Result<Self, Error> {
        tx.execute(&NEW_SETTING, &[Value::Text("shards"), Value::Int(i64::from(shards))])?;
        let fixed = tx.query_one(&SETTING, &[Value::Text("shards")], |row| row.int(0))?;
        let shards = fixed.and_then(|fixed| u32::try_from(fixed).ok()).unwrap_or(shards);
        let engine = tx.engine();
        let mut log = Self { shards, engine, topics: BTreeMap::new(), heads: Heads::default() };
        for name in topics {
            let mut topic = Topic::new(name, engine, shards);
            topic.load_head(tx)?;
            topic.committed = topic.head.clone();
            topic.saved = topic.head.clone();
            log.topics.insert(name, topic);
        }
        log.open_heads(tx)?;
        Ok(log)
    }
    /// S, a power of two.
    pub fn shards(&self) -> u32 {
        self.shards
    }
    /// The topics, in order of name.
    pub fn topics(&self) -> Vec<&'static str> {
        self.topics.keys().copied().collect()
    }
    fn topic(&self, name: &str) -> &Topic {
        self.topics.get(name).expect("the wiring opened every topic that it names")
    }
    fn topic_mut(&mut self, name: &str) -> &mut Topic {
        self.topics.get_mut(name).expect("the wiring opened every topic that it names")
    }
    /// Gives the next number of a shard. It is used by the [`Log::append_many`] of this transaction
    /// or dropped with it.
    pub fn number(&mut self, topic: &str, shard: u32) -> Numbered {
        let engine = self.engine;
        let topic = self.topic_mut(topic);
        let sequence = &mut topic.head.sequences[shard as usize];
        *sequence += 1;
        let sequence = *sequence;
        let place = match engine {
            Engine::Sqlite => {
                topic.head.offset += 1;
                topic.head.offset
            }
            Engine::Postgres => sequence,
        };
        Numbered { sequence, place }
    }
    /// Appends numbered events in their order.
    pub fn append_many(
        &mut self,
        tx: &mut Tx<'_>,
        topic: &str,
        events: Vec<NewEvent>,
    ) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        self.save_head(tx, topic)?;
        let topic = self.topic_mut(topic);
        tx.insert_many(topic.insert, &events, |event| {
            [
                Value::Int(event.place),
                Value::Int(i64::from(event.shard)),
                Value::Int(event.sequence),
                Value::Int(event.key),
                Value::Int(event.kind),
                Value::Int(event.at.0),
                event.trace.as_ref().map_or(Value::Null, |trace| Value::Blob(trace)),
                Value::Blob(&event.payload),
            ]
        })?;
        topic.tail.extend(events.into_iter().map(Arc::new));
        Ok(())
    }
    /// Reads at most `most` events after a cursor and moves it, or finds that numbers are missing.
    ///
    /// `committed_only` leaves out what this transaction appended itself.
    pub fn read(
        &self,
        tx: &mut Tx<'_>,
        topic: &str,
        cursor: &mut Cursor,
        most: usize,
        committed_only: bool,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        self.read_share(tx, (topic, Share::WHOLE), cursor, most, committed_only)
    }
    /// The same of the shards of a share alone.
    pub fn read_share(
        &self,
        tx: &mut Tx<'_>,
        (topic, share): (&str, Share),
        cursor: &mut Cursor,
        most: usize,
        committed_only: bool,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        let topic = self.topic(topic);
        let end = if committed_only { &topic.committed } else { &topic.head };
        if !cursor.is_behind(end, share) {
            return Ok(Vec::new());
        }
        let mut events = match self.in_tail(topic, cursor) {
            Some(events) => events.take(most).cloned().collect(),
            None => self.in_store(tx, (topic, share), (cursor, end), most)?,
        };
        events.retain(|event| event.sequence <= end.sequences[event.shard as usize]);
        for event in &events {
            let last = &mut cursor.sequences[event.shard as usize];
            if event.sequence != *last + 1 && rules::hold(Rule::GapStops) {
                return Err(topic.gap(event.shard, *last + 1, event.sequence));
            }
            *last = event.sequence;
            if self.engine == Engine::Sqlite {
                cursor.offset = event.place;
            }
        }
        Ok(events)
    }
    /// Whether events of a share's shards wait after a cursor, also those of this transaction.
    pub fn waits(&self, topic: &str, cursor: &Cursor, share: Share) -> bool {
        cursor.is_behind(&self.topic(topic).head, share)
    }
    /// Moves a cursor over fresh events that `skip` says are nobody's business.
    pub fn skip(&self, topic: &str, cursor: &mut Cursor, skip: impl Fn(i64) -> bool) {
        let topic = self.topic(topic);
        let mut moved = cursor.clone();
        let Some(events) = self.in_tail(topic, cursor) else { return };
        for event in events.take_while(|event| skip(event.kind)) {
            moved.sequences[event.shard as usize] = event.sequence;
            if self.engine == Engine::Sqlite {
                moved.offset = event.place;
            }
        }
        *cursor = moved;
    }
    /// When the first event after the cursor was emitted, where memory has it.
    pub fn oldest(&self, topic: &str, cursor: &Cursor) -> Option<Timestamp> {
        self.in_tail(self.topic(topic), cursor)?.next().map(|event| event.at)
    }
    /// The events after the cursor, where memory has them all.
    fn in_tail<'t>(
        &self,
        topic: &'t Topic,
        cursor: &Cursor,
    ) -> Option<impl Iterator<Item = &'t Arc<Stored>> + use<'t>> {
        if self.engine == Engine::Postgres && self.shards > 1 {
            return None;
        }
        let at = match self.engine {
            Engine::Sqlite => cursor.offset,
            Engine::Postgres => cursor.sequences[0],
        };
        let first = topic.tail.front()?.place;
        if first > at + 1 {
            return None;
        }
        let from = usize::try_from(at + 1 - first).ok()?;
        Some(topic.tail.iter().skip(from))
    }
    fn in_store(
        &self,
        tx: &mut Tx<'_>,
        (topic, share): (&Topic, Share),
        (cursor, end): (&Cursor, &Cursor),
        most: usize,
    ) -> Result<Vec<Arc<Stored>>, Error> {
        if self.engine == Engine::Sqlite {
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let from = [Value::Int(cursor.offset), Value::Int(limit)];
            return Ok(tx.query(topic.read, &from, |row| stored(row).map(Arc::new))?);
        }
        // The numbers are known, so that all shards are one question.
        let mut wanted = Vec::new();
        for (shard, last) in (0u32..).zip(&cursor.sequences).filter(|(shard, _)| share.has(*shard))
        {
            let left = i64::try_from(most - wanted.len()).unwrap_or(i64::MAX);
            let until = end.sequences[shard as usize].min(last.saturating_add(left));
            wanted.extend((last + 1..=until).map(|sequence| (shard, sequence)));
        }
        let events = tx.select_many(
            topic.by_place,
            &wanted,
            |(shard, sequence)| [Value::from(*shard), Value::Int(*sequence)],
            |row| stored(row).map(Arc::new),
        )?;
        let missing = wanted.iter().enumerate().find(|(at, (shard, sequence))| {
            let found = events.get(*at);
            found.is_none_or(|event| event.shard != *shard || event.sequence != *sequence)
        });
        match missing.filter(|_| rules::hold(Rule::GapStops)) {
            None => Ok(events),
            // What comes before the gap is still good.
            Some((at, _)) if at > 0 => Ok(events.into_iter().take(at).collect()),
            Some((_, (shard, sequence))) => {
                let after = [Value::from(*shard), Value::Int(*sequence)];
                let next = tx.query_one(topic.read, &after, stored)?;
                let found = next.map_or(end.sequences[*shard as usize] + 1, |next| next.sequence);
                Err(topic.gap(*shard, *sequence, found))
            }
        }
    }
    /// The lives of a topic, as they were when this was opened: a process has one database.
    pub fn lives(&self, topic: &str) -> &Arc<Lives> {
        &self.topic(topic).lives
    }
    /// The last number given in a shard.
    pub fn max_sequence(&self, topic: &str, shard: u32) -> i64 {
        self.topic(topic).head.sequences[shard as usize]
    }
    /// The end of what is durable (true) or of what was appended (false).
    pub fn end(&self, topic: &str, committed: bool) -> &Cursor {
        let topic = self.topic(topic);
        if committed { &topic.committed } else { &topic.head }
    }
    /// The topics that the transaction under way appended to.
    pub fn moved(&self) -> Vec<&'static str> {
        let moved = self.topics.iter().filter(|(_, topic)| topic.head != topic.committed);
        moved.map(|(name, _)| *name).collect()
    }
    /// The transaction is durable.
    pub fn committed(&mut self) {
        self.heads.committed();
        for topic in self.topics.values_mut() {
            topic.committed.clone_from(&topic.head);
            while topic.tail.len() > TAIL_MOST {
                topic.tail.pop_front();
            }
        }
    }
    /// The transaction is gone: its numbers are given again.
    pub fn rolled_back(&mut self) {
        self.heads.rolled_back();
        for topic in self.topics.values_mut() {
            if rules::hold(Rule::GaplessNumbers) {
                topic.head.clone_from(&topic.committed);
            }
            topic.saved.clone_from(&topic.committed);
            let committed = &topic.committed;
            topic.tail.retain(|event| event.sequence <= committed.sequences[event.shard as usize]);
        }
    }
    /// One event by its place; for timelines. A reader's transaction will do.
    pub fn one(
        tx: &mut Tx<'_>,
        topic: &'static str,
        at: EventPlace,
    ) -> store::Result<Option<Stored>> {
        Ok(Self::some(tx, topic, &[at])?.pop())
    }
    /// Those events that there are of these places of a topic.
    pub fn some(
        tx: &mut Tx<'_>,
        topic: &'static str,
        places: &[EventPlace],
    ) -> store::Result<Vec<Stored>> {
        let select = Topic::by_place(topic, tx.engine());
        let key = |at: &EventPlace| [Value::Int(i64::from(at.shard)), Value::Int(at.place)];
        tx.select_many(select, places, key, stored)
    }
}

impl Topic {
    fn gap(&self, shard: u32, expected: i64, found: i64) -> Error {
        Error::Gap { topic: self.name.to_owned(), shard, expected, found }
    }
    /// The statement that reads events by their places, made once per topic and process.
    fn by_place(name: &'static str, engine: Engine) -> &'static Select<2> {
        static MADE: std::sync::Mutex<BTreeMap<(&'static str, bool), &'static Select<2>>> =
            std::sync::Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        made.entry((name, engine == Engine::Sqlite))
            .or_insert_with(|| Self::new(name, engine, 1).by_place)
    }
}

fn stored(row: &Row<'_>) -> Result<Stored, store::Error> {
    let trace = row.opt_blob(6)?.and_then(|bytes| <[u8; 24]>::try_from(bytes).ok());
    Ok(Stored {
        place: row.int(0)?,
        shard: u32::try_from(row.int(1)?).unwrap_or(u32::MAX),
        sequence: row.int(2)?,
        key: row.int(3)?,
        kind: row.int(4)?,
        at: Timestamp(row.int(5)?),
        trace,
        payload: row.blob(7)?.to_vec(),
    })
}
