//! Giving money back: refunds, each a transfer of its own the other way, and reversals, which cancel
//! where that is still possible and refund where it is not.

use serde::{Deserialize, Serialize};

use super::{Cancellation, CardDetails, TransferPath};
use crate::{
    Access, Amount, Body, NoBody, NoQuery, Refusal, Timestamp, endpoint,
    endpoint::json,
    ids::{AccountId, TransferId},
};

/// Body of [`CreateRefund`]; it may be absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRefundRequest {
    /// Minor units, above zero; absent, all that is not refunded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
}

impl Body for CreateRefundRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let request: Self = json(bytes)?;
        match request.amount {
            Some(amount) if amount <= 0 => Err(Refusal::field("amount", "must be above zero")),
            _ => Ok(request),
        }
    }
}

/// The short answer to [`CreateRefund`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedRefund {
    #[serde(rename = "refundID")]
    pub refund_id: TransferId,
    pub created_on: Timestamp,
    pub amount: Amount,
}

/// A refund. Its id is that of the transfer that moves its money.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    #[serde(rename = "refundID")]
    pub refund_id: TransferId,
    pub created_on: Timestamp,
    pub updated_on: Timestamp,
    /// `created`, `pending`, `completed` or `failed`
    pub status: String,
    /// Why it failed, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    pub amount: Amount,
    /// Of a refund to a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_details: Option<CardDetails>,
}

/// Answer of [`CreateReversal`]: one of both.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reversal {
    /// It is to be cancelled; whether that came in time, its status says.
    Cancellation(Cancellation),
    /// Its money had moved, or a part was asked for.
    Refund(Refund),
}

/// A path that names a refund.
#[derive(Clone, Serialize, Deserialize)]
pub struct RefundPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "transferID")]
    pub transfer: TransferId,
    #[serde(rename = "refundID")]
    pub refund: TransferId,
}

endpoint!(
    /// Gives a completed transfer's money back, all of it or a part: a transfer of its own from the
    /// wallet that got it to where it came from. All refunds together never exceed the transfer.
    CreateRefund, "transfers", Post "/accounts/{accountID}/transfers/{transferID}/refunds",
    Access::Account("transfers.write"), (TransferPath, NoQuery, CreateRefundRequest) -> CreatedRefund);
endpoint!(
    /// All refunds of a transfer, oldest first.
    ListRefunds, "transfers", Get "/accounts/{accountID}/transfers/{transferID}/refunds",
    Access::Account("transfers.read"), (TransferPath, NoQuery, NoBody) -> Vec<Refund>);
endpoint!(
    /// One refund.
    GetRefund, "transfers", Get "/accounts/{accountID}/transfers/{transferID}/refunds/{refundID}",
    Access::Account("transfers.read"), (RefundPath, NoQuery, NoBody) -> Refund);
endpoint!(
    /// Undoes a transfer: cancels it whole while it has not ended, refunds it, or a part, once it is
    /// completed.
    CreateReversal, "transfers", Post "/accounts/{accountID}/transfers/{transferID}/reversals",
    Access::Account("transfers.write"), (TransferPath, NoQuery, CreateRefundRequest) -> Reversal);
