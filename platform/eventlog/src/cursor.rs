//! How far a consumer is in a topic: the last number of each shard, and the engine's own address.

use crate::share::Share;

/// A position. The embedded engine reads by one ascending offset over all shards and checks the
/// numbers; PostgreSQL reads each shard by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The last offset read (embedded engine only).
    pub offset: i64,
    /// The last number of each shard.
    pub sequences: Vec<i64>,
    /// Where a broker carries the topic: the offset in each partition at which to go on. Empty
    /// elsewhere.
    pub next: Vec<i64>,
}

impl Cursor {
    /// Before the first event.
    pub fn start(shards: u32) -> Self {
        Self { offset: 0, sequences: vec![0; shards as usize], next: Vec::new() }
    }
    /// The bytes of a position row: eight a shard, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sequences.iter().flat_map(|sequence| sequence.to_be_bytes()).collect()
    }
    /// Reads a position row.
    pub fn from_row(offset: i64, bytes: &[u8], shards: u32) -> Self {
        let mut cursor = Self::start(shards);
        cursor.offset = offset;
        for (sequence, bytes) in cursor.sequences.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut whole = [0; 8];
            whole.copy_from_slice(bytes);
            *sequence = i64::from_be_bytes(whole);
        }
        cursor
    }
    /// It is after an event now, and a broker goes on at an offset.
    pub(crate) fn moves(&mut self, shard: usize, sequence: i64, next: i64) {
        self.next.resize(self.sequences.len(), 0);
        (self.sequences[shard], self.next[shard]) = (sequence, next);
    }
    /// True where rows are addressed by one offset over all shards (the embedded engine).
    pub fn places_are_offsets(&self) -> bool {
        self.offset == self.total() && self.offset > 0
    }
    /// Whether something lies between it and an end, in the shards of a share.
    pub fn is_behind(&self, end: &Self, share: Share) -> bool {
        let pairs = (0u32..).zip(self.sequences.iter().zip(&end.sequences));
        pairs.into_iter().any(|(shard, (at, end))| at < end && share.has(shard))
    }
    /// How many events have been read in all.
    pub fn total(&self) -> i64 {
        self.sequences.iter().sum()
    }
}
