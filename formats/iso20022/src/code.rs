//! Code lists: dialects, statuses, reasons. An unknown code is kept, never guessed.

use std::fmt;

/// Whose rules a message follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// The Clearing House's RTP: `Message` wrapper, head.001.001.01, clearing system `TCH`.
    Tch,
    /// The Federal Reserve's FedNow: `FedNowIncoming` and `FedNowOutgoing`, head.001.001.02, `FDN`.
    FedNow,
}

/// What a status means for the sender's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// The payee has it; final.
    Accepted,
    /// It was not paid and will not be; final.
    Rejected,
    /// Not final; another status follows.
    Pending,
    /// The dialect does not have this code: nothing may be concluded.
    Unknown,
}

/// `TxSts`, in order of a payment's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Received.
    Rcvd,
    /// Pending: further checks and status update to come.
    Pdng,
    /// Accepted after technical validation; TCH's final acceptance.
    Actc,
    /// Accepted, settlement in process.
    Acsp,
    /// Accepted without posting: the payee's bank will post later.
    Acwp,
    /// Accepted, settlement completed; FedNow's final acceptance.
    Acsc,
    /// Rejected.
    Rjct,
    /// A code that is none of these, as it stood.
    Other(String),
}

impl Status {
    /// Reads a code; every text is some status.
    pub fn parse(code: &str) -> Self {
        match code {
            "RCVD" => Self::Rcvd,
            "PDNG" => Self::Pdng,
            "ACTC" => Self::Actc,
            "ACSP" => Self::Acsp,
            "ACWP" => Self::Acwp,
            "ACSC" => Self::Acsc,
            "RJCT" => Self::Rjct,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Rcvd => "RCVD",
            Self::Pdng => "PDNG",
            Self::Actc => "ACTC",
            Self::Acsp => "ACSP",
            Self::Acwp => "ACWP",
            Self::Acsc => "ACSC",
            Self::Rjct => "RJCT",
            Self::Other(code) => code,
        }
    }

    /// What it means to the sender. TCH: ACTC is final acceptance; ACSC, ACSP and PDNG are not in
    /// its list (schema of release 2.9). FedNow: ACSC is, and ACTC is only the other bank's word
    /// to the Federal Reserve.
    pub fn finality(&self, dialect: Dialect) -> Finality {
        match (self, dialect) {
            (Self::Actc, Dialect::Tch) | (Self::Acsc, Dialect::FedNow) => Finality::Accepted,
            (Self::Rjct, _) => Finality::Rejected,
            (Self::Rcvd | Self::Acwp, _) => Finality::Pending,
            (Self::Actc | Self::Acsp | Self::Pdng, Dialect::FedNow) => Finality::Pending,
            (Self::Acsc | Self::Acsp | Self::Pdng, Dialect::Tch) => Finality::Unknown,
            (Self::Other(_), _) => Finality::Unknown,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `StsRsnInf`: why. Codes are kept as text: the list grows with each release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `AC04`, `9910`, `NOAT`: one to four characters, or 35 where it is the network's own.
    pub code: String,
    /// Whether it stands in `Prtry` (the network's own list) and not in `Cd` (ISO's).
    pub proprietary: bool,
    /// `AddtlInf`, up to 105 characters.
    pub information: Option<String>,
}

/// Codes that code of ours refers to.
pub mod reasons {
    use super::{Dialect, Reason};

    /// Invalid cut-off time: the message came after its time window (the meaning that the EPC's
    /// instant scheme gives it; in ISO's and in TCH's list).
    pub const STALE: &str = "TM01";
    /// Not well-formed or not valid.
    pub const SYNTAX: &str = "FF02";

    /// The answer to a status request whose original never came: `RJCT` with this reason. FedNow
    /// (ISO's list): `NOOR`, no original transaction received. TCH's closed list has no code of
    /// that meaning; there it is the proprietary `NOAT` with an explanation, which has this
    /// meaning in an answer to a pacs.028 *only* (to a pacs.008 it says that the message type is
    /// not supported).
    pub fn never_arrived(dialect: Dialect) -> Reason {
        let (code, proprietary) = match dialect {
            Dialect::Tch => ("NOAT", true),
            Dialect::FedNow => ("NOOR", false),
        };
        let information = Some("The original message never arrived".to_owned());
        Reason { code: code.to_owned(), proprietary, information }
    }
}

/// `CtgyPurp`: whose payment it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// TCH `BUSINESS`, FedNow `BIZZ`.
    Business,
    /// TCH `CONSUMER`, FedNow `CONS`.
    Consumer,
    /// Any other code, as it stood.
    Other(String),
}

impl Purpose {
    pub(crate) fn parse(code: &str) -> Self {
        match code {
            "BUSINESS" | "BIZZ" => Self::Business,
            "CONSUMER" | "CONS" => Self::Consumer,
            other => Self::Other(other.to_owned()),
        }
    }

    pub(crate) fn code(&self, dialect: Option<Dialect>) -> &str {
        match (self, dialect) {
            (Self::Business, Some(Dialect::Tch)) => "BUSINESS",
            (Self::Business, _) => "BIZZ",
            (Self::Consumer, Some(Dialect::Tch)) => "CONSUMER",
            (Self::Consumer, _) => "CONS",
            (Self::Other(code), _) => code,
        }
    }
}
