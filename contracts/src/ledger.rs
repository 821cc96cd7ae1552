//! What ledger answers and emits: wallets, balances, the journal, holds and postings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Amount, Body, Currency, NoBody, NoPath, NoQuery, Refusal, Timestamp,
    accounts::{AccountPath, Paging},
    endpoint,
    endpoint::json,
    event,
    ids::{AccountId, PaymentMethodId, TransferId, WalletId},
    rails::{Direction, Purpose, Rail},
};

/// An amount with its decimal text, as Moov shows a balance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    pub currency: Currency,
    /// Minor units; may be negative after a forced entry.
    pub value: i64,
    /// `12.04`
    pub value_decimal: String,
}

impl From<Amount> for Balance {
    fn from(amount: Amount) -> Self {
        let text = amount.to_string();
        let decimal = text.split(' ').next().unwrap_or_default().to_owned();
        Self { currency: amount.currency, value: amount.value, value_decimal: decimal }
    }
}

/// A wallet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wallet {
    #[serde(rename = "walletID")]
    pub wallet_id: WalletId,
    #[serde(rename = "partnerAccountID")]
    pub partner_account_id: AccountId,
    pub name: String,
    /// `active`
    pub status: String,
    /// `default` or `general`
    pub wallet_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Posted credits less posted and pending debits.
    pub available_balance: Balance,
    pub created_on: Timestamp,
}

/// Body of [`CreateWallet`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWalletRequest {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}
impl Body for CreateWalletRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

/// A path that names a wallet.
#[derive(Clone, Serialize, Deserialize)]
pub struct WalletPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "walletID")]
    pub wallet: WalletId,
}

/// One movement of a wallet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletTransaction {
    /// The posting's key as text.
    #[serde(rename = "transactionID")]
    pub transaction_id: String,
    #[serde(rename = "walletID")]
    pub wallet_id: WalletId,
    /// `wallet-transfer`, `payout`, `top-up`, `adjustment`, ...
    pub transaction_type: String,
    /// `transfer` or `adjustment`
    pub source_type: String,
    #[serde(rename = "sourceID")]
    pub source_id: uuid::Uuid,
    /// `pending`, `completed`, `canceled` or `failed`
    pub status: String,
    pub currency: Currency,
    /// Minor units, negative where money left the wallet.
    pub gross_amount: i64,
    pub fee: i64,
    pub net_amount: i64,
    /// The wallet's available balance after this movement, minor units.
    pub available_balance: i64,
    pub created_on: Timestamp,
}

/// Body of [`FundWallet`] (sandbox only).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FundWalletRequest {
    #[serde(rename = "walletID")]
    pub wallet_id: WalletId,
    pub amount: Amount,
}
impl Body for FundWalletRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

/// A ledger account with its counters, each of which only grows: what is pending now is pending
/// less released.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerAccount {
    /// `wallet:<id>`, `rtp:out`, `rtp:settlement`, `adjustments`, `xout:3`, ...
    pub name: String,
    pub shard: u32,
    pub currency: Currency,
    pub debits_posted: i64,
    pub credits_posted: i64,
    /// All that was ever held.
    pub debits_pending: i64,
    pub credits_pending: i64,
    /// All that was held and is resolved, posted or voided.
    #[serde(default)]
    pub debits_released: i64,
    #[serde(default)]
    pub credits_released: i64,
}

/// Query of [`ListLedgerAccounts`] and of balances.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct AsOf {
    /// Balances as of this moment; now where absent.
    pub at: Option<Timestamp>,
    /// Only this account, by name.
    pub name: Option<String>,
}

/// Query of [`GetJournal`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct JournalQuery {
    /// Postings after this key, in key order.
    pub after: Option<i64>,
    /// At most 1,000, 200 where absent.
    pub count: Option<u32>,
    /// Only those of this transfer.
    #[serde(rename = "transferID")]
    pub transfer: Option<TransferId>,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Posting {
    /// (transfer, leg, step, line), packed; ascending with time.
    pub key: i64,
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    pub leg: u8,
    /// `hold`, `post`, `void`, `settle`, `fee`, `forced`, `give-back` or `hop`
    pub step: String,
    pub line: u8,
    pub account: String,
    /// `debit` or `credit`
    pub side: String,
    /// Minor units, positive.
    pub amount: i64,
    pub currency: Currency,
    pub at: Timestamp,
}

/// The head of a shard's hash chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainHead {
    pub shard: u32,
    /// How many batches are sealed.
    pub sequence: i64,
    /// BLAKE3 of the previous hash, shard, sequence, time and the batch's postings, hex.
    pub hash: String,
}

endpoint!(
    /// The wallets of an account.
    ListWallets, "ledger", Get "/accounts/{accountID}/wallets", Access::Account("wallets.read"),
    (AccountPath, Paging, NoBody) -> Vec<Wallet>);
endpoint!(
    /// Makes a general wallet; an account has at most ten.
    CreateWallet, "ledger", Post "/accounts/{accountID}/wallets", Access::Account("wallets.write"),
    (AccountPath, NoQuery, CreateWalletRequest) -> Wallet);
endpoint!(
    /// One wallet with its balance.
    GetWallet, "ledger", Get "/accounts/{accountID}/wallets/{walletID}",
    Access::Account("wallets.read"), (WalletPath, NoQuery, NoBody) -> Wallet);
endpoint!(
    /// A wallet's movements, newest first.
    ListWalletTransactions, "ledger", Get "/accounts/{accountID}/wallets/{walletID}/transactions",
    Access::Account("wallets.read"), (WalletPath, Paging, NoBody) -> Vec<WalletTransaction>);
endpoint!(
    /// Puts money of nowhere into a wallet; exists with `--sandbox` only.
    FundWallet, "ledger", Post "/sandbox/fund", Access::Operator,
    (NoPath, NoQuery, FundWalletRequest) -> Wallet);
endpoint!(
    /// All ledger accounts, or their balances as of a moment.
    ListLedgerAccounts, "ledger", Get "/ledger/accounts", Access::Operator,
    (NoPath, AsOf, NoBody) -> Vec<LedgerAccount>);
endpoint!(
    /// The journal in key order.
    GetJournal, "ledger", Get "/ledger/journal", Access::Operator,
    (NoPath, JournalQuery, NoBody) -> Vec<Posting>);
endpoint!(
    /// The heads of the hash chains, a shard each.
    GetProof, "ledger", Get "/ledger/proof", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Vec<ChainHead>);

/// A wallet was made.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct WalletCreated {
    #[n(0)]
    #[serde(rename = "walletID")]
    pub wallet_id: WalletId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[n(2)]
    pub currency: Currency,
}
event!(WalletCreated, "wallet.created", kind 30, version 1, by ["ledger"]);

/// The money of a leg is held; its rail may send it.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct LedgerReserved {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    pub leg: u8,
    /// The rail that is to move it; the ledger hands it on unread.
    #[n(2)]
    pub rail: Rail,
    #[n(3)]
    pub amount: Amount,
    /// The outside payment method and the version frozen in the transfer.
    #[n(4)]
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    #[n(5)]
    pub version: i64,
    /// The account that pays.
    #[n(6)]
    #[serde(rename = "sourceAccountID")]
    pub source_account_id: AccountId,
    /// Which way the money goes.
    #[n(7)]
    #[cbor(default)]
    #[serde(default)]
    pub direction: Direction,
    /// The account that is paid, where it is known.
    #[n(8)]
    #[serde(rename = "destinationAccountID", default, skip_serializing_if = "Option::is_none")]
    pub destination_account_id: Option<AccountId>,
    /// The transfer's.
    #[n(9)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
}
event!(LedgerReserved, "ledger.reserved", kind 31, version 1, by ["ledger"]);

/// The ledger held nothing: the transfer fails.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRefused {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    pub leg: u8,
    #[n(2)]
    pub reason: RefusedReason,
}
event!(LedgerRefused, "ledger.refused", kind 32, version 1, by ["ledger"]);

/// Why the ledger refused.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum RefusedReason {
    /// The available balance is below the amount.
    #[n(0)]
    InsufficientFunds,
    /// No such wallet, or one of another currency.
    #[n(1)]
    NoSuchWallet,
    /// A balance would leave the range of 64 bits.
    #[n(2)]
    Overflow,
    /// The transfer was cancelled before its money was held.
    #[n(3)]
    Canceled,
}

/// How a leg ended in the books.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum PostedState {
    /// The money moved.
    #[n(0)]
    Posted,
    /// The hold was released.
    #[n(1)]
    Voided,
    /// The money moved and was given back by a forced entry.
    #[n(2)]
    Reversed,
}

/// Why the first of two legs was given back.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Undone {
    /// The second was refused.
    #[n(0)]
    Refused,
    /// The second was cancelled, or never began.
    #[n(1)]
    Canceled,
    /// The second was paid and came back.
    #[n(2)]
    Returned,
}

/// A leg is final in the books.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct LedgerPosted {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    pub leg: u8,
    #[n(2)]
    pub state: PostedState,
    /// Where this leg gave the first one back: why.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
}
event!(LedgerPosted, "ledger.posted", kind 33, version 1, by ["ledger"]);

/// One hop of a posting between two shards (never of a rail's money).
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct LedgerHop {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    pub source: WalletId,
    #[n(2)]
    pub destination: WalletId,
    #[n(3)]
    pub amount: Amount,
    #[n(4)]
    pub step: HopStep,
    /// Why the other shard refused it.
    #[n(5)]
    pub reason: Option<RefusedReason>,
}
event!(LedgerHop, "ledger.hop", kind 34, version 1, by ["ledger"]);

/// Which hop an event asks for.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum HopStep {
    /// To the destination's shard: debit `xin`, credit the wallet.
    #[n(0)]
    Credit,
    /// Back to the source's shard: it was credited.
    #[n(1)]
    Credited,
    /// Back to the source's shard: it was refused, give it back.
    #[n(2)]
    Refused,
}
