//! A dialect as a table: which fields there are, how long they are and what may stand in them.

use std::borrow::Cow;

/// A dialect of ISO 8583.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name, for people.
    pub name: Cow<'static, str>,
    /// The edition that message types must be of.
    pub version: crate::Version,
    /// How bitmaps are written.
    pub bitmaps: Bitmaps,
    /// Most bytes of a message.
    pub bytes_most: usize,
    /// By number; 0, 1, 65 and 129 are always `None`.
    fields: Vec<Option<Field>>,
}

/// How bitmaps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bitmaps {
    /// 8 bytes each; a second one if bit 1 is set, a third if bit 65 is.
    Binary,
    /// The same as 16 hexadecimal digits each; capitals are written, both are read.
    Hex,
    /// 32 hexadecimal digits always, bit 1 never set.
    HexAlwaysTwo,
}

/// One data element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The standard's name.
    pub name: Cow<'static, str>,
    /// How its length is known.
    pub format: Format,
    /// What may stand in it.
    pub content: Content,
    /// Characters: exactly so many if fixed, else at most.
    pub length: usize,
}

/// How the length of a field is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Always the same.
    Fixed,
    /// Two digits before it.
    Llvar,
    /// Three digits before it.
    Lllvar,
}

/// The standard's classes of characters, in ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Digits.
    N,
    /// Letters and digits; blanks, which pad.
    An,
    /// Printable characters.
    Ans,
    /// A sign, `C` for credit or `D` for debit, and digits. A digit instead of the sign is
    /// accepted, since hosts that have no fees fill the field with zeros.
    Xn,
    /// Track 2: digits and the separator, `=` or `D`.
    Z,
    /// Binary data as hexadecimal digits.
    Hex,
}

impl Spec {
    /// A dialect without fields.
    pub fn new(name: impl Into<Cow<'static, str>>, bitmaps: Bitmaps) -> Self {
        Self {
            name: name.into(),
            version: crate::Version::V1987,
            bitmaps,
            bytes_most: crate::MAX_BYTES,
            fields: vec![None; 193],
        }
    }

    /// The same with bitmaps written another way.
    pub fn with_bitmaps(self, bitmaps: Bitmaps) -> Self {
        Self { bitmaps, ..self }
    }

    /// The same with a field more, or another one in its place. Numbers that are about bitmaps (1,
    /// 65, 129), 0 and those above 192 are no fields: they are left out.
    pub fn with(mut self, number: u8, field: Field) -> Self {
        if number % 64 != 1
            && number != 0
            && let Some(place) = self.fields.get_mut(usize::from(number))
        {
            *place = Some(field);
        }
        self
    }

    /// A field of the dialect.
    pub fn field(&self, number: u8) -> Option<&Field> {
        self.fields.get(usize::from(number))?.as_ref()
    }

    /// The fields of the dialect, lowest number first.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &Field)> {
        (0..=192).filter_map(|number| self.field(number).map(|field| (number, field)))
    }

    /// Whether a third bitmap can occur.
    pub(crate) fn has_third_bitmap(&self) -> bool {
        self.bitmaps != Bitmaps::HexAlwaysTwo && self.fields[129..].iter().any(Option::is_some)
    }
}

impl Format {
    /// Digits of the length prefix.
    pub(crate) fn prefix(self) -> usize {
        match self {
            Self::Fixed => 0,
            Self::Llvar => 2,
            Self::Lllvar => 3,
        }
    }
}

impl Field {
    /// Its shape in the standard's notation: `n 6`, `ans ..999`.
    pub fn shape(&self) -> String {
        let class = match self.content {
            Content::N => "n",
            Content::An => "an",
            Content::Ans => "ans",
            Content::Xn => "x+n",
            Content::Z => "z",
            Content::Hex => "hex",
        };
        let dots = if self.format == Format::Fixed { "" } else { ".." };
        format!("{class} {dots}{}", self.length)
    }

    /// Whether a value may have so many characters.
    pub(crate) fn takes_length(&self, length: usize) -> bool {
        match self.format {
            Format::Fixed => length == self.length,
            Format::Llvar => length <= self.length.min(99),
            Format::Lllvar => length <= self.length.min(999),
        }
    }
}

impl Content {
    /// The first byte that may not stand there.
    pub(crate) fn first_wrong(self, text: &[u8]) -> Option<usize> {
        text.iter().enumerate().position(|(index, byte)| !self.takes(index, *byte))
    }

    fn takes(self, index: usize, byte: u8) -> bool {
        match self {
            Self::N => byte.is_ascii_digit(),
            Self::An => byte.is_ascii_alphanumeric() || byte == b' ',
            Self::Ans => (b' '..=b'~').contains(&byte),
            Self::Xn => byte.is_ascii_digit() || index == 0 && matches!(byte, b'C' | b'D'),
            Self::Z => byte.is_ascii_digit() || matches!(byte, b'=' | b'D'),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}
