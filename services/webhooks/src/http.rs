//! The feed by cursor.

use contracts::{
    Refusal,
    ids::{EventId, derive},
    registry,
    webhooks::{EventPage, FeedEvent, ListEvents},
};
use runtime::{Answer, Answered, Ask, Platform};
use uuid::Uuid;

use crate::{
    Webhooks,
    domain::{EVERYTHING, thin},
    store::{self, Listed},
};

/// Events of a page where the caller names no number, and the most it may name.
const PAGE: usize = 200;
const PAGE_MOST: usize = 1_000;

impl Answer<ListEvents> for Webhooks {
    async fn answer(&self, ask: Ask<ListEvents>) -> Result<Answered<ListEvents>, Refusal> {
        let feed = if ask.caller.operator { EVERYTHING } else { ask.caller.account()? };
        let after = match ask.query.after.as_deref() {
            None | Some("") => 0,
            Some(text) => {
                text.parse::<i64>().ok().filter(|after| *after >= 0).ok_or_else(|| {
                    Refusal::field("after", "must be the `next` of an earlier page")
                })?
            }
        };
        let count = ask.query.count.map_or(PAGE, |count| count as usize).clamp(1, PAGE_MOST);
        let rows = ask.platform.read(move |tx| store::list(tx, feed, after, count)).await?;
        let next = rows.last().map_or(after, |row| row.0);
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            events.push(event(&ask.platform, row).await?);
        }
        Ok(Answered::ok(&EventPage { events, next: next.to_string() }))
    }
}

async fn event(platform: &Platform, row: Listed) -> Result<FeedEvent, Refusal> {
    let (sequence, topic, at) = row;
    let lost = || Refusal::new(contracts::Code::Internal, "an event of the feed is not there");
    let topic = platform.services().iter().find(|name| **name == topic).ok_or_else(lost)?;
    let stored = platform.event(topic, at).await?.ok_or_else(lost)?;
    let entry = registry::by_kind(stored.kind & 0xffff).ok_or_else(lost)?;
    let data = (entry.to_json)(&stored.payload).ok_or_else(lost)?;
    let transfer_id =
        data.get("transferID").and_then(|id| id.as_str()).and_then(|id| id.parse().ok());
    let stream = format!("{topic}/{}", at.shard);
    let id = derive(Uuid::NAMESPACE_URL, &[stream.as_bytes(), &stored.sequence.to_be_bytes()], 0);
    let (name, data) = thin(entry.name, data);
    Ok(FeedEvent {
        event_id: EventId(id),
        kind: name.to_owned(),
        created_on: stored.at,
        transfer_id,
        sequence,
        data,
    })
}
