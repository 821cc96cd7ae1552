//! What an event is: a name in the past tense, a version, the services that emit it.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// One kind of event. Stored compact (CBOR by field number, so that a field may be added and an
/// unknown one is skipped), JSON wherever it leaves the platform.
pub trait Event:
    Serialize
    + DeserializeOwned
    + JsonSchema
    + minicbor::Encode<()>
    + for<'b> minicbor::Decode<'b, ()>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// `transfer.created`.
    const NAME: &'static str;
    /// The number that stands for name and version in a stored row; never used twice.
    const KIND: i64;
    /// Raised by a change that is not an addition; a reader that does not know it stops.
    const VERSION: u16;
    /// The services that emit it; each service's events are one topic.
    const EMITTERS: &'static [&'static str];

    /// The compact form.
    fn to_compact(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        minicbor::encode(self, &mut bytes).expect("writing to memory cannot fail");
        bytes
    }
    /// Reads the compact form; anything that is not one is an error, never a panic.
    fn from_compact(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}

/// Declares the [`Event`] impl of a type.
#[macro_export]
macro_rules! event {
    ($name:ident, $text:literal, kind $kind:literal, version $version:literal, by [$($by:literal),+]) => {
        impl $crate::Event for $name {
            const NAME: &'static str = $text;
            const KIND: i64 = $kind;
            const VERSION: u16 = $version;
            const EMITTERS: &'static [&'static str] = &[$($by),+];
        }
    };
}
