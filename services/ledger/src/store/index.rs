//! What the late index by account is made of again at start.

use std::collections::BTreeSet;

use store::{Result, Sql, Tx, late::Entry as LateEntry};

use super::corrupt;
use crate::domain::Effect;

static LATE_ABOVE: Sql = Sql::new(
    "SELECT entry, account, posting, bucket FROM ledger_late WHERE entry > $1 ORDER BY entry",
);
static POSTINGS_ABOVE: Sql = Sql::new(
    "SELECT id, bucket, debit, credit, effect FROM ledger_posting WHERE id > $1 \
     ORDER BY id LIMIT 10000",
);
static NO_WALLETS: Sql = Sql::new("SELECT id FROM ledger_account WHERE wallet IS NULL");

/// Gives the late index its entries above a mark: postings under their own keys, and those that
/// came late under the numbers that they were given.
pub(super) fn restore(
    tx: &mut Tx<'_>,
    mark: i64,
    each: &mut dyn FnMut(LateEntry<'_>) -> Result<()>,
) -> Result<()> {
    let late = tx.query(&LATE_ABOVE, &[mark.into()], |row| {
        Ok((row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?))
    })?;
    let no_wallets = tx.query(&NO_WALLETS, &[], |row| row.int(0))?;
    let no_wallets: BTreeSet<i64> = no_wallets.into_iter().collect();
    let excepted: BTreeSet<i64> = late.iter().map(|(_, _, posting, _)| *posting).collect();
    let mut late = late.into_iter().peekable();
    let mut give = |account: i64, id: i64, bucket: i64| {
        let bucket = u8::try_from(bucket).map_err(|_| corrupt("a bucket above 255"))?;
        each(LateEntry { key: &account.to_be_bytes(), id, payload: &[bucket] })
    };
    // The credit's line of the posting at the mark may be above it.
    let mut after = mark.saturating_sub(2);
    loop {
        let page = tx.query(&POSTINGS_ABOVE, &[after.into()], |row| {
            let first = Effect::from_number(row.int(4)?).is_some_and(Effect::is_first);
            let side = |account| (account, first && !no_wallets.contains(&account));
            let (debit, credit) = (side(row.int(2)?), side(row.int(3)?));
            Ok((row.int(0)?, row.int(1)?, debit, credit))
        })?;
        let Some(last) = page.last() else { break };
        after = last.0;
        for (id, bucket, debit, credit) in page {
            for ((account, indexed), line) in [(debit, id), (credit, id + 1)] {
                if !indexed || line <= mark || excepted.contains(&line) {
                    continue;
                }
                while let Some((entry, account, _, bucket)) = late.next_if(|l| l.0 < line) {
                    give(account, entry, bucket)?;
                }
                give(account, line, bucket)?;
            }
        }
    }
    late.try_for_each(|(entry, account, _, bucket)| give(account, entry, bucket))
}
