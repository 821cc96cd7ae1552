//! The holidays of the Federal Reserve's banks.

use jiff::civil::{Date, Weekday};

use crate::Day;

/// The holiday for which the banks are closed on a day, if they are. A holiday on a Sunday closes
/// them on Monday; one on a Saturday closes them on no other day.
pub fn holiday(day: Day) -> Option<&'static str> {
    let date = day.0;
    let on_date = fixed(date);
    if on_date.is_some() || date.weekday() != Weekday::Monday {
        return on_date.or_else(|| moving(date));
    }
    moving(date).or_else(|| fixed(date.yesterday().ok()?))
}

/// Holidays of a date.
fn fixed(date: Date) -> Option<&'static str> {
    match (date.month(), date.day()) {
        (1, 1) => Some("New Year's Day"),
        // A holiday of the federal government since June 17, 2021, of the banks since 2022.
        (6, 19) if date.year() >= 2022 => Some("Juneteenth"),
        (7, 4) => Some("Independence Day"),
        (11, 11) => Some("Veterans Day"),
        (12, 25) => Some("Christmas Day"),
        _ => None,
    }
}

/// Holidays of a weekday.
fn moving(date: Date) -> Option<&'static str> {
    let week = (date.day() - 1) / 7 + 1;
    match (date.month(), date.weekday(), week) {
        (1, Weekday::Monday, 3) => Some("Martin Luther King Jr. Day"),
        (2, Weekday::Monday, 3) => Some("Presidents' Day"),
        (5, Weekday::Monday, _) if date.day() > 24 => Some("Memorial Day"),
        (9, Weekday::Monday, 1) => Some("Labor Day"),
        (10, Weekday::Monday, 2) => Some("Columbus Day"),
        (11, Weekday::Thursday, 4) => Some("Thanksgiving Day"),
        _ => None,
    }
}
