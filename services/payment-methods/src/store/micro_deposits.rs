//! Micro-deposits with their sealed amounts; a pair for each time that they were asked for.

use contracts::{
    Timestamp,
    ids::{BankAccountId, TransferId},
};
use store::{Insert, Kind, Migration, OnConflict, Result, Row, Select, Sql, Tx, Value};

use super::{bad, bank_id};
use crate::domain::{micro_deposits::Deposit, sealing::Sealed};

macro_rules! deposits {
    ($blob:literal) => {
        concat!(
            "ALTER TABLE payment_methods_bank_account ADD COLUMN reason TEXT;
             ALTER TABLE payment_methods_bank_account ADD COLUMN exception TEXT;
             ALTER TABLE payment_methods_bank_account ADD COLUMN exception_meaning TEXT;
             ALTER TABLE payment_methods_bank_account ADD COLUMN named_until BIGINT;
             CREATE TABLE payment_methods_deposit (transfer ",
            $blob,
            " PRIMARY KEY, bank_account ",
            $blob,
            " NOT NULL, round BIGINT NOT NULL, key_version BIGINT NOT NULL, sealed ",
            $blob,
            " NOT NULL);
             CREATE INDEX payment_methods_deposit_of
               ON payment_methods_deposit (bank_account, round);
             CREATE INDEX payment_methods_bank_account_named_until
               ON payment_methods_bank_account (named_until)
               WHERE status = 'pending' AND disabled IS NULL;"
        )
    };
}

/// Cold: two rows for each bank account that is verified so.
pub const DEPOSITS: Migration = Migration {
    owner: "payment-methods",
    version: 5,
    name: "micro_deposits",
    sqlite: deposits!("BLOB"),
    postgres: deposits!("BYTEA"),
};

static NEW: Insert<5> = Insert::new(
    "payment_methods_deposit",
    [
        ("transfer", Kind::Blob),
        ("bank_account", Kind::Blob),
        ("round", Kind::Int),
        ("key_version", Kind::Int),
        ("sealed", Kind::Blob),
    ],
    OnConflict::None,
);
static OF_TRANSFERS: Select<1> = Select::new(
    "payment_methods_deposit",
    &["transfer", "bank_account", "round", "key_version", "sealed"],
    [("transfer", Kind::Blob)],
);
static NEWEST: Sql = Sql::new(
    "SELECT transfer, bank_account, round, key_version, sealed FROM payment_methods_deposit \
     WHERE bank_account = $1 AND round = (SELECT MAX(round) FROM payment_methods_deposit \
     WHERE bank_account = $1) ORDER BY transfer",
);

// Written with the index's own condition, so that it is used.
static EXPIRING: Sql = Sql::new(
    "SELECT id, named_until FROM payment_methods_bank_account \
     WHERE status = 'pending' AND disabled IS NULL AND named_until IS NOT NULL \
     ORDER BY named_until LIMIT $1",
);

fn deposit(row: &Row<'_>) -> Result<Deposit> {
    let transfer = TransferId::from_slice(row.blob(0)?);
    Ok(Deposit {
        transfer: transfer.ok_or_else(|| bad("a transfer's id has 16 bytes"))?,
        bank_account: bank_id(row.blob(1)?)?,
        round: row.int(2)?,
        sealed: Sealed { key_version: row.int(3)?, bytes: row.blob(4)?.to_vec() },
    })
}

/// Adds deposits.
pub fn insert_deposits(tx: &mut Tx<'_>, deposits: &[Deposit]) -> Result<()> {
    tx.insert_many(&NEW, deposits, |deposit| {
        [
            Value::Blob(deposit.transfer.as_bytes()),
            Value::Blob(deposit.bank_account.as_bytes()),
            Value::Int(deposit.round),
            Value::Int(deposit.sealed.key_version),
            Value::Blob(&deposit.sealed.bytes),
        ]
    })?;
    Ok(())
}

/// Those of these transfers that pay a deposit.
pub fn load_deposits(tx: &mut Tx<'_>, transfers: &[TransferId]) -> Result<Vec<Deposit>> {
    tx.select_many(&OF_TRANSFERS, transfers, |id| [Value::Blob(id.as_bytes())], deposit)
}

/// The last pair of a bank account; empty where it never had any.
pub fn newest_deposits(tx: &mut Tx<'_>, bank: BankAccountId) -> Result<Vec<Deposit>> {
    tx.query(&NEWEST, &[Value::Blob(bank.as_bytes())], deposit)
}

/// The bank accounts whose micro-deposits may be named for the shortest time, each with its end.
pub fn list_expiring(tx: &mut Tx<'_>, most: u32) -> Result<Vec<(BankAccountId, Timestamp)>> {
    tx.query(&EXPIRING, &[most.into()], |row| Ok((bank_id(row.blob(0)?)?, Timestamp(row.int(1)?))))
}
