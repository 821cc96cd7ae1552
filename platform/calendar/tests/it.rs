//! Banking days and cut-offs: tables of known days, ten years of days, changes of the clock, and the
//! reference data of `SWITCHYARD_VECTORS`.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::path::{Path, PathBuf};

use calendar::{Cutoff, Day, Kind, SameDayWindow, TimeOfDay, Windows, holiday};
use contracts::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days(from: &str, to: &str) -> impl Iterator<Item = Day> {
    const DAY: i64 = 86_400_000_000;
    let noon = |day: Day| day.at(TimeOfDay::new(12, 0).unwrap());
    let (first, last) = (noon(day(from)), noon(day(to)));
    let count = (last.0 - first.0 + DAY / 2) / DAY;
    // Noon is noon give or take the hour by which clocks are changed.
    (0..=count).map(move |number| Day::of(first.plus_micros(number * DAY)))
}

#[test]
fn holidays_on_weekends() {
    for (text, name) in [
        ("2026-07-03", None),
        ("2026-07-04", Some("Independence Day")),
        ("2027-06-18", None),
        ("2027-12-24", None),
        ("2027-12-31", None),
        ("2027-07-05", Some("Independence Day")),
        ("2023-01-02", Some("New Year's Day")),
        ("2022-06-20", Some("Juneteenth")),
        ("2021-06-18", None),
        ("2024-05-27", Some("Memorial Day")),
        ("2026-11-26", Some("Thanksgiving Day")),
        ("2026-11-27", None),
    ] {
        assert_eq!(holiday(day(text)), name, "{text}");
    }
    assert!(day("2027-12-24").is_banking_day());
    assert!(!day("2027-12-25").is_banking_day());
}

#[test]
fn year_ends() {
    for (from, next) in [
        ("2026-12-31", "2027-01-04"),
        ("2027-12-31", "2028-01-03"),
        ("2022-12-30", "2023-01-03"),
        ("2028-12-29", "2029-01-02"),
    ] {
        assert_eq!(day(from).next_banking_day(), day(next));
        assert_eq!(day(from).add_banking_days(1), day(next));
    }
    assert_eq!(day("2026-12-31").add_banking_days(0), day("2026-12-31"));
}

#[test]
fn ten_years_of_days() {
    let windows = Windows::default();
    let mut count = 0;
    let mut before = None;
    for day in days("2020-01-01", "2031-12-31") {
        assert!(before.is_none_or(|before| before < day));
        before = Some(day);
        count += 1;
        let (_, _, of_month) = day.parts();
        assert!((1..=31).contains(&of_month));
        let next = day.next_banking_day();
        assert!(next > day && next.is_banking_day());
        let midnight = day.at(TimeOfDay::new(0, 0).unwrap());
        assert_eq!(Day::of(midnight), day);
        assert_ne!(Day::of(midnight.plus_micros(-1)), day);
        // A banking day has its cut-offs (three, one of credits, one of debits), another day has none.
        let mut seen = 0;
        for kind in [Kind::SameDay, Kind::StandardCredit, Kind::StandardDebit] {
            let mut cutoff = windows.next_cutoff(midnight.plus_micros(-1), kind);
            while Day::of(cutoff.at) == day {
                seen += 1;
                assert!(cutoff.settles_at > cutoff.at && cutoff.settlement_day.is_banking_day());
                assert_eq!(cutoff.settlement_day == day, kind == Kind::SameDay);
                assert_eq!(Day::of(cutoff.settles_at), cutoff.settlement_day);
                cutoff = windows.next_cutoff(cutoff.at, kind);
            }
        }
        assert_eq!(seen, if day.is_banking_day() { 5 } else { 0 }, "{day}");
    }
    assert_eq!(count, 4383);
}

#[test]
fn cutoffs() {
    let windows = Windows::default();
    let kinds = [Kind::SameDay, Kind::StandardCredit, Kind::StandardDebit];
    for (after, kind, cutoff, settles) in [
        // Winter: New York is five hours behind.
        ("2026-11-25T14:59:59Z", kinds[0], "2026-11-25T15:00:00Z", "2026-11-25T18:00:00Z"),
        ("2026-11-25T15:00:00Z", kinds[0], "2026-11-25T19:15:00Z", "2026-11-25T22:00:00Z"),
        ("2026-11-25T20:00:00Z", kinds[0], "2026-11-25T21:15:00Z", "2026-11-25T23:00:00Z"),
        // The last window is over, the next day is Thanksgiving.
        ("2026-11-25T21:15:00Z", kinds[0], "2026-11-27T15:00:00Z", "2026-11-27T18:00:00Z"),
        ("2026-11-25T22:29:59Z", kinds[1], "2026-11-25T22:30:00Z", "2026-11-27T13:30:00Z"),
        ("2026-11-25T22:30:00Z", kinds[1], "2026-11-27T22:30:00Z", "2026-11-30T13:30:00Z"),
        // Before midnight in New York it is still Friday.
        ("2026-11-28T04:00:00Z", kinds[2], "2026-11-30T22:30:00Z", "2026-12-01T13:30:00Z"),
        // Clocks go forward on March 8, 2026, back on November 1.
        ("2026-03-06T23:00:00Z", kinds[1], "2026-03-09T21:30:00Z", "2026-03-10T12:30:00Z"),
        ("2026-03-06T22:00:00Z", kinds[1], "2026-03-06T22:30:00Z", "2026-03-09T12:30:00Z"),
        ("2026-10-30T21:00:00Z", kinds[1], "2026-10-30T21:30:00Z", "2026-11-02T13:30:00Z"),
        ("2026-12-31T23:00:00Z", kinds[1], "2027-01-04T22:30:00Z", "2027-01-05T13:30:00Z"),
    ] {
        let found = windows.next_cutoff(at(after), kind);
        assert_eq!((found.at, found.settles_at), (at(cutoff), at(settles)), "{after} {kind:?}");
    }
}

#[test]
fn a_wall_clock_that_skips_or_repeats_an_hour() {
    let half_past = |hour| TimeOfDay::new(hour, 30).unwrap();
    assert_eq!(day("2026-03-08").at(half_past(2)), at("2026-03-08T07:30:00Z"));
    assert_eq!(day("2026-11-01").at(half_past(1)), at("2026-11-01T05:30:00Z"));
    let windows = Windows::banking(
        half_past(1),
        vec![SameDayWindow { cutoff: half_past(2), settles: half_past(3) }],
    );
    let cutoff = windows.unwrap().next_cutoff(at("2026-03-06T12:00:00Z"), Kind::SameDay);
    assert_eq!(cutoff.at, at("2026-03-09T06:30:00Z"), "a Sunday has no window to skip");
}

#[test]
fn the_fast_pace() {
    let windows = Windows::fast();
    let found = windows.next_cutoff(at("2026-11-26T12:00:01.5Z"), Kind::StandardDebit);
    let expected = Cutoff {
        at: at("2026-11-26T12:00:02Z"),
        settles_at: at("2026-11-26T12:00:04Z"),
        settlement_day: day("2026-11-26"),
    };
    assert_eq!(found, expected);
    let next = windows.next_cutoff(found.at, Kind::SameDay);
    assert_eq!(next.at, at("2026-11-26T12:00:04Z"), "what comes at a cut-off waits for the next");
    assert_eq!(windows.release(found.settles_at, 2), at("2026-11-26T12:00:06Z"));
}

#[test]
fn holds() {
    let windows = Windows::default();
    for (settled, days, release) in [
        ("2026-11-25T13:30:00Z", 2, "2026-11-30T13:30:00Z"),
        ("2026-11-25T18:00:00Z", 0, "2026-11-25T18:00:00Z"),
        ("2026-11-25T18:00:00Z", 1, "2026-11-27T13:30:00Z"),
    ] {
        assert_eq!(windows.release(at(settled), days), at(release), "{settled} {days}");
    }
}

#[test]
fn settings_that_make_no_sense() {
    let time = |hour| TimeOfDay::new(hour, 0).unwrap();
    let window = |cutoff, settles| SameDayWindow { cutoff: time(cutoff), settles: time(settles) };
    assert_eq!(Windows::banking(time(17), Vec::new()), None);
    assert_eq!(Windows::banking(time(17), vec![window(12, 13), window(11, 14)]), None);
    assert_eq!(Windows::banking(time(17), vec![window(12, 12)]), None);
    assert!(Windows::banking(time(17), vec![window(10, 13)]).is_some());
    assert_eq!(TimeOfDay::new(24, 0), None);
    assert_eq!(TimeOfDay::new(17, 30).unwrap().to_string(), "17:30");
    assert_eq!(Day::new(2026, 2, 29), None);
    assert!("9999-12-31".parse::<Day>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_moment_has_a_next_cutoff(micros in any::<i64>(), fast in any::<bool>()) {
        let windows = if fast { Windows::fast() } else { Windows::default() };
        for kind in [Kind::SameDay, Kind::StandardCredit, Kind::StandardDebit] {
            let cutoff = windows.next_cutoff(Timestamp(micros), kind);
            prop_assert!(cutoff.settles_at >= cutoff.at);
            let _ = windows.release(cutoff.settles_at, 60);
        }
    }

    #[test]
    fn no_cutoff_is_left_out(micros in 0_i64..4_000_000_000_000_000, later in 0_i64..400_000_000_000) {
        let windows = Windows::default();
        for kind in [Kind::SameDay, Kind::StandardCredit] {
            let (first, other) = (Timestamp(micros), Timestamp(micros + later));
            let (cutoff, other_cutoff) =
                (windows.next_cutoff(first, kind), windows.next_cutoff(other, kind));
            prop_assert!(cutoff.at > first && cutoff.at <= other_cutoff.at);
            prop_assert_eq!(cutoff.at <= other, cutoff.at != other_cutoff.at);
        }
    }
}

fn vectors() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("SWITCHYARD_VECTORS")
        .map_or_else(|| workspace.join("../shared/vectors"), PathBuf::from);
    let root = if root.is_absolute() { root } else { workspace.join(root) };
    if root.join("reference").is_dir() {
        return Some(root.join("reference"));
    }
    eprintln!("SKIPPED: vectors: calendar: no directory {}", root.join("reference").display());
    None
}

#[test]
fn reference_data() {
    let Some(root) = vectors() else { return };
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(root.join(name)).unwrap()).unwrap()
    };
    let table = read("fed-holidays-2018-2035.json");
    let mut checked = 0;
    for (_, rows) in table["holidays"].as_object().unwrap() {
        for row in rows.as_array().unwrap() {
            let date = day(row["Date"].as_str().unwrap());
            assert_eq!(date.is_banking_day(), row["BankingDay"].as_bool().unwrap(), "{row}");
            checked += 1;
        }
    }
    for (year, count) in table["bankingDaysInYear"].as_object().unwrap() {
        let (first, last) = (format!("{year}-01-01"), format!("{year}-12-31"));
        let ours = days(&first, &last).filter(|day| day.is_banking_day()).count();
        assert_eq!(Some(ours as u64), count.as_u64(), "{year}");
        checked += 1;
    }
    for case in read("banking-day-arithmetic.json")["cases"].as_array().unwrap() {
        let from = day(case["From"].as_str().unwrap());
        let n = u16::try_from(case["N"].as_u64().unwrap()).unwrap();
        assert_eq!(from.add_banking_days(n), day(case["To"].as_str().unwrap()), "{case}");
        checked += 1;
    }
    println!("vectors: calendar: {checked} checked, {checked} passed");
    assert!(checked > 200, "{checked}");
}
