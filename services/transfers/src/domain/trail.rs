//! The events of one transfer, as references: what it emitted and what it consumed, in order.
//!
//! Kept in the transfer's own row, so that a timeline needs no index on the event tables.

use contracts::exchanges::EventPlace;

/// Topics by the number that stands in a trail, from 1; 0 is padding.
const TOPICS: [&str; 5] = ["transfers", "ledger", "rtp", "ach", "card"];

/// One event of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The emitting service.
    pub topic: &'static str,
    /// Where it is stored.
    pub at: EventPlace,
}

impl Mark {
    /// The place in a service's topic; the topic must be one that a transfer meets.
    pub fn new(topic: &str, at: EventPlace) -> Self {
        let topic = TOPICS.into_iter().find(|known| *known == topic);
        Self { topic: topic.expect("transfers consumes these topics only"), at }
    }
    /// Emitted by transfers, rather than consumed.
    pub fn is_own(&self) -> bool {
        self.topic == TOPICS[0]
    }
    /// `ledger:0:17`, as the question for exchanges names it.
    pub fn named(&self) -> String {
        format!("{}:{}:{}", self.topic, self.at.shard, self.at.place)
    }
}

/// The list, compact: topic, shard and place as variable-length numbers.
///
/// Padded with zeros at the end, so that a row keeps its length while the trail grows: the engine
/// then overwrites the row where it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trail {
    bytes: Vec<u8>,
    used: usize,
}

impl Trail {
    /// An empty trail with room for what a wallet transfer (or one by a rail) meets.
    pub fn with_room(rail: bool) -> Self {
        Self { bytes: vec![0; if rail { 56 } else { 24 }], used: 0 }
    }
    /// Reads the stored form. Whatever is no trail ends it.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut trail = Self { bytes: bytes.to_vec(), used: 0 };
        while let Some((_, next)) = trail.read(trail.used) {
            trail.used = next;
        }
        trail
    }
    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Adds an event at the end; false where it is there already.
    pub fn push(&mut self, mark: Mark) -> bool {
        if self.marks().any(|known| known == mark) {
            return false;
        }
        let number = TOPICS.iter().position(|topic| *topic == mark.topic);
        let number = number.expect("a mark names one of these topics") + 1;
        let mut entry = vec![u8::try_from(number).expect("few topics")];
        varint(&mut entry, u64::from(mark.at.shard));
        varint(&mut entry, mark.at.place.cast_unsigned());
        let end = self.used + entry.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.used..end].copy_from_slice(&entry);
        self.used = end;
        true
    }
    /// The events, oldest first.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (mark, next) = self.read(at)?;
            at = next;
            Some(mark)
        })
    }
    fn read(&self, at: usize) -> Option<(Mark, usize)> {
        let number = usize::from(*self.bytes.get(at)?);
        let topic = TOPICS.get(number.checked_sub(1)?)?;
        let (shard, at) = number_at(&self.bytes, at + 1)?;
        let (place, at) = number_at(&self.bytes, at)?;
        let at_place = EventPlace { shard: u32::try_from(shard).ok()?, place: place.cast_signed() };
        Some((Mark { topic, at: at_place }, at))
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number_at(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((number, at));
        }
    }
    None
}
