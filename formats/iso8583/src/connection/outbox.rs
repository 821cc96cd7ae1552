//! Frames that wait for the socket, and how much of the first one it has taken.

use std::collections::VecDeque;

use zeroize::{Zeroize, Zeroizing};

use super::flights::Trace;

/// Most bytes that are handed to the socket at once.
const PIECE: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Entry>,
    /// Bytes of the first entry that the socket has taken.
    taken: usize,
    /// What is handed to the socket: the entries one after another.
    piece: Vec<u8>,
    /// When bytes began to wait, or the socket last took some.
    waiting_since: i64,
}

/// A frame, with what its message is matched by if it is one of the owner's.
struct Entry {
    bytes: Zeroizing<Vec<u8>>,
    trace: Option<Trace>,
}

impl Outbox {
    pub(super) fn push(&mut self, now: i64, bytes: Vec<u8>, trace: Option<Trace>) {
        if self.waiting.is_empty() {
            self.waiting_since = now;
        }
        self.waiting.push_back(Entry { bytes: Zeroizing::new(bytes), trace });
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.piece.zeroize();
        self.taken = 0;
    }

    /// The bytes that are next.
    pub(super) fn waiting(&mut self) -> &[u8] {
        self.piece.zeroize();
        let mut from = self.taken;
        for entry in &self.waiting {
            if self.piece.len() >= PIECE {
                break;
            }
            self.piece.extend_from_slice(&entry.bytes[from..]);
            from = 0;
        }
        &self.piece
    }

    pub(super) fn waiting_since(&self) -> Option<i64> {
        (!self.waiting.is_empty()).then_some(self.waiting_since)
    }

    /// The socket took `count` bytes: returns the messages of which it took the first.
    pub(super) fn written(&mut self, now: i64, count: usize) -> Vec<Trace> {
        let mut begun = Vec::new();
        let mut left = count;
        while left > 0
            && let Some(entry) = self.waiting.front_mut()
        {
            // The trace is kept while it can still be withdrawn.
            begun.extend(entry.trace.take());
            let rest = entry.bytes.len() - self.taken;
            if left < rest {
                self.taken += left;
                left = 0;
            } else {
                left -= rest;
                self.taken = 0;
                self.waiting.pop_front();
            }
        }
        assert!(left == 0, "no more was written than there was");
        if count > 0 {
            self.waiting_since = now;
        }
        begun
    }

    /// Takes a message back of which no byte was written.
    pub(super) fn withdraw(&mut self, trace: &Trace) {
        self.waiting.retain(|entry| entry.trace.as_ref() != Some(trace));
    }
}

impl std::fmt::Debug for Outbox {
    /// Without the bytes: there are card numbers among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox of {} frames, {} bytes of the first taken", self.len(), self.taken)
    }
}
