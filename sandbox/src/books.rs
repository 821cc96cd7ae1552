//! The books' public shape: one line a payment.

use serde::{Deserialize, Serialize};

/// A payment as a counterparty sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// `ach`, `card` or `rtp`.
    pub rail: &'static str,
    /// The platform's transfer, as UUID with hyphens, where the rail carries it.
    #[serde(rename = "transferID", skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<String>,
    /// The rail's own reference: the UETR (without one the message identifier), a card payment's
    /// retrieval reference (field 37), the trace number.
    pub reference: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What became of it.
    pub state: State,
    /// Which way the money goes, seen from the customer's account, where the rail has both ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What kind of payment it is, where the rail has several: `payment`, `pull`, `refund`, `push`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
}

/// Which way the money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the customer: refunds, money pushed to a card.
    Credit,
    /// From the customer: payments, money pulled from a card.
    Debit,
}

/// What became of a payment, by the counterparty's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Taken, not final.
    Pending,
    /// Paid to the payee; final. ACH: taken, and on its way to settle.
    Accepted,
    /// A card payment that is approved and captured, and not settled yet.
    Approved,
    /// A card payment that is settled, which only a reversal undoes; ACH: settled between the banks.
    Settled,
    /// A card payment that was approved and is taken back: nothing is in force; final.
    Reversed,
    /// ACH: given back; nothing is paid.
    Returned,
    /// Refused; nothing was paid; final.
    Rejected,
}
