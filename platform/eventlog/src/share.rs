//! Which shards of a topic one of several processes consumes.

/// One of `of` equal parts: shard numbers are dealt out in turn. Two processes that believe in the
/// same part for a moment are told apart by the compare-and-set on their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    of: u32,
    rank: u32,
}

impl Share {
    /// Every shard.
    pub const WHOLE: Self = Self { of: 1, rank: 0 };
    /// None: this process does not take part yet.
    pub const NOTHING: Self = Self { of: 0, rank: 0 };
    /// Part `rank` of `of`; with none to share it with, everything.
    pub fn new(rank: usize, of: usize) -> Self {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self { of: number(of.max(1)), rank: number(rank) }
    }
    /// Whether a shard is in it.
    pub fn has(self, shard: u32) -> bool {
        self.of > 0 && shard % self.of == self.rank
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn each_shard_is_in_one_part() {
        for of in 1..=5 {
            for shard in 0..64 {
                let holders = (0..of).filter(|rank| Share::new(*rank, of).has(shard)).count();
                assert_eq!(holders, 1, "shard {shard} of {of}");
            }
        }
        assert!((0..64).all(|shard| Share::WHOLE.has(shard) && !Share::NOTHING.has(shard)));
        assert!(!Share::new(1, 2).has(0), "one shard is one process's");
    }
}
