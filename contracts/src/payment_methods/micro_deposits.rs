//! Micro-deposits: from the service that knows bank accounts to the one that moves money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Amount, event,
    ids::{AccountId, BankAccountId, PaymentMethodId, TransferId, WalletId},
};

/// A bank account is to get micro-deposits.
///
/// The amounts are the secret that its holder proves to have read, and who moves the money has to
/// know them. So this event is in no feed and in no transfer's events, and both sides of the
/// transfers stand under the platform that pays: it sees them, the bank account's holder does not.
/// No `Debug`, as for all that holds them.
#[derive(
    Clone, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct MicroDepositsInitiated {
    #[n(0)]
    #[serde(rename = "bankAccountID")]
    pub bank_account_id: BankAccountId,
    /// The platform, which pays, and its wallet.
    #[n(1)]
    #[serde(rename = "facilitatorID")]
    pub facilitator_id: AccountId,
    #[n(2)]
    #[serde(rename = "walletID")]
    pub wallet_id: WalletId,
    #[n(3)]
    #[serde(rename = "walletMethodID")]
    pub wallet_method_id: PaymentMethodId,
    /// The bank account's method and the version that is frozen.
    #[n(4)]
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    #[n(5)]
    pub version: i64,
    #[n(6)]
    pub payment_method_type: String,
    #[n(7)]
    pub deposits: Vec<MicroDeposit>,
}
event!(MicroDepositsInitiated, "microDeposits.initiated", kind 16, version 1, by ["payment-methods"]);

/// One of them. Its transfer has its id from here, so that a repeated event makes none anew.
#[derive(
    Clone, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct MicroDeposit {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    #[n(1)]
    pub amount: Amount,
}
