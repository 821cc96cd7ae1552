//! Records 5 and 8: a batch's header, and the control that repeats part of it.

use crate::code::{OriginatorStatus, Sec, ServiceClass};
use crate::error::{Code, Error};
use crate::record::{Reader, Writer};
use crate::routing::Dfi;
use crate::{Date, Entry, Totals};

pub(crate) const RECORD: &str = "batch header";
pub(crate) const CONTROL: &str = "batch control";

/// Highest batch number.
const NUMBER_MAX: u64 = 9_999_999;

/// A batch: entries of one originator, one purpose and one day. Its control (record 8) follows from
/// these, and is written and checked, not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Record 5.
    pub header: BatchHeader,
    /// Records 6 and 7, at least one entry; their trace numbers ascend.
    pub entries: Vec<Entry>,
    /// Positions 55 to 73 of record 8: message authentication code; blank in nearly every file.
    pub authentication_code: String,
}

/// Record 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// Positions 2 to 4.
    pub service_class: ServiceClass,
    /// Positions 5 to 20: the originator, as the receiver's statement shows it.
    pub company_name: String,
    /// Positions 21 to 40: the originator's own use.
    pub company_data: String,
    /// Positions 41 to 50: `1` and an EIN, or what the ODFI assigned.
    pub company_id: String,
    /// Positions 51 to 53.
    pub sec: Sec,
    /// Positions 54 to 63: what it is for, as the receiver's statement shows it: `PAYROLL`.
    pub entry_description: String,
    /// Positions 64 to 69: any text, or [`same_day`](crate::same_day).
    pub descriptive_date: String,
    /// Positions 70 to 75: the day on which the originator wants it to settle. A text that is no day
    /// is none, and none is written as zeros: the rules have the operator put in the next banking
    /// day then, so such a batch is not refused.
    pub effective_date: Option<Date>,
    /// Positions 76 to 78: the day of the year on which it settled, put in by the operator; blank
    /// in what an originator sends.
    pub settlement_date: String,
    /// Position 79.
    pub originator_status: OriginatorStatus,
    /// Positions 80 to 87: the bank that sends the batch; of a return, the one that returns it.
    pub odfi: Dfi,
    /// Positions 88 to 94: 1 to 9,999,999.
    pub number: u32,
}

impl BatchHeader {
    /// Reads the record; `None` if it has errors.
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let Some(sec) = Sec::parse(r.raw(51, 53)) else {
            // Nothing else is said of it: another SEC code may have another layout.
            let place = r.at("standardEntryClassCode");
            let error =
                Error::new(place, Code::UnsupportedSec, "an SEC code that is not supported");
            r.push(error.found(r.raw(51, 53)).expected("PPD, CCD, WEB or COR"));
            return None;
        };
        let service_class =
            r.value("serviceClassCode", (2, 4), "200, 220 or 225", ServiceClass::parse);
        let company_name = r.mandatory("companyName", 5, 20);
        let company_id = r.mandatory("companyIdentification", 41, 50);
        let entry_description = r.mandatory("companyEntryDescription", 54, 63);
        let originator_status =
            r.value("originatorStatusCode", (79, 79), "1 or 2", |text| match text {
                "1" => Some(OriginatorStatus::Bound),
                "2" => Some(OriginatorStatus::FederalAgency),
                _ => None,
            });
        let odfi = r.value("ODFIIdentification", (80, 87), "eight digits", Dfi::parse);
        let number = r.number("batchNumber", 88, 94);
        Some(Self {
            service_class: service_class?,
            company_name,
            company_data: r.text(21, 40),
            company_id,
            sec,
            entry_description,
            descriptive_date: r.text(64, 69),
            effective_date: Date::parse(r.raw(70, 75)),
            settlement_date: r.text(76, 78),
            originator_status: originator_status?,
            odfi: odfi?,
            number: u32::try_from(number?).expect("seven digits"),
        })
    }

    pub(crate) fn write(&self, w: &mut Writer<'_>) {
        w.text("recordType", (1, 1), "5");
        w.text("serviceClassCode", (2, 4), self.service_class.as_str());
        w.text("companyName", (5, 20), &self.company_name);
        w.text("companyDiscretionaryData", (21, 40), &self.company_data);
        w.text("companyIdentification", (41, 50), &self.company_id);
        w.text("standardEntryClassCode", (51, 53), self.sec.as_str());
        w.text("companyEntryDescription", (54, 63), &self.entry_description);
        w.text("companyDescriptiveDate", (64, 69), &self.descriptive_date);
        let effective_date = self.effective_date.map(|date| date.to_string());
        w.text("effectiveEntryDate", (70, 75), effective_date.as_deref().unwrap_or("000000"));
        w.text("settlementDate", (76, 78), &self.settlement_date);
        let status = match self.originator_status {
            OriginatorStatus::Bound => "1",
            OriginatorStatus::FederalAgency => "2",
        };
        w.text("originatorStatusCode", (79, 79), status);
        w.text("ODFIIdentification", (80, 87), &self.odfi.to_string());
        w.number("batchNumber", (88, 94), u64::from(self.number).min(NUMBER_MAX + 1));
    }
}

/// What a batch control says: sums, and what it repeats of the header.
pub(crate) struct Control {
    pub(crate) service_class: String,
    pub(crate) totals: Option<Totals>,
    pub(crate) company_id: String,
    pub(crate) authentication_code: String,
    pub(crate) odfi: String,
    pub(crate) number: Option<u64>,
}

impl Control {
    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        let count = r.number("entryAddendaCount", 5, 10);
        let hash = r.number("entryHash", 11, 20);
        let debits = r.number("totalDebit", 21, 32);
        let credits = r.number("totalCredit", 33, 44);
        let totals = (|| {
            let (records, hash) = (count?, hash?);
            Some(Totals { records, hash, debit_cents: debits?, credit_cents: credits? })
        })();
        Self {
            service_class: r.raw(2, 4).to_owned(),
            totals,
            company_id: r.text(45, 54),
            authentication_code: r.text(55, 73),
            odfi: r.raw(80, 87).to_owned(),
            number: r.number("batchNumber", 88, 94),
        }
    }

    pub(crate) fn write(w: &mut Writer<'_>, batch: &Batch, totals: &Totals) {
        let header = &batch.header;
        w.text("recordType", (1, 1), "8");
        w.text("serviceClassCode", (2, 4), header.service_class.as_str());
        w.number("entryAddendaCount", (5, 10), totals.records);
        w.number("entryHash", (11, 20), totals.hash);
        w.number("totalDebit", (21, 32), totals.debit_cents);
        w.number("totalCredit", (33, 44), totals.credit_cents);
        w.text("companyIdentification", (45, 54), &header.company_id);
        w.text("messageAuthenticationCode", (55, 73), &batch.authentication_code);
        w.text("ODFIIdentification", (80, 87), &header.odfi.to_string());
        w.number("batchNumber", (88, 94), u64::from(header.number));
    }
}
