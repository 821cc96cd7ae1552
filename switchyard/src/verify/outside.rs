//! What only the outside knows: what clients were told (V7), what the counterparties booked (V10).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use contracts::ids::TransferId;
use serde::Deserialize;
use serde_json::Value;
use store::Tx;

use super::{Checked, checked};
use crate::exit::{Context, Failure, Outcome};

/// What came from the outside, where it was asked for.
pub struct Outside {
    pub journal: Option<Journal>,
    pub books: Option<Vec<Booked>>,
}

/// What clients were told, by idempotency key where the line has one.
#[derive(Default)]
pub struct Journal {
    told: Vec<(Option<String>, TransferId)>,
    /// Requests of which no answer came: the store may hold their transfers or not.
    unanswered: u64,
}

/// One payment in the counterparties' books.
#[derive(Deserialize, Clone, Debug)]
pub struct Booked {
    pub rail: String,
    #[serde(rename = "transferID", default)]
    pub transfer_id: Option<TransferId>,
    pub reference: String,
    pub amount: i64,
    pub state: String,
}

/// Reads a journal: one JSON object a line, `{"key", "status", "transferID"}`; no `transferID` and
/// no `status` below 500 means that the client does not know.
pub fn read_journal(path: &Path) -> Outcome<Journal> {
    let text = std::fs::read_to_string(path).context(path.display())?;
    let mut journal = Journal::default();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|error| {
            Failure::CouldNotRun(format!("{}:{number}: {error}", path.display()))
        })?;
        let id = value.get("transferID").or_else(|| value.pointer("/body/transferID"));
        let id = id.and_then(Value::as_str).and_then(|id| id.parse().ok());
        let key = value.get("key").and_then(Value::as_str).map(str::to_owned);
        match (id, value.get("status").and_then(Value::as_u64)) {
            (Some(id), _) => journal.told.push((key, id)),
            (None, Some(status)) if status < 500 => {}
            (None, _) => journal.unanswered += 1,
        }
    }
    Ok(journal)
}

/// V7: what was acknowledged is stored, and nothing is stored that nobody sent.
pub fn acknowledged(tx: &mut Tx<'_>, stored: u64, outside: &Outside) -> store::Result<Checked> {
    let name = "everything acknowledged is stored";
    let Some(journal) = &outside.journal else {
        let mut result = checked("V7", name, "transfers", (stored, Vec::new()));
        result.note = Some("by the store alone, without --journal");
        return Ok(result);
    };
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    let mut keys: BTreeMap<&str, TransferId> = BTreeMap::new();
    for (key, id) in &journal.told {
        if let Some(key) = key
            && let Some(other) = keys.insert(key, *id).filter(|other| other != id)
        {
            faults.push(format!("key {key} was told {other} and {id}"));
        }
        if ids.insert(*id) && transfers::store::load(tx, *id)?.is_none() {
            faults.push(format!("{id} was acknowledged and is not stored"));
        }
    }
    let explained = ids.len() as u64 + journal.unanswered;
    if stored > explained {
        faults.push(format!("{stored} transfers are stored, clients sent {explained} at most"));
    }
    Ok(checked("V7", name, "answers", (journal.told.len() as u64, faults)))
}
