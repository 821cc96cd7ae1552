//! A consumer's side of a topic that a broker carries: what has come in, in order, without a gap.
//!
//! The thread that reads the broker puts records in; the writer takes them out, and drops them once
//! its transaction is durable. A number that was seen is dropped; one that comes too early is
//! dropped too, and what is missing is asked for (rule 10).

use std::{collections::VecDeque, sync::Arc};

use contracts::Timestamp;
use parking_lot::Mutex;

use crate::{
    Cursor, Lives, Log, Share, Stored,
    broker::{Arrived, Part},
    envelope::{self, Wants},
    rules::{self, Rule},
};

/// Events that wait in memory before the reader pauses, and so few that it goes on.
const FULL: usize = 10_000;
const ROOM: usize = 5_000;

/// So many looks at the end of the stream find a shard behind that has not moved: then its reader
/// brings nothing any more.
const STILL_MOST: u32 = 3;

/// One shard as far as it has come in.
#[derive(Default)]
struct Lane {
    /// This process consumes it.
    open: bool,
    /// The last number that came in.
    last: i64,
    /// What waits, each with the offset after it.
    events: VecDeque<(Arc<Stored>, i64)>,
    /// A later number came where the next one is due, and whether that one was asked for.
    gap: Option<bool>,
    /// The last number that had come in at the last look, and how many looks found it so although
    /// there were later ones.
    seen: i64,
    still: u32,
    /// Where the reader has to begin, if it has not yet.
    begin: Option<i64>,
    /// Events of another life of the database came.
    foreign: bool,
}

#[derive(Default)]
struct Inner {
    lanes: Vec<Lane>,
    waiting: usize,
    /// What the reader reads has to change.
    moved: bool,
    /// A shard stands still although there is more.
    stalled: bool,
    /// Up to where the consumer is durably, as the broker counts.
    offsets: Vec<(u32, i64)>,
}

/// The events of one topic for one consumer.
pub struct Feed {
    topic: &'static str,
    wants: Wants,
    lives: Arc<Lives>,
    inner: Mutex<Inner>,
}

impl Feed {
    /// What a consumer of a log wants of a topic; of no shards yet.
    pub fn new(log: &Log, topic: &'static str, wants: Wants) -> Arc<Self> {
        let lanes = (0..log.shards()).map(|_| Lane::default()).collect();
        let (lives, inner) = (Arc::clone(log.lives(topic)), Inner { lanes, ..Inner::default() });
        Arc::new(Self { topic, wants, lives, inner: Mutex::new(inner) })
    }
    /// Which topic it is of.
    pub fn topic(&self) -> &'static str {
        self.topic
    }
    /// From now on a share's shards come in, from where the consumer durably is. What has come in
    /// of those that were its own before and goes on from there is kept.
    pub fn starts(&self, share: Share, at: &Cursor) {
        let mut inner = self.inner.lock();
        for (shard, lane) in (0u32..).zip(&mut inner.lanes) {
            let from = at.sequences[shard as usize];
            let goes_on = lane.open && from <= lane.last && lane.reaches_back_to(from);
            if share.has(shard) && goes_on {
                lane.drop_until(from);
                continue;
            }
            let begin = at.next.get(shard as usize).copied().unwrap_or(0);
            *lane = Lane::default();
            if share.has(shard) {
                (lane.open, lane.last, lane.begin) = (true, from, Some(begin));
            }
        }
        inner.moved = true;
        inner.count();
    }
    /// Whether what the reader reads has to change.
    pub fn has_moved(&self) -> bool {
        self.inner.lock().moved
    }
    /// What the reader has to read from now on.
    pub fn parts(&self) -> Vec<Part> {
        let mut inner = self.inner.lock();
        inner.moved = false;
        let open = (0u32..).zip(&mut inner.lanes).filter(|(_, lane)| lane.open);
        let part = |(shard, lane): (u32, &mut Lane)| Part {
            topic: self.topic,
            shard,
            from: lane.begin.take(),
        };
        open.map(part).collect()
    }
    /// Takes in what the broker gave; whether the consumer has something new.
    pub fn take(&self, arrived: &[Arrived]) -> bool {
        let mut inner = self.inner.lock();
        let mut fresh = 0;
        for record in arrived.iter().filter(|record| record.topic == self.topic) {
            let Some(lane) = inner.lanes.get_mut(record.shard as usize).filter(|lane| lane.open)
            else {
                continue;
            };
            let Some((epoch, event)) = envelope::event(self.topic, record, &self.wants) else {
                let (topic, shard, offset) = (self.topic, record.shard, record.offset);
                tracing::error!(topic, shard, offset, "a record is no event of ours: left alone");
                continue;
            };
            if epoch != self.lives.epoch(record.shard, event.sequence) {
                lane.foreign(self.topic, &event, epoch);
                continue;
            }
            let takes_any = !rules::hold(Rule::GapStops) && event.sequence > lane.last;
            if event.sequence == lane.last + 1 || takes_any {
                (lane.last, lane.gap) = (event.sequence, None);
                lane.events.push_back((Arc::new(event), record.offset + 1));
                fresh += 1;
            } else if event.sequence > lane.last && lane.gap.is_none() {
                let (topic, shard, due, found) =
                    (self.topic, record.shard, lane.last + 1, event.sequence);
                tracing::error!(topic, shard, due, found, "events are missing: asking for them");
                lane.gap = Some(false);
            }
        }
        inner.waiting += fresh;
        fresh > 0
    }
    /// At most `most` events after a cursor, which moves.
    pub fn read(&self, cursor: &mut Cursor, most: usize) -> Vec<Arc<Stored>> {
        let inner = self.inner.lock();
        let mut read = Vec::new();
        for (shard, lane) in inner.lanes.iter().enumerate().filter(|(_, lane)| lane.open) {
            for (event, next) in lane.after(cursor.sequences[shard]).take(most - read.len()) {
                cursor.moves(shard, event.sequence, *next);
                read.push(Arc::clone(event));
            }
        }
        read
    }
    /// Moves a cursor over events at its front that are nobody's business.
    pub fn skip(&self, cursor: &mut Cursor, skip: impl Fn(i64) -> bool) {
        let inner = self.inner.lock();
        for (shard, lane) in inner.lanes.iter().enumerate().filter(|(_, lane)| lane.open) {
            let front = lane.after(cursor.sequences[shard]);
            let last = front.take_while(|(event, _)| skip(event.kind)).last();
            if let Some((event, next)) = last {
                cursor.moves(shard, event.sequence, *next);
            }
        }
    }
    /// Whether something waits after a cursor.
    pub fn waits(&self, cursor: &Cursor) -> bool {
        let lanes = &self.inner.lock().lanes;
        lanes.iter().zip(&cursor.sequences).any(|(lane, at)| lane.open && lane.last > *at)
    }
    /// When the oldest event after the cursor was emitted.
    pub fn oldest(&self, cursor: &Cursor) -> Option<Timestamp> {
        let inner = self.inner.lock();
        let lanes = inner.lanes.iter().zip(&cursor.sequences).filter(|(lane, _)| lane.open);
        lanes.filter_map(|(lane, at)| Some(lane.after(*at).next()?.0.at)).min()
    }
    /// The consumer is durably here: what is before is dropped.
    pub fn passed(&self, at: &Cursor) {
        let mut inner = self.inner.lock();
        let mut offsets = std::mem::take(&mut inner.offsets);
        for (shard, lane) in (0u32..).zip(&mut inner.lanes).filter(|(_, lane)| lane.open) {
            if lane.drop_until(at.sequences[shard as usize]) {
                offsets.retain(|(of, _)| *of != shard);
                offsets.extend(at.next.get(shard as usize).map(|next| (shard, *next)));
            }
        }
        inner.offsets = offsets;
        inner.count();
    }
    /// How far the consumer got since the last call, as the broker counts.
    pub fn noted(&self) -> Vec<(u32, i64)> {
        std::mem::take(&mut self.inner.lock().offsets)
    }
    /// The first missing number of each shard that has a gap, once; `all` names them again.
    pub fn gaps(&self, all: bool) -> Vec<(u32, i64)> {
        let lanes = &mut self.inner.lock().lanes;
        let gaps = (0u32..).zip(lanes).filter(|(_, lane)| lane.open);
        let due = gaps.filter(|(_, lane)| lane.gap.is_some_and(|asked| all || !asked));
        let named = |(shard, lane): (u32, &mut Lane)| {
            lane.gap = Some(true);
            (shard, lane.last + 1)
        };
        due.map(named).collect()
    }
    /// How many shards the topic has.
    pub fn shards(&self) -> u32 {
        u32::try_from(self.inner.lock().lanes.len()).unwrap_or(u32::MAX)
    }
    /// Looks where the stream ends by what the database says. A reader whose client does not go on in
    /// a partition brings no error and leaves no gap: it shows by a shard that is behind, and has not
    /// moved for some looks. To be called every ten seconds or so.
    pub fn look(&self, end: &Cursor) {
        let mut inner = self.inner.lock();
        let paused = inner.waiting >= ROOM;
        let mut stalled = None;
        for (shard, (lane, end)) in inner.lanes.iter_mut().zip(&end.sequences).enumerate() {
            // A gap has its own remedy.
            let waits = lane.open && !paused && lane.gap.is_none() && lane.last < *end;
            let still = waits && lane.seen == lane.last;
            lane.still = if still { lane.still + 1 } else { 0 };
            lane.seen = lane.last;
            if lane.still >= STILL_MOST {
                lane.still = 0;
                stalled = Some((shard, lane.last, *end));
            }
        }
        if let Some((shard, last, end)) = stalled {
            let topic = self.topic;
            tracing::warn!(topic, shard, last, end, "nothing comes: the reader begins anew");
            inner.stalled = true;
        }
    }
    /// Whether the reader has to begin anew; once.
    pub fn has_stalled(&self) -> bool {
        std::mem::take(&mut self.inner.lock().stalled)
    }
    /// Whether the reader has to pause, or to go on.
    pub fn pauses(&self, paused: bool) -> bool {
        self.inner.lock().waiting >= if paused { ROOM } else { FULL }
    }
}

impl Inner {
    fn count(&mut self) {
        self.waiting = self.lanes.iter().map(|lane| lane.events.len()).sum();
    }
}

impl Lane {
    /// An event of a life that ended before it: the database does not know of it. Said once.
    fn foreign(&mut self, topic: &str, event: &Stored, epoch: i64) {
        if !std::mem::replace(&mut self.foreign, true) {
            let (shard, sequence) = (event.shard, event.sequence);
            tracing::warn!(topic, shard, sequence, epoch, "events of another life: left alone");
        }
    }
    /// Whether nothing is missing between a number and what waits.
    fn reaches_back_to(&self, from: i64) -> bool {
        self.events.front().map_or(self.last == from, |(first, _)| first.sequence <= from + 1)
    }
    /// What waits after a number.
    fn after(&self, from: i64) -> impl Iterator<Item = &(Arc<Stored>, i64)> {
        let first = self.events.front().map_or(0, |(event, _)| event.sequence);
        self.events.iter().skip(usize::try_from(from + 1 - first).unwrap_or(0))
    }
    fn drop_until(&mut self, until: i64) -> bool {
        let before = self.events.len();
        while self.events.front().is_some_and(|(event, _)| event.sequence <= until) {
            self.events.pop_front();
        }
        self.events.len() < before
    }
}
