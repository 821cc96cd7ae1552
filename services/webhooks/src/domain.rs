//! Who may see a public event, and what it says there.

use std::collections::BTreeMap;

use contracts::{
    Event,
    accounts::{AccountCreated, CapabilityUpdated},
    ids::AccountId,
    ledger::WalletCreated,
    payment_methods::{
        BankAccountCreated, BankAccountUpdated, PaymentMethodDisabled, PaymentMethodEnabled,
    },
    transfers::{TransferCreated, TransferUpdated},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The feed of everything, for operators; no account has this id.
pub const EVERYTHING: AccountId = AccountId(Uuid::nil());

/// A public event: the accounts in whose feeds it stands.
pub trait Public: Event {
    /// One to three accounts; repeats are dropped by the caller.
    fn accounts(&self) -> Vec<AccountId>;
}

impl Public for AccountCreated {
    fn accounts(&self) -> Vec<AccountId> {
        vec![self.account_id, self.facilitator_id]
    }
}
impl Public for TransferCreated {
    fn accounts(&self) -> Vec<AccountId> {
        vec![self.facilitator_id, self.source.account_id(), self.destination.account_id()]
    }
}
impl Public for TransferUpdated {
    fn accounts(&self) -> Vec<AccountId> {
        vec![self.facilitator_id, self.source_account_id, self.destination_account_id]
    }
}

macro_rules! of_one_account {
    ($($event:ty),+) => {$(
        impl Public for $event {
            fn accounts(&self) -> Vec<AccountId> {
                vec![self.account_id]
            }
        }
    )+};
}
of_one_account!(
    CapabilityUpdated,
    WalletCreated,
    BankAccountCreated,
    BankAccountUpdated,
    PaymentMethodEnabled,
    PaymentMethodDisabled
);

/// Where an event stands in one feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub account: AccountId,
    /// 1, 2, 3, ... for each account.
    pub sequence: i64,
    pub topic: &'static str,
    pub shard: u32,
    pub place: i64,
}

/// An event and the accounts that see it.
pub struct Seen {
    pub accounts: Vec<AccountId>,
    pub topic: &'static str,
    pub shard: u32,
    pub place: i64,
}

/// Numbers a batch: each account's entries go on from its last number, in the order of the events.
/// Sorted by account and number; the second part are the new last numbers.
pub fn number(
    events: &[Seen],
    mut last: BTreeMap<AccountId, i64>,
) -> (Vec<Entry>, BTreeMap<AccountId, i64>) {
    let mut entries = Vec::with_capacity(events.len() * 3);
    for event in events {
        for account in &event.accounts {
            let sequence = last.entry(*account).or_insert(0);
            *sequence += 1;
            entries.push(Entry {
                account: *account,
                sequence: *sequence,
                topic: event.topic,
                shard: event.shard,
                place: event.place,
            });
        }
    }
    entries.sort_unstable();
    (entries, last)
}

/// The thin data that Moov's webhooks carry: ids and status, as far as the event holds them.
pub fn thin(event: &str, mut data: Value) -> Value {
    let Some(fields) = data.as_object_mut() else { return data };
    if event == "transfer.created" {
        let account = fields.get("facilitatorID").cloned();
        let transfer = fields.get("transferID").cloned();
        return json!({ "accountID": account, "transferID": transfer, "status": "created" });
    }
    if let Some(facilitator) = fields.remove("facilitatorID") {
        fields.entry("accountID").or_insert(facilitator);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(byte: u8) -> AccountId {
        AccountId(Uuid::from_bytes([byte; 16]))
    }

    #[test]
    fn numbers_go_on_for_each_account_without_a_gap() {
        let seen = |accounts: &[u8], place| Seen {
            accounts: accounts.iter().map(|byte| account(*byte)).collect(),
            topic: "transfers",
            shard: 0,
            place,
        };
        let last = BTreeMap::from([(account(1), 7)]);
        let (entries, last) = number(&[seen(&[1, 2], 10), seen(&[2], 11), seen(&[1], 12)], last);
        let rows: Vec<_> =
            entries.iter().map(|e| (e.account.as_bytes()[0], e.sequence, e.place)).collect();
        assert_eq!(rows, [(1, 8, 10), (1, 9, 12), (2, 1, 10), (2, 2, 11)]);
        assert_eq!(last, BTreeMap::from([(account(1), 9), (account(2), 2)]));
    }
}
