//! ABA routing numbers: nine digits, of which the last makes the weighted sum a multiple of ten.

use std::fmt;

/// Whether `text` is a routing number: nine digits whose sum weighted 3-7-1 is a multiple of 10,
/// and not 000000000. Says nothing of whether a bank has it.
pub fn valid(text: &str) -> bool {
    RoutingNumber::parse(text).is_some()
}

/// The ninth digit for the first eight, or `None` if these are not eight digits.
pub fn check_digit(first_eight: &str) -> Option<char> {
    let dfi = Dfi::parse(first_eight)?;
    char::from_digit(dfi.check_digit(), 10)
}

/// A bank, by its routing number with the check digit: nine digits, never 000000000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoutingNumber(u32);

impl RoutingNumber {
    /// Reads nine digits. `None` if they are not, or the check digit is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (eight, check) = text.split_at_checked(8)?;
        let dfi = Dfi::parse(eight)?;
        let check = (check.len() == 1).then(|| check.chars().next()?.to_digit(10)).flatten()?;
        (dfi.0 != 0 && dfi.check_digit() == check).then_some(Self(dfi.0 * 10 + check))
    }

    /// Its first eight digits, as batch headers and trace numbers have them.
    pub fn dfi(self) -> Dfi {
        Dfi(self.0 / 10)
    }
}

impl fmt::Display for RoutingNumber {
    /// Nine digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:09}", self.0)
    }
}

/// A bank, by the first eight digits of its routing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dfi(u32);

impl Dfi {
    /// Reads eight digits; all zeros too, since returns of returns have such.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok().map(Self) } else { None }
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The whole routing number. `None` for 00000000.
    pub fn routing_number(self) -> Option<RoutingNumber> {
        (self.0 != 0).then(|| RoutingNumber(self.0 * 10 + self.check_digit()))
    }

    fn check_digit(self) -> u32 {
        // 3-7-1-3-7-1-3-7 from the left, so from the right:
        let weights = [7, 3, 1, 7, 3, 1, 7, 3];
        let mut rest = self.0;
        let mut sum = 0;
        for weight in weights {
            sum += rest % 10 * weight;
            rest /= 10;
        }
        (10 - sum % 10) % 10
    }
}

impl fmt::Display for Dfi {
    /// Eight digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits() {
        for good in ["021000021", "011401533", "091000019", "322271627", "111000025"] {
            assert!(valid(good), "{good}");
            for place in 0..9 {
                for digit in b'0'..=b'9' {
                    let mut other = good.as_bytes().to_vec();
                    other[place] = digit;
                    let other = String::from_utf8(other).unwrap();
                    assert_eq!(valid(&other), other == good, "{other}");
                }
            }
        }
        for bad in ["000000000", "", "02100002", "0210000210", "02100002a", "٠٢١", "0210000٢"] {
            assert!(!valid(bad), "{bad}");
        }
        assert_eq!(check_digit("02100002"), Some('1'));
        assert_eq!(check_digit("0210000"), None);
        let number = RoutingNumber::parse("011401533").unwrap();
        assert_eq!(number.dfi().to_string(), "01140153");
        assert_eq!(number.dfi().routing_number(), Some(number));
        assert_eq!(Dfi::parse("00000000").unwrap().routing_number(), None);
    }
}
