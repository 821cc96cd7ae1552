//! pacs.008.001.08, customer credit transfer: pay this amount to that account.

use crate::check::Checker;
use crate::code::Purpose;
use crate::error::{Code, Error};
use crate::read::{Reader, find};
use crate::tree::Element;
use crate::write::Writer;
use crate::{Amount, Date, DateTime, Dialect, Uetr};

/// Name of the message definition.
pub const NAME: &str = "pacs.008.001.08";
pub(crate) const ROOT: &str = "FIToFICstmrCdtTrf";

/// One credit transfer. Settlement is by clearing (`CLRG`), charges `SLEV`, and the clearing
/// system, service level and local instrument are the dialect's own; none of these is a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditTransfer {
    /// `MsgId`, up to 35 characters; TCH's form is made by
    /// [`tch_message_id`](crate::id::tch_message_id).
    pub message_id: String,
    /// `CreDtTm`; FedNow demands an offset.
    pub created: DateTime,
    /// `IntrBkSttlmDt`: of the group in TCH, of the transaction in FedNow. Both demand it.
    pub settlement_date: Option<Date>,
    /// `IntrBkSttlmAmt`, and in TCH `TtlIntrBkSttlmAmt` too.
    pub amount: Amount,
    /// `InstrId`; TCH demands it, in its form.
    pub instruction_id: Option<String>,
    /// `EndToEndId`, up to 35 characters.
    pub end_to_end_id: String,
    /// `TxId`; TCH demands it.
    pub transaction_id: Option<String>,
    /// `UETR`.
    pub uetr: Option<Uetr>,
    /// `CtgyPurp`; both demand it.
    pub purpose: Option<Purpose>,
    /// `InstgAgt`: routing number of the sending participant.
    pub instructing_agent: String,
    /// `InstdAgt`: of the receiving participant.
    pub instructed_agent: String,
    /// `Dbtr`, `DbtrAcct`, `DbtrAgt`: who pays.
    pub debtor: Party,
    /// `Cdtr`, `CdtrAcct`, `CdtrAgt`: who is paid.
    pub creditor: Party,
    /// `RmtInf/Ustrd`, the first, up to 140 characters.
    pub remittance: Option<String>,
}

/// A customer, the account, and the bank that keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// `Nm`, 1 to 140 characters.
    pub name: String,
    /// `Id/Othr/Id`, 1 to 34 characters, or an IBAN. Secret: not in errors.
    pub account: String,
    /// `ClrSysMmbId/MmbId`: routing number.
    pub agent: String,
}

const GROUP: &[&str] = &[
    "MsgId",
    "CreDtTm",
    "BtchBookg",
    "NbOfTxs",
    "CtrlSum",
    "TtlIntrBkSttlmAmt",
    "IntrBkSttlmDt",
    "SttlmInf",
    "PmtTpInf",
    "InstgAgt",
    "InstdAgt",
];
const TRANSACTION: &[&str] = &[
    "PmtId",
    "PmtTpInf",
    "IntrBkSttlmAmt",
    "IntrBkSttlmDt",
    "SttlmPrty",
    "SttlmTmIndctn",
    "SttlmTmReq",
    "AccptncDtTm",
    "PoolgAdjstmntDt",
    "InstdAmt",
    "XchgRate",
    "ChrgBr",
    "ChrgsInf*",
    "PrvsInstgAgt1",
    "PrvsInstgAgt1Acct",
    "PrvsInstgAgt2",
    "PrvsInstgAgt2Acct",
    "PrvsInstgAgt3",
    "PrvsInstgAgt3Acct",
    "InstgAgt",
    "InstdAgt",
    "IntrmyAgt1",
    "IntrmyAgt1Acct",
    "IntrmyAgt2",
    "IntrmyAgt2Acct",
    "IntrmyAgt3",
    "IntrmyAgt3Acct",
    "UltmtDbtr",
    "InitgPty",
    "Dbtr",
    "DbtrAcct",
    "DbtrAgt",
    "DbtrAgtAcct",
    "CdtrAgt",
    "CdtrAgtAcct",
    "Cdtr",
    "CdtrAcct",
    "UltmtCdtr",
    "InstrForCdtrAgt*",
    "InstrForNxtAgt*",
    "Purp",
    "RgltryRptg*",
    "Tax",
    "RltdRmtInf*",
    "RmtInf",
    "SplmtryData*",
];
const PAYMENT_ID: &[&str] = &["InstrId", "EndToEndId", "TxId", "UETR", "ClrSysRef"];
const PAYMENT_TYPE: &[&str] = &["InstrPrty", "ClrChanl", "SvcLvl*", "LclInstrm", "CtgyPurp"];
const MEMBER: &str = "FinInstnId/ClrSysMmbId/MmbId";

impl CreditTransfer {
    pub(crate) fn read(reader: &mut Reader, message: Element<'_, '_>) -> Option<Self> {
        reader.sequence(message, &["GrpHdr", "CdtTrfTxInf", "SplmtryData*"]);
        reader.sequence_at(message, "GrpHdr", GROUP);
        let message_id = reader.text(message, "GrpHdr/MsgId");
        let created = reader.time(message, "GrpHdr/CreDtTm");
        reader.value(message, "GrpHdr/NbOfTxs", |text| match text.parse() {
            Ok(1_u8) => Ok(()),
            _ => Err("one transaction a message".to_owned()),
        });
        reader.element(message, "GrpHdr/SttlmInf/SttlmMtd");
        let transaction = reader.element(message, "CdtTrfTxInf")?;
        reader.sequence(transaction, TRANSACTION);
        reader.sequence_at(transaction, "PmtId", PAYMENT_ID);
        reader.sequence_at(transaction, "PmtTpInf", PAYMENT_TYPE);
        reader.element(transaction, "ChrgBr");
        let amount = reader.amount(transaction, "IntrBkSttlmAmt");
        if let Some(total) = reader.maybe_amount(message, "GrpHdr/TtlIntrBkSttlmAmt")
            && amount.is_some_and(|amount| amount != total)
        {
            let text = "TtlIntrBkSttlmAmt is not the amount of the one transaction";
            reader.push(Error::new(transaction.path(), Code::Contradiction, text));
        }
        let end_to_end_id = reader.text(transaction, "PmtId/EndToEndId");
        let instructing_agent = read_agent(reader, message, transaction, "InstgAgt");
        let instructed_agent = read_agent(reader, message, transaction, "InstdAgt");
        let debtor = Party::read(reader, transaction, ["Dbtr", "DbtrAcct", "DbtrAgt"]);
        let creditor = Party::read(reader, transaction, ["Cdtr", "CdtrAcct", "CdtrAgt"]);
        let group_date = reader.maybe_date(message, "GrpHdr/IntrBkSttlmDt");
        // What may be absent comes first: a missing field must not hide its errors.
        Some(Self {
            settlement_date: reader.maybe_date(transaction, "IntrBkSttlmDt").or(group_date),
            instruction_id: reader.maybe_text(transaction, "PmtId/InstrId"),
            transaction_id: reader.maybe_text(transaction, "PmtId/TxId"),
            uetr: reader.maybe_uetr(transaction, "PmtId/UETR"),
            purpose: read_purpose(reader, transaction),
            remittance: reader.maybe_text(transaction, "RmtInf/Ustrd"),
            message_id: message_id?,
            created: created?,
            amount: amount?,
            end_to_end_id: end_to_end_id?,
            instructing_agent: instructing_agent?,
            instructed_agent: instructed_agent?,
            debtor: debtor?,
            creditor: creditor?,
        })
    }

    pub(crate) fn check(&self, checker: &mut Checker<'_>) {
        checker.message_id("FIToFICstmrCdtTrf/GrpHdr/MsgId", &self.message_id, "M");
        let at = |path: &str| format!("FIToFICstmrCdtTrf/CdtTrfTxInf/{path}");
        checker.text(&at("PmtId/EndToEndId"), &self.end_to_end_id, 35);
        checker.maybe_text(&at("PmtId/TxId"), self.transaction_id.as_deref(), 35);
        match &self.instruction_id {
            Some(id) => checker.message_id(&at("PmtId/InstrId"), id, ""),
            None if checker.is_tch() => checker.required::<()>(&at("PmtId/InstrId"), None),
            None => {}
        }
        checker.amount(&at("IntrBkSttlmAmt"), &self.amount);
        checker.member(&at("InstgAgt/FinInstnId/ClrSysMmbId/MmbId"), &self.instructing_agent, 9);
        checker.member(&at("InstdAgt/FinInstnId/ClrSysMmbId/MmbId"), &self.instructed_agent, 9);
        self.debtor.check(checker, ["Dbtr", "DbtrAcct", "DbtrAgt"]);
        self.creditor.check(checker, ["Cdtr", "CdtrAcct", "CdtrAgt"]);
        checker.maybe_text(&at("RmtInf/Ustrd"), self.remittance.as_deref(), 140);
        self.check_dialect(checker);
    }

    fn check_dialect(&self, checker: &mut Checker<'_>) {
        let at = |path: &str| format!("FIToFICstmrCdtTrf/CdtTrfTxInf/{path}");
        let Some(dialect) = checker.dialect else { return };
        checker.required(&at("PmtTpInf/CtgyPurp"), self.purpose.as_ref());
        checker.required(&at("IntrBkSttlmDt"), self.settlement_date.as_ref());
        if dialect == Dialect::Tch {
            checker.required(&at("PmtId/TxId"), self.transaction_id.as_ref());
            if let Some(purpose) = &self.purpose {
                let path = at("PmtTpInf/CtgyPurp/Prtry");
                checker.one_of(&path, purpose.code(Some(dialect)), &["BUSINESS", "CONSUMER"]);
            }
        } else {
            if let Some(purpose) = &self.purpose {
                checker.text(&at("PmtTpInf/CtgyPurp/Prtry"), purpose.code(Some(dialect)), 35);
            }
            if self.created.offset_minutes().is_none() {
                let path = "FIToFICstmrCdtTrf/GrpHdr/CreDtTm";
                checker.fail(path, Code::Value, "FedNow's times have an offset");
            }
        }
    }

    pub(crate) fn write(&self, x: &mut Writer) {
        x.within(ROOT, |x| {
            x.within("GrpHdr", |x| self.write_group(x));
            x.within("CdtTrfTxInf", |x| self.write_transaction(x));
        });
    }

    fn write_group(&self, x: &mut Writer) {
        let tch = x.is_tch();
        x.leaf("MsgId", &self.message_id);
        x.leaf("CreDtTm", self.created.as_str());
        x.leaf("NbOfTxs", "1");
        if tch {
            x.amount("TtlIntrBkSttlmAmt", &self.amount);
            x.maybe_leaf("IntrBkSttlmDt", self.settlement_date.map(|d| d.to_string()).as_deref());
        }
        x.within("SttlmInf", |x| {
            x.leaf("SttlmMtd", "CLRG");
            x.within("ClrSys", |x| x.leaf("Cd", if tch { "TCH" } else { "FDN" }));
        });
    }

    fn write_transaction(&self, x: &mut Writer) {
        let tch = x.is_tch();
        x.within("PmtId", |x| {
            x.maybe_leaf("InstrId", self.instruction_id.as_deref());
            x.leaf("EndToEndId", &self.end_to_end_id);
            x.maybe_leaf("TxId", self.transaction_id.as_deref());
            x.maybe_leaf("UETR", self.uetr.map(|uetr| uetr.to_string()).as_deref());
            if tch {
                x.leaf("ClrSysRef", "001");
            }
        });
        x.within("PmtTpInf", |x| {
            if tch {
                x.within("SvcLvl", |x| x.leaf("Cd", "SDVA"));
            }
            x.within("LclInstrm", |x| x.leaf("Prtry", if tch { "STANDARD" } else { "FDNA" }));
            if let Some(purpose) = &self.purpose {
                let dialect = x.dialect;
                x.within("CtgyPurp", |x| x.leaf("Prtry", purpose.code(dialect)));
            }
        });
        x.amount("IntrBkSttlmAmt", &self.amount);
        if !tch {
            x.maybe_leaf("IntrBkSttlmDt", self.settlement_date.map(|d| d.to_string()).as_deref());
        }
        x.leaf("ChrgBr", "SLEV");
        x.agent("InstgAgt", &self.instructing_agent);
        x.agent("InstdAgt", &self.instructed_agent);
        x.within("Dbtr", |x| x.leaf("Nm", &self.debtor.name));
        write_account(x, "DbtrAcct", &self.debtor.account);
        x.agent("DbtrAgt", &self.debtor.agent);
        x.agent("CdtrAgt", &self.creditor.agent);
        x.within("Cdtr", |x| x.leaf("Nm", &self.creditor.name));
        write_account(x, "CdtrAcct", &self.creditor.account);
        if let Some(remittance) = &self.remittance {
            x.within("RmtInf", |x| x.leaf("Ustrd", remittance));
        }
    }
}

impl Party {
    fn read(
        reader: &mut Reader,
        transaction: Element<'_, '_>,
        [party, account, agent]: [&str; 3],
    ) -> Option<Self> {
        let name = reader.text(transaction, &format!("{party}/Nm"));
        let account = match find(transaction, &format!("{account}/Id/IBAN")) {
            Some(iban) => reader.parsed(iban, |text| Ok(text.to_owned())),
            None => reader.text(transaction, &format!("{account}/Id/Othr/Id")),
        };
        let agent = reader.text(transaction, &format!("{agent}/{MEMBER}"));
        Some(Self { name: name?, account: account?, agent: agent? })
    }

    fn check(&self, checker: &mut Checker<'_>, [party, account, agent]: [&str; 3]) {
        let at = |path: &str| format!("FIToFICstmrCdtTrf/CdtTrfTxInf/{path}");
        checker.text(&at(&format!("{party}/Nm")), &self.name, 140);
        checker.text(&at(&format!("{account}/Id/Othr/Id")), &self.account, 34);
        checker.member(&at(&format!("{agent}/{MEMBER}")), &self.agent, 9);
    }
}

/// An agent of the transaction, or of the group where ISO has it too.
fn read_agent(
    reader: &mut Reader,
    message: Element<'_, '_>,
    transaction: Element<'_, '_>,
    name: &str,
) -> Option<String> {
    let path = format!("{name}/{MEMBER}");
    let group = format!("GrpHdr/{path}");
    if find(transaction, &path).is_none() && find(message, &group).is_some() {
        return reader.text(message, &group);
    }
    reader.text(transaction, &path)
}

fn read_purpose(reader: &mut Reader, transaction: Element<'_, '_>) -> Option<Purpose> {
    reader
        .maybe_text(transaction, "PmtTpInf/CtgyPurp/Prtry")
        .or_else(|| reader.maybe_text(transaction, "PmtTpInf/CtgyPurp/Cd"))
        .map(|code| Purpose::parse(&code))
}

fn write_account(x: &mut Writer, name: &str, account: &str) {
    x.within(name, |x| {
        x.within("Id", |x| x.within("Othr", |x| x.leaf("Id", account)));
    });
}
