//! Amounts as people write them: dollars and cents, exactly.

/// What is wrong with an amount, for the person who wrote it.
const RULE: &str = "Write an amount like 12.04: dollars, and cents after a point.";
const ABOVE_ZERO: &str = "The amount must be above 0.";
const TOO_LARGE: &str = "The amount is too large.";

/// Cents of `12`, `12.4`, `12.04`, `$1,234.50`. Nothing is rounded: a third digit of cents is
/// refused, as are groups of digits that are not of three.
pub fn cents(text: &str) -> Result<i64, &'static str> {
    let text = text.trim();
    let text = text.strip_prefix('$').unwrap_or(text).trim_start();
    let (dollars, fraction) = match text.split_once('.') {
        Some((dollars, fraction)) => (dollars, Some(fraction)),
        None => (text, None),
    };
    let dollars = ungrouped(dollars).ok_or(RULE)?;
    let cents = match fraction.map(str::as_bytes) {
        None => 0,
        Some([tens]) if tens.is_ascii_digit() => i64::from(tens - b'0') * 10,
        Some([tens, ones]) if tens.is_ascii_digit() && ones.is_ascii_digit() => {
            i64::from(tens - b'0') * 10 + i64::from(ones - b'0')
        }
        Some(_) => return Err(RULE),
    };
    let dollars: i64 = dollars.parse().map_err(|_| TOO_LARGE)?;
    let total = dollars.checked_mul(100).and_then(|all| all.checked_add(cents)).ok_or(TOO_LARGE)?;
    if total == 0 { Err(ABOVE_ZERO) } else { Ok(total) }
}

/// The digits without commas, which must stand before groups of three.
fn ungrouped(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split(',').collect();
    let digits = |group: &&str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let grouped = groups.len() == 1
        || (groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3));
    (groups.iter().all(digits) && grouped).then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::{ABOVE_ZERO, RULE, TOO_LARGE, cents};

    #[test]
    fn what_people_write_is_read_exactly() {
        for (text, expected) in [
            ("12", 1_200),
            ("12.4", 1_240),
            ("12.04", 1_204),
            (" $1,234.50 ", 123_450),
            ("0.01", 1),
            ("1,000,000", 100_000_000),
            ("0.29", 29),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(cents(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_refused() {
        for (text, rule) in [
            ("", RULE),
            ("abc", RULE),
            ("1.234", RULE),
            ("1.", RULE),
            (".5", RULE),
            ("-3", RULE),
            ("+3", RULE),
            ("1e3", RULE),
            ("1,23", RULE),
            ("1,2345", RULE),
            ("12 34", RULE),
            ("\u{0661}2", RULE),
            ("0", ABOVE_ZERO),
            ("0.00", ABOVE_ZERO),
            ("92233720368547758.08", TOO_LARGE),
            ("99999999999999999999", TOO_LARGE),
        ] {
            assert_eq!(cents(text), Err(rule), "{text}");
        }
    }
}
