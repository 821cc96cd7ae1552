//! The systems trace audit number, field 11.

use std::fmt;

/// Six digits that name a message among those of a terminal and a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stan(u32);

/// The largest.
const MOST: u32 = 999_999;

impl Stan {
    /// The one before which none is.
    pub const FIRST: Self = Self(1);

    /// 0 to 999,999.
    pub fn new(number: u32) -> Option<Self> {
        (number <= MOST).then_some(Self(number))
    }

    /// Reads six digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The one after this; after 999,999 comes 1.
    #[must_use]
    pub fn next(self) -> Self {
        if self.0 >= MOST { Self::FIRST } else { Self(self.0 + 1) }
    }
}

impl fmt::Display for Stan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap() {
        let mut stan = Stan::new(999_998).unwrap();
        stan = stan.next();
        assert_eq!(stan.to_string(), "999999");
        assert_eq!(stan.next(), Stan::FIRST);
        assert_eq!(Stan::new(1_000_000), None);
        assert_eq!(Stan::parse("000042").map(Stan::number), Some(42));
        for bad in ["", "42", "0000042", "-00042", "00 042"] {
            assert_eq!(Stan::parse(bad), None, "{bad}");
        }
    }
}
