//! What the writer works with in one transaction: log, ids, clock, and what is recorded of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use eventlog::{Log, Stored};
use store::Tx;

use crate::{
    clock::Clock,
    exchanges,
    ids::Ids,
    metrics::Metrics,
    topology::EdgeKind,
    work::{Fault, Work},
};

/// How far the stored bound of ids is moved ahead: the ordered parts of 250 ms.
const ROWS_AHEAD: i64 = 250 << 12;

/// What a service does on an occasion, with its name.
pub(crate) type OfService = (&'static str, Box<dyn Fn() + Send>);

/// What one pass over a batch needs beside the transaction.
pub(crate) struct Desk {
    pub log: Log,
    pub ids: Ids,
    pub recorder: exchanges::Recorder,
    pub clock: Clock,
    pub after: Vec<Box<dyn FnOnce() + Send>>,
    pub metrics: Arc<Metrics>,
    /// By service: makes its memory void.
    pub forgets: Vec<OfService>,
}

impl Desk {
    /// Runs `apply` as a service's part of the transaction and writes the events it emitted.
    pub fn work(
        &mut self,
        tx: &mut Tx<'_>,
        service: &'static str,
        apply: impl FnOnce(&mut Work<'_, '_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut work = Work {
            tx,
            now: self.clock.now(),
            machine: self.clock.machine(),
            ids: &mut self.ids,
            log: &mut self.log,
            service,
            pending: Vec::new(),
            after: &mut self.after,
        };
        let done = catch_unwind(AssertUnwindSafe(|| apply(&mut work)));
        match done {
            Ok(result) => result?,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                return Err(Fault::Poison(format!("panic: {}", text.unwrap_or("without text"))));
            }
        }
        let counts = counts(work.pending.iter().map(|event| event.kind));
        work.flush()?;
        for (name, count) in counts {
            self.metrics.appended(service, name, count);
        }
        Ok(())
    }
    /// Begins to write. Where another process wrote since for a service of this one, what that
    /// service remembers is void; the services where that is so.
    pub fn begin(&mut self, tx: &mut Tx<'_>) -> Result<Vec<&'static str>, Fault> {
        let written = self.log.begin(tx)?;
        let void = self.forgets.iter().filter(|(service, _)| written.contains(service));
        void.for_each(|(_, forget)| forget());
        Ok(written)
    }
    /// A commit begins now.
    pub fn starts(&mut self) {
        self.recorder.starts(self.clock.machine());
    }
    /// Stores what the commit did, and a new bound of ids where they have reached the last.
    pub fn record(&mut self, tx: &mut Tx<'_>, row_bound: &mut RowBound) -> Result<(), Fault> {
        self.recorder.save(tx, &self.log)?;
        self.log.stamp(tx)?;
        let last = self.ids.last_row();
        if last > row_bound.stored {
            row_bound.saving = last + ROWS_AHEAD;
            exchanges::save_last_row(tx, row_bound.saving)?;
        }
        Ok(())
    }
    /// Counts what a consumer handled.
    pub fn consumed(&self, topic: &'static str, group: &'static str, batch: &[Arc<Stored>]) {
        for (name, count) in counts(batch.iter().map(|event| event.kind)) {
            self.metrics.edge(topic, group, EdgeKind::Event, name, count);
        }
    }
}

/// How many events there are of each name.
fn counts(kinds: impl Iterator<Item = i64>) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(i64, u64)> = Vec::new();
    for kind in kinds.map(eventlog::kind_of) {
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    let name = |kind| contracts::registry::by_kind(kind).map_or("unknown", |entry| entry.name);
    counts.into_iter().map(|(kind, count)| (name(kind), count)).collect()
}

/// No id of what is stored is above this; with it as it will be once the commit is durable.
pub(crate) struct RowBound {
    pub stored: i64,
    pub saving: i64,
}
