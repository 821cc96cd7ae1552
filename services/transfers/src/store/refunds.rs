//! Which refunds a transfer has. They are numbered: whoever adds the next one has seen all before it,
//! since two writers with the same number meet at the key, and one of them begins again.

use std::collections::BTreeMap;

use contracts::{Timestamp, ids::TransferId};
use store::{Insert, Kind, Migration, OnConflict, Result, Select, Tx, Value};

use super::{Record, corrupt, load_many};

pub(super) const MIGRATION: Migration = Migration {
    owner: "transfers",
    version: 2,
    name: "refunds",
    sqlite: "CREATE TABLE transfers_refund (original BLOB NOT NULL, number INTEGER NOT NULL,
          refund BLOB NOT NULL, amount INTEGER NOT NULL, created INTEGER NOT NULL,
          PRIMARY KEY (original, number)) WITHOUT ROWID",
    postgres: "CREATE TABLE transfers_refund (original BYTEA NOT NULL, number BIGINT NOT NULL,
          refund BYTEA NOT NULL, amount BIGINT NOT NULL, created BIGINT NOT NULL,
          PRIMARY KEY (original, number))",
};

static NEW: Insert<5> = Insert::new(
    "transfers_refund",
    [
        ("original", Kind::Blob),
        ("number", Kind::Int),
        ("refund", Kind::Blob),
        ("amount", Kind::Int),
        ("created", Kind::Int),
    ],
    OnConflict::None,
);
static OF: Select<1> = Select::new(
    "transfers_refund",
    &["original", "number", "refund", "amount", "created"],
    [("original", Kind::Blob)],
);

/// A refund, as stored beside the transfer that moves its money.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund {
    pub original: TransferId,
    /// 1, 2, 3, ... of each original.
    pub number: i64,
    /// The transfer that moves its money.
    pub refund: TransferId,
    /// Minor units.
    pub amount: i64,
    pub created: Timestamp,
}

/// Stores new refunds.
pub fn insert_refunds(tx: &mut Tx<'_>, refunds: &[Refund]) -> Result<()> {
    tx.insert_many(&NEW, refunds, |refund| {
        [
            Value::Blob(refund.original.as_bytes()),
            Value::Int(refund.number),
            Value::Blob(refund.refund.as_bytes()),
            Value::Int(refund.amount),
            Value::Int(refund.created.0),
        ]
    })?;
    Ok(())
}

/// The refunds of these transfers, in the order of their numbers.
pub fn refunds(
    tx: &mut Tx<'_>,
    originals: impl IntoIterator<Item = TransferId>,
) -> Result<BTreeMap<TransferId, Vec<Refund>>> {
    let key = |id: TransferId| [Value::Bytes16(*id.as_bytes())];
    let found = tx.select_many(&OF, originals, key, |row| {
        let id = |at: usize| {
            TransferId::from_slice(row.blob(at)?).ok_or_else(|| corrupt("a refund's transfer"))
        };
        Ok(Refund {
            original: id(0)?,
            number: row.int(1)?,
            refund: id(2)?,
            amount: row.int(3)?,
            created: Timestamp(row.int(4)?),
        })
    })?;
    let mut all: BTreeMap<TransferId, Vec<Refund>> = BTreeMap::new();
    for refund in found {
        all.entry(refund.original).or_default().push(refund);
    }
    for of_one in all.values_mut() {
        of_one.sort_by_key(|refund| refund.number);
    }
    Ok(all)
}

/// The transfers that refund these, oldest first for each.
pub fn refunding(
    tx: &mut Tx<'_>,
    originals: impl IntoIterator<Item = TransferId>,
) -> Result<BTreeMap<TransferId, Vec<Record>>> {
    let given = refunds(tx, originals)?;
    let ids = given.values().flatten().map(|refund| refund.refund);
    let mut records = load_many(tx, ids)?;
    let mut all = BTreeMap::new();
    for (original, refunds) in given {
        let found = refunds.iter().map(|refund| {
            records.remove(&refund.refund).ok_or_else(|| corrupt("a refund is not stored"))
        });
        all.insert(original, found.collect::<Result<_>>()?);
    }
    Ok(all)
}
