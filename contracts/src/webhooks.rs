//! What webhooks answers: the public event feed.

use serde::{Deserialize, Serialize};

use crate::{
    Access, NoBody, NoPath, Timestamp, endpoint,
    ids::{EventId, TransferId},
};

/// Query of [`ListEvents`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct EventsQuery {
    /// The `next` of an earlier answer; from the beginning where absent.
    pub after: Option<String>,
    /// At most 1,000, 200 where absent.
    pub count: Option<u32>,
}

/// A page of the feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventPage {
    pub events: Vec<FeedEvent>,
    /// Where to go on; the same as asked where nothing is new.
    pub next: String,
}

/// One public event, with Moov's type names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedEvent {
    #[serde(rename = "eventID")]
    pub event_id: EventId,
    /// `transfer.created`, `transfer.updated`, `wallet.created`, ...
    #[serde(rename = "type")]
    pub kind: String,
    pub created_on: Timestamp,
    #[serde(rename = "transferID", default, skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<TransferId>,
    /// 1, 2, 3, ... without a gap for each account.
    pub sequence: i64,
    pub data: serde_json::Value,
}

endpoint!(
    /// The caller's events in order, without a gap; an operator's key sees all.
    ListEvents, "webhooks", Get "/events", Access::Key, (NoPath, EventsQuery, NoBody) -> EventPage);
