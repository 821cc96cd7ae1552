//! Money as an entry carries it: ten digits of cents.

/// An amount of an entry in cents of US dollars: 0 to 9,999,999,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u64);

impl Amount {
    /// The most that an entry can carry: $99,999,999.99.
    pub const MAX: Self = Self(9_999_999_999);
    /// Nothing: prenotifications and notifications of change.
    pub const ZERO: Self = Self(0);

    /// `None` above [`MAX`](Self::MAX).
    pub fn new(cents: u64) -> Option<Self> {
        (cents <= Self::MAX.0).then_some(Self(cents))
    }

    /// Cents.
    pub fn cents(self) -> u64 {
        self.0
    }
}
