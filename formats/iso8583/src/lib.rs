//! ISO 8583:1987 card messages: bytes in, typed messages or an error that names the field out, and
//! back. No clock, no I/O, no async runtime.
//!
//! # The map
//!
//! - [`parse`] and [`write`] turn bytes into a [`Message`] (a typed [`Mti`], and fields by number)
//!   and back, by a [`Spec`]: the dialect as a table. [`Spec::ascii87`] is the one that is spoken
//!   here; another dialect is another table.
//! - [`Frames`] and [`frame`]: the two-byte length before each message on a TCP connection.
//! - One file a message pair, with typed fields: [`authorisation`] (0100/0110), [`reversal`]
//!   (0400/0401/0410), [`network`] (0800/0810). [`response`] is the table of field 39.
//! - [`connection`]: the acquirer's end of one long-lived connection, as a state machine that is
//!   given bytes and the time.
//! - Values: [`Pan`] and [`Expiry`] mask themselves, [`Moment`] (MMDDhhmmss), [`Stan`].
//!
//! # Rules
//!
//! - ASCII, except for the binary bitmap. A second bitmap is there if and only if bit 1 is set, a
//!   third if and only if bit 65 is; bits 1, 65 and 129 are never data.
//! - A byte after the last field, a field that the dialect does not have, a length over the field's
//!   maximum or a character outside the field's class is an error.
//! - What is checked when reading is checked when writing. Fixed fields are written at their exact
//!   length: the typed messages pad, the codec does not.
//!
//! # Secrets
//!
//! Fields 2, 14, 35, 45, 52 and 55 are masked in every `Debug` text and error, and wiped from memory
//! when a message is dropped.

mod ascii87;
pub mod authorisation;
mod bitmap;
mod card;
mod codec;
pub mod connection;
mod error;
mod frame;
mod message;
mod moment;
mod mti;
pub mod network;
pub mod response;
pub mod reversal;
mod spec;
mod stan;
mod view;

pub use card::{Expiry, Pan};
pub use codec::{parse, parse_partly, write};
pub use error::{Code, Error, Place};
pub use frame::{FrameError, Frames, frame};
pub use message::{Message, SECRET_FIELDS};
pub use moment::Moment;
pub use mti::{Class, Function, Mti, Origin, Version};
pub use spec::{Bitmaps, Content, Field, Format, Spec};
pub use stan::Stan;

/// Most bytes of one message, its length header not counted. The largest that the card rail sends
/// has about 300.
pub const MAX_BYTES: usize = 4096;
