//! Record 7, addenda: remittance data (05), notification of change (98), return (99).

use crate::error::{Code, Error};
use crate::record::{Reader, Writer};
use crate::routing::Dfi;
use crate::{ChangeCode, Correction, Date, InvalidCorrection, ReturnCode, Trace};

pub(crate) const RECORD: &str = "addenda";

/// Record 7, by its type code in positions 2 to 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addenda {
    /// 05: what the payment is about.
    Payment {
        /// Positions 4 to 83. The sequence numbers after it follow from the entry.
        information: String,
    },
    /// 98.
    Change(Change),
    /// 99.
    Return(Return),
}

/// Addenda 98: what of an entry is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Positions 4 to 6.
    pub code: ChangeCode,
    /// Positions 7 to 21: the entry that it is about.
    pub original_trace: Trace,
    /// Positions 28 to 35: the bank that received it.
    pub original_rdfi: Dfi,
    /// Positions 36 to 64, blanks at the end left out; [`correction`](Self::correction) reads it.
    pub corrected: String,
    /// Positions 80 to 94.
    pub trace: Trace,
}

impl Change {
    /// The corrected data by its code.
    pub fn correction(&self) -> Result<Correction, InvalidCorrection> {
        Correction::parse(self.code, &self.corrected)
    }
}

/// Addenda 99: a return, a dishonored return or a contested one, which [`ReturnCode::kind`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Positions 4 to 6.
    pub code: ReturnCode,
    /// Positions 7 to 21: the entry that it is about.
    pub original_trace: Trace,
    /// Positions 22 to 27, as it stands: of R14 and R15 the date of death, which
    /// [`date_of_death`](Self::date_of_death) reads; of contested returns that of the return.
    pub date: String,
    /// Positions 28 to 35: the bank that received the entry.
    pub original_rdfi: Dfi,
    /// Positions 36 to 79: free text; of dishonored and contested returns columns with a meaning, so
    /// only blanks at the end are left out.
    pub information: String,
    /// Positions 80 to 94.
    pub trace: Trace,
}

impl Addenda {
    /// Reads the record; `None` if it has errors. The entry's own number is checked by the rules.
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        match r.raw(2, 3) {
            "05" => Some(Self::Payment { information: r.columns(4, 83) }),
            "98" => Change::read(r).map(Self::Change),
            "99" => Return::read(r).map(Self::Return),
            other => {
                let message = "an addenda type that is not supported";
                let error = Error::new(r.at("typeCode"), Code::Value, message);
                r.push(error.found(other).expected("05, 98 or 99"));
                None
            }
        }
    }

    /// `number` is its place among the entry's addenda, from 1.
    pub(crate) fn write(&self, w: &mut Writer<'_>, number: u64, entry: Trace) {
        w.text("recordType", (1, 1), "7");
        match self {
            Self::Payment { information } => {
                w.text("typeCode", (2, 3), "05");
                w.text("paymentRelatedInformation", (4, 83), information);
                w.number("sequenceNumber", (84, 87), number);
                w.number("entryDetailSequenceNumber", (88, 94), u64::from(entry.sequence()));
            }
            Self::Change(change) => change.write(w),
            Self::Return(returned) => returned.write(w),
        }
    }
}

impl Change {
    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let code = r.value("changeCode", (4, 6), "a change code of the list", ChangeCode::parse);
        let original_trace = r.value("originalTrace", (7, 21), "15 digits", Trace::parse);
        let original_rdfi = r.value("originalDFI", (28, 35), "eight digits", Dfi::parse);
        let trace = r.value("traceNumber", (80, 94), "15 digits", Trace::parse);
        Some(Self {
            code: code?,
            original_trace: original_trace?,
            original_rdfi: original_rdfi?,
            corrected: r.columns(36, 64),
            trace: trace?,
        })
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.text("typeCode", (2, 3), "98");
        w.text("changeCode", (4, 6), &self.code.to_string());
        w.text("originalTrace", (7, 21), &self.original_trace.to_string());
        w.text("originalDFI", (28, 35), &self.original_rdfi.to_string());
        w.text("correctedData", (36, 64), &self.corrected);
        w.text("traceNumber", (80, 94), &self.trace.to_string());
    }
}

impl Return {
    /// When the payee, or who receives for one, died: of R14 and R15, where it is a day.
    pub fn date_of_death(&self) -> Option<Date> {
        matches!(self.code.number(), 14 | 15).then(|| Date::parse(&self.date)).flatten()
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let code = r.value("returnCode", (4, 6), "a return code of the list", ReturnCode::parse);
        let original_trace = r.value("originalTrace", (7, 21), "15 digits", Trace::parse);
        let original_rdfi = r.value("originalDFI", (28, 35), "eight digits", Dfi::parse);
        let trace = r.value("traceNumber", (80, 94), "15 digits", Trace::parse);
        Some(Self {
            code: code?,
            original_trace: original_trace?,
            date: r.text(22, 27),
            original_rdfi: original_rdfi?,
            information: r.columns(36, 79),
            trace: trace?,
        })
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.text("typeCode", (2, 3), "99");
        w.text("returnCode", (4, 6), &self.code.to_string());
        w.text("originalTrace", (7, 21), &self.original_trace.to_string());
        w.text("dateOfDeath", (22, 27), &self.date);
        w.text("originalDFI", (28, 35), &self.original_rdfi.to_string());
        w.text("addendaInformation", (36, 79), &self.information);
        w.text("traceNumber", (80, 94), &self.trace.to_string());
    }
}
