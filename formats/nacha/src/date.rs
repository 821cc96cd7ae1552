//! Dates and times as the records have them: six digits and four.

use std::fmt;

/// A day, `YYMMDD`, of the years 2000 to 2099.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u8,
    month: u8,
    day: u8,
}

impl Date {
    /// A day of the calendar, `year` in full. `None` if there is no such day, or the year has not
    /// its place in two digits.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let short = u8::try_from(year.checked_sub(2000)?).ok().filter(|short| *short < 100)?;
        let days = match month {
            2 if year.is_multiple_of(4) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year: short, month, day })
    }

    /// Reads `YYMMDD`.
    pub fn parse(text: &str) -> Option<Self> {
        let [year, month, day] = pairs(text)?;
        Self::new(2000 + u16::from(year), month, day)
    }

    /// Year in full, month, day.
    pub fn parts(self) -> (u16, u8, u8) {
        (2000 + u16::from(self.year), self.month, self.day)
    }

    /// The day of the year, three digits, as settlement dates have it: `001` to `366`.
    pub fn day_of_year(self) -> String {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let leap = u16::from(self.month > 2 && self.year.is_multiple_of(4));
        let day = before[usize::from(self.month) - 1] + u16::from(self.day) + leap;
        format!("{day:03}")
    }
}

impl fmt::Display for Date {
    /// `YYMMDD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{:02}{:02}", self.year, self.month, self.day)
    }
}

/// A time of day, `HHMM`, 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    hour: u8,
    minute: u8,
}

impl Time {
    /// `None` if a day has no such minute.
    pub fn new(hour: u8, minute: u8) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    /// Reads `HHMM`.
    pub fn parse(text: &str) -> Option<Self> {
        let [hour, minute] = pairs(text)?;
        Self::new(hour, minute)
    }
}

impl fmt::Display for Time {
    /// `HHMM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{:02}", self.hour, self.minute)
    }
}

/// A text of exactly N numbers of two digits.
fn pairs<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    if bytes.len() != 2 * N || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(std::array::from_fn(|at| (bytes[2 * at] - b'0') * 10 + bytes[2 * at + 1] - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar_only() {
        for good in ["240229", "000229", "991231", "261130", "250228"] {
            assert_eq!(Date::parse(good).map(|date| date.to_string()), Some(good.to_owned()));
        }
        for bad in ["250229", "261131", "260001", "260100", "261301", "2611 1", "26113", ""] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
        for (date, day) in [("240101", "001"), ("240301", "061"), ("250301", "060")] {
            assert_eq!(Date::parse(date).unwrap().day_of_year(), day);
        }
        assert_eq!(Date::parse("241231").unwrap().day_of_year(), "366");
        assert_eq!(Date::new(1999, 1, 1), None);
        assert_eq!(Date::new(2100, 1, 1), None);
        assert_eq!(Time::parse("2359").map(|time| time.to_string()), Some("2359".to_owned()));
        assert_eq!(Time::parse("2400"), None);
    }
}
