//! The write-ahead log stays short, whatever the load and the readers do.

use crate::bed::Bed;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{Checkpoint, Engine, Insert, Kind, Location, OnConflict, Options, Sql, Store, Writer};

static INSERT: Insert<3> = Insert::new(
    "item",
    [("id", Kind::Int), ("state", Kind::Int), ("body", Kind::Blob)],
    OnConflict::None,
);

const MIB: u64 = 1 << 20;

/// Writes about 2 MiB in each of `cycles`; returns the greatest size of the log.
fn load(bed: &Bed, writer: &mut Writer, cycles: i64, mut between: impl FnMut()) -> u64 {
    let Location::Directory(path) = &bed.location else { unreachable!() };
    let body = vec![7_u8; 8_000];
    let mut largest = 0;
    let mut tx = writer.begin().unwrap();
    let last = Sql::new("SELECT coalesce(max(id), 0) FROM item");
    let first = tx.query_one(&last, &[], |row| row.int(0)).unwrap().unwrap() + 1;
    tx.rollback().unwrap();
    for cycle in 0..cycles {
        let mut tx = writer.begin().unwrap();
        let from = first + cycle * 256;
        let ids = from..from + 256;
        tx.insert_many(&INSERT, ids, |id| [id.into(), 0.into(), body.as_slice().into()]).unwrap();
        tx.commit().unwrap();
        between();
        writer.checkpoint_if_due().unwrap();
        largest = largest.max(path.join("switchyard.db-wal").metadata().unwrap().len());
    }
    largest
}

mod alone {
    use super::*;

    /// Where others take the processor, the reader keeps its snapshot for longer, and the log grows.
    #[test]
    fn bounded_under_load() {
        let bed = Bed::new(Engine::Sqlite).unwrap();
        let (store, mut writer) = bed.open();
        let stop = AtomicBool::new(false);
        let largest = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let sql = Sql::new("SELECT id, body FROM item ORDER BY id DESC LIMIT 100");
                    store.read(|tx| tx.query(&sql, &[], |row| row.int(0))).unwrap();
                }
            });
            let largest = load(&bed, &mut writer, 150, || {});
            stop.store(true, Ordering::Relaxed);
            largest
        });
        let counters = store.counters();
        eprintln!("largest log {} MiB, {counters:?}", largest / MIB);
        assert!(largest <= 72 * MIB, "{largest}");
        assert!(counters.checkpoints > 0 && counters.log_restarts > 0, "{counters:?}");
    }
}

#[test]
fn a_long_reader_delays_but_does_not_stop() {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (store, mut writer) = bed.open();
    let sql = Sql::new("SELECT count(*) FROM item");
    let held = store
        .read(|tx| {
            tx.query_one(&sql, &[], |row| row.int(0))?;
            Ok(load(&bed, &mut writer, 45, || {}))
        })
        .unwrap();
    let restarts = store.counters().log_restarts;
    let mut cycles = 0;
    while store.counters().log_restarts == restarts && cycles < 200 {
        load(&bed, &mut writer, 1, || {});
        cycles += 1;
    }
    let counters = store.counters();
    eprintln!(
        "log while a reader held it: {} MiB, {cycles} cycles after: {counters:?}",
        held / MIB
    );
    assert!(held > 80 * MIB, "a snapshot that is held cannot be overwritten");
    assert!(counters.log_restarts > restarts, "{counters:?}");
    assert!(counters.log_frames < 16_384, "{counters:?}");
}

#[test]
fn stepped_by_hand() {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let options = Options { checkpoint_thread: false, ..Options::default() };
    let (store, mut writer) = bed.open_with(options);
    let largest =
        load(
            &bed,
            &mut writer,
            60,
            || {
                while store.checkpoint_step().unwrap() == Checkpoint::More {}
            },
        );
    let counters = store.counters();
    assert!(largest < 24 * MIB, "{largest} {counters:?}");
    assert!(counters.log_restarts > 2, "{counters:?}");
    // Without anybody who steps, the writer alone keeps the bound.
    let largest = load(&bed, &mut writer, 60, || {});
    assert!(largest <= 72 * MIB, "{largest}");
    // What was written is there after a restart.
    drop((store, writer));
    let (store, _writer) = Store::open(bed.location.clone(), Options::default()).unwrap();
    let sql = Sql::new("SELECT count(*) FROM item");
    let count = store.read(|tx| tx.query_one(&sql, &[], |row| row.int(0))).unwrap();
    assert_eq!(count, Some(120 * 256));
}
