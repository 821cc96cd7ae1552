//! What the card rail answers: why an instruction waits, and what is for a person.

use serde::{Deserialize, Serialize};

use super::WaitingQuery;
use crate::{Access, NoBody, NoPath, NoQuery, Timestamp, endpoint, transfers::Waiting};

/// A line of a settlement file that fits nothing of ours, a payment of ours that no file has, or a
/// message that answers nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardException {
    pub at: Timestamp,
    /// The settlement file, or the message.
    pub about: String,
    /// What it names: transfer and leg as field 63 has them.
    pub reference: String,
    /// Field 39 of a message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Minor units; of a line of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    pub why: String,
}

endpoint!(
    /// Why a transfer's card instruction waits; 404 where it does not (any more).
    GetCardWaiting, "card", Get "/internal/card/waiting", Access::Internal,
    (NoPath, WaitingQuery, NoBody) -> Waiting);
endpoint!(
    /// What of the host's settlement files and messages fits nothing, the newest first.
    ListCardExceptions, "card", Get "/operations/card/exceptions", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Vec<CardException>);
