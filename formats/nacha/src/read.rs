//! Bytes to a file: the records in their order, and the sums of the controls.

use crate::addenda::{self, Addenda};
use crate::batch::{self, BatchHeader, Control};
use crate::code::{Direction, Sec};
use crate::error::{Code, Error, Errors, Place};
use crate::record::{Reader, digits};
use crate::rules::{self, Read};
use crate::{Batch, Entry, File, FileHeader, MAX_BYTES, Totals};
use crate::{entry, header};

mod lines;

pub(crate) const CONTROL: &str = "file control";
/// For what is about no line.
pub(crate) const WHOLE_FILE: Place = Place { line: 0, record: "file", field: "" };

/// Reads a file.
///
/// # Errors
///
/// All errors of the file, in the order of its lines, what concerns the whole file last: a bad record
/// does not hide the rest. Sums over a record that could not be read are not compared, since nothing
/// is known of it.
pub fn parse(bytes: &[u8]) -> Result<File, Vec<Error>> {
    let mut errors = Errors::default();
    if bytes.len() > MAX_BYTES {
        let message = format!("a file of {} bytes; at most {MAX_BYTES}", bytes.len());
        errors.push(Error::new(WHOLE_FILE, Code::TooLarge, message));
        return Err(errors.into_vec());
    }
    let mut state = State::default();
    for line in lines::of(bytes) {
        state.take(line, &mut errors);
    }
    let file = state.end(&mut errors);
    match file {
        Some(file) if errors.is_empty() => Ok(file),
        _ => {
            assert!(!errors.is_empty(), "a file that could not be made has an error that says why");
            Err(errors.into_vec())
        }
    }
}

#[derive(Default)]
struct State {
    begun: bool,
    header: Option<FileHeader>,
    header_seen: bool,
    batches: Vec<Batch>,
    open: Option<Open>,
    /// Batch headers seen.
    count: u64,
    number_before: Option<u64>,
    sums: Sums,
    control_seen: bool,
    after_control: bool,
}

/// A batch whose control has not come.
struct Open {
    line: usize,
    header: Option<BatchHeader>,
    /// Of an SEC code that is not known here records 6 and 7 have another layout.
    supported: bool,
    entries: Vec<Read>,
    seen: Seen,
    sums: Sums,
}

/// The latest entry of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// It had errors.
    Unreadable,
    /// It is the last of [`Open::entries`].
    Readable,
}

/// Sums over records as they stand.
#[derive(Default)]
struct Sums {
    totals: Totals,
    /// Some record is not in the sums.
    gap: bool,
}

impl Sums {
    fn add_entry(&mut self, text: &str) {
        let direction = match text.as_bytes()[2] {
            b'1'..=b'4' => Some(Direction::Credit),
            b'5'..=b'9' => Some(Direction::Debit),
            _ => None,
        };
        match (digits(&text[3..11]), direction, digits(&text[29..39])) {
            (Some(bank), Some(direction), Some(cents)) => {
                self.totals.add_entry(bank, direction, cents);
            }
            _ => self.gap = true,
        }
    }

    fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.gap |= other.gap;
    }
}

impl State {
    fn take(&mut self, line: lines::Line<'_>, errors: &mut Errors) {
        let number = line.number;
        let kind = line.first();
        let text = match line.record() {
            Ok(text) => Some(text),
            Err(problems) => {
                for error in problems.errors {
                    errors.push(error);
                }
                problems.text
            }
        };
        if self.control_seen {
            if !line.is_filler() && !std::mem::replace(&mut self.after_control, true) {
                errors.push(structure(number, CONTROL, "records after the file control"));
            }
            return;
        }
        if !std::mem::replace(&mut self.begun, true) && kind != b'1' {
            errors.push(structure(number, header::RECORD, "the first record is no file header"));
        }
        let text = text.as_deref();
        match kind {
            b'1' => self.file_header(number, text, errors),
            b'5' => self.batch_header(number, text, errors),
            b'6' => self.entry(number, text, errors),
            b'7' => self.addenda(number, text, errors),
            b'8' => self.batch_control(number, text, errors),
            b'9' => self.file_control(number, text, errors),
            other => {
                let place = Place { line: number, record: "file", field: "recordType" };
                let error = Error::new(place, Code::RecordType, "an unknown record type");
                let found = char::from(other).escape_default();
                errors.push(error.found(found).expected("1, 5, 6, 7, 8 or 9"));
            }
        }
    }

    fn file_header(&mut self, line: usize, text: Option<&str>, errors: &mut Errors) {
        if std::mem::replace(&mut self.header_seen, true) {
            errors.push(structure(line, header::RECORD, "a second file header"));
            return;
        }
        if let Some(text) = text {
            self.header = FileHeader::read(&mut Reader::new(text, line, header::RECORD, errors));
        }
    }

    fn batch_header(&mut self, line: usize, text: Option<&str>, errors: &mut Errors) {
        self.close_without_control(errors);
        self.count += 1;
        let mut open = Open {
            line,
            header: None,
            supported: true,
            entries: Vec::new(),
            seen: Seen::Nothing,
            sums: Sums::default(),
        };
        if let Some(text) = text {
            let mut reader = Reader::new(text, line, batch::RECORD, errors);
            open.supported = Sec::parse(reader.raw(51, 53)).is_some();
            open.sums.gap = !open.supported;
            open.header = BatchHeader::read(&mut reader);
            if let Some(number) = digits(reader.raw(88, 94)) {
                if self.number_before.is_some_and(|before| number <= before) {
                    let message = "batch numbers must ascend";
                    let error = Error::new(reader.at("batchNumber"), Code::Rule, message);
                    errors.push(error.found(number));
                }
                self.number_before = Some(number);
            }
        }
        self.open = Some(open);
    }

    fn entry(&mut self, line: usize, text: Option<&str>, errors: &mut Errors) {
        let Some(open) = &mut self.open else {
            self.sums.gap = true;
            errors.push(structure(line, entry::RECORD, "an entry outside a batch"));
            return;
        };
        open.seen = Seen::Unreadable;
        let Some(text) = text else {
            open.sums.gap = true;
            return;
        };
        open.sums.add_entry(text);
        if !open.supported {
            return;
        }
        let mut reader = Reader::new(text, line, entry::RECORD, errors);
        if let Some((entry, promised)) = Entry::read(&mut reader) {
            open.entries.push(Read { line, entry, promised, whole: true });
            open.seen = Seen::Readable;
        }
    }

    fn addenda(&mut self, line: usize, text: Option<&str>, errors: &mut Errors) {
        let open = self.open.as_mut().filter(|open| open.seen != Seen::Nothing);
        let Some(open) = open else {
            self.sums.gap = true;
            errors.push(structure(line, addenda::RECORD, "addenda outside an entry"));
            return;
        };
        open.sums.totals.records += 1;
        if !open.supported {
            return;
        }
        let addenda = text
            .and_then(|text| Addenda::read(&mut Reader::new(text, line, addenda::RECORD, errors)));
        if open.seen == Seen::Unreadable {
            return;
        }
        let read = open.entries.last_mut().expect("the latest entry was readable");
        let Some(addenda) = addenda else {
            read.whole = false;
            return;
        };
        read.entry.addenda.push(addenda);
        if let (Some(text), Some(Addenda::Payment { .. })) = (text, read.entry.addenda.last()) {
            let mut reader = Reader::new(text, line, addenda::RECORD, errors);
            let place = read.entry.addenda.len() as u64;
            let of_entry = u64::from(read.entry.trace.sequence());
            for (field, (first, last), expected) in [
                ("sequenceNumber", (84, 87), place),
                ("entryDetailSequenceNumber", (88, 94), of_entry),
            ] {
                let found = reader.number(field, first, last);
                if found.is_some_and(|found| found != expected) {
                    let message = "not the number that follows from the entry";
                    let error = Error::new(reader.at(field), Code::Contradiction, message);
                    reader.push(error.found(reader.raw(first, last)).expected(expected));
                }
            }
        }
    }

    fn batch_control(&mut self, line: usize, text: Option<&str>, errors: &mut Errors) {
        let Some(open) = self.open.take() else {
            errors.push(structure(line, batch::CONTROL, "a batch control outside a batch"));
            return;
        };
        if open.seen == Seen::Nothing {
            errors.push(structure(open.line, batch::RECORD, "a batch without entries"));
        }
        let mut authentication_code = String::new();
        if let Some(text) = text {
            let mut reader = Reader::new(text, line, batch::CONTROL, errors);
            let control = Control::read(&mut reader);
            if let (Some(stated), false) = (&control.totals, open.sums.gap) {
                compare_totals(&mut reader, &open.sums.totals, stated);
            }
            if let Some(header) = &open.header {
                compare_control(&mut reader, header, &control);
            }
            authentication_code = control.authentication_code;
        }
        self.sums.add(&open.sums);
        let Some(header) = open.header else { return };
        rules::check(&header, &open.entries, errors);
        let entries = open.entries.into_iter().map(|read| read.entry).collect();
        self.batches.push(Batch { header, entries, authentication_code });
    }

    fn close_without_control(&mut self, errors: &mut Errors) {
        let Some(open) = self.open.take() else { return };
        errors.push(structure(open.line, batch::RECORD, "a batch without a control"));
        if let Some(header) = &open.header {
            rules::check(header, &open.entries, errors);
        }
        self.sums.add(&open.sums);
    }

    fn file_control(&mut self, line: usize, text: Option<&str>, errors: &mut Errors) {
        self.close_without_control(errors);
        self.control_seen = true;
        let Some(text) = text else { return };
        let mut reader = Reader::new(text, line, CONTROL, errors);
        let batches = reader.number("batchCount", 2, 7);
        // Read and not compared: it says how the lines were padded.
        reader.number("blockCount", 8, 13);
        if let Some(stated) = batches {
            compare(&mut reader, "batchCount", self.count, stated);
        }
        let records = reader.number("entryAddendaCount", 14, 21);
        let hash = reader.number("entryHash", 22, 31);
        let debits = reader.number("totalDebit", 32, 43);
        let credits = reader.number("totalCredit", 44, 55);
        if let (Some(records), Some(hash), Some(debit_cents), Some(credit_cents), false) =
            (records, hash, debits, credits, self.sums.gap)
        {
            let stated = Totals { records, hash, debit_cents, credit_cents };
            compare_totals(&mut reader, &self.sums.totals, &stated);
        }
    }

    fn end(mut self, errors: &mut Errors) -> Option<File> {
        self.close_without_control(errors);
        let missing = |what: &str| Error::new(WHOLE_FILE, Code::Structure, what);
        if !self.header_seen {
            errors.push(missing("the file has no file header"));
        }
        if !self.control_seen {
            errors.push(missing("the file has no file control"));
        }
        if self.count == 0 {
            errors.push(missing("the file has no batch"));
        }
        Some(File { header: self.header?, batches: self.batches })
    }
}

fn structure(line: usize, record: &'static str, message: &str) -> Error {
    Error::new(Place { line, record, field: "" }, Code::Structure, message)
}

fn compare_totals(reader: &mut Reader<'_>, summed: &Totals, stated: &Totals) {
    compare(reader, "entryAddendaCount", summed.records, stated.records);
    compare(reader, "entryHash", summed.hash, stated.hash);
    compare(reader, "totalDebit", summed.debit_cents, stated.debit_cents);
    compare(reader, "totalCredit", summed.credit_cents, stated.credit_cents);
}

fn compare(reader: &mut Reader<'_>, field: &'static str, summed: u64, stated: u64) {
    if summed != stated {
        let message = "not what the records add up to";
        let error = Error::new(reader.at(field), Code::Totals, message);
        reader.push(error.found(stated).expected(summed));
    }
}

/// What a control repeats of its header.
fn compare_control(reader: &mut Reader<'_>, header: &BatchHeader, control: &Control) {
    let odfi = header.odfi.to_string();
    let number = control.number.map(|number| number.to_string());
    let ours = header.number.to_string();
    for (field, ours, theirs) in [
        ("serviceClassCode", header.service_class.as_str(), control.service_class.as_str()),
        ("companyIdentification", header.company_id.as_str(), control.company_id.as_str()),
        ("ODFIIdentification", odfi.as_str(), control.odfi.as_str()),
        ("batchNumber", ours.as_str(), number.as_deref().unwrap_or(&ours)),
    ] {
        if ours != theirs {
            let error = Error::new(
                reader.at(field),
                Code::Contradiction,
                "not what the batch's header says",
            );
            reader.push(error.found(theirs).expected(ours));
        }
    }
}
