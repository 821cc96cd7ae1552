//! Typed ids: plain UUIDs outside, a type each inside.
//!
//! A fresh id is a UUIDv7, a derived one a UUIDv5 of its cause, so that a retry makes the same id.
//! The last byte of an id is its bucket: an id finds its shard without a directory.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The part of an id that orders it: 48 bits of milliseconds and 12 of counter (RFC 9562 v7).
///
/// Until the year 2109 it is below 2^54, so a row key may append eight bits and stay positive.
pub fn row_of(uuid: Uuid) -> i64 {
    let high = (uuid.as_u128() >> 64) as u64;
    let row = ((high >> 16) << 12) | (high & 0x0fff);
    i64::try_from(row).expect("60 bits fit in an i64")
}

/// The rest of an id: variant, random bits, bucket; the low 64 bits.
pub fn tail_of(uuid: Uuid) -> i64 {
    (uuid.as_u128() as u64).cast_signed()
}

/// The UUIDv7 that [`row_of`] and [`tail_of`] took apart.
pub fn from_parts(row: i64, tail: i64) -> Uuid {
    let row = row.cast_unsigned();
    let high = ((row >> 12) << 16) | 0x7000 | (row & 0x0fff);
    Uuid::from_u128((u128::from(high) << 64) | u128::from(tail.cast_unsigned()))
}

/// The bucket of an id: its last byte.
pub fn bucket_of(uuid: Uuid) -> u8 {
    uuid.as_bytes()[15]
}

/// The id that follows from a cause: UUIDv5 of the cause's parts, with the bucket as its last byte.
pub fn derive(namespace: Uuid, parts: &[&[u8]], bucket: u8) -> Uuid {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        let length = u32::try_from(part.len()).expect("a cause's part is short");
        name.extend_from_slice(&length.to_be_bytes());
        name.extend_from_slice(part);
    }
    let mut bytes = *Uuid::new_v5(&namespace, &name).as_bytes();
    bytes[15] = bucket;
    Uuid::from_bytes(bytes)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(with = "String")] pub Uuid);

        impl $name {
            /// The id with these 16 bytes; `None` where there are not 16.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }
            /// The id's 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
            /// See [`row_of`].
            pub fn row(&self) -> i64 {
                row_of(self.0)
            }
            /// See [`tail_of`].
            pub fn tail(&self) -> i64 {
                tail_of(self.0)
            }
            /// See [`from_parts`].
            pub fn from_parts(row: i64, tail: i64) -> Self {
                Self(from_parts(row, tail))
            }
            /// See [`bucket_of`].
            pub fn bucket(&self) -> u8 {
                bucket_of(self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(self.0.as_bytes())?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                Self::from_slice(d.bytes()?)
                    .ok_or_else(|| minicbor::decode::Error::message("an id has 16 bytes"))
            }
        }
    )+};
}

ids! {
    /// An account: the platform's own (the facilitator) or one connected to it.
    AccountId;
    /// A linked bank account.
    BankAccountId;
    /// A request to cancel a transfer.
    CancellationId;
    /// A linked card.
    CardId;
    /// One event of the public feed or of a stream.
    EventId;
    /// An API key (its public half is another value).
    KeyId;
    /// A way to pay from or to a source: a wallet, a bank account by one rail.
    PaymentMethodId;
    /// A transfer.
    TransferId;
    /// A wallet.
    WalletId;
}

/// The id of an account's default wallet. Its bucket is a byte of the hash that makes it, so that
/// wallets spread over the buckets whatever accounts' ids are like.
pub fn default_wallet(account: AccountId) -> WalletId {
    let parts: [&[u8]; 1] = [b"default wallet"];
    let bucket = derive(account.0, &parts, 0).as_bytes()[0];
    WalletId(derive(account.0, &parts, bucket))
}
