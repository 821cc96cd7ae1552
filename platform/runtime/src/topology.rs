//! The graph of who talks to whom: declared by the wiring, with what was seen in traffic.

pub use contracts::operations::{Edge, EdgeKind, Node, Topology};

use crate::{
    access::CONSUMER,
    metrics::Metrics,
    service::{Tier, Wiring},
};

/// The declared graph of these services.
pub fn declared(services: &[Wiring]) -> Topology {
    let node = |service: &Wiring| Node {
        name: service.name.to_owned(),
        tier: match service.tier {
            Tier::Service => "service".to_owned(),
            Tier::Rail => "rail".to_owned(),
        },
        tables: service.tables.iter().map(|table| (*table).to_owned()).collect(),
    };
    let mut edges: Vec<Edge> = services.iter().flat_map(|service| service.edges.clone()).collect();
    // Outcomes come only from the rails that are there.
    let names: Vec<&str> = services.iter().map(|service| service.name).collect();
    edges.retain(|edge| edge.kind != EdgeKind::Event || names.contains(&edge.from.as_str()));
    edges.sort();
    edges.dedup();
    Topology { services: services.iter().map(node).collect(), edges }
}

/// The declared graph with what was seen of it, and what was seen beside it.
pub(crate) fn observed(declared: &Topology, metrics: &Metrics) -> Topology {
    let mut topology = declared.clone();
    for ((from, to, kind, name), seen) in metrics.edges() {
        // The projection of keys and accounts is a part of every service, not one of its own.
        if to == CONSUMER {
            continue;
        }
        let known = topology.edges.iter().position(|edge| {
            edge.from == from && edge.to == to && edge.kind == kind && edge.name == name
        });
        let at = known.unwrap_or_else(|| {
            let mut edge = Edge::declared(from, to, kind, name);
            edge.declared = false;
            topology.edges.push(edge);
            topology.edges.len() - 1
        });
        let edge = &mut topology.edges[at];
        (edge.observed, edge.last, edge.last_minute) = (seen.count, Some(seen.last), seen.minute);
    }
    let lags = metrics.lags();
    for edge in topology.edges.iter_mut().filter(|edge| edge.kind == EdgeKind::Event) {
        let lag = lags.iter().find(|((to, from), _)| edge.to == *to && edge.from == *from);
        let micros = lag.map(|(_, lag)| u64::try_from(lag.as_micros()).unwrap_or(u64::MAX));
        edge.lag_micros = micros;
    }
    topology
}

/// What several processes saw, in one: counts add up, the newest moment and the largest lag count.
pub(crate) fn merged(all: impl Iterator<Item = Topology>) -> Topology {
    let mut merged = Topology { services: Vec::new(), edges: Vec::new() };
    for topology in all {
        if merged.services.is_empty() {
            merged.services = topology.services;
        }
        for edge in topology.edges {
            let same = |known: &&mut Edge| {
                (&known.from, &known.to, known.kind, &known.name)
                    == (&edge.from, &edge.to, edge.kind, &edge.name)
            };
            match merged.edges.iter_mut().find(same) {
                None => merged.edges.push(edge),
                Some(known) => {
                    known.declared |= edge.declared;
                    known.observed += edge.observed;
                    known.last = known.last.max(edge.last);
                    known.last_minute += edge.last_minute;
                    known.lag_micros = known.lag_micros.max(edge.lag_micros);
                }
            }
        }
    }
    merged
}
