//! Return reason codes: what they mean, until when an entry can be returned for them, and whether the
//! account can be used again.

use std::fmt;

/// A return reason code of the list: R01 to R53, and R90, with which a receiving bank returns an
/// entry; R61 to R70, with which the sending bank dishonors a return; R71 to R77, with which the
/// receiving bank contests that; R80 to R85 of international entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReturnCode(u8);

/// Which turn of the exchange a code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReturnKind {
    /// The receiving bank, or the operator, returns an entry.
    Return,
    /// The sending bank dishonors a return.
    Dishonored,
    /// The receiving bank contests a dishonored return.
    Contested,
}

/// Until when a code can be used: when the entry must be back at the sending bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReturnWindow {
    /// The operator refuses the entry when it processes it.
    NextFile,
    /// By the opening of the second banking day after the settlement of what is returned.
    TwoBankingDays,
    /// Dishonored returns: within five banking days after the settlement of the return.
    FiveBankingDays,
    /// By the opening of the banking day after the sixtieth calendar day after the settlement.
    SixtyDays,
    /// As the two banks agree, or the gateway decides.
    Agreed,
}

struct Row {
    code: u8,
    title: &'static str,
    description: &'static str,
    window: ReturnWindow,
    hard: bool,
}

impl ReturnCode {
    /// Reads `R01`. `None` for what is not in the list.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('R').filter(|digits| digits.len() == 2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Self::new(digits.parse().ok()?)
    }

    /// R and this number. `None` for what is not in the list.
    pub fn new(number: u8) -> Option<Self> {
        TABLE.iter().any(|row| row.code == number).then_some(Self(number))
    }

    /// Every code, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| Self(row.code))
    }

    /// The number: 1 for R01.
    pub fn number(self) -> u8 {
        self.0
    }

    fn row(self) -> &'static Row {
        let found = TABLE.iter().find(|row| row.code == self.0);
        found.expect("a code is made only of a row's number")
    }

    /// A few words.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// A sentence.
    pub fn description(self) -> &'static str {
        self.row().description
    }

    /// Until when an entry can be returned for this reason.
    pub fn window(self) -> ReturnWindow {
        self.row().window
    }

    /// Whether the account cannot be used again until somebody has cleared it: what Moov blocks a
    /// bank account for.
    pub fn is_hard(self) -> bool {
        self.row().hard
    }

    /// Which turn of the exchange it belongs to.
    pub fn kind(self) -> ReturnKind {
        match self.0 {
            61..=70 => ReturnKind::Dishonored,
            71..=77 => ReturnKind::Contested,
            _ => ReturnKind::Return,
        }
    }
}

impl fmt::Display for ReturnCode {
    /// `R01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{:02}", self.0)
    }
}

use ReturnWindow::{Agreed, FiveBankingDays, NextFile, SixtyDays, TwoBankingDays};

/// In the order of the rules.
const TABLE: [Row; 71] = [
    soft(1, TwoBankingDays, "Insufficient funds", "The account lacks the money for the debit."),
    hard(
        2,
        TwoBankingDays,
        "Account closed",
        "The account was closed by its holder or by the bank.",
    ),
    hard(
        3,
        TwoBankingDays,
        "No account, or unable to locate it",
        "The number is well-formed, but is no open account or not the named person's.",
    ),
    hard(
        4,
        TwoBankingDays,
        "Invalid account number",
        "The number is not well-formed: its length or its check digit is wrong.",
    ),
    hard(
        5,
        SixtyDays,
        "Unauthorized corporate debit to a consumer account",
        "A corporate entry debited a consumer who had not authorized it.",
    ),
    soft(6, Agreed, "Returned at the ODFI's request", "The sending bank asked for the entry back."),
    hard(
        7,
        SixtyDays,
        "Authorization revoked",
        "The consumer withdrew the authorization given to the originator.",
    ),
    hard(
        8,
        TwoBankingDays,
        "Payment stopped",
        "The receiver stopped this payment, or all of a series.",
    ),
    soft(
        9,
        TwoBankingDays,
        "Uncollected funds",
        "The balance is there, but part of it is not collected yet.",
    ),
    hard(
        10,
        SixtyDays,
        "Originator not known or not authorized",
        "The receiver does not know the originator, or has authorized nothing.",
    ),
    hard(
        11,
        SixtyDays,
        "Not in accordance with the authorization",
        "The authorization exists, but the amount, date or another term differs.",
    ),
    hard(
        12,
        TwoBankingDays,
        "Account sold to another bank",
        "The branch with the account was sold.",
    ),
    hard(13, NextFile, "Bank does not take ACH entries", "The routing number is no participant's."),
    hard(
        14,
        TwoBankingDays,
        "Representative payee deceased or incapable",
        "The one who receives for a beneficiary died or can no longer act.",
    ),
    hard(
        15,
        TwoBankingDays,
        "Beneficiary or account holder deceased",
        "The beneficiary, or the holder of the account, has died.",
    ),
    hard(
        16,
        TwoBankingDays,
        "Account frozen",
        "The bank, a court or a sanctions list bars the account.",
    ),
    hard(
        17,
        TwoBankingDays,
        "Invalid account under questionable circumstances",
        "Fields cannot be processed, or the bank suspects a fraud.",
    ),
    soft(
        18,
        NextFile,
        "Improper effective entry date",
        "The date is outside what the operator accepts.",
    ),
    soft(
        19,
        NextFile,
        "Amount field error",
        "The amount is malformed, or not zero where it must be.",
    ),
    hard(
        20,
        TwoBankingDays,
        "Non-transaction account",
        "The kind of account does not allow such entries.",
    ),
    soft(
        21,
        TwoBankingDays,
        "Invalid company identification",
        "The originator's identification is not valid.",
    ),
    soft(
        22,
        TwoBankingDays,
        "Invalid individual identification",
        "The receiver's identification is not valid.",
    ),
    hard(
        23,
        TwoBankingDays,
        "Credit refused by the receiver",
        "The receiver does not want the credit.",
    ),
    soft(24, TwoBankingDays, "Duplicate entry", "The bank has the same entry already."),
    soft(25, NextFile, "Addenda error", "The addenda records are malformed."),
    soft(26, NextFile, "Mandatory field error", "A mandatory field is missing or malformed."),
    soft(
        27,
        NextFile,
        "Trace number error",
        "The original trace number is missing, or that of an addenda differs.",
    ),
    soft(
        28,
        NextFile,
        "Routing number check digit error",
        "The check digit of the receiving bank is wrong.",
    ),
    hard(
        29,
        TwoBankingDays,
        "Corporate customer advises not authorized",
        "A company says that it has not authorized the debit.",
    ),
    soft(
        30,
        TwoBankingDays,
        "Not a participant in check truncation",
        "The bank takes no truncated checks.",
    ),
    soft(
        31,
        Agreed,
        "Permissible return",
        "The sending bank agreed to a late return of a corporate entry.",
    ),
    soft(32, TwoBankingDays, "Non-settlement", "The receiving bank cannot settle the entry."),
    soft(
        33,
        SixtyDays,
        "Return of an XCK entry",
        "The bank returns a destroyed check entry at its discretion.",
    ),
    hard(
        34,
        TwoBankingDays,
        "Limited participation",
        "A supervisor has limited what the receiving bank takes.",
    ),
    soft(35, NextFile, "Improper debit", "The SEC code or the kind of account allows no debit."),
    soft(36, NextFile, "Improper credit", "The SEC code allows no credit."),
    soft(
        37,
        SixtyDays,
        "Source document presented for payment",
        "The check behind the entry was paid as well.",
    ),
    hard(
        38,
        SixtyDays,
        "Stop payment on the source document",
        "The check behind the entry was stopped.",
    ),
    hard(
        39,
        TwoBankingDays,
        "Improper source document",
        "The check behind the entry may not become an entry, or was paid as well.",
    ),
    soft(
        40,
        TwoBankingDays,
        "Enrollment returned by the agency",
        "The federal agency refuses the enrollment.",
    ),
    soft(
        41,
        TwoBankingDays,
        "Enrollment: invalid transaction code",
        "The transaction code in the addenda is not valid.",
    ),
    soft(
        42,
        TwoBankingDays,
        "Enrollment: routing number error",
        "The routing number in the addenda is not valid.",
    ),
    soft(
        43,
        TwoBankingDays,
        "Enrollment: invalid account number",
        "The account number in the addenda is not valid.",
    ),
    soft(
        44,
        TwoBankingDays,
        "Enrollment: invalid individual identification",
        "The identification in the addenda is not the agency's.",
    ),
    soft(
        45,
        TwoBankingDays,
        "Enrollment: invalid name",
        "The name in the addenda is not the agency's.",
    ),
    soft(
        46,
        TwoBankingDays,
        "Enrollment: invalid representative payee indicator",
        "The indicator in the addenda is not the agency's.",
    ),
    soft(47, TwoBankingDays, "Duplicate enrollment", "The agency has the enrollment already."),
    soft(
        50,
        TwoBankingDays,
        "State law affecting RCK acceptance",
        "The state's law does not allow the check as an entry.",
    ),
    soft(
        51,
        SixtyDays,
        "Ineligible or improper RCK entry",
        "The check behind the entry may not become one.",
    ),
    soft(52, SixtyDays, "Stop payment on the RCK item", "The check behind the entry was stopped."),
    soft(
        53,
        SixtyDays,
        "RCK item and entry presented for payment",
        "The check behind the entry was paid as well.",
    ),
    soft(61, FiveBankingDays, "Misrouted return", "The return came to the wrong bank."),
    soft(
        62,
        FiveBankingDays,
        "Return of an erroneous or reversing debit",
        "A reversal caused a credit that was not meant, or left one in place.",
    ),
    soft(67, FiveBankingDays, "Duplicate return", "The same entry was returned twice."),
    soft(68, FiveBankingDays, "Untimely return", "The return came after its window."),
    soft(69, FiveBankingDays, "Field error", "A field of the return is wrong."),
    soft(
        70,
        FiveBankingDays,
        "Permissible return not accepted",
        "The sending bank has neither agreed to the return nor asked for it.",
    ),
    soft(
        71,
        TwoBankingDays,
        "Misrouted dishonored return",
        "The dishonored return came to the wrong bank.",
    ),
    soft(
        72,
        TwoBankingDays,
        "Untimely dishonored return",
        "The dishonored return came after its window.",
    ),
    soft(73, TwoBankingDays, "Timely original return", "The original return was in time."),
    soft(74, TwoBankingDays, "Corrected return", "The return again, its fields corrected."),
    soft(
        75,
        TwoBankingDays,
        "Return not a duplicate",
        "The original return was not the second of its entry.",
    ),
    soft(76, TwoBankingDays, "No errors found", "The original return had no wrong field."),
    soft(
        77,
        TwoBankingDays,
        "Non-acceptance of an R62 dishonored return",
        "The entry and its reversal were both returned, or the money cannot be got back.",
    ),
    soft(80, Agreed, "IAT entry coding error", "A code of the international entry is not valid."),
    soft(81, Agreed, "Non-participant in IAT", "The gateway has no agreement for such entries."),
    soft(
        82,
        Agreed,
        "Invalid foreign receiving bank",
        "The foreign bank's identification is not valid.",
    ),
    soft(
        83,
        Agreed,
        "Foreign bank unable to settle",
        "The foreign payment system could not settle.",
    ),
    soft(
        84,
        Agreed,
        "Not processed by the gateway",
        "The gateway returns the entry at its discretion.",
    ),
    soft(
        85,
        Agreed,
        "Incorrectly coded outbound international payment",
        "The payment goes abroad and needs the SEC code IAT.",
    ),
    soft(
        90,
        TwoBankingDays,
        "Returned for sanctions compliance",
        "The bank's sanctions obligations require the return.",
    ),
];

const fn soft(
    code: u8,
    window: ReturnWindow,
    title: &'static str,
    description: &'static str,
) -> Row {
    Row { code, title, description, window, hard: false }
}

const fn hard(
    code: u8,
    window: ReturnWindow,
    title: &'static str,
    description: &'static str,
) -> Row {
    Row { code, title, description, window, hard: true }
}
