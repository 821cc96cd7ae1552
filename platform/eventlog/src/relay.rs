//! The relay: carries a topic from its outbox to a broker, in order, and over again where the broker
//! lost something (rules 5, 6 and 13).
//!
//! One relay a topic is active: it holds a lease with an epoch, by the database's time. It reads the
//! outbox after its durable position, sends in order, and moves the position over what was
//! acknowledged, where the epoch is still its own. After any error it takes a new session and goes
//! back to that position. What is sent twice by that has the same numbers: consumers drop it.
//!
//! Losing any of what it writes costs sending again, no more: its connection may be one whose commits
//! do not wait for the disk.

use std::collections::BTreeMap;

use store::{Bell, Engine, Sql, Tx, Value};

use crate::{
    Cursor, Error, Log, Share,
    broker::{Broker, BrokerError, Ends, Session},
    envelope,
    rules::{self, Rule},
};

/// How long a lease holds.
const HOLDS_MILLIS: i64 = 5_000;
/// How often it is renewed. Who finds it taken only then has sent what consumers drop.
const RENEW_MICROS: u64 = 1_000_000;
/// Events sent at once at most: they wait in memory until all are acknowledged.
const EVENTS_MOST: usize = 2_000;

static NEW: Sql = Sql::new(
    "INSERT INTO relay (topic, sequences, epoch, holder, until) VALUES ($1, $2, 0, 0, now()) \
     ON CONFLICT (topic) DO NOTHING",
);
/// Renews the lease, or takes one that has run out with the next epoch.
static HOLD: Sql = Sql::new(
    "UPDATE relay SET epoch = epoch + CASE WHEN holder = $1 THEN 0 ELSE 1 END, holder = $1, \
     until = now() + $2::bigint * interval '1 millisecond' \
     WHERE topic = $3 AND (holder = $1 OR until < now()) RETURNING epoch, sequences",
);
static CHECKPOINT: Sql = Sql::new(
    "UPDATE relay SET sequences = $1, epoch = epoch + $2 WHERE topic = $3 AND epoch = $4 \
     AND holder = $5",
);
static LEAVE: Sql =
    Sql::new("UPDATE relay SET until = now() WHERE topic = $1 AND holder = $2 AND epoch = $3");
static ASK: Sql = Sql::new(
    "INSERT INTO replay (consumer, topic, shard, sequence) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (consumer, topic, shard) DO UPDATE SET sequence = excluded.sequence",
);
static ASKED: Sql = Sql::new("DELETE FROM replay WHERE topic = $1 RETURNING shard, sequence");
/// Where those are that take part now.
static POSITIONS: Sql = Sql::new(
    "SELECT consumer, shard, last, next FROM shard_position WHERE topic = $1 AND EXISTS ( \
     SELECT 1 FROM member WHERE service = consumer)",
);

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another process holds the lease.
    Standby,
    /// So many events were sent and acknowledged.
    Sent(usize),
}

/// Why a turn failed. The next one begins after the durable position.
#[derive(Debug)]
pub enum RelayError {
    Log(Error),
    Broker(BrokerError),
}

impl std::fmt::Display for RelayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("events are not carried on now")
    }
}
impl std::error::Error for RelayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => Some(error),
            Self::Broker(error) => Some(error),
        }
    }
}
impl From<store::Error> for RelayError {
    fn from(error: store::Error) -> Self {
        Self::Log(error.into())
    }
}
impl From<Error> for RelayError {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}
impl From<BrokerError> for RelayError {
    fn from(error: BrokerError) -> Self {
        Self::Broker(error)
    }
}

/// A consumer asks for the events of a shard from a number on: the broker has a gap there.
pub fn ask(
    tx: &mut Tx<'_>,
    (consumer, topic): (&str, &str),
    (shard, sequence): (u32, i64),
) -> store::Result<()> {
    let values =
        [Value::Text(consumer), Value::Text(topic), Value::from(shard), Value::Int(sequence)];
    tx.execute(&ASK, &values).map(drop)
}

/// Where a consumer is in a shard: the last number, and the offset at which it goes on.
type Positions = Vec<((String, u32), (i64, i64))>;

fn positions(tx: &mut Tx<'_>, topic: &str) -> store::Result<Positions> {
    tx.query(&POSITIONS, &[Value::Text(topic)], |row| {
        let shard = u32::try_from(row.int(1)?).unwrap_or(u32::MAX);
        Ok(((row.text(0)?.to_string(), shard), (row.int(2)?, row.int(3)?)))
    })
}

/// One topic's relay in one process.
pub struct Relay {
    topic: &'static str,
    process: i64,
    log: Log,
    /// Negative where it is not active.
    epoch: i64,
    /// When the lease was renewed.
    renewed: u64,
    /// Up to where all is acknowledged, as this relay knows.
    cursor: Cursor,
    session: Option<Box<dyn Session>>,
    /// Where consumers were when they were last looked at.
    seen: BTreeMap<(String, u32), i64>,
}

impl Relay {
    /// The relay of a topic, not active yet.
    pub fn open(tx: &mut Tx<'_>, topic: &'static str, process: i64) -> Result<Self, Error> {
        debug_assert_eq!(tx.engine(), Engine::Postgres, "a data directory has one process");
        let log = Log::open(tx, &[topic], 1)?;
        let cursor = Cursor::start(log.shards());
        let start = cursor.to_bytes();
        tx.execute(&NEW, &[Value::Text(topic), Value::Blob(&start)])?;
        let seen = BTreeMap::new();
        Ok(Self { topic, process, log, epoch: -1, renewed: 0, cursor, session: None, seen })
    }
    /// Which topic it carries.
    pub fn topic(&self) -> &'static str {
        self.topic
    }
    /// How many events wait to be carried, as of the last turn.
    pub fn behind(&self) -> i64 {
        self.log.end(self.topic, true).total() - self.cursor.total()
    }
    /// Carries what is there, a bounded batch of it, where the lease is this process's.
    /// `now` are microseconds of a monotonic clock.
    pub fn turn(
        &mut self,
        line: &mut Bell,
        broker: &dyn Broker,
        now: u64,
    ) -> Result<Turn, RelayError> {
        let done = self.carry(line, broker, now);
        if done.is_err() {
            // Nobody knows what arrived: a new session goes back to what is durable.
            self.session = None;
            self.epoch = -1;
        }
        done
    }
    fn carry(
        &mut self,
        line: &mut Bell,
        broker: &dyn Broker,
        now: u64,
    ) -> Result<Turn, RelayError> {
        let mut tx = line.each()?;
        if self.epoch < 0 || now >= self.renewed + RENEW_MICROS {
            if !self.hold(&mut tx)? {
                return Ok(Turn::Standby);
            }
            self.renewed = now;
        }
        self.log.look(&mut tx)?;
        let mut ahead = self.cursor.clone();
        let from = (self.topic, Share::WHOLE);
        // What lies before an end that was committed stays as it is: this needs no snapshot.
        let events = self.log.read_share(&mut tx, from, &mut ahead, EVENTS_MOST, true)?;
        drop(tx);
        if events.is_empty() {
            return Ok(Turn::Sent(0));
        }
        let lives = self.log.lives(self.topic);
        let mut records: Vec<_> =
            events.iter().map(|event| envelope::record(self.topic, event, lives)).collect();
        if !rules::hold(Rule::InOrderProducer) {
            records.reverse();
        }
        if self.session.is_none() && !self.is_there(line, broker)? {
            // It was not: what is missing in it comes first.
            return Ok(Turn::Sent(0));
        }
        if !rules::hold(Rule::GoBackN) {
            self.checkpoint(line, &ahead)?;
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(broker.session()?),
        };
        session.send(self.topic, &records)?;
        if !self.checkpoint(line, &ahead)? {
            (self.session, self.epoch) = (None, -1);
            return Ok(Turn::Standby);
        }
        self.cursor = ahead;
        Ok(Turn::Sent(events.len()))
    }
    /// Makes a topic that is missing, and goes back to what its consumers have not had. False where
    /// this went back.
    fn is_there(&mut self, line: &mut Bell, broker: &dyn Broker) -> Result<bool, RelayError> {
        if !broker.ensure(self.topic, self.log.shards())? {
            return Ok(true);
        }
        let mut tx = line.begin()?;
        let at = positions(&mut tx, self.topic)?;
        let wanted: Vec<(u32, i64)> =
            at.into_iter().map(|((_, shard), (last, _))| (shard, last + 1)).collect();
        let epoch = self.epoch;
        self.rewind(&mut tx, &wanted)?;
        tx.commit()?;
        Ok(epoch == self.epoch)
    }
    /// Whether the lease is this process's; with a new epoch it begins at what is durable.
    fn hold(&mut self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        let shards = self.log.shards();
        let values = [Value::Int(self.process), Value::Int(HOLDS_MILLIS), Value::Text(self.topic)];
        let held = tx.query_one(&HOLD, &values, |row| {
            Ok((row.int(0)?, Cursor::from_row(0, row.blob(1)?, shards)))
        })?;
        let Some((epoch, durable)) = held else {
            (self.session, self.epoch) = (None, -1);
            return Ok(false);
        };
        if epoch != self.epoch {
            (self.session, self.epoch, self.cursor) = (None, epoch, durable);
        }
        Ok(true)
    }
    /// Moves the durable position; false where the lease is another's.
    fn checkpoint(&self, line: &mut Bell, to: &Cursor) -> Result<bool, Error> {
        self.move_to(&mut line.each()?, to, 0)
    }
    fn move_to(&self, tx: &mut Tx<'_>, to: &Cursor, epochs: i64) -> Result<bool, Error> {
        let sequences = to.to_bytes();
        let values = [
            Value::Blob(&sequences),
            Value::Int(epochs),
            Value::Text(self.topic),
            Value::Int(self.epoch),
            Value::Int(self.process),
        ];
        Ok(tx.execute(&CHECKPOINT, &values)? == 1)
    }
    /// Goes back to before these numbers, where it is past them, under a new epoch.
    fn rewind(&mut self, tx: &mut Tx<'_>, wanted: &[(u32, i64)]) -> Result<(), Error> {
        let mut back = self.cursor.clone();
        for (shard, sequence) in wanted {
            if let Some(at) = back.sequences.get_mut(*shard as usize) {
                *at = (*at).min(sequence - 1).max(0);
            }
        }
        let goes_back = back != self.cursor && rules::hold(Rule::ReplayAfterLoss);
        if !goes_back || !self.move_to(tx, &back, 1)? {
            // There is nothing to do, or the lease is another's, who will be asked again.
            return Ok(());
        }
        tracing::warn!(topic = self.topic, shards = wanted.len(), "events are carried once more");
        (self.session, self.epoch, self.cursor) = (None, self.epoch + 1, back);
        Ok(())
    }
    /// Goes back to what consumers ask for, where this relay is active.
    pub fn answer_asks(&mut self, line: &mut Bell) -> Result<(), RelayError> {
        if self.epoch < 0 {
            return Ok(());
        }
        let mut tx = line.begin()?;
        let shard = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let asked = tx.query(&ASKED, &[Value::Text(self.topic)], |row| {
            Ok((shard(row.int(0)?), row.int(1)?))
        })?;
        self.rewind(&mut tx, &asked)?;
        Ok(tx.commit()?)
    }
    /// Compares where consumers are with what the broker holds for them, and carries once more what
    /// it lost: for those that did not move since the last call (rule 13). A topic that is gone is
    /// made again. Where this relay is active.
    pub fn reconcile(&mut self, line: &mut Bell, broker: &dyn Broker) -> Result<(), RelayError> {
        if self.epoch < 0 {
            return Ok(());
        }
        if !self.is_there(line, broker)? {
            return Ok(());
        }
        let mut tx = line.begin()?;
        let mut stale = positions(&mut tx, self.topic)?;
        tx.commit()?;
        let seen = stale.iter().map(|(who, (last, _))| (who.clone(), *last)).collect();
        let seen = std::mem::replace(&mut self.seen, seen);
        stale.retain(|(who, (last, _))| seen.get(who) == Some(last) && *last < self.sent(who.1));
        if stale.is_empty() {
            return Ok(());
        }
        let ends = broker.ends(self.topic, self.log.shards())?;
        let lost = stale.iter().filter(|((_, shard), at)| self.is_lost(*shard, *at, &ends));
        let lost: Vec<(u32, i64)> =
            lost.map(|((_, shard), (last, _))| (*shard, last + 1)).collect();
        let mut tx = line.begin()?;
        self.rewind(&mut tx, &lost)?;
        Ok(tx.commit()?)
    }
    /// The last number that was sent in a shard.
    fn sent(&self, shard: u32) -> i64 {
        self.cursor.sequences.get(shard as usize).copied().unwrap_or(0)
    }
    /// Whether the broker holds fewer records after a consumer's position than were sent.
    fn is_lost(&self, shard: u32, (last, next): (i64, i64), ends: &[Ends]) -> bool {
        let held = ends.get(shard as usize).copied().unwrap_or_default();
        let from = next.max(held.low);
        // An offset after the end is of a topic that was there before this one.
        let left = if next > held.high { held.high - held.low } else { held.high - from };
        left < self.sent(shard) - last
    }
    /// Gives the lease back.
    pub fn leave(&mut self, line: &mut Bell) -> Result<(), RelayError> {
        let mut tx = line.begin()?;
        let values = [Value::Text(self.topic), Value::Int(self.process), Value::Int(self.epoch)];
        tx.execute(&LEAVE, &values)?;
        Ok(tx.commit()?)
    }
}
