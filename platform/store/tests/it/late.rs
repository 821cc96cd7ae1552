//! The late index against a model, its readers, and its start.

use crate::bed::{Bed, on_both};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use store::late::{Entry, Found, LateIndex, LateSpec};
use store::{Engine, Error, Insert, Kind, OnConflict, Result, Select, Sql, Store, Tx, Writer};

const MANY: LateSpec = LateSpec::new("by_key", 8).payload(2).step(4);
const ONCE: LateSpec = LateSpec::new("once", 8).payload(2).step(4).unique();

static BASE: Insert<3> = Insert::new(
    "base",
    [("id", Kind::Int), ("key", Kind::Blob), ("payload", Kind::Blob)],
    OnConflict::None,
);
static BASE_BY_ID: Select<2> =
    Select::new("base", &["id"], [("id", Kind::Int), ("key", Kind::Blob)]);

type Line = ([u8; 8], i64, [u8; 2]);

fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

fn add(tx: &mut Tx<'_>, index: &LateIndex, lines: &[Line]) -> Result<()> {
    tx.insert_many(&BASE, lines, |(key, id, payload)| [(*id).into(), key.into(), payload.into()])?;
    let entries: Vec<_> =
        lines.iter().map(|(key, id, payload)| Entry { key, id: *id, payload }).collect();
    index.insert(tx, &entries)
}

fn restore(tx: &mut Tx<'_>, index: &LateIndex) -> Result<u64> {
    index.restore(tx, |tx, mark, each| {
        let sql = Sql::new("SELECT key, id, payload FROM base WHERE id > $1 ORDER BY id");
        tx.query(&sql, &[mark.into()], |row| {
            each(Entry { key: row.blob(0)?, id: row.int(1)?, payload: row.blob(2)? })
        })
        .map(drop)
    })
}

fn open(bed: &Bed, spec: LateSpec) -> (Store, Writer, LateIndex) {
    let (store, mut writer) = bed.open();
    let index = LateIndex::new(&store, spec);
    let mut tx = writer.begin().unwrap();
    restore(&mut tx, &index).unwrap();
    tx.commit().unwrap();
    (store, writer, index)
}

#[derive(Clone, Debug)]
enum Step {
    /// A transaction: keys of its rows (two with one id when the flag is set), merge first or last
    /// or not at all, commit or not.
    Transaction {
        rows: Vec<(u64, bool)>,
        first: bool,
        last: bool,
        commit: bool,
    },
    Restart,
    Scan {
        key: u64,
        before: Option<u64>,
        limit: usize,
    },
}

fn step(keys: u64) -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec((0..keys, prop::bool::weighted(0.1)), 0..12);
    let transaction = (rows, any::<bool>(), any::<bool>(), prop::bool::weighted(0.8))
        .prop_map(|(rows, first, last, commit)| Step::Transaction { rows, first, last, commit });
    let scan = (0..keys, prop::option::of(0..200_u64), 0..20_usize)
        .prop_map(|(key, before, limit)| Step::Scan { key, before, limit });
    prop_oneof![12 => transaction, 1 => Just(Step::Restart), 4 => scan]
}

/// The model: for each key its entries, oldest first.
type Model = BTreeMap<[u8; 8], Vec<Found>>;

fn expected(model: &Model, key: &[u8; 8], before: Option<i64>, limit: usize) -> Vec<Found> {
    let all = model.get(key).map_or(&[][..], Vec::as_slice);
    let fits = |f: &&Found| before.is_none_or(|b| f.id < b);
    all.iter().rev().filter(fits).take(limit).cloned().collect()
}

fn check(tx: &mut Tx<'_>, index: &LateIndex, model: &Model, keys: u64) {
    let all: Vec<_> = (0..keys).map(key).collect();
    let found = index.find_many(tx, &all).unwrap();
    for (key, found) in all.iter().zip(found) {
        assert_eq!(found, expected(model, key, None, 1).pop());
        assert_eq!(index.scan(tx, key, None, 1000).unwrap(), expected(model, key, None, 1000));
    }
}

struct Run<'b> {
    bed: &'b Bed,
    spec: LateSpec,
    keys: u64,
    open: Option<(Store, Writer, LateIndex)>,
    model: Model,
    next: i64,
    merged: usize,
}

impl Run<'_> {
    fn transaction(&mut self, rows: &[(u64, bool)], first: bool, last: bool, commit: bool) {
        let (_, writer, index) = self.open.as_mut().unwrap();
        let mut model = self.model.clone();
        let mut lines: Vec<Line> = Vec::new();
        let mut merged = 0;
        for (n, same) in rows {
            let again = lines.iter().any(|l| l.0 == key(*n) && l.1 == self.next);
            let taken = self.spec.unique && model.contains_key(&key(*n));
            if taken || (*same && again) {
                continue;
            }
            if !same || lines.is_empty() {
                self.next += 1 + i64::from(*n == 0);
            }
            let payload = [u8::try_from(n % 256).unwrap(), u8::from(*same)];
            lines.push((key(*n), self.next, payload));
            let found = Found { id: self.next, payload: payload.to_vec() };
            model.entry(key(*n)).or_default().push(found);
        }
        let mut tx = writer.begin().unwrap();
        if first {
            merged += index.merge_due(&mut tx).unwrap();
        }
        add(&mut tx, index, &lines).unwrap();
        check(&mut tx, index, &model, self.keys);
        if last {
            merged += index.merge_due(&mut tx).unwrap();
            check(&mut tx, index, &model, self.keys);
        }
        if commit {
            tx.commit().unwrap();
            index.committed();
            self.model = model;
            self.merged += merged;
        } else {
            tx.rollback().unwrap();
            index.rolled_back();
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Transaction { rows, first, last, commit } => {
                self.transaction(rows, *first, *last, *commit);
            }
            Step::Restart => {
                self.open = None;
                self.open = Some(open(self.bed, self.spec));
            }
            Step::Scan { key: n, before, limit } => {
                let (store, _, index) = self.open.as_ref().unwrap();
                let before = before.map(|b| i64::try_from(b).unwrap());
                let got = store.read(|tx| index.scan(tx, &key(*n), before, *limit)).unwrap();
                assert_eq!(got, expected(&self.model, &key(*n), before, *limit));
            }
        }
        let (store, _, index) = self.open.as_ref().unwrap();
        store
            .read(|tx| {
                check(tx, index, &self.model, self.keys);
                Ok(())
            })
            .unwrap();
    }
}

fn model(bed: &Bed, cases: u32, spec: LateSpec, keys: u64) {
    let mut merged = 0;
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let steps = prop::collection::vec(step(keys), 1..60);
    let merged_in = std::cell::Cell::new(0);
    runner
        .run(&steps, |steps| {
            let open = Some(open(bed, spec));
            let mut run = Run { bed, spec, keys, open, model: Model::new(), next: 0, merged: 0 };
            for step in &steps {
                run.apply(step);
            }
            merged_in.set(merged_in.get() + run.merged);
            let (_, writer, _) = run.open.as_mut().unwrap();
            let mut tx = writer.begin().unwrap();
            let mut tables = vec!["base", "by_key_tree", "once_tree"];
            if tx.engine() == Engine::Sqlite {
                tables.extend(["by_key_mark", "once_mark"]);
            }
            for table in tables {
                let text = Box::leak(format!("DELETE FROM {table}").into_boxed_str());
                tx.execute(&Sql::new(text), &[]).unwrap();
            }
            tx.commit().unwrap();
            Ok(())
        })
        .unwrap();
    merged += merged_in.get();
    if matches!(bed.location, store::Location::Directory(_)) {
        assert!(merged > 20, "the cases must reach the merge: {merged}");
    }
}

fn cases(bed: &Bed) -> u32 {
    if matches!(bed.location, store::Location::Directory(_)) { 150 } else { 10 }
}

on_both!(equals_the_model, equals_the_model_with_one_key, unique_equals_the_model, misuse);

fn equals_the_model(bed: &Bed) {
    model(bed, cases(bed), MANY, 40);
}

fn equals_the_model_with_one_key(bed: &Bed) {
    model(bed, cases(bed) / 2, MANY, 2);
}

fn unique_equals_the_model(bed: &Bed) {
    model(bed, cases(bed) / 3, ONCE, 300);
}

fn misuse(bed: &Bed) {
    let (_store, mut writer, index) = open(bed, ONCE);
    let mut tx = writer.begin().unwrap();
    let short = Entry { key: &[1], id: 1, payload: &[0, 0] };
    assert!(matches!(index.insert(&mut tx, &[short]), Err(Error::IndexMisuse { .. })));
    let bare = Entry { key: &key(1), id: 1, payload: &[] };
    assert!(matches!(index.insert(&mut tx, &[bare]), Err(Error::IndexMisuse { .. })));
    add(&mut tx, &index, &[(key(1), 5, [0, 0])]).unwrap();
    tx.commit().unwrap();
    index.committed();
    // The same key again, though nobody looked.
    let mut tx = writer.begin().unwrap();
    let error = add(&mut tx, &index, &[(key(1), 6, [0, 0])]).unwrap_err();
    assert!(error.is_conflict(), "{error}");
    tx.rollback().unwrap();
    index.rolled_back();
    if writer.engine() == Engine::Sqlite {
        let mut tx = writer.begin().unwrap();
        let error = add(&mut tx, &index, &[(key(2), 5, [0, 0])]).unwrap_err();
        assert!(error.to_string().contains("ids must ascend"), "{error}");
        assert!(matches!(tx.commit(), Err(Error::Aborted)));
        index.rolled_back();
    }
}

#[test]
fn a_clash_in_the_tree_is_an_alarm() {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (_store, mut writer, index) = open(&bed, ONCE.step(1));
    // Behind the back of the index the key is in the tree already.
    let commit = |writer: &mut Writer, id: i64| {
        let mut tx = writer.begin().unwrap();
        let mut result = Ok(0);
        for _ in 0..300 {
            result = result.and_then(|n| Ok(n + index.merge_due(&mut tx)?));
        }
        if let Err(error) = result {
            drop(tx);
            index.rolled_back();
            return Err(error);
        }
        add(&mut tx, &index, &[(key(7), id, [0, 0])])?;
        tx.commit()?;
        index.committed();
        Ok(())
    };
    commit(&mut writer, 1).unwrap();
    let mut tx = writer.begin().unwrap();
    let steal =
        Sql::new("INSERT INTO once_tree SELECT slice, $1, $2, $3 FROM (SELECT $4 AS slice)");
    let slice = i64::from(index_slice(&index));
    tx.execute(&steal, &[(&key(7)).into(), 0.into(), (&[0, 0]).into(), slice.into()]).unwrap();
    tx.commit().unwrap();
    let error = commit(&mut writer, 2).unwrap_err();
    assert!(matches!(error, Error::IndexClash { .. }), "{error}");
    assert!(error.to_string().contains("ALARM"), "{error}");
}

/// The slice of `key(7)`, seen in a tree that has it.
fn index_slice(_: &LateIndex) -> u8 {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (store, mut writer, index) = open(&bed, ONCE.step(1));
    for id in 1..300 {
        let mut tx = writer.begin().unwrap();
        index.merge_due(&mut tx).unwrap();
        let n = if id == 1 { 7 } else { u64::try_from(id).unwrap() + 1000 };
        add(&mut tx, &index, &[(key(n), id, [0, 0])]).unwrap();
        tx.commit().unwrap();
        index.committed();
    }
    let sql = Sql::new("SELECT slice FROM once_tree WHERE key = $1");
    let slice = store.read(|tx| tx.query_one(&sql, &[(&key(7)).into()], |row| row.int(0))).unwrap();
    u8::try_from(slice.unwrap()).unwrap()
}

/// Readers see every entry that was committed before they began, and none whose base row is not in
/// their snapshot; also when their snapshot is older than a merge.
#[test]
fn readers_beside_the_writer() {
    const KEYS: i64 = 5;
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (store, mut writer, index) = open(&bed, MANY.step(16));
    let acknowledged = AtomicI64::new(0);
    let stop = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3_u64)
            .map(|r| {
                let (store, index, acknowledged, stop) = (&store, &index, &acknowledged, &stop);
                scope.spawn(move || {
                    let mut reads = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        let upto = acknowledged.load(Ordering::SeqCst);
                        let n = i64::try_from((reads + r) % 5).unwrap();
                        // Some wait, before or after they have fixed their snapshot.
                        let wait = std::time::Duration::from_micros(reads % 7 * 400);
                        store
                            .read(|tx| {
                                if reads.is_multiple_of(2) {
                                    tx.query(
                                        &Sql::new("SELECT count(*) FROM by_key_tree"),
                                        &[],
                                        |_| Ok(()),
                                    )?;
                                }
                                std::thread::sleep(wait);
                                verify(tx, index, n, upto)
                            })
                            .unwrap();
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let mut id = 0;
        for cycle in 0..1500 {
            let mut tx = writer.begin().unwrap();
            index.merge_due(&mut tx).unwrap();
            let lines: Vec<_> = (0..20)
                .map(|i| (key(u64::try_from((id + i) % KEYS).unwrap()), id + i, [1, 2]))
                .filter(|l| l.1 > 0)
                .collect();
            add(&mut tx, &index, &lines).unwrap();
            if cycle % 5 == 4 {
                tx.rollback().unwrap();
                index.rolled_back();
                continue;
            }
            tx.commit().unwrap();
            index.committed();
            writer.checkpoint_if_due().unwrap();
            id += 20;
            acknowledged.store(id - 1, Ordering::SeqCst);
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().map(|r| r.join().unwrap()).sum::<u64>()
    });
    let sql = Sql::new("SELECT count(*) FROM by_key_tree");
    let tree = store.read(|tx| tx.query_one(&sql, &[], |row| row.int(0))).unwrap().unwrap();
    eprintln!("{reads} reads, {tree} in the tree, {} in the tail", index.tail_len());
    assert!(tree > 10_000 && reads > 300);
}

fn verify(tx: &mut Tx<'_>, index: &LateIndex, n: i64, upto: i64) -> Result<()> {
    let k = key(u64::try_from(n).unwrap());
    let limit = 300;
    let got = index.scan(tx, &k, None, limit)?;
    let ids: Vec<_> = got.iter().map(|f| f.id).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once");
    let want: Vec<_> = (1..=upto).rev().filter(|id| id % 5 == n).take(limit).collect();
    if let Some(newest) = want.first() {
        let from = ids.iter().position(|id| id == newest).expect("the newest of all acknowledged");
        let len = want.len().min(ids.len() - from);
        assert_eq!(ids[from..from + len], want[..len]);
        assert!(len == want.len() || ids.len() == limit, "none is left out");
        assert!(index.find(tx, &k)?.expect("found").id >= *newest);
    }
    let rows = tx.select_many(&BASE_BY_ID, &ids, |id| [(*id).into(), (&k).into()], |r| r.int(0))?;
    assert_eq!(rows, ids, "every row is in the snapshot");
    Ok(())
}

/// Another process has no tail: it restores one in the transaction that reads.
#[test]
fn beside_a_server() {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (_store, mut writer, index) = open(&bed, MANY);
    for id in 1..200_i64 {
        let mut tx = writer.begin().unwrap();
        index.merge_due(&mut tx).unwrap();
        add(&mut tx, &index, &[(key(1), id, [0, 0])]).unwrap();
        tx.commit().unwrap();
        index.committed();
    }
    let beside = Store::open_read_only(bed.location.clone(), Default::default()).unwrap();
    let other = LateIndex::new(&beside, MANY);
    let found = beside
        .read(|tx| {
            restore(tx, &other)?;
            other.scan(tx, &key(1), None, 1000)
        })
        .unwrap();
    assert_eq!(found.len(), 199);
}
