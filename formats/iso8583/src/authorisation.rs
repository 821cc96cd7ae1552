//! 0100 and 0110: whether a card may be charged or credited, and the host's answer.
//!
//! The host captures what it approves: there is no 0200 after it.

use crate::view::{View, padded};
use crate::{Class, Error, Expiry, Function, Message, Moment, Mti, Origin, Pan, Stan, response};

/// 0100.
pub const REQUEST: Mti = Mti::of_1987(Class::Authorisation, Function::Request, Origin::Acquirer);
/// 0110.
pub const RESPONSE: Mti = Mti::of_1987(Class::Authorisation, Function::Response, Origin::Acquirer);

/// Field 22: the number was keyed in, the terminal takes no PIN.
pub const KEYED: &str = "010";
/// Field 25: electronic commerce.
pub const ECOMMERCE: &str = "59";

/// Field 3: what is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Processing {
    /// 000000: the cardholder pays.
    Payment,
    /// 100000: money is pulled from the card (account funding).
    Pull,
    /// 200000: a payment is given back.
    Refund,
    /// 260000: money is pushed to the card (original credit).
    Push,
}

/// An authorisation request. Its `Debug` text masks the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Field 2.
    pub pan: Pan,
    /// Field 3.
    pub processing: Processing,
    /// Field 4: minor units of the currency, up to 12 digits.
    pub amount: i64,
    /// Field 7, UTC.
    pub transmitted: Moment,
    /// Field 11.
    pub stan: Stan,
    /// Fields 13 and 12, the terminal's own date and time.
    pub local: Moment,
    /// Field 14.
    pub expiry: Option<Expiry>,
    /// Field 18: the merchant's category, four digits of ISO 18245.
    pub category: String,
    /// Field 22: three digits; [`KEYED`].
    pub entry_mode: String,
    /// Field 25: two digits; [`ECOMMERCE`].
    pub condition: String,
    /// Field 32: up to 11 digits.
    pub acquirer: String,
    /// Field 37: the retrieval reference, up to 12 letters and digits.
    pub retrieval_reference: String,
    /// Field 41: up to 8 characters.
    pub terminal: String,
    /// Field 42: up to 15 characters.
    pub merchant: String,
    /// Field 43: name and place, up to 40 characters.
    pub merchant_name: String,
    /// Field 49: the number of ISO 4217; 840 is USD.
    pub currency: u16,
    /// Field 63: the sender's own reference, which the host gives back: a transfer's 32 hexadecimal
    /// digits, a hyphen, and a letter or digit that names the operation.
    pub reference: String,
}

/// The answer to an authorisation. It has no card in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Field 3, as asked.
    pub processing: Processing,
    /// Field 4: minor units; what was approved. Not what was asked for where it was approved in part.
    pub amount: i64,
    /// Field 7, as asked.
    pub transmitted: Moment,
    /// Field 11, as asked.
    pub stan: Stan,
    /// Field 37, as asked.
    pub retrieval_reference: String,
    /// Field 38: up to 6 letters and digits, where it was approved.
    pub approval: Option<String>,
    /// Field 39: see [`response::meaning`].
    pub code: String,
    /// Field 41, as asked.
    pub terminal: String,
    /// Field 42, as asked.
    pub merchant: String,
    /// Field 49.
    pub currency: u16,
    /// Field 63, as asked.
    pub reference: Option<String>,
}

impl Processing {
    const ALL: [(Self, &str); 4] = [
        (Self::Payment, "000000"),
        (Self::Pull, "100000"),
        (Self::Refund, "200000"),
        (Self::Push, "260000"),
    ];

    /// Six digits.
    pub fn code(self) -> &'static str {
        let found = Self::ALL.iter().find(|(processing, _)| *processing == self);
        found.expect("every kind has a row").1
    }

    /// Reads six digits.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(processing, _)| *processing)
    }

    /// Whether the cardholder receives the money.
    pub fn is_credit(self) -> bool {
        matches!(self, Self::Refund | Self::Push)
    }
}

impl Request {
    /// The message, with fixed fields filled up. What does not fit is refused when it is written.
    pub fn message(&self) -> Message {
        let mut message = Message::new(REQUEST);
        self.put(&mut message);
        message
    }

    /// The fields, for this and for the reversal that repeats them.
    pub(crate) fn put(&self, message: &mut Message) {
        message.set(2, self.pan.expose());
        message.set(3, self.processing.code());
        message.set(4, format!("{:012}", self.amount));
        message.set(7, self.transmitted.as_str());
        message.set(11, self.stan.to_string());
        message.set(12, self.local.time());
        message.set(13, self.local.date());
        if let Some(expiry) = self.expiry {
            message.set(14, expiry.expose());
        }
        message.set(18, self.category.as_str());
        message.set(22, self.entry_mode.as_str());
        message.set(25, self.condition.as_str());
        message.set(32, self.acquirer.as_str());
        message.set(37, padded(&self.retrieval_reference, 12));
        message.set(41, padded(&self.terminal, 8));
        message.set(42, padded(&self.merchant, 15));
        message.set(43, padded(&self.merchant_name, 40));
        message.set(49, format!("{:03}", self.currency));
        message.set(63, self.reference.as_str());
    }

    /// Reads a 0100.
    pub fn read(message: &Message) -> Result<Self, Error> {
        View(message).is_one_of(&[REQUEST])?;
        Self::take(View(message))
    }

    pub(crate) fn take(view: View<'_>) -> Result<Self, Error> {
        let date = view.text(13)?;
        let expiry = |text: &str| Expiry::parse(text);
        Ok(Self {
            pan: view.value(2, "8 to 19 digits", Pan::parse)?,
            processing: processing(view)?,
            amount: view.amount()?,
            transmitted: view.moment()?,
            stan: view.stan()?,
            local: view
                .value(12, "hhmmss, after MMDD in field 13", |time| Moment::of(date, time))?,
            expiry: match view.0.field(14) {
                Some(_) => Some(view.value(14, "YYMM", expiry)?),
                None => None,
            },
            category: view.text(18)?.to_owned(),
            entry_mode: view.text(22)?.to_owned(),
            condition: view.text(25)?.to_owned(),
            acquirer: view.text(32)?.to_owned(),
            retrieval_reference: view.trimmed(37)?,
            terminal: view.trimmed(41)?,
            merchant: view.trimmed(42)?,
            merchant_name: view.trimmed(43)?,
            currency: view.currency()?,
            reference: view.text(63)?.to_owned(),
        })
    }

    /// The answer with a code; `approval` goes into field 38.
    pub fn response(&self, code: &str, approval: Option<&str>) -> Response {
        Response {
            processing: self.processing,
            amount: self.amount,
            transmitted: self.transmitted,
            stan: self.stan,
            retrieval_reference: self.retrieval_reference.clone(),
            approval: approval.map(str::to_owned),
            code: code.to_owned(),
            terminal: self.terminal.clone(),
            merchant: self.merchant.clone(),
            currency: self.currency,
            reference: Some(self.reference.clone()),
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
        if let Some(approval) = &self.approval {
            message.set(38, padded(approval, 6));
        }
        message.set(39, self.code.as_str());
        message.set(41, padded(&self.terminal, 8));
        message.set(42, padded(&self.merchant, 15));
        message.set(49, format!("{:03}", self.currency));
        if let Some(reference) = &self.reference {
            message.set(63, reference.as_str());
        }
        message
    }

    /// Reads a 0110.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let view = View(message);
        view.is_one_of(&[RESPONSE])?;
        Ok(Self {
            processing: processing(view)?,
            amount: view.amount()?,
            transmitted: view.moment()?,
            stan: view.stan()?,
            retrieval_reference: view.trimmed(37)?,
            approval: view.maybe_trimmed(38),
            code: view.text(39)?.to_owned(),
            terminal: view.trimmed(41)?,
            merchant: view.trimmed(42)?,
            currency: view.currency()?,
            reference: view.0.field(63).map(str::to_owned),
        })
    }

    /// What the code says.
    pub fn verdict(&self) -> response::Verdict {
        response::meaning(&self.code).verdict
    }
}

pub(crate) fn processing(view: View<'_>) -> Result<Processing, Error> {
    view.value(3, "000000, 100000, 200000 or 260000", Processing::parse)
}
