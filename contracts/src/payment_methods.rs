//! What payment-methods answers and emits: bank accounts, payment methods, the look-up of step 2.

mod cards;
mod corrections;
mod micro_deposits;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::{
    Access, Body, Currency, NoBody, NoQuery, Refusal, Timestamp,
    accounts::AccountPath,
    endpoint,
    endpoint::json,
    event,
    ids::{AccountId, BankAccountId, CardId, PaymentMethodId, WalletId},
    rails::Rail,
};

pub use cards::{
    BasicPaymentMethod, Card, CardAddress, CardCreated, CardPath, CardUpdated, CardVerification,
    DisableCard, Expiration, GetCard, LinkCard, LinkCardRequest, ListCards, UpdateCard,
    UpdateCardRequest,
};
pub use corrections::{CorrectBankAccount, CorrectBankAccountRequest, Corrected};
pub use micro_deposits::{MicroDeposit, MicroDepositsInitiated};

/// Body of [`LinkBankAccount`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkBankAccountRequest {
    pub account: BankAccountDetails,
}

/// A bank account as its holder states it. No `Debug`: it holds an account number.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BankAccountDetails {
    pub holder_name: String,
    /// `individual` or `business`.
    pub holder_type: String,
    /// Nine digits with a right check digit (ABA 3-7-1).
    pub routing_number: String,
    /// 4 to 17 digits.
    pub account_number: String,
    /// `checking`, `savings`, `general-ledger` or `loan`.
    pub bank_account_type: String,
}
impl Body for LinkBankAccountRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes).map_err(without_values)
    }
}

/// What a parser says of a wrong field repeats what was sent, and that may be an account number:
/// only the field's name and a rule of our own are left.
fn without_values(mut refusal: Refusal) -> Refusal {
    const FIELDS: [&str; 5] =
        ["holderName", "holderType", "routingNumber", "accountNumber", "bankAccountType"];
    if refusal.fields.is_empty() {
        return refusal;
    }
    let rule = "is missing, unknown, or not of the kind that this field takes";
    let named = |text: &str| FIELDS.into_iter().find(|field| text.contains(field));
    let fields = std::mem::take(&mut refusal.fields);
    for (path, said) in fields {
        // `missing field` names ours, `unknown field` names the sender's: only the first may pass.
        let missing = said.strip_prefix("missing field").and_then(named);
        let key = match path.strip_prefix("account.").and_then(named).or(missing) {
            Some(field) => format!("account.{field}"),
            None => "account".to_owned(),
        };
        refusal.fields.insert(key, rule.to_owned());
    }
    refusal.detail = rule.to_owned();
    refusal
}

/// A linked bank account, its number masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BankAccount {
    #[serde(rename = "bankAccountID")]
    pub bank_account_id: BankAccountId,
    /// A keyed hash of routing and account number: equal for equal accounts.
    pub fingerprint: String,
    /// `new`, `pending`, `verified`, `verificationFailed` or `errored`.
    pub status: String,
    pub holder_name: String,
    pub holder_type: String,
    pub bank_name: String,
    pub bank_account_type: String,
    pub routing_number: String,
    pub last_four_account_number: String,
    pub updated_on: Timestamp,
    /// Why it has its status, in Moov's words; absent where it has had it since before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// What a rail said of it, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_details: Option<BankAccountException>,
}

/// A rail's word that took a bank account out of use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BankAccountException {
    /// `R02`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ach_return_code: Option<String>,
    /// `AC04`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtp_rejection_code: Option<String>,
    pub description: String,
}

/// A path that names a bank account.
#[derive(Clone, Serialize, Deserialize)]
pub struct BankAccountPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "bankAccountID")]
    pub bank_account: BankAccountId,
}

/// Body of [`CompleteMicroDeposits`]: the two amounts seen, in minor units.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompleteMicroDepositsBody {
    pub amounts: [i64; 2],
}
impl Body for CompleteMicroDepositsBody {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

/// Answer of [`CompleteMicroDeposits`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompletedMicroDeposits {
    /// `verified`
    pub status: String,
}

/// An empty JSON object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nothing {}

/// A wallet inside a payment method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodWallet {
    #[serde(rename = "walletID")]
    pub wallet_id: WalletId,
}

/// A way to pay from or to a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethod {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    /// `moov-wallet`, `rtp-credit`, ...
    pub payment_method_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<MethodWallet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_account: Option<BankAccount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
}

/// Filters of [`ListPaymentMethods`].
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethodQuery {
    /// The wallet's, bank account's or card's id.
    #[serde(rename = "sourceID")]
    pub source_id: Option<uuid::Uuid>,
    pub payment_method_type: Option<String>,
}

/// A path that names a payment method.
#[derive(Clone, Serialize, Deserialize)]
pub struct PaymentMethodPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "paymentMethodID")]
    pub method: PaymentMethodId,
}

/// Query of [`ResolvePaymentMethods`].
#[derive(Clone, Serialize, Deserialize)]
pub struct ResolveQuery {
    /// One or two ids with a comma between; up to 100 for those who show transfers.
    pub ids: String,
    /// With the (masked) bank accounts and cards behind them; left out on the way of a write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<bool>,
}

/// Answer of [`ResolvePaymentMethods`]: those that exist, in the order asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolved {
    pub methods: Vec<ResolvedMethod>,
}

/// One payment method as it is now; a transfer freezes id and version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedMethod {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    /// Raised by each change. Disabling revokes all versions, which `Reveal` then refuses; a
    /// correction revokes none, and every version opens what is right now.
    pub version: i64,
    pub payment_method_type: String,
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// False once disabled: no new transfer may use it.
    pub enabled: bool,
    /// The rail behind it; none for a wallet.
    pub rail: Option<Rail>,
    /// The wallet behind it; none for a rail.
    #[serde(rename = "walletID")]
    pub wallet_id: Option<WalletId>,
    /// The bank account behind it.
    #[serde(rename = "bankAccountID")]
    pub bank_account_id: Option<BankAccountId>,
    /// The card behind it.
    #[serde(rename = "cardID", default)]
    pub card_id: Option<CardId>,
    pub currency: Currency,
    /// That bank account itself, where `details` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_account: Option<BankAccount>,
    /// That card itself, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
}

/// Query of [`Reveal`].
#[derive(Clone, Serialize, Deserialize)]
pub struct RevealQuery {
    /// Up to 256 `paymentMethodID:version`, with commas between.
    pub methods: String,
    /// Also revoked versions: what was sent under one is taken back under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<bool>,
}

/// Answer of [`Reveal`], in the order asked. No `Debug`: it holds account and card numbers.
#[derive(Clone, Serialize, Deserialize)]
pub struct Revealed {
    pub methods: Vec<RevealedMethod>,
}

/// One opened payment method, or why it may not be used: where it is revoked, every text is empty.
/// Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevealedMethod {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    pub version: i64,
    /// The version was revoked or never was: the leg fails before a byte is sent.
    pub revoked: bool,
    /// Moov's name, `ach-credit-standard`: it says which way the money goes, and how fast.
    #[serde(default)]
    pub payment_method_type: String,
    pub holder_name: String,
    /// `individual` or `business`; empty where there is no bank account.
    #[serde(default)]
    pub holder_type: String,
    /// Nine digits; empty where there is no bank account, as are the next two.
    pub routing_number: String,
    pub account_number: String,
    /// `checking`, `savings`, `general-ledger` or `loan`.
    #[serde(default)]
    pub bank_account_type: String,
    /// The card, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<RevealedCard>,
}
impl Drop for RevealedMethod {
    fn drop(&mut self) {
        self.account_number.zeroize();
    }
}

/// An opened card. No `Debug`; wiped when dropped. There is no CVV: none was ever kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevealedCard {
    /// 12 to 19 digits, the last a check digit (ISO/IEC 7812-1).
    pub number: String,
    /// `01` to `12`.
    pub expiration_month: String,
    /// Its last two digits, as field 14 of ISO 8583 takes them.
    pub expiration_year: String,
}
impl Drop for RevealedCard {
    fn drop(&mut self) {
        self.number.zeroize();
    }
}

endpoint!(
    /// Links a bank account; its payment methods appear in the same commit.
    LinkBankAccount, "payment-methods", Post "/accounts/{accountID}/bank-accounts",
    Access::Account("bank-accounts.write"),
    (AccountPath, NoQuery, LinkBankAccountRequest) -> BankAccount);
endpoint!(
    /// All bank accounts of an account that were not disabled.
    ListBankAccounts, "payment-methods", Get "/accounts/{accountID}/bank-accounts",
    Access::Account("bank-accounts.read"),
    (AccountPath, NoQuery, NoBody) -> Vec<BankAccount>);
endpoint!(
    /// One bank account.
    GetBankAccount, "payment-methods", Get "/accounts/{accountID}/bank-accounts/{bankAccountID}",
    Access::Account("bank-accounts.read"),
    (BankAccountPath, NoQuery, NoBody) -> BankAccount);
endpoint!(
    /// Disables a bank account and its payment methods: versions in use are revoked.
    DisableBankAccount, "payment-methods",
    Delete "/accounts/{accountID}/bank-accounts/{bankAccountID}",
    Access::Account("bank-accounts.write"),
    (BankAccountPath, NoQuery, NoBody) -> Nothing);
endpoint!(
    /// Starts micro-deposits: two credits of 1 to 25 cents by ACH (in the sandbox 0 and 0, which is
    /// no credit). 204, as Moov's SDKs take it.
    InitiateMicroDeposits, "payment-methods",
    Post "/accounts/{accountID}/bank-accounts/{bankAccountID}/micro-deposits",
    Access::Account("bank-accounts.write"),
    (BankAccountPath, NoQuery, NoBody) -> Nothing);
endpoint!(
    /// Verifies a bank account by the two amounts, in any order: 409 where they are others, or the
    /// account is in no state to be verified. There are five tries in 14 days.
    CompleteMicroDeposits, "payment-methods",
    Put "/accounts/{accountID}/bank-accounts/{bankAccountID}/micro-deposits",
    Access::Account("bank-accounts.write"),
    (BankAccountPath, NoQuery, CompleteMicroDepositsBody) -> CompletedMicroDeposits);
endpoint!(
    /// All payment methods of an account that are enabled.
    ListPaymentMethods, "payment-methods", Get "/accounts/{accountID}/payment-methods",
    Access::Account("payment-methods.read"),
    (AccountPath, PaymentMethodQuery, NoBody) -> Vec<PaymentMethod>);
endpoint!(
    /// One payment method.
    GetPaymentMethod, "payment-methods",
    Get "/accounts/{accountID}/payment-methods/{paymentMethodID}",
    Access::Account("payment-methods.read"),
    (PaymentMethodPath, NoQuery, NoBody) -> PaymentMethod);
endpoint!(
    /// Step 2 of the road: source and destination in one synchronous GET. One call for both, so
    /// that a write makes one hop; the answer is frozen in the transfer with its version.
    ResolvePaymentMethods, "payment-methods", Get "/internal/payment-methods", Access::Internal,
    (crate::NoPath, ResolveQuery, NoBody) -> Resolved);
endpoint!(
    /// The opened numbers for a rail that is about to claim. Its body is never recorded.
    Reveal, "payment-methods", Get "/internal/payment-methods/reveal", Access::Internal,
    (crate::NoPath, RevealQuery, NoBody) -> Revealed);

/// A bank account was linked.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct BankAccountCreated {
    #[n(0)]
    #[serde(rename = "bankAccountID")]
    pub bank_account_id: BankAccountId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[n(2)]
    pub status: String,
}
event!(BankAccountCreated, "bankAccount.created", kind 10, version 1, by ["payment-methods"]);

/// A bank account changed its status.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct BankAccountUpdated {
    #[n(0)]
    #[serde(rename = "bankAccountID")]
    pub bank_account_id: BankAccountId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[n(2)]
    pub status: String,
    /// Why, in Moov's words.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
}
event!(BankAccountUpdated, "bankAccount.updated", kind 11, version 1, by ["payment-methods"]);

/// A payment method may be used from now on.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethodEnabled {
    #[n(0)]
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[n(2)]
    pub payment_method_type: String,
}
event!(PaymentMethodEnabled, "paymentMethod.enabled", kind 12, version 1, by ["payment-methods"]);

/// A payment method may no longer be used.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct PaymentMethodDisabled {
    #[n(0)]
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[n(2)]
    pub payment_method_type: String,
}
event!(PaymentMethodDisabled, "paymentMethod.disabled", kind 13, version 1, by ["payment-methods"]);
