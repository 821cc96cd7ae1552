//! head.001: the business application header, version 01 in TCH's wrapper and 02 in FedNow's.

use crate::check::Checker;
use crate::error::Code;
use crate::read::Reader;
use crate::tree::{Element, Namespace};
use crate::write::Writer;
use crate::{DateTime, Dialect};

/// Who sends which message to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `Fr`: member identifier of the sender; 11 characters in TCH, 9 digits in FedNow.
    pub from: String,
    /// `To`: of the receiver.
    pub to: String,
    /// `BizMsgIdr`, up to 35 characters; in TCH `B`, date, participant, and more.
    pub message_id: String,
    /// `CreDt`.
    pub created: DateTime,
    /// `CpyDplct` is `DUPL`: the same message is sent again.
    pub duplicate: bool,
}

const MEMBER: &str = "FIId/FinInstnId/ClrSysMmbId/MmbId";
const ORDER_01: &[&str] = &[
    "CharSet",
    "Fr",
    "To",
    "BizMsgIdr",
    "MsgDefIdr",
    "BizSvc",
    "CreDt",
    "CpyDplct",
    "PssblDplct",
    "Prty",
    "Sgntr",
    "Rltd",
];
const ORDER_02: &[&str] = &[
    "CharSet",
    "Fr",
    "To",
    "BizMsgIdr",
    "MsgDefIdr",
    "BizSvc",
    "MktPrctc",
    "CreDt",
    "BizPrcgDt",
    "CpyDplct",
    "PssblDplct",
    "Prty",
    "Sgntr",
    "Rltd*",
];
/// FedNow's market practice, as its published samples have it.
const REGISTRY: &str =
    "www2.swift.com/mystandards/#/group/Federal_Reserve_Financial_Services/FedNow_Service";
const PRACTICE: &str = "frb.fednow.01";

impl Header {
    /// Reads the children of `AppHdr`; in TCH's wrapper `AppHdr` itself is in TCH's namespace.
    /// `MsgDefIdr` must be there, but what the message is, its own namespace says.
    pub(crate) fn read(reader: &mut Reader, header: Part<'_, '_>) -> Option<Self> {
        let order = if header.namespace == Namespace::Head01 { ORDER_01 } else { ORDER_02 };
        header.sequence(reader, order);
        let from = header.field(reader, "Fr").and_then(|party| reader.text(party, MEMBER));
        let to = header.field(reader, "To").and_then(|party| reader.text(party, MEMBER));
        let message_id = header.text(reader, "BizMsgIdr", |text| Ok(text.to_owned()));
        header.text(reader, "MsgDefIdr", |text| {
            if text.is_empty() { Err("empty".to_owned()) } else { Ok(()) }
        });
        let created = header.text(reader, "CreDt", DateTime::parse);
        let duplicate = match header.child("CpyDplct").map(|element| element.text()) {
            None | Some("COPY" | "CODU") => Some(false),
            Some("DUPL") => Some(true),
            Some(_) => {
                header.text(reader, "CpyDplct", |_| Err::<(), _>("not COPY or DUPL".to_owned()));
                None
            }
        };
        Some(Self {
            from: from?,
            to: to?,
            message_id: message_id?,
            created: created?,
            duplicate: duplicate?,
        })
    }

    pub(crate) fn check(&self, checker: &mut Checker<'_>) {
        checker.member(&format!("Fr/{MEMBER}"), &self.from, 11);
        checker.member(&format!("To/{MEMBER}"), &self.to, 11);
        checker.message_id("BizMsgIdr", &self.message_id, "B");
        if checker.dialect == Some(Dialect::FedNow) && self.created.offset_minutes().is_none() {
            checker.fail("CreDt", Code::Value, "FedNow's times have an offset");
        }
    }

    pub(crate) fn write(&self, x: &mut Writer, definition: &str) {
        for (name, member) in [("Fr", &self.from), ("To", &self.to)] {
            x.within(name, |x| {
                x.within("FIId", |x| {
                    x.within("FinInstnId", |x| {
                        x.within("ClrSysMmbId", |x| x.leaf("MmbId", member));
                    });
                });
            });
        }
        x.leaf("BizMsgIdr", &self.message_id);
        x.leaf("MsgDefIdr", definition);
        if !x.is_tch() {
            x.within("MktPrctc", |x| {
                x.leaf("Regy", REGISTRY);
                x.leaf("Id", PRACTICE);
            });
        }
        x.leaf("CreDt", self.created.as_str());
        if self.duplicate {
            x.leaf("CpyDplct", "DUPL");
        }
    }
}

/// An element of a wrapper whose children are in another namespace than it is itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'t, 'i> {
    pub(crate) element: Element<'t, 'i>,
    pub(crate) namespace: Namespace,
}

impl<'t, 'i> Part<'t, 'i> {
    pub(crate) fn child(&self, name: &str) -> Option<Element<'t, 'i>> {
        self.element
            .children()
            .find(|child| child.name() == name && child.namespace() == self.namespace)
    }

    pub(crate) fn field(&self, reader: &mut Reader, name: &str) -> Option<Element<'t, 'i>> {
        let found = self.child(name);
        if found.is_none() {
            reader.missing(self.element, name);
        }
        found
    }

    fn text<T>(
        &self,
        reader: &mut Reader,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let element = self.field(reader, name)?;
        reader.parsed(element, parse)
    }

    pub(crate) fn sequence(&self, reader: &mut Reader, order: &[&str]) {
        reader.sequence_in(self.element, self.namespace, order);
    }
}
