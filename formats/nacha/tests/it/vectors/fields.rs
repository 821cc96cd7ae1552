//! The fields of a file beside the JSON that moov-io's library made of the same bytes.

use nacha::{Addenda, Entry, File};
use serde_json::Value;

/// The first field that differs.
pub fn compare(expected: &Value, file: &File) -> Result<(), String> {
    let header = &expected["fileHeader"];
    let time = file.header.created_time.map(|time| time.to_string()).unwrap_or_default();
    same("immediateDestination", header, &file.header.immediate_destination.to_string())?;
    same("immediateOrigin", header, &file.header.immediate_origin)?;
    same("fileCreationDate", header, &file.header.created.to_string())?;
    same("fileCreationTime", header, &time)?;
    same("fileIDModifier", header, &file.header.modifier.to_string())?;
    same("immediateDestinationName", header, &file.header.destination_name)?;
    same("immediateOriginName", header, &file.header.origin_name)?;
    same("referenceCode", header, &file.header.reference_code)?;
    let batches = expected["batches"].as_array().ok_or("no batches")?;
    if batches.len() != file.batches.len() {
        return Err(format!("{} batches, expected {}", file.batches.len(), batches.len()));
    }
    for (expected, batch) in batches.iter().zip(&file.batches) {
        let (header, ours) = (&expected["batchHeader"], &batch.header);
        same("serviceClassCode", header, ours.service_class.as_str())?;
        same("companyName", header, &ours.company_name)?;
        same("companyDiscretionaryData", header, &ours.company_data)?;
        same("companyIdentification", header, &ours.company_id)?;
        same("standardEntryClassCode", header, ours.sec.as_str())?;
        same("companyEntryDescription", header, &ours.entry_description)?;
        same("companyDescriptiveDate", header, &ours.descriptive_date)?;
        // Upstream's JSON may keep zeros; both say that there is no day.
        let date = ours.effective_date.map(|date| date.to_string()).unwrap_or_default();
        if header["effectiveEntryDate"] != "000000" {
            same("effectiveEntryDate", header, &date)?;
        }
        same("settlementDate", header, &ours.settlement_date)?;
        same("ODFIIdentification", header, &ours.odfi.to_string())?;
        same("batchNumber", header, &ours.number.to_string())?;
        let entries = expected["entryDetails"].as_array().ok_or("no entries")?;
        if entries.len() != batch.entries.len() {
            return Err(format!("{} entries, expected {}", batch.entries.len(), entries.len()));
        }
        for (expected, entry) in entries.iter().zip(&batch.entries) {
            compare_entry(expected, entry)?;
        }
    }
    Ok(())
}

fn compare_entry(expected: &Value, entry: &Entry) -> Result<(), String> {
    let routing = entry.rdfi.to_string();
    same("transactionCode", expected, &entry.transaction_code.to_string())?;
    same("RDFIIdentification", expected, &routing[..8])?;
    same("checkDigit", expected, &routing[8..])?;
    same("DFIAccountNumber", expected, &entry.account)?;
    same("amount", expected, &entry.amount.cents().to_string())?;
    same("identificationNumber", expected, &entry.individual_id)?;
    same("individualName", expected, &entry.individual_name)?;
    same("discretionaryData", expected, &entry.discretionary)?;
    same("traceNumber", expected, &entry.trace.to_string())?;
    let payments = expected["addenda05"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let ours = entry.addenda.iter().filter(|addenda| matches!(addenda, Addenda::Payment { .. }));
    for (expected, addenda) in payments.zip(ours) {
        let Addenda::Payment { information } = addenda else { continue };
        same("paymentRelatedInformation", expected, information)?;
    }
    for addenda in &entry.addenda {
        match addenda {
            Addenda::Payment { .. } => {}
            Addenda::Change(change) => {
                let expected = &expected["addenda98"];
                same("changeCode", expected, &change.code.to_string())?;
                same("originalTrace", expected, &change.original_trace.to_string())?;
                same("originalDFI", expected, &change.original_rdfi.to_string())?;
                same("correctedData", expected, &change.corrected)?;
                same("traceNumber", expected, &change.trace.to_string())?;
            }
            Addenda::Return(returned) => {
                let at = match returned.code.kind() {
                    nacha::ReturnKind::Return => "addenda99",
                    nacha::ReturnKind::Dishonored => "addenda99Dishonored",
                    nacha::ReturnKind::Contested => "addenda99Contested",
                };
                let expected = &expected[at];
                if at == "addenda99" {
                    same("returnCode", expected, &returned.code.to_string())?;
                    same("originalTrace", expected, &returned.original_trace.to_string())?;
                    same("originalDFI", expected, &returned.original_rdfi.to_string())?;
                    same("addendaInformation", expected, &returned.information)?;
                } else if expected.is_null() {
                    return Err(format!("no {at} expected"));
                }
            }
        }
    }
    Ok(())
}

/// A field is a text or a number, and absent where it is blank.
fn same(field: &str, object: &Value, ours: &str) -> Result<(), String> {
    let theirs = match &object[field] {
        Value::String(text) => text.trim_end().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    if theirs == ours {
        return Ok(());
    }
    Err(format!("{field}: found {ours:?}, expected {theirs:?}"))
}
