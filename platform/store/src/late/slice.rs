//! One slice of a tail: records in the order they came, and for each key its newest record.
//!
//! A record is numbered for ever (its index only grows); the oldest go when they are merged and no
//! reader needs them, the newest go when their transaction is rolled back.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::collections::VecDeque;

/// Records per piece of memory.
const PER_CHUNK: u64 = 64;
/// "No older record of this key."
const NONE: u64 = u64::MAX;
/// Bytes before the key: the id and the index of the key's record before.
const HEAD: usize = 16;

/// Hash of a key; fixed, since the slices of the tree are cut by it. FNV-1a, then mixed.
pub(super) fn hash(key: &[u8]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        h = (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// The slice of a hash. Bits that the hash table does not look at: it uses the lowest and the
/// highest.
pub(super) fn slice_of(hash: u64) -> u8 {
    (hash >> 40).to_le_bytes()[0]
}

fn word(bytes: &[u8]) -> [u8; 8] {
    bytes.try_into().expect("the caller cuts eight bytes")
}

struct Records {
    stride: usize,
    key: usize,
    chunks: VecDeque<Vec<u8>>,
    /// Index of the first record in `chunks`.
    first: u64,
}

/// A record, read in place.
#[derive(Clone, Copy)]
pub(super) struct Record<'s> {
    bytes: &'s [u8],
    key: usize,
}

impl<'s> Record<'s> {
    pub(super) fn id(&self) -> i64 {
        i64::from_le_bytes(word(&self.bytes[..8]))
    }
    fn before(&self) -> u64 {
        u64::from_le_bytes(word(&self.bytes[8..HEAD]))
    }
    pub(super) fn key(&self) -> &'s [u8] {
        &self.bytes[HEAD..HEAD + self.key]
    }
    pub(super) fn payload(&self) -> &'s [u8] {
        &self.bytes[HEAD + self.key..]
    }
}

impl Records {
    fn get(&self, index: u64) -> Record<'_> {
        let at = index - self.first;
        let chunk = &self.chunks[usize::try_from(at / PER_CHUNK).expect("it is in memory")];
        let from = usize::try_from(at % PER_CHUNK).expect("below 64") * self.stride;
        Record { bytes: &chunk[from..from + self.stride], key: self.key }
    }
}

pub(super) struct Slice {
    records: Records,
    heads: HashTable<u64>,
    /// Records below are gone.
    base: u64,
    /// Records below are in the tree, durably.
    merged: u64,
    /// The index of the next record.
    next: u64,
}

impl Slice {
    /// An empty slice with room for `expected` keys.
    pub(super) fn new(key: usize, payload: usize, expected: usize) -> Slice {
        let records =
            Records { stride: HEAD + key + payload, key, chunks: VecDeque::new(), first: 0 };
        Slice { records, heads: HashTable::with_capacity(expected), base: 0, merged: 0, next: 0 }
    }

    /// Records that are not in the tree yet.
    pub(super) fn unmerged(&self) -> u64 {
        self.next - self.merged
    }

    /// Index of the first record that is not in the tree yet.
    pub(super) fn merged(&self) -> u64 {
        self.merged
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn get(&self, index: u64) -> Record<'_> {
        self.records.get(index)
    }

    pub(super) fn push(&mut self, hash_of_key: u64, key: &[u8], id: i64, payload: &[u8]) {
        let Slice { records, heads, base, next, .. } = self;
        let slot = heads.entry(
            hash_of_key,
            |&i| records.get(i).key() == key,
            |&i| hash(records.get(i).key()),
        );
        let before = match slot {
            Slot::Occupied(mut slot) => std::mem::replace(slot.get_mut(), *next),
            Slot::Vacant(slot) => {
                slot.insert(*next);
                NONE
            }
        };
        assert!(before == NONE || before >= *base, "a head is always in memory");
        let at = *next - records.first;
        if at % PER_CHUNK == 0 {
            let bytes = usize::try_from(PER_CHUNK).expect("64") * records.stride;
            records.chunks.push_back(Vec::with_capacity(bytes));
        }
        let chunk = records.chunks.back_mut().expect("one was just made, or has room");
        chunk.extend_from_slice(&id.to_le_bytes());
        chunk.extend_from_slice(&before.to_le_bytes());
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(payload);
        *next += 1;
    }

    /// Takes the newest record back.
    pub(super) fn pop(&mut self) {
        assert!(self.next > self.merged, "what is merged was committed");
        let Slice { records, heads, base, next, .. } = self;
        let index = *next - 1;
        let record = records.get(index);
        let (before, h) = (record.before(), hash(record.key()));
        if let Ok(mut slot) = heads.find_entry(h, |&i| i == index) {
            if before == NONE || before < *base {
                slot.remove();
            } else {
                *slot.get_mut() = before;
            }
        }
        let chunk = records.chunks.back_mut().expect("it holds the record");
        chunk.truncate(chunk.len() - records.stride);
        if chunk.is_empty() {
            records.chunks.pop_back();
        }
        *next = index;
    }

    /// The merge of the records below `upto` is durable.
    pub(super) fn set_merged(&mut self, upto: u64) {
        self.merged = upto;
    }

    /// Forgets the records below `upto`, which all readers find in the tree.
    pub(super) fn forget(&mut self, upto: u64) {
        let Slice { records, heads, base, next, .. } = self;
        for index in *base..upto {
            let h = hash(records.get(index).key());
            if let Ok(slot) = heads.find_entry(h, |&i| i == index) {
                slot.remove();
            }
        }
        *base = upto.max(*base);
        if *base == *next {
            records.chunks.clear();
            records.first = *base;
        }
        while *base - records.first >= PER_CHUNK {
            records.chunks.pop_front();
            records.first += PER_CHUNK;
        }
    }

    /// The records of a key, newest first.
    pub(super) fn of_key<'s>(
        &'s self,
        hash_of_key: u64,
        key: &[u8],
    ) -> impl Iterator<Item = Record<'s>> + use<'s> {
        let head = self.heads.find(hash_of_key, |&i| self.records.get(i).key() == key).copied();
        let mut at = head.unwrap_or(NONE);
        std::iter::from_fn(move || {
            if at == NONE || at < self.base {
                return None;
            }
            let record = self.records.get(at);
            at = record.before();
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests {
    //! The slice alone.
    use super::*;

    fn ids(slice: &Slice, key: &[u8]) -> Vec<i64> {
        slice.of_key(hash(key), key).map(|r| r.id()).collect()
    }

    #[test]
    fn push_pop_forget() {
        let mut slice = Slice::new(1, 2, 0);
        for id in 0..1000_i64 {
            let key = [u8::try_from(id % 7).unwrap()];
            slice.push(hash(&key), &key, id, &[1, 2]);
        }
        assert_eq!(ids(&slice, &[0])[..2], [994, 987]);
        slice.pop();
        for _ in 0..5 {
            slice.pop();
        }
        assert_eq!(ids(&slice, &[0])[..2], [987, 980]);
        slice.set_merged(900);
        slice.forget(900);
        assert_eq!(ids(&slice, &[0]), (129..=141).rev().map(|i| i * 7).collect::<Vec<_>>());
        assert!(slice.records.chunks.len() <= 3);
        slice.set_merged(994);
        slice.forget(994);
        assert!(ids(&slice, &[0]).is_empty() && slice.heads.is_empty());
        slice.push(hash(&[0]), &[0], 2000, &[3, 4]);
        assert_eq!(ids(&slice, &[0]), [2000]);
        slice.pop();
        assert!(slice.heads.is_empty());
    }

    #[test]
    fn the_hash_is_fixed() {
        // The tree on disk is cut by it: if this changes, every late index must be rebuilt.
        assert_eq!(slice_of(hash(b"")), SLICE_OF_EMPTY);
        assert_eq!(slice_of(hash(b"switchyard")), SLICE_OF_NAME);
        let mut seen = [0_u32; 256];
        for i in 0..25_600_u64 {
            seen[usize::from(slice_of(hash(&i.to_be_bytes())))] += 1;
        }
        assert!(seen.iter().all(|n| (50..200).contains(n)));
    }
    const SLICE_OF_EMPTY: u8 = 31;
    const SLICE_OF_NAME: u8 = 179;
}
