//! Cards: how they are linked and changed, and how they are shown, with Moov's names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::Nothing;
use crate::{
    Access, Body, NoBody, NoQuery, Refusal,
    accounts::AccountPath,
    endpoint,
    endpoint::json,
    event,
    ids::{AccountId, CardId, PaymentMethodId},
};

/// When a card expires: at the end of this month.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expiration {
    /// `01` to `12`.
    pub month: String,
    /// Two digits of this century, or four where it is sent; shown with two.
    pub year: String,
}

/// Where the card's statements go; what a network verifies is `addressLine1` and `postalCode`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CardAddress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_line1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_line2: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_or_province: Option<String>,
    pub postal_code: String,
    /// Two letters (ISO 3166-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What came of comparing what the holder stated with what the issuer knows: `match`, `noMatch`,
/// `notChecked`, `partialMatch` or `unavailable`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardVerification {
    pub cvv: String,
    pub address_line1: String,
    pub postal_code: String,
}

/// A linked card, its number masked to BIN and last four (PCI DSS 3.4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    #[serde(rename = "cardID")]
    pub card_id: CardId,
    /// A keyed hash of the number: equal for equal cards (PCI DSS 3.5.1.1).
    pub fingerprint: String,
    /// `American Express`, `Discover`, `Mastercard`, `Visa` or `Unknown`.
    pub brand: String,
    /// `debit`, `credit` or `unknown`.
    pub card_type: String,
    pub last_four_card_number: String,
    /// The number's first six digits.
    pub bin: String,
    pub expiration: Expiration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
    pub billing_address: CardAddress,
    pub card_verification: CardVerification,
    /// Whether its holder agreed that it is kept for payments to come.
    pub card_on_file: bool,
    #[serde(rename = "merchantAccountID", default, skip_serializing_if = "Option::is_none")]
    pub merchant_account_id: Option<AccountId>,
    /// Who issued it; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Two letters (ISO 3166-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_country: Option<String>,
    /// `not-supported`, `standard`, `fast-funds` or `unknown`.
    pub domestic_push_to_card: String,
    /// `not-supported`, `supported` or `unknown`.
    pub domestic_pull_from_card: String,
    /// Its payment methods, where `X-Wait-For: payment-method` asked for them when it was linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_methods: Option<Vec<BasicPaymentMethod>>,
}

/// A payment method's id and type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BasicPaymentMethod {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    /// `card-payment`, `push-to-card`, `pull-from-card`.
    pub payment_method_type: String,
}

/// Body of [`LinkCard`]. No `Debug`: it holds a card number and a CVV, both wiped when dropped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkCardRequest {
    /// Digits only, the last a check digit (Luhn), as many as its brand has.
    pub card_number: String,
    /// Three digits, four on American Express. Looked at and forgotten: nothing keeps it (PCI DSS
    /// 3.3.1).
    pub card_cvv: Option<String>,
    pub expiration: Expiration,
    pub holder_name: Option<String>,
    pub billing_address: CardAddress,
    pub card_on_file: Option<bool>,
    #[serde(rename = "merchantAccountID")]
    pub merchant_account_id: Option<AccountId>,
    /// Moov's SDKs send it. There is no directory of names to ask, so it changes nothing.
    pub verify_name: Option<bool>,
}
impl Drop for LinkCardRequest {
    fn drop(&mut self) {
        self.card_number.zeroize();
        self.card_cvv.zeroize();
    }
}
impl Body for LinkCardRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes).map_err(without_values)
    }
}

/// Body of [`UpdateCard`]: what is absent stays. No `Debug`, as it may hold a CVV.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateCardRequest {
    pub expiration: Option<Expiration>,
    /// As in [`LinkCardRequest`].
    pub card_cvv: Option<String>,
    pub holder_name: Option<String>,
    pub billing_address: Option<CardAddress>,
    pub card_on_file: Option<bool>,
    #[serde(rename = "merchantAccountID")]
    pub merchant_account_id: Option<AccountId>,
    /// As in [`LinkCardRequest`].
    pub verify_name: Option<bool>,
}
impl Drop for UpdateCardRequest {
    fn drop(&mut self) {
        self.card_cvv.zeroize();
    }
}
impl Body for UpdateCardRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes).map_err(without_values)
    }
}

/// Every field of the two bodies, by its path.
const FIELDS: [&str; 17] = [
    "cardNumber",
    "cardCvv",
    "expiration",
    "expiration.month",
    "expiration.year",
    "holderName",
    "billingAddress",
    "billingAddress.addressLine1",
    "billingAddress.addressLine2",
    "billingAddress.city",
    "billingAddress.stateOrProvince",
    "billingAddress.postalCode",
    "billingAddress.country",
    "cardOnFile",
    "merchantAccountID",
    "verifyName",
    "error",
];

/// What a parser says of a wrong field repeats what was sent, and that may be a card number: only
/// the paths of our own fields, and a rule of our own, are left.
fn without_values(mut refusal: Refusal) -> Refusal {
    if refusal.fields.is_empty() {
        return refusal;
    }
    let rule = "is missing, unknown, or not of the kind that this field takes";
    let named = |text: &str| FIELDS.into_iter().find(|field| *field == text);
    for (path, said) in std::mem::take(&mut refusal.fields) {
        let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let inside = missing.and_then(|field| named(&format!("{path}.{field}")));
        let above = path.split('.').next().and_then(named);
        let key = inside.or_else(|| named(&path)).or(above).unwrap_or("error");
        refusal.fields.insert(key.to_owned(), rule.to_owned());
    }
    refusal.detail = rule.to_owned();
    refusal
}

/// A path that names a card.
#[derive(Clone, Serialize, Deserialize)]
pub struct CardPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "cardID")]
    pub card: CardId,
}

endpoint!(
    /// Links a card; its payment methods appear in the same commit.
    LinkCard, "payment-methods", Post "/accounts/{accountID}/cards", Access::Account("cards.write"),
    (AccountPath, NoQuery, LinkCardRequest) -> Card);
endpoint!(
    /// All cards of an account that were not disabled.
    ListCards, "payment-methods", Get "/accounts/{accountID}/cards", Access::Account("cards.read"),
    (AccountPath, NoQuery, NoBody) -> Vec<Card>);
endpoint!(
    /// One card.
    GetCard, "payment-methods", Get "/accounts/{accountID}/cards/{cardID}",
    Access::Account("cards.read"), (CardPath, NoQuery, NoBody) -> Card);
endpoint!(
    /// Changes what a holder may change of a card; the number is another card's.
    UpdateCard, "payment-methods", Patch "/accounts/{accountID}/cards/{cardID}",
    Access::Account("cards.write"), (CardPath, NoQuery, UpdateCardRequest) -> Card);
endpoint!(
    /// Disables a card and its payment methods: versions in use are revoked.
    DisableCard, "payment-methods", Delete "/accounts/{accountID}/cards/{cardID}",
    Access::Account("cards.write"), (CardPath, NoQuery, NoBody) -> Nothing);

/// A card was linked.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct CardCreated {
    #[n(0)]
    #[serde(rename = "cardID")]
    pub card_id: CardId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
}
event!(CardCreated, "card.created", kind 14, version 1, by ["payment-methods"]);

/// A card was changed or disabled.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct CardUpdated {
    #[n(0)]
    #[serde(rename = "cardID")]
    pub card_id: CardId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// `updated` or `disabled`.
    #[n(2)]
    pub status: String,
}
event!(CardUpdated, "card.updated", kind 15, version 1, by ["payment-methods"]);
