//! Reading typed values out of a message, with errors that name the field.

use crate::{Code, Error, Message, Moment, Mti, Place, Stan};

/// A message whose fields are read by type.
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a Message);

impl<'a> View<'a> {
    /// Refuses a message of none of these types.
    pub(crate) fn is_one_of(self, types: &[Mti]) -> Result<(), Error> {
        if types.contains(&self.0.mti) {
            return Ok(());
        }
        let names: Vec<String> = types.iter().map(Mti::to_string).collect();
        Err(Error::new(Place::Mti, Code::Mti)
            .found(self.0.mti.to_string())
            .expected(names.join(" or ")))
    }

    pub(crate) fn text(self, number: u8) -> Result<&'a str, Error> {
        self.0.field(number).ok_or_else(|| Error::new(Place::Field(number), Code::Missing))
    }

    /// Text without the blanks that fill it up.
    pub(crate) fn trimmed(self, number: u8) -> Result<String, Error> {
        Ok(self.text(number)?.trim_end_matches(' ').to_owned())
    }

    pub(crate) fn maybe_trimmed(self, number: u8) -> Option<String> {
        self.0.field(number).map(|text| text.trim_end_matches(' ').to_owned())
    }

    /// A value that `parse` takes from the text of a field.
    pub(crate) fn value<T>(
        self,
        number: u8,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let text = self.text(number)?;
        parse(text).ok_or_else(|| {
            Error::new(Place::Field(number), Code::Value)
                .found(format!("{:?}", crate::message::shown(number, text)))
                .expected(expected)
        })
    }

    /// An amount in minor units.
    pub(crate) fn amount(self) -> Result<i64, Error> {
        self.value(4, "12 digits", |text| {
            let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        })
    }

    pub(crate) fn moment(self) -> Result<Moment, Error> {
        self.value(7, "MMDDhhmmss", Moment::parse)
    }

    pub(crate) fn stan(self) -> Result<Stan, Error> {
        self.value(11, "6 digits", Stan::parse)
    }

    /// A currency's number in ISO 4217.
    pub(crate) fn currency(self) -> Result<u16, Error> {
        self.value(49, "3 digits", |text| {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        })
    }
}

/// Fills a fixed field up with blanks on the right, to the length that the dialect gives it.
pub(crate) fn padded(text: &str, length: usize) -> String {
    format!("{text:length$}")
}
