//! One payment in the participant's books: the line of the journal, and the pacs.002 made of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use iso20022::pacs002::StatusReport;
use iso20022::pacs008::CreditTransfer;
use iso20022::{
    Amount, Date, DateTime, Dialect, Envelope, Error, Header, Message, Original, Reason, Status,
    Uetr, id,
};
use serde::{Deserialize, Serialize};

use crate::books::{Payment, State};

/// A line of `rtp-books.jsonl`. The last line of a `messageID` is what holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Booking {
    #[serde(rename = "messageID")]
    pub(super) message_id: String,
    pub(super) state: State,
    /// `TxSts` that the sender is told.
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    #[serde(rename = "uetr", skip_serializing_if = "Option::is_none")]
    pub(super) uetr: Option<String>,
    #[serde(rename = "endToEndID")]
    pub(super) end_to_end_id: String,
    #[serde(rename = "instructionID", skip_serializing_if = "Option::is_none")]
    pub(super) instruction_id: Option<String>,
    #[serde(rename = "transactionID", skip_serializing_if = "Option::is_none")]
    pub(super) transaction_id: Option<String>,
    /// `tch` or `fednow`.
    pub(super) dialect: String,
    /// The original's `CreDtTm`.
    pub(super) created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) settlement_date: Option<String>,
    pub(super) instructing_agent: String,
    pub(super) instructed_agent: String,
    /// The header's `Fr` and `To` of the original.
    pub(super) sender: String,
    pub(super) receiver: String,
    /// When it got this state, microseconds of the business clock.
    pub(super) at: i64,
    /// Hash of the original's content.
    pub(super) fingerprint: u64,
    /// Whether a later answer is still to be posted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) owed: bool,
}

impl Booking {
    /// A new payment in a state that is still to be decided.
    pub(super) fn new(transfer: &CreditTransfer, header: &Header, dialect: Dialect) -> Self {
        Self {
            message_id: transfer.message_id.clone(),
            state: State::Accepted,
            status: final_status(dialect).as_str().to_owned(),
            reason: None,
            amount: transfer.amount.minor(),
            currency: transfer.amount.currency().to_owned(),
            uetr: transfer.uetr.map(|uetr| uetr.to_string()),
            end_to_end_id: transfer.end_to_end_id.clone(),
            instruction_id: transfer.instruction_id.clone(),
            transaction_id: transfer.transaction_id.clone(),
            dialect: match dialect {
                Dialect::Tch => "tch".to_owned(),
                Dialect::FedNow => "fednow".to_owned(),
            },
            created: transfer.created.as_str().to_owned(),
            settlement_date: transfer.settlement_date.map(|date| date.to_string()),
            instructing_agent: transfer.instructing_agent.clone(),
            instructed_agent: transfer.instructed_agent.clone(),
            sender: header.from.clone(),
            receiver: header.to.clone(),
            at: 0,
            fingerprint: fingerprint(transfer),
            owed: false,
        }
    }

    /// The same, refused for `reason` (a code of ISO's list).
    pub(super) fn rejected(self, reason: &str) -> Self {
        let status = Status::Rjct.as_str().to_owned();
        Self { state: State::Rejected, status, reason: Some(reason.to_owned()), ..self }
    }

    /// The same, not final: ACWP.
    pub(super) fn pending(self) -> Self {
        let status = Status::Acwp.as_str().to_owned();
        Self { state: State::Pending, status, owed: true, ..self }
    }

    /// The same, finally accepted, and the sender not told yet.
    pub(super) fn finished(self, at: i64) -> Self {
        let status = final_status(self.dialect()).as_str().to_owned();
        Self { state: State::Accepted, status, at, owed: true, ..self }
    }

    pub(super) fn dialect(&self) -> Dialect {
        if self.dialect == "fednow" { Dialect::FedNow } else { Dialect::Tch }
    }

    pub(super) fn is_of(&self, transfer: &CreditTransfer) -> bool {
        self.message_id == transfer.message_id && self.fingerprint == fingerprint(transfer)
    }

    /// As the books show it.
    pub(super) fn payment(&self) -> Payment {
        Payment {
            rail: "rtp",
            transfer_id: id::transfer_of_end_to_end_id(&self.end_to_end_id),
            reference: self.uetr.clone().unwrap_or_else(|| self.message_id.clone()),
            amount: self.amount,
            currency: self.currency.clone(),
            direction: None,
            state: self.state,
            kind: None,
        }
    }

    /// The pacs.002 that says what the payment is now; the same bytes each time.
    pub(super) fn report(&self) -> Result<Vec<u8>, Vec<Error>> {
        let dialect = self.dialect();
        let time = DateTime::from_unix_micros(self.at);
        let reason = self.reason.clone();
        let message = StatusReport {
            message_id: String::new(),
            created: time.clone(),
            original: Original {
                message_id: self.message_id.clone(),
                message_name: iso20022::pacs008::NAME.to_owned(),
                created: DateTime::parse(&self.created).ok(),
                instruction_id: self.instruction_id.clone(),
                end_to_end_id: Some(self.end_to_end_id.clone()),
                transaction_id: self.transaction_id.clone(),
                uetr: self.uetr.as_deref().and_then(|text| Uetr::parse(text).ok()),
            },
            status: Status::parse(&self.status),
            reason: reason.map(|code| Reason { code, proprietary: false, information: None }),
            accepted: Some(time),
            instructing_agent: Some(self.instructing_agent.clone()),
            instructed_agent: Some(self.instructed_agent.clone()),
            amount: Amount::new(self.amount, &self.currency),
            settlement_date: self.settlement_date.as_deref().and_then(|d| Date::parse(d).ok()),
        };
        let parties = Parties { sender: &self.sender, receiver: &self.receiver, dialect };
        let cause = hash(&(&self.message_id, &self.status));
        parties.envelope(message, cause, self.at).write()
    }
}

/// Who asked whom, in which dialect.
pub(super) struct Parties<'a> {
    pub(super) sender: &'a str,
    pub(super) receiver: &'a str,
    pub(super) dialect: Dialect,
}

impl Parties<'_> {
    /// Wraps a report for the sender, with identifiers made from its cause.
    pub(super) fn envelope(&self, report: StatusReport, cause: u64, at: i64) -> Envelope {
        let date = Date::from_unix_micros(at);
        let serial = id::serial(cause);
        let (message_id, business_id) = match self.dialect {
            Dialect::Tch => {
                let made = |prefix| {
                    id::tch_message_id(prefix, date, self.receiver, "SBX", &serial)
                        .or_else(|| id::tch_message_id(prefix, date, "000000000S1", "SBX", &serial))
                };
                (made('M'), made('B'))
            }
            Dialect::FedNow => {
                let made = id::fednow_message_id(date, self.receiver, &serial)
                    .or_else(|| id::fednow_message_id(date, "000000000", &serial));
                (made.clone(), made)
            }
        };
        let well_formed = "the fallback's parts are constants of the right form";
        let header = Header {
            from: self.receiver.to_owned(),
            to: self.sender.to_owned(),
            message_id: business_id.expect(well_formed),
            created: report.created.clone(),
            duplicate: false,
        };
        let report = StatusReport { message_id: message_id.expect(well_formed), ..report };
        Envelope::from_network(self.dialect, header, Message::StatusReport(report))
    }
}

/// TCH's or FedNow's word for final acceptance.
fn final_status(dialect: Dialect) -> Status {
    match dialect {
        Dialect::Tch => Status::Actc,
        Dialect::FedNow => Status::Acsc,
    }
}

/// A hash that is the same in every process (fixed keys).
pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What makes two messages the same payment.
fn fingerprint(transfer: &CreditTransfer) -> u64 {
    let (debtor, creditor) = (&transfer.debtor, &transfer.creditor);
    hash(&(
        (&transfer.message_id, transfer.created.as_str(), transfer.uetr),
        (&transfer.instruction_id, &transfer.end_to_end_id, &transfer.transaction_id),
        (transfer.amount.minor(), transfer.amount.currency()),
        (&debtor.name, &debtor.account, &debtor.agent),
        (&creditor.name, &creditor.account, &creditor.agent),
        &transfer.remittance,
    ))
}
