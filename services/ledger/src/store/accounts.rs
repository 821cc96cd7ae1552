//! Rows of accounts and their counters.

use contracts::{Currency, ids::WalletId};
use store::{Result, Row, Tx, Value};
use uuid::Uuid;

use super::{ACCOUNT, NEW_ACCOUNT, NEW_BALANCE, books::NewWallet, corrupt};
use crate::domain::{Account, Balance, Role};

pub(super) fn insert_account(
    tx: &mut Tx<'_>,
    [number, bucket, shard, currency]: [Value<'_>; 4],
    name: Option<&str>,
    wallet: Option<&NewWallet<'_>>,
) -> Result<()> {
    let row = [
        number,
        bucket,
        shard,
        currency,
        name.into(),
        wallet.map(|new| Value::Blob(new.id.as_bytes())).unwrap_or(Value::Null),
        wallet.map(|new| Value::Blob(new.owner.as_bytes())).unwrap_or(Value::Null),
        wallet.map_or("system", |new| new.kind).into(),
        wallet.map_or("", |new| new.label).into(),
        wallet.and_then(|new| new.description).into(),
        wallet.map_or("{}", |new| new.metadata).into(),
        wallet.map_or(0, |new| new.created.0).into(),
    ];
    tx.insert_many(&NEW_ACCOUNT, [row], |row| row)?;
    let zero = Value::Int(0);
    let balance = [number, bucket, zero, zero, zero, zero, zero, zero, zero];
    tx.insert_many(&NEW_BALANCE, [balance], |row| row)?;
    Ok(())
}

/// An account from the columns of `ACCOUNT`, its balance not read yet.
pub(super) fn read_account(row: &Row<'_>) -> Result<Account> {
    assert_eq!(ACCOUNT[5], "wallet");
    let bad = || corrupt("an account that cannot be read");
    let role = match row.opt_blob(5)? {
        Some(_) => Role::Wallet(WalletId(Uuid::from_bytes(row.bytes(5)?))),
        None => Role::from_name(row.text(4)?).ok_or_else(bad)?,
    };
    Ok(Account {
        number: row.int(0)?,
        role,
        bucket: u8::try_from(row.int(1)?).map_err(|_| bad())?,
        shard: u32::try_from(row.int(2)?).map_err(|_| bad())?,
        currency: Currency::new(row.text(3)?).ok_or_else(bad)?,
        balance: Balance::default(),
    })
}

/// An account's number and counters from the columns of `COUNTERS`.
pub(super) fn read_balance(row: &Row<'_>) -> Result<(i64, Balance)> {
    let balance = Balance {
        debits_posted: row.int(1)?,
        credits_posted: row.int(2)?,
        debits_held: row.int(3)?,
        credits_held: row.int(4)?,
        debits_released: row.int(5)?,
        credits_released: row.int(6)?,
        entries: row.int(7)?,
    };
    Ok((row.int(0)?, balance))
}
