//! The invariants of the books, recounted from the tables: V1, V2, V3, V4, V11 and V16.
//!
//! One pass over the postings, in pages; memory grows with accounts, seals and transfers by rail,
//! not with postings. All of it reads one snapshot, beside a running server or without one.

use std::collections::BTreeMap;

use store::{Engine, Result, Row, Sql, Tx};

use super::{
    chain::{GENESIS, PostingRow, Sealing},
    corrupt,
    journal::{fold_into, load_accounts, load_balances, scan_postings},
};
use crate::domain::{Account, Balance, Effect, HoldState, Role, Side, Step};

/// Faults that one invariant names at most.
const FAULTS_MOST: usize = 100;
/// Rows read at once.
const PAGE: i64 = 10_000;

static SEALS: Sql = Sql::new(
    "SELECT shard, sequence, count, at, hash FROM ledger_seal \
     WHERE (shard, sequence) > ($1, $2) ORDER BY shard, sequence LIMIT $3",
);
static HOLDS_SQLITE: Sql = Sql::new(
    "SELECT bucket, id, tail, wallet, amount, state, inbound FROM ledger_hold \
     WHERE id > $1 ORDER BY id LIMIT $2",
);
static HOLDS_POSTGRES: Sql = Sql::new(
    "SELECT bucket, id, tail, wallet, amount, state, inbound FROM ledger_hold \
     WHERE (bucket, id, tail) > ($1, $2, $3) ORDER BY bucket, id, tail LIMIT $4",
);

/// A hold as it is stored.
struct HoldRow {
    bucket: i64,
    id: i64,
    tail: i64,
    wallet: Vec<u8>,
    amount: i64,
    state: Option<HoldState>,
    inbound: bool,
}

fn read_hold(row: &Row<'_>) -> Result<HoldRow> {
    Ok(HoldRow {
        bucket: row.int(0)?,
        id: row.int(1)?,
        tail: row.int(2)?,
        wallet: row.blob(3)?.to_vec(),
        amount: row.int(4)?,
        state: HoldState::from_number(row.int(5)?),
        inbound: row.int(6)? != 0,
    })
}

/// The holds that follow one in the order of the table's key.
fn holds_after(tx: &mut Tx<'_>, last: Option<&HoldRow>) -> Result<Vec<HoldRow>> {
    let (bucket, id, tail) =
        last.map_or((-1, i64::MIN, i64::MIN), |hold| (hold.bucket, hold.id, hold.tail));
    match tx.engine() {
        Engine::Sqlite => tx.query(&HOLDS_SQLITE, &[id.into(), PAGE.into()], read_hold),
        Engine::Postgres => {
            let after = [bucket.into(), id.into(), tail.into(), PAGE.into()];
            tx.query(&HOLDS_POSTGRES, &after, read_hold)
        }
    }
}

/// What one invariant found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// `V1`
    pub invariant: &'static str,
    /// How many things were looked at.
    pub counted: u64,
    /// The rows at fault, a sentence each; at most 100, then how many more.
    pub faults: Vec<String>,
}

/// The faults of one invariant while they are collected.
#[derive(Default)]
struct Findings {
    counted: u64,
    faults: Vec<String>,
    more: u64,
}

impl Findings {
    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        self.counted += 1;
        if !holds {
            self.fault(fault());
        }
    }
    fn fault(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MOST {
            self.faults.push(fault);
        } else {
            self.more += 1;
        }
    }
    fn end(mut self, invariant: &'static str) -> Checked {
        if self.more > 0 {
            self.faults.push(format!("and {} more", self.more));
        }
        Checked { invariant, counted: self.counted, faults: self.faults }
    }
}

/// A seal as it is stored.
struct Seal {
    shard: u32,
    sequence: i64,
    count: i64,
    at: i64,
    hash: [u8; 32],
}

/// What a hold's postings say of it.
#[derive(Default, Clone, Copy)]
struct Steps {
    held: i64,
    posted: i64,
    voided: i64,
}

/// What the pass over the postings adds up.
#[derive(Default)]
struct Fold {
    balances: BTreeMap<i64, Balance>,
    /// Accounts that a forced entry may have taken below their limit.
    forced: BTreeMap<i64, u64>,
    /// By key without step and line, and tail.
    holds: BTreeMap<(i64, i64), Steps>,
    /// By row and tail of the transfer.
    hops: BTreeMap<(i64, i64), Hop>,
}

#[derive(Default, Clone, Copy)]
struct Hop {
    left: i64,
    arrived: i64,
    back: i64,
    route: Option<(u32, u32)>,
}

/// Recounts everything; one result per invariant.
pub fn verify(tx: &mut Tx<'_>) -> Result<Vec<Checked>> {
    let accounts = load_accounts(tx, i64::MAX)?;
    let balances = load_balances(tx)?;
    let seals = load_seals(tx)?;
    let mut fold = Fold::default();
    let mut limits = Findings::default();
    let mut chain = Findings::default();
    let mut chained = Chained::new(&seals, &mut chain);
    scan_postings(tx, |row| {
        let (Some(debit), Some(credit)) = (accounts.get(&row.debit), accounts.get(&row.credit))
        else {
            chained.findings.fault(format!("{} is of no account", name_of(row)));
            return Ok(());
        };
        fold.add(row, debit, credit)?;
        keeps_limit(row, debit, &mut limits);
        if debit.shard != credit.shard {
            chained.findings.fault(format!("{} is of two shards", name_of(row)));
        }
        chained.add(row, debit.shard);
        Ok(())
    })?;
    chained.end();
    let holds = held_iff_open(tx, &accounts, &balances, &fold)?;
    Ok(vec![
        conserved(&accounts, &balances),
        balances_are_folds(&accounts, &balances, &fold),
        within_limits(&accounts, &balances, &fold, limits),
        clearing_is_in_flight(&accounts, &balances, &fold),
        holds,
        chain.end("V16"),
    ])
}

fn name_of(row: &PostingRow) -> String {
    let transfer = contracts::ids::TransferId::from_parts(row.id >> 8, row.tail);
    format!("posting {} ({} of {transfer})", row.id, Step::of_key(row.id).as_str())
}

fn title(account: &Account) -> String {
    format!("{} in shard {}", account.role.name(), account.shard)
}

impl Fold {
    fn add(&mut self, row: &PostingRow, debit: &Account, credit: &Account) -> Result<()> {
        fold_into(self.balances.entry(row.debit).or_default(), row, Side::Debit)?;
        fold_into(self.balances.entry(row.credit).or_default(), row, Side::Credit)?;
        let step = Step::of_key(row.id);
        if matches!(step, Step::Forced | Step::GiveBack) {
            *self.forced.entry(row.debit).or_default() += 1;
        }
        match Effect::from_number(row.effect) {
            Some(Effect::Held) => self.steps(row).held += row.amount,
            Some(Effect::HoldPosted) => self.steps(row).posted += row.amount,
            Some(Effect::Voided) => self.steps(row).voided += row.amount,
            Some(Effect::Posted) | None => {}
        }
        if step == Step::Hop {
            let hop = self.hops.entry((row.id >> 8, row.tail)).or_default();
            match (debit.role, credit.role) {
                (Role::Xin(_), _) => hop.arrived += row.amount,
                (Role::Xout(_), _) => hop.back += row.amount,
                (_, Role::Xout(to)) => {
                    hop.left += row.amount;
                    hop.route = Some((debit.shard, to));
                }
                _ => {}
            }
        }
        Ok(())
    }
    /// The steps of a posting's hold: its key without step and line.
    fn steps(&mut self, row: &PostingRow) -> &mut Steps {
        self.holds.entry((row.id & !0x3f, row.tail)).or_default()
    }
}

/// V1: in each shard and currency, debits are credits, posted, held and released.
fn conserved(accounts: &BTreeMap<i64, Account>, balances: &BTreeMap<i64, Balance>) -> Checked {
    let mut findings = Findings::default();
    let mut sums: BTreeMap<(u32, &str), [i128; 3]> = BTreeMap::new();
    for (number, balance) in balances {
        let Some(account) = accounts.get(number) else {
            findings.fault(format!("the balance {number} is of no account"));
            continue;
        };
        let sum = sums.entry((account.shard, account.currency.as_str())).or_default();
        let differences = [
            (balance.debits_posted, balance.credits_posted),
            (balance.debits_held, balance.credits_held),
            (balance.debits_released, balance.credits_released),
        ];
        for (sum, (debits, credits)) in sum.iter_mut().zip(differences) {
            *sum += i128::from(debits) - i128::from(credits);
        }
    }
    for ((shard, currency), sum) in sums {
        for (what, difference) in ["posted", "held", "released"].into_iter().zip(sum) {
            findings.check(difference == 0, || {
                format!("shard {shard} {currency}: {what} debits less credits are {difference}")
            });
        }
    }
    findings.end("V1")
}

/// V2: each balance is the fold of its postings.
fn balances_are_folds(
    accounts: &BTreeMap<i64, Account>,
    balances: &BTreeMap<i64, Balance>,
    fold: &Fold,
) -> Checked {
    let mut findings = Findings::default();
    let zero = Balance::default();
    for (number, account) in accounts {
        let folded = fold.balances.get(number).unwrap_or(&zero);
        match balances.get(number) {
            Some(balance) => findings.check(balance == folded, || {
                format!("{}: balance {balance:?}, postings {folded:?}", title(account))
            }),
            None => findings.fault(format!("{} has no balance", title(account))),
        }
    }
    findings.end("V2")
}

/// V3 of one posting: it left its account at or above the limit, or was forced.
fn keeps_limit(row: &PostingRow, debit: &Account, findings: &mut Findings) {
    let forced = matches!(Step::of_key(row.id), Step::Forced | Step::GiveBack);
    let takes = Effect::from_number(row.effect).is_some_and(Effect::is_first);
    if debit.role.is_limited() && takes && !forced {
        findings.check(row.debit_balance >= 0, || {
            format!("{} left {} at {}", name_of(row), title(debit), row.debit_balance)
        });
    }
}

/// V3: no account is below its limit now, but where an entry was forced.
fn within_limits(
    accounts: &BTreeMap<i64, Account>,
    balances: &BTreeMap<i64, Balance>,
    fold: &Fold,
    mut findings: Findings,
) -> Checked {
    for (number, account) in accounts.iter().filter(|(_, account)| account.role.is_limited()) {
        let Some(balance) = balances.get(number) else { continue };
        let available = i128::from(balance.credits_posted)
            - i128::from(balance.debits_posted)
            - (i128::from(balance.debits_held) - i128::from(balance.debits_released));
        findings.check(available >= 0 || fold.forced.contains_key(number), || {
            format!("{} has {available}", title(account))
        });
    }
    findings.end("V3")
}

/// V4: what is in a pair of clearing accounts is on its way between their shards; nothing at rest.
fn clearing_is_in_flight(
    accounts: &BTreeMap<i64, Account>,
    balances: &BTreeMap<i64, Balance>,
    fold: &Fold,
) -> Checked {
    let mut findings = Findings::default();
    let mut pairs: BTreeMap<(u32, u32), i128> = BTreeMap::new();
    for (number, account) in accounts {
        let pair = match account.role {
            Role::Xout(to) => (account.shard, to),
            Role::Xin(from) => (from, account.shard),
            _ => continue,
        };
        let Some(balance) = balances.get(number) else { continue };
        *pairs.entry(pair).or_default() +=
            i128::from(balance.credits_posted) - i128::from(balance.debits_posted);
    }
    let mut flying: BTreeMap<(u32, u32), i128> = BTreeMap::new();
    for ((row, tail), hop) in &fold.hops {
        let transfer = contracts::ids::TransferId::from_parts(*row, *tail);
        let left = hop.left - hop.arrived - hop.back;
        let sound = left == 0 || (hop.arrived == 0 && hop.back == 0 && left > 0);
        match hop.route {
            Some(route) if sound => *flying.entry(route).or_default() += i128::from(left),
            _ => findings.fault(format!(
                "the hops of {transfer}: {} left, {} arrived, {} came back",
                hop.left, hop.arrived, hop.back
            )),
        }
        findings.counted += 1;
    }
    for ((from, to), between) in pairs {
        let flies = flying.get(&(from, to)).copied().unwrap_or(0);
        findings.check(between == flies, || {
            format!("from shard {from} to {to}: accounts hold {between}, on its way are {flies}")
        });
    }
    findings.end("V4")
}

/// A hold has the postings of its state.
fn check_hold(hold: &HoldRow, found: Steps, findings: &mut Findings) {
    let (posted, voided) = match hold.state {
        Some(HoldState::Open) => (0, 0),
        Some(HoldState::Posted | HoldState::Returned) => (hold.amount, 0),
        Some(HoldState::Waiting | HoldState::Dropped) => (0, 0),
        Some(HoldState::Voided | HoldState::Canceled) => (0, hold.amount),
        None => (-1, -1),
    };
    let begun = !matches!(hold.state, Some(HoldState::Waiting | HoldState::Dropped));
    let held = if begun { hold.amount } else { 0 };
    let agrees = (found.held, found.posted, found.voided) == (held, posted, voided);
    findings.check(agrees, || {
        let transfer = contracts::ids::TransferId::from_parts(hold.id >> 8, hold.tail);
        format!(
            "the hold of {transfer} is {:?} for {}; postings: held {}, posted {}, voided {}",
            hold.state, hold.amount, found.held, found.posted, found.voided
        )
    });
}

/// V11: money is held if and only if its hold is open, and each hold has the postings of its state.
fn held_iff_open(
    tx: &mut Tx<'_>,
    accounts: &BTreeMap<i64, Account>,
    balances: &BTreeMap<i64, Balance>,
    fold: &Fold,
) -> Result<Checked> {
    let mut findings = Findings::default();
    // By wallet: what is held on its way out, and on its way in.
    let mut open: BTreeMap<Vec<u8>, [i128; 2]> = BTreeMap::new();
    let mut steps = fold.holds.clone();
    let mut page = holds_after(tx, None)?;
    while !page.is_empty() {
        for hold in &page {
            let found = steps.remove(&(hold.id & !0x3f, hold.tail)).unwrap_or_default();
            check_hold(hold, found, &mut findings);
            // What is in transit is in no wallet.
            if hold.state == Some(HoldState::Open) && hold.wallet.iter().any(|byte| *byte != 0) {
                let sums = open.entry(hold.wallet.clone()).or_default();
                sums[usize::from(hold.inbound)] += i128::from(hold.amount);
            }
        }
        page = holds_after(tx, page.last())?;
    }
    for (id, tail) in steps.into_keys() {
        let transfer = contracts::ids::TransferId::from_parts(id >> 8, tail);
        findings.fault(format!("postings of {transfer} hold money, but there is no hold"));
    }
    for (number, account) in accounts {
        let Role::Wallet(id) = account.role else { continue };
        let Some(balance) = balances.get(number) else { continue };
        let held = [
            i128::from(balance.debits_held) - i128::from(balance.debits_released),
            i128::from(balance.credits_held) - i128::from(balance.credits_released),
        ];
        let holds = open.remove(id.as_bytes().as_slice()).unwrap_or_default();
        findings.check(held == holds, || {
            let ([out, into], [held_out, held_in]) = (holds, held);
            format!(
                "{} has {held_out} held out and {held_in} in, its open holds are {out} and {into}",
                title(account)
            )
        });
    }
    for wallet in open.into_keys() {
        findings.fault(format!("a hold of the wallet {wallet:02x?}, which is not there"));
    }
    Ok(findings.end("V11"))
}

fn load_seals(tx: &mut Tx<'_>) -> Result<Vec<Seal>> {
    let mut all: Vec<Seal> = Vec::new();
    loop {
        let last = all.last().map_or((-1, 0), |seal| (i64::from(seal.shard), seal.sequence));
        let page = tx.query(&SEALS, &[last.0.into(), last.1.into(), PAGE.into()], read_seal)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn read_seal(row: &Row<'_>) -> Result<Seal> {
    Ok(Seal {
        shard: u32::try_from(row.int(0)?).map_err(|_| corrupt("a shard that is no number"))?,
        sequence: row.int(1)?,
        count: row.int(2)?,
        at: row.int(3)?,
        hash: row.bytes(4)?,
    })
}

/// V16: each seal hashes the one before it and its own postings. Postings come in the order of
/// their keys; a seal is checked as soon as all of its postings were met.
struct Chained<'v> {
    seals: BTreeMap<(u32, i64), (&'v Seal, [u8; 32])>,
    open: BTreeMap<(u32, i64), Vec<[u8; 80]>>,
    findings: &'v mut Findings,
}

impl<'v> Chained<'v> {
    fn new(seals: &'v [Seal], findings: &'v mut Findings) -> Self {
        let mut chain = BTreeMap::new();
        let mut before = (u32::MAX, 0, i64::MIN, GENESIS);
        for seal in seals {
            if before.0 != seal.shard {
                before = (seal.shard, 0, i64::MIN, GENESIS);
            }
            let follows = seal.sequence == before.1 + 1 && seal.at >= before.2;
            findings.check(follows, || {
                format!("shard {}: seal {} follows seal {}", seal.shard, seal.sequence, before.1)
            });
            chain.insert((seal.shard, seal.sequence), (seal, before.3));
            before = (seal.shard, seal.sequence, seal.at, seal.hash);
        }
        Self { seals: chain, open: BTreeMap::new(), findings }
    }
    fn add(&mut self, row: &PostingRow, shard: u32) {
        let place = (shard, row.seal);
        let Some((seal, before)) = self.seals.get(&place) else {
            self.findings.fault(format!("{} names no seal", name_of(row)));
            return;
        };
        let rows = self.open.entry(place).or_default();
        rows.push(row.bytes());
        if i64::try_from(rows.len()).is_ok_and(|met| met == seal.count) {
            rows.sort_unstable();
            let mut sealing = Sealing::begin(before, shard, seal.sequence, seal.at);
            rows.iter().for_each(|row| sealing.add(row));
            self.findings.check(sealing.end() == seal.hash, || {
                format!("shard {shard}: seal {} does not hash its postings", seal.sequence)
            });
            self.open.remove(&place);
            self.seals.remove(&place);
        }
    }
    fn end(self) {
        for ((shard, sequence), (seal, _)) in self.seals {
            let met = self.open.get(&(shard, sequence)).map_or(0, Vec::len);
            self.findings.fault(format!(
                "shard {shard}: seal {sequence} has {met} of its {} postings",
                seal.count
            ));
        }
    }
}
