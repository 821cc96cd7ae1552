//! The other processes on the database: who shares which service's work, and that one committed.
//!
//! A thread of its own renews this process's part, listens for what others ring, and tells the
//! writer. Both are hints: a missed ring is made up for by a look each second, and a part that two
//! hold for a moment is told apart by the compare-and-set on positions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use eventlog::Share;
use parking_lot::Mutex;
use store::{Bell, Sql, Store, Tx, Value};
use tokio::sync::watch;

use crate::{
    carried::Carried,
    clock::{Clock, Monotonic},
    signal::Signal,
    work::Fault,
};

/// Where processes ring for each other.
pub(crate) const CHANNEL: &str = "switchyard";
/// The payload that says that somebody came or went.
const MEMBERS: &str = "members";
/// How often a part is renewed, and how long it holds.
const RENEW: Duration = Duration::from_secs(1);
const HOLDS_MILLIS: i64 = 5_000;
/// Renewals after which events that are missing are asked for again, and readers looked at.
const ASK_AGAIN: u32 = 10;
/// How long a failing database is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// What the writer learns of other processes.
pub(crate) struct Others {
    /// The number of this process.
    process: AtomicI64,
    /// Somebody committed since the writer last looked.
    news: AtomicBool,
    /// How often the writer was asked to look.
    asked: AtomicU64,
    /// Nobody else takes part and nothing is carried: there is nobody to ring for.
    alone: AtomicBool,
    /// What a broker carries, whose relays are rung for too.
    carried: Arc<Carried>,
    /// The topics whose news matter here.
    heard: Mutex<BTreeSet<&'static str>>,
    /// New shares for the writer to take.
    shares: Mutex<Option<BTreeMap<&'static str, Share>>>,
    /// Up to which question memory has what others wrote.
    caught_up: watch::Sender<u64>,
    stopped: AtomicBool,
    signal: Arc<Signal>,
}

impl Others {
    pub fn new(signal: Arc<Signal>, carried: Arc<Carried>) -> Arc<Self> {
        Arc::new(Self {
            process: AtomicI64::new(0),
            news: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            alone: AtomicBool::new(true),
            carried,
            heard: Mutex::default(),
            shares: Mutex::new(None),
            caught_up: watch::Sender::new(0),
            stopped: AtomicBool::new(false),
            signal,
        })
    }
    /// The number of this process on the database.
    pub fn process(&self) -> i64 {
        self.process.load(Ordering::Relaxed)
    }
    /// What a broker carries.
    pub fn carried(&self) -> &Arc<Carried> {
        &self.carried
    }
    pub fn is_process(&self, number: i64) {
        self.process.store(number, Ordering::Relaxed);
    }
    /// The topics whose news matter here.
    pub fn hears(&self, topics: BTreeSet<&'static str>) {
        *self.heard.lock() = topics;
    }
    /// Whether a ring is for somebody here: it names topics.
    fn are_called(&self, payload: &str) -> bool {
        let heard = self.heard.lock();
        payload == MEMBERS || payload.split(' ').any(|topic| heard.contains(topic))
    }
    /// Whether there is nobody to ring for.
    pub fn are_none(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }
    /// Whether somebody committed since the last call.
    pub fn have_news(&self) -> bool {
        self.news.swap(false, Ordering::AcqRel)
    }
    /// Whether the writer has to look.
    pub fn wait_for_a_look(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }
    /// New shares, once.
    pub fn new_shares(&self) -> Option<BTreeMap<&'static str, Share>> {
        self.shares.lock().take()
    }
    /// Memory has what others wrote before this question.
    pub fn caught_up(&self, looked: u64) {
        self.caught_up.send_if_modified(|so_far| std::mem::replace(so_far, looked) != looked);
    }
    /// Waits until memory has all that others wrote before this call, for so long at most.
    pub async fn catch_up(&self, most: Duration) {
        let question = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut caught_up = self.caught_up.subscribe();
        self.rings();
        let done = caught_up.wait_for(|so_far| *so_far >= question);
        // Whoever comes too late answers with what is known.
        let _ = tokio::time::timeout(most, done).await;
    }
    /// The number of the newest question.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
    fn rings(&self) {
        self.news.store(true, Ordering::Release);
        self.signal.nudge();
    }
}

/// Has all processes look at what the database says of all of them.
fn call(tx: &mut Tx<'_>) -> Result<(), store::Error> {
    static RING: Sql = Sql::new("SELECT pg_notify($1, $2)::text");
    tx.query(&RING, &[Value::Text(CHANNEL), Value::Text(MEMBERS)], |_| Ok(())).map(drop)
}

/// Moves the business clock of every process on the database ahead.
pub(crate) fn move_clock(store: &Store, offset: i64) -> Result<(), store::Error> {
    let Some(mut bell) = Bell::open(store, CHANNEL)? else { return Ok(()) };
    let mut tx = bell.begin()?;
    eventlog::move_clock(&mut tx, offset)?;
    call(&mut tx)?;
    tx.commit()
}

/// This process's part: kept by a thread until it is told to stop.
pub(crate) struct Part {
    bell: Bell,
    process: i64,
    services: Vec<&'static str>,
    others: Arc<Others>,
    held: BTreeMap<&'static str, Share>,
    clock: Clock,
    monotonic: Monotonic,
    renewals: u32,
}

impl Part {
    /// Takes part in these services, where the database is one that processes share.
    pub fn take(
        store: &Store,
        (process, services): (i64, Vec<&'static str>),
        others: Arc<Others>,
        (clock, monotonic): (Clock, Monotonic),
    ) -> Result<Option<Self>, Fault> {
        let Some(bell) = Bell::open(store, CHANNEL)? else { return Ok(None) };
        let held = BTreeMap::new();
        let renewals = 0;
        let mut part = Self { bell, process, services, others, held, clock, monotonic, renewals };
        part.renew()?;
        part.ring()?;
        Ok(Some(part))
    }
    /// Renews the part and learns of the others'.
    fn renew(&mut self) -> Result<(), store::Error> {
        let mut tx = self.bell.begin()?;
        eventlog::join(&mut tx, self.process, &self.services, HOLDS_MILLIS)?;
        let members = eventlog::members(&mut tx)?;
        let offset = eventlog::clock_offset(&mut tx)?;
        self.renewals = self.renewals.wrapping_add(1);
        let again = self.renewals.is_multiple_of(ASK_AGAIN);
        for (consumer, topic, shard, number) in self.others.carried.gaps(again) {
            eventlog::ask(&mut tx, (consumer, topic), (shard, number))?;
        }
        let shards = self.others.carried.shards().filter(|_| again);
        let ends = shards.map(|shards| eventlog::ends(&mut tx, shards)).transpose()?;
        tx.commit()?;
        self.others.carried.look(&ends.unwrap_or_default());
        if offset > self.clock.offset_micros() {
            self.clock.advance_to_offset(offset);
        }
        let alone = members.iter().all(|member| member.process == self.process);
        let alone = alone && !self.others.carried.is_on();
        self.others.alone.store(alone, Ordering::Relaxed);
        let share = |service: &&'static str| {
            let of: Vec<i64> = members
                .iter()
                .filter(|member| member.service == **service)
                .map(|member| member.process)
                .collect();
            let rank = of.iter().position(|process| *process == self.process);
            (*service, rank.map_or(Share::NOTHING, |rank| Share::new(rank, of.len())))
        };
        let now: BTreeMap<&'static str, Share> = self.services.iter().map(share).collect();
        if now != self.held {
            tracing::info!(shares = ?now, "shards are dealt out anew");
            self.held.clone_from(&now);
            *self.others.shares.lock() = Some(now);
            self.others.rings();
        }
        Ok(())
    }
    fn ring(&mut self) -> Result<(), store::Error> {
        let mut tx = self.bell.begin()?;
        call(&mut tx)?;
        tx.commit()
    }
    /// Renews and listens until told to stop, then leaves.
    pub fn keep(mut self) {
        let mut renewed = self.monotonic.micros();
        while !self.others.stopped.load(Ordering::Acquire) {
            let heard = self.bell.wait(RENEW / 4);
            let due = self.monotonic.micros() - renewed >= RENEW.as_micros() as u64;
            let done = match heard {
                Ok(heard) => {
                    heard.iter().for_each(|payload| self.others.carried.call(payload));
                    if due || heard.iter().any(|payload| self.others.are_called(payload)) {
                        self.others.rings();
                    }
                    if due || heard.iter().any(|payload| payload == MEMBERS) {
                        renewed = self.monotonic.micros();
                        self.renew()
                    } else {
                        Ok(())
                    }
                }
                // The connection is made anew by the next transaction.
                Err(error) => self.renew().and(Err(error)),
            };
            if let Err(error) = done {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the other processes cannot be heard now");
                std::thread::park_timeout(PAUSE);
            }
        }
        let left = self.bell.begin().and_then(|mut tx| {
            eventlog::leave(&mut tx, self.process)?;
            tx.commit()
        });
        // Where this fails, the others find out when the part runs out.
        let _ = left.and_then(|()| self.ring());
    }
}
