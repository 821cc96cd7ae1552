//! What the bank sends back: files of returns and of notifications of change, made of the file that
//! they are about. Pure: the same arguments give the same bytes.

use std::collections::BTreeMap;

use nacha::routing::{Dfi, RoutingNumber};
use nacha::{
    AccountKind, Addenda, Amount, Batch, BatchHeader, Change, ChangeCode, Correction, Date, Entry,
    File, FileHeader, FileModifier, Purpose, Return, ReturnCode, Sec, Time, Trace, TransactionCode,
};

use super::moment;

/// Which answer of the bank it is, and when it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue {
    /// Counts the bank's files, from 1.
    pub(super) number: u64,
    /// The trace sequence number of the first answer in it.
    pub(super) first_sequence: u32,
    /// Microseconds of the business clock.
    pub(super) at: i64,
}

/// What an entry is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Return(ReturnCode),
    Change(ChangeCode),
}

/// A file of answers to entries of one batch, each given by its place in the batch. The receiving
/// banks, of which this one is many, each send a batch.
pub(super) fn file(original: &File, batch: usize, codes: &[(usize, Code)], issue: Issue) -> File {
    let batch = &original.batches[batch];
    let mut by_bank: BTreeMap<Dfi, Vec<(&Entry, Code)>> = BTreeMap::new();
    for (place, code) in codes {
        let entry = &batch.entries[*place];
        by_bank.entry(entry.rdfi.dfi()).or_default().push((entry, *code));
    }
    let mut sequence = issue.first_sequence;
    let batches = (1..).zip(by_bank).map(|(number, (rdfi, entries))| {
        let change = entries.iter().any(|(_, code)| matches!(code, Code::Change(_)));
        let header = BatchHeader {
            sec: if change { Sec::Cor } else { batch.header.sec },
            settlement_date: moment::date(issue.at).day_of_year(),
            odfi: rdfi,
            number,
            ..batch.header.clone()
        };
        let entries = entries
            .into_iter()
            .map(|(entry, code)| {
                let trace = Trace::new(rdfi, sequence).expect("the books count to seven digits");
                sequence += 1;
                answer(entry, code, trace, moment::date(issue.at))
            })
            .collect();
        Batch { header, entries, authentication_code: String::new() }
    });
    let batches = batches.collect();
    File { header: header(&original.header, batch.header.odfi, issue), batches }
}

fn header(original: &FileHeader, odfi: Dfi, issue: Issue) -> FileHeader {
    let modifiers = std::iter::successors(Some(FileModifier::FIRST), |modifier| modifier.next());
    let place = usize::try_from((issue.number - 1) % 36).expect("below 36");
    let modifier = modifiers.take(36).nth(place).expect("there are 36 modifiers");
    FileHeader {
        immediate_destination: odfi.routing_number().expect("checked when the file was taken"),
        immediate_origin: original.immediate_destination.to_string(),
        created: moment::date(issue.at),
        created_time: Some(moment::time(issue.at)),
        modifier,
        destination_name: original.origin_name.clone(),
        origin_name: original.destination_name.clone(),
        // A day has 36 modifiers, and the fast pace more files.
        reference_code: format!("{:08}", issue.number % 100_000_000),
    }
}

fn answer(original: &Entry, code: Code, trace: Trace, today: Date) -> Entry {
    let original_rdfi = original.rdfi.dfi();
    let addenda = match code {
        Code::Return(code) => {
            let died = matches!(code.number(), 14 | 15);
            Addenda::Return(Return {
                code,
                original_trace: original.trace,
                date: if died { today.to_string() } else { String::new() },
                original_rdfi,
                information: String::new(),
                trace,
            })
        }
        Code::Change(code) => Addenda::Change(Change {
            code,
            original_trace: original.trace,
            original_rdfi,
            corrected: correction(original, code).data().expect("made of fields that fit"),
            trace,
        }),
    };
    let amount = if matches!(code, Code::Change(_)) { Amount::ZERO } else { original.amount };
    let odfi = original.trace.odfi().routing_number();
    Entry {
        transaction_code: original.transaction_code.returned(),
        rdfi: odfi.expect("checked when the file was taken"),
        amount,
        addenda: vec![addenda],
        trace,
        ..original.clone()
    }
}

/// What the bank says is right: each field another one of the same kind.
fn correction(original: &Entry, code: ChangeCode) -> Correction {
    let account = || other_digits(&original.account);
    let bank = || {
        let banks = ["011401533", "021000021"].map(RoutingNumber::parse);
        let other = banks.into_iter().flatten().find(|bank| *bank != original.rdfi);
        other.expect("two routing numbers are not both the same")
    };
    let transaction = || other_kind(original.transaction_code);
    match code.number() {
        1 => Correction::Account(account()),
        2 => Correction::Routing(bank()),
        3 => Correction::RoutingAndAccount(bank(), account()),
        4 => Correction::Name(nacha::text::fit(&format!("{} JR", original.individual_name), 22)),
        5 => Correction::TransactionCode(transaction()),
        6 => Correction::AccountAndCode(account(), transaction()),
        7 => Correction::All(bank(), account(), transaction()),
        8 => Correction::Other(bank().to_string()),
        9 => {
            let id = nacha::text::fit(&original.individual_id, 15);
            Correction::IndividualId(other_digits(if id.is_empty() { "1" } else { &id }))
        }
        _ => Correction::Other(String::new()),
    }
}

/// The same text with another last digit; without a digit, another last character.
fn other_digits(text: &str) -> String {
    let place = text.rfind(|character: char| character.is_ascii_digit());
    let place = place.unwrap_or(text.len().saturating_sub(1));
    let digit = text.as_bytes().get(place).filter(|byte| byte.is_ascii_digit());
    let other = digit.map_or('1', |digit| char::from(b'0' + (digit - b'0' + 1) % 10));
    let mut changed = text.to_owned();
    changed.replace_range(place..(place + 1).min(text.len()), other.encode_utf8(&mut [0; 4]));
    changed
}

/// Savings for checking, and checking for anything else.
fn other_kind(code: TransactionCode) -> TransactionCode {
    let account = match code.account() {
        AccountKind::Checking => AccountKind::Savings,
        _ => AccountKind::Checking,
    };
    let other = TransactionCode::new(account, code.direction(), Purpose::Live);
    other.expect("both kinds have payments both ways")
}

/// The day on which a batch is to settle, and, if that is the same day, at what time.
pub(super) fn asks_for(header: &BatchHeader) -> (Option<Date>, Option<Time>) {
    let same_day = header.descriptive_date.strip_prefix("SD").and_then(Time::parse);
    (header.effective_date, same_day)
}
