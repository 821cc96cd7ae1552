//! The seam to a broker, where one carries events between processes: what relay and consumers need
//! of it, and no more. A broker is a transport whose loss is survived; the outbox is the truth.

use std::time::Duration;

/// What a broker said went wrong.
#[derive(Debug)]
pub struct BrokerError(pub String);

impl std::fmt::Display for BrokerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the broker: {}", self.0)
    }
}
impl std::error::Error for BrokerError {}

/// An event on its way: CloudEvents 1.0 in binary mode, JSON as its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition: the shard of the addressee.
    pub shard: u32,
    /// What order is kept for.
    pub key: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A record as it came out of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub topic: &'static str,
    pub shard: u32,
    /// Its place in the partition, as the broker counts.
    pub offset: i64,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// The offsets of a partition: what is kept begins at `low`, the next record gets `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub low: i64,
    pub high: i64,
}

/// A broker. Topics are named by the service that emits into them.
pub trait Broker: Send + Sync {
    /// A new producer, which knows nothing of those before it.
    fn session(&self) -> Result<Box<dyn Session>, BrokerError>;
    /// A reader of these topics for one consumer.
    fn reader(
        &self,
        consumer: &str,
        topics: &[&'static str],
    ) -> Result<Box<dyn Reader>, BrokerError>;
    /// What each partition of a topic holds.
    fn ends(&self, topic: &str, shards: u32) -> Result<Vec<Ends>, BrokerError>;
    /// Makes a topic that is missing (true), and refuses one with other settings than it must have.
    fn ensure(&self, topic: &str, shards: u32) -> Result<bool, BrokerError>;
}

/// A producer: idempotent, in order, acknowledged by all replicas in sync.
pub trait Session: Send {
    /// Sends in this order, and returns when all are acknowledged. After an error nobody knows which
    /// of them arrived, and this session is of no more use.
    fn send(&mut self, topic: &str, records: &[Record]) -> Result<(), BrokerError>;
}

/// A partition to read, from an offset, or on from where it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub topic: &'static str,
    pub shard: u32,
    pub from: Option<i64>,
}

/// Reads partitions from chosen offsets.
pub trait Reader: Send {
    /// Reads exactly these partitions from now on, and none of them paused.
    fn assign(&mut self, parts: &[Part]) -> Result<(), BrokerError>;
    /// What has come, after at most so long where nothing has.
    fn poll(&mut self, most: Duration) -> Result<Vec<Arrived>, BrokerError>;
    /// Takes nothing more of a topic until told to go on.
    fn pause(&mut self, topic: &'static str, paused: bool) -> Result<(), BrokerError>;
    /// Goes on from where it is with new connections: those that it has bring nothing any more.
    fn renew(&mut self);
    /// Notes how far the consumer is in partitions, for those who draw its lag; nothing depends on
    /// it.
    fn note(&mut self, topic: &'static str, offsets: &[(u32, i64)]);
}
