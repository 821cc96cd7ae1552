//! 0800 and 0810: sign-on, sign-off and echo, by which a connection is opened, closed and kept.

use crate::view::View;
use crate::{Class, Error, Function, Message, Moment, Mti, Origin, Stan};

/// 0800.
pub const REQUEST: Mti =
    Mti::of_1987(Class::NetworkManagement, Function::Request, Origin::Acquirer);
/// 0810.
pub const RESPONSE: Mti =
    Mti::of_1987(Class::NetworkManagement, Function::Response, Origin::Acquirer);

/// Field 39 of a 0810: done.
pub const DONE: &str = "00";

/// Field 70.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Information {
    /// 001.
    SignOn,
    /// 002.
    SignOff,
    /// 301: are you there?
    Echo,
}

/// A question about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Field 7, UTC.
    pub transmitted: Moment,
    /// Field 11.
    pub stan: Stan,
    /// Field 70.
    pub information: Information,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Field 7, as asked.
    pub transmitted: Moment,
    /// Field 11, as asked.
    pub stan: Stan,
    /// Field 39: [`DONE`] or a refusal.
    pub code: String,
    /// Field 70, as asked.
    pub information: Information,
}

impl Information {
    const ALL: [(Self, &str); 3] =
        [(Self::SignOn, "001"), (Self::SignOff, "002"), (Self::Echo, "301")];

    /// Three digits.
    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).expect("every kind has a row").1
    }

    /// Reads three digits.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(kind, _)| *kind)
    }
}

impl Request {
    /// The message.
    pub fn message(&self) -> Message {
        Message::new(REQUEST)
            .with(7, self.transmitted.as_str())
            .with(11, self.stan.to_string())
            .with(70, self.information.code())
    }

    /// Reads a 0800.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let view = View(message);
        view.is_one_of(&[REQUEST])?;
        Ok(Self {
            transmitted: view.moment()?,
            stan: view.stan()?,
            information: view.value(70, "001, 002 or 301", Information::parse)?,
        })
    }

    /// The answer with a code.
    pub fn response(&self, code: &str) -> Response {
        let Self { transmitted, stan, information } = *self;
        Response { transmitted, stan, code: code.to_owned(), information }
    }
}

impl Response {
    /// The message.
    pub fn message(&self) -> Message {
        Message::new(RESPONSE)
            .with(7, self.transmitted.as_str())
            .with(11, self.stan.to_string())
            .with(39, self.code.as_str())
            .with(70, self.information.code())
    }

    /// Reads a 0810.
    pub fn read(message: &Message) -> Result<Self, Error> {
        let view = View(message);
        view.is_one_of(&[RESPONSE])?;
        Ok(Self {
            transmitted: view.moment()?,
            stan: view.stan()?,
            code: view.text(39)?.to_owned(),
            information: view.value(70, "001, 002 or 301", Information::parse)?,
        })
    }
}
