//! What a status report or request says of the payment that it is about.

use crate::check::Checker;
use crate::pacs008::CreditTransfer;
use crate::read::{Reader, find};
use crate::tree::Element;
use crate::write::Writer;
use crate::{DateTime, Uetr};

/// References to an original payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// `OrgnlMsgId`.
    pub message_id: String,
    /// `OrgnlMsgNmId`: `pacs.008.001.08`.
    pub message_name: String,
    /// `OrgnlCreDtTm`; TCH demands it.
    pub created: Option<DateTime>,
    /// `OrgnlInstrId`; TCH demands it.
    pub instruction_id: Option<String>,
    /// `OrgnlEndToEndId`; TCH's messages have no room for it: dropped in that dialect.
    pub end_to_end_id: Option<String>,
    /// `OrgnlTxId`; TCH demands it in a status request.
    pub transaction_id: Option<String>,
    /// `OrgnlUETR`; TCH's status request has no room for it: dropped there.
    pub uetr: Option<Uetr>,
}

const GROUP: &[&str] = &[
    "OrgnlMsgId",
    "OrgnlMsgNmId",
    "OrgnlCreDtTm",
    "OrgnlNbOfTxs",
    "OrgnlCtrlSum",
    "GrpSts",
    "StsRsnInf*",
    "NbOfTxsPerSts*",
];

impl Original {
    /// The references of a credit transfer.
    pub fn of(transfer: &CreditTransfer) -> Self {
        Self {
            message_id: transfer.message_id.clone(),
            message_name: crate::pacs008::NAME.to_owned(),
            created: Some(transfer.created.clone()),
            instruction_id: transfer.instruction_id.clone(),
            end_to_end_id: Some(transfer.end_to_end_id.clone()),
            transaction_id: transfer.transaction_id.clone(),
            uetr: transfer.uetr,
        }
    }

    /// Reads both shapes: group data in an element `group` of the message (TCH), or in
    /// `OrgnlGrpInf` of the transaction (FedNow).
    pub(crate) fn read(
        reader: &mut Reader,
        message: Element<'_, '_>,
        group: &str,
        transaction: Element<'_, '_>,
    ) -> Option<Self> {
        let inner = find(transaction, "OrgnlGrpInf");
        let group = match inner.or_else(|| find(message, group)) {
            Some(group) => group,
            None => reader.element(message, group)?,
        };
        reader.sequence(group, GROUP);
        let message_id = reader.text(group, "OrgnlMsgId");
        let message_name = reader.text(group, "OrgnlMsgNmId");
        Some(Self {
            created: reader.maybe_time(group, "OrgnlCreDtTm"),
            instruction_id: reader.maybe_text(transaction, "OrgnlInstrId"),
            end_to_end_id: reader.maybe_text(transaction, "OrgnlEndToEndId"),
            transaction_id: reader.maybe_text(transaction, "OrgnlTxId"),
            uetr: reader.maybe_uetr(transaction, "OrgnlUETR"),
            message_id: message_id?,
            message_name: message_name?,
        })
    }

    /// `group` and `transaction`: paths for the errors.
    pub(crate) fn check(&self, checker: &mut Checker<'_>, group: &str, transaction: &str) {
        let inner = format!("{transaction}/OrgnlGrpInf");
        let group = if checker.is_tch() { group } else { &inner };
        checker.text(&format!("{group}/OrgnlMsgId"), &self.message_id, 35);
        checker.text(&format!("{group}/OrgnlMsgNmId"), &self.message_name, 35);
        for (name, value) in [
            ("OrgnlInstrId", &self.instruction_id),
            ("OrgnlEndToEndId", &self.end_to_end_id),
            ("OrgnlTxId", &self.transaction_id),
        ] {
            checker.maybe_text(&format!("{transaction}/{name}"), value.as_deref(), 35);
        }
        if checker.is_tch() {
            checker.required(&format!("{group}/OrgnlCreDtTm"), self.created.as_ref());
            let path = format!("{transaction}/OrgnlInstrId");
            checker.required(&path, self.instruction_id.as_ref());
        }
    }

    /// The group element of the message `name` (TCH: with the number of transactions).
    pub(crate) fn write_group(&self, x: &mut Writer, name: &str) {
        let count = x.is_tch();
        x.within(name, |x| {
            x.leaf("OrgnlMsgId", &self.message_id);
            x.leaf("OrgnlMsgNmId", &self.message_name);
            x.maybe_leaf("OrgnlCreDtTm", self.created.as_ref().map(DateTime::as_str));
            if count {
                x.leaf("OrgnlNbOfTxs", "1");
            }
        });
    }

    /// The references within the transaction. `uetr`: whether TCH has room for it here.
    pub(crate) fn write_transaction(&self, x: &mut Writer, uetr: bool) {
        let tch = x.is_tch();
        x.maybe_leaf("OrgnlInstrId", self.instruction_id.as_deref());
        if !tch {
            x.maybe_leaf("OrgnlEndToEndId", self.end_to_end_id.as_deref());
        }
        x.maybe_leaf("OrgnlTxId", self.transaction_id.as_deref());
        if let Some(value) = self.uetr.filter(|_| uetr || !tch) {
            x.leaf("OrgnlUETR", &value.to_string());
        }
    }
}
