//! The home page: the map of services with what goes over each edge, and the health of each part.

use contracts::{
    Endpoint,
    operations::{Edge, EdgeKind, GetHealth, GetTopology, Topology},
};
use maud::{Markup, PreEscaped, html};

use super::{NoPage, Page, Visit, ask, frame};
use crate::domain::{Dress, duration, graph, rate};

/// The page.
pub async fn show(visit: &Visit) -> Result<Page, NoPage> {
    let topology = ask::get::<GetTopology>(visit, GetTopology::PATH.to_owned()).await?;
    let health = ask::get::<GetHealth>(visit, GetHealth::PATH.to_owned()).await?;
    let body = html! {
        h1 { "Map" }
        p class="lead" { "Who talks to whom, as declared in the code and as seen in traffic. Solid \
            arrows wait for their answer, dashed ones are events, green ones leave the house." }
        div data-live="5" {
            @if topology.edges.iter().any(|edge| !edge.declared) {
                p class="wrong" role="alert" { "An edge was seen that nobody declared: it is red." }
            }
            (frame::scroll("map", "Map of services", &PreEscaped(graph(&topology, Dress::InPage))))
            section class="parts" aria-label="Health" {
                h2 { "Health: " (frame::badge(if health.status == "ready" { "ok" } else { "not ready" })) }
                ul class="tiles" {
                    @for part in &health.parts {
                        li {
                            strong { (part.name) } " " (frame::badge(&part.state))
                            small { "since " (frame::moment(part.since)) }
                        }
                    }
                }
            }
            h2 { "Edges" }
            (frame::scroll("edges", "Edges", &edges(&topology)))
        }
    };
    Ok(super::html(200, frame::page(Some(&visit.session), "Map", &body)))
}

/// The map as a table: the same for those who do not see it.
fn edges(topology: &Topology) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Kind" }
                th scope="col" { "Name" } th scope="col" class="number" { "Seen" }
                th scope="col" class="number" { "Last minute" } th scope="col" class="number" { "Lag" }
                th scope="col" { "Last seen" }
            } }
            tbody {
                @for edge in &topology.edges {
                    tr {
                        td { (edge.from) } td { (edge.to) }
                        td { (kind(edge)) @if !edge.declared { " (not declared)" } }
                        td { code { (edge.name) } }
                        td class="number" { (edge.observed) }
                        td class="number" { (rate(edge.last_minute)) }
                        td class="number" {
                            @if let Some(lag) = edge.lag_micros { (duration(lag)) } @else { "-" }
                        }
                        td { @if let Some(last) = edge.last { (frame::moment(last)) } @else { "-" } }
                    }
                }
            }
        }
    }
}

fn kind(edge: &Edge) -> &'static str {
    match edge.kind {
        EdgeKind::Synchronous => "synchronous",
        EdgeKind::Event => "event",
        EdgeKind::Rail => "rail",
    }
}
