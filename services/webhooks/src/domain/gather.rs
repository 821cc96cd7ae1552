//! What is to go into feeds, gathered in memory so that a busy feed needs few rows.
//!
//! Accounts are cut into slices. A slice is written as a whole, with a *mark*: the place in each
//! topic up to which its events are written. The log itself keeps the events until then: the
//! consumer's position stays at or below the *floor*, below which no slice lacks anything, and what
//! comes again after a restart is left out where the slice's mark is past it.

use std::{collections::BTreeMap, time::Duration};

use contracts::{Timestamp, exchanges::EventPlace, ids::AccountId};

/// How long an event may be gathered; a feed is about so far behind.
pub const GATHER: Duration = Duration::from_millis(500);
/// Slices of accounts.
const SLICES: usize = 64;
/// Rows that one commit writes, about; a slice is never cut. Many at once and then none for a while:
/// after a commit that split a page out of order SQLite walks its whole page cache.
const ROWS: usize = 96;
/// Entries in memory above which slices are written before their time: about 12 MB.
const ENTRIES_MOST: usize = 262_144;

/// An event on its way into a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub topic: &'static str,
    pub at: EventPlace,
}

/// Each account's new events, in their order.
pub type Gathered = BTreeMap<AccountId, Vec<Entry>>;
/// A place in each topic.
pub type Places = BTreeMap<&'static str, i64>;

/// A slice as it is written: its events, and its mark from now on.
pub struct Taken<'g> {
    pub slice: u8,
    pub gathered: &'g Gathered,
    pub mark: &'g Places,
}

#[derive(Default)]
struct Slice {
    gathered: Gathered,
    /// When its oldest event was emitted, and what was consumed before that came.
    oldest: Option<Timestamp>,
    since: Places,
    mark: Places,
}

impl Slice {
    fn entries(&self) -> usize {
        self.gathered.values().map(Vec::len).sum()
    }
}

/// Everything gathered and not yet durably written.
pub struct Gathering {
    slices: Vec<Slice>,
    /// Consumed so far, and at the last commit.
    consumed: Places,
    durable: Places,
    entries: usize,
    /// The next slice to look at.
    hand: usize,
    /// Of the transaction under way: what was added to, and slices as they were when taken.
    added: Vec<(usize, AccountId)>,
    taken: Vec<(usize, Slice)>,
}

fn slice_of(account: AccountId) -> usize {
    usize::from(account.as_bytes()[14]) % SLICES
}

impl Default for Gathering {
    fn default() -> Self {
        Self {
            slices: std::iter::repeat_with(Slice::default).take(SLICES).collect(),
            consumed: Places::new(),
            durable: Places::new(),
            entries: 0,
            hand: 0,
            added: Vec::new(),
            taken: Vec::new(),
        }
    }
}

impl Gathering {
    /// A mark that was stored: up to this place the slice is written.
    pub fn set_mark(&mut self, slice: u8, topic: &'static str, place: i64) {
        if let Some(slice) = self.slices.get_mut(usize::from(slice)) {
            slice.mark.insert(topic, place);
        }
    }
    /// Adds an event of these accounts, emitted at this moment.
    pub fn add(
        &mut self,
        accounts: impl Iterator<Item = AccountId>,
        entry: Entry,
        emitted: Timestamp,
    ) {
        for account in accounts {
            let number = slice_of(account);
            let slice = &mut self.slices[number];
            if slice.mark.get(entry.topic).is_some_and(|mark| *mark >= entry.at.place) {
                continue;
            }
            if slice.oldest.is_none() {
                slice.oldest = Some(emitted);
                slice.since.clone_from(&self.consumed);
            }
            slice.gathered.entry(account).or_default().push(entry);
            self.entries += 1;
            self.added.push((number, account));
        }
        self.consumed.insert(entry.topic, entry.at.place);
    }
    /// The place in a topic up to which nothing is missing from what was written.
    pub fn floor(&self, topic: &str) -> i64 {
        let place = |places: &Places| places.get(topic).copied().unwrap_or(0);
        let waiting = self.slices.iter().filter(|slice| slice.oldest.is_some());
        let lowest = waiting.map(|slice| place(&slice.since)).min();
        lowest.unwrap_or_else(|| place(&self.consumed)).min(place(&self.durable))
    }
    /// In how long something is to be written: `None` where nothing waits.
    pub fn due(&self, now: Timestamp) -> Option<Duration> {
        let oldest = self.slices.iter().filter_map(|slice| slice.oldest).min()?;
        Some(GATHER.saturating_sub(Duration::from_micros(now.micros_since(oldest))))
    }
    /// Takes the slices whose time has come, a few at a time.
    pub fn take(&mut self, now: Timestamp) -> Vec<Taken<'_>> {
        let full = self.entries > ENTRIES_MOST;
        let most = if full { 16 * ROWS } else { ROWS };
        let (before, mut rows) = (self.taken.len(), 0);
        for _ in 0..SLICES {
            let number = self.hand;
            let slice = &self.slices[number];
            let ripe = slice
                .oldest
                .is_some_and(|oldest| Duration::from_micros(now.micros_since(oldest)) >= GATHER);
            if rows >= most {
                break;
            }
            self.hand = (number + 1) % SLICES;
            if ripe || (full && slice.oldest.is_some()) {
                let written = Slice { mark: self.consumed.clone(), ..Slice::default() };
                let taken = std::mem::replace(&mut self.slices[number], written);
                rows += taken.gathered.len();
                self.entries -= taken.entries();
                self.taken.push((number, taken));
            }
        }
        let taken = self.taken[before..].iter().map(|(number, slice)| Taken {
            slice: u8::try_from(*number).expect("64 slices"),
            gathered: &slice.gathered,
            mark: &self.consumed,
        });
        taken.collect()
    }
    /// The transaction is durable.
    pub fn committed(&mut self) {
        self.added.clear();
        self.taken.clear();
        self.durable.clone_from(&self.consumed);
    }
    /// The transaction is gone: memory is as before it.
    pub fn rolled_back(&mut self) {
        for (number, slice) in std::mem::take(&mut self.taken).into_iter().rev() {
            self.entries += slice.entries();
            self.slices[number] = slice;
        }
        for (number, account) in std::mem::take(&mut self.added).into_iter().rev() {
            let slice = &mut self.slices[number];
            let Some(entries) = slice.gathered.get_mut(&account) else { continue };
            entries.pop();
            self.entries -= 1;
            if entries.is_empty() {
                slice.gathered.remove(&account);
            }
            if slice.gathered.is_empty() {
                slice.oldest = None;
            }
        }
        self.consumed.clone_from(&self.durable);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TOPIC: &str = "transfers";

    fn account(byte: u8) -> AccountId {
        AccountId(Uuid::from_bytes([byte; 16]))
    }
    fn add(gathering: &mut Gathering, place: i64, accounts: &[u8], at: i64) {
        let entry = Entry { topic: TOPIC, at: EventPlace { shard: 0, place } };
        gathering.add(accounts.iter().map(|byte| account(*byte)), entry, Timestamp(at));
    }
    fn places(taken: &[Taken<'_>]) -> Vec<(u8, Vec<i64>)> {
        let all = taken.iter().flat_map(|taken| taken.gathered);
        all.map(|(of, entries)| {
            (of.as_bytes()[0], entries.iter().map(|entry| entry.at.place).collect())
        })
        .collect()
    }

    #[test]
    fn what_waits_is_taken_when_its_time_has_come_and_holds_the_floor_until_then() {
        let mut gathering = Gathering::default();
        add(&mut gathering, 1, &[1, 2], 0);
        add(&mut gathering, 2, &[2], 300_000);
        add(&mut gathering, 3, &[3], 400_000);
        assert_eq!(gathering.floor(TOPIC), 0, "nothing is durable yet");
        gathering.committed();
        assert_eq!(gathering.due(Timestamp(100_000)), Some(Duration::from_millis(400)));
        assert!(gathering.take(Timestamp(499_999)).is_empty());
        let taken = gathering.take(Timestamp(500_000));
        assert_eq!(places(&taken), [(1, vec![1]), (2, vec![1, 2])]);
        assert_eq!(*taken[0].mark, Places::from([(TOPIC, 3)]));
        gathering.committed();
        assert_eq!(gathering.floor(TOPIC), 2, "the third waits");
        assert_eq!(places(&gathering.take(Timestamp(900_000))), [(3, vec![3])]);
        gathering.committed();
        assert_eq!((gathering.floor(TOPIC), gathering.due(Timestamp(0))), (3, None));
    }

    #[test]
    fn a_transaction_that_is_gone_leaves_no_trace() {
        let mut gathering = Gathering::default();
        add(&mut gathering, 1, &[1, 2], 0);
        gathering.committed();
        add(&mut gathering, 2, &[1, 4], 1);
        assert_eq!(gathering.take(Timestamp(600_000)).len(), 3);
        gathering.rolled_back();
        assert_eq!(gathering.entries, 2);
        assert_eq!(gathering.floor(TOPIC), 0);
        add(&mut gathering, 2, &[1, 4], 1);
        let taken = gathering.take(Timestamp(600_000));
        assert_eq!(places(&taken), [(1, vec![1, 2]), (2, vec![1]), (4, vec![2])]);
        gathering.committed();
        assert_eq!(gathering.entries, 0);
    }

    #[test]
    fn what_comes_again_after_a_restart_is_left_out_where_it_was_written() {
        let mut gathering = Gathering::default();
        gathering.set_mark(u8::try_from(slice_of(account(1))).unwrap(), TOPIC, 2);
        for place in 1..=3 {
            add(&mut gathering, place, &[1, 2], 0);
        }
        gathering.committed();
        let taken = gathering.take(Timestamp(600_000));
        assert_eq!(places(&taken), [(1, vec![3]), (2, vec![1, 2, 3])]);
    }

    #[test]
    fn a_full_memory_is_written_before_its_time() {
        let mut gathering = Gathering::default();
        for place in 0..i64::try_from(ENTRIES_MOST).unwrap() {
            add(&mut gathering, place + 1, &[1], 0);
        }
        assert!(gathering.take(Timestamp(0)).is_empty());
        add(&mut gathering, i64::MAX, &[1], 0);
        assert_eq!(gathering.take(Timestamp(0)).len(), 1);
    }
}
