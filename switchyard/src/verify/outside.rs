//! What only the outside knows: what clients were told (V7), what the counterparties booked (V10).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use contracts::{Amount, ids::TransferId, transfers::TransferStatus};
use serde::Deserialize;
use serde_json::Value;
use store::Tx;

use super::{Checked, checked};
use crate::exit::{Context, Failure, Outcome};

/// Transfers read at once.
const PAGE: usize = 5_000;
/// Faults named at most.
const FAULTS_MOST: usize = 100;
/// States of the counterparties' books in which money has moved, or will.
const IN_FORCE: [&str; 3] = ["accepted", "approved", "settled"];

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
        ids.insert(*id);
    }
    let told: Vec<TransferId> = ids.iter().copied().collect();
    for page in told.chunks(PAGE) {
        let found = transfers::store::load_many(tx, page.iter().copied())?;
        let missing = page.iter().filter(|id| !found.contains_key(id));
        faults.extend(missing.map(|id| format!("{id} was acknowledged and is not stored")));
    }
    let explained = ids.len() as u64 + journal.unanswered;
    if stored > explained {
        faults.push(format!("{stored} transfers are stored, clients sent {explained} at most"));
    }
    Ok(checked("V7", name, "answers", (journal.told.len() as u64, faults)))
}

/// One leg of a transfer, as its rail knows it.
#[derive(Clone, Copy, Debug)]
pub struct Instructed {
    rail: &'static str,
    transfer: TransferId,
    leg: u8,
    amount: Amount,
    standing: Standing,
}

/// How an instruction stands, as far as the counterparty's books can contradict it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// Nothing final is known.
    Open,
    /// It is paid.
    Paid,
    /// It is not, and will not be.
    Unpaid,
}

/// The instructions of every rail, and what is wrong in their own rows.
fn instructions(tx: &mut Tx<'_>) -> store::Result<(Vec<Instructed>, Vec<String>)> {
    let (rtp, mut faults) = rtp::verify(tx)?;
    let (card, more) = card::verify(tx)?;
    faults.extend(more);
    let (ach, more) = ach::verify(tx)?;
    faults.extend(more);
    let ach = ach.into_iter().map(|one| Instructed {
        rail: "ach",
        transfer: one.transfer,
        leg: one.leg,
        amount: one.amount,
        standing: match one.standing {
            ach::Standing::Open => Standing::Open,
            ach::Standing::Paid => Standing::Paid,
            ach::Standing::Unpaid => Standing::Unpaid,
        },
    });
    let rtp = rtp.into_iter().map(|one| Instructed {
        rail: "rtp",
        transfer: one.transfer,
        leg: one.leg,
        amount: one.amount,
        standing: match one.standing {
            rtp::Standing::Open => Standing::Open,
            rtp::Standing::Paid => Standing::Paid,
            rtp::Standing::Unpaid => Standing::Unpaid,
        },
    });
    let card = card.into_iter().map(|one| Instructed {
        rail: "card",
        transfer: one.transfer,
        leg: one.leg,
        amount: one.amount,
        standing: match one.standing {
            card::Standing::Open => Standing::Open,
            card::Standing::Paid => Standing::Paid,
            card::Standing::Unpaid => Standing::Unpaid,
        },
    });
    Ok((rtp.chain(card).chain(ach).collect(), faults))
}

/// V10: nothing left twice, the network's word and the transfer's status agree, and the network's
/// own books say the same.
pub fn paid_once(tx: &mut Tx<'_>, outside: &Outside) -> store::Result<Checked> {
    let (instructions, mut faults) = instructions(tx)?;
    let mut transfers: BTreeMap<TransferId, Vec<&Instructed>> = BTreeMap::new();
    for one in &instructions {
        transfers.entry(one.transfer).or_default().push(one);
    }
    let transfers: Vec<(TransferId, Vec<&Instructed>)> = transfers.into_iter().collect();
    for page in transfers.chunks(PAGE) {
        let found = transfers::store::load_many(tx, page.iter().map(|(id, _)| *id))?;
        for (id, legs) in page {
            let status = found.get(id).map(|record| record.progress.status);
            faults.extend(contradiction(*id, legs, status));
        }
    }
    let counted = instructions.len() as u64;
    let name = "each instruction is paid once or not at all";
    if let Some(books) = &outside.books {
        faults.extend(compared(&instructions, books));
    }
    faults.truncate(FAULTS_MOST);
    let mut result = checked("V10", name, "instructions", (counted, faults));
    result.note = outside.books.is_none().then_some("by the store alone, without --books");
    Ok(result)
}

/// What is wrong between a transfer's status and how its legs stand. An open transfer is no
/// contradiction: the news may be on its way to it.
fn contradiction(
    id: TransferId,
    legs: &[&Instructed],
    status: Option<TransferStatus>,
) -> Option<String> {
    use TransferStatus::{Canceled, Completed, Failed, Reversed};
    let standing = |leg| legs.iter().find(|one| one.leg == leg).map(|one| one.standing);
    let (first, second) = (standing(0), standing(1));
    let is_open = legs.iter().any(|one| one.standing == Standing::Open);
    let wrong = match status {
        None => true,
        Some(Completed) => {
            first != Some(Standing::Paid) || second.is_some_and(|second| second != Standing::Paid)
        }
        // What a return brought back is not paid any more, and what went back another way is.
        Some(Reversed) => is_open,
        // A first leg that was paid is given back by a leg of its own.
        Some(Failed | Canceled) if standing(2).is_some() => {
            is_open || second == Some(Standing::Paid)
        }
        Some(Failed | Canceled) => {
            first != Some(Standing::Unpaid) && second.is_none() || second == Some(Standing::Paid)
        }
        Some(_) => false,
    };
    let status = status.map_or("not stored", TransferStatus::as_str);
    let told = |one: &&Instructed| {
        let standing = match one.standing {
            Standing::Open => "open",
            Standing::Paid => "paid",
            Standing::Unpaid => "not paid",
        };
        format!("leg {} by {} is {standing}", one.leg, one.rail)
    };
    let legs: Vec<String> = legs.iter().map(told).collect();
    wrong.then(|| format!("{id} is {status}; {}", legs.join(", ")))
}

/// What is wrong between our instructions and the counterparties' books, both ways: of each transfer
/// and rail as many payments are in force there as legs are paid here, of the same amount.
fn compared(instructions: &[Instructed], books: &[Booked]) -> Vec<String> {
    type Of<'b> = (&'b str, TransferId);
    let mut faults = Vec::new();
    let mut booked: BTreeMap<Of<'_>, Vec<&Booked>> = BTreeMap::new();
    for one in books.iter().filter(|one| IN_FORCE.contains(&one.state.as_str())) {
        match one.transfer_id {
            Some(id) => booked.entry((one.rail.as_str(), id)).or_default().push(one),
            None => faults.push(format!("{} {} names no transfer", one.rail, one.reference)),
        }
    }
    let mut legs: BTreeMap<Of<'_>, Vec<&Instructed>> = BTreeMap::new();
    for one in instructions {
        legs.entry((one.rail, one.transfer)).or_default().push(one);
    }
    for ((rail, id), legs) in legs {
        let theirs = booked.remove(&(rail, id)).unwrap_or_default();
        let count = |standing| legs.iter().filter(|one| one.standing == standing).count();
        let (paid, open) = (count(Standing::Paid), count(Standing::Open));
        if theirs.len() < paid {
            faults.push(format!("{id}: paid here, not in the books"));
        } else if paid + open == 0 && !theirs.is_empty() {
            faults.push(format!("{id}: not paid here, but booked"));
        } else if theirs.len() > paid + open {
            faults.push(format!("{id}: booked {} times", theirs.len()));
        }
        let ours = legs[0].amount.value;
        if let Some(other) = theirs.iter().find(|one| one.amount != ours) {
            faults.push(format!("{id}: {} is booked where {ours} was instructed", other.amount));
        }
    }
    faults.extend(booked.keys().map(|(_, id)| format!("{id}: booked, and never instructed")));
    faults
}

#[cfg(test)]
mod tests {
    use contracts::{Amount, Currency, transfers::TransferStatus};

    use super::{Booked, Instructed, Standing, compared, contradiction, read_journal};

    fn instructed(last: u8, standing: Standing) -> Instructed {
        let id = format!("019a8f3e-1c40-7000-8000-0000000000{last:02x}");
        let amount = Amount::new(100, Currency::USD);
        Instructed { rail: "rtp", transfer: id.parse().unwrap(), leg: 0, amount, standing }
    }

    fn booked(one: &Instructed, state: &str, amount: i64) -> Booked {
        let (rail, reference) = ("rtp".to_owned(), "r".to_owned());
        let transfer_id = Some(one.transfer);
        Booked { rail, transfer_id, reference, amount, state: state.to_owned() }
    }

    #[test]
    fn books_that_agree_and_books_that_do_not() {
        let (paid, unpaid) = (instructed(1, Standing::Paid), instructed(2, Standing::Unpaid));
        let all = [paid, unpaid];
        let good = [booked(&paid, "accepted", 100), booked(&unpaid, "rejected", 100)];
        assert!(compared(&all, &good).is_empty());
        let missing = compared(&all, &good[1..]);
        assert!(missing[0].ends_with("paid here, not in the books"), "{missing:?}");
        let twice = [good[0].clone(), good[0].clone()];
        assert!(compared(&all, &twice)[0].ends_with("booked 2 times"));
        let other = [booked(&paid, "accepted", 99)];
        assert!(compared(&all, &other)[0].contains("99 is booked"));
        let wrong = [good[0].clone(), booked(&unpaid, "accepted", 100)];
        assert!(compared(&all, &wrong)[0].ends_with("not paid here, but booked"));
        assert!(compared(&[], &good)[0].ends_with("never instructed"));
    }

    #[test]
    fn a_status_and_a_payment_may_contradict() {
        use TransferStatus::{Canceled, Completed, Failed, Pending, Reversed};
        let paid = instructed(1, Standing::Paid);
        let says = |legs: &[(u8, Standing)], status| {
            let legs: Vec<Instructed> = legs
                .iter()
                .map(|(leg, standing)| Instructed { leg: *leg, standing: *standing, ..paid })
                .collect();
            let legs: Vec<&Instructed> = legs.iter().collect();
            contradiction(paid.transfer, &legs, status).is_some()
        };
        use Standing::{Open, Paid, Unpaid};
        assert!(!says(&[(0, Paid)], Some(Completed)));
        assert!(!says(&[(0, Paid)], Some(Pending)));
        assert!(says(&[(0, Paid)], Some(Failed)));
        assert!(says(&[(0, Open)], Some(Failed)));
        assert!(says(&[(0, Unpaid)], Some(Completed)));
        assert!(says(&[(0, Open)], Some(Reversed)));
        assert!(says(&[(0, Paid)], None));
        // Two legs, and the way back.
        assert!(!says(&[(0, Paid), (1, Paid)], Some(Completed)));
        assert!(says(&[(0, Paid), (1, Unpaid)], Some(Completed)));
        assert!(!says(&[(0, Paid), (1, Unpaid), (2, Paid)], Some(Failed)));
        assert!(!says(&[(0, Paid), (2, Paid)], Some(Canceled)));
        assert!(says(&[(0, Paid), (1, Paid), (2, Paid)], Some(Failed)));
        assert!(says(&[(0, Paid), (1, Unpaid), (2, Open)], Some(Failed)));
    }

    #[test]
    fn a_journal_tells_answers_refusals_and_silence_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let id = "019a8f3e-1c40-7000-8000-000000000001";
        let text = format!(
            "{{\"key\":\"a\",\"status\":200,\"transferID\":\"{id}\"}}\n{{\"key\":\"b\",\"status\":429}}\n\n\
             {{\"key\":\"c\"}}\n{{\"key\":\"d\",\"status\":503}}\n"
        );
        std::fs::write(&path, text).unwrap();
        let journal = read_journal(&path).unwrap();
        assert_eq!((journal.told.len(), journal.unanswered), (1, 2));
        std::fs::write(&path, "no json").unwrap();
        assert!(read_journal(&path).is_err());
    }
}
