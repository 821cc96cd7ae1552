//! The hash chain: one seal per batch and shard.
//!
//! `hash = BLAKE3(previous hash || shard || sequence || at || rows)`, the first previous hash being
//! 32 zero bytes, and rows being the batch's postings of that shard in the order of (id, tail), 80
//! bytes each. A posting names its seal, and a seal says how many postings it has; so `verify` can
//! read postings in any order and knows when it has all of one seal. An edited, missing or added
//! posting, and an edited, missing or reordered seal, is found and named.

use blake3::Hasher;

/// The previous hash of the first seal.
pub const GENESIS: [u8; 32] = [0; 32];

/// The last seal of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub sequence: i64,
    /// Microseconds; never below the seal before.
    pub at: i64,
    pub hash: [u8; 32],
}

impl Default for Head {
    fn default() -> Self {
        Self { sequence: 0, at: i64::MIN, hash: GENESIS }
    }
}

/// A posting as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostingRow {
    pub id: i64,
    pub tail: i64,
    pub bucket: u8,
    pub debit: i64,
    pub credit: i64,
    pub effect: i64,
    pub amount: i64,
    /// Available to the debit account afterwards.
    pub debit_balance: i64,
    pub credit_balance: i64,
    pub seal: i64,
}

impl PostingRow {
    /// The bytes that are hashed; their order is the order of (id, tail).
    pub fn bytes(&self) -> [u8; 80] {
        let ordered = |value: i64| value.cast_unsigned() ^ (1 << 63);
        let words = [
            ordered(self.id),
            ordered(self.tail),
            u64::from(self.bucket),
            self.debit.cast_unsigned(),
            self.credit.cast_unsigned(),
            self.effect.cast_unsigned(),
            self.amount.cast_unsigned(),
            self.debit_balance.cast_unsigned(),
            self.credit_balance.cast_unsigned(),
            self.seal.cast_unsigned(),
        ];
        let mut bytes = [0; 80];
        for (into, word) in bytes.chunks_exact_mut(8).zip(words) {
            into.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// A seal that is being made, or made again.
pub struct Sealing(Hasher);

impl Sealing {
    /// Begins the seal that follows `previous`.
    pub fn begin(previous: &[u8; 32], shard: u32, sequence: i64, at: i64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(previous);
        hasher.update(&u64::from(shard).to_be_bytes());
        hasher.update(&sequence.to_be_bytes());
        hasher.update(&at.to_be_bytes());
        Self(hasher)
    }
    /// The next posting.
    pub fn add(&mut self, row: &[u8; 80]) {
        self.0.update(row);
    }
    /// The hash.
    pub fn end(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
