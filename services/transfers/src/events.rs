//! What ledger and rails say of a transfer: load, decide in order, save, emit, for the batch.

mod micro_deposits;

use std::collections::BTreeMap;

use contracts::{
    Event,
    ids::TransferId,
    ledger::{LedgerPosted, LedgerRefused, LedgerReserved},
    rails::RailOutcome,
    transfers::{TransferStatus, TransferUpdated},
};
use parking_lot::Mutex;
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Transfers,
    domain::{Decision, Input, Mark, decide, is_final},
    http::{Followers, Waiters},
    store::{self, CancellationStatus, Indexes, Record},
};

/// Transfers that the commit under way has appended.
pub type Fresh = Mutex<BTreeMap<TransferId, Box<Record>>>;

/// Transfers, each with the status that it is stored with.
type Loaded = Vec<(TransferStatus, Box<Record>)>;
type Places = BTreeMap<TransferId, usize>;

/// One event, as the lattice takes it.
struct Said {
    transfer: TransferId,
    mark: Mark,
    input: Input,
    /// The trace of who asked for the transfer.
    trace: Option<[u8; 24]>,
}

fn said<E: Event>(
    batch: &[Delivered<E>],
    read: impl Fn(&E) -> (TransferId, &'static str, Input),
) -> Vec<Said> {
    let one = |event: &Delivered<E>| {
        let (transfer, topic, input) = read(&event.data);
        Said { transfer, mark: Mark::new(topic, event.place), input, trace: event.trace }
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
        let read = |event: &LedgerPosted| {
            let input = Input::Books(event.leg, event.state, event.undone);
            (event.transfer_id, "ledger", input)
        };
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
            (event.transfer_id, event.rail.service(), Input::Rail(event.leg, event.into()))
        };
        self.apply(work, said(batch, read))
    }
}

impl Transfers {
    /// Nothing in memory yet.
    pub fn new(on: &::store::Store) -> Self {
        Self {
            indexes: Indexes::new(on),
            fresh: Fresh::default(),
            waiters: Waiters::default(),
            followers: Followers::default(),
        }
    }
    /// The commit is durable.
    pub fn committed(&self) {
        self.indexes.committed();
        self.fresh.lock().clear();
    }
    /// Another process of this service changed transfers.
    pub fn changed_elsewhere(&self) {
        self.waiters.wake_all();
        self.followers.wake_all();
    }
    /// The commit is gone: memory is as before it.
    pub fn rolled_back(&self) {
        self.indexes.rolled_back();
        self.fresh.lock().clear();
    }
    fn apply(&self, work: &mut Work<'_, '_>, said: Vec<Said>) -> Result<(), Fault> {
        let (places, mut loaded) = self.load(work, &said)?;
        for said in &said {
            one(work, &mut loaded[places[&said.transfer]].1, said);
        }
        self.save(work, loaded)
    }
    /// The transfers of a batch with the status that each has, and where each is in the list: those
    /// of this commit from memory, the others from the store.
    fn load(&self, work: &mut Work<'_, '_>, said: &[Said]) -> Result<(Places, Loaded), Fault> {
        let mut places = Places::new();
        let mut loaded = Loaded::with_capacity(said.len());
        let mut missing = Vec::new();
        let mut fresh = self.fresh.lock();
        for said in said {
            if let Some(record) = fresh.remove(&said.transfer) {
                places.insert(said.transfer, loaded.len());
                loaded.push((record.progress.status, record));
            } else if !places.contains_key(&said.transfer) {
                missing.push(said.transfer);
            }
        }
        drop(fresh);
        if missing.is_empty() {
            return Ok((places, loaded));
        }
        missing.sort_unstable();
        missing.dedup();
        for (id, record) in store::load_many(work.tx, missing.iter().copied())? {
            places.insert(id, loaded.len());
            loaded.push((record.progress.status, Box::new(record)));
        }
        match missing.iter().find(|id| !places.contains_key(id)) {
            Some(id) => Err(Fault::Poison(format!("there is no transfer {id}"))),
            None => Ok((places, loaded)),
        }
    }
    fn save(&self, work: &mut Work<'_, '_>, mut changed: Loaded) -> Result<(), Fault> {
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
        let moved: Vec<TransferId> = changed.iter().map(|(_, record)| record.id).collect();
        let followers = self.followers.clone();
        work.after_commit(move || followers.wake(&moved));
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
    let legs = record.parties.legs();
    match decide(&record.progress, legs, &said.input, work.now) {
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
                updated(work, record, said.trace);
            }
        }
    }
}

/// Tells the public that the status changed.
fn updated(work: &mut Work<'_, '_>, record: &mut Record, trace: Option<[u8; 24]>) {
    let event = TransferUpdated {
        transfer_id: record.id,
        facilitator_id: record.facilitator,
        source_account_id: record.parties.source.party.account_id(),
        destination_account_id: record.parties.destination.party.account_id(),
        status: record.progress.status,
        refund_of: record.refund_of(),
    };
    let shard = work.shard_of(record.id.bucket());
    let place = work.emit_traced(record.id.row(), shard, &event, trace);
    record.trail.push(Mark::new("transfers", place));
}
