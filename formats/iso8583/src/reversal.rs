//! 0400, its repeat 0401, and 0410: take an authorisation back, and the host's word that it has.
//!
//! A reversal has a trace number and a transmission time of its own, which its repeats keep; field 90
//! says which message is to be taken back.

use crate::authorisation::{self, Processing, processing};
use crate::view::{View, padded};
use crate::{Class, Error, Function, Message, Moment, Mti, Origin, Stan};

/// 0400.
pub const REQUEST: Mti = Mti::of_1987(Class::Reversal, Function::Request, Origin::Acquirer);
/// 0401.
pub const REPEAT: Mti = Mti::of_1987(Class::Reversal, Function::Request, Origin::AcquirerRepeat);
/// 0410.
pub const RESPONSE: Mti = Mti::of_1987(Class::Reversal, Function::Response, Origin::Acquirer);

/// Field 39 of a 0410: it is reversed.
pub const REVERSED: &str = "00";
/// Field 39 of a 0410: there is no such original.
pub const NOT_FOUND: &str = "25";

/// Field 39 of a 0400: why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// 17.
    CustomerCancellation,
    /// 22.
    SuspectedMalfunction,
    /// 68: no answer, or one that came too late.
    TimeOut,
}

/// Field 90: which message is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Original {
    /// Its type.
    pub mti: Mti,
    /// Its field 11.
    pub stan: Stan,
    /// Its field 7.
    pub transmitted: Moment,
    /// Its field 32, without the zeros before it.
    pub acquirer: String,
    /// Its field 33, without the zeros before it; empty if it had none.
    pub forwarder: String,
}

/// A reversal. Its `Debug` text masks the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The fields of the original, but with the reversal's own trace number and time.
    pub request: authorisation::Request,
    /// Field 39.
    pub reason: Reason,
    /// Field 90.
    pub original: Original,
    /// 0401: it was sent before, and not answered.
    pub repeat: bool,
}

/// The answer to a reversal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Field 3, as asked.
    pub processing: Processing,
    /// Field 4, as asked: minor units.
    pub amount: i64,
    /// Field 7 of the reversal.
    pub transmitted: Moment,
    /// Field 11 of the reversal.
    pub stan: Stan,
    /// Field 37, as asked.
    pub retrieval_reference: String,
    /// Field 39: [`REVERSED`], [`NOT_FOUND`] or another.
    pub code: String,
    /// Field 41, as asked.
    pub terminal: String,
    /// Field 42, as asked.
    pub merchant: String,
    /// Field 49, as asked.
    pub currency: u16,
    /// Field 63, as asked.
    pub reference: Option<String>,
    /// Field 90, as asked; not every host gives it back.
    pub original: Option<Original>,
}

impl Reason {
    const ALL: [(Self, &str); 3] = [
        (Self::CustomerCancellation, "17"),
        (Self::SuspectedMalfunction, "22"),
        (Self::TimeOut, "68"),
    ];

    /// Two digits.
    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(reason, _)| *reason == self).expect("every reason has a row").1
    }

    /// Reads two digits.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(reason, _)| *reason)
    }
}

impl Original {
    /// The elements of an authorisation request.
    pub fn of(request: &authorisation::Request) -> Self {
        Self {
            mti: authorisation::REQUEST,
            stan: request.stan,
            transmitted: request.transmitted,
            acquirer: request.acquirer.trim_start_matches('0').to_owned(),
            forwarder: String::new(),
        }
    }

    /// 42 digits: type 4, trace number 6, transmission 10, acquirer 11, forwarder 11, the
    /// institutions on the right of their places with zeros before them.
    pub fn text(&self) -> String {
        let Self { mti, stan, transmitted, acquirer, forwarder } = self;
        format!("{mti}{stan}{transmitted}{acquirer:0>11}{forwarder:0>11}")
    }

    /// Reads 42 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 42 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            mti: Mti::parse(&text[..4])?,
            stan: Stan::parse(&text[4..10])?,
            transmitted: Moment::parse(&text[10..20])?,
            acquirer: text[20..31].trim_start_matches('0').to_owned(),
            forwarder: text[31..].trim_start_matches('0').to_owned(),
        })
    }
}

impl Request {
    /// The reversal of an authorisation, with a trace number and a transmission time of its own.
    pub fn of(
        original: &authorisation::Request,
        stan: Stan,
        transmitted: Moment,
        reason: Reason,
    ) -> Self {
        Self {
            request: authorisation::Request { stan, transmitted, ..original.clone() },
            reason,
            original: Original::of(original),
            repeat: false,
        }
    }

    /// The same as a repeat: 0401, and nothing else is different.
    #[must_use]
    pub fn repeated(&self) -> Self {
        Self { repeat: true, ..self.clone() }
    }

    /// The message, with fixed fields filled up.
    pub fn message(&self) -> Message {
        let mut message = Message::new(if self.repeat { REPEAT } else { REQUEST });
        self.request.put(&mut message);
        message.set(39, self.reason.code());
        message.set(90, self.original.text());
        message
    }

    /// Reads a 0400 or 0401.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let view = View(message);
        view.is_one_of(&[REQUEST, REPEAT])?;
        Ok(Self {
            request: authorisation::Request::take(view)?,
            reason: view.value(39, "17, 22 or 68", Reason::parse)?,
            original: view.value(90, "42 digits", Original::parse)?,
            repeat: message.mti == REPEAT,
        })
    }

    /// The answer with a code.
    pub fn response(&self, code: &str) -> Response {
        let request = &self.request;
        Response {
            processing: request.processing,
            amount: request.amount,
            transmitted: request.transmitted,
            stan: request.stan,
            retrieval_reference: request.retrieval_reference.clone(),
            code: code.to_owned(),
            terminal: request.terminal.clone(),
            merchant: request.merchant.clone(),
            currency: request.currency,
            reference: Some(request.reference.clone()),
            original: Some(self.original.clone()),
        }
    }
}

impl Response {
    /// The message, with fixed fields filled up.
    pub fn message(&self) -> Message {
        let mut message = Message::new(RESPONSE);
        message.set(3, self.processing.code());
        message.set(4, format!("{:012}", self.amount));
        message.set(7, self.transmitted.as_str());
        message.set(11, self.stan.to_string());
        message.set(37, padded(&self.retrieval_reference, 12));
        message.set(39, self.code.as_str());
        message.set(41, padded(&self.terminal, 8));
        message.set(42, padded(&self.merchant, 15));
        message.set(49, format!("{:03}", self.currency));
        if let Some(reference) = &self.reference {
            message.set(63, reference.as_str());
        }
        if let Some(original) = &self.original {
            message.set(90, original.text());
        }
        message
    }

    /// Reads a 0410.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let view = View(message);
        view.is_one_of(&[RESPONSE])?;
        Ok(Self {
            processing: processing(view)?,
            amount: view.amount()?,
            transmitted: view.moment()?,
            stan: view.stan()?,
            retrieval_reference: view.trimmed(37)?,
            code: view.text(39)?.to_owned(),
            terminal: view.trimmed(41)?,
            merchant: view.trimmed(42)?,
            currency: view.currency()?,
            reference: message.field(63).map(str::to_owned),
            original: match message.field(90) {
                Some(_) => Some(view.value(90, "42 digits", Original::parse)?),
                None => None,
            },
        })
    }
}
