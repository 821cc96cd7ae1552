//! Bytes cut into records of 94 characters.

use std::borrow::Cow;

use crate::RECORD_LENGTH;
use crate::error::{Code, Error, Place};
use crate::text::is_allowed;

/// A line that is not blank, without its line end and without blanks at its end.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// From 1; in a file without line ends the number of the record.
    pub(super) number: usize,
    bytes: &'a [u8],
}

/// What is wrong with a line as a whole.
pub(super) struct Problems<'a> {
    pub(super) errors: Vec<Error>,
    /// The record all the same, where its length is right: its other fields can be checked.
    pub(super) text: Option<Cow<'a, str>>,
}

/// The lines of a file. One line alone that is longer than a record is a file without line ends.
pub(super) fn of(bytes: &[u8]) -> Box<dyn Iterator<Item = Line<'_>> + '_> {
    let lines = || cut(bytes.split(|byte| *byte == b'\n'));
    let mut first = lines();
    match (first.next(), first.next()) {
        (Some(only), None) if only.bytes.len() > RECORD_LENGTH => {
            Box::new(cut(only.bytes.chunks(RECORD_LENGTH)))
        }
        _ => Box::new(lines()),
    }
}

fn cut<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Line<'a>> {
    (1..)
        .zip(lines)
        .map(|(number, bytes)| Line { number, bytes: without_blanks(bytes) })
        .filter(|line| !line.bytes.is_empty())
}

fn without_blanks(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\r'] = line {
        line = rest;
    }
    line
}

impl<'a> Line<'a> {
    /// The record type.
    pub(super) fn first(&self) -> u8 {
        self.bytes[0]
    }

    /// A line of 9s after the file control.
    pub(super) fn is_filler(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == b'9')
    }

    /// The 94 characters of the record.
    pub(super) fn record(&self) -> Result<Cow<'a, str>, Problems<'a>> {
        let mut errors = Vec::new();
        let place = Place { line: self.number, record: self.name(), field: "" };
        let length = self.bytes.len();
        let whole = (self.shortest()..=RECORD_LENGTH).contains(&length);
        if !whole {
            let message = "a record has 94 characters";
            let error = Error::new(place, Code::Length, message);
            errors.push(error.found(length).expected(RECORD_LENGTH));
        }
        let wrong = self.bytes.iter().position(|byte| !is_allowed(*byte));
        if let Some(at) = wrong {
            let message = format!("a character that no field may have, in column {}", at + 1);
            let found = format!("0x{:02X}", self.bytes[at]);
            errors.push(Error::new(place, Code::Character, message).found(found));
        }
        let text = whole.then(|| match (wrong, length) {
            (None, RECORD_LENGTH) => {
                let text = std::str::from_utf8(self.bytes);
                Cow::Borrowed(text.expect("characters that are allowed are ASCII"))
            }
            _ => {
                let replaced = |byte: &u8| if is_allowed(*byte) { char::from(*byte) } else { '?' };
                let text: String = self.bytes.iter().map(replaced).collect();
                Cow::Owned(format!("{text:RECORD_LENGTH$}"))
            }
        });
        match text {
            Some(text) if errors.is_empty() => Ok(text),
            text => Err(Problems { errors, text }),
        }
    }

    /// How much of a record must be there; the rest are fields that may be blank.
    fn shortest(&self) -> usize {
        match self.first() {
            b'1' => 40,
            b'9' => 55,
            _ => RECORD_LENGTH,
        }
    }

    fn name(&self) -> &'static str {
        match self.first() {
            b'1' => crate::header::RECORD,
            b'5' => crate::batch::RECORD,
            b'6' => crate::entry::RECORD,
            b'7' => crate::addenda::RECORD,
            b'8' => crate::batch::CONTROL,
            b'9' => super::CONTROL,
            _ => "file",
        }
    }
}
