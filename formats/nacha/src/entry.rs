//! Record 6, the entry detail: one payment, or what came of one.

use crate::addenda::Addenda;
use crate::code::TransactionCode;
use crate::error::{Code, Error};
use crate::record::{Reader, Writer, digits};
use crate::routing::RoutingNumber;
use crate::{Amount, Trace};

pub(crate) const RECORD: &str = "entry detail";

/// Record 6 with its addenda. The addenda record indicator (position 79) follows from these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Positions 2 to 3.
    pub transaction_code: TransactionCode,
    /// Positions 4 to 12: the bank that receives the entry, with its check digit.
    pub rdfi: RoutingNumber,
    /// Positions 13 to 29: the receiver's account number there.
    pub account: String,
    /// Positions 30 to 39.
    pub amount: Amount,
    /// Positions 40 to 54: the originator's number for the receiver, or for the payment.
    pub individual_id: String,
    /// Positions 55 to 76: the receiver, a person or (CCD) a company.
    pub individual_name: String,
    /// Positions 77 to 78: the ODFI's own use; in WEB entries the payment type (`R`, `S`).
    pub discretionary: String,
    /// Records 7.
    pub addenda: Vec<Addenda>,
    /// Positions 80 to 94.
    pub trace: Trace,
}

impl Entry {
    /// Reads the record, and whether it promises addenda; `None` if it has errors.
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<(Self, bool)> {
        let transaction_code = r.value(
            "transactionCode",
            (2, 3),
            "a transaction code of the list",
            TransactionCode::parse,
        );
        let routing = r.raw(4, 12);
        let rdfi = RoutingNumber::parse(routing);
        if rdfi.is_none() {
            let code = if digits(routing).is_some() { Code::CheckDigit } else { Code::Value };
            let message = "no routing number, or its check digit is wrong";
            let error = Error::new(r.at("RDFIIdentification"), code, message).found(routing);
            let check = crate::routing::check_digit(&routing[..8]);
            r.push(match check {
                Some(check) => error.expected(format!("{}{check}", &routing[..8])),
                None => error.expected("nine digits"),
            });
        }
        let account = r.text(13, 29);
        if account.is_empty() {
            let message = "a mandatory field is blank";
            r.push(Error::new(r.at("DFIAccountNumber"), Code::Missing, message));
        }
        let amount = r.number("amount", 30, 39).and_then(Amount::new);
        let indicator = r.value("addendaRecordIndicator", (79, 79), "0 or 1", |text| match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        });
        let trace = r.value("traceNumber", (80, 94), "15 digits", Trace::parse);
        let entry = Self {
            transaction_code: transaction_code?,
            rdfi: rdfi?,
            account,
            amount: amount?,
            individual_id: r.text(40, 54),
            individual_name: r.text(55, 76),
            discretionary: r.columns(77, 78),
            addenda: Vec::new(),
            trace: trace?,
        };
        Some((entry, indicator?))
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.text("recordType", (1, 1), "6");
        w.text("transactionCode", (2, 3), &self.transaction_code.to_string());
        w.text("RDFIIdentification", (4, 12), &self.rdfi.to_string());
        w.text("DFIAccountNumber", (13, 29), &self.account);
        w.number("amount", (30, 39), self.amount.cents());
        w.text("identificationNumber", (40, 54), &self.individual_id);
        w.text("individualName", (55, 76), &self.individual_name);
        w.text("discretionaryData", (77, 78), &self.discretionary);
        let indicator = if self.addenda.is_empty() { "0" } else { "1" };
        w.text("addendaRecordIndicator", (79, 79), indicator);
        w.text("traceNumber", (80, 94), &self.trace.to_string());
    }

    /// Whether it carries a return (addenda 99) or a notification of change (98).
    pub fn is_answer(&self) -> bool {
        self.addenda.iter().any(|addenda| !matches!(addenda, Addenda::Payment { .. }))
    }
}
