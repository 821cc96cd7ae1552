//! Money as the messages carry it: a decimal text and a currency; here integer minor units.

use std::fmt;

/// An amount of money: never negative, at most 18 digits, in minor units of an ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    minor: i64,
    currency: [u8; 3],
}

/// 18 digits, the `totalDigits` of `ActiveCurrencyAndAmount`.
const MAX_MINOR: i64 = 999_999_999_999_999_999;

impl Amount {
    /// An amount of `minor` units (779901 = 7,799.01 USD). `None` if negative or over 18 digits, or
    /// if the currency is not three capital letters.
    pub fn new(minor: i64, currency: &str) -> Option<Self> {
        let currency: [u8; 3] = currency.as_bytes().try_into().ok()?;
        let valid = currency.iter().all(u8::is_ascii_uppercase);
        (valid && (0..=MAX_MINOR).contains(&minor)).then_some(Self { minor, currency })
    }

    /// Reads the text of an amount element: digits, and at most one point with at most the digits
    /// that the currency has. Signs, exponents, blanks, separators are refused.
    pub fn parse(text: &str, currency: &str) -> Result<Self, String> {
        let digits = minor_unit_digits(currency);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err("no digits".to_owned());
        }
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err("an amount has digits and one decimal point only".to_owned());
        }
        if fraction.len() > digits {
            return Err(format!("{currency} has {digits} decimals"));
        }
        let padding = std::iter::repeat_n(b'0', digits - fraction.len());
        let mut minor: i64 = 0;
        for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
            minor = minor
                .checked_mul(10)
                .and_then(|value| value.checked_add(i64::from(digit - b'0')))
                .ok_or("more than 18 digits")?;
        }
        Self::new(minor, currency).ok_or_else(|| "more than 18 digits, or no currency".to_owned())
    }

    /// Minor units.
    pub fn minor(&self) -> i64 {
        self.minor
    }

    /// ISO 4217 code.
    pub fn currency(&self) -> &str {
        std::str::from_utf8(&self.currency).expect("made of capital ASCII letters only")
    }
}

impl fmt::Display for Amount {
    /// The element's text: `7799.01`, always with all decimals of the currency.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = minor_unit_digits(self.currency());
        if digits == 0 {
            return write!(f, "{}", self.minor);
        }
        let unit = 10_i64.pow(u32::try_from(digits).expect("at most 4"));
        write!(f, "{}.{:0digits$}", self.minor / unit, self.minor % unit)
    }
}

/// Digits after the decimal point, ISO 4217's minor unit: 2 for all that are not listed.
pub fn minor_unit_digits(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        for (text, currency, minor) in [
            ("7799.01", "USD", 779_901),
            ("5", "USD", 500),
            ("5.1", "USD", 510),
            ("0.01", "USD", 1),
            (".5", "USD", 50),
            ("5.", "USD", 500),
            ("007", "USD", 700),
            ("7", "JPY", 7),
            ("1.234", "KWD", 1234),
            ("9999999999999999.99", "USD", 999_999_999_999_999_999),
        ] {
            assert_eq!(Amount::parse(text, currency).map(|a| a.minor()), Ok(minor), "{text}");
        }
        for text in [
            "",
            ".",
            "-5",
            "+5",
            "1e3",
            "5.001",
            "1,000.00",
            " 5",
            "5 ",
            "0x5",
            "NaN",
            "INF",
            "1.2.3",
            "99999999999999999.99",
            "99999999999999999999999999",
            "٣",
            "5\u{a0}",
        ] {
            assert!(Amount::parse(text, "USD").is_err(), "{text:?} must be refused");
        }
        assert!(Amount::parse("5", "usd").is_err());
        assert!(Amount::parse("5", "US").is_err());
        assert!(Amount::parse("5.1", "JPY").is_err());
    }

    #[test]
    fn written_with_the_decimals_of_the_currency() {
        for (minor, currency, text) in
            [(1, "USD", "0.01"), (779_901, "USD", "7799.01"), (7, "JPY", "7"), (5, "BHD", "0.005")]
        {
            assert_eq!(Amount::new(minor, currency).unwrap().to_string(), text);
        }
        assert_eq!(Amount::new(-1, "USD"), None);
    }
}
