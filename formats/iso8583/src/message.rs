//! A message: its type and its fields by number.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

use crate::{Mti, Pan};

/// Fields whose content is never shown: PAN, expiry, tracks 2 and 1, PIN, chip data.
pub const SECRET_FIELDS: [u8; 6] = [2, 14, 35, 45, 52, 55];

/// A message of any dialect. Its `Debug` text masks [`SECRET_FIELDS`], and they are wiped from
/// memory with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The message type.
    pub mti: Mti,
    fields: BTreeMap<u8, String>,
}

impl Message {
    /// A message without fields.
    pub fn new(mti: Mti) -> Self {
        Self { mti, fields: BTreeMap::new() }
    }

    /// The text of a field, without its length prefix.
    pub fn field(&self, number: u8) -> Option<&str> {
        self.fields.get(&number).map(String::as_str)
    }

    /// Puts a field in, or another text into it. What the dialect allows is checked when the
    /// message is written.
    pub fn set(&mut self, number: u8, text: impl Into<String>) {
        if let Some(mut old) = self.fields.insert(number, text.into()) {
            old.zeroize();
        }
    }

    /// The same message with a field more.
    pub fn with(mut self, number: u8, text: impl Into<String>) -> Self {
        self.set(number, text);
        self
    }

    /// Takes a field out.
    pub fn remove(&mut self, number: u8) {
        if let Some(mut old) = self.fields.remove(&number) {
            old.zeroize();
        }
    }

    /// All fields, lowest number first. Secret ones are among them, in the clear.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &str)> {
        self.fields.iter().map(|(number, text)| (*number, text.as_str()))
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        for number in SECRET_FIELDS {
            self.remove(number);
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message {}", self.mti)?;
        let mut map = f.debug_map();
        for (number, text) in self.fields() {
            map.entry(&number, &shown(number, text));
        }
        map.finish()
    }
}

/// The text of a field as it may be shown to anyone.
pub(crate) fn shown(number: u8, text: &str) -> String {
    match number {
        2 => Pan::parse(text).map_or_else(|| hidden(text), |pan| pan.to_string()),
        _ if SECRET_FIELDS.contains(&number) => hidden(text),
        _ => text.to_owned(),
    }
}

fn hidden(text: &str) -> String {
    format!("[{} characters]", text.len())
}
