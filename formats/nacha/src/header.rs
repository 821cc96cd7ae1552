//! Record 1, the file header.

use std::fmt;

use crate::error::{Code, Error};
use crate::record::{Reader, Writer};
use crate::routing::RoutingNumber;
use crate::{Date, Time};

pub(crate) const RECORD: &str = "file header";

/// Record 1. Its constants (priority 01, record size 094, blocking factor 10, format 1) are checked
/// and written, and are no fields here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHeader {
    /// Positions 4 to 13: the bank, or operator, that the file goes to; a blank before nine digits.
    pub immediate_destination: RoutingNumber,
    /// Positions 14 to 23: who sends it, to the right: nine digits after a blank, or ten characters
    /// as the two agreed. A zero before nine digits is read as that blank.
    pub immediate_origin: String,
    /// Positions 24 to 29.
    pub created: Date,
    /// Positions 30 to 33.
    pub created_time: Option<Time>,
    /// Position 34: which file of the day it is.
    pub modifier: FileModifier,
    /// Positions 41 to 63.
    pub destination_name: String,
    /// Positions 64 to 86.
    pub origin_name: String,
    /// Positions 87 to 94.
    pub reference_code: String,
}

/// Position 34 of the file header: `A` to `Z`, then `0` to `9`. Origin, date and modifier together
/// name a file, so a day has 36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileModifier(u8);

impl FileModifier {
    /// The first of a day.
    pub const FIRST: Self = Self(b'A');

    /// `None` for any other character than `A` to `Z` and `0` to `9`.
    pub fn new(modifier: char) -> Option<Self> {
        let known = modifier.is_ascii_uppercase() || modifier.is_ascii_digit();
        u8::try_from(modifier).ok().filter(|_| known).map(Self)
    }

    /// That of the next file of a day; `None` after the 36th, `9`.
    pub fn next(self) -> Option<Self> {
        match self.0 {
            b'9' => None,
            b'Z' => Some(Self(b'0')),
            other => Some(Self(other + 1)),
        }
    }
}

impl fmt::Display for FileModifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        char::from(self.0).fmt(f)
    }
}

impl FileHeader {
    /// Reads the record; `None` if it has errors.
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        r.constant("priorityCode", 2, "01");
        let destination = r.raw(4, 13).trim();
        let immediate_destination = RoutingNumber::parse(destination);
        if immediate_destination.is_none() {
            let nine = destination.len() == 9 && destination.bytes().all(|b| b.is_ascii_digit());
            let code = match destination {
                "" => Code::Missing,
                _ if nine => Code::CheckDigit,
                _ => Code::Value,
            };
            let error = Error::new(r.at("immediateDestination"), code, "no routing number");
            r.push(error.found(destination).expected("nine digits with their check digit"));
        }
        let mut immediate_origin = r.mandatory("immediateOrigin", 14, 23);
        if immediate_origin.len() == 10 && immediate_origin.bytes().all(|b| b.is_ascii_digit()) {
            immediate_origin =
                immediate_origin.strip_prefix('0').map(str::to_owned).unwrap_or(immediate_origin);
        }
        let created = r.value("fileCreationDate", (24, 29), "YYMMDD", Date::parse);
        let created_time = optional(r, "fileCreationTime", (30, 33), "HHMM", Time::parse);
        let modifier = r.value("fileIDModifier", (34, 34), "A to Z, 0 to 9", |text| {
            FileModifier::new(text.chars().next()?)
        });
        r.constant("recordSize", 35, "094");
        r.constant("blockingFactor", 38, "10");
        r.constant("formatCode", 40, "1");
        Some(Self {
            immediate_destination: immediate_destination?,
            immediate_origin,
            created: created?,
            created_time: created_time?,
            modifier: modifier?,
            destination_name: r.text(41, 63),
            origin_name: r.text(64, 86),
            reference_code: r.text(87, 94),
        })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.text("recordType", (1, 1), "1").text("priorityCode", (2, 3), "01");
        w.text("immediateDestination", (5, 13), &self.immediate_destination.to_string());
        // To the right; what is longer than its place is an error there.
        let origin = format!("{:>10}", self.immediate_origin);
        w.text("immediateOrigin", (14, 23), &origin);
        w.text("fileCreationDate", (24, 29), &self.created.to_string());
        w.text("fileCreationTime", (30, 33), &text_or_blank(self.created_time));
        w.text("fileIDModifier", (34, 34), &self.modifier.to_string());
        w.text("recordSize", (35, 37), "094").text("blockingFactor", (38, 39), "10");
        w.text("formatCode", (40, 40), "1");
        w.text("immediateDestinationName", (41, 63), &self.destination_name);
        w.text("immediateOriginName", (64, 86), &self.origin_name);
        w.text("referenceCode", (87, 94), &self.reference_code);
    }
}

/// A field that may be blank. The outer `None` is an error that was told.
pub(crate) fn optional<T>(
    r: &mut Reader<'_>,
    field: &'static str,
    columns: (usize, usize),
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<Option<T>> {
    if r.raw(columns.0, columns.1).trim().is_empty() {
        return Some(None);
    }
    r.value(field, columns, expected, parse).map(Some)
}

pub(crate) fn text_or_blank(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
