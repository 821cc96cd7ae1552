//! Change codes of notifications of change, and the corrected data that each carries.

use std::fmt;

use crate::TransactionCode;
use crate::routing::RoutingNumber;

/// A change code of the list: C01 to C14, with which a receiving bank corrects an entry; C61 to C69,
/// with which the sending bank refuses a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeCode(u8);

/// In the order of the rules: C10 to C12 do not exist.
const TABLE: [(u8, &str); 20] = [
    (1, "Incorrect account number"),
    (2, "Incorrect routing number"),
    (3, "Incorrect routing number and account number"),
    (4, "Incorrect individual name or receiving company name"),
    (5, "Incorrect transaction code"),
    (6, "Incorrect account number and transaction code"),
    (7, "Incorrect routing number, account number and transaction code"),
    (8, "Incorrect receiving bank identification of an international entry"),
    (9, "Incorrect individual identification number"),
    (13, "Addenda format error"),
    (14, "Incorrect SEC code of an outbound international payment"),
    (61, "Misrouted notification of change"),
    (62, "Incorrect trace number"),
    (63, "Incorrect company identification number"),
    (64, "Incorrect individual identification number"),
    (65, "Incorrectly formatted corrected data"),
    (66, "Incorrect discretionary data"),
    (67, "Routing number not from the original entry"),
    (68, "Account number not from the original entry"),
    (69, "Incorrect transaction code in the notification"),
];

impl ChangeCode {
    /// Reads `C01`. `None` for what is not in the list.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('C').filter(|digits| digits.len() == 2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Self::new(digits.parse().ok()?)
    }

    /// C and this number. `None` for what is not in the list.
    pub fn new(number: u8) -> Option<Self> {
        TABLE.iter().any(|(code, _)| *code == number).then_some(Self(number))
    }

    /// Every code, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(code, _)| Self(*code))
    }

    /// The number: 1 for C01.
    pub fn number(self) -> u8 {
        self.0
    }

    /// A few words.
    pub fn title(self) -> &'static str {
        let found = TABLE.iter().find(|(code, _)| *code == self.0);
        found.expect("a code is made only of a row's number").1
    }
}

impl fmt::Display for ChangeCode {
    /// `C01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{:02}", self.0)
    }
}

/// What a notification of change says is right: addenda 98, positions 36 to 64, read by its code.
/// Positions below are of these 29 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    /// C01: account number, 1 to 17.
    Account(String),
    /// C02: routing number, 1 to 9.
    Routing(RoutingNumber),
    /// C03: routing number, 1 to 9, three blanks, account number, 13 to 29.
    RoutingAndAccount(RoutingNumber, String),
    /// C04: name, 1 to 22.
    Name(String),
    /// C05: transaction code, 1 to 2.
    TransactionCode(TransactionCode),
    /// C06: account number, 1 to 17, three blanks, transaction code, 21 to 22.
    AccountAndCode(String, TransactionCode),
    /// C07: routing number, 1 to 9, account number, 10 to 26, transaction code, 27 to 28.
    All(RoutingNumber, String, TransactionCode),
    /// C09: individual identification number, 1 to 15.
    IndividualId(String),
    /// C13 and C14: the text says nothing by itself. C08 and the refusals C61 to C69: as it stands,
    /// since they are not about the entry's own fields.
    Other(String),
}

/// The corrected data has not the form that its code asks for. Nothing is guessed from it: a wrong
/// account number would be paid to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCorrection(pub ChangeCode);

impl fmt::Display for InvalidCorrection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the corrected data has not the form of {}", self.0)
    }
}

impl std::error::Error for InvalidCorrection {}

impl Correction {
    /// Reads the corrected data of a code; blanks at its end may be missing.
    pub fn parse(code: ChangeCode, data: &str) -> Result<Self, InvalidCorrection> {
        Self::read(code, &format!("{data:29}")).ok_or(InvalidCorrection(code))
    }

    fn read(code: ChangeCode, data: &str) -> Option<Self> {
        if data.len() != 29 || !data.is_ascii() {
            return None;
        }
        let text = |range: std::ops::Range<usize>| {
            let text = data[range].trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let blank = |range: std::ops::Range<usize>| data[range].trim().is_empty();
        let routing = || RoutingNumber::parse(&data[..9]);
        let code_at = |at: usize| TransactionCode::parse(&data[at..at + 2]);
        match code.0 {
            1 if blank(17..29) => Some(Self::Account(text(0..17)?)),
            2 if blank(9..29) => Some(Self::Routing(routing()?)),
            3 if blank(9..12) => Some(Self::RoutingAndAccount(routing()?, text(12..29)?)),
            4 if blank(22..29) => Some(Self::Name(text(0..22)?)),
            5 if blank(2..29) => Some(Self::TransactionCode(code_at(0)?)),
            6 if blank(17..20) && blank(22..29) => {
                Some(Self::AccountAndCode(text(0..17)?, code_at(20)?))
            }
            7 if blank(28..29) => Some(Self::All(routing()?, text(9..26)?, code_at(26)?)),
            9 if blank(15..29) => Some(Self::IndividualId(text(0..15)?)),
            8 | 13.. => Some(Self::Other(data.trim_end().to_owned())),
            _ => None,
        }
    }

    /// The corrected data as the record has it, without blanks at its end. `None` if a text is longer
    /// than its place.
    pub fn data(&self) -> Option<String> {
        let fits = |text: &str, length| text.len() <= length;
        let data = match self {
            Self::Account(account) if fits(account, 17) => account.clone(),
            Self::Routing(routing) => routing.to_string(),
            Self::RoutingAndAccount(routing, account) if fits(account, 17) => {
                format!("{routing}   {account}")
            }
            Self::Name(name) if fits(name, 22) => name.clone(),
            Self::TransactionCode(code) => code.to_string(),
            Self::AccountAndCode(account, code) if fits(account, 17) => {
                format!("{account:17}   {code}")
            }
            Self::All(routing, account, code) if fits(account, 17) => {
                format!("{routing}{account:17}{code}")
            }
            Self::IndividualId(id) if fits(id, 15) => id.clone(),
            Self::Other(data) if fits(data, 29) => data.clone(),
            _ => return None,
        };
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrected_data_by_code() {
        let routing = RoutingNumber::parse("231380104").unwrap();
        let savings = TransactionCode::parse("32").unwrap();
        let account = "1918171614".to_owned();
        let cases = [
            (1, Correction::Account(account.clone()), "1918171614"),
            (2, Correction::Routing(routing), "231380104"),
            (3, Correction::RoutingAndAccount(routing, account.clone()), "231380104   1918171614"),
            (4, Correction::Name("Ada King".to_owned()), "Ada King"),
            (5, Correction::TransactionCode(savings), "32"),
            (6, Correction::AccountAndCode(account.clone(), savings), "1918171614          32"),
            (7, Correction::All(routing, account, savings), "2313801041918171614       32"),
            (9, Correction::IndividualId("C-17".to_owned()), "C-17"),
            (13, Correction::Other(String::new()), ""),
            (14, Correction::Other(String::new()), ""),
        ];
        for (number, correction, data) in cases {
            let code = ChangeCode::new(number).unwrap();
            assert_eq!(correction.data().as_deref(), Some(data), "{code}");
            assert_eq!(Correction::parse(code, data), Ok(correction), "{code}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for (number, data) in [
            (1, ""),
            (1, "123456789012345678"),
            (2, "231380105"),
            (3, "231380104 1918171614"),
            (5, "99"),
            (6, "1918171614 32"),
            (7, "231380104 1918171614 32"),
            (2, "é"),
            (1, "a text that is longer than the twenty-nine"),
        ] {
            let code = ChangeCode::new(number).unwrap();
            assert_eq!(Correction::parse(code, data), Err(InvalidCorrection(code)), "{data}");
        }
        assert_eq!(Correction::Account("1".repeat(18)).data(), None);
        assert_eq!(ChangeCode::parse("C10"), None);
    }
}
