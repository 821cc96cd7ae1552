//! Cancellations: asked for here, decided by who holds the money's next step.

use std::collections::BTreeMap;

use contracts::{
    Code, Refusal,
    ids::{CancellationId, TransferId},
    transfers::{
        Cancellation, CreateCancellation, GetCancellation, ListCancellations,
        TransferCancelRequested,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Platform, Work};

use super::show::cancellation;
use crate::{
    Transfers,
    domain::{Legs, Mark, is_final},
    store::{self, CancellationStatus, Record},
};

/// Asks to cancel a transfer that its caller may see.
pub struct Cancel {
    transfer: TransferId,
    trace: Option<[u8; 24]>,
}

impl Cancel {
    /// With the caller's trace.
    pub fn new(transfer: TransferId, trace: Option<[u8; 24]>) -> Self {
        Self { transfer, trace }
    }
}

impl Command for Cancel {
    const SERVICE: &'static str = "transfers";
    const NAME: &'static str = "CreateCancellation";
    type Done = store::Cancellation;
}

impl Answer<CreateCancellation> for Transfers {
    async fn answer(
        &self,
        ask: Ask<CreateCancellation>,
    ) -> Result<Answered<CreateCancellation>, Refusal> {
        let record = self.visible(&ask.platform, ask.path.account, ask.path.transfer).await?;
        let stored = ask.platform.commit(Cancel::new(record.id, ask.trace)).await?;
        Ok(Answered::ok(&cancellation(&stored)))
    }
}

impl Answer<ListCancellations> for Transfers {
    async fn answer(
        &self,
        ask: Ask<ListCancellations>,
    ) -> Result<Answered<ListCancellations>, Refusal> {
        let record = self.visible(&ask.platform, ask.path.account, ask.path.transfer).await?;
        Ok(Answered::ok(&of_transfer(&ask.platform, record.id).await?))
    }
}

impl Answer<GetCancellation> for Transfers {
    async fn answer(
        &self,
        ask: Ask<GetCancellation>,
    ) -> Result<Answered<GetCancellation>, Refusal> {
        let path = &ask.path;
        let record = self.visible(&ask.platform, path.account, path.transfer).await?;
        let all = of_transfer(&ask.platform, record.id).await?;
        all.iter()
            .find(|known| known.cancellation_id == path.cancellation)
            .map(Answered::ok)
            .ok_or_else(|| Refusal::not_found("cancellation"))
    }
}

async fn of_transfer(
    platform: &Platform,
    transfer: TransferId,
) -> Result<Vec<Cancellation>, Refusal> {
    let mut stored = platform.read(move |tx| store::cancellations(tx, &[transfer])).await?;
    Ok(stored.remove(&transfer).unwrap_or_default().iter().map(cancellation).collect())
}

impl Commit<Cancel> for Transfers {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Cancel],
    ) -> Result<Vec<Result<store::Cancellation, Refusal>>, Fault> {
        let mut ids: Vec<TransferId> = batch.iter().map(|command| command.transfer).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut known = store::cancellations(work.tx, &ids)?;
        let mut records = store::load_many(work.tx, ids)?;
        let mut changed = BTreeMap::new();
        let mut added = Vec::new();
        let mut results = Vec::with_capacity(batch.len());
        for command in batch {
            let Some(record) = records.get_mut(&command.transfer) else {
                results.push(Err(Refusal::not_found("transfer")));
                continue;
            };
            let of_one = known.entry(command.transfer).or_default();
            match cancel(work, record, of_one, command) {
                Ok(Some(cancellation)) => {
                    of_one.push(cancellation.clone());
                    added.push(cancellation.clone());
                    changed.insert(record.id, (record.progress.status, Box::new(record.clone())));
                    results.push(Ok(cancellation));
                }
                Ok(None) => {
                    let pending = of_one.iter().find(|c| c.status == CancellationStatus::Pending);
                    results.push(Ok(pending.expect("just found to be there").clone()));
                }
                Err(refusal) => results.push(Err(refusal)),
            }
        }
        let changed: Vec<_> = changed.into_values().collect();
        if store::save_many(work.tx, &changed)? != changed.len() as u64 {
            let lost = "a transfer was moved by another writer".to_owned();
            return Err(Fault::Store(::store::Error::Other(lost)));
        }
        store::insert_cancellations(work.tx, &added)?;
        let mut fresh = self.fresh.lock();
        for (_, record) in &changed {
            fresh.remove(&record.id);
        }
        Ok(results)
    }
}

/// A new cancellation of a transfer, or none where one is pending: that one is the answer.
fn cancel(
    work: &mut Work<'_, '_>,
    record: &mut Record,
    known: &[store::Cancellation],
    command: &Cancel,
) -> Result<Option<store::Cancellation>, Refusal> {
    if is_final(record.progress.status) {
        let status = record.progress.status.as_str();
        return Err(Refusal::new(Code::Conflict, format!("the transfer is {status}")));
    }
    if known.iter().any(|known| known.status == CancellationStatus::Pending) {
        return Ok(None);
    }
    let bucket = record.id.bucket();
    let id = CancellationId(work.fresh(bucket));
    let event = TransferCancelRequested {
        transfer_id: record.id,
        cancellation_id: id,
        rail: record.parties.rail(),
        destination_rail: match record.parties.legs() {
            Legs::Two => record.parties.destination.party.rail(),
            Legs::None | Legs::One(_) => None,
        },
    };
    let shard = work.shard_of(bucket);
    let place = work.emit_traced(record.id.row(), shard, &event, command.trace);
    record.trail.push(Mark::new("transfers", place));
    record.progress.detail.canceling = true;
    let status = CancellationStatus::Pending;
    Ok(Some(store::Cancellation { transfer: record.id, id, status, created: work.now }))
}
