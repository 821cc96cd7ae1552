//! Consumers: one position per service and topic, moved in the commit of its effects.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use contracts::Timestamp;
use eventlog::{
    Cursor, Log, Share, Stored,
    envelope::Wants,
    rules::{self, Rule},
};
use store::Tx;

use crate::{
    carried::Carried,
    dead_letters,
    desk::Desk,
    handlers::AnyHandler,
    service::{Floor, Tier, Wiring},
    source::Source,
    work::Fault,
};

/// Events applied in one commit at most, so that a backlog cannot hold up answers.
const EVENTS_MOST: usize = 2_000;
/// What a broker brings soon after a commit shares the next one; the first of it does not wait. As
/// soon as that is at least, and at most: in between, some times what a cycle takes, so that a machine
/// with too much to do makes fewer commits of more events, and not more of fewer.
const GATHER: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(80);
/// How many times.
const CYCLES: u32 = 4;
/// Events that are skipped before the position over them is stored.
pub(crate) const SKIPPED_MOST: i64 = 4_096;
/// How long a consumer leaves a store alone that was busy or full.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one that stopped at an unknown version, a gap or an unsound database waits before it looks
/// again.
const STOPPED: Duration = Duration::from_secs(1);

/// One service's way through one topic.
pub(crate) struct Consumer {
    group: &'static str,
    topic: &'static str,
    /// By kind: the handler, and the number under which kinds are handled together.
    handlers: BTreeMap<i64, (i64, Arc<dyn AnyHandler>)>,
    /// Read so far; `durable` where that is stored, `stored` where this transaction stores it.
    cursor: Cursor,
    durable: Cursor,
    before: Cursor,
    stored: Option<Cursor>,
    /// Keys with a dead letter: what comes after it is parked.
    parked: BTreeSet<i64>,
    newly_parked: Vec<i64>,
    newly_free: Vec<i64>,
    committed_only: bool,
    lazy: Duration,
    /// Where it gathers: what is written of it, and where it was after each batch since.
    floor: Option<Floor>,
    passed: VecDeque<Cursor>,
    passed_durably: usize,
    careful: usize,
    stopped_until: Option<Timestamp>,
    /// Where its events come from.
    source: Source,
    /// Its position may have been moved by another process.
    to_reload: bool,
    /// Another process may have parked keys, or freed some.
    letters_moved: bool,
    /// It keeps nothing but memory, and has no position: it begins anew with each process.
    memory_only: bool,
    /// When its last effects became durable.
    applied: Timestamp,
    /// Since when something waits for it without a break.
    behind_since: Option<Timestamp>,
}

impl Consumer {
    /// All consumers of these services, in their order.
    pub fn open_all(
        tx: &mut Tx<'_>,
        log: &Log,
        services: &[Wiring],
        carried: &Carried,
    ) -> Result<Vec<Self>, Fault> {
        let topics = log.topics();
        let mut letters = dead_letters::Parked::default();
        let mut all = Vec::new();
        for service in services {
            for topic in &topics {
                let handlers: BTreeMap<i64, (i64, Arc<dyn AnyHandler>)> = service
                    .handlers
                    .iter()
                    .filter(|handler| handler.topics.contains(topic))
                    .map(|of| (of.kind, (of.together, Arc::clone(&of.handler))))
                    .collect();
                if handlers.is_empty() {
                    continue;
                }
                let cursor = log.position(tx, service.name, topic)?;
                // What is kept in memory alone reads the tables, which it was loaded from.
                let carried = (!service.memory_only).then_some(carried);
                let wants = || Wants {
                    kinds: handlers.keys().copied().collect(),
                    rail: (service.tier == Tier::Rail).then_some(service.name),
                };
                let feed = carried.and_then(|all| all.feed(service.name, (log, topic), wants()));
                all.push(Self {
                    group: service.name,
                    topic,
                    handlers,
                    durable: cursor.clone(),
                    before: cursor.clone(),
                    cursor,
                    stored: None,
                    parked: if service.memory_only {
                        // What is kept in memory alone has no dead letters.
                        BTreeSet::new()
                    } else {
                        letters.keys(tx, (service.name, topic))?
                    },
                    newly_parked: Vec::new(),
                    newly_free: Vec::new(),
                    committed_only: service.committed_only,
                    lazy: service.lazy,
                    floor: service.floor.clone().filter(|floor| floor(topic).is_some()),
                    passed: VecDeque::new(),
                    passed_durably: 0,
                    careful: 0,
                    stopped_until: None,
                    source: Source::new(topic, feed),
                    to_reload: false,
                    letters_moved: false,
                    memory_only: service.memory_only,
                    applied: Timestamp(0),
                    behind_since: None,
                });
            }
        }
        Ok(all)
    }
    fn handles(&self, kind: i64) -> bool {
        self.handlers.contains_key(&eventlog::kind_of(kind))
    }
    /// Moves over what is none of its business.
    fn skip(&mut self, log: &Log) {
        let handlers = &self.handlers;
        self.source
            .skip(log, &mut self.cursor, |kind| !handlers.contains_key(&eventlog::kind_of(kind)));
        self.before.clone_from(&self.cursor);
    }
    /// When this consumer has to act, where a cycle takes so long: `None` where nothing waits for it.
    pub fn due(&mut self, log: &Log, (now, took): (Timestamp, Duration)) -> Option<Duration> {
        self.skip(log);
        if self.to_reload && self.source.is_carried() {
            // Nothing comes in before the position is known.
            return Some(Duration::ZERO);
        }
        if !self.is_behind(log) {
            // What was skipped is let go, so that the feed has room for what comes.
            let skipped = self.cursor.total() - self.durable.total();
            let far = self.source.is_carried() && skipped >= SKIPPED_MOST;
            return far.then_some(Duration::ZERO);
        }
        if let Some(left) = self.stopped(now) {
            return Some(left);
        }
        if self.source.is_carried() {
            let since = Duration::from_micros(now.micros_since(self.applied));
            let gathers =
                (CYCLES * took).clamp(*GATHER.start(), *GATHER.end()).saturating_sub(since);
            return Some(gathers.max(self.ripens(log, now)));
        }
        Some(self.ripens(log, now))
    }
    /// How long a lazy consumer still waits.
    fn ripens(&self, log: &Log, now: Timestamp) -> Duration {
        let oldest = self.source.oldest(log, &self.cursor).unwrap_or(Timestamp(0));
        self.lazy.saturating_sub(Duration::from_micros(now.micros_since(oldest)))
    }
    /// Whether durable events wait for it.
    pub fn is_behind(&self, log: &Log) -> bool {
        self.source.waits(log, &self.cursor)
    }
    /// For these services other processes wrote: they may have ended dead letters.
    pub fn hears_of(&mut self, written: &[&'static str]) {
        self.letters_moved |= written.contains(&self.group);
    }
    /// Whether it keeps nothing but memory.
    pub fn in_memory(&self) -> bool {
        self.memory_only
    }
    /// From now on these shards are its own.
    pub fn takes(&mut self, share: Share) {
        self.to_reload |= self.source.takes(share);
    }
    /// Reads again what other processes may have changed: which keys are parked where they wrote for
    /// its service, and its position where they may have moved it.
    pub fn reload(
        &mut self,
        (tx, letters): (&mut Tx<'_>, &mut dead_letters::Parked),
        log: &Log,
    ) -> Result<(), Fault> {
        if self.memory_only || !(self.to_reload || self.letters_moved) {
            return Ok(());
        }
        self.parked = letters.keys(tx, (self.group, self.topic))?;
        self.letters_moved = false;
        if !self.to_reload {
            return Ok(());
        }
        self.cursor = log.position(tx, self.group, self.topic)?;
        self.durable.clone_from(&self.cursor);
        self.before.clone_from(&self.cursor);
        (self.careful, self.stored, self.to_reload) = (0, None, false);
        self.source.starts(&self.cursor);
        Ok(())
    }
    /// How long it still stops, if it does.
    fn stopped(&mut self, now: Timestamp) -> Option<Duration> {
        let left = self.stopped_until?.micros_since(now);
        if left > 0 {
            return Some(Duration::from_micros(left));
        }
        self.stopped_until = None;
        None
    }
    /// How old the oldest event is that it has not applied: zero where nothing waits. Where memory
    /// does not have that event, for how long something has been waiting.
    pub fn lag(&mut self, log: &Log, now: Timestamp) -> Duration {
        self.skip(log);
        if !self.is_behind(log) {
            self.behind_since = None;
            return Duration::ZERO;
        }
        let since = *self.behind_since.get_or_insert(now);
        let oldest = self.source.oldest(log, &self.cursor).unwrap_or(since);
        Duration::from_micros(now.micros_since(oldest))
    }
    /// How many keys stand still behind a dead letter.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }
    /// Whose it is, and whether it may lag: it takes no part in the commit that emits.
    pub fn group(&self) -> (&'static str, bool) {
        (self.group, !self.lazy.is_zero() || self.committed_only)
    }
    /// Whether it reads the outbox itself.
    pub fn reads_the_outbox(&self) -> bool {
        !self.source.is_carried()
    }
    /// What it reads.
    pub fn topic(&self) -> &'static str {
        self.topic
    }
    /// Applies what is new; the number of events applied.
    pub fn consume(&mut self, desk: &mut Desk, tx: &mut Tx<'_>) -> Result<usize, Fault> {
        let stopped = self.stopped(desk.clock.machine()).is_some();
        if self.careful > 0 || stopped || !(self.gathers() || self.is_ripe(desk)) {
            return Ok(0);
        }
        let from = (&desk.log, &mut *tx);
        let mut events =
            self.source.read(from, &mut self.cursor, EVENTS_MOST, self.committed_only)?;
        events.retain(|event| self.handles(event.kind));
        if events.is_empty() {
            return Ok(0);
        }
        self.apply(desk, tx, &events)?;
        self.pass(tx, &desk.log)?;
        Ok(events.len())
    }
    /// A lazy consumer waits until its oldest event is old enough, then takes many at once: sorted
    /// by key they share pages.
    fn is_ripe(&self, desk: &Desk) -> bool {
        if self.lazy.is_zero() {
            return true;
        }
        let oldest = self.source.oldest(&desk.log, &self.cursor).unwrap_or(Timestamp(0));
        let age = desk.clock.machine().micros_since(oldest);
        Duration::from_micros(age) >= self.lazy
    }
    fn apply(
        &mut self,
        desk: &mut Desk,
        tx: &mut Tx<'_>,
        events: &[Arc<Stored>],
    ) -> Result<(), Fault> {
        let (parked, free): (Vec<_>, Vec<_>) =
            events.iter().cloned().partition(|event| self.parked.contains(&event.key));
        for event in &parked {
            dead_letters::insert(tx, self.group, self.topic, event, None)?;
        }
        self.apply_free(desk, tx, free)?;
        if !self.memory_only {
            let now = desk.clock.machine();
            desk.recorder.consumed(self.group, self.topic, tx.engine(), events, now);
        }
        Ok(())
    }
    fn apply_free(
        &self,
        desk: &mut Desk,
        tx: &mut Tx<'_>,
        free: Vec<Arc<Stored>>,
    ) -> Result<(), Fault> {
        let together = |event: &Stored| self.handlers[&eventlog::kind_of(event.kind)].0;
        for batch in rounds(free, together) {
            let kind = eventlog::kind_of(batch[0].kind);
            let handler = Arc::clone(&self.handlers[&kind].1);
            desk.work(tx, self.group, |work| handler.handle(work, &batch))?;
            desk.consumed(self.topic, self.group, &batch);
        }
        Ok(())
    }
    /// Applies a dead letter's event, though its key is parked.
    pub fn apply_one(
        &self,
        desk: &mut Desk,
        tx: &mut Tx<'_>,
        event: &Arc<Stored>,
    ) -> Result<(), Fault> {
        if !self.handles(event.kind) {
            return Err(Fault::Poison(format!("{} does not handle it any more", self.group)));
        }
        self.apply_free(desk, tx, vec![Arc::clone(event)])?;
        let now = desk.clock.machine();
        let events = std::slice::from_ref(event);
        desk.recorder.consumed(self.group, self.topic, tx.engine(), events, now);
        Ok(())
    }
    /// Nothing of a key is parked any more, once the transaction is durable.
    pub fn free(&mut self, key: i64) {
        self.newly_free.push(key);
    }
    /// Its service and what it reads.
    pub fn of(&self) -> (&'static str, &'static str) {
        (self.group, self.topic)
    }
    /// Whether it writes later what it consumed.
    pub fn gathers(&self) -> bool {
        self.floor.is_some()
    }
    /// Notes that everything up to here is applied: durable with this transaction, or once it is
    /// written of what was gathered.
    fn pass(&mut self, tx: &mut Tx<'_>, log: &Log) -> Result<(), Fault> {
        if self.gathers() {
            self.passed.push_back(self.cursor.clone());
            return Ok(());
        }
        if !rules::hold(Rule::PositionWithEffects) {
            // It is stored some day, as a position that only skipped.
            return Ok(());
        }
        self.store_position(tx, log, self.cursor.clone())
    }
    /// Up to where nothing is missing: of what it gathered, what is durably written.
    fn reached(&self) -> Option<Cursor> {
        let Some(floor) = &self.floor else { return Some(self.cursor.clone()) };
        let floor = floor(self.topic).unwrap_or(0);
        let durable = self.passed.iter().take(self.passed_durably);
        let written = durable.take_while(|cursor| cursor.offset <= floor).count();
        if written == self.passed.len() {
            // What came after was skipped.
            return Some(self.cursor.clone());
        }
        written.checked_sub(1).map(|last| self.passed[last].clone())
    }
    fn store_position(&mut self, tx: &mut Tx<'_>, log: &Log, new: Cursor) -> Result<(), Fault> {
        if self.memory_only {
            self.stored = Some(new);
            return Ok(());
        }
        let old = self.stored.as_ref().unwrap_or(&self.durable);
        log.cas_positions(tx, &[(self.group, self.topic, old, &new)])?;
        self.stored = Some(new);
        Ok(())
    }
    /// Stores a position that moved over events that are not this consumer's, where it is far on.
    pub fn save_skipped(&mut self, tx: &mut Tx<'_>, log: &Log, least: i64) -> Result<(), Fault> {
        let stored = self.stored.as_ref().unwrap_or(&self.durable).total();
        if self.cursor.total() - stored < least {
            return Ok(());
        }
        match self.reached() {
            Some(reached) if reached.total() - stored >= least => {
                self.store_position(tx, log, reached)
            }
            _ => Ok(()),
        }
    }
    /// The transaction is durable.
    pub fn committed(&mut self, now: Timestamp) {
        if let Some(stored) = self.stored.take() {
            self.applied = now;
            while self.passed.front().is_some_and(|passed| passed.total() <= stored.total()) {
                self.passed.pop_front();
            }
            self.source.passed(&stored);
            self.durable = stored;
        }
        self.passed_durably = self.passed.len();
        self.before.clone_from(&self.cursor);
        self.parked.extend(self.newly_parked.drain(..));
        for key in self.newly_free.drain(..) {
            self.parked.remove(&key);
        }
    }
    /// The transaction is gone.
    pub fn rolled_back(&mut self) {
        self.stored = None;
        self.passed.truncate(self.passed_durably);
        self.newly_parked.clear();
        self.newly_free.clear();
        self.cursor.clone_from(&self.before);
    }
    /// This consumer failed a cycle: the next events go one by one, or it waits for an upgrade.
    pub fn at_fault(&mut self, fault: &Fault, now: Timestamp) {
        let (group, topic) = (self.group, self.topic);
        tracing::error!(error = fault as &dyn std::error::Error, group, topic, "a consumer failed");
        match fault {
            // Its position is not where it believes, or may not be.
            Fault::Log(eventlog::Error::Fenced { .. })
            | Fault::Store(store::Error::CommitUnknown(_)) => self.to_reload = true,
            fault if fault.is_poison() => self.careful = EVENTS_MOST,
            fault => {
                let pause = if fault.is_transient() { PAUSE } else { STOPPED };
                let micros = i64::try_from(pause.as_micros()).expect("a short pause");
                self.stopped_until = Some(now.plus_micros(micros));
            }
        }
    }
    /// Whether it waits for an upgrade, or for what is missing.
    pub fn has_stopped(&mut self, now: Timestamp) -> bool {
        self.stopped(now).is_some()
    }
    /// Whether it goes one by one.
    pub fn is_careful(&self) -> bool {
        self.careful > 0
    }
    /// Applies one event, or makes it a dead letter with this reason.
    pub fn one(
        &mut self,
        desk: &mut Desk,
        tx: &mut Tx<'_>,
        poison: Option<&str>,
    ) -> Result<(), Fault> {
        let from = (&desk.log, &mut *tx);
        let events = self.source.read(from, &mut self.cursor, 1, true)?;
        let Some(event) = events.first() else {
            self.careful = 0;
            return Ok(());
        };
        // A failed try counts too.
        self.careful = self.careful.saturating_sub(1);
        if self.handles(event.kind) {
            match poison {
                // What is kept in memory alone has no dead letters.
                Some(_) if self.memory_only => {}
                Some(error) => {
                    dead_letters::insert(tx, self.group, self.topic, event, Some(error))?;
                    self.newly_parked.push(event.key);
                }
                None => self.apply(desk, tx, &events)?,
            }
        }
        self.pass(tx, &desk.log)
    }
}

/// Batches of one handler each, in an order that keeps the order of every key.
fn rounds(events: Vec<Arc<Stored>>, of: impl Fn(&Stored) -> i64) -> Vec<Vec<Arc<Stored>>> {
    let Some(first) = events.first().map(|event| of(event)) else { return Vec::new() };
    if events.iter().all(|event| of(event) == first) {
        return vec![events];
    }
    let mut rounds: Vec<(i64, Vec<Arc<Stored>>)> = Vec::new();
    let mut last_of_key: BTreeMap<i64, usize> = BTreeMap::new();
    for event in events {
        let number = of(&event);
        let earliest = last_of_key.get(&event.key).copied().unwrap_or(0);
        let found = (earliest..rounds.len()).find(|round| rounds[*round].0 == number);
        let round = found.unwrap_or_else(|| {
            rounds.push((number, Vec::new()));
            rounds.len() - 1
        });
        last_of_key.insert(event.key, round);
        rounds[round].1.push(event);
    }
    rounds.into_iter().map(|(_, events)| events).collect()
}
