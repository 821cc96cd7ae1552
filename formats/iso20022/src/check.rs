//! The rules of the schemas for values, applied alike to what was read and to what is to be
//! written.

use crate::error::{Code, Error};
use crate::tree::is_xml_char;
use crate::{Amount, Dialect};

/// Collects the errors of one part. `dialect` is `None` for a plain `Document`: ISO's rules only.
#[derive(Debug)]
pub(crate) struct Checker<'e> {
    pub(crate) dialect: Option<Dialect>,
    /// Path of the part's root element.
    pub(crate) root: String,
    pub(crate) errors: &'e mut Vec<Error>,
}

impl Checker<'_> {
    pub(crate) fn is_tch(&self) -> bool {
        self.dialect == Some(Dialect::Tch)
    }

    pub(crate) fn fail(&mut self, path: &str, code: Code, message: impl Into<String>) {
        self.errors.push(Error::new(format!("{}/{path}", self.root), code, message));
    }

    /// `MaxNText`: 1 to `max` characters, none that XML lacks.
    pub(crate) fn text(&mut self, path: &str, value: &str, max: usize) {
        let length = value.chars().count();
        if length == 0 || length > max {
            let message = format!("a text of 1 to {max} characters is expected, not of {length}");
            self.fail(path, Code::Value, message);
        } else if !value.chars().all(is_xml_char) {
            self.fail(path, Code::Value, "a character that XML does not allow");
        }
    }

    pub(crate) fn maybe_text(&mut self, path: &str, value: Option<&str>, max: usize) {
        if let Some(value) = value {
            self.text(path, value, max);
        }
    }

    /// What a dialect makes mandatory.
    pub(crate) fn required<T>(&mut self, path: &str, value: Option<&T>) {
        if value.is_none() {
            self.fail(path, Code::Missing, "mandatory element is missing");
        }
    }

    /// A message identifier: 35 characters; in TCH's form `prefix`, a date, 11 of `A-Z0-9`, any.
    pub(crate) fn message_id(&mut self, path: &str, value: &str, prefix: &str) {
        self.text(path, value, 35);
        let valid = value.strip_prefix(prefix).is_some_and(|rest| {
            let bytes = rest.as_bytes();
            bytes.len() >= 19
                && is_compact_date(&bytes[..8])
                && bytes[8..19].iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        });
        if self.is_tch() && !valid {
            let error =
                Error::new(format!("{}/{path}", self.root), Code::Value, "not in TCH's form")
                    .found(value)
                    .expected(format!("{prefix}yyyymmdd, 11 of A-Z0-9, up to 35 characters"));
            self.errors.push(error);
        }
    }

    /// A participant: in an agent 9 characters (TCH), in a header 11; ISO has 35.
    pub(crate) fn member(&mut self, path: &str, value: &str, tch_length: usize) {
        self.text(path, value, 35);
        if self.is_tch() && value.chars().count() != tch_length {
            let message = format!("TCH's member identifier has {tch_length} characters here");
            self.fail(path, Code::Value, message);
        }
    }

    /// TCH: USD only, at least 0.01.
    pub(crate) fn amount(&mut self, path: &str, amount: &Amount) {
        if self.is_tch() && amount.currency() != "USD" {
            self.fail(path, Code::Value, "TCH has USD only");
        }
        if self.is_tch() && amount.minor() == 0 {
            self.fail(path, Code::Value, "TCH has no amount of zero");
        }
    }

    /// A code of a closed list of the dialect.
    pub(crate) fn one_of(&mut self, path: &str, value: &str, list: &[&str]) {
        if !list.contains(&value) {
            let error = Error::new(format!("{}/{path}", self.root), Code::Value, "unknown code");
            self.errors.push(error.found(value).expected(list.join(" ")));
        }
    }
}

/// `yyyymmdd` as TCH's pattern has it: any year, 29 days in any February.
fn is_compact_date(bytes: &[u8]) -> bool {
    if !bytes.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
    let days = match number(4) {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    (1..=days).contains(&number(6))
}
