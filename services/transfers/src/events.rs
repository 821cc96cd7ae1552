//! What ledger and rails say of a transfer: load, decide in order, save, emit, for the batch.

use std::collections::BTreeMap;

use contracts::{
    Event,
    ids::TransferId,
    ledger::{LedgerPosted, LedgerRefused, LedgerReserved},
    rails::RailOutcome,
    transfers::{TransferStatus, TransferUpdated},
};
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Transfers,
    domain::{Decision, Input, Mark, decide, is_final},
    store::{self, CancellationStatus, Record},
};

/// One event, as the lattice takes it.
struct Said {
    transfer: TransferId,
    mark: Mark,
    input: Input,
}

fn said<E: Event>(
    batch: &[Delivered<E>],
    read: impl Fn(&E) -> (TransferId, &'static str, Input),
) -> Vec<Said> {
    let one = |event: &Delivered<E>| {
        let (transfer, topic, input) = read(&event.data);
        Said { transfer, mark: Mark::new(topic, event.place), input }
    };
    batch.iter().map(one).collect()
}

impl Handle<LedgerReserved> for Transfers {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<LedgerReserved>],
    ) -> Result<(), Fault> {
        self.apply(work, said(batch, |event| (event.transfer_id, "ledger", Input::Reserved)))
    }
}

impl Handle<LedgerRefused> for Transfers {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<LedgerRefused>],
    ) -> Result<(), Fault> {
        let read =
            |event: &LedgerRefused| (event.transfer_id, "ledger", Input::Refused(event.reason));
        self.apply(work, said(batch, read))
    }
}

impl Handle<LedgerPosted> for Transfers {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<LedgerPosted>],
    ) -> Result<(), Fault> {
        let read = |event: &LedgerPosted| (event.transfer_id, "ledger", Input::Books(event.state));
        self.apply(work, said(batch, read))
    }
}

impl Handle<RailOutcome> for Transfers {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<RailOutcome>],
    ) -> Result<(), Fault> {
        let read = |event: &RailOutcome| {
            (event.transfer_id, event.rail.service(), Input::Rail(event.into()))
        };
        self.apply(work, said(batch, read))
    }
}

impl Transfers {
    fn apply(&self, work: &mut Work<'_, '_>, said: Vec<Said>) -> Result<(), Fault> {
        let mut loaded = self.load(work, &said)?;
        let mut changed: BTreeMap<TransferId, (TransferStatus, Record)> = BTreeMap::new();
        for said in said {
            let mut entry = match changed.remove(&said.transfer) {
                Some(entry) => entry,
                None => {
                    let record = loaded.remove(&said.transfer).ok_or_else(|| {
                        Fault::Poison(format!("there is no transfer {}", said.transfer))
                    })?;
                    (record.progress.status, record)
                }
            };
            one(work, &mut entry.1, &said);
            changed.insert(said.transfer, entry);
        }
        self.save(work, changed.into_values().collect())
    }
    /// The transfers of a batch: those of this commit from memory, the others from the store.
    fn load(
        &self,
        work: &mut Work<'_, '_>,
        said: &[Said],
    ) -> Result<BTreeMap<TransferId, Record>, Fault> {
        let mut loaded = BTreeMap::new();
        let mut missing = Vec::new();
        let mut fresh = self.fresh.lock();
        for said in said {
            match fresh.remove(&said.transfer) {
                Some(record) => {
                    loaded.insert(said.transfer, record);
                }
                None => missing.push(said.transfer),
            }
        }
        drop(fresh);
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|id| !loaded.contains_key(id));
        if !missing.is_empty() {
            loaded.append(&mut store::load_many(work.tx, missing)?);
        }
        Ok(loaded)
    }
    fn save(
        &self,
        work: &mut Work<'_, '_>,
        mut changed: Vec<(TransferStatus, Record)>,
    ) -> Result<(), Fault> {
        let mut cancellations = Vec::new();
        let mut ended = Vec::new();
        for (before, record) in &mut changed {
            let progress = &mut record.progress;
            if is_final(progress.status) && *before != progress.status {
                ended.push(record.id);
            }
            if is_final(progress.status) && progress.detail.canceling {
                progress.detail.canceling = false;
                let status = match progress.status {
                    TransferStatus::Canceled => CancellationStatus::Completed,
                    _ => CancellationStatus::Failed,
                };
                cancellations.push((record.id, status));
            }
        }
        let rows = store::save_many(work.tx, &changed)?;
        if rows != changed.len() as u64 {
            let lost = "a transfer was moved by another writer".to_owned();
            return Err(Fault::Store(::store::Error::Other(lost)));
        }
        if !cancellations.is_empty() {
            store::resolve_cancellations(work.tx, &cancellations)?;
        }
        if !ended.is_empty() {
            let waiters = self.waiters.clone();
            work.after_commit(move || waiters.wake(&ended));
        }
        Ok(())
    }
}

/// Applies one event to one transfer.
fn one(work: &mut Work<'_, '_>, record: &mut Record, said: &Said) {
    if !record.trail.push(said.mark) {
        return;
    }
    let outside = record.parties.outside().map(|(end, _)| end);
    match decide(&record.progress, outside, &said.input, work.now) {
        Decision::AlreadyDone => {}
        Decision::Alarm(why) => {
            let (transfer, status) = (record.id, record.progress.status.as_str());
            tracing::error!(%transfer, status, input = ?said.input, "ALARM: {why}");
            record.progress.detail.alarm = true;
        }
        Decision::Done(next) => {
            let public = next.status != record.progress.status;
            record.progress = next;
            if public {
                updated(work, record);
            }
        }
    }
}

/// Tells the public that the status changed.
fn updated(work: &mut Work<'_, '_>, record: &mut Record) {
    let event = TransferUpdated {
        transfer_id: record.id,
        facilitator_id: record.facilitator,
        source_account_id: record.parties.source.party.account_id(),
        destination_account_id: record.parties.destination.party.account_id(),
        status: record.progress.status,
    };
    let shard = work.shard_of(record.id.bucket());
    let place = work.emit(record.id.row(), shard, &event);
    record.trail.push(Mark::new("transfers", place));
}
