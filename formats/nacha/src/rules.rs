//! The rules between the records of one batch: what its header, SEC code and kind of entry allow.

use crate::addenda::Addenda;
use crate::batch::BatchHeader;
use crate::code::{Purpose, Sec};
use crate::entry;
use crate::error::{Code, Error, Errors, Place};
use crate::{Amount, Entry};

/// An entry as it was read.
pub(crate) struct Read {
    pub(crate) line: usize,
    pub(crate) entry: Entry,
    /// The addenda record indicator.
    pub(crate) promised: bool,
    /// Whether all of its addenda could be read.
    pub(crate) whole: bool,
}

/// Checks a batch.
pub(crate) fn check(header: &BatchHeader, entries: &[Read], errors: &mut Errors) {
    let mut before = None;
    for read in entries {
        let at = |field| Place { line: read.line, record: entry::RECORD, field };
        let trace = read.entry.trace;
        if trace.odfi() != header.odfi {
            let message = "the trace number does not begin with the batch's ODFI";
            let error = Error::new(at("traceNumber"), Code::Contradiction, message);
            errors.push(error.found(trace).expected(header.odfi));
        }
        if before.is_some_and(|before| trace <= before) {
            let message = "trace numbers must ascend within a batch";
            errors.push(Error::new(at("traceNumber"), Code::Rule, message).found(trace));
        }
        before = Some(trace);
        let direction = read.entry.transaction_code.direction();
        if !header.service_class.allows(direction) {
            let message = "the batch's service class does not allow this direction";
            let error = Error::new(at("transactionCode"), Code::Contradiction, message);
            errors.push(
                error.found(read.entry.transaction_code).expected(header.service_class.as_str()),
            );
        }
        if read.whole {
            check_entry(header.sec, read, errors);
        }
    }
}

fn check_entry(sec: Sec, read: &Read, errors: &mut Errors) {
    let entry = &read.entry;
    let mut fail = |field, code, message: &str| {
        let place = Place { line: read.line, record: entry::RECORD, field };
        errors.push(Error::new(place, code, message));
    };
    if read.promised == entry.addenda.is_empty() {
        let message = "the indicator says otherwise than the addenda that follow";
        fail("addendaRecordIndicator", Code::Contradiction, message);
    }
    let changes =
        entry.addenda.iter().filter(|addenda| matches!(addenda, Addenda::Change(_))).count();
    let payments =
        entry.addenda.iter().filter(|addenda| matches!(addenda, Addenda::Payment { .. })).count();
    if sec == Sec::Cor && (changes != 1 || entry.addenda.len() != 1) {
        fail("addenda", Code::Rule, "a COR entry has one addenda 98 and no other");
    }
    if sec != Sec::Cor && changes > 0 {
        fail("addenda", Code::Rule, "addenda 98 is for COR entries only");
    }
    if payments > 1 {
        fail("addenda", Code::Rule, "PPD, CCD and WEB entries have one addenda 05 at most");
    }
    if entry.is_answer() {
        if sec == Sec::Cor && entry.amount != Amount::ZERO {
            fail("amount", Code::Rule, "a notification of change has no amount");
        }
        return;
    }
    if entry.individual_name.is_empty() {
        fail("individualName", Code::Missing, "a mandatory field is blank");
    }
    let zero = entry.amount == Amount::ZERO;
    match entry.transaction_code.purpose() {
        Purpose::Live if zero => fail("amount", Code::Rule, "a payment of nothing"),
        Purpose::Prenote | Purpose::ZeroDollar if !zero => {
            fail("amount", Code::Rule, "an entry of this code has no amount");
        }
        Purpose::ZeroDollar if sec != Sec::Ccd => {
            fail("transactionCode", Code::Rule, "entries of no amount are for companies only");
        }
        Purpose::Return => {
            fail("transactionCode", Code::Rule, "a return's code without addenda 98 or 99");
        }
        _ => {}
    }
}
