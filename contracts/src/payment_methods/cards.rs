//! Cards: how they are linked and changed, and how they are shown, with Moov's names.

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    ids::{AccountId, CardId},
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
    pub updated_on: Timestamp,
}
