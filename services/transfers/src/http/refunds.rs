//! Refunds and reversals. A refund is a transfer the other way, made without a hop: both sides are
//! those that the original froze. Its limit is checked in the commit that makes it.

use std::{borrow::Cow, time::Duration};

use contracts::{
    Amount, Code, Endpoint, Refusal, Timestamp,
    ids::{AccountId, TransferId},
    rails::Rail,
    transfers::{
        CreateRefund, CreateRefundRequest, CreateReversal, CreatedRefund, GetRefund, ListRefunds,
        Refund, Reversal, TransferPath, TransferStatus,
    },
};
use runtime::{Answer, Answered, Ask, Command, Commit, Fault, Platform, Work};

use super::{
    Cancel,
    create::{Accepted, NewTransfer, accept},
    details, existing,
    request::{Key, facilitator, hash, key, made_before, wait},
    show::cancellation,
};
use crate::{
    Transfers,
    domain::{Extra, Given, NoRefund, is_final, refund},
    store::{self, Encoded, Record},
};

/// A refund that was asked for.
pub struct NewRefund {
    facilitator: AccountId,
    original: TransferId,
    /// Minor units; absent, all that is left.
    asked: Option<i64>,
    key_hash: [u8; 16],
    fingerprint: [u8; 16],
    received: Timestamp,
    request_bytes: i64,
    trace: Option<[u8; 24]>,
}

impl NewRefund {
    /// What a request asks for, under this key.
    fn new<E>(ask: &Ask<E>, key: &Key) -> Result<Self, Refusal>
    where
        E: Endpoint<Path = TransferPath, Body = CreateRefundRequest>,
    {
        let facilitator = facilitator(&ask.platform, ask.path.account)?;
        let original = ask.path.transfer;
        let body = serde_json::to_vec(&ask.body).expect("a request is plain data");
        let of = [E::PATH.as_bytes(), facilitator.as_bytes(), original.as_bytes(), &body];
        Ok(Self {
            facilitator,
            original,
            asked: ask.body.amount,
            key_hash: hash(&[facilitator.as_bytes(), key.text.as_bytes()]),
            fingerprint: hash(&of),
            received: ask.received,
            // The body may be absent; 0 stands for a transfer that no client asked for.
            request_bytes: i64::try_from(ask.raw.len().max(1)).unwrap_or(i64::MAX),
            trace: ask.trace,
        })
    }
}

impl Command for NewRefund {
    const SERVICE: &'static str = "transfers";
    const NAME: &'static str = "CreateRefund";
    type Done = Accepted;
}

impl Answer<CreateRefund> for Transfers {
    async fn answer(&self, ask: Ask<CreateRefund>) -> Result<Answered<CreateRefund>, Refusal> {
        let key = key(&ask)?;
        let wait = wait(&ask);
        let accepted = ask.platform.commit(NewRefund::new(&ask, &key)?).await?;
        let id = accepted.created.transfer_id;
        if accepted.repeated && key.moov {
            let known = shown(&existing(&ask.platform, id).await?);
            return Err(made_before("this key made a refund before", serde_json::to_value(&known)));
        }
        match wait {
            None => {
                let amount = existing(&ask.platform, id).await?.amount;
                let created_on = accepted.created.created_on;
                Ok(Answered::ok(&CreatedRefund { refund_id: id, created_on, amount }))
            }
            Some(most) => {
                let record = self.settled(&ask.platform, id, most).await?;
                Ok(Answered::json(status(&record), &shown(&record)))
            }
        }
    }
}

impl Answer<CreateReversal> for Transfers {
    async fn answer(&self, ask: Ask<CreateReversal>) -> Result<Answered<CreateReversal>, Refusal> {
        let key = key(&ask)?;
        let wait = wait(&ask).unwrap_or(Duration::ZERO);
        let command = NewRefund::new(&ask, &key)?;
        let known = self.first(&ask.platform, command.key_hash, command.fingerprint).await?;
        if known.is_none() {
            let record = self.visible(&ask.platform, command.facilitator, command.original).await?;
            let is_whole = command.asked.is_none_or(|asked| asked == record.amount.value);
            if is_whole && record.progress.status != TransferStatus::Completed {
                match self.cancelled(&ask, &record).await {
                    // It has ended meanwhile: what can be done then is a refund.
                    Err(refusal) if refusal.code == Code::Conflict => {}
                    answered => return answered,
                }
            }
        }
        let id = ask.platform.commit(command).await?.created.transfer_id;
        let record = self.settled(&ask.platform, id, wait).await?;
        Ok(Answered::json(status(&record), &Reversal::Refund(shown(&record))))
    }
}

impl Transfers {
    /// Asks to cancel it; the answer is the earlier cancellation where it is cancelled.
    async fn cancelled(
        &self,
        ask: &Ask<CreateReversal>,
        record: &Record,
    ) -> Result<Answered<CreateReversal>, Refusal> {
        if record.progress.status == TransferStatus::Canceled {
            let id = record.id;
            let known = ask.platform.read(move |tx| store::cancellations(tx, &[id])).await?;
            if let Some(last) = known.get(&id).and_then(|all| all.last()) {
                return Ok(Answered::json(200, &Reversal::Cancellation(cancellation(last))));
            }
        }
        let stored = ask.platform.commit(Cancel::new(record.id, ask.trace)).await?;
        Ok(Answered::json(202, &Reversal::Cancellation(cancellation(&stored))))
    }
}

impl Answer<ListRefunds> for Transfers {
    async fn answer(&self, ask: Ask<ListRefunds>) -> Result<Answered<ListRefunds>, Refusal> {
        let record = self.visible(&ask.platform, ask.path.account, ask.path.transfer).await?;
        Ok(Answered::ok(&all(&ask.platform, record.id).await?))
    }
}

impl Answer<GetRefund> for Transfers {
    async fn answer(&self, ask: Ask<GetRefund>) -> Result<Answered<GetRefund>, Refusal> {
        let path = &ask.path;
        let record = self.visible(&ask.platform, path.account, path.transfer).await?;
        all(&ask.platform, record.id)
            .await?
            .iter()
            .find(|known| known.refund_id == path.refund)
            .map(Answered::ok)
            .ok_or_else(|| Refusal::not_found("refund"))
    }
}

async fn all(platform: &Platform, original: TransferId) -> Result<Vec<Refund>, Refusal> {
    let mut made = platform.read(move |tx| store::refunding(tx, [original])).await?;
    Ok(made.remove(&original).unwrap_or_default().iter().map(shown).collect())
}

/// 200 once it has ended, 202 before.
fn status(record: &Record) -> u16 {
    if is_final(record.progress.status) { 200 } else { 202 }
}

/// The transfer of a refund as Moov shows a refund.
pub fn shown(record: &Record) -> Refund {
    let progress = &record.progress;
    let side = &record.parties.destination;
    let leg = details::leg(&record.parties, side, progress);
    let status = match progress.status {
        TransferStatus::Created => "created",
        TransferStatus::Queued | TransferStatus::Pending => "pending",
        TransferStatus::Completed => "completed",
        TransferStatus::Failed | TransferStatus::Canceled | TransferStatus::Reversed => "failed",
    };
    let last = progress.detail.stages.last().map(|stage| Timestamp(stage.at));
    let word = progress.detail.rail.as_ref();
    Refund {
        refund_id: record.id,
        created_on: record.created,
        updated_on: [progress.completed, last].into_iter().flatten().fold(record.created, Ord::max),
        status: status.to_owned(),
        failure_code: word.and_then(|word| word.failure_code.clone()),
        amount: record.amount,
        card_details: (side.party.rail() == Some(Rail::Card))
            .then(|| details::card(&leg, progress)),
    }
}

/// Refunds as the limit sees them.
pub fn given(refunds: &[Record]) -> Vec<Given> {
    refunds.iter().map(Record::given).collect()
}

impl Commit<NewRefund> for Transfers {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[NewRefund],
    ) -> Result<Vec<Result<Accepted, Refusal>>, Fault> {
        let mut ids: Vec<TransferId> = batch.iter().map(|command| command.original).collect();
        ids.sort_unstable();
        ids.dedup();
        let originals = store::load_many(work.tx, ids.iter().copied())?;
        let mut made = store::refunding(work.tx, ids)?;
        let mut added = Vec::new();
        let key = |command: &NewRefund| (command.key_hash, command.fingerprint);
        let results = self.once_per_key(work, batch, key, |work, command| {
            let original = originals
                .get(&command.original)
                .filter(|original| original.facilitator == command.facilitator)
                .ok_or_else(|| Refusal::not_found("transfer"))?;
            let of_one = made.entry(original.id).or_default();
            let (record, encoded) = give(work, original, of_one, command)?;
            of_one.push(record.clone());
            added.push(store::Refund {
                original: original.id,
                number: i64::try_from(of_one.len()).expect("they are few"),
                refund: record.id,
                amount: record.amount.value,
                created: record.created,
            });
            Ok((record, Cow::Owned(encoded)))
        })?;
        store::insert_refunds(work.tx, &added)?;
        Ok(results)
    }
}

/// Makes a refund beside those that were made before.
fn give(
    work: &mut Work<'_, '_>,
    original: &Record,
    made: &[Record],
    command: &NewRefund,
) -> Result<(Record, Encoded), Refusal> {
    let refuse = |no: NoRefund| {
        let field = if matches!(no, NoRefund::TooMuch(_)) { "amount" } else { "error" };
        Refusal::field(field, no.rule())
    };
    if original.refund_of().is_some() {
        return Err(refuse(NoRefund::OfRefund));
    }
    let status = original.progress.status;
    let (amount, parties) =
        refund(&original.parties, original.amount.value, status, &given(made), command.asked)
            .map_err(refuse)?;
    let extra = store::encode(&Extra::refund(original.id));
    let new = NewTransfer {
        facilitator: command.facilitator,
        encoded: (store::encode(&parties), Some(extra)),
        parties,
        amount: Amount::new(amount, original.amount.currency),
        key_hash: command.key_hash,
        fingerprint: command.fingerprint,
        received: command.received,
        hop_micros: 0,
        request_bytes: command.request_bytes,
        trace: command.trace,
        refund_of: Some(original.id),
        purpose: None,
    };
    let id = TransferId(work.fresh(new.parties.bucket()));
    Ok((accept(work, id, &new), new.encoded))
}
