//! What every service tells an operator: dead letters, health.

use serde::{Deserialize, Serialize};

use crate::{Access, NoBody, NoPath, NoQuery, Timestamp, endpoint};

/// An event that a consumer could not apply, and those parked behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    #[serde(rename = "deadLetterID")]
    pub dead_letter_id: i64,
    /// The consumer that failed.
    pub consumer: String,
    /// `transfers/0`
    pub stream: String,
    pub sequence: i64,
    pub event: String,
    /// The transfer's or other key's row.
    pub key: i64,
    /// `poisoned`, or `parked` behind an earlier one of the same key.
    pub state: String,
    pub error: String,
    pub at: Timestamp,
}

endpoint!(
    /// Events that wait for a person, with the reason.
    ListDeadLetters, "access", Get "/operations/dead-letters", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Vec<DeadLetter>);
