//! Chance that follows from a seed.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose what happens.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The chance of one purpose under a seed; other purposes do not disturb it.
    pub fn of(seed: u64, purpose: &str) -> Self {
        let mut random = Self(seed);
        for byte in purpose.bytes() {
            random.0 ^= u64::from(byte);
            random.number();
        }
        random
    }
    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    /// A number below `most`, which is not zero.
    pub fn below(&mut self, most: u64) -> u64 {
        self.number() % most
    }
    /// An index of something that is not empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }
    /// Whether something happens that does in so many of a hundred cases.
    pub fn percent(&mut self, cases: u64) -> bool {
        self.below(100) < cases
    }
    /// Fills bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let eight = self.number().to_le_bytes();
            chunk.copy_from_slice(&eight[..chunk.len()]);
        }
    }
}
