//! Moments of the business clock as files have them: days and times in New York.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Time as CivilTime;
use jiff::tz::TimeZone;
use nacha::{Date, Time};

static NEW_YORK: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::get("America/New_York").expect("the zone is part of the data that is built in")
});

/// Moments of the years that a file can name: 2000 to 2099.
const FIRST_MICROS: i64 = 946_771_200_000_000;
const LAST_MICROS: i64 = 4_102_358_400_000_000;

fn local(micros: i64) -> jiff::Zoned {
    let at = Timestamp::from_microsecond(micros.clamp(FIRST_MICROS, LAST_MICROS));
    at.expect("a moment between 2000 and 2100").to_zoned(NEW_YORK.clone())
}

/// The day at a moment.
pub(super) fn date(micros: i64) -> Date {
    let day = local(micros).date();
    let part = |part: i8| u8::try_from(part).expect("months and days are positive");
    let year = u16::try_from(day.year()).expect("a year between 2000 and 2099");
    Date::new(year, part(day.month()), part(day.day())).expect("a day of the calendar")
}

/// The time of day at a moment.
pub(super) fn time(micros: i64) -> Time {
    let local = local(micros);
    let part = |part: i8| u8::try_from(part).expect("hours and minutes are positive");
    Time::new(part(local.hour()), part(local.minute())).expect("a time of day")
}

/// The moment of a time (`HHMM`) of a day.
pub(super) fn of(day: Date, time: Time) -> i64 {
    let (year, month, date) = day.parts();
    let part = |part: u8| i8::try_from(part).expect("below 100");
    let civil = i16::try_from(year)
        .ok()
        .and_then(|year| jiff::civil::Date::new(year, part(month), part(date)).ok());
    let text = time.to_string();
    let number = |text: &str| text.parse::<i8>().expect("two digits");
    let clock = CivilTime::constant(number(&text[..2]), number(&text[2..]), 0, 0);
    let zoned = civil.expect("a day of the calendar").to_datetime(clock).to_zoned(NEW_YORK.clone());
    zoned.expect("a moment between 2000 and 2100").timestamp().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_in_new_york() {
        // 2026-11-26T04:30:00Z is still the evening of the 25th there.
        let at = 1_795_667_400_000_000;
        assert_eq!((date(at).to_string(), time(at).to_string()), ("261125".into(), "2330".into()));
        assert_eq!(of(date(at), time(at)), at);
        assert_eq!(date(i64::MIN).to_string(), "000101");
        assert_eq!(date(i64::MAX).parts().0, 2099);
    }
}
