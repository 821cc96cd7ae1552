//! Files that a client sends.

use nacha::routing::RoutingNumber;
use nacha::{
    Addenda, Amount, Batch, BatchHeader, Date, Entry, File, FileHeader, FileModifier,
    OriginatorStatus, Sec, ServiceClass, Time, Trace, TransactionCode,
};

fn routing(number: &str) -> RoutingNumber {
    RoutingNumber::parse(number).unwrap()
}

/// The transfer of the payment with this number, as 32 digits.
pub fn transfer(number: u32) -> String {
    format!("0123456789abcdef01234567{number:08x}")
}

/// A file of credits of these amounts.
pub fn credits(modifier: char, cents: &[u64]) -> File {
    file(modifier, "22", cents)
}

/// A file of payments of one code. Every second receiver has another bank.
pub fn file(modifier: char, code: &str, cents: &[u64]) -> File {
    let odfi = routing("021000021").dfi();
    let entries = (1..).zip(cents).map(|(number, cents)| Entry {
        transaction_code: TransactionCode::parse(code).unwrap(),
        rdfi: routing(if number % 2 == 1 { "231380104" } else { "091000019" }),
        account: format!("1234{number}"),
        amount: Amount::new(*cents).unwrap(),
        individual_id: transfer(number)[..15].to_owned(),
        individual_name: "Ada King".to_owned(),
        discretionary: String::new(),
        addenda: vec![Addenda::Payment { information: format!("transfer {}", transfer(number)) }],
        trace: Trace::new(odfi, number).unwrap(),
    });
    let header = BatchHeader {
        service_class: ServiceClass::Mixed,
        company_name: "SWITCHYARD".to_owned(),
        company_data: String::new(),
        company_id: "1123456789".to_owned(),
        sec: Sec::Ccd,
        entry_description: "TRANSFER".to_owned(),
        descriptive_date: String::new(),
        effective_date: Date::parse("261125"),
        settlement_date: String::new(),
        originator_status: OriginatorStatus::Bound,
        odfi,
        number: 1,
    };
    let batch = Batch { header, entries: entries.collect(), authentication_code: String::new() };
    File {
        header: FileHeader {
            immediate_destination: routing("011401533"),
            immediate_origin: "021000021".to_owned(),
            created: Date::parse("261124").unwrap(),
            created_time: Time::parse("1033"),
            modifier: FileModifier::new(modifier).unwrap(),
            destination_name: "SANDBOX BANK".to_owned(),
            origin_name: "SWITCHYARD".to_owned(),
            reference_code: String::new(),
        },
        batches: vec![batch],
    }
}
