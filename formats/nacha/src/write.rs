//! A file to bytes.

use crate::addenda;
use crate::batch::{self, Control};
use crate::error::{Code, Error, Errors, Place};
use crate::record::Writer;
use crate::{BLOCKING_FACTOR, Batch, File, MAX_BYTES, RECORD_LENGTH, Totals};
use crate::{entry, header, parse, read};

impl File {
    /// The file's bytes: 94 characters a record, LF, filled with lines of 9s to a whole number of
    /// blocks. The same value gives the same bytes.
    ///
    /// # Errors
    ///
    /// Everything that [`parse`] would refuse, a value that does not fit its field, and a text that
    /// would be read as another one (blanks around it): what was written, is read as what it was.
    pub fn write(&self) -> Result<Vec<u8>, Vec<Error>> {
        let mut errors = Errors::default();
        let bytes = self.bytes(&mut errors);
        if !errors.is_empty() {
            return Err(errors.into_vec());
        }
        let again = parse(&bytes)?;
        match self.difference(&again) {
            None => Ok(bytes),
            Some(place) => {
                let message = "a text that would be read as another: it has blanks around it, or a \
                               zero in front";
                Err(vec![Error::new(place, Code::Value, message)])
            }
        }
    }

    fn bytes(&self, errors: &mut Errors) -> Vec<u8> {
        let lines = 2 + self.batches.iter().map(|batch| 2 + records(batch)).sum::<usize>();
        let blocks = lines.div_ceil(BLOCKING_FACTOR);
        let size = blocks.saturating_mul(BLOCKING_FACTOR * (RECORD_LENGTH + 1));
        if size > MAX_BYTES {
            let message = format!("a file of {size} bytes; at most {MAX_BYTES}");
            errors.push(Error::new(read::WHOLE_FILE, Code::TooLarge, message));
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(size);
        let line = |bytes: &Vec<u8>| bytes.len() / (RECORD_LENGTH + 1) + 1;
        let mut w = Writer::new(1, header::RECORD, errors);
        self.header.write(&mut w);
        w.end(&mut bytes);
        for batch in &self.batches {
            let mut w = Writer::new(line(&bytes), batch::RECORD, errors);
            batch.header.write(&mut w);
            w.end(&mut bytes);
            for entry in &batch.entries {
                let mut w = Writer::new(line(&bytes), entry::RECORD, errors);
                entry.write(&mut w);
                w.end(&mut bytes);
                for (number, addenda) in (1..).zip(&entry.addenda) {
                    let mut w = Writer::new(line(&bytes), addenda::RECORD, errors);
                    addenda.write(&mut w, number, entry.trace);
                    w.end(&mut bytes);
                }
            }
            let mut w = Writer::new(line(&bytes), batch::CONTROL, errors);
            Control::write(&mut w, batch, &Totals::of_batch(batch));
            w.end(&mut bytes);
        }
        let totals = Totals::of_file(self);
        let mut w = Writer::new(line(&bytes), read::CONTROL, errors);
        w.text("recordType", (1, 1), "9");
        w.number("batchCount", (2, 7), self.batches.len() as u64);
        w.number("blockCount", (8, 13), blocks as u64);
        w.number("entryAddendaCount", (14, 21), totals.records);
        w.number("entryHash", (22, 31), totals.hash);
        w.number("totalDebit", (32, 43), totals.debit_cents);
        w.number("totalCredit", (44, 55), totals.credit_cents);
        w.end(&mut bytes);
        while bytes.len() < size {
            bytes.extend_from_slice(&[b'9'; RECORD_LENGTH]);
            bytes.push(b'\n');
        }
        bytes
    }

    /// The first record of this file that another file, of as many records, has otherwise.
    fn difference(&self, other: &Self) -> Option<Place> {
        let at = |line, record| Some(Place { line, record, field: "" });
        if self.header != other.header {
            return at(1, header::RECORD);
        }
        let mut line = 2;
        for (ours, theirs) in self.batches.iter().zip(&other.batches) {
            if ours.header != theirs.header {
                return at(line, batch::RECORD);
            }
            line += 1;
            for (entry, their_entry) in ours.entries.iter().zip(&theirs.entries) {
                if entry != their_entry {
                    return at(line, entry::RECORD);
                }
                line += 1 + entry.addenda.len();
            }
            if ours.authentication_code != theirs.authentication_code {
                return at(line, batch::CONTROL);
            }
            line += 1;
        }
        (self != other).then_some(read::WHOLE_FILE)
    }
}

fn records(batch: &Batch) -> usize {
    batch.entries.iter().map(|entry| 1 + entry.addenda.len()).sum()
}
