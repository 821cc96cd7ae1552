//! What every service tells an operator: the graph, health, dead letters, rail connections.
//!
//! The runtime answers these for all services of a process, under the name of its projection.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Access, Body, NoBody, NoPath, NoQuery, Refusal, Timestamp, endpoint,
    endpoint::json,
    ids::{AccountId, TransferId},
};

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
#[serde(rename_all = "camelCase")]
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
    /// When it was last seen (machine time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// How often it was seen in the last 60 seconds.
    #[serde(default)]
    pub last_minute: u64,
    /// For an event: how long the oldest one has waited that the consumer has not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_micros: Option<u64>,
}

impl Edge {
    /// An edge that the wiring declares and that was never seen.
    pub fn declared(from: &str, to: &str, kind: EdgeKind, name: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            kind,
            name: name.to_owned(),
            declared: true,
            observed: 0,
            last: None,
            last_minute: 0,
            lag_micros: None,
        }
    }
}

/// A service in the graph.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// `service` or `rail`
    pub tier: String,
    pub tables: Vec<String>,
}

/// The whole graph.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Topology {
    pub services: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// Whether a process can do its work, part by part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ready`, or `not-ready`
    pub status: String,
    pub parts: Vec<HealthPart>,
}

/// One part of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealthPart {
    /// `store`, `writer`, `consumer ledger`
    pub name: String,
    /// `ok`, or what is wrong
    pub state: String,
    pub since: Timestamp,
}

/// Names a dead letter: consumer, topic, shard and number in the stream, colons between. It is the
/// same for the same event however often it is listed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DeadLetterId {
    pub consumer: String,
    pub topic: String,
    pub shard: u32,
    pub sequence: i64,
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.consumer, self.topic, self.shard, self.sequence)
    }
}
impl FromStr for DeadLetterId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(());
        let (consumer, topic) = (part()?.to_owned(), part()?.to_owned());
        let shard = part()?.parse().map_err(|_| ())?;
        let sequence = part()?.parse().map_err(|_| ())?;
        match parts.next() {
            None => Ok(Self { consumer, topic, shard, sequence }),
            Some(_) => Err(()),
        }
    }
}
impl Serialize for DeadLetterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for DeadLetterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = "no dead letter's id: consumer:topic:shard:sequence";
        text.parse().map_err(|()| serde::de::Error::custom(wrong))
    }
}

/// An event that a consumer could not apply, or one parked behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    #[serde(rename = "deadLetterID")]
    pub dead_letter_id: DeadLetterId,
    /// The consumer that failed.
    pub consumer: String,
    /// `transfers/0`
    pub stream: String,
    pub sequence: i64,
    pub event: String,
    /// The transfer's or other key's row.
    pub key: i64,
    /// `poisoned`, `parked` behind an earlier one of the same key, `replayed` or `dropped`.
    pub state: String,
    pub error: String,
    pub at: Timestamp,
    /// How many wait behind it, itself not counted.
    #[serde(default)]
    pub behind: u64,
    /// The event itself, where one letter is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Why it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was replayed or dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_on: Option<Timestamp>,
    /// By whose key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<AccountId>,
}

/// Query of [`ListDeadLetters`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct DeadLettersQuery {
    /// The `deadLetterID` of the last one seen; from the beginning where absent.
    pub after: Option<DeadLetterId>,
    /// At most 1,000, 100 where absent.
    pub count: Option<u32>,
}

/// A path that names a dead letter.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeadLetterPath {
    #[serde(rename = "deadLetterID")]
    pub id: DeadLetterId,
}

/// Body of [`DropDeadLetter`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropReason {
    /// 1 to 500 characters: what was done instead, for those who come after.
    pub reason: String,
}
impl Body for DropReason {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let body: Self = json(bytes)?;
        let letters = body.reason.trim().chars().count();
        if letters == 0 || letters > 500 || body.reason.contains('\0') {
            return Err(Refusal::field("reason", "has 1 to 500 characters, none a NUL"));
        }
        Ok(body)
    }
}

/// What became of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterEnded {
    #[serde(rename = "deadLetterID")]
    pub dead_letter_id: DeadLetterId,
    /// `replayed` or `dropped`
    pub state: String,
    /// Events applied by this request: the letter where it was replayed, and those behind it. None
    /// where it had ended before.
    pub applied: u64,
    /// The next letter of the same key, where one could not be applied either.
    #[serde(rename = "nextID", default, skip_serializing_if = "Option::is_none")]
    pub next_id: Option<DeadLetterId>,
}

/// What a rail tells an operator of its connection. Every rail fills the same form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RailConnection {
    /// `ach`, `card`, `rtp`
    pub name: String,
    /// Where it connects to, without secrets.
    pub address: String,
    /// `connected`, `idle` where nothing shows that it is not, `unavailable`
    pub state: String,
    /// What stands behind the state, in a sentence.
    pub detail: String,
    pub circuit: RailCircuit,
    /// Instructions by what is known of them.
    pub queue: RailQueue,
    /// The first instructions that are not final, the longest waiting first.
    pub waiting: Vec<RailWaiting>,
    /// When a file was last handed over, for a rail that has files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sent_on: Option<Timestamp>,
    /// When it was last looked for files of the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_looked_on: Option<Timestamp>,
    /// The newest files, for a rail that has files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<RailFile>,
}

/// The circuit breaker of a rail's connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RailCircuit {
    /// `closed`: all is let through; `open`: nothing is; `probing`: one is, to see.
    pub state: String,
    /// Failures in a row.
    pub failures: u32,
    /// When the next one is let through, where it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_on: Option<Timestamp>,
}

/// How many instructions a rail has that are not final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RailQueue {
    /// No byte of them left.
    pub ready: u64,
    /// Bytes may be on their way.
    pub sending: u64,
    /// The network may or may not have them.
    pub unknown: u64,
    /// The network has them and has not decided.
    pub pending: u64,
}

/// An instruction that is not final, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RailWaiting {
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    /// `ready`, `sending`, `unknown`, `pending`
    pub state: String,
    pub reason: String,
    pub since: Timestamp,
}

/// A file of a rail that has files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RailFile {
    pub name: String,
    /// `sent` or `received`
    pub direction: String,
    /// Of one sent: `fixed`, `sending`, `renaming`, `held`, `sent`, `acknowledged`, `refused`; of one
    /// received: `taken-in`, `set-aside`
    pub state: String,
    pub at: Timestamp,
    pub entries: u64,
    /// Why a person must look, or what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

endpoint!(
    /// The declared graph with what was seen of it, and what was seen beside it.
    GetTopology, "access", Get "/operations/topology", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Topology);
endpoint!(
    /// Whether the process can work: 200 where every part is `ok`, else 503.
    GetHealth, "access", Get "/health/ready", Access::Open, (NoPath, NoQuery, NoBody) -> Health);
endpoint!(
    /// Every rail's connection.
    ListRailConnections, "access", Get "/operations/rails", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Vec<RailConnection>);
endpoint!(
    /// Events that wait for a person, with the reason.
    ListDeadLetters, "access", Get "/operations/dead-letters", Access::Operator,
    (NoPath, DeadLettersQuery, NoBody) -> Vec<DeadLetter>);
endpoint!(
    /// One dead letter with its event; also one that was replayed or dropped.
    GetDeadLetter, "access", Get "/operations/dead-letters/{deadLetterID}", Access::Operator,
    (DeadLetterPath, NoQuery, NoBody) -> DeadLetter);
endpoint!(
    /// Applies the event again, then those behind it in their order. A repeat does nothing.
    ReplayDeadLetter, "access", Post "/operations/dead-letters/{deadLetterID}/replay",
    Access::Operator, (DeadLetterPath, NoQuery, NoBody) -> DeadLetterEnded);
endpoint!(
    /// Gives the event up for good, for a reason that is kept; those behind it follow.
    DropDeadLetter, "access", Post "/operations/dead-letters/{deadLetterID}/drop",
    Access::Operator, (DeadLetterPath, NoQuery, DropReason) -> DeadLetterEnded);
