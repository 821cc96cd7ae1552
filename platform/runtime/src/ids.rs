//! Fresh ids: UUIDv7 whose ordered part never repeats in one writer, and random secrets.

use contracts::{Timestamp, ids::from_parts};
use uuid::Uuid;

/// Fills bytes with randomness.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// The system's.
pub(crate) fn random() -> Random {
    Box::new(|bytes| getrandom::fill(bytes).expect("the system gives random bytes"))
}

/// Makes ids. One per writer: the ordered part (48 bits of milliseconds, 12 of counter) is above
/// every one made before, also when the clock stands still or goes back.
pub struct Ids {
    last_row: i64,
    random: Random,
    pool: [u8; 4096],
    used: usize,
}

impl Ids {
    /// Ids with the system's randomness; `last_row` is the highest ordered part ever stored.
    pub fn system(last_row: i64) -> Self {
        Self::new(last_row, random())
    }
    /// Ids with this source of randomness.
    pub fn new(last_row: i64, random: Random) -> Self {
        Self { last_row, random, pool: [0; 4096], used: 4096 }
    }
    /// A fresh UUIDv7 with this bucket as its last byte.
    pub fn fresh(&mut self, machine: Timestamp, bucket: u8) -> Uuid {
        let row = (machine.millis() << 12).max(self.last_row + 1);
        assert!(row < 1 << 54, "the ordered part of an id has 54 bits until the year 2109");
        self.last_row = row;
        if self.used + 8 > self.pool.len() {
            (self.random)(&mut self.pool);
            self.used = 0;
        }
        let mut tail = [0; 8];
        tail.copy_from_slice(&self.pool[self.used..self.used + 8]);
        self.used += 8;
        tail[0] = (tail[0] & 0x3f) | 0x80;
        tail[7] = bucket;
        from_parts(row, i64::from_be_bytes(tail))
    }
    /// Fills `bytes` with randomness fit for a secret.
    pub fn secret(&mut self, bytes: &mut [u8]) {
        (self.random)(bytes);
    }
    /// The highest ordered part made so far.
    pub fn last_row(&self) -> i64 {
        self.last_row
    }
}
