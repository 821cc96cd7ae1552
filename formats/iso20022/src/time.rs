//! Times and dates of the messages. A time keeps the text it came with, offset included.

use std::fmt;

/// `xs:dateTime`: the text as it stood, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTime {
    text: String,
    unix_micros: i64,
    offset_minutes: Option<i16>,
}

/// `xs:date` without an offset: `2026-11-24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z.
const LAST_MICROS: i64 = 253_402_300_799 * MICROS_PER_SECOND + 999_999;

impl DateTime {
    /// The time in UTC with milliseconds: `2026-11-24T15:33:36.123Z`. Times before 1970 and after
    /// 9999 are set to the nearest bound.
    pub fn from_unix_micros(unix_micros: i64) -> Self {
        let millis = unix_micros.clamp(0, LAST_MICROS) / 1000;
        let date = Date::from_unix_micros(millis * 1000);
        let of_day = millis % 86_400_000;
        let text = format!(
            "{date}T{:02}:{:02}:{:02}.{:03}Z",
            of_day / 3_600_000,
            of_day / 60_000 % 60,
            of_day / 1000 % 60,
            of_day % 1000
        );
        Self { text, unix_micros: millis * 1000, offset_minutes: Some(0) }
    }

    /// Reads `2023-07-13T15:29:36`, with any fraction of a second, and `Z` or `-04:00` or none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || "not a date and time such as 2026-11-24T15:33:36-05:00".to_owned();
        let date = Date::parse(text.get(..10).ok_or_else(error)?)?;
        let rest = text[10..].strip_prefix('T').ok_or_else(error)?;
        let clock = rest.get(..8).ok_or_else(error)?.as_bytes();
        if clock[2] != b':' || clock[5] != b':' {
            return Err(error());
        }
        let (hour, minute, second) = (
            two_digits(&clock[..2]).filter(|value| *value < 24).ok_or_else(error)?,
            two_digits(&clock[3..5]).filter(|value| *value < 60).ok_or_else(error)?,
            two_digits(&clock[6..]).filter(|value| *value < 60).ok_or_else(error)?,
        );
        let (fraction, zone) = fraction_and_zone(&rest[8..]).ok_or_else(error)?;
        let offset_minutes = offset(zone).ok_or_else(error)?;
        let seconds = i64::from(date.days_from_1970()) * 86_400
            + i64::from(hour) * 3600
            + i64::from(minute) * 60
            + i64::from(second)
            - i64::from(offset_minutes.unwrap_or(0)) * 60;
        let unix_micros = seconds * MICROS_PER_SECOND + fraction;
        Ok(Self { text: text.to_owned(), unix_micros, offset_minutes })
    }

    /// Microseconds since 1970 in UTC. A time without an offset is taken as UTC.
    pub fn unix_micros(&self) -> i64 {
        self.unix_micros
    }

    /// Minutes east of Greenwich, if the text says so.
    pub fn offset_minutes(&self) -> Option<i16> {
        self.offset_minutes
    }

    /// The text of the message.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Date {
    /// A date of the Gregorian calendar from year 1 to 9999, or `None`.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let valid = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day);
        valid.then_some(Self { year, month, day })
    }

    /// The date in UTC at a time between 1970 and 9999 (nearest bound beyond).
    pub fn from_unix_micros(unix_micros: i64) -> Self {
        let days = unix_micros.clamp(0, LAST_MICROS) / MICROS_PER_DAY;
        // Days to civil date, counted in eras of 400 years from 0000-03-01 (Hinnant).
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = "clamped between 1970 and 9999";
        Self {
            year: u16::try_from(year).expect(small),
            month: u8::try_from(month).expect(small),
            day: u8::try_from(day).expect(small),
        }
    }

    /// Reads `2026-11-24`. A date with an offset is refused: no network here sends one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || "not a date such as 2026-11-24".to_owned();
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(error());
        }
        let part = |range: std::ops::Range<usize>| two_digits(&bytes[range]).ok_or_else(error);
        let year = u16::from(part(0..2)?) * 100 + u16::from(part(2..4)?);
        Self::new(year, part(5..7)?, part(8..10)?).ok_or_else(error)
    }

    /// Year, month, day.
    pub fn ymd(&self) -> (u16, u8, u8) {
        (self.year, self.month, self.day)
    }

    /// `20261124`, as message identifiers carry it.
    pub fn compact(&self) -> String {
        format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }

    fn days_from_1970(&self) -> i32 {
        let shift = i32::from(self.month <= 2);
        let year = i32::from(self.year) - shift;
        let (era, year_of_era) = (year / 400, year % 400);
        let shifted_month = i32::from(self.month) + if self.month > 2 { -3 } else { 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + i32::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
            - 719_468
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn days_of_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

fn two_digits(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

/// Splits `.123456-04:00` into microseconds and `-04:00`. Digits after the sixth are cut.
fn fraction_and_zone(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 || length > 12 {
        return None;
    }
    let mut micros = 0;
    for index in 0..6 {
        let digit = if index < length { rest.as_bytes()[index] - b'0' } else { 0 };
        micros = micros * 10 + i64::from(digit);
    }
    Some((micros, &rest[length..]))
}

/// Minutes east of `Z`, `+01:00`, `-04:00` or none; outer `None` for anything else.
fn offset(text: &str) -> Option<Option<i16>> {
    match text.as_bytes() {
        [] => Some(None),
        b"Z" => Some(Some(0)),
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let minutes = two_digits(&[*tens, *ones]).filter(|value| *value < 60)?;
            let hours = two_digits(hours).filter(|value| *value <= 14)?;
            let total = i16::from(hours) * 60 + i16::from(minutes);
            (total <= 14 * 60).then_some(Some(if *sign == b'-' { -total } else { total }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_text_and_mean_one_moment() {
        for (text, micros, offset) in [
            ("1970-01-01T00:00:00Z", 0, Some(0)),
            ("2026-11-24T15:33:36.123Z", 1_795_534_416_123_000, Some(0)),
            ("2026-11-24T10:33:36.123-05:00", 1_795_534_416_123_000, Some(-300)),
            ("2026-11-24T15:33:36", 1_795_534_416_000_000, None),
            ("2024-02-29T23:59:59.999999999+14:00", 1_709_200_799_999_999, Some(840)),
            ("0001-01-01T00:00:00", -62_135_596_800_000_000, None),
        ] {
            let time = DateTime::parse(text).unwrap();
            assert_eq!((time.unix_micros(), time.offset_minutes()), (micros, offset), "{text}");
            assert_eq!(time.as_str(), text);
        }
        assert_eq!(
            DateTime::from_unix_micros(1_795_534_416_123_999).as_str(),
            "2026-11-24T15:33:36.123Z"
        );
        assert_eq!(DateTime::from_unix_micros(-5).as_str(), "1970-01-01T00:00:00.000Z");
        assert_eq!(DateTime::from_unix_micros(i64::MAX).as_str(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-24",
            "2026-11-24 15:33:36Z",
            "2026-11-24T15:33",
            "2026-11-24T24:00:00Z",
            "2026-11-24T15:60:00Z",
            "2026-11-24T15:33:60Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-24T15:33:36.Z",
            "2026-11-24T15:33:36z",
            "2026-11-24T15:33:36+0500",
            "2026-11-24T15:33:36+15:00",
            "2026-11-24T15:33:36-00:60",
            "2026-11-24T15:33:36.1234567890123Z",
            "+026-11-24T15:33:36Z",
            "0000-01-01T00:00:00Z",
            "2026-11-24T15:33:3\u{663}",
        ] {
            assert!(DateTime::parse(text).is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn dates_there_and_back() {
        for day in (0..LAST_MICROS / MICROS_PER_DAY).step_by(37) {
            let date = Date::from_unix_micros(day * MICROS_PER_DAY);
            assert_eq!(i64::from(date.days_from_1970()), day);
            assert_eq!(Date::parse(&date.to_string()), Ok(date));
        }
        assert!(Date::parse("2026-11-24Z").is_err());
    }
}
