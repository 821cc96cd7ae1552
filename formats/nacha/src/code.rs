//! Code lists: transaction codes, service classes, SEC codes, the originator's status.

use std::fmt;

use crate::Time;

/// Which way an entry moves money, as the receiver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The receiver gets money.
    Credit,
    /// The receiver pays.
    Debit,
}

/// Which kind of account an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountKind {
    /// Demand deposits: codes 21 to 29.
    Checking,
    /// Savings: codes 31 to 39.
    Savings,
    /// A bank's general ledger: codes 41 to 49.
    GeneralLedger,
    /// A loan: codes 51 to 56.
    Loan,
}

/// What an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// It pays.
    Live,
    /// Prenotification: asks whether the account exists; no money.
    Prenote,
    /// No money, only remittance data.
    ZeroDollar,
    /// A return, or a notification of change.
    Return,
}

/// Entry detail, positions 2 to 3: kind of account, direction and purpose, as in 22, 27, 33, 36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionCode {
    account: AccountKind,
    direction: Direction,
    purpose: Purpose,
}

impl TransactionCode {
    /// `None` for what has no code: a loan takes debits only as reversals.
    pub fn new(account: AccountKind, direction: Direction, purpose: Purpose) -> Option<Self> {
        let loan_debit = account == AccountKind::Loan && direction == Direction::Debit;
        let exists = !loan_debit || matches!(purpose, Purpose::Live | Purpose::Return);
        exists.then_some(Self { account, direction, purpose })
    }

    /// Reads two digits of the list.
    pub fn parse(text: &str) -> Option<Self> {
        let [tens, ones] = <[u8; 2]>::try_from(text.as_bytes()).ok()?;
        let account = match tens {
            b'2' => AccountKind::Checking,
            b'3' => AccountKind::Savings,
            b'4' => AccountKind::GeneralLedger,
            b'5' => AccountKind::Loan,
            _ => return None,
        };
        let (direction, purpose) = match ones {
            b'1' => (Direction::Credit, Purpose::Return),
            b'2' => (Direction::Credit, Purpose::Live),
            b'3' => (Direction::Credit, Purpose::Prenote),
            b'4' => (Direction::Credit, Purpose::ZeroDollar),
            // 55, the reversal of a credit to a loan.
            b'5' if account == AccountKind::Loan => (Direction::Debit, Purpose::Live),
            b'6' => (Direction::Debit, Purpose::Return),
            b'7' if account != AccountKind::Loan => (Direction::Debit, Purpose::Live),
            b'8' => (Direction::Debit, Purpose::Prenote),
            b'9' => (Direction::Debit, Purpose::ZeroDollar),
            _ => return None,
        };
        Self::new(account, direction, purpose)
    }

    /// The kind of account.
    pub fn account(self) -> AccountKind {
        self.account
    }

    /// The way of the money.
    pub fn direction(self) -> Direction {
        self.direction
    }

    /// What it is for.
    pub fn purpose(self) -> Purpose {
        self.purpose
    }

    /// The code with which an entry of this code is returned, or notified of a change: 21, 26, 31,
    /// 36, 41, 46, 51 or 56.
    pub fn returned(self) -> Self {
        Self { purpose: Purpose::Return, ..self }
    }
}

impl fmt::Display for TransactionCode {
    /// Two digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tens = match self.account {
            AccountKind::Checking => '2',
            AccountKind::Savings => '3',
            AccountKind::GeneralLedger => '4',
            AccountKind::Loan => '5',
        };
        let ones = match (self.direction, self.purpose) {
            (Direction::Credit, Purpose::Return) => '1',
            (Direction::Credit, Purpose::Live) => '2',
            (Direction::Credit, Purpose::Prenote) => '3',
            (Direction::Credit, Purpose::ZeroDollar) => '4',
            (Direction::Debit, Purpose::Return) => '6',
            (Direction::Debit, Purpose::Live) if self.account == AccountKind::Loan => '5',
            (Direction::Debit, Purpose::Live) => '7',
            (Direction::Debit, Purpose::Prenote) => '8',
            (Direction::Debit, Purpose::ZeroDollar) => '9',
        };
        write!(f, "{tens}{ones}")
    }
}

/// Batch header, positions 2 to 4: which directions the batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceClass {
    /// 200: debits and credits.
    Mixed,
    /// 220: credits only.
    Credits,
    /// 225: debits only.
    Debits,
}

impl ServiceClass {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "200" => Some(Self::Mixed),
            "220" => Some(Self::Credits),
            "225" => Some(Self::Debits),
            _ => None,
        }
    }

    /// The code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mixed => "200",
            Self::Credits => "220",
            Self::Debits => "225",
        }
    }

    /// Whether entries of this direction may be in the batch.
    pub fn allows(self, direction: Direction) -> bool {
        match self {
            Self::Mixed => true,
            Self::Credits => direction == Direction::Credit,
            Self::Debits => direction == Direction::Debit,
        }
    }
}

/// Batch header, positions 51 to 53: standard entry class, as far as it is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sec {
    /// Corporate credit or debit.
    Ccd,
    /// Notification of change.
    Cor,
    /// Prearranged payment and deposit: consumers, authorised in writing.
    Ppd,
    /// Consumers, authorised over the internet or by phone; credits between persons.
    Web,
}

impl Sec {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "CCD" => Some(Self::Ccd),
            "COR" => Some(Self::Cor),
            "PPD" => Some(Self::Ppd),
            "WEB" => Some(Self::Web),
            _ => None,
        }
    }

    /// The code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ccd => "CCD",
            Self::Cor => "COR",
            Self::Ppd => "PPD",
            Self::Web => "WEB",
        }
    }
}

/// Batch header, position 79: who the originator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OriginatorStatus {
    /// 1: a bank that agreed to the rules, or its customer.
    Bound,
    /// 2: a federal agency that the rules do not bind.
    FederalAgency,
}

/// The text of a batch's descriptive date (positions 64 to 69) that asks for same-day settlement at
/// a time: `SD1300`.
pub fn same_day(settle_at: Time) -> String {
    format!("SD{settle_at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_codes() {
        let mut count = 0;
        for number in 0..=99 {
            let text = format!("{number:02}");
            if let Some(code) = TransactionCode::parse(&text) {
                assert_eq!(code.to_string(), text);
                assert_eq!(code.direction() == Direction::Debit, number % 10 >= 5, "{text}");
                count += 1;
            }
        }
        assert_eq!(count, 3 * 8 + 6);
        let returned = |text| TransactionCode::parse(text).unwrap().returned().to_string();
        assert_eq!(["22", "27", "33", "38"].map(returned), ["21", "26", "31", "36"]);
        assert_eq!(same_day(Time::parse("1300").unwrap()), "SD1300");
    }
}
