//! What every transport keeps (2-delivery, 4.2 and 4.4).

use contracts::exchanges::EventPlace;
use eventlog::{Cursor, Error, Log, Stored};
use store::{Sql, Value};

use crate::bed::{Bed, Open, QUIET, TOPIC, append, numbers, on_all};

on_all!(
    numbers_have_no_gap_and_order_holds_in_a_shard,
    everything_of_an_event_comes_back,
    what_was_rolled_back_is_given_again,
    an_own_event_is_read_before_the_commit_or_not,
    a_position_moves_once_and_only_with_its_effects,
    heads_and_positions_survive_a_restart,
    the_first_start_fixes_the_shards,
    a_missing_number_stops_the_reader,
    a_number_is_written_once,
    a_reader_that_is_far_behind_misses_nothing,
    a_foreign_event_is_passed_over,
    a_quiet_topic_has_no_end,
    one_event_is_found_by_its_place,
);

/// Shard numbers in a scattered order, `count` of them.
fn scattered(bed: &Bed, count: u32) -> Vec<u32> {
    (0..count).map(|number| number.wrapping_mul(7) % bed.shards).collect()
}

fn start(bed: &Bed) -> Cursor {
    Cursor::start(bed.shards)
}

fn numbers_have_no_gap_and_order_holds_in_a_shard(bed: &Bed) {
    let mut open = bed.open();
    for round in 0..5 {
        open.commit(&scattered(bed, 40 + round));
    }
    for step in [1, 7, 1_000] {
        let events = open.read_all(&mut start(bed), step);
        assert_eq!(events.len(), 210);
        for of_shard in numbers(&events, bed.shards) {
            let expected: Vec<i64> = (1..=i64::try_from(of_shard.len()).unwrap()).collect();
            assert_eq!(of_shard, expected);
        }
    }
    let total: i64 = (0..bed.shards).map(|shard| open.log.max_sequence(TOPIC, shard)).sum();
    assert_eq!(total, 210);
}

fn everything_of_an_event_comes_back(bed: &Bed) {
    let written = bed.open().commit(&scattered(bed, 9));
    // From the rows, not from memory.
    let mut events = bed.open().read_all(&mut start(bed), 100);
    let key = |event: &Stored| (event.shard, event.sequence);
    events.sort_by_key(key);
    let mut expected = written;
    expected.sort_by_key(key);
    assert_eq!(format!("{events:?}"), format!("{expected:?}"));
}

fn what_was_rolled_back_is_given_again(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&[0, 0]);
    let mut tx = open.writer.begin().unwrap();
    let lost = append(&mut open.log, &mut tx, &[0, 0, 0]);
    assert_eq!(lost.last().unwrap().sequence, 5);
    tx.rollback().unwrap();
    open.log.rolled_back();
    assert_eq!(open.log.max_sequence(TOPIC, 0), 2);
    assert_eq!(open.commit(&[0])[0].sequence, 3);
    assert_eq!(numbers(&open.read_all(&mut start(bed), 10), 1), [vec![1, 2, 3]]);
}

fn an_own_event_is_read_before_the_commit_or_not(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&[0]);
    let mut tx = open.writer.begin().unwrap();
    append(&mut open.log, &mut tx, &[0, 0]);
    let mut read = |committed_only| {
        let mut cursor = start(bed);
        open.log.read(&mut tx, TOPIC, &mut cursor, 10, committed_only).unwrap().len()
    };
    assert_eq!((read(true), read(false)), (1, 3));
    tx.commit().unwrap();
    open.log.committed();
    assert_eq!(open.read_all(&mut start(bed), 10).len(), 3);
}

fn position(open: &mut Open) -> Cursor {
    let mut tx = open.writer.begin().unwrap();
    let cursor = open.log.position(&mut tx, "reader", TOPIC).unwrap();
    tx.commit().unwrap();
    cursor
}

fn move_position(open: &mut Open, old: &Cursor, new: &Cursor) {
    let mut tx = open.writer.begin().unwrap();
    open.log.cas_positions(&mut tx, &[("reader", TOPIC, old, new)]).unwrap();
    tx.commit().unwrap();
}

fn a_position_moves_once_and_only_with_its_effects(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&scattered(bed, 10));
    let old = position(&mut open);
    let mut new = old.clone();
    open.read(&mut new, 4).unwrap();
    // Not committed: nothing moved.
    let mut tx = open.writer.begin().unwrap();
    open.log.cas_positions(&mut tx, &[("reader", TOPIC, &old, &new)]).unwrap();
    tx.rollback().unwrap();
    assert_eq!(position(&mut open), old);
    move_position(&mut open, &old, &new);
    assert_eq!(position(&mut open), new);
    // A zombie that still believes in the old one is fenced, and so are its effects.
    let mut tx = open.writer.begin().unwrap();
    append(&mut open.log, &mut tx, &[0]);
    let fenced = open.log.cas_positions(&mut tx, &[("reader", TOPIC, &old, &new)]);
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    tx.rollback().unwrap();
    open.log.rolled_back();
    assert_eq!(open.read_all(&mut new, 100).len(), 6);
}

fn heads_and_positions_survive_a_restart(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&scattered(bed, 30));
    let old = position(&mut open);
    let mut new = old.clone();
    open.read(&mut new, 11).unwrap();
    move_position(&mut open, &old, &new);
    let heads: Vec<i64> =
        (0..bed.shards).map(|shard| open.log.max_sequence(TOPIC, shard)).collect();
    drop(open);
    let mut open = bed.open();
    let again: Vec<i64> =
        (0..bed.shards).map(|shard| open.log.max_sequence(TOPIC, shard)).collect();
    assert_eq!(again, heads);
    let mut cursor = position(&mut open);
    assert_eq!(cursor, new);
    assert_eq!(open.read_all(&mut cursor, 5).len(), 19);
    assert_eq!(open.commit(&[0])[0].sequence, heads[0] + 1);
}

fn the_first_start_fixes_the_shards(bed: &Bed) {
    bed.open().commit(&[0]);
    let other = if bed.shards == 1 { 4 } else { 1 };
    assert_eq!(bed.open_with(other).log.shards(), bed.shards);
}

fn a_missing_number_stops_the_reader(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&[0, 0, 0, 0]);
    let mut tx = open.writer.begin().unwrap();
    static HOLE: Sql = Sql::new("DELETE FROM event_ledger WHERE shard = 0 AND sequence = $1");
    assert_eq!(tx.execute(&HOLE, &[Value::Int(3)]).unwrap(), 1);
    tx.commit().unwrap();
    drop(open);
    let mut open = bed.open();
    let mut cursor = start(bed);
    let found = open.read(&mut cursor, 2).unwrap();
    assert_eq!(numbers(&found, 1), [vec![1, 2]]);
    let gap = open.read(&mut cursor, 2);
    assert!(matches!(gap, Err(Error::Gap { expected: 3, found: 4, .. })), "{gap:?}");
}

fn a_number_is_written_once(bed: &Bed) {
    let mut open = bed.open();
    let written = open.commit(&[0]);
    let mut tx = open.writer.begin().unwrap();
    let again = open.log.append_many(&mut tx, TOPIC, written);
    assert!(again.is_err_and(|error| error.is_conflict()));
}

fn a_reader_that_is_far_behind_misses_nothing(bed: &Bed) {
    let mut open = bed.open();
    let mut slow = start(bed);
    let mut seen = Vec::new();
    // More than any memory of fresh events holds.
    for _ in 0..20 {
        open.commit(&scattered(bed, 1_000));
        seen.extend(open.read(&mut slow, 100).unwrap());
    }
    seen.extend(open.read_all(&mut slow, 2_000));
    assert_eq!(seen.len(), 20_000);
    for of_shard in numbers(&seen, bed.shards) {
        assert!(of_shard.iter().copied().eq(1..=i64::try_from(of_shard.len()).unwrap()));
    }
}

fn a_foreign_event_is_passed_over(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&[0, 0, 0]);
    let mut cursor = start(bed);
    open.log.skip(TOPIC, &mut cursor, |kind| eventlog::kind_of(kind) != 7);
    assert_eq!(cursor, start(bed), "these are its own");
    open.log.skip(TOPIC, &mut cursor, |kind| eventlog::kind_of(kind) == 7);
    // A transport may pass over them only when it reads them.
    let left = open.read_all(&mut cursor, 10).len();
    assert!(left == 0 || left == 3, "{left}");
}

fn a_quiet_topic_has_no_end(bed: &Bed) {
    let mut open = bed.open();
    open.commit(&[0]);
    let mut tx = open.writer.begin().unwrap();
    let mut cursor = start(bed);
    assert!(open.log.read(&mut tx, QUIET, &mut cursor, 10, false).unwrap().is_empty());
    assert_eq!((open.log.max_sequence(QUIET, 0), cursor), (0, start(bed)));
}

fn one_event_is_found_by_its_place(bed: &Bed) {
    let mut open = bed.open();
    let written = open.commit(&scattered(bed, 6));
    let mut tx = open.writer.begin().unwrap();
    let place = |event: &Stored| EventPlace { shard: event.shard, place: event.place };
    for event in &written {
        let found = Log::one(&mut tx, TOPIC, place(event)).unwrap().unwrap();
        assert_eq!(found.payload, event.payload);
    }
    let nowhere = EventPlace { shard: 0, place: 1_000_000 };
    assert!(Log::one(&mut tx, TOPIC, nowhere).unwrap().is_none());
    // Many at once: those that there are, in the order that was asked for.
    let mut places: Vec<EventPlace> = written.iter().rev().map(place).collect();
    let asked = places.clone();
    places.insert(2, nowhere);
    let found = Log::some(&mut tx, TOPIC, &places).unwrap();
    assert_eq!(found.iter().map(place).collect::<Vec<_>>(), asked);
}
