//! Durations and moments as a person writes them: `2d`, `36h`, `1h30m`, `2026-12-01T00:00Z`.

use contracts::Timestamp;

const SECOND: i64 = 1_000_000;

/// Microseconds of `2d`, `36h`, `90s`, `500ms`, `1d12h`; `None` for anything else.
pub fn duration_micros(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, more) = rest.split_at(digits);
        let letters = more.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, more) = more.split_at(letters);
        let micros = match unit {
            "d" => 86_400 * SECOND,
            "h" => 3_600 * SECOND,
            "m" => 60 * SECOND,
            "s" => SECOND,
            "ms" => SECOND / 1_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(micros)?)?;
        rest = more;
    }
    (!text.is_empty()).then_some(sum)
}

/// A moment, RFC 3339; seconds may be left out, `Z` or an offset may not.
pub fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    // `2026-12-01T00:00Z`: put the seconds in.
    let (time, zone) = text.split_at(text.rfind(['Z', 'z', '+'])?);
    format!("{time}:00{zone}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{duration_micros, moment};

    #[test]
    fn durations() {
        assert_eq!(duration_micros("2d"), Some(172_800_000_000));
        assert_eq!(duration_micros("1d12h"), duration_micros("36h"));
        assert_eq!(duration_micros("250ms"), Some(250_000));
        for wrong in ["", "d", "2", "2 d", "-2d", "2w", "9999999999999d"] {
            assert_eq!(duration_micros(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn moments() {
        let whole = moment("2026-12-01T00:00:00Z").unwrap();
        assert_eq!(moment("2026-12-01T00:00Z"), Some(whole));
        assert_eq!(moment("2026-12-01T01:00+01:00"), Some(whole));
        assert_eq!(moment("tomorrow"), None);
    }
}
