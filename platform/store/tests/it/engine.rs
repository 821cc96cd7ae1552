//! Statements, transactions and snapshots.

use crate::bed::{Bed, on_both};
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use store::{
    Delete, Engine, Error, Insert, Kind, OnConflict, Result, Select, Sql, Tx, Update, Value,
    sea_query,
};

static INSERT: Insert<4> = Insert::new("item", COLUMNS, OnConflict::None);
static IGNORE: Insert<4> = Insert::new("item", COLUMNS, OnConflict::Nothing);
static UPSERT: Insert<4> =
    Insert::new("item", COLUMNS, OnConflict::Update { key: &["id"], set: &["state", "name"] });
const COLUMNS: [(&str, Kind); 4] =
    [("id", Kind::Int), ("state", Kind::Int), ("name", Kind::Text), ("body", Kind::Blob)];
static ADVANCE: Update<2, 1> =
    Update::new("item", [("id", Kind::Int), ("state", Kind::Int)], [("state", Kind::Int)]);
static RENAME: Update<1, 2> =
    Update::new("item", [("id", Kind::Int)], [("name", Kind::Text), ("body", Kind::Blob)]);
static LOAD: Select<1> = Select::new("item", &["id", "state", "name", "body"], [("id", Kind::Int)]);
static LOAD_BY_STATE: Select<2> =
    Select::new("item", &["id"], [("state", Kind::Int), ("name", Kind::Text)]);
static REMOVE: Delete<1> = Delete::new("item", [("id", Kind::Int)]);
static COUNT: Sql = Sql::new("SELECT count(*) FROM item");

#[derive(Clone, Debug, PartialEq)]
struct Item {
    id: i64,
    state: i64,
    name: Option<String>,
    body: Option<Vec<u8>>,
}

fn item(id: i64) -> Item {
    Item { id, state: 0, name: Some(format!("item {id}")), body: Some(vec![1, 2, 3]) }
}

fn values(item: &Item) -> [Value<'_>; 4] {
    [item.id.into(), item.state.into(), item.name.as_deref().into(), item.body.as_deref().into()]
}

fn row(row: &store::Row<'_>) -> Result<Item> {
    Ok(Item {
        id: row.int(0)?,
        state: row.int(1)?,
        name: row.opt_text(2)?.map(str::to_owned),
        body: row.opt_blob(3)?.map(<[u8]>::to_vec),
    })
}

fn load(tx: &mut Tx<'_>, ids: &[i64]) -> Vec<Item> {
    tx.select_many(&LOAD, ids, |id| [(*id).into()], row).unwrap()
}

fn count(tx: &mut Tx<'_>) -> i64 {
    tx.query_one(&COUNT, &[], |row| row.int(0)).unwrap().unwrap()
}

on_both!(
    batches,
    compare_and_set,
    conflicts,
    values_at_the_limits,
    refused_values,
    rows_of_a_wrong_kind,
    roll_back,
    after_an_error,
    single_statements,
    built_queries,
    snapshots,
    readers_queue,
    read_only,
    empty_batches,
    the_newest_of_each_key,
);

fn batches(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let items: Vec<_> = (0..300).map(item).collect();
    let mut tx = writer.begin().unwrap();
    assert_eq!(tx.insert_many(&INSERT, &items, values).unwrap(), 300);
    // In the order of the keys, and nothing for a key without a row.
    let found = load(&mut tx, &[299, 7, 1000, 0]);
    assert_eq!(found, [item(299), item(7), item(0)]);
    let renamed = [1_i64, 2, 5000];
    let hit = tx
        .update_many(&RENAME, renamed, |id| ([id.into()], ["new".into(), Value::Bytes16([9; 16])]))
        .unwrap();
    assert_eq!(hit, 2);
    assert_eq!(load(&mut tx, &[2])[0].body, Some(vec![9; 16]));
    assert_eq!(tx.delete_many(&REMOVE, [0_i64, 1, 9999], |id| [id.into()]).unwrap(), 2);
    tx.commit().unwrap();
    let mut tx = writer.begin().unwrap();
    assert_eq!(count(&mut tx), 298);
    // Several rows per key, keys of two columns.
    let keys = [(0_i64, "new"), (0, "item 4"), (1, "new")];
    let found = tx
        .select_many(&LOAD_BY_STATE, keys, |k| [k.0.into(), k.1.into()], |row| row.int(0))
        .unwrap();
    assert_eq!(found, [2, 4]);
}

fn compare_and_set(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let items: Vec<_> = (0..10).map(item).collect();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &items, values).unwrap();
    let go = |tx: &mut Tx<'_>, ids: &[i64], from: i64, to: i64| {
        tx.update_many(&ADVANCE, ids, |id| ([(*id).into(), from.into()], [to.into()])).unwrap()
    };
    assert_eq!(go(&mut tx, &[1, 2, 3], 0, 1), 3);
    // Whoever expects what is no more loses.
    assert_eq!(go(&mut tx, &[3, 4], 0, 2), 1);
    assert_eq!(go(&mut tx, &[3], 1, 2), 1);
    let states: Vec<_> = load(&mut tx, &[1, 2, 3, 4, 5]).iter().map(|i| i.state).collect();
    assert_eq!(states, [1, 1, 2, 2, 0]);
}

fn conflicts(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &[item(1), item(2)], values).unwrap();
    assert_eq!(tx.insert_many(&IGNORE, &[item(2), item(3)], values).unwrap(), 1);
    let new = Item { state: 7, name: Some("x".into()), body: None, ..item(3) };
    assert_eq!(tx.insert_many(&UPSERT, &[new, item(4)], values).unwrap(), 2);
    // The body is not in the list of columns that take the new value.
    let expected = Item { state: 7, name: Some("x".into()), ..item(3) };
    assert_eq!(load(&mut tx, &[3]), [expected]);
    tx.commit().unwrap();
    let mut tx = writer.begin().unwrap();
    let error = tx.insert_many(&INSERT, &[item(9), item(1)], values).unwrap_err();
    assert!(error.is_conflict() && !error.is_transient(), "{error}");
    drop(tx);
    let mut tx = writer.begin().unwrap();
    assert_eq!(count(&mut tx), 4, "the row before the conflict is not there");
}

fn values_at_the_limits(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let items = [
        Item { id: i64::MIN, state: i64::MAX, name: None, body: None },
        Item { id: i64::MAX, state: i64::MIN, name: Some(String::new()), body: Some(vec![]) },
        Item {
            id: 0,
            state: -1,
            name: Some("Zürich, 東京, 🦀, \u{1}, quote ' \" $1 ? \\, \u{10ffff}".into()),
            body: Some((0..=255).collect()),
        },
        Item { id: 1, state: 0, name: Some("x".repeat(100_000)), body: Some(vec![0; 1 << 20]) },
    ];
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &items, values).unwrap();
    tx.commit().unwrap();
    let mut tx = writer.begin().unwrap();
    assert_eq!(load(&mut tx, &[i64::MIN, i64::MAX, 0, 1]), items);
}

fn refused_values(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let nul = Item { name: Some("a\0b".into()), ..item(1) };
    let mut tx = writer.begin().unwrap();
    let error = tx.insert_many(&INSERT, [&nul], values).unwrap_err();
    assert!(matches!(error, Error::NulInText { index: 2, .. }), "{error}");
    drop(tx);
    let mut tx = writer.begin().unwrap();
    let error = tx
        .insert_many(&INSERT, [1_i64], |id| [id.into(), "x".into(), Value::Null, Value::Null])
        .unwrap_err();
    assert!(matches!(error, Error::Kind { index: 1, .. }), "{error}");
    drop(tx);
    let mut tx = writer.begin().unwrap();
    let sql = Sql::new("SELECT id FROM item WHERE name = $1");
    let error = tx.query(&sql, &["a\0".into()], |row| row.int(0)).unwrap_err();
    assert!(matches!(error, Error::NulInText { .. }), "{error}");
    drop(tx);
    // A constraint other than a unique key is a conflict too.
    let mut tx = writer.begin().unwrap();
    let error = tx
        .insert_many(&INSERT, [1_i64], |id| [id.into(), Value::Null, Value::Null, Value::Null])
        .unwrap_err();
    assert!(error.is_conflict(), "{error}");
}

fn rows_of_a_wrong_kind(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, [&Item { name: None, ..item(1) }], values).unwrap();
    tx.commit().unwrap();
    let sql = Sql::new("SELECT id, name, body FROM item");
    let mut fails = |f: fn(&store::Row<'_>) -> Result<()>| {
        let mut tx = writer.begin().unwrap();
        assert!(tx.query(&sql, &[], f).is_err());
    };
    fails(|row| row.text(0).map(drop));
    fails(|row| row.blob(0).map(drop));
    fails(|row| row.text(1).map(drop));
    fails(|row| row.int(2).map(drop));
    fails(|row| row.bytes::<2>(2).map(drop));
    fails(|row| row.int(3).map(drop));
    let mut tx = writer.begin().unwrap();
    let got = tx.query_one(&sql, &[], |row| Ok((row.bytes::<3>(2)?, row.opt_text(1)?.is_none())));
    assert_eq!(got.unwrap(), Some(([1, 2, 3], true)));
}

fn roll_back(bed: &Bed) {
    let (store, mut writer) = bed.open();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &[item(1)], values).unwrap();
    tx.rollback().unwrap();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &[item(1)], values).unwrap();
    drop(tx);
    let before = store.counters().commits;
    let mut tx = writer.begin().unwrap();
    assert_eq!(count(&mut tx), 0);
    tx.commit().unwrap();
    assert_eq!(store.counters().commits, before + 1);
}

fn after_an_error(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &[item(1)], values).unwrap();
    tx.insert_many(&INSERT, &[item(1)], values).unwrap_err();
    assert!(matches!(tx.query_one(&COUNT, &[], |row| row.int(0)), Err(Error::Aborted)));
    assert!(matches!(tx.commit(), Err(Error::Aborted)));
    // An error of the caller's mapping counts as well.
    let mut tx = writer.begin().unwrap();
    assert_eq!(count(&mut tx), 0);
    tx.query(&COUNT, &[], |_| Err::<(), _>(Error::Other("no".into()))).unwrap_err();
    assert!(matches!(tx.commit(), Err(Error::Aborted)));
    let mut tx = writer.begin().unwrap();
    let broken = Sql::new("SELECT nothing FROM nowhere");
    let error = tx.query(&broken, &[], |row| row.int(0)).unwrap_err();
    assert!(!error.is_transient() && !error.is_conflict(), "{error}");
    drop(tx);
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &[item(1)], values).unwrap();
    tx.commit().unwrap();
}

fn single_statements(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let items: Vec<_> = (0..20).map(item).collect();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &items, values).unwrap();
    // The same parameter twice, and in a place of another width.
    let sql = Sql::new("UPDATE item SET state = $1, name = $2 WHERE id < $3 AND state <> $1");
    assert_eq!(tx.execute(&sql, &[5.into(), "n".into(), 4.into()]).unwrap(), 4);
    let page = Sql::new("SELECT id FROM item WHERE id > $1 ORDER BY id LIMIT $2");
    assert_eq!(tx.query(&page, &[4.into(), 2.into()], |row| row.int(0)).unwrap(), [5, 6]);
    let none = tx.query_one(&page, &[99.into(), 2.into()], |row| row.int(0)).unwrap();
    assert_eq!(none, None);
    let sum = Sql::new("SELECT CAST(sum(state) AS BIGINT), max(name), 1 FROM item");
    let got =
        tx.query_one(&sql_static(&sum), &[], |r| Ok((r.int(0)?, r.text(1)?.to_owned(), r.int(2)?)));
    assert_eq!(got.unwrap(), Some((20, "n".to_owned(), 1)));
    let returning = Sql::new("UPDATE item SET state = state + $1 WHERE id = $2 RETURNING state");
    let got = tx.query_one(&returning, &[10.into(), 1.into()], |row| row.int(0)).unwrap();
    assert_eq!(got, Some(15));
    let null = Sql::new("UPDATE item SET name = $1 WHERE id = $2");
    assert_eq!(tx.execute(&null, &[Value::Null, 1.into()]).unwrap(), 1);
    assert_eq!(load(&mut tx, &[1])[0].name, None);
}

fn sql_static(sql: &Sql) -> Sql {
    *sql
}

fn built_queries(bed: &Bed) {
    let (store, mut writer) = bed.open();
    let items: Vec<_> = (0..20).map(item).collect();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &items, values).unwrap();
    tx.commit().unwrap();
    let col = Alias::new;
    let query = Query::select()
        .columns([col("id"), col("state"), col("name"), col("body")])
        .from(col("item"))
        .and_where(Expr::col(col("id")).is_in([1_i64, 5, 9, 13]))
        .and_where(Expr::col(col("name")).ne("item 5"))
        .and_where(Expr::col(col("body")).eq(vec![1_u8, 2, 3]))
        .and_where(Expr::col(col("state")).lt(100))
        .order_by(col("id"), Order::Desc)
        .limit(2)
        .to_owned();
    let found = store.read(|tx| tx.select(&query, row)).unwrap();
    assert_eq!(found, [item(13), item(9)]);
    let float = Query::select()
        .column(col("id"))
        .from(col("item"))
        .and_where(Expr::col(col("state")).lt(1.5))
        .to_owned();
    assert!(store.read(|tx| tx.select(&float, |row| row.int(0))).is_err());
}

fn add(writer: &mut store::Writer, id: i64) -> Tx<'_> {
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, [&item(id)], values).unwrap();
    tx
}

fn snapshots(bed: &Bed) {
    let (store, mut writer) = bed.open();
    add(&mut writer, 1).commit().unwrap();
    store
        .read(|reader| {
            assert_eq!(count(reader), 1);
            let tx = add(&mut writer, 2);
            assert_eq!(count(reader), 1, "nothing uncommitted is seen");
            tx.commit().unwrap();
            assert_eq!(count(reader), 1, "the snapshot stands");
            store.read(|other| {
                assert_eq!(count(other), 2, "a new reader sees it");
                Ok(())
            })
        })
        .unwrap();
    assert_eq!(store.read(|tx| Ok(count(tx))).unwrap(), 2);
    // A reader cannot write.
    let wrote = store.read(|tx| tx.insert_many(&INSERT, [&item(3)], values));
    assert!(wrote.is_err());
    assert_eq!(store.read(|tx| Ok(count(tx))).unwrap(), 2);
}

fn readers_queue(bed: &Bed) {
    let (store, _writer) = bed.open();
    let threads: Vec<_> = (0..12)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                for _ in 0..20 {
                    assert_eq!(store.read(|tx| Ok(count(tx))).unwrap(), 0);
                    store.read(|_| Err::<(), _>(Error::Other("no".into()))).unwrap_err();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // A panic gives the connection back too.
    for _ in 0..8 {
        let store = store.clone();
        let thread =
            std::thread::spawn(move || store.read(|_| -> Result<()> { panic!("on purpose") }));
        assert!(thread.join().is_err());
    }
    assert_eq!(store.read(|tx| Ok(count(tx))).unwrap(), 0);
}

fn read_only(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, [&item(1)], values).unwrap();
    tx.commit().unwrap();
    let beside =
        store::Store::open_read_only(bed.location.clone(), store::Options::default()).unwrap();
    assert_eq!(beside.read(|tx| Ok(count(tx))).unwrap(), 1);
    assert!(beside.read(|tx| tx.insert_many(&INSERT, [&item(2)], values)).is_err());
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, [&item(2)], values).unwrap();
    tx.commit().unwrap();
    assert_eq!(beside.read(|tx| Ok(count(tx))).unwrap(), 2);
    drop(writer);
    assert_eq!(beside.read(|tx| Ok(count(tx))).unwrap(), 2);
}

fn empty_batches(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let none: [Item; 0] = [];
    let mut tx = writer.begin().unwrap();
    assert_eq!(tx.insert_many(&INSERT, &none, values).unwrap(), 0);
    assert_eq!(load(&mut tx, &[]), []);
    tx.commit().unwrap();
}

#[test]
fn postgres_connection_lost() {
    let Some(bed) = Bed::new(Engine::Postgres) else { return };
    connection_lost(&bed);
}

pub fn connection_lost(bed: &Bed) {
    let (store, mut writer) = bed.open();
    let me = Sql::new("SELECT pg_backend_pid()");
    let kill = Sql::new("SELECT pg_terminate_backend(CAST($1 AS INT4))");
    // In the middle: try again.
    let mut tx = writer.begin().unwrap();
    let pid = tx.query_one(&me, &[], |row| row.int(0)).unwrap().unwrap();
    store.read(|tx| tx.query(&kill, &[pid.into()], |_| Ok(()))).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let error = tx.insert_many(&INSERT, [&item(1)], values).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(tx);
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, [&item(1)], values).unwrap();
    // At COMMIT: nobody knows.
    let pid = tx.query_one(&me, &[], |row| row.int(0)).unwrap().unwrap();
    store.read(|tx| tx.query(&kill, &[pid.into()], |_| Ok(()))).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let error = tx.commit().unwrap_err();
    assert!(matches!(error, Error::CommitUnknown(_)) && !error.is_transient(), "{error:?}");
    let mut tx = writer.begin().unwrap();
    assert_eq!(count(&mut tx), 0);
    drop(tx);
    // A reader's connection that died in the pool is not noticed by the reader.
    let mut dies = || {
        let pid = store.read_once(|tx| tx.query_one(&me, &[], |row| row.int(0))).unwrap().unwrap();
        let mut tx = writer.begin().unwrap();
        tx.query(&kill, &[pid.into()], |_| Ok(())).unwrap();
        drop(tx);
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    dies();
    assert_eq!(store.read(|tx| Ok(count(tx))).unwrap(), 0);
    dies();
    let again = store.read_once(|tx| tx.query_one(&COUNT, &[], |row| row.int(0)));
    assert_eq!(again.unwrap(), Some(0));
    for code in ["40001", "40P01"] {
        let raise = format!("DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''{code}''; END'");
        let sql = Sql::new(Box::leak(raise.into_boxed_str()));
        let error = writer.begin().unwrap().execute(&sql, &[]).unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

#[test]
fn postgres_one_statement_alone() {
    let Some(bed) = Bed::new(Engine::Postgres) else { return };
    let (store, mut writer) = bed.open();
    let twice = store.read_once(|tx| Ok((count(tx), tx.query(&COUNT, &[], |row| row.int(0)))));
    let (count, second) = twice.unwrap();
    assert_eq!(count, 0);
    assert!(second.is_err(), "it would see another state than the first: {second:?}");
    let wrote = store.read_once(|tx| tx.insert_many(&INSERT, [&item(1)], values));
    assert!(wrote.is_err(), "a reader wrote: {wrote:?}");
    // What stands alone is durable without a commit, and takes nothing back.
    let mut line = store::Bell::deaf(&store).unwrap().unwrap();
    let mut each = line.each().unwrap();
    each.insert_many(&INSERT, [&item(1)], values).unwrap();
    assert!(each.insert_many(&INSERT, [&item(1)], values).is_err());
    drop(each);
    let mut tx = writer.begin().unwrap();
    assert_eq!(self::count(&mut tx), 1);
}

static NEWEST: Select<1> =
    Select::new("item", &["state", "id"], [("state", Kind::Int)]).newest_by("id");

fn the_newest_of_each_key(bed: &Bed) {
    let (_store, mut writer) = bed.open();
    let items: Vec<_> = (0..30).map(|id| Item { state: id % 3, ..item(id) }).collect();
    let mut tx = writer.begin().unwrap();
    tx.insert_many(&INSERT, &items, values).unwrap();
    let keys = [2, 7, 0];
    let found = tx
        .select_many(&NEWEST, keys, |key| [key.into()], |row| Ok((row.int(0)?, row.int(1)?)))
        .unwrap();
    assert_eq!(
        found,
        [(2, 29), (0, 27)],
        "in the order of the keys; one without a row is left out"
    );
}
