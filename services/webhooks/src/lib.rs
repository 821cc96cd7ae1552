//! webhooks: the public event feed.
//!
//! *Owns* the feed of each account, a gapless sequence, and of the whole platform.
//! *Answers* `ListEvents`.
//! *Handles* every public event.
//! *Emits* nothing. *Never* is asked anything on the way of a write, and is at most a second behind.

mod domain;
mod events;
mod http;
mod store;

use std::{sync::Arc, time::Duration};

use contracts::{
    accounts::{AccountCreated, CapabilityUpdated},
    ledger::WalletCreated,
    payment_methods::{
        BankAccountCreated, BankAccountUpdated, PaymentMethodDisabled, PaymentMethodEnabled,
    },
    transfers::{TransferCreated, TransferUpdated},
    webhooks::ListEvents,
};
use runtime::{Service, Tier};

pub use crate::store::verify;

/// The service's state: it keeps nothing in memory.
pub struct Webhooks;

/// How long events may gather before they are written: sorted by account they share pages.
const GATHER: Duration = Duration::from_millis(500);

/// The service with its wiring.
pub fn service() -> Service<Webhooks> {
    Service::new("webhooks", Tier::Service, Arc::new(Webhooks))
        .tables(&["webhooks_feed", "webhooks_counter"], crate::store::MIGRATIONS)
        .committed_only()
        .lazily(GATHER)
        .answers::<ListEvents>()
        .handles::<AccountCreated>()
        .handles::<CapabilityUpdated>()
        .handles::<WalletCreated>()
        .handles::<BankAccountCreated>()
        .handles::<BankAccountUpdated>()
        .handles::<PaymentMethodEnabled>()
        .handles::<PaymentMethodDisabled>()
        .handles::<TransferCreated>()
        .handles::<TransferUpdated>()
}
