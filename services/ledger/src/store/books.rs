//! The books as their one writer holds them: accounts and chain heads in memory, loaded as needed,
//! written once per batch, dropped where a commit was rolled back.
//!
//! What is in memory is what is committed plus what this transaction changed. Every balance is
//! written under a compare-and-set on its count of entries: a writer whose memory is stale writes
//! nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

use contracts::{
    Currency, Timestamp,
    ids::{AccountId, TransferId, WalletId},
    ledger::LedgerReserved,
    rails::{Direction, Rail},
};
use store::{
    Engine, Result, Sql, Tx, Value,
    late::{Entry as LateEntry, LateIndex},
};

use super::{
    BALANCE, BALANCES, BY_NAME, BY_WALLET, MARKED, MOVED, NEW_LATE, NEW_MARK, NEW_POSTING,
    NEW_SEAL,
    accounts::{insert_account, read_account, read_balance},
    chain::{Head, PostingRow, Sealing},
    corrupt,
    holds::triple,
    index,
};
use crate::domain::{Account, Balance, HoldState, Known, NOWHERE, Plan, Role, Slot, key};

/// Wallets in memory at most; above it a bucket of them is forgotten after each commit.
const WALLETS_MOST: usize = 262_144;

static LAST_ACCOUNT: Sql = Sql::new("SELECT coalesce(max(id), 0) FROM ledger_account");
static LAST_SEAL: Sql = Sql::new(
    "SELECT sequence, at, hash FROM ledger_seal WHERE shard = $1 ORDER BY sequence DESC LIMIT 1",
);
static LAST_POSTING: Sql = Sql::new("SELECT coalesce(max(id), 0) FROM ledger_posting");
static LAST_MARK: Sql = Sql::new("SELECT coalesce(max(id), 0) FROM ledger_mark");
static LAST_LATE: Sql = Sql::new("SELECT coalesce(max(entry), 0) FROM ledger_late");
/// Ids are random enough: this only folds them.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn write_u128(&mut self, id: u128) {
        let folded = ((id >> 64) as u64 ^ id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = folded ^ (folded >> 32);
    }
}

type Wallets = HashMap<u128, Slot, BuildHasherDefault<Fold>>;

/// What the writer keeps of an account beside the account.
#[derive(Clone, Copy)]
struct State {
    /// The count of entries that the table has.
    stored: i64,
    /// Changed since it was written.
    dirty: bool,
    /// Changed or made by this transaction.
    touched: bool,
}

/// Where the postings of one movement belong.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub row: i64,
    pub tail: i64,
    pub leg: u8,
    /// The transfer's bucket at its home, the paid wallet's in another shard.
    pub bucket: u8,
    pub shard: u32,
}

impl Origin {
    /// The origin of a transfer's postings in the shard of a bucket.
    pub fn new(transfer: TransferId, leg: u8, bucket: u8, shard: u32) -> Self {
        Self { row: transfer.row(), tail: transfer.tail(), leg, bucket, shard }
    }
}

/// A hold as it is stored.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The wallet that pays, or is paid; none where the money is in transit.
    pub wallet: Option<WalletId>,
    pub direction: Direction,
    pub rail: Rail,
    pub currency: Currency,
    pub amount: i64,
    pub state: HoldState,
    /// Of a leg between outside and outside: the reservation that begins it, or began it.
    pub plan: Option<LedgerReserved>,
}

/// A wallet to be made.
#[derive(Clone, Debug)]
pub struct NewWallet<'w> {
    pub id: WalletId,
    pub owner: AccountId,
    pub shard: u32,
    pub currency: Currency,
    /// `default` or `general`
    pub kind: &'w str,
    pub label: &'w str,
    pub description: Option<&'w str>,
    /// JSON.
    pub metadata: &'w str,
    pub created: Timestamp,
}

/// A posting that is not written yet.
#[derive(Clone, Copy)]
struct Pending {
    shard: u32,
    /// Its debit and its credit go into the index by account.
    indexed: [bool; 2],
    row: PostingRow,
}

/// A key of three parts, as tables are found by it.
pub type Triple = (u8, i64, i64);

/// The writer's memory.
pub struct Books {
    index: LateIndex,
    accounts: Vec<Account>,
    states: Vec<State>,
    free: Vec<Slot>,
    wallets: Vec<Wallets>,
    count: usize,
    system: BTreeMap<(u32, Currency, Role), Slot>,
    dirty: Vec<Slot>,
    touched: Vec<Slot>,
    postings: Vec<Pending>,
    marks: Vec<(Triple, i64)>,
    heads: BTreeMap<u32, Head>,
    changed_heads: BTreeSet<u32>,
    last_account: Option<i64>,
    /// The highest transfer row that each shard has seen; above it nothing is known.
    highest: BTreeMap<u32, i64>,
    floor: i64,
    /// The last entry of the late index, here and in what is durable.
    last_entry: i64,
    durable_entry: i64,
    hand: usize,
}

impl Books {
    /// Books with nothing in memory; [`Books::load`] comes before their use.
    pub fn new(index: LateIndex) -> Self {
        Self {
            index,
            accounts: Vec::new(),
            states: Vec::new(),
            free: Vec::new(),
            wallets: std::iter::repeat_with(Wallets::default).take(256).collect(),
            count: 0,
            system: BTreeMap::new(),
            dirty: Vec::new(),
            touched: Vec::new(),
            postings: Vec::new(),
            marks: Vec::new(),
            heads: BTreeMap::new(),
            changed_heads: BTreeSet::new(),
            last_account: None,
            highest: BTreeMap::new(),
            floor: i64::MAX,
            last_entry: 0,
            durable_entry: 0,
            hand: 0,
        }
    }
    /// Reads what must be known before the first batch: how far rows and the late index go.
    pub fn load(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let mut last = |sql| tx.query_one(sql, &[], |row| row.int(0));
        let posting = last(&LAST_POSTING)?.unwrap_or(0);
        let mark = last(&LAST_MARK)?.unwrap_or(0);
        let late = last(&LAST_LATE)?.unwrap_or(0);
        self.floor = posting.max(mark) >> 8;
        // The credit's line is the highest that a posting may have in the index.
        self.last_entry = late.max(posting + 1);
        self.durable_entry = self.last_entry;
        self.index.restore(tx, index::restore).map(drop)
    }
    /// The accounts, by slot.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }
    /// The slot of a wallet that was loaded, or [`NOWHERE`].
    pub fn wallet(&self, id: WalletId) -> Slot {
        let map = &self.wallets[usize::from(id.bucket())];
        map.get(&id.0.as_u128()).copied().unwrap_or(NOWHERE)
    }
    /// Loads those of these wallets that are not in memory.
    pub fn load_many(
        &mut self,
        tx: &mut Tx<'_>,
        ids: impl Iterator<Item = WalletId>,
    ) -> Result<()> {
        let missing: BTreeSet<WalletId> = ids.filter(|id| self.wallet(*id) == NOWHERE).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found =
            tx.select_many(&BY_WALLET, &missing, |id| [Value::Blob(id.as_bytes())], read_account)?;
        self.remember(tx, found)
    }
    fn remember(&mut self, tx: &mut Tx<'_>, mut found: Vec<Account>) -> Result<()> {
        found.sort_by_key(|account| account.number);
        let balances = tx.select_many(
            &BALANCES,
            &found,
            |account| [account.bucket.into(), account.number.into()],
            read_balance,
        )?;
        let balances: BTreeMap<i64, Balance> = balances.into_iter().collect();
        for mut account in found {
            let balance = balances.get(&account.number);
            account.balance = *balance.ok_or_else(|| corrupt("an account without balance"))?;
            self.hold_in_memory(account);
        }
        Ok(())
    }
    fn hold_in_memory(&mut self, account: Account) -> Slot {
        let state = State { stored: account.balance.entries, dirty: false, touched: false };
        let role = account.role;
        let place = (account.shard, account.currency, role);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.accounts[slot as usize] = account;
                self.states[slot as usize] = state;
                slot
            }
            None => {
                self.accounts.push(account);
                self.states.push(state);
                Slot::try_from(self.accounts.len() - 1).expect("fewer accounts than 2^32")
            }
        };
        match role {
            Role::Wallet(id) => {
                self.wallets[usize::from(id.bucket())].insert(id.0.as_u128(), slot);
                self.count += 1;
            }
            _ => {
                self.system.insert(place, slot);
            }
        }
        slot
    }
    /// The slot of a shard's own account; it is made where there is none.
    pub fn system(
        &mut self,
        tx: &mut Tx<'_>,
        shard: u32,
        currency: Currency,
        role: Role,
    ) -> Result<Slot> {
        if let Some(slot) = self.system.get(&(shard, currency, role)) {
            return Ok(*slot);
        }
        let name = role.name();
        let values = [Value::from(shard), Value::Text(currency.as_str()), Value::Text(&name)];
        let found = tx.select_many(&BY_NAME, [values], |values| values, read_account)?;
        if !found.is_empty() {
            self.remember(tx, found)?;
            return Ok(self.system[&(shard, currency, role)]);
        }
        let number = self.next_number(tx)?;
        // A shard's own accounts lie with its lowest bucket.
        let bucket = u8::try_from(shard).expect("at most 256 shards");
        let new = [number.into(), bucket.into(), shard.into(), currency.as_str().into()];
        insert_account(tx, new, Some(&name), None)?;
        let balance = Balance::default();
        let account = Account { number, role, bucket, shard, currency, balance };
        let slot = self.hold_in_memory(account);
        self.touch(slot);
        Ok(slot)
    }
    fn next_number(&mut self, tx: &mut Tx<'_>) -> Result<i64> {
        let last = match self.last_account {
            Some(last) => last,
            None => tx.query_one(&LAST_ACCOUNT, &[], |row| row.int(0))?.unwrap_or(0),
        };
        self.last_account = Some(last + 1);
        Ok(last + 1)
    }
    /// Makes a wallet; a wallet with its id must not be there.
    pub fn insert_wallet(&mut self, tx: &mut Tx<'_>, new: &NewWallet<'_>) -> Result<()> {
        let number = self.next_number(tx)?;
        let bucket = new.id.bucket();
        let values = [number.into(), bucket.into(), new.shard.into(), new.currency.as_str().into()];
        insert_account(tx, values, None, Some(new))?;
        let role = Role::Wallet(new.id);
        let balance = Balance::default();
        let account =
            Account { number, role, bucket, shard: new.shard, currency: new.currency, balance };
        let slot = self.hold_in_memory(account);
        self.touch(slot);
        Ok(())
    }
    fn touch(&mut self, slot: Slot) {
        let state = &mut self.states[slot as usize];
        if !state.touched {
            state.touched = true;
            self.touched.push(slot);
        }
    }
    /// Whether nothing can be known of this row: it is above all that its shard has seen. The next
    /// call for the same row says no.
    pub fn is_fresh(&mut self, shard: u32, row: i64) -> bool {
        let highest = self.highest.entry(shard).or_insert(self.floor);
        let fresh = row > *highest;
        *highest = row.max(*highest);
        fresh
    }
    /// What is known under these keys.
    pub fn load_known(
        &self,
        tx: &mut Tx<'_>,
        keys: &[Triple],
    ) -> Result<BTreeMap<(i64, i64), Known>> {
        let mut known = BTreeMap::new();
        if keys.is_empty() {
            return Ok(known);
        }
        let marked = tx.select_many(&MARKED, keys, triple, |row| Ok((row.int(0)?, row.int(1)?)))?;
        known.extend(marked.into_iter().map(|key| (key, Known::Marked)));
        let moved = tx.select_many(&MOVED, keys, triple, |row| {
            let moved = Known::Moved { debit: row.int(2)?, amount: row.int(3)? };
            Ok(((row.int(0)?, row.int(1)?), moved))
        })?;
        known.extend(moved);
        Ok(known)
    }
    /// Applies a plan to the accounts and keeps its postings for [`Books::save`].
    pub fn record(&mut self, origin: &Origin, plan: &Plan) {
        for entry in plan.entries() {
            for (slot, after) in
                [(entry.debit, entry.debit_after), (entry.credit, entry.credit_after)]
            {
                self.accounts[slot as usize].balance = after;
                let state = &mut self.states[slot as usize];
                if !state.dirty {
                    state.dirty = true;
                    self.dirty.push(slot);
                }
                self.touch(slot);
            }
            let (debit, credit) =
                (&self.accounts[entry.debit as usize], &self.accounts[entry.credit as usize]);
            assert_eq!(debit.shard, origin.shard, "a posting belongs to its accounts' shard");
            let row = PostingRow {
                id: key(origin.row, origin.leg, entry.step, entry.line),
                tail: origin.tail,
                bucket: origin.bucket,
                debit: debit.number,
                credit: credit.number,
                effect: entry.effect.number(),
                amount: entry.amount,
                debit_balance: entry.debit_after.available(),
                credit_balance: entry.credit_after.available(),
                seal: 0,
            };
            let indexed = [debit, credit]
                .map(|account| entry.effect.is_first() && matches!(account.role, Role::Wallet(_)));
            self.postings.push(Pending { shard: origin.shard, indexed, row });
        }
    }
    /// Notes a decision that made no posting, under the key that its posting would have.
    pub fn mark(&mut self, origin: &Origin, id: i64, verdict: i64) {
        self.marks.push(((origin.bucket, id, origin.tail), verdict));
    }
    /// Writes what was recorded: seals, postings, balances, marks, the index by account.
    pub fn save(&mut self, tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
        if !self.marks.is_empty() {
            let marks = std::mem::take(&mut self.marks);
            tx.insert_many(&NEW_MARK, &marks, |((bucket, id, tail), verdict)| {
                [(*id).into(), (*tail).into(), (*bucket).into(), (*verdict).into()]
            })?;
        }
        if self.postings.is_empty() {
            return Ok(());
        }
        let mut postings = std::mem::take(&mut self.postings);
        postings.sort_unstable_by_key(|pending| (pending.row.id, pending.row.tail));
        self.seal(tx, &mut postings, now)?;
        tx.insert_many(&NEW_POSTING, &postings, |Pending { row, .. }| {
            [
                row.id.into(),
                row.tail.into(),
                row.bucket.into(),
                row.debit.into(),
                row.credit.into(),
                row.effect.into(),
                row.amount.into(),
                row.debit_balance.into(),
                row.credit_balance.into(),
                row.seal.into(),
            ]
        })?;
        self.save_balances(tx)?;
        self.index_many(tx, &postings)?;
        postings.clear();
        self.postings = postings;
        Ok(())
    }
    fn seal(&mut self, tx: &mut Tx<'_>, postings: &mut [Pending], now: Timestamp) -> Result<()> {
        let mut sealing: BTreeMap<u32, (Sealing, Head, i64)> = BTreeMap::new();
        for Pending { shard, row, .. } in postings {
            if !sealing.contains_key(shard) {
                let head = self.head(tx, *shard)?;
                let next =
                    Head { sequence: head.sequence + 1, at: now.0.max(head.at), hash: head.hash };
                let begun = Sealing::begin(&head.hash, *shard, next.sequence, next.at);
                sealing.insert(*shard, (begun, next, 0));
            }
            let (seal, next, count) = sealing.get_mut(shard).expect("it was just begun");
            row.seal = next.sequence;
            seal.add(&row.bytes());
            *count += 1;
        }
        let mut sealed = Vec::with_capacity(sealing.len());
        for (shard, (seal, mut next, count)) in sealing {
            next.hash = seal.end();
            self.heads.insert(shard, next);
            self.changed_heads.insert(shard);
            sealed.push((shard, next, count));
        }
        tx.insert_many(&NEW_SEAL, &sealed, |(shard, head, count)| {
            [
                (*shard).into(),
                head.sequence.into(),
                (*count).into(),
                head.at.into(),
                Value::Blob(&head.hash),
            ]
        })?;
        Ok(())
    }
    fn head(&mut self, tx: &mut Tx<'_>, shard: u32) -> Result<Head> {
        if let Some(head) = self.heads.get(&shard) {
            return Ok(*head);
        }
        let found = tx.query_one(&LAST_SEAL, &[shard.into()], |row| {
            Ok(Head { sequence: row.int(0)?, at: row.int(1)?, hash: row.bytes(2)? })
        })?;
        let head = found.unwrap_or_default();
        self.heads.insert(shard, head);
        Ok(head)
    }
    fn save_balances(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let Self { dirty, accounts, states, .. } = self;
        // Always in the same order, so that two processes cannot wait for each other.
        dirty.sort_unstable_by_key(|slot| accounts[*slot as usize].number);
        let hits = tx.update_many(&BALANCE, dirty.iter(), |slot| {
            let account = &accounts[*slot as usize];
            let balance = &account.balance;
            (
                [
                    account.bucket.into(),
                    account.number.into(),
                    states[*slot as usize].stored.into(),
                ],
                [
                    balance.debits_posted.into(),
                    balance.credits_posted.into(),
                    balance.debits_held.into(),
                    balance.credits_held.into(),
                    balance.debits_released.into(),
                    balance.credits_released.into(),
                    balance.entries.into(),
                ],
            )
        })?;
        if hits != dirty.len() as u64 {
            return Err(store::Error::Other("a balance was moved by another process".to_owned()));
        }
        for slot in dirty.drain(..) {
            let state = &mut states[slot as usize];
            state.dirty = false;
            state.stored = accounts[slot as usize].balance.entries;
        }
        Ok(())
    }
    /// Indexes the wallets' movements. Entries of the late index ascend: a posting whose key is not
    /// above the last gets the next number instead, and a row that says so.
    fn index_many(&mut self, tx: &mut Tx<'_>, postings: &[Pending]) -> Result<()> {
        let ascending = tx.engine() == Engine::Sqlite;
        let mut entries: Vec<([u8; 8], i64, [u8; 1])> = Vec::with_capacity(postings.len() * 2);
        let mut late: Vec<(i64, i64, i64, u8)> = Vec::new();
        for Pending { indexed, row, .. } in postings {
            for (account, line, indexed) in
                [(row.debit, row.id, indexed[0]), (row.credit, row.id + 1, indexed[1])]
            {
                if !indexed {
                    continue;
                }
                let mut entry = line;
                if ascending && line <= self.last_entry {
                    entry = self.last_entry + 1;
                    late.push((entry, account, line, row.bucket));
                }
                self.last_entry = self.last_entry.max(entry);
                entries.push((account.to_be_bytes(), entry, [row.bucket]));
            }
        }
        if !late.is_empty() {
            tx.insert_many(&NEW_LATE, &late, |(entry, account, posting, bucket)| {
                [(*entry).into(), (*account).into(), (*posting).into(), (*bucket).into()]
            })?;
        }
        let entries: Vec<LateEntry<'_>> =
            entries.iter().map(|(key, id, payload)| LateEntry { key, id: *id, payload }).collect();
        self.index.insert(tx, &entries)
    }
    /// The transaction is durable.
    pub fn committed(&mut self) {
        self.index.committed();
        self.durable_entry = self.last_entry;
        self.changed_heads.clear();
        for slot in self.touched.drain(..) {
            self.states[slot as usize].touched = false;
        }
        if self.count > WALLETS_MOST {
            self.forget_bucket();
        }
    }
    fn forget_bucket(&mut self) {
        let map = std::mem::take(&mut self.wallets[self.hand]);
        self.count -= map.len();
        let mut slots: Vec<Slot> = map.into_values().collect();
        slots.sort_unstable();
        self.free.extend(slots);
        self.hand = (self.hand + 1) % self.wallets.len();
    }
    /// The transaction is gone: what it touched is read again when it is needed.
    pub fn rolled_back(&mut self) {
        self.index.rolled_back();
        self.last_entry = self.durable_entry;
        self.last_account = None;
        self.dirty.clear();
        self.postings.clear();
        self.marks.clear();
        for shard in std::mem::take(&mut self.changed_heads) {
            self.heads.remove(&shard);
        }
        for slot in std::mem::take(&mut self.touched) {
            let account = &self.accounts[slot as usize];
            match account.role {
                Role::Wallet(id) => {
                    self.wallets[usize::from(id.bucket())].remove(&id.0.as_u128());
                    self.count -= 1;
                }
                role => {
                    self.system.remove(&(account.shard, account.currency, role));
                }
            }
            self.free.push(slot);
        }
    }
    /// Another process wrote these books: nothing of them is known, and no row is known to be new.
    pub fn forget(&mut self) {
        *self = Self::new(self.index.clone());
    }
    /// Work of the late index that is due.
    pub fn merge_due(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.index.merge_due(tx).map(drop)
    }
}
