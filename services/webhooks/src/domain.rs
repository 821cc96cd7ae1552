//! Who may see a public event, how feeds are numbered, and what an event says there.

mod gather;

use std::collections::BTreeMap;

use contracts::{
    Event,
    accounts::{AccountCreated, CapabilityUpdated},
    exchanges::EventPlace,
    ids::AccountId,
    ledger::WalletCreated,
    payment_methods::{
        BankAccountCreated, BankAccountUpdated, PaymentMethodDisabled, PaymentMethodEnabled,
    },
    transfers::{TransferCreated, TransferUpdated},
};
use runtime::{OneOf, Together};
use serde_json::{Value, json};
use uuid::Uuid;

pub use gather::{Entry, GATHER, Gathered, Gathering, Taken};

/// The feed of everything, for operators; no account has this id.
pub const EVERYTHING: AccountId = AccountId(Uuid::nil());
/// Events in one row of a feed at most: about 2 KB.
pub const RUN_MOST: usize = 256;

/// A public event: its topic, and the accounts in whose feeds it stands.
pub struct Public {
    pub topic: &'static str,
    /// One to three, and that of [`EVERYTHING`]; repeats are left out.
    accounts: [Option<AccountId>; 4],
}

impl Public {
    fn new<E: Event>(accounts: &[AccountId]) -> Self {
        let topic = E::EMITTERS.first().expect("public events have one emitter");
        let mut all = [Some(EVERYTHING), None, None, None];
        for (at, account) in accounts.iter().enumerate() {
            all[at + 1] = Some(*account).filter(|account| !accounts[..at].contains(account));
        }
        Self { topic, accounts: all }
    }
    /// The accounts, each once.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.accounts.iter().copied().flatten()
    }
}

macro_rules! public {
    ($($event:ty: |$it:ident| [$($account:expr),+];)+) => {
        impl Together for Public {
            const KINDS: &'static [OneOf<Self>] = &[$(OneOf::of::<$event>()),+];
        }
        $(impl From<$event> for Public {
            fn from($it: $event) -> Self {
                Self::new::<$event>(&[$($account),+])
            }
        })+
    };
}
public! {
    AccountCreated: |it| [it.account_id, it.facilitator_id];
    CapabilityUpdated: |it| [it.account_id];
    WalletCreated: |it| [it.account_id];
    BankAccountCreated: |it| [it.account_id];
    BankAccountUpdated: |it| [it.account_id];
    PaymentMethodEnabled: |it| [it.account_id];
    PaymentMethodDisabled: |it| [it.account_id];
    TransferCreated: |it| [it.facilitator_id, it.source.account_id(), it.destination.account_id()];
    TransferUpdated: |it| [it.facilitator_id, it.source_account_id, it.destination_account_id];
}

/// Events that follow one another in one feed, as one row: sorted by account they share pages, and
/// a busy feed needs few rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub account: AccountId,
    /// The number of the last; 1, 2, 3, ... for each account.
    pub last: i64,
    pub topic: &'static str,
    pub places: Vec<EventPlace>,
}

/// Numbers what was gathered: each account's events go on from its last number. Sorted by account.
pub fn number(gathered: &Gathered, last: &BTreeMap<AccountId, i64>) -> Vec<Run> {
    let mut runs = Vec::with_capacity(gathered.len());
    for (account, entries) in gathered {
        let mut number = last.get(account).copied().unwrap_or(0);
        for of_topic in entries.chunk_by(|a, b| a.topic == b.topic) {
            for entries in of_topic.chunks(RUN_MOST) {
                number += i64::try_from(entries.len()).expect("a run is short");
                let places = entries.iter().map(|entry| entry.at).collect();
                runs.push(Run { account: *account, last: number, topic: entries[0].topic, places });
            }
        }
    }
    runs
}

/// The public name of an event and the thin data that Moov's webhooks carry: ids and status, as far
/// as the event holds them. The transfer of a refund is told of as the refund that it is.
pub fn thin(event: &'static str, mut data: Value) -> (&'static str, Value) {
    let Some(fields) = data.as_object_mut() else { return (event, data) };
    if let Some(original) = fields.remove("refundOf") {
        let created = event == "transfer.created";
        let status = fields.get("status").cloned().unwrap_or_else(|| json!("created"));
        let data = json!({
            "accountID": fields.get("facilitatorID"),
            "transferID": original,
            "refundID": fields.get("transferID"),
            "status": status,
        });
        return (if created { "refund.created" } else { "refund.updated" }, data);
    }
    if event == "transfer.created" {
        let account = fields.get("facilitatorID").cloned();
        let transfer = fields.get("transferID").cloned();
        let data = json!({ "accountID": account, "transferID": transfer, "status": "created" });
        return (event, data);
    }
    if let Some(facilitator) = fields.remove("facilitatorID") {
        fields.entry("accountID").or_insert(facilitator);
    }
    (event, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(byte: u8) -> AccountId {
        AccountId(Uuid::from_bytes([byte; 16]))
    }

    fn entries(topic: &'static str, from: i64, to: i64) -> Vec<Entry> {
        (from..=to).map(|place| Entry { topic, at: EventPlace { shard: 0, place } }).collect()
    }

    #[test]
    fn numbers_go_on_for_each_account_without_a_gap() {
        let last = BTreeMap::from([(account(1), 7)]);
        let mixed = [entries("transfers", 10, 11), entries("ledger", 1, 1)].concat();
        let gathered =
            Gathered::from([(account(1), mixed), (account(2), entries("transfers", 1, 300))]);
        let runs = number(&gathered, &last);
        let seen: Vec<_> = runs
            .iter()
            .map(|run| (run.account.as_bytes()[0], run.last, run.topic, run.places.len()))
            .collect();
        let expected = [
            (1, 9, "transfers", 2),
            (1, 10, "ledger", 1),
            (2, 256, "transfers", 256),
            (2, 300, "transfers", 44),
        ];
        assert_eq!(seen, expected);
        assert_eq!(runs[3].places[0].place, 257);
    }

    #[test]
    fn an_event_stands_once_in_each_feed() {
        let public = Public::new::<TransferUpdated>(&[account(1), account(2), account(1)]);
        let accounts: Vec<_> = public.accounts().collect();
        assert_eq!(accounts, [EVERYTHING, account(1), account(2)]);
        assert_eq!(public.topic, "transfers");
    }
}
