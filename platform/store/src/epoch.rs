//! Which commits the readers under way may not see yet.
//!
//! A reader notes the number of the last commit *before* it takes its snapshot; so its snapshot
//! holds at least that commit. A late index keeps in memory what it has merged into its tree until
//! no reader is left whose snapshot may be older than the merge.

use parking_lot::Mutex;
use std::collections::BTreeMap;

#[derive(Default)]
struct Inner {
    current: u64,
    readers: BTreeMap<u64, usize>,
}

/// Counts commits, and the readers by the commit they began at.
#[derive(Default)]
pub(crate) struct Epochs(Mutex<Inner>);

impl Epochs {
    /// A commit is durable; returns its number.
    pub(crate) fn commit(&self) -> u64 {
        let mut inner = self.0.lock();
        inner.current += 1;
        inner.current
    }

    pub(crate) fn current(&self) -> u64 {
        self.0.lock().current
    }

    /// A reader is about to take its snapshot.
    pub(crate) fn enter(&self) -> u64 {
        let mut inner = self.0.lock();
        let epoch = inner.current;
        *inner.readers.entry(epoch).or_default() += 1;
        epoch
    }

    /// The reader that entered at `epoch` is done.
    pub(crate) fn leave(&self, epoch: u64) {
        let mut inner = self.0.lock();
        let count = inner.readers.get_mut(&epoch).expect("a reader leaves once, after it entered");
        *count -= 1;
        if *count == 0 {
            inner.readers.remove(&epoch);
        }
    }

    /// Every reader under way, and every one to come, sees all commits up to this one.
    pub(crate) fn seen_by_all(&self) -> u64 {
        let inner = self.0.lock();
        inner.readers.keys().next().copied().unwrap_or(inner.current)
    }
}
