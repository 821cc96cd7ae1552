//! The bank's files: acknowledgements, and files of returns and of notifications of change.

use contracts::payment_methods::Corrected;
use nacha::{AccountKind, Addenda, Correction, InvalidCorrection, ReturnCode, Trace};
use serde::Deserialize;

use crate::domain::News;

/// What the bank says of a file.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// `NAME.ach`
    pub file: String,
    /// Hexadecimal digits.
    pub sha256: String,
    pub accepted: bool,
    pub reason: Option<String>,
}

impl Acknowledgement {
    /// Whether it refuses a file because it has it: then ours is there, and this is the second copy.
    pub fn is_duplicate_of(&self, hash: &str) -> bool {
        let content = |reason: &String| {
            reason.starts_with("duplicate") && reason.contains("of the same content")
        };
        !self.accepted && self.sha256 == hash && self.reason.as_ref().is_some_and(content)
    }
}

/// Reads an acknowledgement.
pub fn read_acknowledgement(bytes: &[u8]) -> Result<Acknowledgement, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("no acknowledgement: {error}"))
}

/// What the receiving bank says of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The entry that it is about.
    pub trace: Trace,
    /// The receiving bank's eight digits.
    pub rdfi: i64,
    /// Cents; 0 of a notification of change.
    pub cents: i64,
    pub said: Said,
}

/// A return, a change, or no answer at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Returned(ReturnCode),
    Changed(nacha::Change),
    /// An entry of its own.
    Nothing,
}

impl Answer {
    /// `R01`, `C01` or `-`.
    pub fn code(&self) -> String {
        match &self.said {
            Said::Returned(code) => code.to_string(),
            Said::Changed(change) => change.code.to_string(),
            Said::Nothing => "-".to_owned(),
        }
    }
    /// `return R01` or `change C01`
    pub fn name(&self) -> String {
        match &self.said {
            Said::Returned(code) => format!("return {code}"),
            Said::Changed(change) => format!("change {}", change.code),
            Said::Nothing => "entry".to_owned(),
        }
    }
    /// What that means for the entry.
    pub fn news(&self) -> Option<News> {
        match &self.said {
            Said::Returned(code) => Some(News::Returned {
                code: code.to_string(),
                failure: failure_code(*code),
                why: code.title().to_owned(),
            }),
            Said::Changed(change) => Some(News::Corrected {
                code: change.code.to_string(),
                why: change.code.title().to_owned(),
            }),
            Said::Nothing => None,
        }
    }
}

/// Reads a file of answers; an error says why nothing of it may be applied. Its sums are checked.
pub fn read_answers(bytes: &[u8]) -> Result<Vec<Answer>, String> {
    let file = nacha::parse(bytes).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("{} errors, the first: {first}", errors.len())
    })?;
    let entries = file.batches.iter().flat_map(|batch| &batch.entries);
    Ok(entries.map(answer).collect())
}

fn answer(entry: &nacha::Entry) -> Answer {
    let said = entry.addenda.iter().find_map(|addenda| match addenda {
        Addenda::Return(it) => Some((it.original_trace, it.original_rdfi, Said::Returned(it.code))),
        Addenda::Change(it) => {
            Some((it.original_trace, it.original_rdfi, Said::Changed(it.clone())))
        }
        Addenda::Payment { .. } => None,
    });
    let (trace, rdfi, said) = said.unwrap_or((entry.trace, entry.rdfi.dfi(), Said::Nothing));
    Answer {
        trace,
        rdfi: rdfi.to_string().parse().expect("eight digits"),
        cents: i64::try_from(entry.amount.cents()).expect("ten digits"),
        said,
    }
}

/// What a notification says of the bank account itself; `None` where it is about something else, or is
/// only the sender's to mend.
pub fn corrected(change: &nacha::Change) -> Result<Option<Corrected>, InvalidCorrection> {
    let mut right = Corrected::default();
    let kind = |account| match account {
        AccountKind::Checking => "checking",
        AccountKind::Savings => "savings",
        AccountKind::GeneralLedger => "general-ledger",
        AccountKind::Loan => "loan",
    };
    let (routing, account, code, name) = match change.correction()? {
        Correction::Account(account) => (None, Some(account), None, None),
        Correction::Routing(routing) => (Some(routing), None, None, None),
        Correction::RoutingAndAccount(routing, account) => {
            (Some(routing), Some(account), None, None)
        }
        Correction::Name(name) => (None, None, None, Some(name)),
        Correction::TransactionCode(code) => (None, None, Some(code), None),
        Correction::AccountAndCode(account, code) => (None, Some(account), Some(code), None),
        Correction::All(routing, account, code) => (Some(routing), Some(account), Some(code), None),
        Correction::IndividualId(_) | Correction::Other(_) => return Ok(None),
    };
    right.routing_number = routing.map(|routing| routing.to_string());
    right.account_number = account;
    right.bank_account_type = code.map(|code| kind(code.account()).to_owned());
    right.holder_name = name;
    Ok(Some(right))
}

/// What a leg failed for, by the code that it was returned with.
pub fn failure_code(code: ReturnCode) -> &'static str {
    match code.number() {
        1 | 9 => "insufficient-funds",
        2 => "account-closed",
        3 | 4 | 13 | 28 => "invalid-account",
        5 | 7 | 10 | 29 | 51 => "revocation-of-authorization",
        8 | 52 => "payment-stopped",
        14 | 15 => "customer-deceased",
        16 | 33 => "account-blocked",
        20 | 23 | 38 => "transaction-not-supported",
        24 | 67 => "duplicate-transaction",
        17 | 26 | 27 | 30 => "invalid-field",
        19 => "invalid-amount",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements() {
        let text = br#"{"file":"a.ach","sha256":"ab","accepted":false,"reason":"duplicate: a file of the same content was taken","entryCount":1,"totalDebit":0,"totalCredit":5}"#;
        let ack = read_acknowledgement(text).unwrap();
        assert!(ack.is_duplicate_of("ab") && !ack.is_duplicate_of("cd"));
        let other = Acknowledgement {
            reason: Some(
                "duplicate: a file of the same origin, date and modifier was taken".into(),
            ),
            ..ack.clone()
        };
        assert!(!other.is_duplicate_of("ab"), "another file has our name, ours is not there");
        assert!(!Acknowledgement { accepted: true, ..ack }.is_duplicate_of("ab"));
        assert!(read_acknowledgement(b"{").is_err());
        assert!(read_acknowledgement(b"{}").is_err());
    }

    #[test]
    fn every_return_code_has_a_name() {
        let named = ReturnCode::all().filter(|code| failure_code(*code) != "other").count();
        assert_eq!(named, 28);
        assert_eq!(failure_code(ReturnCode::new(85).unwrap()), "other");
        assert!(read_answers(b"no file").unwrap_err().contains("errors"));
    }
}
