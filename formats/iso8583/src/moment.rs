//! A date and time without year or zone, as the messages carry it: MMDDhhmmss.

use std::fmt;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// MMDDhhmmss. In field 7 it is UTC; fields 13 and 12 are the terminal's own date and time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment([u8; 10]);

impl Moment {
    /// The moment of microseconds since 1970.
    pub fn from_unix_micros(micros: i64) -> Self {
        let seconds = micros.div_euclid(MICROS);
        let (month, day) = month_and_day(seconds.div_euclid(DAY));
        let second = seconds.rem_euclid(DAY);
        let numbers = [month, day, second / 3600, second / 60 % 60, second % 60];
        let mut digits = [0; 10];
        for (pair, number) in digits.chunks_exact_mut(2).zip(numbers) {
            let number = u8::try_from(number).expect("each part is below 60");
            pair[0] = b'0' + number / 10;
            pair[1] = b'0' + number % 10;
        }
        Self(digits)
    }

    /// Reads ten digits; `None` if there is no such moment in any year.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 10] = text.as_bytes().try_into().ok()?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |at: usize| (digits[at] - b'0') * 10 + (digits[at + 1] - b'0');
        let days = match number(0) {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let valid =
            (1..=days).contains(&number(2)) && number(4) < 24 && number(6) < 60 && number(8) < 60;
        valid.then_some(Self(digits))
    }

    /// Puts MMDD (fields 13) and hhmmss (field 12) together.
    pub fn of(date: &str, time: &str) -> Option<Self> {
        if date.len() != 4 {
            return None;
        }
        Self::parse(&format!("{date}{time}"))
    }

    /// MMDDhhmmss.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII digits only")
    }

    /// MMDD.
    pub fn date(&self) -> &str {
        &self.as_str()[..4]
    }

    /// hhmmss.
    pub fn time(&self) -> &str {
        &self.as_str()[4..]
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moment({self})")
    }
}

/// Month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted
/// from March, so that the leap day is the last of them.
fn month_and_day(days: i64) -> (i64, i64) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let day = (days + DAYS_TO_1970).rem_euclid(DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    ((from_march + 2) % 12 + 1, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "0101000000"),
            (951_782_400, "0229000000"),
            (951_868_800, "0301000000"),
            (1_795_534_416, "1124153336"),
            (1_798_761_599, "1231235959"),
            (-1, "1231235959"),
        ] {
            let moment = Moment::from_unix_micros(seconds * MICROS);
            assert_eq!(moment.as_str(), text);
            assert_eq!(Moment::parse(text), Some(moment));
            assert_eq!(Moment::of(moment.date(), moment.time()), Some(moment));
        }
        for bad in [
            "",
            "0229",
            "0230000000",
            "1301000000",
            "0001000000",
            "0100000000",
            "0101240000",
            "0101006000",
            "0101000060",
            "01010000000",
            "01 1000000",
            "0431000000",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
        for seconds in [i64::MIN, i64::MAX] {
            let moment = Moment::from_unix_micros(seconds);
            assert_eq!(Moment::parse(moment.as_str()), Some(moment));
        }
    }

    #[test]
    fn every_day_of_400_years() {
        let mut before = (12, 31);
        for day in 0..146_097 {
            let (month, date) = month_and_day(day);
            let next = (month, date) == (before.0, before.1 + 1)
                || date == 1 && (month == before.0 + 1 || (before, month) == ((12, 31), 1));
            assert!(next, "{day}: {before:?} {month} {date}");
            before = (month, date);
        }
        assert_eq!(before, (12, 31));
    }
}
