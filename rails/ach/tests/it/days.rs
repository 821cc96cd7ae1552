//! True windows: which cut-off an entry goes with, when it settles, when its money is released. The
//! clock is moved; nothing waits for a day.

use std::{sync::Arc, time::Duration};

use calendar::{Day, TimeOfDay, Windows};
use contracts::Timestamp;
use runtime::Clock;

use super::world::{CREDIT, DEBIT, SAME_DAY, World, eventually};

/// A Wednesday that is no holiday, the day before Thanksgiving.
fn at(day: &str, hour: i8, minute: i8) -> Timestamp {
    let day: Day = day.parse().unwrap();
    day.at(TimeOfDay::new(hour, minute).unwrap())
}

#[test]
fn entries_go_settle_and_are_released_on_their_days() {
    let machine = Clock::system();
    let began = machine.now().0;
    let start = at("2031-11-26", 9, 0).0;
    let clock = Clock::from_micros(Arc::new(move || start + machine.now().0 - began));
    let world = World::with(clock.clone(), |timings| timings.ach_settlement = None);
    let mut config = world.config();
    config.at_true_pace();
    config.windows = Windows::default();
    let up = world.up_with(config);
    let to = |moment: Timestamp| {
        clock.advance_to_offset(moment.plus_micros(1_000_000).0 - clock.machine().0);
    };
    let [credit, same_day, debit, forced] = [(); 4].map(|()| world.transfer());
    up.reserve(credit, 5_000, CREDIT);
    up.reserve(same_day, 6_000, SAME_DAY);
    up.reserve(debit, 7_000, DEBIT);
    assert_eq!(up.waits(same_day).expected_on, Some(at("2031-11-26", 10, 0)));
    assert_eq!(up.waits(debit).expected_on, Some(at("2031-11-26", 17, 30)));
    // At ten the same-day entry goes; the other credit, whose type was not known, waits on.
    to(at("2031-11-26", 10, 0));
    world.until(same_day, "originated");
    assert_eq!(up.files().len(), 1);
    assert_eq!(up.waits(same_day).expected_on, Some(at("2031-11-26", 13, 0)));
    eventually("its own cut-off", || {
        up.waits(credit).expected_on == Some(at("2031-11-26", 17, 30))
    });
    let bytes = std::fs::read(world.folder("outbound").join(&up.files()[0].name)).unwrap();
    let file = nacha::parse(&bytes).unwrap();
    assert_eq!(file.header.created_time.unwrap().to_string(), "1000");
    assert_eq!(file.batches[0].header.descriptive_date, "SD1300");
    assert_eq!(file.batches[0].header.effective_date.unwrap().to_string(), "311126");
    to(at("2031-11-26", 13, 0));
    world.until(same_day, "completed");
    // The others go in the evening, and settle after the holiday.
    to(at("2031-11-26", 17, 30));
    world.until(credit, "originated");
    world.until(debit, "originated");
    assert_eq!(up.files().len(), 2);
    assert_eq!(up.waits(credit).expected_on, Some(at("2031-11-28", 8, 30)));
    // A debit is held for two banking days after it settled.
    assert_eq!(up.waits(debit).expected_on, Some(at("2031-12-02", 8, 30)));
    // A person lets what comes after it go at once, for the next settlement.
    up.reserve(forced, 8_000, CREDIT);
    assert_eq!(up.waits(forced).expected_on, Some(at("2031-11-28", 10, 0)));
    up.cut_off(1);
    world.until(forced, "originated");
    assert_eq!(up.waits(forced).expected_on, Some(at("2031-12-01", 8, 30)));
    to(at("2031-11-28", 8, 30));
    world.until(credit, "completed");
    assert_eq!(world.outcomes_of(debit).len(), 1);
    to(at("2031-12-02", 8, 30));
    world.until(debit, "completed");
    world.until(forced, "completed");
    assert_eq!(world.books().len(), 4);
    for transfer in [credit, same_day, debit, forced] {
        world.agrees(transfer);
    }
    up.crash();
}

#[test]
fn returns_that_come_with_a_moved_clock_are_read_before_money_is_released() {
    let machine = Clock::system();
    let began = machine.now().0;
    let start = at("2031-11-24", 16, 40).0;
    let clock = Clock::from_micros(Arc::new(move || start + machine.now().0 - began));
    let world = World::with(clock.clone(), |timings| {
        timings.ach_settlement = None;
        timings.ach_return = Duration::from_secs(3_600);
        timings.ach_late_return = Duration::from_secs(24 * 3_600);
    });
    let mut config = world.config();
    config.at_true_pace();
    let up = world.up_with(config);
    let (early, late) = (world.transfer(), world.transfer());
    up.reserve(early, 779_901, CREDIT);
    up.reserve(late, 779_401, CREDIT);
    up.waits(early);
    up.waits(late);
    let forward = |hours: i64| {
        let offset = clock.offset_micros() + hours * 3_600_000_000;
        clock.advance_to_offset(offset);
    };
    forward(1);
    world.until(late, "originated");
    // Else the bank takes it only after the next move.
    eventually("it is taken", || up.files()[0].status == "acknowledged");
    // Over the return, the settlement and nothing else, in one move.
    forward(15);
    world.until(early, "returned");
    assert_eq!(world.outcomes_of(early).len(), 2, "{:?}", world.outcomes_of(early));
    world.until(late, "completed");
    forward(24);
    let told = world.until(late, "returned");
    assert_eq!(told.len(), 3, "{told:?}");
    up.crash();
}

#[test]
fn on_postgresql_the_same() {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: ach on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return;
    };
    let mut world = World::new();
    let at = |url: &str| ::store::Location::Postgres(url.to_owned());
    let (store, mut writer) = ::store::Store::open(at(&url), ::store::Options::default()).unwrap();
    let mut tx = writer.begin().unwrap();
    let schema = format!("ach_it_{}", std::process::id());
    tx.execute(&::store::Sql::new(format!("CREATE SCHEMA {schema}").leak()), &[]).unwrap();
    tx.commit().unwrap();
    drop((store, writer));
    let separator = if url.contains('?') { '&' } else { '?' };
    world.location = at(&format!("{url}{separator}options=-c%20search_path%3D{schema}"));
    let config = || {
        let mut config = world.config();
        config.lease = Duration::from_secs(2);
        config
    };
    let up = world.up_with(config());
    let rows = [
        (900, CREDIT, "completed"),
        (779_901, DEBIT, "returned"),
        (779_402, CREDIT, "returned"),
        (779_801, SAME_DAY, "corrected"),
    ];
    let transfers = rows.map(|_| world.transfer());
    for (transfer, (amount, method, _)) in transfers.iter().zip(rows) {
        up.reserve(*transfer, amount, method);
        up.reserve(*transfer, amount, method);
    }
    for (transfer, (_, _, stage)) in transfers.iter().zip(rows) {
        world.until(*transfer, stage);
    }
    world.until(transfers[3], "completed");
    for transfer in transfers {
        world.agrees(transfer);
    }
    let (instructed, faults) = up.read(ach::verify);
    assert_eq!((instructed.len(), faults), (rows.len(), Vec::new()));
    let left = world.transfer();
    up.reserve(left, 900, CREDIT);
    up.waits(left);
    up.crash();
    // The next process waits until the lease of the dead one has run out.
    let up = world.up_with(config());
    world.until(left, "completed");
    world.agrees(left);
    assert_eq!(up.exceptions(), []);
    up.crash();
}
