//! The message type indicator: version, class, function and origin, a digit each.

use std::fmt;

/// What a message is: `0100` is an authorisation request of the acquirer in the version of 1987.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mti {
    /// First digit.
    pub version: Version,
    /// Second digit.
    pub class: Class,
    /// Third digit.
    pub function: Function,
    /// Fourth digit.
    pub origin: Origin,
}

/// Which edition of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0: ISO 8583:1987.
    V1987,
    /// 1: ISO 8583:1993.
    V1993,
    /// 2: ISO 8583:2003.
    V2003,
}

/// What the message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 1: whether the cardholder may pay.
    Authorisation,
    /// 2: pay.
    Financial,
    /// 3: change a file.
    FileAction,
    /// 4: take back an earlier message (and chargebacks).
    Reversal,
    /// 5: compare totals.
    Reconciliation,
    /// 6: between people.
    Administrative,
    /// 7: fees.
    FeeCollection,
    /// 8: the connection itself: sign-on, sign-off, echo.
    NetworkManagement,
}

/// Which step of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// 0: asks; an answer is due.
    Request,
    /// 1: answers a request.
    Response,
    /// 2: tells what has been done; an answer is due.
    Advice,
    /// 3: answers an advice.
    AdviceResponse,
    /// 4: tells; no answer.
    Notification,
}

/// Who began the exchange, and whether this is a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// 0.
    Acquirer,
    /// 1.
    AcquirerRepeat,
    /// 2.
    Issuer,
    /// 3.
    IssuerRepeat,
    /// 4.
    Other,
    /// 5.
    OtherRepeat,
}

impl Mti {
    /// A message type of 1987.
    pub const fn of_1987(class: Class, function: Function, origin: Origin) -> Self {
        Self { version: Version::V1987, class, function, origin }
    }

    /// Reads four digits; `None` if there is no such type.
    pub fn parse(text: &str) -> Option<Self> {
        let [version, class, function, origin] = <[u8; 4]>::try_from(text.as_bytes()).ok()?;
        Some(Self {
            version: match version {
                b'0' => Version::V1987,
                b'1' => Version::V1993,
                b'2' => Version::V2003,
                _ => return None,
            },
            class: match class {
                b'1' => Class::Authorisation,
                b'2' => Class::Financial,
                b'3' => Class::FileAction,
                b'4' => Class::Reversal,
                b'5' => Class::Reconciliation,
                b'6' => Class::Administrative,
                b'7' => Class::FeeCollection,
                b'8' => Class::NetworkManagement,
                _ => return None,
            },
            function: match function {
                b'0' => Function::Request,
                b'1' => Function::Response,
                b'2' => Function::Advice,
                b'3' => Function::AdviceResponse,
                b'4' => Function::Notification,
                _ => return None,
            },
            origin: match origin {
                b'0' => Origin::Acquirer,
                b'1' => Origin::AcquirerRepeat,
                b'2' => Origin::Issuer,
                b'3' => Origin::IssuerRepeat,
                b'4' => Origin::Other,
                b'5' => Origin::OtherRepeat,
                _ => return None,
            },
        })
    }

    /// Whether this answers another message.
    pub fn is_response(self) -> bool {
        matches!(self.function, Function::Response | Function::AdviceResponse)
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version as u8;
        // Class 0 is reserved: the first class is 1.
        let class = self.class as u8 + 1;
        write!(f, "{version}{class}{}{}", self.function as u8, self.origin as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written() {
        let mut count = 0;
        for number in 0..10_000 {
            let text = format!("{number:04}");
            if let Some(mti) = Mti::parse(&text) {
                assert_eq!(mti.to_string(), text);
                count += 1;
            }
        }
        assert_eq!(count, 3 * 8 * 5 * 6);
        for bad in ["", "010", "01000", "3100", "0000", "0150", "0106", "01a0", "0١0"] {
            assert_eq!(Mti::parse(bad), None, "{bad}");
        }
    }
}
