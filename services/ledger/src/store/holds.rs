//! Money that waits for a rail: one row per held leg.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Currency, Event, ids::WalletId, ledger::LedgerReserved, rails::Direction};
use store::{Result, Tx, Value};
use uuid::Uuid;

use super::{
    HOLD_STATE, HOLDS, NEW_HOLD,
    books::{Books, Hold, Triple},
    corrupt,
};
use crate::domain::HoldState;

/// Money in transit is in no wallet.
const NO_WALLET: [u8; 16] = [0; 16];

impl Books {
    /// Writes new holds.
    pub fn insert_holds(&self, tx: &mut Tx<'_>, holds: &[(Triple, Hold)]) -> Result<()> {
        if holds.is_empty() {
            return Ok(());
        }
        let plans: Vec<Option<Vec<u8>>> =
            holds.iter().map(|(_, hold)| hold.plan.as_ref().map(Event::to_compact)).collect();
        tx.insert_many(
            &NEW_HOLD,
            holds.iter().zip(&plans),
            |(((bucket, id, tail), hold), plan)| {
                [
                    (*id).into(),
                    (*tail).into(),
                    (*bucket).into(),
                    Value::Blob(
                        hold.wallet.as_ref().map_or(&NO_WALLET[..], |wallet| wallet.as_bytes()),
                    ),
                    Value::Text(hold.rail.service()),
                    Value::Text(hold.currency.as_str()),
                    hold.amount.into(),
                    hold.state.number().into(),
                    inbound(hold.direction),
                    plan.as_deref().map_or(Value::Null, Value::Blob),
                ]
            },
        )?;
        Ok(())
    }
    /// The holds with these keys, by (id, tail).
    pub fn load_holds(
        &self,
        tx: &mut Tx<'_>,
        keys: &BTreeSet<Triple>,
    ) -> Result<BTreeMap<(i64, i64), Hold>> {
        let bad = || corrupt("a hold that cannot be read");
        let rows = tx.select_many(&HOLDS, keys, triple, |row| {
            let hold = Hold {
                wallet: match row.bytes(2)? {
                    NO_WALLET => None,
                    wallet => Some(WalletId(Uuid::from_bytes(wallet))),
                },
                rail: row.text(3)?.parse().map_err(|()| bad())?,
                currency: Currency::new(row.text(4)?).ok_or_else(bad)?,
                amount: row.int(5)?,
                state: HoldState::from_number(row.int(6)?).ok_or_else(bad)?,
                direction: if row.int(7)? == 0 { Direction::Out } else { Direction::In },
                plan: match row.opt_blob(8)? {
                    None => None,
                    Some(plan) => Some(LedgerReserved::from_compact(plan).map_err(|_| bad())?),
                },
            };
            Ok(((row.int(0)?, row.int(1)?), hold))
        })?;
        Ok(rows.into_iter().collect())
    }
    /// Moves holds from one state to the next; each is resolved once.
    pub fn update_holds(
        &self,
        tx: &mut Tx<'_>,
        holds: &[(Triple, HoldState, HoldState)],
    ) -> Result<()> {
        if holds.is_empty() {
            return Ok(());
        }
        let hits = tx.update_many(&HOLD_STATE, holds, |(key, before, after)| {
            let [bucket, id, tail] = triple(key);
            ([bucket, id, tail, before.number().into()], [after.number().into()])
        })?;
        if hits != holds.len() as u64 {
            return Err(store::Error::Other("a hold was resolved by another process".to_owned()));
        }
        Ok(())
    }
}

/// Which way the money of a hold goes, as it is stored.
fn inbound<'v>(direction: Direction) -> Value<'v> {
    i64::from(direction == Direction::In).into()
}

pub(super) fn triple<'k>(key: &Triple) -> [Value<'k>; 3] {
    [key.0.into(), key.1.into(), key.2.into()]
}
