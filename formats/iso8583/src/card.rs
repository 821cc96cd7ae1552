//! The card: its number and expiry, which mask themselves.

use std::fmt;

use zeroize::Zeroize;

/// A primary account number: 8 to 19 digits. `Debug` and `Display` show the first six and the last
/// four; it is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Pan(String);

impl Pan {
    /// Reads 8 to 19 digits (ISO/IEC 7812). The check digit is [`Pan::passes_luhn`]'s business,
    /// since a host may answer about a number that fails it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        (digits && (8..=19).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// All digits, in the clear.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B).
    pub fn passes_luhn(&self) -> bool {
        let digits = self.0.bytes().rev().map(|byte| u32::from(byte - b'0'));
        let sum: u32 = digits
            .enumerate()
            .map(|(index, digit)| match index % 2 {
                0 => digit,
                _ if digit > 4 => 2 * digit - 9,
                _ => 2 * digit,
            })
            .sum();
        sum.is_multiple_of(10)
    }

    /// The last four digits.
    pub fn last_four(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl fmt::Display for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a number so short that ten digits are most of it, the last four only.
        let shown = if self.0.len() >= 13 { 6 } else { 0 };
        let stars = "*".repeat(self.0.len() - 4 - shown);
        write!(f, "{}{stars}{}", &self.0[..shown], self.last_four())
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pan({self})")
    }
}

impl Drop for Pan {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The month in which a card expires, YYMM. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    year: u8,
    month: u8,
}

impl Expiry {
    /// Year of the century 0 to 99, month 1 to 12.
    pub fn new(year: u8, month: u8) -> Option<Self> {
        (year <= 99 && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    /// Reads YYMM.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| Self::new(text[..2].parse().ok()?, text[2..].parse().ok()?)).flatten()
    }

    /// YYMM, in the clear.
    pub fn expose(self) -> String {
        format!("{:02}{:02}", self.year, self.month)
    }

    /// Year of the century.
    pub fn year(self) -> u8 {
        self.year
    }

    /// 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expiry(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mask_themselves() {
        let pan = Pan::parse("4111111111111111").unwrap();
        assert_eq!(pan.to_string(), "411111******1111");
        assert_eq!(format!("{pan:?}"), "Pan(411111******1111)");
        assert_eq!(pan.expose(), "4111111111111111");
        assert_eq!(Pan::parse("12345678").unwrap().to_string(), "****5678");
        for bad in ["", "1234567", "12345678901234567890", "411111111111111a", "41111111 1111111"] {
            assert_eq!(Pan::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{:?}", Expiry::parse("2912")), "Some(Expiry(****))");
    }

    #[test]
    fn check_digits() {
        for good in [
            "4111111111111111",
            "5555555555554444",
            "6011111111111117",
            "371111111111114",
            "4111100010002000",
        ] {
            let pan = Pan::parse(good).unwrap();
            assert!(pan.passes_luhn(), "{good}");
            for wrong in 0..10 {
                let other = format!("{}{wrong}", &good[..good.len() - 1]);
                assert_eq!(Pan::parse(&other).unwrap().passes_luhn(), other == good, "{other}");
            }
        }
    }

    #[test]
    fn expiries() {
        assert_eq!(Expiry::parse("2912").unwrap().expose(), "2912");
        for bad in ["", "2913", "2900", "291", "29122", "2a12", "+101"] {
            assert_eq!(Expiry::parse(bad), None, "{bad}");
        }
    }
}
