//! Values that go in, and rows that come out, the same over both engines.

use crate::{Error, Result};
use postgres::types::{FromSql, Type};
use rusqlite::types::ValueRef;

/// One value of a statement. Borrowed: a batch copies no text and no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// BIGINT.
    Int(i64),
    /// TEXT.
    Text(&'a str),
    /// BYTEA or BLOB.
    Blob(&'a [u8]),
    /// BYTEA or BLOB of 16 bytes held in place: a UUID made on the fly.
    Bytes16([u8; 16]),
}

/// The kind of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// BIGINT.
    Int,
    /// TEXT.
    Text,
    /// BYTEA or BLOB.
    Blob,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Int => "an integer",
            Kind::Text => "a text",
            Kind::Blob => "a blob",
        }
    }

    pub(crate) const fn pg_array(self) -> &'static str {
        match self {
            Kind::Int => "bigint[]",
            Kind::Text => "text[]",
            Kind::Blob => "bytea[]",
        }
    }
}

impl Value<'_> {
    pub(crate) const fn kind_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Int(_) => Kind::Int.name(),
            Value::Text(_) => Kind::Text.name(),
            Value::Blob(_) | Value::Bytes16(_) => Kind::Blob.name(),
        }
    }

    /// Checks the rules that hold on both engines; `kind` is the column's, when it is known.
    pub(crate) fn check(&self, kind: Option<Kind>, index: usize, place: &str) -> Result<()> {
        let fits = match (self, kind) {
            (Value::Null, _) => return Ok(()),
            (Value::Text(text), None | Some(Kind::Text)) => {
                if text.as_bytes().contains(&0) {
                    return Err(Error::NulInText { place: place.into(), index });
                }
                true
            }
            (Value::Int(_), None | Some(Kind::Int)) => true,
            (Value::Blob(_) | Value::Bytes16(_), None | Some(Kind::Blob)) => true,
            _ => false,
        };
        match kind {
            Some(kind) if !fits => Err(Error::Kind {
                place: place.into(),
                index,
                expected: kind.name(),
                found: self.kind_name(),
            }),
            _ => Ok(()),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}
impl From<i32> for Value<'_> {
    fn from(v: i32) -> Self {
        Value::Int(i64::from(v))
    }
}
impl From<u32> for Value<'_> {
    fn from(v: u32) -> Self {
        Value::Int(i64::from(v))
    }
}
impl From<u16> for Value<'_> {
    fn from(v: u16) -> Self {
        Value::Int(i64::from(v))
    }
}
impl From<u8> for Value<'_> {
    fn from(v: u8) -> Self {
        Value::Int(i64::from(v))
    }
}
impl From<bool> for Value<'_> {
    fn from(v: bool) -> Self {
        Value::Int(i64::from(v))
    }
}
impl<'a> From<&'a str> for Value<'a> {
    fn from(v: &'a str) -> Self {
        Value::Text(v)
    }
}
impl<'a> From<&'a String> for Value<'a> {
    fn from(v: &'a String) -> Self {
        Value::Text(v)
    }
}
impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(v: &'a [u8]) -> Self {
        Value::Blob(v)
    }
}
impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(v: &'a Vec<u8>) -> Self {
        Value::Blob(v)
    }
}
impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(v: &'a [u8; N]) -> Self {
        Value::Blob(v)
    }
}
impl From<[u8; 16]> for Value<'_> {
    fn from(v: [u8; 16]) -> Self {
        Value::Bytes16(v)
    }
}
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(v: Option<T>) -> Self {
        v.map_or(Value::Null, Into::into)
    }
}

/// One row of an answer; columns are read by position, from 0.
pub struct Row<'r>(pub(crate) RowOf<'r>);

pub(crate) enum RowOf<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r postgres::Row),
}

/// An integer of any width, a boolean as 0 or 1.
struct PgInt(i64);

impl<'a> FromSql<'a> for PgInt {
    fn from_sql(
        ty: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(PgInt(match *ty {
            Type::INT4 => i64::from(i32::from_sql(ty, raw)?),
            Type::INT2 => i64::from(i16::from_sql(ty, raw)?),
            Type::BOOL => i64::from(bool::from_sql(ty, raw)?),
            _ => i64::from_sql(ty, raw)?,
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL)
    }
}

fn wrong(i: usize, expected: Kind, found: &'static str) -> Error {
    Error::Kind { place: "the row".into(), index: i, expected: expected.name(), found }
}

const fn name_of(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "null",
        ValueRef::Integer(_) => Kind::Int.name(),
        ValueRef::Real(_) => "a float",
        ValueRef::Text(_) => Kind::Text.name(),
        ValueRef::Blob(_) => Kind::Blob.name(),
    }
}

impl Row<'_> {
    /// The integer in column `i`; null is an error.
    pub fn int(&self, i: usize) -> Result<i64> {
        self.opt_int(i)?.ok_or_else(|| wrong(i, Kind::Int, "null"))
    }

    /// The text in column `i`; null is an error.
    pub fn text(&self, i: usize) -> Result<&str> {
        self.opt_text(i)?.ok_or_else(|| wrong(i, Kind::Text, "null"))
    }

    /// The bytes in column `i`; null is an error.
    pub fn blob(&self, i: usize) -> Result<&[u8]> {
        self.opt_blob(i)?.ok_or_else(|| wrong(i, Kind::Blob, "null"))
    }

    /// The bytes in column `i`, which must be exactly `N` of them.
    pub fn bytes<const N: usize>(&self, i: usize) -> Result<[u8; N]> {
        self.blob(i)?.try_into().map_err(|_| wrong(i, Kind::Blob, "a blob of another length"))
    }

    /// An integer that is used as a yes or no.
    pub fn bool(&self, i: usize) -> Result<bool> {
        Ok(self.int(i)? != 0)
    }

    /// The integer in column `i`, if any.
    pub fn opt_int(&self, i: usize) -> Result<Option<i64>> {
        match self.0 {
            RowOf::Sqlite(row) => match row.get_ref(i)? {
                ValueRef::Null => Ok(None),
                ValueRef::Integer(v) => Ok(Some(v)),
                other => Err(wrong(i, Kind::Int, name_of(other))),
            },
            RowOf::Postgres(row) => Ok(row.try_get::<_, Option<PgInt>>(i)?.map(|v| v.0)),
        }
    }

    /// The text in column `i`, if any.
    pub fn opt_text(&self, i: usize) -> Result<Option<&str>> {
        match self.0 {
            RowOf::Sqlite(row) => match row.get_ref(i)? {
                ValueRef::Null => Ok(None),
                ValueRef::Text(v) => std::str::from_utf8(v)
                    .map(Some)
                    .map_err(|_| wrong(i, Kind::Text, "a text that is not UTF-8")),
                other => Err(wrong(i, Kind::Text, name_of(other))),
            },
            RowOf::Postgres(row) => Ok(row.try_get::<_, Option<&str>>(i)?),
        }
    }

    /// The bytes in column `i`, if any.
    pub fn opt_blob(&self, i: usize) -> Result<Option<&[u8]>> {
        match self.0 {
            RowOf::Sqlite(row) => match row.get_ref(i)? {
                ValueRef::Null => Ok(None),
                ValueRef::Blob(v) => Ok(Some(v)),
                other => Err(wrong(i, Kind::Blob, name_of(other))),
            },
            RowOf::Postgres(row) => Ok(row.try_get::<_, Option<&[u8]>>(i)?),
        }
    }
}
