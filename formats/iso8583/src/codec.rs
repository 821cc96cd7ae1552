//! Bytes to messages and back, by the table of a dialect.

use crate::bitmap::Bitmap;
use crate::message::{SECRET_FIELDS, shown};
use crate::{Bitmaps, Code, Error, Field, Message, Mti, Place, Spec};

/// Most characters of a value that an error shows.
const SHOWN_MOST: usize = 32;

/// Reads one message, which must end where the bytes end.
pub fn parse(bytes: &[u8], spec: &Spec) -> Result<Message, Error> {
    let mut reader = Reader { bytes, at: 0 };
    let mut message = Message::new(reader.mti(spec)?);
    reader.fields(spec, &mut message)?;
    Ok(message)
}

/// Reads as much of a message as can be read: what was read before the error, and the error. Without
/// a message type there is no message.
pub fn parse_partly(bytes: &[u8], spec: &Spec) -> (Option<Message>, Option<Error>) {
    let mut reader = Reader { bytes, at: 0 };
    let mti = match reader.mti(spec) {
        Ok(mti) => mti,
        Err(error) => return (None, Some(error)),
    };
    let mut message = Message::new(mti);
    let error = reader.fields(spec, &mut message).err();
    (Some(message), error)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn mti(&mut self, spec: &Spec) -> Result<Mti, Error> {
        if self.bytes.len() > spec.bytes_most {
            return Err(Error::new(Place::Message, Code::TooLarge)
                .found(format!("{} bytes", self.bytes.len()))
                .expected(format!("at most {}", spec.bytes_most)));
        }
        let text = self.take(4, Place::Mti, "4 digits")?;
        let known = std::str::from_utf8(text).ok().and_then(Mti::parse);
        known.filter(|mti| mti.version == spec.version).ok_or_else(|| {
            Error::new(Place::Mti, Code::Mti)
                .at(0)
                .found(quoted(text))
                .expected(format!("a message type of {:?}", spec.version))
        })
    }

    fn fields(&mut self, spec: &Spec, message: &mut Message) -> Result<(), Error> {
        let bitmap = self.bitmap(spec)?;
        for number in bitmap.data() {
            let offset = self.at;
            let field = spec.field(number).ok_or_else(|| unknown(number).at(offset))?;
            let length = self.length(number, field)?;
            let value_at = self.at;
            let text = self.take(length, Place::Field(number), &field.shape())?;
            if let Some(wrong) = field.content.first_wrong(text) {
                return Err(content(number, field, text, wrong).at(value_at + wrong));
            }
            // Every class is ASCII, so nothing is lost here.
            message.set(number, String::from_utf8_lossy(text));
        }
        if self.at < self.bytes.len() {
            return Err(Error::new(Place::Message, Code::Trailing)
                .at(self.at)
                .found(format!("{} bytes", self.bytes.len() - self.at))
                .expected("the end"));
        }
        Ok(())
    }

    fn bitmap(&mut self, spec: &Spec) -> Result<Bitmap, Error> {
        let mut bitmap = Bitmap::default();
        bitmap.set_word(0, self.word(spec.bitmaps)?);
        let always = spec.bitmaps == Bitmaps::HexAlwaysTwo;
        if always && bitmap.contains(1) {
            return Err(Error::new(Place::Bitmap, Code::Bitmap)
                .at(4)
                .found("bit 1")
                .expected("a bitmap of fixed length, in which bit 1 is never set"));
        }
        if always || bitmap.contains(1) {
            bitmap.set_word(1, self.word(spec.bitmaps)?);
        }
        if bitmap.contains(65) {
            if !spec.has_third_bitmap() {
                return Err(unknown(65).at(self.at));
            }
            bitmap.set_word(2, self.word(spec.bitmaps)?);
        }
        Ok(bitmap)
    }

    /// 64 bits of a bitmap.
    fn word(&mut self, bitmaps: Bitmaps) -> Result<u64, Error> {
        let offset = self.at;
        if bitmaps == Bitmaps::Binary {
            let bytes = self.take(8, Place::Bitmap, "8 bytes")?;
            return Ok(bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
        let digits = self.take(16, Place::Bitmap, "16 hexadecimal digits")?;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(u64::from);
        let word = digits.iter().try_fold(0, |word, byte| Some(word << 4 | digit(*byte)?));
        word.ok_or_else(|| {
            Error::new(Place::Bitmap, Code::Bitmap)
                .at(offset)
                .found(quoted(digits))
                .expected("16 hexadecimal digits")
        })
    }

    /// The length of the value that follows, its prefix read.
    fn length(&mut self, number: u8, field: &Field) -> Result<usize, Error> {
        let prefix = field.format.prefix();
        if prefix == 0 {
            return Ok(field.length);
        }
        let offset = self.at;
        let expected = format!("{prefix} digits of a length up to {}", field.length);
        let digits = self.take(prefix, Place::Field(number), &expected)?;
        let number_of = |length: usize, byte: &u8| {
            byte.is_ascii_digit().then(|| length * 10 + usize::from(byte - b'0'))
        };
        let length = digits.iter().try_fold(0, number_of);
        length.filter(|length| field.takes_length(*length)).ok_or_else(|| {
            Error::new(Place::Field(number), Code::Length)
                .at(offset)
                .found(quoted(digits))
                .expected(expected)
        })
    }

    fn take(&mut self, length: usize, place: Place, expected: &str) -> Result<&'a [u8], Error> {
        let left = self.bytes.len() - self.at;
        if left < length {
            return Err(Error::new(place, Code::TooShort)
                .at(self.at)
                .found(format!("{left} of {length} bytes"))
                .expected(expected));
        }
        let taken = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(taken)
    }
}

/// Writes a message, without length header. What [`parse`] would refuse is refused.
pub fn write(message: &Message, spec: &Spec) -> Result<Vec<u8>, Error> {
    if message.mti.version != spec.version {
        return Err(Error::new(Place::Mti, Code::Mti)
            .found(message.mti.to_string())
            .expected(format!("a message type of {:?}", spec.version)));
    }
    let bitmap = bitmap_of(message, spec)?;
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(message.mti.to_string().as_bytes());
    for index in 0..Bitmap::WORDS {
        let written = match index {
            0 => true,
            1 => bitmap.contains(1) || spec.bitmaps == Bitmaps::HexAlwaysTwo,
            _ => bitmap.contains(65),
        };
        if written {
            match spec.bitmaps {
                Bitmaps::Binary => bytes.extend_from_slice(&bitmap.word(index).to_be_bytes()),
                _ => bytes.extend_from_slice(format!("{:016X}", bitmap.word(index)).as_bytes()),
            }
        }
    }
    for (number, text) in message.fields() {
        let field = spec.field(number).ok_or_else(|| unknown(number))?;
        if !field.takes_length(text.len()) {
            return Err(Error::new(Place::Field(number), Code::Length)
                .found(format!("{} characters", text.len()))
                .expected(field.shape()));
        }
        if let Some(wrong) = field.content.first_wrong(text.as_bytes()) {
            return Err(content(number, field, text.as_bytes(), wrong));
        }
        let prefix = field.format.prefix();
        if prefix > 0 {
            bytes.extend_from_slice(format!("{:0prefix$}", text.len()).as_bytes());
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    if bytes.len() > spec.bytes_most {
        return Err(Error::new(Place::Message, Code::TooLarge)
            .found(format!("{} bytes", bytes.len()))
            .expected(format!("at most {}", spec.bytes_most)));
    }
    Ok(bytes)
}

fn bitmap_of(message: &Message, spec: &Spec) -> Result<Bitmap, Error> {
    let mut bitmap = Bitmap::default();
    for (number, _) in message.fields() {
        if spec.field(number).is_none() {
            return Err(unknown(number));
        }
        bitmap.insert(number);
        if number > 64 && spec.bitmaps != Bitmaps::HexAlwaysTwo {
            bitmap.insert(1);
        }
        if number > 128 {
            bitmap.insert(65);
        }
    }
    Ok(bitmap)
}

fn unknown(number: u8) -> Error {
    Error::new(Place::Field(number), Code::UnknownField)
}

/// The error of a wrong character. A secret value is not shown, nor is the character.
fn content(number: u8, field: &Field, text: &[u8], wrong: usize) -> Error {
    let found = if SECRET_FIELDS.contains(&number) {
        format!("{} with another character", shown(14, &String::from_utf8_lossy(text)))
    } else {
        format!("{} with {:?}", quoted(text), char::from(text[wrong]))
    };
    Error::new(Place::Field(number), Code::Content).found(found).expected(field.shape())
}

/// The first bytes of a value as text. When a length is wrong, anything may stand anywhere: of a long
/// row of digits, which may be a card's number, only the first six are shown.
fn quoted(bytes: &[u8]) -> String {
    const ROW: usize = 8;
    let mut shown = bytes[..bytes.len().min(SHOWN_MOST)].to_vec();
    for row in shown.chunk_by_mut(|a, b| a.is_ascii_digit() && b.is_ascii_digit()) {
        if row.len() >= ROW {
            row[6..].fill(b'*');
        }
    }
    let dots = if bytes.len() > SHOWN_MOST { "..." } else { "" };
    format!("\"{}\"{dots}", shown.escape_ascii())
}
