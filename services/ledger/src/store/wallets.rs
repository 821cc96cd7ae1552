//! Wallets as their owners see them.

use contracts::{
    Amount, Currency, Timestamp,
    ids::{AccountId, WalletId},
    ledger::Wallet,
};
use store::{Result, Row, Sql, Tx, Value};
use uuid::Uuid;

use super::corrupt;

static BY_ID: Sql = Sql::new(
    "SELECT a.wallet, a.owner, a.kind, a.label, a.description, a.metadata, a.created, a.currency, \
     b.credits_posted, b.debits_posted, b.debits_held, b.debits_released \
     FROM ledger_account AS a JOIN ledger_balance AS b ON b.bucket = a.bucket AND b.account = a.id \
     WHERE a.wallet = $1",
);
static BY_OWNER: Sql = Sql::new(
    "SELECT a.wallet, a.owner, a.kind, a.label, a.description, a.metadata, a.created, a.currency, \
     b.credits_posted, b.debits_posted, b.debits_held, b.debits_released \
     FROM ledger_account AS a JOIN ledger_balance AS b ON b.bucket = a.bucket AND b.account = a.id \
     WHERE a.owner = $1 ORDER BY a.id LIMIT $2 OFFSET $3",
);

/// One wallet with its balance.
pub fn load_wallet(tx: &mut Tx<'_>, id: WalletId) -> Result<Option<Wallet>> {
    tx.query_one(&BY_ID, &[Value::Blob(id.as_bytes())], read)
}

/// The wallets of an account, oldest first.
pub fn list_wallets(
    tx: &mut Tx<'_>,
    owner: AccountId,
    skip: u32,
    count: u32,
) -> Result<Vec<Wallet>> {
    tx.query(&BY_OWNER, &[Value::Blob(owner.as_bytes()), count.into(), skip.into()], read)
}

fn read(row: &Row<'_>) -> Result<Wallet> {
    let bad = || corrupt("a wallet that cannot be read");
    let currency = Currency::new(row.text(7)?).ok_or_else(bad)?;
    let available = i128::from(row.int(8)?)
        - i128::from(row.int(9)?)
        - (i128::from(row.int(10)?) - i128::from(row.int(11)?));
    let available = i64::try_from(available).map_err(|_| bad())?;
    Ok(Wallet {
        wallet_id: WalletId(Uuid::from_bytes(row.bytes(0)?)),
        partner_account_id: AccountId(Uuid::from_bytes(row.bytes(1)?)),
        name: row.text(3)?.to_owned(),
        description: row.opt_text(4)?.map(str::to_owned),
        metadata: serde_json::from_str(row.text(5)?).map_err(|_| bad())?,
        status: "active".to_owned(),
        wallet_type: row.text(2)?.to_owned(),
        available_balance: Amount::new(available, currency).into(),
        created_on: Timestamp(row.int(6)?),
    })
}
