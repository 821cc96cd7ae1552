//! Files that the suites start from: payments, returns of them, a notification of change.

use nacha::routing::RoutingNumber;
use nacha::{
    Addenda, Amount, Batch, BatchHeader, Change, ChangeCode, Date, Entry, File, FileHeader,
    FileModifier, OriginatorStatus, Return, ReturnCode, Sec, ServiceClass, Time, Trace,
    TransactionCode,
};

pub const ODFI: &str = "021000021";
pub const RDFI: &str = "231380104";

pub fn routing(number: &str) -> RoutingNumber {
    RoutingNumber::parse(number).unwrap()
}

pub fn header(modifier: char) -> FileHeader {
    FileHeader {
        immediate_destination: routing(RDFI),
        immediate_origin: ODFI.to_owned(),
        created: Date::parse("261125").unwrap(),
        created_time: Time::parse("1730"),
        modifier: FileModifier::new(modifier).unwrap(),
        destination_name: "FEDERAL RESERVE BANK".to_owned(),
        origin_name: "SWITCHYARD BANK".to_owned(),
        reference_code: String::new(),
    }
}

pub fn batch_header(sec: Sec, service_class: ServiceClass, number: u32) -> BatchHeader {
    BatchHeader {
        service_class,
        company_name: "ACME CORPORATION".to_owned(),
        company_data: String::new(),
        company_id: "1123456789".to_owned(),
        sec,
        entry_description: "PAYROLL".to_owned(),
        descriptive_date: "SD1300".to_owned(),
        effective_date: Date::parse("261125"),
        settlement_date: String::new(),
        originator_status: OriginatorStatus::Bound,
        odfi: routing(ODFI).dfi(),
        number,
    }
}

pub fn entry(code: &str, cents: u64, sequence: u32) -> Entry {
    Entry {
        transaction_code: TransactionCode::parse(code).unwrap(),
        rdfi: routing(RDFI),
        account: "744-5678-99".to_owned(),
        amount: Amount::new(cents).unwrap(),
        individual_id: "0123456789ABCDE".to_owned(),
        individual_name: "Ada King".to_owned(),
        discretionary: String::new(),
        addenda: Vec::new(),
        trace: Trace::new(routing(ODFI).dfi(), sequence).unwrap(),
    }
}

pub fn batch(header: BatchHeader, entries: Vec<Entry>) -> Batch {
    Batch { header, entries, authentication_code: String::new() }
}

/// Credits and debits of all three SEC codes, one with addenda, one prenote.
pub fn payments() -> File {
    let mut with_addenda = entry("22", 779_901, 1);
    let information = "transfer 0123456789abcdef0123456789abcdef".to_owned();
    with_addenda.addenda.push(Addenda::Payment { information });
    let mut web = entry("27", 5_000, 5);
    web.discretionary = "S".to_owned();
    File {
        header: header('A'),
        batches: vec![
            batch(
                batch_header(Sec::Ppd, ServiceClass::Credits, 1),
                vec![with_addenda, entry("32", 1, 2)],
            ),
            batch(
                batch_header(Sec::Ccd, ServiceClass::Mixed, 2),
                vec![entry("37", 9_999_999_999, 3), entry("23", 0, 4)],
            ),
            batch(batch_header(Sec::Web, ServiceClass::Debits, 3), vec![web]),
        ],
    }
}

/// What the receiving bank sends back: a returned credit and a corrected account number.
pub fn answers() -> File {
    let original = payments().batches[0].entries[0].clone();
    let rdfi = routing(RDFI).dfi();
    let answer = |sequence, addenda| Entry {
        transaction_code: original.transaction_code.returned(),
        rdfi: routing(ODFI),
        addenda: vec![addenda],
        trace: Trace::new(rdfi, sequence).unwrap(),
        ..original.clone()
    };
    let returned = Return {
        code: ReturnCode::new(3).unwrap(),
        original_trace: original.trace,
        date: String::new(),
        original_rdfi: rdfi,
        information: String::new(),
        trace: Trace::new(rdfi, 1).unwrap(),
    };
    let change = Change {
        code: ChangeCode::new(1).unwrap(),
        original_trace: original.trace,
        original_rdfi: rdfi,
        corrected: "1918171614".to_owned(),
        trace: Trace::new(rdfi, 2).unwrap(),
    };
    let mut notice = answer(2, Addenda::Change(change));
    notice.amount = Amount::ZERO;
    let of_rdfi = |sec, number| BatchHeader {
        odfi: rdfi,
        ..batch_header(sec, ServiceClass::Credits, number)
    };
    let mut header = header('B');
    (header.immediate_destination, header.immediate_origin) = (routing(ODFI), RDFI.to_owned());
    File {
        header,
        batches: vec![
            batch(of_rdfi(Sec::Ppd, 1), vec![answer(1, Addenda::Return(returned))]),
            batch(of_rdfi(Sec::Cor, 2), vec![notice]),
        ],
    }
}
