//! Invariants over the stored transfers: one per key, statuses as the events demand, legal ways.

use std::collections::BTreeMap;

use contracts::{
    Event, Timestamp,
    exchanges::EventPlace,
    ids::TransferId,
    ledger::{LedgerPosted, LedgerRefused, LedgerReserved},
    rails::RailOutcome,
    transfers::{TransferCreated, TransferStatus, TransferUpdated},
};
use runtime::Stored;
use store::{Engine, Result, Sql, Tx, Value};

use super::{Indexes, Record, Refund, corrupt, load_many, refunds};
use crate::domain::{Decision, Input, Legs, Progress, decide, is_final, may_follow, taken};

static FIRST_PAGE: Sql =
    Sql::new("SELECT id, tail FROM transfers_transfer ORDER BY bucket, id, tail LIMIT 5000");
static PAGE: Sql = Sql::new(
    "SELECT id, tail FROM transfers_transfer WHERE (bucket, id, tail) > ($1, $2, $3) \
     ORDER BY bucket, id, tail LIMIT 5000",
);
static FIRST_PAGE_EMBEDDED: Sql =
    Sql::new("SELECT id, tail FROM transfers_transfer ORDER BY id LIMIT 5000");
static PAGE_EMBEDDED: Sql =
    Sql::new("SELECT id, tail FROM transfers_transfer WHERE id > $1 ORDER BY id LIMIT 5000");
static TWICE: Sql = Sql::new(
    "SELECT key_hash, COUNT(*) FROM transfers_transfer GROUP BY key_hash HAVING COUNT(*) > 1",
);
static REFUNDED: Sql = Sql::new(
    "SELECT DISTINCT original FROM transfers_refund WHERE original > $1 ORDER BY original LIMIT 500",
);

// The shortest request is longer.
static UNREQUESTED: Sql =
    Sql::new("SELECT COUNT(*) FROM transfers_transfer WHERE request_bytes = 0");

/// Faults named in one answer at most.
const FAULTS_MOST: usize = 100;

/// What a check counted, and what it found wrong.
pub type Checked = (u64, Vec<String>);

/// How a check reads events of a topic: those that there are of some places.
pub type ReadEvents = fn(&mut Tx<'_>, &'static str, &[EventPlace]) -> Result<Vec<Stored>>;

/// Every transfer, a page at a time; `each` may read more.
fn each_page(
    tx: &mut Tx<'_>,
    mut each: impl FnMut(&mut Tx<'_>, &[Record]) -> Result<()>,
) -> Result<u64> {
    let mut counted = 0;
    let mut last: Option<TransferId> = None;
    loop {
        let row = |row: &store::Row<'_>| Ok(TransferId::from_parts(row.int(0)?, row.int(1)?));
        let ids = match (tx.engine(), last) {
            (Engine::Sqlite, None) => tx.query(&FIRST_PAGE_EMBEDDED, &[], row)?,
            (Engine::Sqlite, Some(id)) => tx.query(&PAGE_EMBEDDED, &[Value::Int(id.row())], row)?,
            (Engine::Postgres, None) => tx.query(&FIRST_PAGE, &[], row)?,
            (Engine::Postgres, Some(id)) => {
                let bucket = Value::Int(i64::from(id.bucket()));
                tx.query(&PAGE, &[bucket, Value::Int(id.row()), Value::Int(id.tail())], row)?
            }
        };
        let Some(end) = ids.last().copied() else { return Ok(counted) };
        last = Some(end);
        let mut found = load_many(tx, ids.iter().copied())?;
        // A row whose bucket is not its id's is found by the page and not by its key.
        let by_key = |id| found.remove(id).ok_or_else(|| corrupt(&format!("{id} by its key")));
        let records: Vec<Record> = ids.iter().map(by_key).collect::<Result<_>>()?;
        each(tx, &records)?;
        counted += records.len() as u64;
    }
}

fn note(faults: &mut Vec<String>, fault: String) {
    if faults.len() < FAULTS_MOST {
        faults.push(fault);
    }
}

/// How many transfers no client asked for: micro-deposits.
pub fn count_unrequested(tx: &mut Tx<'_>) -> Result<u64> {
    let count = tx.query_one(&UNREQUESTED, &[], |row| row.int(0))?.unwrap_or(0);
    u64::try_from(count).map_err(|_| corrupt("a count"))
}

/// V6: one transfer per (tenant, key), and the index of keys names that one.
pub fn keys_unique(tx: &mut Tx<'_>, indexes: &Indexes) -> Result<Checked> {
    let mut faults = Vec::new();
    for (key, count) in tx.query(&TWICE, &[], |row| Ok((row.blob(0)?.to_vec(), row.int(1)?)))? {
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        note(&mut faults, format!("key {key} made {count} transfers"));
    }
    let counted = each_page(tx, |tx, records| {
        let keys: Vec<_> = records.iter().map(|record| record.key_hash).collect();
        for (record, known) in records.iter().zip(indexes.known(tx, &keys)?) {
            if known != Some(record.id) {
                note(&mut faults, format!("{}: its key names {known:?}", record.id));
            }
        }
        Ok(())
    })?;
    Ok((counted, faults))
}

/// One event of a trail, read.
enum Told {
    Created,
    Updated(TransferStatus),
    Input(Input),
    Other,
}

fn told(stored: &Stored) -> Result<Told> {
    // A stored kind holds the version above its low 16 bits.
    let kind = stored.kind & 0xffff;
    let payload = &stored.payload;
    let bad = |_| corrupt("an event's payload");
    Ok(match kind {
        TransferCreated::KIND => Told::Created,
        TransferUpdated::KIND => {
            Told::Updated(TransferUpdated::from_compact(payload).map_err(bad)?.status)
        }
        LedgerReserved::KIND => Told::Input(Input::Reserved),
        LedgerRefused::KIND => {
            Told::Input(Input::Refused(LedgerRefused::from_compact(payload).map_err(bad)?.reason))
        }
        LedgerPosted::KIND => {
            let posted = LedgerPosted::from_compact(payload).map_err(bad)?;
            Told::Input(Input::Books(posted.leg, posted.state, posted.undone))
        }
        RailOutcome::KIND => {
            let outcome = RailOutcome::from_compact(payload).map_err(bad)?;
            Told::Input(Input::Rail(outcome.leg, (&outcome).into()))
        }
        _ => Told::Other,
    })
}

/// Every transfer with the events of its trail, oldest first; `None` where one is missing.
fn each_tale(
    tx: &mut Tx<'_>,
    read: ReadEvents,
    mut each: impl FnMut(&Record, &[Option<Told>]),
) -> Result<u64> {
    each_page(tx, |tx, records| {
        let mut places: BTreeMap<&'static str, Vec<EventPlace>> = BTreeMap::new();
        for mark in records.iter().flat_map(|record| record.trail.marks()) {
            places.entry(mark.topic).or_default().push(mark.at);
        }
        let mut events = BTreeMap::new();
        for (topic, places) in places {
            for event in read(tx, topic, &places)? {
                let at = EventPlace { shard: event.shard, place: event.place };
                events.insert((topic, at), event);
            }
        }
        for record in records {
            let events = record.trail.marks().map(|mark| events.get(&(mark.topic, mark.at)));
            let tale = events.map(|event| event.map(told).transpose());
            each(record, &tale.collect::<Result<Vec<_>>>()?);
        }
        Ok(())
    })
}

/// V5, this service's part: each status is the one that the events consumed demand, whatever their
/// order, with its completion time and its reason. V8: each recorded transition is in the table,
/// final is final, and the last one is the row's. In this order, from one look at the events.
pub fn trails_hold(tx: &mut Tx<'_>, read: ReadEvents) -> Result<[Checked; 2]> {
    let (mut statuses, mut transitions) = (Vec::new(), Vec::new());
    let counted = each_tale(tx, read, |record, tale| {
        status_is_expected(record, tale, &mut statuses);
        transitions_are_legal(record, tale, &mut transitions);
    })?;
    Ok([(counted, statuses), (counted, transitions)])
}

fn status_is_expected(record: &Record, tale: &[Option<Told>], faults: &mut Vec<String>) {
    let legs = record.parties.legs();
    let mut inputs = Vec::new();
    for told in tale {
        match told {
            Some(Told::Input(input)) => inputs.push(input),
            None => note(faults, format!("{}: an event of its trail is missing", record.id)),
            _ => {}
        }
    }
    let expected = replay(&inputs, legs);
    let found = &record.progress;
    if expected.status != found.status {
        let (is, due) = (found.status.as_str(), expected.status.as_str());
        note(faults, format!("{} is {is} where its events say {due}", record.id));
    }
    let finished = matches!(found.status, TransferStatus::Completed | TransferStatus::Reversed);
    if found.completed.is_some() && !finished {
        note(faults, format!("{} has a time of completion and is not", record.id));
    }
    if found.status == TransferStatus::Completed && found.completed.is_none() {
        note(faults, format!("{} is completed without a time", record.id));
    }
    if expected.detail.failure != found.detail.failure {
        note(faults, format!("{} has another reason than its events", record.id));
    }
    if record.amount.value <= 0 {
        note(faults, format!("{} moves {}", record.id, record.amount));
    }
}

fn replay(inputs: &[&Input], legs: Legs) -> Progress {
    inputs.iter().fold(Progress::created(), |state, input| {
        match decide(&state, legs, input, Timestamp(0)) {
            Decision::Done(next) => next,
            Decision::AlreadyDone | Decision::Alarm(_) => state,
        }
    })
}

fn transitions_are_legal(record: &Record, tale: &[Option<Told>], faults: &mut Vec<String>) {
    let mut status = TransferStatus::Created;
    for (number, told) in tale.iter().enumerate() {
        match told {
            Some(Told::Created) if number == 0 => {}
            Some(Told::Updated(next)) => {
                if !may_follow(status, *next) {
                    let (from, to) = (status.as_str(), next.as_str());
                    note(faults, format!("{} went from {from} to {to}", record.id));
                }
                status = *next;
            }
            _ if number == 0 => {
                note(faults, format!("{} does not begin with its creation", record.id));
            }
            _ => {}
        }
    }
    if status != record.progress.status {
        let (told, is) = (status.as_str(), record.progress.status.as_str());
        note(faults, format!("{} is {is}, its last event says {told}", record.id));
    }
    if record.progress.detail.canceling && is_final(record.progress.status) {
        note(faults, format!("{} is final and still being cancelled", record.id));
    }
}

/// V19: the refunds in force of a transfer never exceed it, each goes back the way the money came,
/// and each is known to the transfer that it refunds.
pub fn refunds_limited(tx: &mut Tx<'_>) -> Result<Checked> {
    let mut faults = Vec::new();
    each_page(tx, |tx, records| {
        let known = refunds(tx, records.iter().filter_map(Record::refund_of))?;
        for record in records {
            let Some(original) = record.refund_of() else { continue };
            let rows = known.get(&original).map_or(&[][..], Vec::as_slice);
            if !rows.iter().any(|row| row.refund == record.id) {
                let id = record.id;
                note(&mut faults, format!("{id} refunds {original}, which does not know it"));
            }
        }
        Ok(())
    })?;
    let (mut counted, mut last) = (0, Vec::new());
    loop {
        let ids = tx.query(&REFUNDED, &[Value::Blob(&last)], |row| Ok(row.blob(0)?.to_vec()))?;
        let Some(end) = ids.last().cloned() else { return Ok((counted, faults)) };
        last = end;
        let id = |bytes: &Vec<u8>| TransferId::from_slice(bytes);
        let ids: Option<Vec<TransferId>> = ids.iter().map(id).collect();
        let ids = ids.ok_or_else(|| corrupt("the id of a refunded transfer"))?;
        let originals = load_many(tx, ids.iter().copied())?;
        let rows = refunds(tx, ids.iter().copied())?;
        let made = load_many(tx, rows.values().flatten().map(|row| row.refund))?;
        for id in &ids {
            counted += 1;
            let Some(original) = originals.get(id) else {
                note(&mut faults, format!("{id} is refunded and not stored"));
                continue;
            };
            for fault in of_one(original, &rows[id], &made) {
                note(&mut faults, format!("{id}: {fault}"));
            }
        }
    }
}

/// What is wrong with the refunds of a transfer.
fn of_one(original: &Record, rows: &[Refund], made: &BTreeMap<TransferId, Record>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut given = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let Some(refund) = made.get(&row.refund) else {
            faults.push(format!("refund {} is not stored", row.refund));
            continue;
        };
        given.push(refund.given());
        let expected = i64::try_from(at + 1).unwrap_or(i64::MAX);
        let (source, destination) = (&refund.parties.source, &refund.parties.destination);
        let is_back = *source == original.parties.destination
            && *destination == original.parties.source
            && refund.amount.currency == original.amount.currency;
        for (is_wrong, what) in [
            (row.number != expected, "is not numbered in order"),
            (row.amount != refund.amount.value, "has another amount than its transfer"),
            (!is_back, "does not go back the way the money came"),
            (refund.refund_of() != Some(original.id), "is of another transfer"),
        ] {
            if is_wrong {
                faults.push(format!("refund {} {what}", refund.id));
            }
        }
    }
    let taken = taken(&given);
    if taken > original.amount.value {
        faults.push(format!("{taken} is refunded of {}", original.amount));
    }
    if !matches!(original.progress.status, TransferStatus::Completed | TransferStatus::Reversed) {
        faults.push(format!("it is refunded and {}", original.progress.status.as_str()));
    }
    faults
}
