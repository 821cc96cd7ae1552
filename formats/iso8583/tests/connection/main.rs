//! The connection on virtual time: rule by rule, then two endpoints over a bad network, by seeds.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod pair;
#[path = "../random/mod.rs"]
mod random;
mod rules;

use iso8583::authorisation::{ECOMMERCE, KEYED, Processing, Request};
use iso8583::{Expiry, Message, Moment, Pan, Stan};

pub const SECOND: i64 = 1_000_000;
/// UTC at the monotonic time 0: 2026-11-24T15:33:36Z.
pub const UTC: i64 = 1_795_534_416_000_000;

/// A request that differs from others by its number.
pub fn request(number: u32) -> Request {
    Request {
        pan: Pan::parse("4111111111111111").unwrap(),
        processing: Processing::Payment,
        amount: i64::from(number),
        transmitted: Moment::from_unix_micros(UTC),
        stan: Stan::new(number).unwrap(),
        local: Moment::from_unix_micros(UTC),
        expiry: Expiry::parse("2912"),
        category: "5734".to_owned(),
        entry_mode: KEYED.to_owned(),
        condition: ECOMMERCE.to_owned(),
        acquirer: "123456".to_owned(),
        retrieval_reference: format!("{number:012}"),
        terminal: "SWITCH01".to_owned(),
        merchant: "MERCHANT01".to_owned(),
        merchant_name: "Switchyard".to_owned(),
        currency: 840,
        reference: format!("{number:032x}-a"),
    }
}

/// The number of a request or of its answer.
pub fn number(message: &Message) -> u64 {
    message.field(37).unwrap().parse().unwrap()
}
