//! Recorded exchanges: what a timeline is made of, and how a service is asked for its part.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, ids::TransferId};

/// What kind of exchange it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeKind {
    /// A synchronous question.
    Request,
    /// Its answer.
    Response,
    /// A durable commit.
    Commit,
    /// An event on its way from emitter to consumer.
    Event,
    /// A message to or from the outside.
    Rail,
}

/// One exchange between two parties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// From 1, in the order of the timeline.
    pub number: u32,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<u64>,
    pub from: String,
    pub to: String,
    pub kind: ExchangeKind,
    /// `POST /accounts/{accountID}/transfers`, `transfer.created`, `pacs.008`
    pub name: String,
    /// The sender waits for the other side.
    pub synchronous: bool,
    /// `ledger/0`, for an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The number of the exchange that brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// The sequence diagram of one transfer, as data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    pub status: String,
    /// False where a service did not answer: its part is missing.
    pub complete: bool,
    pub exchanges: Vec<Exchange>,
}

/// An event in a stream: emitting service, shard, and its place there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct EventPlace {
    pub shard: u32,
    /// The engine's own address of the row.
    pub place: i64,
}

/// `GET /internal/{service}/exchanges?transfer=`: a service's own part of a timeline. Every service
/// answers it; the runtime does so for events, a rail adds its messages.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExchangesQuery {
    pub transfer: TransferId,
    /// Events of the transfer that the asker knows: `topic:shard:place`, commas between.
    pub events: String,
}

/// A service's part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchanges {
    pub exchanges: Vec<Exchange>,
}
