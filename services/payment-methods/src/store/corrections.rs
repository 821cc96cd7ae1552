//! What bank accounts were before their banks corrected them.

use contracts::Timestamp;
use store::{Insert, Kind, Migration, OnConflict, Result, Sql, Tx, Update, Value};

use crate::domain::BankAccount;

/// Some rows a year; an older number stays sealed as it was.
pub const CORRECTIONS: Migration = Migration {
    owner: "payment-methods",
    version: 4,
    name: "corrections",
    sqlite: "CREATE TABLE payment_methods_correction (cause TEXT PRIMARY KEY,
          bank_account BLOB NOT NULL, change_code TEXT NOT NULL, holder_name TEXT NOT NULL,
          bank_account_type TEXT NOT NULL, routing_number TEXT NOT NULL, last_four TEXT NOT NULL,
          key_version INTEGER NOT NULL, sealed BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;",
    postgres: "CREATE TABLE payment_methods_correction (cause TEXT PRIMARY KEY,
          bank_account BYTEA NOT NULL, change_code TEXT NOT NULL, holder_name TEXT NOT NULL,
          bank_account_type TEXT NOT NULL, routing_number TEXT NOT NULL, last_four TEXT NOT NULL,
          key_version BIGINT NOT NULL, sealed BYTEA NOT NULL, at BIGINT NOT NULL);",
};

static NEW_CORRECTION: Insert<10> = Insert::new(
    "payment_methods_correction",
    [
        ("cause", Kind::Text),
        ("bank_account", Kind::Blob),
        ("change_code", Kind::Text),
        ("holder_name", Kind::Text),
        ("bank_account_type", Kind::Text),
        ("routing_number", Kind::Text),
        ("last_four", Kind::Text),
        ("key_version", Kind::Int),
        ("sealed", Kind::Blob),
        ("at", Kind::Int),
    ],
    OnConflict::None,
);
static KNOWN: Sql = Sql::new("SELECT 1 FROM payment_methods_correction WHERE cause = $1");
static CORRECT: Update<1, 8> = Update::new(
    "payment_methods_bank_account",
    [("id", Kind::Blob)],
    [
        ("fingerprint", Kind::Blob),
        ("holder_name", Kind::Text),
        ("bank_account_type", Kind::Text),
        ("routing_number", Kind::Text),
        ("last_four", Kind::Text),
        ("key_version", Kind::Int),
        ("sealed", Kind::Blob),
        ("updated", Kind::Int),
    ],
);

/// Whether the notice with this cause was heard before.
pub fn is_corrected(tx: &mut Tx<'_>, cause: &str) -> Result<bool> {
    Ok(tx.query_one(&KNOWN, &[Value::Text(cause)], |_| Ok(()))?.is_some())
}

/// Keeps what a bank account was until a notice with this cause and code came.
pub fn insert_correction(
    tx: &mut Tx<'_>,
    now: Timestamp,
    (cause, code): (&str, &str),
    before: &BankAccount,
) -> Result<()> {
    tx.insert_many(&NEW_CORRECTION, [before], |before| {
        [
            Value::Text(cause),
            Value::Blob(before.id.as_bytes()),
            Value::Text(code),
            Value::Text(&before.holder_name),
            Value::Text(&before.bank_account_type),
            Value::Text(&before.routing_number),
            Value::Text(&before.last_four),
            Value::Int(before.sealed.key_version),
            Value::Blob(&before.sealed.bytes),
            Value::Int(now.0),
        ]
    })?;
    Ok(())
}

/// Saves what a correction changes.
pub fn correct_bank(tx: &mut Tx<'_>, bank: &BankAccount) -> Result<()> {
    let hits = tx.update_many(&CORRECT, [bank], |bank| {
        let sets = [
            Value::Blob(&bank.fingerprint),
            Value::Text(&bank.holder_name),
            Value::Text(&bank.bank_account_type),
            Value::Text(&bank.routing_number),
            Value::Text(&bank.last_four),
            Value::Int(bank.sealed.key_version),
            Value::Blob(&bank.sealed.bytes),
            Value::Int(bank.updated.0),
        ];
        ([Value::Blob(bank.id.as_bytes())], sets)
    })?;
    assert_eq!(hits, 1, "bank accounts are never deleted");
    Ok(())
}
