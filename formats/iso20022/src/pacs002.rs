//! pacs.002.001.10, payment status report: what became of a payment.

use crate::check::Checker;
use crate::code::{Reason, Status};
use crate::original::Original;
use crate::read::{Reader, find};
use crate::tree::Element;
use crate::write::Writer;
use crate::{Amount, Date, DateTime, reasons};

/// Name of the message definition.
pub const NAME: &str = "pacs.002.001.10";
pub(crate) const ROOT: &str = "FIToFIPmtStsRpt";

/// The status of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// `MsgId` of the report.
    pub message_id: String,
    /// `CreDtTm` of the report.
    pub created: DateTime,
    /// Which payment.
    pub original: Original,
    /// `TxSts`.
    pub status: Status,
    /// `StsRsnInf`, the first; why it was rejected.
    pub reason: Option<Reason>,
    /// `AccptncDtTm`; TCH demands it, of a rejection too.
    pub accepted: Option<DateTime>,
    /// `InstgAgt`: routing number of the original's sender; both networks demand it.
    pub instructing_agent: Option<String>,
    /// `InstdAgt`: of its receiver; both demand it.
    pub instructed_agent: Option<String>,
    /// `OrgnlTxRef/IntrBkSttlmAmt`: the original's amount, to be compared.
    pub amount: Option<Amount>,
    /// `OrgnlTxRef/IntrBkSttlmDt` (TCH) or `FctvIntrBkSttlmDt` (FedNow).
    pub settlement_date: Option<Date>,
}

const TRANSACTION: &[&str] = &[
    "StsId",
    "OrgnlGrpInf",
    "OrgnlInstrId",
    "OrgnlEndToEndId",
    "OrgnlTxId",
    "OrgnlUETR",
    "TxSts",
    "StsRsnInf*",
    "ChrgsInf*",
    "AccptncDtTm",
    "FctvIntrBkSttlmDt",
    "AcctSvcrRef",
    "ClrSysRef",
    "InstgAgt",
    "InstdAgt",
    "OrgnlTxRef",
    "SplmtryData*",
];
const REASON: &[&str] = &["Orgtr", "Rsn", "AddtlInf*"];
const MEMBER: &str = "FinInstnId/ClrSysMmbId/MmbId";

/// TCH's lists (schema of release 2.9).
const TCH_STATUSES: &[&str] = &["ACTC", "ACWP", "RCVD", "RJCT"];
const TCH_REASONS: &[&str] = &[
    "AC02", "AC03", "AC04", "AC06", "AC11", "AC13", "AC14", "AG01", "AG03", "AGNT", "AM02", "AM04",
    "AM09", "AM12", "AM13", "AM14", "BE04", "BE06", "BE07", "BE10", "BE11", "BE16", "BE17", "DS0H",
    "DS24", "DT04", "DUPL", "FF02", "FF08", "MD07", "NARR", "RC01", "RC02", "RC03", "RC04", "SL03",
    "TK01", "TK02", "TK03", "TK04", "TK05", "TK06", "TK07", "TK08", "TK09", "TM01",
];
const TCH_PROPRIETARY: &[&str] = &[
    "1100", "9909", "9910", "9912", "9914", "9934", "9946", "9947", "9948", "9952", "9953", "9954",
    "9956", "9957", "9964", "NOAT",
];

impl StatusReport {
    /// Whether a report *that answers a pacs.028* says that the original never came, as
    /// [`reasons::never_arrived`] puts it. It is final only after the original's acceptance window.
    pub fn says_never_arrived(&self) -> bool {
        self.status == Status::Rjct
            && self.reason.as_ref().is_some_and(|reason| {
                [crate::Dialect::Tch, crate::Dialect::FedNow].into_iter().any(|dialect| {
                    let never = reasons::never_arrived(dialect);
                    (&never.code, never.proprietary) == (&reason.code, reason.proprietary)
                })
            })
    }

    pub(crate) fn read(reader: &mut Reader, message: Element<'_, '_>) -> Option<Self> {
        let order = &["GrpHdr", "OrgnlGrpInfAndSts", "TxInfAndSts", "SplmtryData*"];
        reader.sequence(message, order);
        reader.sequence_at(message, "GrpHdr", &["MsgId", "CreDtTm", "InstgAgt", "InstdAgt"]);
        let message_id = reader.text(message, "GrpHdr/MsgId");
        let created = reader.time(message, "GrpHdr/CreDtTm");
        let transaction = reader.element(message, "TxInfAndSts")?;
        reader.sequence(transaction, TRANSACTION);
        let original = Original::read(reader, message, "OrgnlGrpInfAndSts", transaction);
        let status = reader.text(transaction, "TxSts").map(|code| Status::parse(&code));
        let date = reader.maybe_date(transaction, "OrgnlTxRef/IntrBkSttlmDt");
        let reason =
            find(transaction, "StsRsnInf").and_then(|element| read_reason(reader, element));
        Some(Self {
            reason,
            accepted: reader.maybe_time(transaction, "AccptncDtTm"),
            instructing_agent: reader.maybe_text(transaction, &format!("InstgAgt/{MEMBER}")),
            instructed_agent: reader.maybe_text(transaction, &format!("InstdAgt/{MEMBER}")),
            amount: reader.maybe_amount(transaction, "OrgnlTxRef/IntrBkSttlmAmt"),
            settlement_date: date.or(reader.maybe_date(transaction, "FctvIntrBkSttlmDt/Dt")),
            message_id: message_id?,
            created: created?,
            original: original?,
            status: status?,
        })
    }

    pub(crate) fn check(&self, checker: &mut Checker<'_>) {
        checker.message_id("FIToFIPmtStsRpt/GrpHdr/MsgId", &self.message_id, "M");
        let transaction = "FIToFIPmtStsRpt/TxInfAndSts";
        self.original.check(checker, "FIToFIPmtStsRpt/OrgnlGrpInfAndSts", transaction);
        let at = |path: &str| format!("{transaction}/{path}");
        checker.text(&at("TxSts"), self.status.as_str(), 4);
        if checker.is_tch() {
            checker.one_of(&at("TxSts"), self.status.as_str(), TCH_STATUSES);
            checker.required(&at("AccptncDtTm"), self.accepted.as_ref());
        }
        if let Some(reason) = &self.reason {
            let length = if reason.proprietary { 35 } else { 4 };
            checker.text(&at("StsRsnInf/Rsn"), &reason.code, length);
            checker.maybe_text(&at("StsRsnInf/AddtlInf"), reason.information.as_deref(), 105);
            if checker.is_tch() {
                let list = if reason.proprietary { TCH_PROPRIETARY } else { TCH_REASONS };
                checker.one_of(&at("StsRsnInf/Rsn"), &reason.code, list);
            }
        }
        for (name, agent) in
            [("InstgAgt", &self.instructing_agent), ("InstdAgt", &self.instructed_agent)]
        {
            let path = at(&format!("{name}/{MEMBER}"));
            match agent {
                Some(agent) => checker.member(&path, agent, 9),
                None if checker.dialect.is_some() => checker.required::<()>(&path, None),
                None => {}
            }
        }
        if let Some(amount) = &self.amount {
            checker.amount(&at("OrgnlTxRef/IntrBkSttlmAmt"), amount);
        }
    }

    pub(crate) fn write(&self, x: &mut Writer) {
        let tch = x.is_tch();
        x.within(ROOT, |x| {
            x.within("GrpHdr", |x| {
                x.leaf("MsgId", &self.message_id);
                x.leaf("CreDtTm", self.created.as_str());
            });
            if tch {
                self.original.write_group(x, "OrgnlGrpInfAndSts");
            }
            x.within("TxInfAndSts", |x| self.write_transaction(x, tch));
        });
    }

    fn write_transaction(&self, x: &mut Writer, tch: bool) {
        if !tch {
            self.original.write_group(x, "OrgnlGrpInf");
        }
        self.original.write_transaction(x, true);
        x.leaf("TxSts", self.status.as_str());
        if let Some(reason) = &self.reason {
            x.within("StsRsnInf", |x| {
                let element = if reason.proprietary { "Prtry" } else { "Cd" };
                x.within("Rsn", |x| x.leaf(element, &reason.code));
                x.maybe_leaf("AddtlInf", reason.information.as_deref());
            });
        }
        x.maybe_leaf("AccptncDtTm", self.accepted.as_ref().map(DateTime::as_str));
        let date = self.settlement_date.map(|date| date.to_string());
        if let Some(date) = date.as_deref().filter(|_| !tch) {
            x.within("FctvIntrBkSttlmDt", |x| x.leaf("Dt", date));
        }
        if tch {
            x.leaf("ClrSysRef", "001");
        }
        for (name, agent) in
            [("InstgAgt", &self.instructing_agent), ("InstdAgt", &self.instructed_agent)]
        {
            if let Some(agent) = agent {
                x.agent(name, agent);
            }
        }
        if self.amount.is_some() || (tch && date.is_some()) {
            x.within("OrgnlTxRef", |x| {
                if let Some(amount) = &self.amount {
                    x.amount("IntrBkSttlmAmt", amount);
                }
                x.maybe_leaf("IntrBkSttlmDt", date.as_deref().filter(|_| tch));
            });
        }
    }
}

fn read_reason(reader: &mut Reader, element: Element<'_, '_>) -> Option<Reason> {
    reader.sequence(element, REASON);
    let information = reader.maybe_text(element, "AddtlInf");
    let proprietary = find(element, "Rsn/Prtry").is_some();
    // TCH's schema allows a narrative without a code.
    if find(element, "Rsn").is_none() {
        return Some(Reason { code: "NARR".to_owned(), proprietary, information });
    }
    let path = if proprietary { "Rsn/Prtry" } else { "Rsn/Cd" };
    reader.text(element, path).map(|code| Reason { code, proprietary, information })
}
