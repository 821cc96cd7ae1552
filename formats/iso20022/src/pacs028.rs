//! pacs.028.001.03, payment status request: what became of that payment?

use crate::check::Checker;
use crate::original::Original;
use crate::read::Reader;
use crate::tree::Element;
use crate::write::Writer;
use crate::{Amount, Date, DateTime};

/// Name of the message definition.
pub const NAME: &str = "pacs.028.001.03";
pub(crate) const ROOT: &str = "FIToFIPmtStsReq";

/// An enquiry about one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRequest {
    /// `MsgId` of the request.
    pub message_id: String,
    /// `CreDtTm` of the request.
    pub created: DateTime,
    /// Which payment.
    pub original: Original,
    /// `AccptncDtTm` of the original as its sender has it; TCH demands it.
    pub accepted: Option<DateTime>,
    /// `InstgAgt`: routing number of the original's sender; both networks demand it.
    pub instructing_agent: Option<String>,
    /// `InstdAgt`: of its receiver; both demand it.
    pub instructed_agent: Option<String>,
    /// `OrgnlTxRef/IntrBkSttlmAmt`: the original's amount; TCH demands it.
    pub amount: Option<Amount>,
    /// `OrgnlTxRef/IntrBkSttlmDt`; TCH demands it.
    pub settlement_date: Option<Date>,
}

const TRANSACTION: &[&str] = &[
    "StsReqId",
    "OrgnlGrpInf",
    "OrgnlInstrId",
    "OrgnlEndToEndId",
    "OrgnlTxId",
    "OrgnlUETR",
    "AccptncDtTm",
    "ClrSysRef",
    "InstgAgt",
    "InstdAgt",
    "OrgnlTxRef",
    "SplmtryData*",
];
const MEMBER: &str = "FinInstnId/ClrSysMmbId/MmbId";

impl StatusRequest {
    pub(crate) fn read(reader: &mut Reader, message: Element<'_, '_>) -> Option<Self> {
        reader.sequence(message, &["GrpHdr", "OrgnlGrpInf", "TxInf", "SplmtryData*"]);
        reader.sequence_at(message, "GrpHdr", &["MsgId", "CreDtTm", "InstgAgt", "InstdAgt"]);
        let message_id = reader.text(message, "GrpHdr/MsgId");
        let created = reader.time(message, "GrpHdr/CreDtTm");
        let transaction = reader.element(message, "TxInf")?;
        reader.sequence(transaction, TRANSACTION);
        let original = Original::read(reader, message, "OrgnlGrpInf", transaction);
        Some(Self {
            accepted: reader.maybe_time(transaction, "AccptncDtTm"),
            instructing_agent: reader.maybe_text(transaction, &format!("InstgAgt/{MEMBER}")),
            instructed_agent: reader.maybe_text(transaction, &format!("InstdAgt/{MEMBER}")),
            amount: reader.maybe_amount(transaction, "OrgnlTxRef/IntrBkSttlmAmt"),
            settlement_date: reader.maybe_date(transaction, "OrgnlTxRef/IntrBkSttlmDt"),
            message_id: message_id?,
            created: created?,
            original: original?,
        })
    }

    pub(crate) fn check(&self, checker: &mut Checker<'_>) {
        checker.message_id("FIToFIPmtStsReq/GrpHdr/MsgId", &self.message_id, "M");
        let transaction = "FIToFIPmtStsReq/TxInf";
        self.original.check(checker, "FIToFIPmtStsReq/OrgnlGrpInf", transaction);
        let at = |path: &str| format!("{transaction}/{path}");
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
        if checker.is_tch() {
            checker.required(&at("OrgnlTxId"), self.original.transaction_id.as_ref());
            checker.required(&at("AccptncDtTm"), self.accepted.as_ref());
            checker.required(&at("OrgnlTxRef/IntrBkSttlmAmt"), self.amount.as_ref());
            checker.required(&at("OrgnlTxRef/IntrBkSttlmDt"), self.settlement_date.as_ref());
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
                self.original.write_group(x, "OrgnlGrpInf");
            }
            x.within("TxInf", |x| self.write_transaction(x, tch));
        });
    }

    fn write_transaction(&self, x: &mut Writer, tch: bool) {
        if !tch {
            self.original.write_group(x, "OrgnlGrpInf");
        }
        self.original.write_transaction(x, false);
        x.maybe_leaf("AccptncDtTm", self.accepted.as_ref().map(DateTime::as_str));
        for (name, agent) in
            [("InstgAgt", &self.instructing_agent), ("InstdAgt", &self.instructed_agent)]
        {
            if let Some(agent) = agent {
                x.agent(name, agent);
            }
        }
        if self.amount.is_some() || self.settlement_date.is_some() {
            x.within("OrgnlTxRef", |x| {
                if let Some(amount) = &self.amount {
                    x.amount("IntrBkSttlmAmt", amount);
                }
                x.maybe_leaf(
                    "IntrBkSttlmDt",
                    self.settlement_date.map(|d| d.to_string()).as_deref(),
                );
            });
        }
    }
}
