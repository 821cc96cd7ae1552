//! The invariants over a store, in one snapshot. Each service judges its own rows; what needs two
//! of them, or the outside, is judged here.

mod outside;

use serde::Serialize;
use store::{Store, Tx};

use crate::{
    compose,
    exit::{Context, Outcome},
};

pub use outside::{Booked, Outside, read_journal};

/// The result of one invariant.
#[derive(Serialize, Debug)]
pub struct Checked {
    /// `V1`
    pub invariant: &'static str,
    /// What it says, in a few words.
    pub name: &'static str,
    /// How many of `unit` were looked at.
    pub counted: u64,
    pub unit: &'static str,
    pub ok: bool,
    /// What is wrong, by the rows' own keys.
    pub faults: Vec<String>,
    /// What the judgement could not use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// What a check counted, and what it found wrong.
type Found = (u64, Vec<String>);

fn checked(
    invariant: &'static str,
    name: &'static str,
    unit: &'static str,
    (counted, faults): Found,
) -> Checked {
    Checked { invariant, name, counted, unit, ok: faults.is_empty(), faults, note: None }
}

fn both(one: Found, other: Found) -> Found {
    let (mut counted, mut faults) = one;
    counted += other.0;
    faults.extend(other.1);
    (counted, faults)
}

/// What the ledger's recount says, by the invariant.
fn of_ledger(found: ledger::Checked) -> Checked {
    let (name, unit) = match found.invariant {
        "V1" => ("debits equal credits, in each shard and currency", "balances"),
        "V2" => ("balances are the sums of their postings", "balances"),
        "V3" => ("no account is below its limit unless forced", "balances"),
        "V4" => ("money between shards is in flight or nowhere", "hops"),
        "V11" => ("money is held exactly while a transfer is open", "holds"),
        "V16" => ("the hash chains fit the journal", "seals"),
        _ => ("the books", "rows"),
    };
    checked(found.invariant, name, unit, (found.counted, found.faults))
}

/// Checks everything in one snapshot of the store.
pub fn run(store: &Store, outside: &Outside) -> Outcome<Vec<Checked>> {
    let topics = compose::topics(store)?;
    let all = store.read(|tx| all(tx, store, &topics, outside));
    all.context("the invariants cannot be checked")
}

fn all(
    tx: &mut Tx<'_>,
    store: &Store,
    topics: &[&'static str],
    outside: &Outside,
) -> store::Result<Vec<Checked>> {
    let books = ledger::verify(tx)?;
    let mut results: Vec<Checked> = books.into_iter().map(of_ledger).collect();
    let indexes = transfers::store::Indexes::new(store);
    indexes.restore(tx)?;
    let [found, transitions] = transfers::store::trails_hold(tx, eventlog::Log::some)?;
    results.push(checked(
        "V5",
        "postings and status are what the outcome demands",
        "transfers",
        found,
    ));
    let found = transfers::store::keys_unique(tx, &indexes)?;
    let stored = found.0 - transfers::store::count_unrequested(tx)?;
    results.push(checked("V6", "one transfer for each idempotency key", "transfers", found));
    results.push(outside::acknowledged(tx, stored, outside)?);
    results.push(checked("V8", "every transition is in the table", "transfers", transitions));
    let found = transfers::store::refunds_limited(tx)?;
    results.push(checked("V19", "refunds never exceed what they refund", "refunded", found));
    let found = both(eventlog::verify(tx, topics)?, webhooks::verify(tx)?);
    results.push(checked("V9", "streams, positions and feeds without a gap", "events", found));
    results.push(outside::paid_once(tx, outside)?);
    // In the order of their numbers; what two services judge under one number is one result.
    results.sort_by_key(|one| one.invariant[1..].parse::<u32>().unwrap_or(u32::MAX));
    Ok(results)
}
