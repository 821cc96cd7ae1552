//! Migrations.

use crate::bed::{Bed, on_both};
use store::{Error, Migration, Sql, Store};

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
