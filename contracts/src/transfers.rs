//! What transfers answers and emits: the public transfers API.

mod details;
mod refunds;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Amount, Body, NoBody, NoQuery, Refusal, Timestamp,
    accounts::AccountPath,
    endpoint,
    endpoint::json,
    event,
    exchanges::Timeline,
    ids::{AccountId, CancellationId, EventId, PaymentMethodId, TransferId, WalletId},
    payment_methods::{BankAccount, Card, MethodWallet},
    rails::{Purpose, Rail},
};

pub use details::{AchCode, AchDetails, CardDetails, InstantBankDetails};
pub use refunds::{
    CreateRefund, CreateRefundRequest, CreateReversal, CreatedRefund, GetRefund, ListRefunds,
    Refund, RefundPath, Reversal,
};

/// Statuses in the order of life (Moov's names).
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum TransferStatus {
    /// Accepted, nothing held yet.
    #[n(0)]
    Created,
    /// A child that waits for its parent.
    #[n(1)]
    Queued,
    /// The money is held, the rail has it or will.
    #[n(2)]
    Pending,
    /// The money moved.
    #[n(3)]
    Completed,
    /// The money did not move; final.
    #[n(4)]
    Failed,
    /// Taken back before it was sent; final.
    #[n(5)]
    Canceled,
    /// The money moved and came back; final.
    #[n(6)]
    Reversed,
}

impl TransferStatus {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Queued,
        Self::Pending,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::Reversed,
    ];
    /// The number stored.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// The status with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Queued => "queued",
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Reversed => "reversed",
        }
    }
}

/// One side of a transfer, as frozen when it was accepted.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Party {
    /// A wallet of ours.
    #[n(0)]
    Wallet {
        #[n(0)]
        #[serde(rename = "accountID")]
        account_id: AccountId,
        #[n(1)]
        #[serde(rename = "walletID")]
        wallet_id: WalletId,
    },
    /// Something outside, reached by a rail.
    #[n(1)]
    External {
        #[n(0)]
        #[serde(rename = "accountID")]
        account_id: AccountId,
        #[n(1)]
        #[serde(rename = "paymentMethodID")]
        payment_method_id: PaymentMethodId,
        #[n(2)]
        version: i64,
        #[n(3)]
        rail: Rail,
    },
}

impl Party {
    /// The account behind this side.
    pub fn account_id(&self) -> AccountId {
        match self {
            Self::Wallet { account_id, .. } | Self::External { account_id, .. } => *account_id,
        }
    }
    /// The wallet, where it is one.
    pub fn wallet_id(&self) -> Option<WalletId> {
        match self {
            Self::Wallet { wallet_id, .. } => Some(*wallet_id),
            Self::External { .. } => None,
        }
    }
    /// The rail, where it is outside.
    pub fn rail(&self) -> Option<Rail> {
        match self {
            Self::Wallet { .. } => None,
            Self::External { rail, .. } => Some(*rail),
        }
    }
}

/// One side of a [`CreateTransferRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyRequest {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
}

/// Body of [`CreateTransfer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateTransferRequest {
    pub source: PartyRequest,
    pub destination: PartyRequest,
    pub amount: Amount,
    /// At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// At most 100 names of 100 characters, values of 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// At most 64 characters.
    #[serde(rename = "foreignID", default, skip_serializing_if = "Option::is_none")]
    pub foreign_id: Option<String>,
}

impl CreateTransferRequest {
    fn check(&self, refusal: &mut Refusal) {
        let mut rule = |field: &str, broken: bool, rule: &str| {
            if broken {
                refusal.fields.insert(field.to_owned(), rule.to_owned());
            }
        };
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        rule("amount", self.amount.value <= 0, "must be above 0, in minor units");
        let same = self.source.payment_method_id == self.destination.payment_method_id;
        rule("destinationPaymentMethodID", same, "must differ from the source");
        let long = |text: &Option<String>, most: usize| {
            text.as_ref().is_some_and(|text| text.chars().count() > most)
        };
        rule("description", long(&self.description, 256), "has at most 256 characters");
        rule("description", has_nul(&self.description), "holds a NUL character");
        rule("foreignID", long(&self.foreign_id, 64), "has at most 64 characters");
        rule("foreignID", has_nul(&self.foreign_id), "holds a NUL character");
        let metadata = self.metadata.as_ref();
        rule("metadata", metadata.is_some_and(|m| m.len() > 100), "has at most 100 names");
        let bad = metadata.is_some_and(|m| {
            m.iter().any(|(name, value)| {
                name.chars().count() > 100
                    || value.chars().count() > 1_000
                    || name.contains('\0')
                    || value.contains('\0')
            })
        });
        rule("metadata", bad, "names have at most 100 characters, values 1,000, none a NUL");
    }
}

impl Body for CreateTransferRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let request: Self = json(bytes).map_err(moov_keys)?;
        let mut refusal = Refusal::field("error", "some fields break their rules");
        refusal.fields.clear();
        request.check(&mut refusal);
        if refusal.fields.is_empty() { Ok(request) } else { Err(refusal) }
    }
}

/// Moov's keys of a 422 for what serde calls by its path.
fn moov_keys(mut refusal: Refusal) -> Refusal {
    let fields = std::mem::take(&mut refusal.fields);
    for (path, rule) in fields {
        let key = match path.split('.').next().unwrap_or_default() {
            "source" if path.contains('.') => "sourcePaymentMethodID",
            "destination" => "destinationPaymentMethodID",
            "value" | "currency" => "amount",
            other => other,
        };
        refusal.fields.insert(key.to_owned(), rule);
    }
    refusal
}

/// Headers that [`CreateTransfer`] reads beside the body: idempotency key and wish to wait.
pub const IDEMPOTENCY_HEADERS: [&str; 2] = ["x-idempotency-key", "idempotency-key"];

/// The short answer to [`CreateTransfer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedTransfer {
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    pub created_on: Timestamp,
}

/// An account, as a transfer shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferAccount {
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    pub display_name: String,
}

/// One side of a transfer in an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferParty {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    pub payment_method_type: String,
    pub account: TransferAccount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<MethodWallet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_account: Option<BankAccount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant_bank_details: Option<InstantBankDetails>,
    /// The same under the name of older SDKs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtp_details: Option<InstantBankDetails>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_details: Option<CardDetails>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ach_details: Option<AchDetails>,
}

/// Why a pending transfer waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// `queued`, `rail-unavailable`, `awaiting-answer`, `awaiting-cutoff`, `awaiting-settlement`
    pub reason: String,
    /// How many are before it on its rail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_on: Option<Timestamp>,
}

/// A transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    pub created_on: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_on: Option<Timestamp>,
    pub status: TransferStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    pub source: TransferParty,
    pub destination: TransferParty,
    pub amount: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    #[serde(rename = "foreignID", default, skip_serializing_if = "Option::is_none")]
    pub foreign_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellations: Vec<Cancellation>,
    /// What its refunds that did not fail take together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded_amount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Refund>,
    /// It is a refund of this transfer.
    #[serde(rename = "refundOf", default, skip_serializing_if = "Option::is_none")]
    pub refund_of: Option<TransferId>,
    /// Set while `pending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Between two outside methods: the source's money is given back, since the destination did not
    /// get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_back: Option<GivenBack>,
    /// An event of this transfer is a dead letter: an operator has to look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_attention: bool,
}

/// How the source's money went back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenBack {
    /// `pending`, `completed`, or `wallet` where its rail did not take it and it is in the wallet of
    /// the source's owner.
    pub status: String,
    /// The reference under which the source's rail knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A request to cancel, and how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    #[serde(rename = "cancellationID")]
    pub cancellation_id: CancellationId,
    /// `pending`, `completed` or `failed`
    pub status: String,
    pub created_on: Timestamp,
}

/// A path that names a transfer.
#[derive(Clone, Serialize, Deserialize)]
pub struct TransferPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "transferID")]
    pub transfer: TransferId,
}

/// A path that names a cancellation.
#[derive(Clone, Serialize, Deserialize)]
pub struct CancellationPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "transferID")]
    pub transfer: TransferId,
    #[serde(rename = "cancellationID")]
    pub cancellation: CancellationId,
}

/// Filters of [`ListTransfers`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ListTransfersQuery {
    /// Only those with one of these accounts on a side, commas between.
    #[serde(rename = "accountIDs")]
    pub account_ids: Option<String>,
    pub status: Option<TransferStatus>,
    /// Inclusive.
    #[serde(rename = "startDateTime")]
    pub start: Option<Timestamp>,
    /// Exclusive.
    #[serde(rename = "endDateTime")]
    pub end: Option<Timestamp>,
    #[serde(rename = "foreignID")]
    pub foreign_id: Option<String>,
    /// Only those that have refunds.
    pub refunded: Option<bool>,
    /// Older than this transfer: a cursor, instead of `skip`.
    pub before: Option<TransferId>,
    pub skip: Option<u32>,
    /// 200 where absent, at most 1,000.
    pub count: Option<u32>,
}

/// Internal events of one transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferEvents {
    pub events: Vec<TransferEvent>,
}

/// One internal event.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransferEvent {
    #[serde(rename = "eventID")]
    pub event_id: EventId,
    /// `ledger.reserved`
    pub name: String,
    /// The emitting service.
    pub from: String,
    /// `ledger/0`
    pub stream: String,
    pub sequence: i64,
    pub at: Timestamp,
    pub data: serde_json::Value,
}

endpoint!(
    /// Steps 1 to 3 of the road: accepts a transfer, durable with its first event before the answer.
    CreateTransfer, "transfers", Post "/accounts/{accountID}/transfers",
    Access::Account("transfers.write"), (AccountPath, NoQuery, CreateTransferRequest) -> CreatedTransfer);
endpoint!(
    /// One transfer.
    GetTransfer, "transfers", Get "/accounts/{accountID}/transfers/{transferID}",
    Access::Account("transfers.read"), (TransferPath, NoQuery, NoBody) -> Transfer);
endpoint!(
    /// The account's transfers, newest first.
    ListTransfers, "transfers", Get "/accounts/{accountID}/transfers",
    Access::Account("transfers.read"), (AccountPath, ListTransfersQuery, NoBody) -> Vec<Transfer>);
endpoint!(
    /// Asks to cancel; wins only while no rail has claimed the money.
    CreateCancellation, "transfers", Post "/accounts/{accountID}/transfers/{transferID}/cancellations",
    Access::Account("transfers.write"), (TransferPath, NoQuery, NoBody) -> Cancellation);
endpoint!(
    /// All cancellations of a transfer.
    ListCancellations, "transfers", Get "/accounts/{accountID}/transfers/{transferID}/cancellations",
    Access::Account("transfers.read"), (TransferPath, NoQuery, NoBody) -> Vec<Cancellation>);
endpoint!(
    /// One cancellation.
    GetCancellation, "transfers",
    Get "/accounts/{accountID}/transfers/{transferID}/cancellations/{cancellationID}",
    Access::Account("transfers.read"), (CancellationPath, NoQuery, NoBody) -> Cancellation);
endpoint!(
    /// The recorded exchanges of a transfer, asked of every service that it met.
    GetTimeline, "transfers", Get "/accounts/{accountID}/transfers/{transferID}/timeline",
    Access::Account("transfers.read"), (TransferPath, NoQuery, NoBody) -> Timeline);
endpoint!(
    /// The internal events of a transfer.
    ListTransferEvents, "transfers", Get "/accounts/{accountID}/transfers/{transferID}/events",
    Access::Account("transfers.read"), (TransferPath, NoQuery, NoBody) -> TransferEvents);

/// The first event of every transfer: what is to move from where to where.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct TransferCreated {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    #[serde(rename = "facilitatorID")]
    pub facilitator_id: AccountId,
    #[n(2)]
    pub source: Party,
    #[n(3)]
    pub destination: Party,
    #[n(4)]
    pub amount: Amount,
    /// The transfer that it refunds.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_of: Option<TransferId>,
    /// Absent for a payment.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
}
event!(TransferCreated, "transfer.created", kind 20, version 1, by ["transfers"]);

/// The public status changed.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct TransferUpdated {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    #[serde(rename = "facilitatorID")]
    pub facilitator_id: AccountId,
    #[n(2)]
    #[serde(rename = "sourceAccountID")]
    pub source_account_id: AccountId,
    #[n(3)]
    #[serde(rename = "destinationAccountID")]
    pub destination_account_id: AccountId,
    #[n(4)]
    pub status: TransferStatus,
    /// The transfer that it refunds.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_of: Option<TransferId>,
}
event!(TransferUpdated, "transfer.updated", kind 21, version 1, by ["transfers"]);

/// Somebody asked to cancel; the rail's claim decides.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct TransferCancelRequested {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    #[serde(rename = "cancellationID")]
    pub cancellation_id: CancellationId,
    /// The rail that decides; none for a transfer between wallets, which the ledger decides.
    #[n(2)]
    pub rail: Option<Rail>,
    /// The rail of the destination, for a transfer whose source is outside too.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_rail: Option<Rail>,
}
event!(TransferCancelRequested, "transfer.cancel_requested", kind 22, version 1, by ["transfers"]);
