//! Consumers: one position per service and topic, moved in the commit of its effects.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use contracts::Timestamp;
use eventlog::{Cursor, Log, Stored};
use store::Tx;

use crate::{
    dead_letters, exchanges,
    service::Wiring,
    topology::EdgeKind,
    work::Fault,
    writer::{AnyHandler, Desk},
};

/// Events applied in one commit at most, so that a backlog cannot hold up answers.
const EVENTS_MOST: usize = 2_000;
/// How long a consumer that stopped at an unknown version or a gap waits before it looks again.
const STOPPED: Duration = Duration::from_secs(1);

/// One service's way through one topic.
pub(crate) struct Consumer {
    group: &'static str,
    topic: &'static str,
    handlers: BTreeMap<i64, Arc<dyn AnyHandler>>,
    /// Read so far; `durable` where that is stored, `stored` where this transaction stores it.
    cursor: Cursor,
    durable: Cursor,
    before: Cursor,
    stored: Option<Cursor>,
    /// Keys with a dead letter: what comes after it is parked.
    parked: BTreeSet<i64>,
    newly_parked: Vec<i64>,
    committed_only: bool,
    lazy: Duration,
    careful: usize,
    stopped_until: Option<Timestamp>,
}

impl Consumer {
    /// All consumers of these services, in their order.
    pub fn open_all(tx: &mut Tx<'_>, log: &Log, services: &[Wiring]) -> Result<Vec<Self>, Fault> {
        let topics = log.topics();
        let mut all = Vec::new();
        for service in services {
            for topic in &topics {
                let handlers: BTreeMap<i64, Arc<dyn AnyHandler>> = service
                    .handlers
                    .iter()
                    .filter(|handler| handler.topics.contains(topic))
                    .map(|handler| (handler.kind, Arc::clone(&handler.handler)))
                    .collect();
                if handlers.is_empty() {
                    continue;
                }
                let cursor = log.position(tx, service.name, topic)?;
                all.push(Self {
                    group: service.name,
                    topic,
                    handlers,
                    durable: cursor.clone(),
                    before: cursor.clone(),
                    cursor,
                    stored: None,
                    parked: dead_letters::keys(tx, service.name, topic)?,
                    newly_parked: Vec::new(),
                    committed_only: service.committed_only,
                    lazy: service.lazy,
                    careful: 0,
                    stopped_until: None,
                });
            }
        }
        Ok(all)
    }
    fn handles(&self, kind: i64) -> bool {
        self.handlers.contains_key(&eventlog::kind_of(kind))
    }
    /// When this consumer has to act: `None` where nothing waits for it.
    pub fn due(&mut self, log: &Log, now: Timestamp) -> Option<Duration> {
        let handlers = &self.handlers;
        log.skip(self.topic, &mut self.cursor, |kind| {
            !handlers.contains_key(&eventlog::kind_of(kind))
        });
        self.before.clone_from(&self.cursor);
        if self.cursor.total() >= log.end(self.topic, true).total() {
            return None;
        }
        if let Some(until) = self.stopped_until {
            let left = until.micros_since(now);
            if left > 0 {
                return Some(Duration::from_micros(left));
            }
            self.stopped_until = None;
        }
        let oldest = log.oldest(self.topic, &self.cursor).unwrap_or(Timestamp(0));
        Some(self.lazy.saturating_sub(Duration::from_micros(now.micros_since(oldest))))
    }
    /// Applies what is new; the number of events applied.
    pub fn consume(&mut self, desk: &mut Desk, tx: &mut Tx<'_>) -> Result<usize, Fault> {
        if self.careful > 0 || self.stopped_until.is_some() || !self.is_ripe(desk) {
            return Ok(0);
        }
        let events =
            desk.log.read(tx, self.topic, &mut self.cursor, EVENTS_MOST, self.committed_only);
        let mut events = events.map_err(Fault::from)?;
        events.retain(|event| self.handles(event.kind));
        if events.is_empty() {
            return Ok(0);
        }
        self.apply(desk, tx, &events)?;
        self.store_position(tx, &desk.log)?;
        Ok(events.len())
    }
    /// A lazy consumer waits until its oldest event is old enough, then takes many at once: sorted
    /// by key they share pages.
    fn is_ripe(&self, desk: &Desk) -> bool {
        if self.lazy.is_zero() {
            return true;
        }
        let oldest = desk.log.oldest(self.topic, &self.cursor).unwrap_or(Timestamp(0));
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
        for (kind, batch) in rounds(free) {
            let handler = Arc::clone(&self.handlers[&kind]);
            desk.work(tx, self.group, |work| handler.handle(work, &batch))?;
            let count = batch.len() as u64;
            desk.metrics.edge(self.topic, self.group, EdgeKind::Event, handler.name(), count);
        }
        exchanges::consumed(tx, self.group, self.topic, events, desk.clock.machine())?;
        let newest = events.last().expect("a batch has events").at;
        desk.metrics.lag(self.group, desk.clock.machine().micros_since(newest));
        Ok(())
    }
    fn store_position(&mut self, tx: &mut Tx<'_>, log: &Log) -> Result<(), Fault> {
        let old = self.stored.as_ref().unwrap_or(&self.durable);
        log.cas_positions(tx, &[(self.group, self.topic, old, &self.cursor)])?;
        self.stored = Some(self.cursor.clone());
        Ok(())
    }
    /// Stores a position that moved over events that are not this consumer's, where it is far on.
    pub fn save_skipped(&mut self, tx: &mut Tx<'_>, log: &Log, least: i64) -> Result<(), Fault> {
        let stored = self.stored.as_ref().unwrap_or(&self.durable).total();
        if self.cursor.total() - stored >= least {
            self.store_position(tx, log)?;
        }
        Ok(())
    }
    /// The transaction is durable.
    pub fn committed(&mut self) {
        if let Some(stored) = self.stored.take() {
            self.durable = stored;
        }
        self.before.clone_from(&self.cursor);
        self.parked.extend(self.newly_parked.drain(..));
    }
    /// The transaction is gone.
    pub fn rolled_back(&mut self) {
        self.stored = None;
        self.newly_parked.clear();
        self.cursor.clone_from(&self.before);
    }
    /// This consumer failed a cycle: the next events go one by one, or it waits for an upgrade.
    pub fn at_fault(&mut self, fault: &Fault, now: Timestamp) {
        let (group, topic) = (self.group, self.topic);
        tracing::error!(error = fault as &dyn std::error::Error, group, topic, "a consumer failed");
        match fault {
            Fault::UnknownVersion(_) | Fault::Log(_) => {
                let micros = i64::try_from(STOPPED.as_micros()).expect("a short pause");
                self.stopped_until = Some(now.plus_micros(micros));
            }
            _ if fault.is_transient() => {}
            _ => self.careful = EVENTS_MOST,
        }
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
        let events = desk.log.read(tx, self.topic, &mut self.cursor, 1, true)?;
        let Some(event) = events.first() else {
            self.careful = 0;
            return Ok(());
        };
        self.careful -= 1;
        if self.handles(event.kind) {
            match poison {
                Some(error) => {
                    dead_letters::insert(tx, self.group, self.topic, event, Some(error))?;
                    self.newly_parked.push(event.key);
                }
                None => self.apply(desk, tx, &events)?,
            }
        }
        self.store_position(tx, &desk.log)
    }
}

/// Batches of one kind each, in an order that keeps the order of every key.
fn rounds(events: Vec<Arc<Stored>>) -> Vec<(i64, Vec<Arc<Stored>>)> {
    let mut rounds: Vec<(i64, Vec<Arc<Stored>>)> = Vec::new();
    let Some(first) = events.first().map(|event| eventlog::kind_of(event.kind)) else {
        return rounds;
    };
    if events.iter().all(|event| eventlog::kind_of(event.kind) == first) {
        return vec![(first, events)];
    }
    let mut last_of_key: BTreeMap<i64, usize> = BTreeMap::new();
    for event in events {
        let kind = eventlog::kind_of(event.kind);
        let earliest = last_of_key.get(&event.key).copied().unwrap_or(0);
        let found = (earliest..rounds.len()).find(|round| rounds[*round].0 == kind);
        let round = found.unwrap_or_else(|| {
            rounds.push((kind, Vec::new()));
            rounds.len() - 1
        });
        last_of_key.insert(event.key, round);
        rounds[round].1.push(event);
    }
    rounds
}
