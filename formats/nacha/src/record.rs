//! One record of 94 columns: fields read from it and written to it, by the rules' positions (from 1,
//! both ends included).

use crate::RECORD_LENGTH;
use crate::error::{Code, Error, Errors, Place};
use crate::text::is_allowed;

/// Reads fields, and collects what is wrong with them.
pub(crate) struct Reader<'a> {
    /// Exactly 94 characters of ASCII.
    text: &'a str,
    line: usize,
    record: &'static str,
    errors: &'a mut Errors,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        text: &'a str,
        line: usize,
        record: &'static str,
        errors: &'a mut Errors,
    ) -> Self {
        assert!(text.len() == RECORD_LENGTH && text.is_ascii(), "a record was made whole before");
        Self { text, line, record, errors }
    }

    /// The characters of a field as they stand.
    pub(crate) fn raw(&self, first: usize, last: usize) -> &'a str {
        &self.text[first - 1..last]
    }

    /// An alphameric field without the blanks around it.
    pub(crate) fn text(&self, first: usize, last: usize) -> String {
        self.raw(first, last).trim().to_owned()
    }

    /// An alphameric field in which columns have a meaning: only blanks at its end go.
    pub(crate) fn columns(&self, first: usize, last: usize) -> String {
        self.raw(first, last).trim_end().to_owned()
    }

    /// An alphameric field that must say something: more than blanks and zeros.
    pub(crate) fn mandatory(&mut self, field: &'static str, first: usize, last: usize) -> String {
        let text = self.text(first, last);
        if text.bytes().all(|byte| byte == b'0') {
            let message = "a mandatory field has only blanks or zeros";
            self.push(Error::new(self.at(field), Code::Missing, message));
        }
        text
    }

    /// A numeric field: digits only.
    pub(crate) fn number(&mut self, field: &'static str, first: usize, last: usize) -> Option<u64> {
        self.value(field, (first, last), "digits", digits)
    }

    /// A field whose text `parse` knows; else an error that says what was expected.
    pub(crate) fn value<T>(
        &mut self,
        field: &'static str,
        (first, last): (usize, usize),
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.raw(first, last);
        let value = parse(text);
        if value.is_none() {
            let code = if text.trim().is_empty() { Code::Missing } else { Code::Value };
            let error = Error::new(self.at(field), code, "not a value of this field");
            self.push(error.found(text).expected(expected));
        }
        value
    }

    /// A field that has one value only.
    pub(crate) fn constant(&mut self, field: &'static str, first: usize, expected: &str) {
        let found = self.raw(first, first + expected.len() - 1);
        if found != expected {
            let error = Error::new(self.at(field), Code::Value, "not the value of this field");
            self.push(error.found(found).expected(expected));
        }
    }

    pub(crate) fn at(&self, field: &'static str) -> Place {
        Place { line: self.line, record: self.record, field }
    }

    pub(crate) fn push(&mut self, error: Error) {
        self.errors.push(error);
    }
}

/// The number that a text of digits is.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// Writes fields into a line of blanks.
pub(crate) struct Writer<'a> {
    text: [u8; RECORD_LENGTH],
    line: usize,
    record: &'static str,
    errors: &'a mut Errors,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(line: usize, record: &'static str, errors: &'a mut Errors) -> Self {
        Self { text: [b' '; RECORD_LENGTH], line, record, errors }
    }

    /// An alphameric field, to the left; an error if it is too long or has a character that no field
    /// may have.
    pub(crate) fn text(
        &mut self,
        field: &'static str,
        (first, last): (usize, usize),
        value: &str,
    ) -> &mut Self {
        let length = last + 1 - first;
        let place = Place { line: self.line, record: self.record, field };
        if !value.bytes().all(is_allowed) {
            let message = "a character that no field may have; names are folded first";
            self.errors.push(Error::new(place, Code::Character, message));
        } else if value.len() > length {
            let message = format!("{} characters do not fit in {length}", value.len());
            self.errors.push(Error::new(place, Code::Value, message));
        } else {
            self.text[first - 1..first - 1 + value.len()].copy_from_slice(value.as_bytes());
        }
        self
    }

    /// A numeric field, to the right, filled with zeros; an error if the number has more digits.
    pub(crate) fn number(
        &mut self,
        field: &'static str,
        (first, last): (usize, usize),
        value: u64,
    ) -> &mut Self {
        let length = last + 1 - first;
        let digits = format!("{value:0length$}");
        if digits.len() > length {
            let place = Place { line: self.line, record: self.record, field };
            let message = format!("more than {length} digits");
            self.errors.push(Error::new(place, Code::Value, message).found(value));
            return self;
        }
        self.text[first - 1..last].copy_from_slice(digits.as_bytes());
        self
    }

    /// Appends the line to a file.
    pub(crate) fn end(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.text);
        bytes.push(b'\n');
    }
}
