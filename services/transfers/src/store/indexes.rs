//! The indexes of transfers, filled late: from what they are made again at start, and how they are
//! asked.

use contracts::ids::{AccountId, TransferId};
use store::{
    Result, Sql, Store, Tx, Value,
    late::{Entry, Found, LateIndex, LateSpec},
};

use super::{Record, corrupt, decode, sides};
use crate::domain::Parties;

static KEYS_ABOVE: Sql =
    Sql::new("SELECT id, tail, key_hash FROM transfers_transfer WHERE id > $1 ORDER BY id");
static ACCOUNTS_ABOVE: Sql =
    Sql::new("SELECT id, tail, parties FROM transfers_transfer WHERE id > $1 ORDER BY id");

/// The keys under which the index by account holds a transfer.
fn keys(parties: &Parties) -> impl Iterator<Item = [u8; 8]> + use<> {
    let (source, destination) = sides(parties);
    let second = (destination != source).then_some(destination);
    std::iter::once(source).chain(second).map(|account| account.tail().to_be_bytes())
}

/// The indexes of transfers: by idempotency key, and by account. Both are filled late.
#[derive(Clone)]
pub struct Indexes {
    store: Store,
    keys: LateIndex,
    accounts: LateIndex,
}

impl Indexes {
    /// Indexes over the tables of this store; [`Indexes::restore`] before the first use.
    pub fn new(store: &Store) -> Self {
        let keys = LateSpec::new("transfers_key", 16).unique().payload(8);
        let accounts = LateSpec::new("transfers_account", 8).payload(8);
        Self {
            store: store.clone(),
            keys: LateIndex::new(store, keys),
            accounts: LateIndex::new(store, accounts),
        }
    }
    /// Reads again what is not in the trees yet, both at once: a start waits for it.
    pub fn restore(&self, tx: &mut Tx<'_>) -> Result<()> {
        std::thread::scope(|scope| {
            let keys = scope.spawn(|| self.store.read(|tx| self.restore_keys(tx)));
            let accounts = self.restore_accounts(tx);
            let keys = keys.join().unwrap_or_else(|_| Err(corrupt("what cannot be restored")));
            keys.and(accounts)
        })
    }
    fn restore_keys(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.keys.restore(tx, |tx, mark, each| {
            let above = [Value::Int(mark)];
            tx.query(&KEYS_ABOVE, &above, |row| {
                let (key, tail) = (row.blob(2)?, row.int(1)?.to_be_bytes());
                each(Entry { key, id: row.int(0)?, payload: &tail })
            })?;
            Ok(())
        })?;
        Ok(())
    }
    fn restore_accounts(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.accounts.restore(tx, |tx, mark, each| {
            let above = [Value::Int(mark)];
            tx.query(&ACCOUNTS_ABOVE, &above, |row| {
                let (id, tail) = (row.int(0)?, row.int(1)?.to_be_bytes());
                for key in keys(&decode(row.blob(2)?, "parties")?) {
                    each(Entry { key: &key, id, payload: &tail })?;
                }
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    }
    /// Moves what is due into the trees; once per commit.
    pub fn merge(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.keys.merge_due(tx)?;
        self.accounts.merge_due(tx)?;
        Ok(())
    }
    /// The commit is durable.
    pub fn committed(&self) {
        self.keys.committed();
        self.accounts.committed();
    }
    /// The commit is gone.
    pub fn rolled_back(&self) {
        self.keys.rolled_back();
        self.accounts.rolled_back();
    }
    /// For each key hash the transfer that it made, if any.
    pub fn known<K: AsRef<[u8]>>(
        &self,
        tx: &mut Tx<'_>,
        keys: &[K],
    ) -> Result<Vec<Option<TransferId>>> {
        let found = self.keys.find_many(tx, keys)?;
        found.into_iter().map(|found| found.map(|found| id_of(&found)).transpose()).collect()
    }
    /// The transfers of an account below a row, newest first.
    pub fn of_account(
        &self,
        tx: &mut Tx<'_>,
        account: AccountId,
        before: Option<i64>,
        most: usize,
    ) -> Result<Vec<TransferId>> {
        let key = account.tail().to_be_bytes();
        self.accounts.scan(tx, &key, before, most)?.iter().map(id_of).collect()
    }
    pub(super) fn insert(&self, tx: &mut Tx<'_>, records: &[Box<Record>]) -> Result<()> {
        let tails: Vec<[u8; 8]> = records.iter().map(|r| r.id.tail().to_be_bytes()).collect();
        let entries = records.iter().zip(&tails);
        let entries: Vec<Entry<'_>> = entries
            .map(|(record, tail)| Entry {
                key: &record.key_hash,
                id: record.id.row(),
                payload: tail,
            })
            .collect();
        self.keys.insert(tx, &entries)?;
        let mut lists = Vec::with_capacity(records.len() * 2);
        for (record, tail) in records.iter().zip(&tails) {
            lists.extend(keys(&record.parties).map(|key| (key, record.id.row(), tail)));
        }
        let entries = lists.iter().map(|(key, id, tail)| Entry { key, id: *id, payload: *tail });
        let entries: Vec<Entry<'_>> = entries.collect();
        self.accounts.insert(tx, &entries)
    }
}

fn id_of(found: &Found) -> Result<TransferId> {
    let tail = found.payload.as_slice().try_into().map_err(|_| corrupt("tail in an index"))?;
    Ok(TransferId::from_parts(found.id, i64::from_be_bytes(tail)))
}
