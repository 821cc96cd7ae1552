//! Messages that the suites begin from.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use iso8583::authorisation::{self, ECOMMERCE, KEYED, Processing, Request};
use iso8583::network::{self, Information};
use iso8583::reversal::{self, Reason};
use iso8583::{Expiry, Message, Moment, Pan, Stan};

/// 2026-11-24T15:33:36Z.
pub const START: i64 = 1_795_534_416_000_000;

pub fn moment(seconds_after: i64) -> Moment {
    Moment::from_unix_micros(START + seconds_after * 1_000_000)
}

pub fn request() -> Request {
    Request {
        pan: Pan::parse("4111111111111111").unwrap(),
        processing: Processing::Payment,
        amount: 779_901,
        transmitted: moment(0),
        stan: Stan::new(42).unwrap(),
        local: Moment::of("1124", "103336").unwrap(),
        expiry: Expiry::parse("2912"),
        category: "5734".to_owned(),
        entry_mode: KEYED.to_owned(),
        condition: ECOMMERCE.to_owned(),
        acquirer: "123456".to_owned(),
        retrieval_reference: "R00000000042".to_owned(),
        terminal: "SWITCH01".to_owned(),
        merchant: "MERCHANT01".to_owned(),
        merchant_name: "Switchyard            San Francisco   US".to_owned(),
        currency: 840,
        reference: "0123456789abcdef0123456789abcdef-a".to_owned(),
    }
}

/// One of every message that the card rail sends or receives.
pub fn all() -> Vec<Message> {
    let request = request();
    let reversal =
        reversal::Request::of(&request, Stan::new(43).unwrap(), moment(9), Reason::TimeOut);
    let mut messages = vec![
        request.message(),
        request.response("00", Some("A1B2C3")).message(),
        request.response("51", None).message(),
        reversal.message(),
        reversal.repeated().message(),
        reversal.response(reversal::REVERSED).message(),
    ];
    for information in [Information::SignOn, Information::SignOff, Information::Echo] {
        let stan = Stan::new(7).unwrap();
        let request = network::Request { transmitted: moment(1), stan, information };
        messages.extend([request.message(), request.response(network::DONE).message()]);
    }
    for processing in [Processing::Pull, Processing::Refund, Processing::Push] {
        let request = authorisation::Request { processing, expiry: None, ..request.clone() };
        messages.push(request.message());
    }
    messages
}
