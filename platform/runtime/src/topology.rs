//! The graph of who talks to whom: declared by the wiring, observed in traffic.

use serde::{Deserialize, Serialize};

/// How two parties talk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// One asks and waits.
    Synchronous,
    /// One emits, the other consumes when it can.
    Event,
    /// A rail and its counterparty.
    Rail,
}

/// One edge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Edge {
    pub from: String,
    pub to: String,
    pub kind: EdgeKind,
    /// The endpoint's, event's or message's name.
    pub name: String,
    /// The wiring says so.
    pub declared: bool,
    /// How often it was seen since the process began.
    pub observed: u64,
}

impl Edge {
    pub(crate) fn new(from: &str, to: &str, kind: EdgeKind, name: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            kind,
            name: name.to_owned(),
            declared: true,
            observed: 0,
        }
    }
}

/// A service in the graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// `service` or `rail`
    pub tier: String,
    pub tables: Vec<String>,
}

/// The whole graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topology {
    pub services: Vec<Node>,
    pub edges: Vec<Edge>,
}
