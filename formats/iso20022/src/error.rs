//! What was wrong with a message: every error of it, each with the path of the element.

use std::fmt;

/// One error of a message. Accounts' numbers are never in `found`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where: `/Document/FIToFICstmrCdtTrf/GrpHdr/MsgId` (in TCH's wrapper from `/Message`).
    pub path: String,
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
    /// More levels than [`MAX_DEPTH`](crate::MAX_DEPTH), or more attributes than
    /// [`MAX_ATTRIBUTES`](crate::MAX_ATTRIBUTES).
    TooDeep,
    /// Not well-formed XML 1.0 in UTF-8.
    Malformed,
    /// A document type definition, an entity or a processing instruction.
    Forbidden,
    /// A namespace that is none of those supported here.
    UnknownNamespace,
    /// A wrapper or root element that is not known.
    UnknownWrapper,
    /// An element or attribute that the schema does not have there.
    UnexpectedElement,
    /// Text between elements.
    UnexpectedText,
    /// An element of the schema, but not in the schema's order.
    WrongOrder,
    /// An element that may occur once, twice.
    Repeated,
    /// A mandatory element that is absent.
    Missing,
    /// A value outside its type: length, pattern, code list, amount, time.
    Value,
    /// Values of two fields that contradict each other.
    Contradiction,
}

impl Error {
    pub(crate) fn new(path: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self { path: path.into(), code, message: message.into(), found: None, expected: None }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
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
