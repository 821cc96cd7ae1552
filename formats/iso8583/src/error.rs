//! What was wrong with a message: the field, what stood there, and what may stand there.

use std::fmt;

/// Why a message cannot be read or written. The contents of secret fields are never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Which part of the message.
    pub place: Place,
    /// Which kind, for programs.
    pub code: Code,
    /// Byte of the message at which the part begins; none when writing.
    pub offset: Option<usize>,
    /// What stood there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The message as a whole.
    Message,
    /// The message type indicator, field 0.
    Mti,
    /// The first, second or third bitmap.
    Bitmap,
    /// A data element by its number, 2 to 192.
    Field(u8),
}

/// The kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// More bytes than the dialect allows for a message.
    TooLarge,
    /// The message ends before the part does.
    TooShort,
    /// A message type that there is not, or one of another version of the standard.
    Mti,
    /// A bitmap that is not one in this dialect's encoding.
    Bitmap,
    /// A field that the dialect does not have.
    UnknownField,
    /// A length prefix that is no number or over the maximum, or a value of the wrong length.
    Length,
    /// A character outside the field's class.
    Content,
    /// Bytes after the last field.
    Trailing,
    /// A field that this message must have is absent.
    Missing,
    /// A value that the field's type does not have, such as month 13.
    Value,
}

impl Error {
    pub(crate) fn new(place: Place, code: Code) -> Self {
        Self { place, code, offset: None, found: String::new(), expected: String::new() }
    }

    pub(crate) fn at(self, offset: usize) -> Self {
        Self { offset: Some(offset), ..self }
    }

    pub(crate) fn found(self, found: impl Into<String>) -> Self {
        Self { found: found.into(), ..self }
    }

    pub(crate) fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => f.write_str("message"),
            Self::Mti => f.write_str("message type"),
            Self::Bitmap => f.write_str("bitmap"),
            Self::Field(number) => write!(f, "field {number}"),
        }
    }
}

impl Code {
    /// The kind in words.
    fn words(self) -> &'static str {
        match self {
            Self::TooLarge => "too large",
            Self::TooShort => "cut off",
            Self::Mti => "not a message type",
            Self::Bitmap => "not a bitmap",
            Self::UnknownField => "not a field of this dialect",
            Self::Length => "wrong length",
            Self::Content => "wrong character",
            Self::Trailing => "bytes after the last field",
            Self::Missing => "absent",
            Self::Value => "wrong value",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.code.words())?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        if !self.found.is_empty() {
            write!(f, "; found {}", self.found)?;
        }
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
