//! Transfers: takes a request to move money, makes it durable, and tells how it ends.
//!
//! *Owns*: transfers with their idempotency keys, cancellations, refunds; two indexes filled late.
//! *Answers*: the public transfers API, timelines, the internal events of a transfer.
//! *Handles*: `ledger.reserved`, `ledger.refused`, `ledger.posted`, `rail.outcome`,
//! `microDeposits.initiated` (transfers that no client asked for).
//! *Emits*: `transfer.created`, `transfer.updated`, `transfer.cancel_requested`.
//! *Never*: holds money, knows a rail's format, opens an account number, makes a second hop.

mod domain;
mod events;
mod http;
pub mod store;

use std::sync::Arc;

use contracts::{
    ledger::{LedgerPosted, LedgerRefused, LedgerReserved},
    payment_methods::{MicroDepositsInitiated, ResolvePaymentMethods},
    rails::{GetAchWaiting, GetCardWaiting, GetRtpWaiting, RailOutcome},
    transfers::{
        CreateCancellation, CreateRefund, CreateReversal, CreateTransfer, GetCancellation,
        GetRefund, GetTimeline, GetTransfer, ListCancellations, ListRefunds, ListTransferEvents,
        ListTransfers, TransferCancelRequested, TransferCreated, TransferUpdated,
    },
};
use runtime::{Service, Tier};

use crate::events::Fresh;
use crate::http::{Cancel, Followers, NewRefund, NewTransfer, Waiters};
use crate::store::Indexes;

/// What the service keeps in memory.
pub struct Transfers {
    indexes: Indexes,
    /// Transfers that the commit under way has appended: its consumers need not read them again.
    fresh: Fresh,
    waiters: Waiters,
    followers: Followers,
}

/// The service on a store, with its wiring.
pub fn service(on: &::store::Store) -> Service<Transfers> {
    Service::new("transfers", Tier::Service, Arc::new(Transfers::new(on)))
        .tables(store::TABLES, store::MIGRATIONS)
        .answers::<CreateTransfer>()
        .answers::<GetTransfer>()
        .answers::<ListTransfers>()
        .answers::<CreateCancellation>()
        .answers::<ListCancellations>()
        .answers::<GetCancellation>()
        .answers::<CreateRefund>()
        .answers::<ListRefunds>()
        .answers::<GetRefund>()
        .answers::<CreateReversal>()
        .answers::<GetTimeline>()
        .answers::<ListTransferEvents>()
        .commits::<NewTransfer>()
        .commits::<Cancel>()
        .commits::<NewRefund>()
        .handles::<LedgerReserved>()
        .handles::<LedgerRefused>()
        .handles::<LedgerPosted>()
        .handles::<RailOutcome>()
        .handles::<MicroDepositsInitiated>()
        .emits::<TransferCreated>()
        .emits::<TransferUpdated>()
        .emits::<TransferCancelRequested>()
        .calls::<ResolvePaymentMethods>()
        .calls::<GetRtpWaiting>()
        .calls::<GetAchWaiting>()
        .calls::<GetCardWaiting>()
        .starts(|state, tx| Ok(state.indexes.restore(tx)?))
        .merges(|state, tx, _| state.indexes.merge(tx))
        .remembers(Transfers::committed, Transfers::rolled_back)
        .hears_of_others(Transfers::changed_elsewhere)
}
