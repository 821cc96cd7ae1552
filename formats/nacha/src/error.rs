//! What was wrong with a file: every error of it, each with the line and the field.

use std::fmt;

/// One error of a file. Account numbers are never in `found`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1; of a file without line ends the record's number; 0 for the whole file.
    pub line: usize,
    /// `file`, `file header`, `batch header`, `entry detail`, `addenda`, `batch control`,
    /// `file control`.
    pub record: &'static str,
    /// The field by the rules' name in camel case (`traceNumber`); empty for the whole record.
    pub field: &'static str,
    /// Which kind, for programs.
    pub code: Code,
    /// What, for people.
    pub message: String,
    /// What stood there, where that helps and is not secret.
    pub found: Option<String>,
    /// What may stand there.
    pub expected: Option<String>,
}

/// The kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// More than [`MAX_BYTES`](crate::MAX_BYTES).
    TooLarge,
    /// More errors than are told.
    TooMany,
    /// A record that has not 94 characters.
    Length,
    /// A first character that is no record type.
    RecordType,
    /// A record that may not stand there, or one that is missing.
    Structure,
    /// An SEC code that is not supported.
    UnsupportedSec,
    /// A character that is not allowed.
    Character,
    /// A mandatory field that is blank.
    Missing,
    /// A value outside its type: digits, code lists, dates, limits.
    Value,
    /// The ninth digit of a routing number does not follow from the other eight.
    CheckDigit,
    /// Fields of two records that must agree, and do not.
    Contradiction,
    /// A count or a sum that the records do not add up to.
    Totals,
    /// What the SEC code or the kind of entry does not allow.
    Rule,
}

impl Code {
    /// Its name for programs: `checkDigit`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "tooLarge",
            Self::TooMany => "tooMany",
            Self::Length => "length",
            Self::RecordType => "recordType",
            Self::Structure => "structure",
            Self::UnsupportedSec => "unsupportedSec",
            Self::Character => "character",
            Self::Missing => "missing",
            Self::Value => "value",
            Self::CheckDigit => "checkDigit",
            Self::Contradiction => "contradiction",
            Self::Totals => "totals",
            Self::Rule => "rule",
        }
    }
}

impl Error {
    pub(crate) fn new(at: Place, code: Code, message: impl Into<String>) -> Self {
        let Place { line, record, field } = at;
        Self { line, record, field, code, message: message.into(), found: None, expected: None }
    }

    pub(crate) fn found(mut self, found: impl ToString) -> Self {
        self.found = Some(found.to_string());
        self
    }

    pub(crate) fn expected(mut self, expected: impl ToString) -> Self {
        self.expected = Some(expected.to_string());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.record)?;
        if !self.field.is_empty() {
            write!(f, " {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(found) = &self.found {
            write!(f, "; found {found:?}")?;
        }
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Where an error is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) record: &'static str,
    pub(crate) field: &'static str,
}

/// Most errors that are told of one file, so that a large file of noise costs bounded memory.
const TOLD: usize = 10_000;

/// The errors of one file.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        if self.0.len() < TOLD {
            self.0.push(error);
        } else if self.0.len() == TOLD {
            let place = Place { line: error.line, record: "file", field: "" };
            self.0.push(Error::new(place, Code::TooMany, "there are more errors"));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Error> {
        self.0
    }
}
