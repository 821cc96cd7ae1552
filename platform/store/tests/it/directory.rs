//! The data directory: refused with a text that says what to do.

use crate::bed::Bed;
use std::path::Path;
use store::{Engine, Location, Options, Store};

fn refusal(path: &Path, options: Options) -> String {
    let result = Store::open(Location::Directory(path.into()), options);
    result.err().expect("it must be refused").to_string()
}

#[test]
fn a_second_owner_is_refused() {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let Location::Directory(path) = bed.location.clone() else { unreachable!() };
    let (store, writer) = bed.open();
    let text = refusal(&path, Options::default());
    assert!(text.contains("already in use by another switchyard"), "{text}");
    drop(writer);
    let text = refusal(&path, Options::default());
    assert!(text.contains("already in use"), "as long as readers are left: {text}");
    drop(store);
    bed.open();
}

#[test]
fn a_directory_that_cannot_be_written() {
    // A file system that nobody may write to, root included.
    if Path::new("/sys").is_dir() {
        let text = refusal(Path::new("/sys"), Options::default());
        assert!(text.contains("is not writable"), "{text}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut rights = path.metadata().unwrap().permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(path, rights).unwrap();
    if std::fs::write(path.join("probe"), "").is_ok() {
        eprintln!("\n!!! run by root: the rights of a directory are not tested !!!\n");
        return;
    }
    let text = refusal(path, Options::default());
    assert!(text.contains("is not writable"), "{text}");
}

#[test]
fn a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { min_free_bytes: u64::MAX, ..Options::default() };
    let text = refusal(directory.path(), options);
    assert!(text.contains("MiB are free on this disk") && text.contains("make room"), "{text}");
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (store, _writer) = bed.open();
    assert!(!store.is_nearly_full());
}

#[test]
fn not_a_directory_and_not_a_database() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(refusal(&file, Options::default()).contains("give another one"));
    let other = directory.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("switchyard.db"), "x".repeat(8192)).unwrap();
    let text = refusal(&other, Options::default());
    assert!(text.contains("is not a database"), "{text}");
    let none = directory.path().join("none");
    let result = Store::open_read_only(Location::Directory(none), Options::default());
    assert!(result.err().unwrap().to_string().contains("is this the data directory?"));
}

#[test]
fn the_pragmas_hold() {
    let bed = Bed::new(Engine::Sqlite).unwrap();
    let (_store, mut writer) = bed.open();
    let mut tx = writer.begin().unwrap();
    let mut int = |text: &'static str| {
        tx.query_one(&store::Sql::new(text), &[], |row| row.int(0)).unwrap().unwrap()
    };
    assert_eq!(int("PRAGMA page_size"), 4096);
    assert_eq!(int("PRAGMA synchronous"), 2);
    assert_eq!(int("PRAGMA cache_size"), -65_536);
    assert_eq!(int("PRAGMA wal_autocheckpoint"), 0);
    assert_eq!(int("PRAGMA temp_store"), 2);
    let mode = tx
        .query_one(&store::Sql::new("PRAGMA journal_mode"), &[], |row| Ok(row.text(0)?.to_owned()));
    assert_eq!(mode.unwrap().unwrap(), "wal");
}
