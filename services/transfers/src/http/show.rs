//! Transfers as Moov shows them: one, and lists.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Amount, Code, Endpoint, Refusal,
    ids::{AccountId, PaymentMethodId, TransferId},
    payment_methods::{BankAccount, Card, MethodWallet, ResolvePaymentMethods},
    rails::{GetAchWaiting, GetCardWaiting, GetRtpWaiting, Rail},
    transfers::{
        Cancellation, GetTransfer, ListTransfers, ListTransfersQuery, Transfer, TransferAccount,
        TransferParty, TransferStatus, Waiting,
    },
};
use runtime::{Answer, Answered, Ask, Platform};

use super::{
    details,
    refunds::{given, shown as refund},
};
use crate::{
    Transfers,
    domain::{Side, taken},
    store::{self, Filter, Record},
};

/// Payment methods asked for in one question.
const METHODS_MOST: usize = 100;
/// Rows of a page where the caller names no number, and at most.
const COUNT: (u32, u32) = (200, 1_000);
/// How far the ordered part of ids may be ahead of the clock, after the clock was set back.
const CLOCK_MARGIN_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// The (masked) bank accounts and cards behind payment methods.
#[derive(Default)]
struct Behind {
    banks: BTreeMap<PaymentMethodId, BankAccount>,
    cards: BTreeMap<PaymentMethodId, Card>,
}

impl Answer<GetTransfer> for Transfers {
    async fn answer(&self, ask: Ask<GetTransfer>) -> Result<Answered<GetTransfer>, Refusal> {
        let path = &ask.path;
        let record = self.visible(&ask.platform, path.account, path.transfer).await?;
        Ok(Answered::ok(&self.show(&ask.platform, &record).await?))
    }
}

impl Answer<ListTransfers> for Transfers {
    async fn answer(&self, ask: Ask<ListTransfers>) -> Result<Answered<ListTransfers>, Refusal> {
        let filter = filter(ask.path.account, &ask.query, &ask.platform)?;
        let (indexes, on) = (self.indexes.clone(), ask.platform.store().clone());
        // A list may read many rows: not on a thread that answers others.
        let reading = move || on.read(|tx| store::list(tx, &indexes, &filter));
        let records = tokio::task::spawn_blocking(reading)
            .await
            .map_err(|_| Refusal::new(Code::Internal, "the list broke off"))?
            .map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "a list failed");
                Refusal::new(Code::Unavailable, "the store cannot be read now").retry_after(1)
            })?;
        Ok(Answered::ok(&self.show_many(&ask.platform, &records).await?))
    }
}

fn filter(
    viewer: AccountId,
    query: &ListTransfersQuery,
    platform: &Platform,
) -> Result<Filter, Refusal> {
    let accounts = query.account_ids.as_deref().unwrap_or_default();
    let accounts: Result<Vec<AccountId>, _> =
        accounts.split(',').filter(|id| !id.is_empty()).map(str::parse).collect();
    let accounts = accounts.map_err(|_| Refusal::field("accountIDs", "not a list of UUIDs"))?;
    if accounts.len() > 100 {
        return Err(Refusal::field("accountIDs", "has at most 100 accounts"));
    }
    let count = query.count.unwrap_or(COUNT.0);
    if count == 0 || count > COUNT.1 {
        return Err(Refusal::field("count", "must be from 1 to 1000"));
    }
    // An id's time is machine time, at most as far behind business time as that was moved ahead.
    let offset = platform.clock().offset_micros();
    let lowest = query.start.map(|start| row_at(start.plus_micros(-offset).millis()));
    let end = query.end.map(|end| row_at(end.millis().saturating_add(CLOCK_MARGIN_MILLIS)));
    let before = query.before.map(|before| before.row());
    let known = platform.access().account(viewer);
    Ok(Filter {
        viewer,
        platform: known.is_some_and(|known| known.facilitator == viewer),
        accounts,
        status: query.status,
        start: query.start,
        end: query.end,
        foreign_id: query.foreign_id.clone(),
        refunded: query.refunded,
        rows: (lowest.unwrap_or(0), before.into_iter().chain(end).min()),
        skip: query.skip.unwrap_or(0) as usize,
        count: count as usize,
    })
}

/// The lowest row of a millisecond.
fn row_at(millis: i64) -> i64 {
    millis.clamp(0, i64::MAX >> 12) << 12
}

impl Transfers {
    /// A transfer, with why it waits where its rail says so.
    pub async fn show(&self, platform: &Platform, record: &Record) -> Result<Transfer, Refusal> {
        let mut shown = self.show_many(platform, std::slice::from_ref(record)).await?;
        let mut transfer = shown.pop().expect("one record gives one transfer");
        if record.progress.status == TransferStatus::Pending {
            let sides = [&record.parties.source, &record.parties.destination];
            let mut rails: Vec<Rail> = sides.iter().filter_map(|side| side.party.rail()).collect();
            rails.dedup();
            // Of two legs, the one that is under way answers.
            for rail in rails {
                if transfer.waiting.is_none() {
                    transfer.waiting = waiting(platform, rail, record.id).await;
                }
            }
        }
        Ok(transfer)
    }
    async fn show_many(
        &self,
        platform: &Platform,
        records: &[Record],
    ) -> Result<Vec<Transfer>, Refusal> {
        let ids: Vec<TransferId> = records.iter().map(|record| record.id).collect();
        let read = move |tx: &mut ::store::Tx<'_>| {
            Ok((store::cancellations(tx, &ids)?, store::refunding(tx, ids)?))
        };
        let (mut cancellations, mut refunds) = platform.read(read).await?;
        let behind = behind(platform, records).await;
        let shown = records.iter().map(|record| {
            let mut shown = transfer(platform, record, &behind);
            let cancellations = cancellations.remove(&record.id).unwrap_or_default();
            shown.cancellations = cancellations.iter().map(cancellation).collect();
            if let Some(refunds) = refunds.remove(&record.id) {
                let taken = Amount::new(taken(&given(&refunds)), record.amount.currency);
                shown.refunded_amount = Some(taken);
                shown.refunds = refunds.iter().map(refund).collect();
            }
            shown
        });
        Ok(shown.collect())
    }
}

/// A cancellation as Moov shows it.
pub fn cancellation(stored: &store::Cancellation) -> Cancellation {
    Cancellation {
        cancellation_id: stored.id,
        status: stored.status.as_str().to_owned(),
        created_on: stored.created,
    }
}

/// What is behind these transfers' methods; without payment-methods, nothing.
async fn behind(platform: &Platform, records: &[Record]) -> Behind {
    let sides = records.iter().flat_map(|r| [&r.parties.source, &r.parties.destination]);
    let outside = sides.filter(|side| side.party.rail().is_some());
    let methods: BTreeSet<PaymentMethodId> = outside.map(|side| side.method).collect();
    let methods: Vec<String> = methods.iter().map(ToString::to_string).collect();
    let mut behind = Behind::default();
    for some in methods.chunks(METHODS_MOST) {
        let path = format!("/internal/payment-methods?ids={}&details=true", some.join(","));
        let Ok(called) = platform.call::<ResolvePaymentMethods>("transfers", &path).await else {
            continue;
        };
        for found in called.reply.methods {
            let id = found.payment_method_id;
            behind.banks.extend(found.bank_account.map(|bank| (id, bank)));
            behind.cards.extend(found.card.map(|card| (id, card)));
        }
    }
    behind
}

/// Why it waits, as its rail says; nothing where the rail is silent.
async fn waiting(platform: &Platform, rail: Rail, transfer: TransferId) -> Option<Waiting> {
    async fn ask<E: Endpoint<Reply = Waiting>>(
        platform: &Platform,
        transfer: TransferId,
    ) -> Option<Waiting> {
        let path = format!("{}?transfer={transfer}", E::PATH);
        Some(platform.call::<E>("transfers", &path).await.ok()?.reply)
    }
    match rail {
        Rail::Ach => ask::<GetAchWaiting>(platform, transfer).await,
        Rail::Card => ask::<GetCardWaiting>(platform, transfer).await,
        Rail::Rtp => ask::<GetRtpWaiting>(platform, transfer).await,
    }
}

fn transfer(platform: &Platform, record: &Record, behind: &Behind) -> Transfer {
    let progress = &record.progress;
    let extra = record.extra.clone().unwrap_or_default();
    let shown = |side: &Side| party(platform, record, side, behind);
    let failure = progress.detail.failure.filter(|_| progress.status == TransferStatus::Failed);
    Transfer {
        transfer_id: record.id,
        created_on: record.created,
        completed_on: progress.completed,
        status: progress.status,
        failure_reason: failure.map(|failure| failure.as_str().to_owned()),
        source: shown(&record.parties.source),
        destination: shown(&record.parties.destination),
        amount: record.amount,
        description: extra.description,
        metadata: extra.metadata,
        foreign_id: extra.foreign_id,
        cancellations: Vec::new(),
        refunded_amount: None,
        refunds: Vec::new(),
        refund_of: extra.refund_of,
        waiting: None,
        given_back: details::given_back(progress),
        needs_attention: progress.detail.alarm,
    }
}

fn party(platform: &Platform, record: &Record, side: &Side, behind: &Behind) -> TransferParty {
    let (transfer, parties, progress) = (record.id, &record.parties, &record.progress);
    let account_id = side.party.account_id();
    let known = platform.access().account(account_id);
    let account = TransferAccount {
        account_id,
        email: known.as_ref().and_then(|known| known.email.clone()),
        display_name: known.map(|known| known.display_name.clone()).unwrap_or_default(),
    };
    let on = |rail| side.party.rail() == Some(rail);
    let leg = details::leg(parties, side, progress);
    let instant = on(Rail::Rtp).then(|| details::instant(transfer, &leg, progress));
    TransferParty {
        payment_method_id: side.method,
        payment_method_type: side.kind.as_str().to_owned(),
        account,
        wallet: side.party.wallet_id().map(|wallet_id| MethodWallet { wallet_id }),
        bank_account: behind.banks.get(&side.method).cloned(),
        card: behind.cards.get(&side.method).cloned(),
        instant_bank_details: instant.clone(),
        rtp_details: instant,
        card_details: on(Rail::Card).then(|| details::card(&leg, progress)),
        ach_details: on(Rail::Ach).then(|| details::ach(&leg, progress)),
    }
}
