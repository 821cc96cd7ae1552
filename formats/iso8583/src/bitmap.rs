//! Which fields a message has: one to three times 64 bits, bit 1 first.

/// A set of field numbers, 1 to 192.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bitmap {
    words: [u64; 3],
}

impl Bitmap {
    /// How many words of 64 bits there can be.
    pub(crate) const WORDS: usize = 3;

    pub(crate) fn set_word(&mut self, index: usize, word: u64) {
        self.words[index] = word;
    }

    pub(crate) fn word(&self, index: usize) -> u64 {
        self.words[index]
    }

    pub(crate) fn insert(&mut self, number: u8) {
        let (index, mask) = Self::place(number);
        self.words[index] |= mask;
    }

    pub(crate) fn contains(&self, number: u8) -> bool {
        let (index, mask) = Self::place(number);
        self.words[index] & mask != 0
    }

    /// The numbers of data fields, lowest first: without 1, 65 and 129, which are about bitmaps.
    pub(crate) fn data(self) -> impl Iterator<Item = u8> {
        (2..=192).filter(|number| number % 64 != 1).filter(move |number| self.contains(*number))
    }

    /// Bit 1 is the highest of the first word.
    fn place(number: u8) -> (usize, u64) {
        let bit = usize::from(number - 1);
        (bit / 64, 1 << (63 - bit % 64))
    }
}
