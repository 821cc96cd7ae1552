//! The host's settlement files: each line once, and what of them fits nothing.

use contracts::Timestamp;
use store::{Error, Insert, Kind, OnConflict, Row, Sql, Tx, Value};

use super::{columns, instruction};
use crate::domain::Instruction;

/// A file, as far as it is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub hash: String,
    pub name: String,
    /// Machine time at which it was met first.
    pub at: Timestamp,
    /// Business time.
    pub from: i64,
    pub until: i64,
    /// Lines applied so far.
    pub applied: i64,
    /// What of it is kept for a person.
    pub apart: i64,
    /// All of it is applied, and what it should have had is looked for.
    pub is_done: bool,
    /// Why nothing of it is applied.
    pub fault: Option<String>,
}

/// What is kept for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// Machine time.
    pub at: Timestamp,
    /// The settlement file, or the message.
    pub about: String,
    /// Field 37 or 63.
    pub reference: String,
    /// Field 39 of a message.
    pub code: String,
    /// Minor units; of a line of a file.
    pub amount: Option<i64>,
    pub why: String,
}

macro_rules! files {
    ($tail:literal) => {
        concat!(
            "SELECT hash, name, at, since, until, applied, apart, done, fault \
             FROM card_settlement ",
            $tail
        )
    };
}
static FIND: Sql = Sql::new(files!("WHERE hash = $1"));
static NEWEST: Sql = Sql::new(files!("ORDER BY at DESC, name DESC LIMIT $1"));
static NEW: Insert<9> = Insert::new(
    "card_settlement",
    [
        ("hash", Kind::Text),
        ("name", Kind::Text),
        ("at", Kind::Int),
        ("since", Kind::Int),
        ("until", Kind::Int),
        ("applied", Kind::Int),
        ("apart", Kind::Int),
        ("done", Kind::Int),
        ("fault", Kind::Text),
    ],
    OnConflict::None,
);
static SAVE: Sql = Sql::new(
    "UPDATE card_settlement SET applied = $1, apart = $2, done = $3 \
     WHERE hash = $4 AND applied = $5 AND done = 0",
);
static COVERED: Sql =
    Sql::new("SELECT MAX(until) FROM card_settlement WHERE done = 1 AND fault IS NULL");
static MISSED: Sql = Sql::new(concat!(
    columns!(),
    "WHERE state = 4 AND created >= $1 AND created < $2 ORDER BY created LIMIT $3"
));
static NEW_EXCEPTION: Insert<5> = Insert::new(
    "card_exception",
    [
        ("at", Kind::Int),
        ("file", Kind::Text),
        ("reference", Kind::Text),
        ("amount", Kind::Int),
        ("why", Kind::Text),
    ],
    OnConflict::None,
);
static EXCEPTIONS: Sql = Sql::new(
    "SELECT at, file, reference, amount, why FROM card_exception ORDER BY at DESC LIMIT $1",
);
static MESSAGES: Sql =
    Sql::new("SELECT at, name, reference, code, why FROM card_unmatched ORDER BY at DESC LIMIT $1");

fn file(row: &Row<'_>) -> Result<File, Error> {
    Ok(File {
        hash: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        at: Timestamp(row.int(2)?),
        from: row.int(3)?,
        until: row.int(4)?,
        applied: row.int(5)?,
        apart: row.int(6)?,
        is_done: row.bool(7)?,
        fault: row.opt_text(8)?.map(str::to_owned),
    })
}

/// The file with this content, if it was met before.
pub fn find_file(tx: &mut Tx<'_>, hash: &str) -> Result<Option<File>, Error> {
    tx.query_one(&FIND, &[Value::Text(hash)], file)
}

/// The files that were met last.
pub fn list_newest_files(tx: &mut Tx<'_>, most: i64) -> Result<Vec<File>, Error> {
    tx.query(&NEWEST, &[Value::Int(most)], file)
}

/// A file that was not met before.
pub fn insert_file(tx: &mut Tx<'_>, new: &File) -> Result<(), Error> {
    let values = [
        Value::Text(&new.hash),
        Value::Text(&new.name),
        Value::Int(new.at.0),
        Value::Int(new.from),
        Value::Int(new.until),
        Value::Int(new.applied),
        Value::Int(new.apart),
        new.is_done.into(),
        Value::from(new.fault.as_deref()),
    ];
    tx.insert_many(&NEW, [values], |values| values)?;
    Ok(())
}

/// Saves how far a file is applied; an error where another process was faster.
pub fn save_file(tx: &mut Tx<'_>, applied_before: i64, file: &File) -> Result<(), Error> {
    let values = [
        Value::Int(file.applied),
        Value::Int(file.apart),
        file.is_done.into(),
        Value::Text(&file.hash),
        Value::Int(applied_before),
    ];
    match tx.execute(&SAVE, &values)? {
        1 => Ok(()),
        _ => Err(Error::Other("another process applied a settlement file meanwhile".to_owned())),
    }
}

/// Until which business time files were applied; `None` before the first.
pub fn covered(tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
    Ok(tx.query_one(&COVERED, &[], |row| row.opt_int(0))?.flatten())
}

/// Those that are paid, were sent in this stretch of business time, and are in no file.
pub fn list_missed(
    tx: &mut Tx<'_>,
    from: i64,
    until: i64,
    most: usize,
) -> Result<Vec<Instruction>, Error> {
    let most = i64::try_from(most).expect("a bound of some hundreds");
    tx.query(&MISSED, &[Value::Int(from), Value::Int(until), Value::Int(most)], instruction)
}

/// Keeps what of a file fits nothing.
pub fn insert_exceptions(tx: &mut Tx<'_>, apart: &[Exception]) -> Result<(), Error> {
    tx.insert_many(&NEW_EXCEPTION, apart, |one| {
        [
            Value::Int(one.at.0),
            Value::Text(&one.about),
            Value::Text(&one.reference),
            Value::Int(one.amount.unwrap_or(0)),
            Value::Text(&one.why),
        ]
    })?;
    Ok(())
}

/// What is kept for a person, of files and of messages that answer nothing, the newest first.
pub fn list_exceptions(tx: &mut Tx<'_>, most: i64) -> Result<Vec<Exception>, Error> {
    let mut all = tx.query(&EXCEPTIONS, &[Value::Int(most)], |row| {
        Ok(Exception {
            at: Timestamp(row.int(0)?),
            about: row.text(1)?.to_owned(),
            reference: row.text(2)?.to_owned(),
            code: String::new(),
            amount: Some(row.int(3)?),
            why: row.text(4)?.to_owned(),
        })
    })?;
    all.extend(tx.query(&MESSAGES, &[Value::Int(most)], |row| {
        Ok(Exception {
            at: Timestamp(row.int(0)?),
            about: row.text(1)?.to_owned(),
            reference: row.text(2)?.to_owned(),
            code: row.text(3)?.to_owned(),
            amount: None,
            why: row.text(4)?.to_owned(),
        })
    })?);
    all.sort_by_key(|one| std::cmp::Reverse(one.at));
    all.truncate(usize::try_from(most).unwrap_or(0));
    Ok(all)
}
