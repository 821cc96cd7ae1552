//! Where a consumer's events come from: the outbox, or what a broker brought of it.

use std::sync::Arc;

use contracts::Timestamp;
use eventlog::{Cursor, Feed, Log, Share, Stored};
use store::Tx;

/// One topic for one consumer, the shards of this process of it.
pub(crate) struct Source {
    topic: &'static str,
    share: Share,
    feed: Option<Arc<Feed>>,
}

impl Source {
    /// All shards of the outbox, or none yet of what a broker brings.
    pub fn new(topic: &'static str, feed: Option<Arc<Feed>>) -> Self {
        let share = if feed.is_some() { Share::NOTHING } else { Share::WHOLE };
        Self { topic, share, feed }
    }
    /// Whether a broker brings it.
    pub fn is_carried(&self) -> bool {
        self.feed.is_some()
    }
    /// From now on these shards; whether they are others than before.
    pub fn takes(&mut self, share: Share) -> bool {
        std::mem::replace(&mut self.share, share) != share
    }
    /// Goes on after this durable position.
    pub fn starts(&self, at: &Cursor) {
        if let Some(feed) = &self.feed {
            feed.starts(self.share, at);
        }
    }
    /// Moves a cursor over what is nobody's business.
    pub fn skip(&self, log: &Log, cursor: &mut Cursor, skip: impl Fn(i64) -> bool) {
        match &self.feed {
            Some(feed) => feed.skip(cursor, skip),
            None => log.skip(self.topic, cursor, skip),
        }
    }
    /// Whether something durable waits after a cursor.
    pub fn waits(&self, log: &Log, cursor: &Cursor) -> bool {
        match &self.feed {
            Some(feed) => feed.waits(cursor),
            None => cursor.is_behind(log.end(self.topic, true), self.share),
        }
    }
    /// When the oldest event after the cursor was emitted, where memory has it.
    pub fn oldest(&self, log: &Log, cursor: &Cursor) -> Option<Timestamp> {
        match &self.feed {
            Some(feed) => feed.oldest(cursor),
            None => log.oldest(self.topic, cursor),
        }
    }
    /// At most so many events after a cursor, which moves.
    pub fn read(
        &self,
        (log, tx): (&Log, &mut Tx<'_>),
        cursor: &mut Cursor,
        most: usize,
        committed_only: bool,
    ) -> Result<Vec<Arc<Stored>>, eventlog::Error> {
        match &self.feed {
            Some(feed) => {
                let events = feed.read(cursor, most);
                log.refuse_ahead(tx, self.topic, &events)?;
                Ok(events)
            }
            None => log.read_share(tx, (self.topic, self.share), cursor, most, committed_only),
        }
    }
    /// The consumer is durably here.
    pub fn passed(&self, at: &Cursor) {
        if let Some(feed) = &self.feed {
            feed.passed(at);
        }
    }
}
