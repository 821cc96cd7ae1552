//! All events by kind: names and versions, the JSON form of a stored payload, the schemas.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    Event,
    accounts::{AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked},
    ledger::{LedgerHop, LedgerPosted, LedgerRefused, LedgerReserved, WalletCreated},
    payment_methods::{
        BankAccountCreated, BankAccountUpdated, CardCreated, CardUpdated, MicroDepositsInitiated,
        PaymentMethodDisabled, PaymentMethodEnabled,
    },
    rails::RailOutcome,
    transfers::{TransferCancelRequested, TransferCreated, TransferUpdated},
};

/// What is known of one kind of event.
pub struct Entry {
    /// `transfer.created`
    pub name: &'static str,
    /// The number in a stored row.
    pub kind: i64,
    /// The version this build writes.
    pub version: u16,
    /// The services that emit it.
    pub emitters: &'static [&'static str],
    /// JSON of a compact payload; `None` where it is not one.
    pub to_json: fn(&[u8]) -> Option<Value>,
    /// The compact payload of its JSON; `None` where it is none.
    pub from_json: fn(&[u8]) -> Option<Vec<u8>>,
    /// Its JSON Schema (2020-12).
    pub schema: fn() -> Value,
}

const fn entry<E: Event>() -> Entry {
    Entry {
        name: E::NAME,
        kind: E::KIND,
        version: E::VERSION,
        emitters: E::EMITTERS,
        to_json: |bytes| serde_json::to_value(E::from_compact(bytes).ok()?).ok(),
        from_json: |json| Some(serde_json::from_slice::<E>(json).ok()?.to_compact()),
        schema: || schemars::schema_for!(E).to_value(),
    }
}

/// Every event, in the order of its number.
pub static EVENTS: [Entry; 20] = [
    entry::<AccountCreated>(),
    entry::<CapabilityUpdated>(),
    entry::<KeyCreated>(),
    entry::<KeyRevoked>(),
    entry::<BankAccountCreated>(),
    entry::<BankAccountUpdated>(),
    entry::<PaymentMethodEnabled>(),
    entry::<PaymentMethodDisabled>(),
    entry::<CardCreated>(),
    entry::<CardUpdated>(),
    entry::<MicroDepositsInitiated>(),
    entry::<TransferCreated>(),
    entry::<TransferUpdated>(),
    entry::<TransferCancelRequested>(),
    entry::<WalletCreated>(),
    entry::<LedgerReserved>(),
    entry::<LedgerRefused>(),
    entry::<LedgerPosted>(),
    entry::<LedgerHop>(),
    entry::<RailOutcome>(),
];

/// The services that emit events: each has a topic.
pub fn emitters() -> BTreeSet<&'static str> {
    EVENTS.iter().flat_map(|entry| entry.emitters).copied().collect()
}

/// The event with this number.
pub fn by_kind(kind: i64) -> Option<&'static Entry> {
    EVENTS.iter().find(|entry| entry.kind == kind)
}
