//! One transfer: its status, its facts, and the sequence diagram of its recorded exchanges, which
//! goes on by itself where scripts run, and by a reload where they do not.

use std::time::Duration;

use ::http::{HeaderValue, Response, header};
use contracts::{
    exchanges::Timeline,
    transfers::{GetTimeline, GetTransfer, Transfer, TransferParty},
};
use maud::{Markup, PreEscaped, html};
use runtime::{EventReader, EventSender, event_stream};

use super::{NoPage, Page, Visit, ask, frame};
use crate::domain::{Dress, Session, cost, kind, sequence};

/// A browser that is gone is noticed after this long without news.
const SILENT_MOST: Duration = Duration::from_secs(20);

fn path<E: contracts::Endpoint>(session: &Session, id: &str) -> Result<String, NoPage> {
    // What is no id must not become another path.
    let id: contracts::ids::TransferId = id.parse().map_err(|_| NoPage::not_found())?;
    let (account, id) = (session.account.to_string(), id.to_string());
    Ok(ask::path::<E>(&[("{accountID}", &account), ("{transferID}", &id)]))
}

/// The page.
pub async fn show(visit: &Visit, id: &str) -> Result<Page, NoPage> {
    let transfer = ask::get::<GetTransfer>(visit, path::<GetTransfer>(&visit.session, id)?).await?;
    let timeline = ask::get::<GetTimeline>(visit, path::<GetTimeline>(&visit.session, id)?).await?;
    let events = format!("/dashboard/transfers/{}/live", transfer.transfer_id);
    let goes_on = !is_final(&timeline.status);
    let body = html! {
        p { a href="/dashboard/transfers" { "All transfers" } }
        h1 { "Transfer of " (transfer.amount) }
        p class="quiet" id="said" role="status" {}
        @if goes_on {
            noscript { p { "It goes on: reload this page to see how far it is." } }
            div data-live="" data-events=(events) { (live_part(&transfer, &timeline)) }
        } @else {
            div { (live_part(&transfer, &timeline)) }
        }
    };
    Ok(super::html(200, frame::page(Some(&visit.session), "Transfer", &body)))
}

/// The same part of the page again with each change, as server-sent events.
pub async fn live(visit: &Visit, id: &str) -> Result<Page, NoPage> {
    let (one, timelines) =
        (path::<GetTransfer>(&visit.session, id)?, path::<GetTimeline>(&visit.session, id)?);
    let reader = EventReader::new(ask::follow::<GetTimeline>(visit, timelines).await?);
    let (sender, body) = event_stream();
    let again = Visit {
        platform: visit.platform.clone(),
        session: visit.session.clone(),
        query: crate::domain::Form::default(),
        form: crate::domain::Form::default(),
    };
    tokio::spawn(tell(again, one, reader, sender));
    let mut page = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    page.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(page)
}

async fn tell(visit: Visit, path: String, mut reader: EventReader, mut sender: EventSender) {
    loop {
        let heard = match tokio::time::timeout(SILENT_MOST, reader.next()).await {
            Ok(Some(heard)) => heard,
            Ok(None) => return,
            Err(_) if sender.keep_alive().await => continue,
            Err(_) => return,
        };
        let sent = match heard.0.as_str() {
            "timeline" => {
                let Ok(timeline) = serde_json::from_str::<Timeline>(&heard.1) else { return };
                // A key that was revoked meanwhile is told nothing more.
                let Ok(transfer) = ask::get::<GetTransfer>(&visit, path.clone()).await else {
                    return;
                };
                let part = html! { div data-live="" { (live_part(&transfer, &timeline)) } };
                sender.send("change", &part.into_string()).await
            }
            _ => sender.send("end", "over").await,
        };
        if !sent {
            return;
        }
    }
}

fn is_final(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "canceled" | "reversed")
}

/// What changes while the transfer goes on.
fn live_part(transfer: &Transfer, timeline: &Timeline) -> Markup {
    let picture = PreEscaped(sequence(timeline, Dress::InPage));
    html! {
        p class="status" data-said=(format!("The transfer is {}.", timeline.status)) {
            (frame::badge(&timeline.status))
            @if let Some(reason) = &transfer.failure_reason { " " (reason) }
            @if let Some(waiting) = &transfer.waiting { " waits: " (waiting.reason) }
        }
        @if transfer.needs_attention {
            p class="wrong" { "An event of this transfer could not be applied: an operator has to look." }
        }
        (facts(transfer))
        h2 { "Sequence diagram" }
        @if !timeline.complete {
            p class="wrong" { "A service did not answer: its part is missing." }
        }
        (frame::scroll("diagram", "Sequence diagram", &picture))
        details {
            summary { "The same as a table" }
            (frame::scroll("steps", "Exchanges", &steps(timeline)))
        }
    }
}

fn facts(transfer: &Transfer) -> Markup {
    html! {
        dl class="facts" {
            dt { "From" } dd { (party(&transfer.source)) }
            dt { "To" } dd { (party(&transfer.destination)) }
            dt { "Amount" } dd { (transfer.amount) }
            dt { "Created" } dd { (frame::moment(transfer.created_on)) }
            @if let Some(completed) = transfer.completed_on {
                dt { "Completed" } dd { (frame::moment(completed)) }
            }
            @if let Some(description) = &transfer.description {
                dt { "Description" } dd { (description) }
            }
            @if let Some(foreign) = &transfer.foreign_id {
                dt { "Foreign ID" } dd { (foreign) }
            }
            @for (name, value) in transfer.metadata.iter().flatten() {
                dt { (name) } dd { (value) }
            }
            dt { "Transfer ID" } dd { code { (transfer.transfer_id) } }
        }
    }
}

fn party(party: &TransferParty) -> Markup {
    html! {
        (party.account.display_name) ", " (party.payment_method_type)
        @if let Some(bank) = &party.bank_account {
            ", " (bank.bank_name) " ending in " (bank.last_four_account_number)
        }
        @if let Some(details) = &party.instant_bank_details {
            ", " (details.network) " " (details.status)
            @if let Some(code) = &details.network_response_code { " (" (code) ")" }
        }
    }
}

fn steps(timeline: &Timeline) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" class="number" { "No." } th scope="col" { "From" } th scope="col" { "To" }
                th scope="col" { "Kind" } th scope="col" { "Name" } th scope="col" { "Outcome" }
                th scope="col" class="number" { "Cost" } th scope="col" class="number" { "Cause" }
            } }
            tbody {
                @for exchange in &timeline.exchanges {
                    tr {
                        td class="number" { (exchange.number) }
                        td { (exchange.from) } td { (exchange.to) }
                        td { (kind(exchange)) @if exchange.synchronous { ", waits" } }
                        td { code { (exchange.name) } }
                        td { (exchange.outcome.as_deref().unwrap_or("-")) }
                        td class="number" { (cost(timeline, exchange).unwrap_or_default()) }
                        td class="number" {
                            @if let Some(cause) = exchange.cause { (cause) } @else { "-" }
                        }
                    }
                }
            }
        }
    }
}
