//! Migrations.

use crate::bed::{Bed, on_both};
use store::{Error, Grant, Location, Migration, Role, Sql, Store};

const fn step(owner: &'static str, version: u32, text: &'static str) -> Migration {
    Migration { owner, version, name: "step", sqlite: text, postgres: text }
}

const A1: Migration = step("alpha", 1, "CREATE TABLE a(x BIGINT); CREATE TABLE a2(x BIGINT);");
const A2: Migration = step("alpha", 2, "ALTER TABLE a ADD COLUMN y TEXT;");
const B1: Migration = step("beta-two", 1, "CREATE TABLE b(x BIGINT);");

on_both!(applied_once, newer_is_refused, changed_is_refused, half_a_step_is_undone);

fn applied_once(bed: &Bed) {
    let (_store, mut writer) = Store::open(bed.location.clone(), Default::default()).unwrap();
    assert!(!writer.schema_is_current(&[A1]).unwrap());
    assert_eq!(writer.migrate(&[A1, B1]).unwrap(), 2);
    assert_eq!(writer.migrate(&[B1, A1]).unwrap(), 0);
    assert!(writer.schema_is_current(&[A1, B1]).unwrap());
    assert!(!writer.schema_is_current(&[A1, A2, B1]).unwrap());
    assert_eq!(writer.migrate(&[A1, A2, B1]).unwrap(), 1);
    let mut tx = writer.begin().unwrap();
    tx.execute(&Sql::new("INSERT INTO a(x, y) VALUES ($1, $2)"), &[1.into(), "y".into()]).unwrap();
    tx.commit().unwrap();
}

fn newer_is_refused(bed: &Bed) {
    let (_store, mut writer) = Store::open(bed.location.clone(), Default::default()).unwrap();
    writer.migrate(&[A1, A2]).unwrap();
    let error = writer.migrate(&[B1, A1]).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("made by a newer version of switchyard"), "{error}");
    assert!(writer.schema_is_current(&[A1]).is_err());
    assert!(!writer.schema_is_current(&[B1]).unwrap(), "no owner was changed");
}

fn changed_is_refused(bed: &Bed) {
    let (_store, mut writer) = Store::open(bed.location.clone(), Default::default()).unwrap();
    writer.migrate(&[A1]).unwrap();
    let error = writer.migrate(&[step("alpha", 1, "CREATE TABLE other(x BIGINT)")]).unwrap_err();
    assert!(matches!(error, Error::Migration(_)), "{error}");
}

fn half_a_step_is_undone(bed: &Bed) {
    let (_store, mut writer) = Store::open(bed.location.clone(), Default::default()).unwrap();
    let bad = step("alpha", 1, "CREATE TABLE a(x BIGINT); CREATE TABLE nonsense(");
    assert!(matches!(writer.migrate(&[bad]), Err(Error::Migration(_))));
    assert_eq!(writer.migrate(&[A1]).unwrap(), 1);
}

const NAMED: Migration = step(
    "gamma-one",
    1,
    "CREATE TABLE gamma_one_row(x BIGINT); CREATE TABLE common(x BIGINT); \
     CREATE INDEX gamma_one_row_x ON gamma_one_row(x);",
);
const NAMED_LATER: Migration = step(
    "gamma-one",
    2,
    "ALTER TABLE gamma_one_row ADD COLUMN y BIGINT; CREATE TABLE gamma_one_more(x BIGINT);",
);
const DELTA: Migration = step("delta", 1, "CREATE TABLE delta_row(x BIGINT)");

static ROW: Sql = Sql::new("INSERT INTO gamma_one_row(x) VALUES ($1)");
static ROWS: Sql = Sql::new("SELECT CAST(count(*) AS BIGINT) FROM gamma_one_row");
static OTHERS: Sql = Sql::new("SELECT CAST(count(*) AS BIGINT) FROM delta_row");
static COMMON: Sql = Sql::new("INSERT INTO common(x) VALUES ($1)");

fn insert(writer: &mut store::Writer, text: &'static Sql) -> store::Result<()> {
    let mut tx = writer.begin()?;
    tx.execute(text, &[1.into()])?;
    tx.commit()
}

fn count(store: &Store, text: &'static Sql) -> store::Result<i64> {
    store.read(|tx| Ok(tx.query_one(text, &[], |row| row.int(0))?.unwrap_or(0)))
}

/// The schema in which PostgreSQL finds a table.
fn schema_of(store: &Store, table: &'static str) -> String {
    static FOUND: Sql = Sql::new(
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass($1)",
    );
    let found = store
        .read(|tx| tx.query_one(&FOUND, &[table.into()], |row| row.text(0).map(str::to_owned)));
    found.unwrap().unwrap_or_default()
}

#[test]
fn an_owner_has_a_schema_and_a_role_that_sees_no_other() {
    let Some(bed) = Bed::new(store::Engine::Postgres) else { return };
    let Location::Postgres(url) = &bed.location else { unreachable!("it is PostgreSQL") };
    let base = url.rsplit("%3D").next().unwrap();
    let (store, mut writer) = Store::open(bed.location.clone(), Default::default()).unwrap();
    // A reader that connected before the tables were there.
    store.read(|_| Ok(())).unwrap();
    assert_eq!(writer.migrate(&[NAMED, DELTA]).unwrap(), 2);
    insert(&mut writer, &ROW).unwrap();
    assert_eq!(writer.migrate(&[NAMED, NAMED_LATER, DELTA]).unwrap(), 1);
    assert_eq!(writer.migrate(&[NAMED, NAMED_LATER, DELTA]).unwrap(), 0);
    assert_eq!(count(&store, &ROWS).unwrap(), 1);
    for table in ["gamma_one_row", "gamma_one_more"] {
        assert_eq!(schema_of(&store, table), format!("{base}_gamma_one"));
    }
    assert_eq!(schema_of(&store, "common"), base);

    let name = "gamma-one";
    let grants = vec![Grant::All(name), Grant::Table("common".to_owned(), "SELECT")];
    let roles = [Role { name, grants }];
    let names = writer.grant(&roles).unwrap();
    assert_eq!(names, [format!("{base}_gamma_one")]);
    assert_eq!(writer.grant(&roles).unwrap(), names, "a second time changes nothing");
    let mut tx = writer.begin().unwrap();
    tx.execute(&Sql::new(format!("ALTER ROLE {} LOGIN", names[0]).leak()), &[]).unwrap();
    tx.commit().unwrap();
    let own = Location::Postgres(format!("{url}&user={}", names[0]));
    let (store, mut writer) = Store::open(own, Default::default()).unwrap();
    insert(&mut writer, &ROW).unwrap();
    assert_eq!(count(&store, &ROWS).unwrap(), 2);
    let refused = insert(&mut writer, &COMMON).unwrap_err();
    assert!(refused.to_string().contains("permission denied for table common"), "{refused}");
    let unseen = count(&store, &OTHERS).unwrap_err();
    assert!(unseen.to_string().contains("does not exist"), "{unseen}");
    let whole: &'static Sql =
        Box::leak(Box::new(Sql::new(format!("SELECT x FROM {base}_delta.delta_row").leak())));
    let refused = count(&store, whole).unwrap_err();
    assert!(refused.to_string().contains("permission denied for schema"), "{refused}");
}
