//! Trace numbers: which bank sent an entry, and which of its entries it is.

use std::fmt;

use crate::routing::Dfi;

/// A trace number, 15 digits: the sending bank's eight and a sequence number of seven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trace {
    odfi: Dfi,
    sequence: u32,
}

impl Trace {
    /// Highest sequence number.
    pub const SEQUENCE_MAX: u32 = 9_999_999;

    /// `None` if the sequence number has more than seven digits: it never wraps.
    pub fn new(odfi: Dfi, sequence: u32) -> Option<Self> {
        (sequence <= Self::SEQUENCE_MAX).then_some(Self { odfi, sequence })
    }

    /// Reads 15 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (odfi, sequence) = text.split_at_checked(8)?;
        let digits = sequence.len() == 7 && sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = if digits { sequence.parse().ok()? } else { return None };
        Self::new(Dfi::parse(odfi)?, sequence)
    }

    /// The bank that sent the entry.
    pub fn odfi(self) -> Dfi {
        self.odfi
    }

    /// The entry's number there.
    pub fn sequence(self) -> u32 {
        self.sequence
    }
}

impl fmt::Display for Trace {
    /// 15 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:07}", self.odfi, self.sequence)
    }
}
