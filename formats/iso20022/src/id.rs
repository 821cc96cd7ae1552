//! Identifiers of the messages: how the networks form them, and how ours are made.

use std::fmt;

use crate::Date;

/// Unique end-to-end transaction reference: a version 4 UUID in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uetr([u8; 16]);

impl Uetr {
    /// Sixteen bytes (of a hash, say) with version and variant set over six bits of them, so that
    /// one cause gives one UETR.
    pub fn from_bytes(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Reads the schema's `UUIDv4Identifier`: lower case, with hyphens, version 4.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || "not a version 4 UUID in lower case".to_owned();
        let bytes = text.as_bytes();
        let shape = |index: usize| matches!(index, 8 | 13 | 18 | 23);
        if bytes.len() != 36 || (0..36).any(|index| (bytes[index] == b'-') != shape(index)) {
            return Err(error());
        }
        let mut digits = bytes.iter().filter(|byte| **byte != b'-');
        let mut parsed = [0; 16];
        for byte in &mut parsed {
            let (high, low) = (digits.next(), digits.next());
            *byte = hex_pair(high, low).ok_or_else(error)?;
        }
        if Self::from_bytes(parsed).0 == parsed { Ok(Self(parsed)) } else { Err(error()) }
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uetr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hyphenated(&self.0))
    }
}

/// TCH's message identifier, 35 characters: `prefix` (`M` for a message, `B` for a business
/// message), date, participant (11 of `A-Z0-9`: routing number and two more), `B`, origin (3),
/// serial (11). `None` if a part is not of that form.
pub fn tch_message_id(
    prefix: char,
    date: Date,
    participant: &str,
    origin: &str,
    serial: &str,
) -> Option<String> {
    let valid = matches!(prefix, 'M' | 'B')
        && is_code(participant, 11)
        && is_code(origin, 3)
        && is_code(serial, 11);
    valid.then(|| format!("{prefix}{}{participant}B{origin}{serial}", date.compact()))
}

/// TCH's instruction and transaction identifier: the message identifier without its first letter.
pub fn tch_instruction_id(
    date: Date,
    participant: &str,
    origin: &str,
    serial: &str,
) -> Option<String> {
    tch_message_id('M', date, participant, origin, serial).map(|id| id[1..].to_owned())
}

/// FedNow's message identifier: date, routing number (9 digits), and up to 18 of `A-Za-z0-9`.
pub fn fednow_message_id(date: Date, routing: &str, serial: &str) -> Option<String> {
    let valid = routing.len() == 9
        && routing.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=18).contains(&serial.len())
        && serial.bytes().all(|byte| byte.is_ascii_alphanumeric());
    valid.then(|| format!("{}{routing}{serial}", date.compact()))
}

/// A serial of eleven characters of `0-9A-Z` for a 64-bit number (of a hash, say), taken modulo
/// 36^11 (56.8 bits): by chance two of a million a day are equal once in 260,000 days.
pub fn serial(number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut rest = number;
    let mut text = [b'0'; 11];
    for place in text.iter_mut().rev() {
        *place = DIGITS[usize::try_from(rest % 36).expect("under 36")];
        rest /= 36;
    }
    text.iter().copied().map(char::from).collect()
}

/// The `EndToEndId` of a transfer: the 32 hexadecimal digits of its UUID (its 36 characters do not
/// fit into 35).
pub fn end_to_end_id(transfer: [u8; 16]) -> String {
    hyphenated(&transfer).replace('-', "")
}

/// The UUID, with hyphens, of an `EndToEndId` that [`end_to_end_id`] made; `None` of any other.
pub fn transfer_of_end_to_end_id(text: &str) -> Option<String> {
    let digits = <&[u8; 32]>::try_from(text.as_bytes()).ok()?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_pair(pair.first(), pair.last())?;
    }
    Some(hyphenated(&bytes))
}

fn is_code(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn hex_pair(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(*high?)? << 4 | digit(*low?)?)
}

fn hyphenated(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uetr_there_and_back() {
        let uetr = Uetr::from_bytes([0xff; 16]);
        assert_eq!(uetr.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(Uetr::parse(&uetr.to_string()), Ok(uetr));
        for bad in [
            "",
            "8A562C67-ca16-48ba-b074-65581be6f011",
            "8a562c67-ca16-58ba-b074-65581be6f011",
            "8a562c67-ca16-48ba-7074-65581be6f011",
            "8a562c67ca1648bab07465581be6f011",
            "8a562c67-ca16-48ba-b074-65581be6f01",
            "8a562c67-ca16-48ba-b074-65581be6f01g",
            "8a562c6--ca16-48ba-b074-65581be6f0111",
        ] {
            assert!(Uetr::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn message_ids() {
        let date = Date::new(2023, 7, 13).unwrap();
        assert_eq!(
            tch_message_id('M', date, "234567891T1", "OTS", "02083825666").unwrap(),
            "M20230713234567891T1BOTS02083825666"
        );
        assert_eq!(
            tch_instruction_id(date, "234567891T1", "OTS", "02083825666").unwrap(),
            "20230713234567891T1BOTS02083825666"
        );
        assert_eq!(tch_message_id('X', date, "234567891T1", "OTS", "02083825666"), None);
        assert_eq!(tch_message_id('M', date, "234567891", "OTS", "02083825666"), None);
        assert_eq!(tch_message_id('M', date, "234567891T1", "OTS", "0208382566"), None);
        assert_eq!(fednow_message_id(date, "021150706", "Sc01").unwrap(), "20230713021150706Sc01");
        assert_eq!(fednow_message_id(date, "021150706", ""), None);
        assert_eq!(serial(0), "00000000000");
        assert_eq!(serial(35), "0000000000Z");
        assert_eq!(serial(u64::MAX).len(), 11);
    }

    #[test]
    fn transfers_ride_in_the_end_to_end_id() {
        let transfer = *b"0123456789abcdef";
        let id = end_to_end_id(transfer);
        assert_eq!(id, "30313233343536373839616263646566");
        assert_eq!(transfer_of_end_to_end_id(&id).unwrap(), "30313233-3435-3637-3839-616263646566");
        assert_eq!(transfer_of_end_to_end_id("EOTS"), None);
        assert_eq!(transfer_of_end_to_end_id(&id.replace('f', "F").replace('6', "g")), None);
    }
}
