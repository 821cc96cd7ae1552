//! The rails: how each is connected, what waits in it and why, its files.

use contracts::{
    Endpoint,
    operations::{ListRailConnections, RailConnection},
};
use maud::{Markup, html};

use super::{NoPage, Page, Visit, ask, frame};

/// The page.
pub async fn show(visit: &Visit) -> Result<Page, NoPage> {
    let path = ListRailConnections::PATH.to_owned();
    let rails = ask::get::<ListRailConnections>(visit, path).await?;
    let body = html! {
        h1 { "Rails" }
        div data-live="5" {
            @if rails.is_empty() { p { "This process runs no rail." } }
            @for rail in &rails { (section(rail)) }
        }
    };
    Ok(super::html(200, frame::page(Some(&visit.session), "Rails", &body)))
}

fn section(rail: &RailConnection) -> Markup {
    let (circuit, queue) = (&rail.circuit, &rail.queue);
    html! {
        section class="sheet" {
            h2 { (rail.name) " " (frame::badge(&rail.state)) }
            p { (rail.detail) "." }
            dl class="facts" {
                dt { "Address" } dd { code { (rail.address) } }
                dt { "Circuit" } dd {
                    (frame::badge(&circuit.state))
                    @if circuit.failures > 0 { " after " (circuit.failures) " failures in a row" }
                    @if let Some(next) = circuit.next_on { ", tries again " (frame::moment(next)) }
                }
                dt { "Queue" } dd {
                    (queue.ready) " ready, " (queue.sending) " being sent, "
                    (queue.unknown) " unknown, " (queue.pending) " pending at the network"
                }
                @if let Some(sent) = rail.last_sent_on {
                    dt { "Last file sent" } dd { (frame::moment(sent)) }
                }
                @if let Some(looked) = rail.last_looked_on {
                    dt { "Last look" } dd { (frame::moment(looked)) }
                }
            }
            @if !rail.waiting.is_empty() {
                h3 { "What waits" }
                (frame::scroll(&format!("waiting-{}", rail.name), "What waits", &waiting(rail)))
            }
            @if !rail.files.is_empty() {
                h3 { "Files" }
                (frame::scroll(&format!("files-{}", rail.name), "Files", &files(rail)))
            }
        }
    }
}

fn waiting(rail: &RailConnection) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Transfer" } th scope="col" { "State" } th scope="col" { "Why" }
                th scope="col" { "Since" }
            } }
            tbody {
                @for one in &rail.waiting {
                    tr {
                        td { a href=(format!("/dashboard/transfers/{}", one.transfer_id)) {
                            code { (one.transfer_id) }
                        } }
                        td { (one.state) } td { (one.reason) } td { (frame::moment(one.since)) }
                    }
                }
            }
        }
    }
}

fn files(rail: &RailConnection) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Direction" } th scope="col" { "State" }
                th scope="col" class="number" { "Entries" } th scope="col" { "At" }
            } }
            tbody {
                @for file in &rail.files {
                    tr {
                        td { code { (file.name) } } td { (file.direction) }
                        td {
                            (frame::badge(&file.state))
                            @if let Some(reason) = &file.reason { " " (reason) }
                        }
                        td class="number" { (file.entries) }
                        td { (frame::moment(file.at)) }
                    }
                }
            }
        }
    }
}
