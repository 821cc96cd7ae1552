//! What a handler works with: the transaction, the time, fresh ids, and the events it emits.

use contracts::{Event, Timestamp, exchanges::EventPlace};
use eventlog::{Log, NewEvent};
use store::Tx;
use uuid::Uuid;

use crate::ids::Ids;

/// Why a batch could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store failed; transient or not is the store's to say.
    #[error("store")]
    Store(#[from] store::Error),
    /// The event log found a gap, or this consumer's position was moved by another process.
    #[error("event log")]
    Log(#[source] eventlog::Error),
    /// This input can never be applied: it becomes a dead letter, or its caller gets a 500.
    #[error("poison: {0}")]
    Poison(String),
    /// A newer version of switchyard wrote this: the consumer stops and waits for an upgrade.
    #[error("unknown version: {0}")]
    UnknownVersion(String),
}

impl From<eventlog::Error> for Fault {
    fn from(error: eventlog::Error) -> Self {
        match error {
            eventlog::Error::Store(error) => Self::Store(error),
            other => Self::Log(other),
        }
    }
}

/// An error with what is behind it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}

impl Fault {
    /// The fault with what is behind it, in one line: what a dead letter says.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
    /// True where this input is to blame: neither the store, nor another process, nor a version that
    /// this build does not know.
    pub(crate) fn is_poison(&self) -> bool {
        match self {
            Self::Poison(_) => true,
            Self::Store(error) => !error.is_of_the_database(),
            Self::Log(_) | Self::UnknownVersion(_) => false,
        }
    }
    /// True where the same work may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// One event as a consumer gets it.
#[derive(Clone, Debug)]
pub struct Delivered<E> {
    /// Where it is stored.
    pub place: EventPlace,
    /// Its number in its shard's stream.
    pub sequence: i64,
    /// The ordered part of the id it is about.
    pub key: i64,
    /// When it was emitted (machine time).
    pub at: Timestamp,
    /// W3C trace id and parent id, where the caller sent one.
    pub trace: Option<[u8; 24]>,
    /// The event.
    pub data: E,
}

/// The part of a commit that one service writes.
///
/// Everything done through it becomes durable together or not at all.
pub struct Work<'a, 'c> {
    /// The transaction.
    pub tx: &'a mut Tx<'c>,
    /// Business time.
    pub now: Timestamp,
    /// Machine time.
    pub machine: Timestamp,
    pub(crate) ids: &'a mut Ids,
    pub(crate) log: &'a mut Log,
    pub(crate) service: &'static str,
    pub(crate) pending: Vec<NewEvent>,
    pub(crate) after: &'a mut Vec<Box<dyn FnOnce() + Send>>,
}

impl Work<'_, '_> {
    /// A fresh id with this bucket.
    pub fn fresh(&mut self, bucket: u8) -> Uuid {
        self.ids.fresh(self.machine, bucket)
    }
    /// Fills `bytes` with randomness fit for a secret.
    pub fn secret(&mut self, bytes: &mut [u8]) {
        self.ids.secret(bytes);
    }
    /// How many shards this installation has.
    pub fn shards(&self) -> u32 {
        self.log.shards()
    }
    /// The shard of a bucket: bucket mod S.
    pub fn shard_of(&self, bucket: u8) -> u32 {
        u32::from(bucket) % self.log.shards()
    }
    /// Emits an event about `key` to the shard of its addressee; durable with this commit.
    pub fn emit<E: Event>(&mut self, key: i64, shard: u32, event: &E) -> EventPlace {
        self.emit_traced(key, shard, event, None)
    }
    /// The same with the caller's trace context.
    pub fn emit_traced<E: Event>(
        &mut self,
        key: i64,
        shard: u32,
        event: &E,
        trace: Option<[u8; 24]>,
    ) -> EventPlace {
        assert!(E::EMITTERS.contains(&self.service), "{} emits {}", self.service, E::NAME);
        let numbered = self.log.number(self.service, shard);
        self.pending.push(NewEvent {
            shard,
            sequence: numbered.sequence,
            place: numbered.place,
            key,
            kind: eventlog::kind_and_version(E::KIND, E::VERSION),
            at: self.machine,
            trace,
            payload: event.to_compact(),
        });
        EventPlace { shard, place: numbered.place }
    }
    /// Runs `then` once the commit is durable; never where it was rolled back.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(then));
    }
    /// Writes the emitted events into the log's table; the runtime calls it after each batch.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        let pending = std::mem::take(&mut self.pending);
        self.log.append_many(self.tx, self.service, pending).map_err(Fault::from)
    }
}
