//! The books' public shape: one line a payment.

use serde::{Deserialize, Serialize};

/// A payment as a counterparty sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// `rtp`.
    pub rail: &'static str,
    /// The platform's transfer, as UUID with hyphens, where the rail carries it.
    #[serde(rename = "transferID", skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<String>,
    /// The rail's own reference: the UETR (without one the message identifier).
    pub reference: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// What became of it.
    pub state: State,
}

/// What became of a payment, by the counterparty's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Taken, not final.
    Pending,
    /// Paid to the payee; final.
    Accepted,
    /// Refused; nothing was paid; final.
    Rejected,
}
