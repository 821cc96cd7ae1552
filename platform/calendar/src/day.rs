//! Days in New York, and moments of them.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use contracts::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use crate::holiday;

/// The rules' time zone, from the data that is built in: no file of the machine is read.
static NEW_YORK: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::get("America/New_York").expect("the zone is part of the data that is built in")
});

/// Moments before 1970 and after 9000 are taken for these: the calendar of jiff ends in 9999, and sums
/// of days must stay inside it.
const LAST_MICROS: i64 = 221_845_392_000_000_000;

/// A moment, or the nearest one of the years that have a calendar here.
pub(crate) fn clamped(at: Timestamp) -> Timestamp {
    Timestamp(at.0.clamp(0, LAST_MICROS))
}

/// A day of the calendar in New York.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub(crate) Date);

impl Day {
    /// `None` if the calendar has no such day, or the year is not one of 1970 to 9000.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        let date = Date::new(year, month, day).ok()?;
        (1970..=9000).contains(&year).then_some(Self(date))
    }

    /// The day in New York at a moment.
    pub fn of(at: Timestamp) -> Self {
        let at = jiff::Timestamp::from_microsecond(clamped(at).0).expect("between 1970 and 9000");
        Self(at.to_zoned(NEW_YORK.clone()).date())
    }

    /// Year, month, day.
    pub fn parts(self) -> (i16, i8, i8) {
        (self.0.year(), self.0.month(), self.0.day())
    }

    /// The moment at which a clock in New York shows this time on this day. A time that a clock skips
    /// in spring is the moment an hour later; of one that it shows twice in autumn, the first.
    pub fn at(self, time: TimeOfDay) -> Timestamp {
        let zoned = self.0.to_datetime(time.0).to_zoned(NEW_YORK.clone());
        Timestamp(zoned.expect("a day of 1970 to 9000").timestamp().as_microsecond())
    }

    /// Whether the Federal Reserve's banks are open: Monday to Friday, no holiday.
    pub fn is_banking_day(self) -> bool {
        let weekend = matches!(self.0.weekday(), Weekday::Saturday | Weekday::Sunday);
        !weekend && holiday(self).is_none()
    }

    /// The first banking day after this one.
    pub fn next_banking_day(self) -> Self {
        let mut next = self.tomorrow();
        while !next.is_banking_day() {
            next = next.tomorrow();
        }
        next
    }

    /// The n-th banking day after this one; this one itself where `n` is 0.
    pub fn add_banking_days(self, n: u16) -> Self {
        (0..n).fold(self, |day, _| day.next_banking_day())
    }

    pub(crate) fn tomorrow(self) -> Self {
        Self(self.0.tomorrow().expect("sums of days end long before the year 9999"))
    }
}

impl fmt::Display for Day {
    /// `2026-11-26`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        let date: Date = text.parse()?;
        Self::new(date.year(), date.month(), date.day())
            .ok_or_else(|| jiff::Error::from_args(format_args!("no year of 1970 to 9000")))
    }
}

/// What a clock on a wall shows: hours and minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(Time);

impl TimeOfDay {
    /// `None` if a day has no such minute.
    pub const fn new(hour: i8, minute: i8) -> Option<Self> {
        if 0 <= hour && hour < 24 && 0 <= minute && minute < 60 {
            Some(Self(Time::constant(hour, minute, 0, 0)))
        } else {
            None
        }
    }
}

impl fmt::Display for TimeOfDay {
    /// `17:30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}
