//! Several processes on one database: who numbers, who reads what, and who finds out about whom.

use std::sync::Arc;

use eventlog::{Cursor, Error, Share, Stored};
use store::Sql;

use crate::bed::{Bed, Open, TOPIC, append, numbers};

fn on_postgres(shards: u32) -> Option<Bed> {
    Bed::new(store::Engine::Postgres, shards)
}

fn process(bed: &Bed, number: i64) -> Open {
    let mut open = bed.open();
    open.log.writes(number, &[TOPIC]);
    open
}

/// A whole transaction that begins as a process's writer does; the topics that others wrote.
fn commit(open: &mut Open, shards: &[u32]) -> Vec<&'static str> {
    let mut tx = open.writer.begin().unwrap();
    let others = open.log.begin(&mut tx).unwrap();
    append(&mut open.log, &mut tx, shards);
    open.log.stamp(&mut tx).unwrap();
    tx.commit().unwrap();
    open.log.committed();
    others
}

#[test]
fn two_writers_number_one_stream() {
    for shards in [1, 4, 64] {
        let Some(bed) = on_postgres(shards) else { return };
        let (mut one, mut other) = (process(&bed, 1), process(&bed, 2));
        let all: Vec<u32> = (0..2 * shards).map(|number| number % shards).collect();
        for round in 0..4 {
            let writers =
                if round % 2 == 0 { [&mut one, &mut other] } else { [&mut other, &mut one] };
            for writer in writers {
                commit(writer, &all);
            }
        }
        let mut reader = bed.open();
        let events = reader.read_all(&mut Cursor::start(shards), 7);
        for of_shard in numbers(&events, shards) {
            assert_eq!(of_shard, (1..=16).collect::<Vec<i64>>());
        }
    }
}

#[test]
fn a_writer_learns_that_another_wrote() {
    let Some(bed) = on_postgres(4) else { return };
    let (mut one, mut other) = (process(&bed, 1), process(&bed, 2));
    assert_eq!(commit(&mut one, &[0]), [TOPIC], "at the start nothing is known");
    assert_eq!(commit(&mut one, &[1]), [""; 0]);
    // Another one writes something else than events.
    commit(&mut other, &[]);
    // What is rolled back teaches nothing for good.
    let mut tx = one.writer.begin().unwrap();
    assert_eq!(one.log.begin(&mut tx).unwrap(), [TOPIC]);
    tx.rollback().unwrap();
    one.log.rolled_back();
    assert_eq!(commit(&mut one, &[2]), [TOPIC]);
    assert_eq!(commit(&mut one, &[2]), [""; 0]);
    assert_eq!(commit(&mut other, &[0]), [TOPIC]);
}

/// The row says that this process wrote last, but not this: a COMMIT whose answer was lost, or a
/// standby that was promoted and had less.
#[test]
fn a_writer_learns_that_its_own_end_is_another() {
    let Some(bed) = on_postgres(4) else { return };
    let mut own = process(&bed, 1);
    commit(&mut own, &[0, 1]);
    assert_eq!(commit(&mut own, &[0]), [""; 0], "nothing is void");
    let mut tx = own.writer.begin().unwrap();
    let back = Sql::new(
        "UPDATE head SET sequences = decode(repeat('0000000000000001', 2) || repeat('00', 16), 'hex') \
         WHERE topic = 'ledger'",
    );
    tx.execute(&back, &[]).unwrap();
    tx.execute(&Sql::new("DELETE FROM event_ledger WHERE sequence > 1"), &[]).unwrap();
    tx.commit().unwrap();
    assert_eq!(commit(&mut own, &[0]), [TOPIC], "what is remembered is void");
    assert_eq!(commit(&mut own, &[0]), [""; 0]);
    assert_eq!(own.log.max_sequence(TOPIC, 0), 3);
}

#[test]
fn a_number_that_was_not_given_is_refused() {
    let Some(bed) = on_postgres(4) else { return };
    let (mut one, mut other) = (process(&bed, 1), process(&bed, 2));
    commit(&mut one, &[0, 1]);
    commit(&mut other, &[0, 1]);
    let events: Vec<_> = one.read_all(&mut Cursor::start(4), 9).into_iter().map(Arc::new).collect();
    assert_eq!(events.len(), 2, "it has not looked since");
    let mut next = Stored::clone(&events[0]);
    let mut tx = one.writer.begin().unwrap();
    next.sequence = 2;
    let there = one.log.refuse_ahead(&mut tx, TOPIC, &[Arc::new(next.clone())]);
    assert!(there.is_ok(), "what others wrote meanwhile is there: {there:?}");
    next.sequence = 3;
    let ahead = one.log.refuse_ahead(&mut tx, TOPIC, &[Arc::clone(&events[0]), Arc::new(next)]);
    assert!(matches!(ahead, Err(Error::Ahead { end: 2, found: 3, .. })), "{ahead:?}");
    tx.rollback().unwrap();
}

#[test]
fn numbers_from_memory_that_is_old_are_refused() {
    let Some(bed) = on_postgres(4) else { return };
    let (mut one, mut other) = (process(&bed, 1), process(&bed, 2));
    commit(&mut one, &[0, 1]);
    // It does not ask before it numbers.
    let mut tx = other.writer.begin().unwrap();
    let numbered = other.log.number(TOPIC, 3);
    let event = eventlog::NewEvent {
        shard: 3,
        sequence: numbered.sequence,
        place: numbered.place,
        key: 1,
        kind: 7,
        at: contracts::Timestamp(1),
        trace: None,
        payload: Vec::new(),
    };
    let refused = other.log.append_many(&mut tx, TOPIC, vec![event]);
    assert!(matches!(refused, Err(Error::Overtaken { .. })), "{refused:?}");
    tx.rollback().unwrap();
    other.log.rolled_back();
    commit(&mut other, &[3]);
}

#[test]
fn a_reader_elsewhere_sees_new_events_once_it_looks() {
    let Some(bed) = on_postgres(4) else { return };
    let (mut writer, mut reader) = (process(&bed, 1), bed.open());
    let mut cursor = Cursor::start(4);
    commit(&mut writer, &[0, 1, 1, 3]);
    assert!(reader.read_all(&mut cursor, 10).is_empty(), "nobody told it");
    let mut tx = reader.writer.begin().unwrap();
    assert_eq!(reader.log.look(&mut tx).unwrap(), [TOPIC]);
    tx.rollback().unwrap();
    assert!(reader.log.waits(TOPIC, &cursor, Share::WHOLE));
    assert_eq!(reader.read_all(&mut cursor, 10).len(), 4);
    assert!(!reader.log.waits(TOPIC, &cursor, Share::WHOLE));
}

#[test]
fn two_readers_share_the_shards_of_a_consumer() {
    let Some(bed) = on_postgres(4) else { return };
    commit(&mut process(&bed, 1), &[0, 0, 1, 2, 2, 2, 3]);
    let read = |rank: usize, of: usize| {
        let mut open = bed.open();
        let mut tx = open.writer.begin().unwrap();
        let old = open.log.position(&mut tx, "reader", TOPIC).unwrap();
        let mut new = old.clone();
        let share = Share::new(rank, of);
        let events =
            open.log.read_share(&mut tx, (TOPIC, share), &mut new, 100, true).unwrap().len();
        let moved = open.log.cas_positions(&mut tx, &[("reader", TOPIC, &old, &new)]);
        moved.unwrap();
        tx.commit().unwrap();
        (events, open, old, new)
    };
    let (of_one, ..) = read(0, 2);
    let (of_other, mut open, old, new) = read(1, 2);
    assert_eq!((of_one, of_other), (5, 2), "shards 0 and 2, then 1 and 3");
    // Who still believes in a part that moved is fenced, whole.
    let mut tx = open.writer.begin().unwrap();
    let fenced = open.log.cas_positions(&mut tx, &[("reader", TOPIC, &old, &new)]);
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    tx.rollback().unwrap();
    assert_eq!(read(0, 1).0, 0, "nothing is left for one that takes all");
}

#[test]
fn members_come_and_go() {
    let Some(bed) = on_postgres(1) else { return };
    let mut open = bed.open();
    let mut tx = open.writer.begin().unwrap();
    let (one, other) =
        (eventlog::process_number(&mut tx).unwrap(), eventlog::process_number(&mut tx).unwrap());
    assert!(one < other);
    eventlog::join(&mut tx, other, &["ledger", "rtp"], 60_000).unwrap();
    eventlog::join(&mut tx, one, &["ledger"], 60_000).unwrap();
    eventlog::join(&mut tx, other + 1, &["ledger"], -1).unwrap();
    let seen = |tx: &mut store::Tx<'_>| {
        let members = eventlog::members(tx).unwrap();
        members.into_iter().map(|member| (member.service, member.process)).collect::<Vec<_>>()
    };
    let of = |service: &str, process| (service.to_owned(), process);
    assert_eq!(seen(&mut tx), [of("ledger", one), of("ledger", other), of("rtp", other)]);
    eventlog::leave(&mut tx, other).unwrap();
    assert_eq!(seen(&mut tx), [of("ledger", one)]);
    tx.rollback().unwrap();
}
