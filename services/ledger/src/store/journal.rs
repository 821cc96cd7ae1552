//! Reads of the journal: lines, wallet transactions, balances as of a moment, chain heads.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Currency, Timestamp,
    ids::{TransferId, WalletId},
    ledger::{ChainHead, JournalQuery, LedgerAccount, Posting, WalletTransaction},
    rails::Rail,
};
use store::{
    Engine, Kind, Result, Row, Select, Sql, Tx, Value,
    late::LateIndex,
    sea_query::{Expr, ExprTrait, Order, Query, SelectStatement},
};

use super::{
    LATE,
    accounts::{read_account, read_balance},
    chain::PostingRow,
    corrupt,
};
use crate::domain::{Account, Balance, Effect, HoldState, Role, Side, Step};

/// Accounts that one answer lists at most.
const ACCOUNTS_MOST: i64 = 10_000;
/// Postings read at once.
const PAGE: i64 = 10_000;

const POSTING: &[&str] = &[
    "id",
    "tail",
    "bucket",
    "debit",
    "credit",
    "effect",
    "amount",
    "debit_balance",
    "credit_balance",
    "seal",
];
static POSTINGS: Select<2> =
    Select::new("ledger_posting", POSTING, [("bucket", Kind::Int), ("id", Kind::Int)]);
static PAGE_SQLITE: Sql = Sql::new(
    "SELECT id, tail, bucket, debit, credit, effect, amount, debit_balance, credit_balance, seal \
     FROM ledger_posting WHERE id > $1 ORDER BY id LIMIT $2",
);
static PAGE_POSTGRES: Sql = Sql::new(
    "SELECT id, tail, bucket, debit, credit, effect, amount, debit_balance, credit_balance, seal \
     FROM ledger_posting WHERE (bucket, id, tail) > ($1, $2, $3) \
     ORDER BY bucket, id, tail LIMIT $4",
);
static ACCOUNT_BY_NUMBER: Select<1> = Select::new(
    "ledger_account",
    &["id", "bucket", "shard", "currency", "name", "wallet"],
    [("id", Kind::Int)],
);
static SEAL_TIME: Select<2> = Select::new(
    "ledger_seal",
    &["shard", "sequence", "at"],
    [("shard", Kind::Int), ("sequence", Kind::Int)],
);
static HOLD_STATES: Select<2> =
    Select::new("ledger_hold", &["id", "state"], [("bucket", Kind::Int), ("id", Kind::Int)]);
static ALL_ACCOUNTS: Sql = Sql::new(
    "SELECT id, bucket, shard, currency, name, wallet FROM ledger_account \
     ORDER BY CASE WHEN wallet IS NULL THEN 0 ELSE 1 END, id LIMIT $1",
);
static ALL_BALANCES: Sql = Sql::new(
    "SELECT account, debits_posted, credits_posted, debits_held, credits_held, debits_released, \
     credits_released, entries FROM ledger_balance WHERE account > $1 ORDER BY account LIMIT $2",
);
static BY_NAME: Sql = Sql::new(
    "SELECT id, bucket, shard, currency, name, wallet FROM ledger_account WHERE name = $1 \
     ORDER BY id",
);
static BY_WALLET: Sql = Sql::new(
    "SELECT id, bucket, shard, currency, name, wallet FROM ledger_account WHERE wallet = $1",
);
static SEALED_BY: Sql =
    Sql::new("SELECT shard, max(sequence) FROM ledger_seal WHERE at <= $1 GROUP BY shard");
static HEADS: Sql = Sql::new(
    "SELECT s.shard, s.sequence, s.hash FROM ledger_seal AS s JOIN (SELECT shard, \
     max(sequence) AS sequence FROM ledger_seal GROUP BY shard) AS h \
     ON h.shard = s.shard AND h.sequence = s.sequence ORDER BY s.shard",
);

/// A posting from the columns of `POSTING`.
pub(super) fn read_posting(row: &Row<'_>) -> Result<PostingRow> {
    Ok(PostingRow {
        id: row.int(0)?,
        tail: row.int(1)?,
        bucket: u8::try_from(row.int(2)?).map_err(|_| corrupt("a bucket above 255"))?,
        debit: row.int(3)?,
        credit: row.int(4)?,
        effect: row.int(5)?,
        amount: row.int(6)?,
        debit_balance: row.int(7)?,
        credit_balance: row.int(8)?,
        seal: row.int(9)?,
    })
}

/// Gives `each` every posting, in pages, in the order of the table's key.
pub(super) fn scan_postings(
    tx: &mut Tx<'_>,
    mut each: impl FnMut(&PostingRow) -> Result<()>,
) -> Result<()> {
    let mut last = (-1, i64::MIN, i64::MIN);
    loop {
        let page = match tx.engine() {
            Engine::Sqlite => {
                tx.query(&PAGE_SQLITE, &[last.1.into(), PAGE.into()], read_posting)?
            }
            Engine::Postgres => {
                let after = [last.0.into(), last.1.into(), last.2.into(), PAGE.into()];
                tx.query(&PAGE_POSTGRES, &after, read_posting)?
            }
        };
        let Some(end) = page.last() else { return Ok(()) };
        last = (i64::from(end.bucket), end.id, end.tail);
        page.iter().try_for_each(&mut each)?;
    }
}

/// Every account's counters, by number.
pub(super) fn load_balances(tx: &mut Tx<'_>) -> Result<BTreeMap<i64, Balance>> {
    let mut all = BTreeMap::new();
    let mut last = i64::MIN;
    loop {
        let page = tx.query(&ALL_BALANCES, &[last.into(), PAGE.into()], read_balance)?;
        let Some(end) = page.last() else { return Ok(all) };
        last = end.0;
        all.extend(page);
    }
}

/// Every account by number, at most so many, the shards' own first.
pub(super) fn load_accounts(tx: &mut Tx<'_>, most: i64) -> Result<BTreeMap<i64, Account>> {
    let all = tx.query(&ALL_ACCOUNTS, &[most.into()], read_account)?;
    Ok(all.into_iter().map(|account| (account.number, account)).collect())
}

fn load_named(tx: &mut Tx<'_>, name: Option<&str>) -> Result<BTreeMap<i64, Account>> {
    let Some(name) = name else { return load_accounts(tx, ACCOUNTS_MOST) };
    let found = match Role::from_name(name) {
        Some(Role::Wallet(id)) => {
            tx.query(&BY_WALLET, &[Value::Blob(id.as_bytes())], read_account)?
        }
        _ => tx.query(&BY_NAME, &[Value::Text(name)], read_account)?,
    };
    Ok(found.into_iter().map(|account| (account.number, account)).collect())
}

fn shown(account: &Account, balance: &Balance) -> LedgerAccount {
    LedgerAccount {
        name: account.role.name(),
        shard: account.shard,
        currency: account.currency,
        debits_posted: balance.debits_posted,
        credits_posted: balance.credits_posted,
        debits_pending: balance.debits_held,
        credits_pending: balance.credits_held,
        debits_released: balance.debits_released,
        credits_released: balance.credits_released,
    }
}

/// The accounts with their counters now.
pub fn balances_now(tx: &mut Tx<'_>, name: Option<&str>) -> Result<Vec<LedgerAccount>> {
    let accounts = load_named(tx, name)?;
    let balances = tx.select_many(
        &super::BALANCES,
        accounts.values(),
        |account| [account.bucket.into(), account.number.into()],
        read_balance,
    )?;
    let balances: BTreeMap<i64, Balance> = balances.into_iter().collect();
    let zero = Balance::default();
    let show = |account: &Account| shown(account, balances.get(&account.number).unwrap_or(&zero));
    Ok(accounts.values().map(show).collect())
}

/// The accounts with the counters that they had at a moment: the fold of the postings sealed by
/// then. One wallet's are found by the index, all others by reading the journal.
pub fn balances_at(
    tx: &mut Tx<'_>,
    index: &LateIndex,
    name: Option<&str>,
    at: Timestamp,
) -> Result<Vec<LedgerAccount>> {
    let accounts = load_named(tx, name)?;
    let sealed = tx.query(&SEALED_BY, &[at.0.into()], |row| Ok((row.int(0)?, row.int(1)?)))?;
    let sealed: BTreeMap<i64, i64> = sealed.into_iter().collect();
    let mut balances: BTreeMap<i64, Balance> = BTreeMap::new();
    let mut fold = |row: &PostingRow| -> Result<()> {
        for (number, side) in [(row.debit, Side::Debit), (row.credit, Side::Credit)] {
            let Some(account) = accounts.get(&number) else { continue };
            let by_then = sealed.get(&i64::from(account.shard)).copied().unwrap_or(0);
            if row.seal <= by_then {
                fold_into(balances.entry(number).or_default(), row, side)?;
            }
        }
        Ok(())
    };
    match accounts.values().next() {
        Some(account) if name.is_some() && matches!(account.role, Role::Wallet(_)) => {
            for row in wallet_postings(tx, index, account.number)? {
                fold(&row)?;
            }
        }
        _ => scan_postings(tx, fold)?,
    }
    let zero = Balance::default();
    let show = |account: &Account| shown(account, balances.get(&account.number).unwrap_or(&zero));
    Ok(accounts.values().map(show).collect())
}

/// Adds one posting to the counters of one of its accounts.
pub(super) fn fold_into(balance: &mut Balance, row: &PostingRow, side: Side) -> Result<()> {
    let effect = Effect::from_number(row.effect).ok_or_else(|| corrupt("an unknown effect"))?;
    // The journal is read in the order of keys, not of time: a sum may be out of order on its way.
    let (posted, held, released) = match side {
        Side::Debit => {
            (&mut balance.debits_posted, &mut balance.debits_held, &mut balance.debits_released)
        }
        Side::Credit => {
            (&mut balance.credits_posted, &mut balance.credits_held, &mut balance.credits_released)
        }
    };
    let add = |counter: &mut i64| {
        *counter = counter.checked_add(row.amount).ok_or_else(|| corrupt("a sum above 64 bits"))?;
        Ok::<_, store::Error>(())
    };
    match effect {
        Effect::Posted => add(posted)?,
        Effect::Held => add(held)?,
        Effect::HoldPosted => {
            add(released)?;
            add(posted)?;
        }
        Effect::Voided => add(released)?,
    }
    balance.entries += 1;
    Ok(())
}

/// The keys that the index knows of an account: bucket and line's key, newest first.
fn indexed(
    tx: &mut Tx<'_>,
    index: &LateIndex,
    account: i64,
    before: Option<i64>,
    most: usize,
) -> Result<Vec<(i64, u8, i64)>> {
    let found = index.scan(tx, &account.to_be_bytes(), before, most)?;
    let late: BTreeMap<i64, i64> = match tx.engine() {
        Engine::Sqlite => {
            let keys = found.iter().map(|found| found.id);
            let late = tx.select_many(
                &LATE,
                keys,
                |id| [id.into()],
                |row| Ok((row.int(0)?, row.int(1)?)),
            )?;
            late.into_iter().collect()
        }
        Engine::Postgres => BTreeMap::new(),
    };
    let mut keys = Vec::with_capacity(found.len());
    for found in found {
        let bucket = *found.payload.first().ok_or_else(|| corrupt("an index without bucket"))?;
        keys.push((found.id, bucket, late.get(&found.id).copied().unwrap_or(found.id)));
    }
    Ok(keys)
}

/// All postings of a wallet: those that the index names, and those that resolved them.
fn wallet_postings(
    tx: &mut Tx<'_>,
    index: &LateIndex,
    account: i64,
) -> Result<BTreeSet<PostingRow>> {
    let mut all = BTreeSet::new();
    let mut before = None;
    loop {
        let keys = indexed(tx, index, account, before, 1_000)?;
        let Some(last) = keys.last() else { return Ok(all) };
        before = Some(last.0);
        let mut wanted = BTreeSet::new();
        for (_, bucket, line) in keys {
            let posting = line & !1;
            wanted.insert((bucket, posting));
            if Step::of_key(posting) == Step::Hold {
                let leg = posting & !0x3f;
                wanted.extend([Step::Post, Step::Void].map(|s| (bucket, leg | (s as i64) << 3)));
            }
        }
        let rows = tx.select_many(
            &POSTINGS,
            &wanted,
            |(bucket, id)| [(*bucket).into(), (*id).into()],
            read_posting,
        )?;
        all.extend(rows.into_iter().filter(|row| row.debit == account || row.credit == account));
    }
}

/// A wallet's movements, newest first.
pub fn load_transactions(
    tx: &mut Tx<'_>,
    index: &LateIndex,
    wallet: WalletId,
    skip: usize,
    count: usize,
) -> Result<Vec<WalletTransaction>> {
    let found = tx.query(&BY_WALLET, &[Value::Blob(wallet.as_bytes())], read_account)?;
    let Some(account) = found.into_iter().next() else { return Ok(Vec::new()) };
    let keys = indexed(tx, index, account.number, None, skip + count)?;
    let keys: Vec<(u8, i64)> =
        keys.into_iter().skip(skip).map(|(_, bucket, line)| (bucket, line)).collect();
    let rows = tx.select_many(
        &POSTINGS,
        &keys,
        |(bucket, line)| [(*bucket).into(), (line & !1).into()],
        read_posting,
    )?;
    let rows: Vec<PostingRow> = rows
        .into_iter()
        .filter(|row| row.debit == account.number || row.credit == account.number)
        .collect();
    let times = seal_times(tx, rows.iter().map(|row| (account.shard, row.seal)))?;
    let holds = tx.select_many(
        &HOLD_STATES,
        rows.iter().filter(|row| Step::of_key(row.id) == Step::Hold),
        |row| [row.bucket.into(), row.id.into()],
        |row| Ok((row.int(0)?, row.int(1)?)),
    )?;
    let holds: BTreeMap<i64, i64> = holds.into_iter().collect();
    let others = load_by_number(tx, rows.iter().flat_map(|row| [row.debit, row.credit]))?;
    rows.iter()
        .map(|row| {
            let other = if row.debit == account.number { row.credit } else { row.debit };
            let other = others.get(&other).ok_or_else(|| corrupt("a posting of no account"))?;
            let at = times.get(&(account.shard, row.seal)).copied();
            let at = at.ok_or_else(|| corrupt("a posting without seal"))?;
            Ok(transaction(wallet, &account, row, other, holds.get(&row.id).copied(), at))
        })
        .collect()
}

fn transaction(
    wallet: WalletId,
    account: &Account,
    row: &PostingRow,
    other: &Account,
    hold: Option<i64>,
    at: Timestamp,
) -> WalletTransaction {
    let debited = row.debit == account.number;
    let forced = Step::of_key(row.id) == Step::Forced;
    let kind = match other.role {
        Role::Wallet(_) | Role::Xout(_) | Role::Xin(_) => "wallet-transfer",
        Role::Out(Rail::Ach) | Role::In(Rail::Ach) if forced => "ach-reversal",
        Role::In(Rail::Card) if forced => "card-reversal",
        Role::In(Rail::Card) => "card-payment",
        Role::Out(_) | Role::In(_) | Role::Settlement(_) if debited => "payout",
        Role::Out(_) | Role::In(_) | Role::Settlement(_) => "top-up",
        // What a rail did not give back to who paid.
        Role::Transit => "top-up",
        Role::Adjustments => "adjustment",
    };
    let status = match hold.and_then(HoldState::from_number) {
        None | Some(HoldState::Posted | HoldState::Returned) => "completed",
        Some(HoldState::Open | HoldState::Waiting) => "pending",
        Some(HoldState::Voided) => "failed",
        Some(HoldState::Canceled | HoldState::Dropped) => "canceled",
    };
    let amount = if debited { -row.amount } else { row.amount };
    let line = if debited { row.id } else { row.id + 1 };
    WalletTransaction {
        transaction_id: line.to_string(),
        wallet_id: wallet,
        transaction_type: kind.to_owned(),
        source_type: if kind == "adjustment" { "adjustment" } else { "transfer" }.to_owned(),
        source_id: TransferId::from_parts(row.id >> 8, row.tail).0,
        status: status.to_owned(),
        currency: account.currency,
        gross_amount: amount,
        fee: 0,
        net_amount: amount,
        available_balance: if debited { row.debit_balance } else { row.credit_balance },
        created_on: at,
    }
}

fn seal_times(
    tx: &mut Tx<'_>,
    seals: impl Iterator<Item = (u32, i64)>,
) -> Result<BTreeMap<(u32, i64), Timestamp>> {
    let seals: BTreeSet<(u32, i64)> = seals.collect();
    let bad = |_| corrupt("a shard that is no number");
    let rows = tx.select_many(
        &SEAL_TIME,
        &seals,
        |(shard, sequence)| [(*shard).into(), (*sequence).into()],
        |row| {
            let shard = u32::try_from(row.int(0)?).map_err(bad)?;
            Ok(((shard, row.int(1)?), Timestamp(row.int(2)?)))
        },
    )?;
    Ok(rows.into_iter().collect())
}

fn load_by_number(
    tx: &mut Tx<'_>,
    numbers: impl Iterator<Item = i64>,
) -> Result<BTreeMap<i64, Account>> {
    let numbers: BTreeSet<i64> = numbers.collect();
    let found = tx.select_many(&ACCOUNT_BY_NUMBER, &numbers, |n| [(*n).into()], read_account)?;
    Ok(found.into_iter().map(|account| (account.number, account)).collect())
}

fn journal_query(query: &JournalQuery, engine: Engine, count: u32) -> SelectStatement {
    let mut select = Query::select();
    select.columns(POSTING.iter().copied()).from("ledger_posting");
    if let Some(after) = query.after {
        select.and_where(Expr::col("id").gte(after.saturating_sub(1)));
    }
    if let Some(transfer) = query.transfer {
        let first = transfer.row().saturating_mul(256);
        select
            .and_where(Expr::col("id").gte(first))
            .and_where(Expr::col("id").lte(first.saturating_add(255)))
            .and_where(Expr::col("tail").eq(transfer.tail()));
        if engine == Engine::Postgres {
            // A probe of the key per bucket: the other half of a hop is in another one.
            select.and_where(Expr::col("bucket").is_in(0_i64..256));
        }
    }
    select.order_by("id", Order::Asc).order_by("tail", Order::Asc);
    select.limit(u64::from(count) + 1);
    select
}

/// The journal in key order, two lines a posting.
pub fn load_journal(tx: &mut Tx<'_>, query: &JournalQuery, count: u32) -> Result<Vec<Posting>> {
    let select = journal_query(query, tx.engine(), count);
    let rows = tx.select(&select, read_posting)?;
    let accounts = load_by_number(tx, rows.iter().flat_map(|row| [row.debit, row.credit]))?;
    let account =
        |number: i64| accounts.get(&number).ok_or_else(|| corrupt("a posting of no account"));
    let mut seals = BTreeSet::new();
    for row in &rows {
        seals.insert((account(row.debit)?.shard, row.seal));
    }
    let times = seal_times(tx, seals.into_iter())?;
    let mut lines = Vec::with_capacity(rows.len() * 2);
    for row in &rows {
        let at = times.get(&(account(row.debit)?.shard, row.seal)).copied();
        let at = at.ok_or_else(|| corrupt("a posting without seal"))?;
        for (number, side, line) in [(row.debit, "debit", 0), (row.credit, "credit", 1)] {
            let account = account(number)?;
            lines.push(line_of(row, account.role.name(), account.currency, (side, line), at));
        }
    }
    lines.retain(|line| query.after.is_none_or(|after| line.key > after));
    lines.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(lines)
}

fn line_of(
    row: &PostingRow,
    account: String,
    currency: Currency,
    (side, line): (&str, i64),
    at: Timestamp,
) -> Posting {
    let key = row.id + line;
    Posting {
        key,
        transfer_id: TransferId::from_parts(row.id >> 8, row.tail),
        leg: u8::try_from((key >> 6) & 3).expect("two bits"),
        step: Step::of_key(key).as_str().to_owned(),
        line: u8::try_from(key & 7).expect("three bits"),
        account,
        side: side.to_owned(),
        amount: row.amount,
        currency,
        at,
    }
}

/// The head of each shard's chain.
pub fn heads(tx: &mut Tx<'_>) -> Result<Vec<ChainHead>> {
    tx.query(&HEADS, &[], |row| {
        let hash: [u8; 32] = row.bytes(2)?;
        Ok(ChainHead {
            shard: u32::try_from(row.int(0)?).map_err(|_| corrupt("a shard that is no number"))?,
            sequence: row.int(1)?,
            hash: blake3::Hash::from_bytes(hash).to_hex().to_string(),
        })
    })
}
