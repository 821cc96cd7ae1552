//! Whatever is written is read as what it was, and its sums are those of an independent count.

use nacha::{
    Addenda, Amount, Batch, Code, Entry, File, FileModifier, Sec, ServiceClass, Time, Trace,
    TransactionCode, parse, routing::Dfi,
};
use proptest::prelude::*;

use crate::samples;

/// A text of a field: printable ASCII, blanks inside only.
fn text(length: usize) -> impl Strategy<Value = String> {
    let inside = length - 1;
    proptest::string::string_regex(&format!("[!-~]([ -~]{{0,{inside}}})")).unwrap().prop_map(
        move |mut text| {
            text.truncate(length);
            text.trim_end().to_owned()
        },
    )
}

fn maybe(length: usize) -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), text(length)]
}

/// A text with more than zeros.
fn mandatory(length: usize) -> impl Strategy<Value = String> {
    text(length).prop_map(
        |text| {
            if text.bytes().all(|byte| byte == b'0') { "X".to_owned() } else { text }
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let code = prop_oneof![Just("22"), Just("27"), Just("32"), Just("37"), Just("23"), Just("38")];
    let bank = (1_u32..100_000_000).prop_map(|number| {
        let dfi = Dfi::parse(&format!("{number:08}")).unwrap();
        dfi.routing_number().unwrap()
    });
    let money = prop_oneof![1_u64..100_000, Just(9_999_999_999)];
    (
        code,
        bank,
        money,
        maybe(17),
        maybe(15),
        mandatory(22),
        maybe(2),
        proptest::option::of(maybe(80)),
    )
        .prop_map(
            |(code, rdfi, cents, account, individual_id, name, discretionary, addenda)| {
                let prenote = code.ends_with('3') || code.ends_with('8');
                Entry {
                    transaction_code: TransactionCode::parse(code).unwrap(),
                    rdfi,
                    account: if account.is_empty() { "1".to_owned() } else { account },
                    amount: Amount::new(if prenote { 0 } else { cents }).unwrap(),
                    individual_id,
                    individual_name: name,
                    discretionary,
                    addenda: addenda
                        .map(|information| Addenda::Payment { information })
                        .into_iter()
                        .collect(),
                    // Numbered by the file.
                    trace: Trace::parse("000000000000000").unwrap(),
                }
            },
        )
}

fn file() -> impl Strategy<Value = File> {
    let sec = prop_oneof![Just(Sec::Ppd), Just(Sec::Ccd), Just(Sec::Web)];
    let batch = (
        sec,
        mandatory(16),
        maybe(20),
        mandatory(10),
        maybe(6),
        proptest::collection::vec(entry(), 1..8),
    );
    let batches = proptest::collection::vec(batch, 1..5);
    (batches, maybe(23), maybe(8), 0_u8..24, "[A-Z0-9]").prop_map(
        |(batches, name, reference_code, hour, modifier)| {
            let mut header = samples::header('A');
            header.origin_name = name;
            header.reference_code = reference_code;
            header.created_time = Time::new(hour, 59);
            header.modifier = FileModifier::new(modifier.chars().next().unwrap()).unwrap();
            let mut sequence = 0;
            let batches = (1..)
                .zip(batches)
                .map(|(number, (sec, name, data, id, descriptive, entries))| {
                    let mut header = samples::batch_header(sec, ServiceClass::Mixed, number);
                    header.company_name = name;
                    header.company_data = data;
                    header.company_id = id;
                    header.descriptive_date = descriptive;
                    let entries = entries
                        .into_iter()
                        .map(|entry| {
                            sequence += 1;
                            Entry { trace: Trace::new(header.odfi, sequence).unwrap(), ..entry }
                        })
                        .collect();
                    Batch { header, entries, authentication_code: String::new() }
                })
                .collect();
            File { header, batches }
        },
    )
}

/// Counts from the lines alone.
fn assert_sums(text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("99999")).collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    let control = lines.last().unwrap();
    let entries: Vec<&&str> = lines.iter().filter(|line| line.starts_with('6')).collect();
    let addenda = lines.iter().filter(|line| line.starts_with('7')).count() as u64;
    let cents = |debit: bool| -> u64 {
        entries
            .iter()
            .filter(|line| (line.as_bytes()[2] >= b'5') == debit)
            .map(|line| number(&line[29..39]))
            .sum()
    };
    let hash: u64 = entries.iter().map(|line| number(&line[3..11])).sum();
    assert_eq!(number(&control[13..21]), entries.len() as u64 + addenda);
    assert_eq!(number(&control[21..31]), hash % 10_000_000_000);
    assert_eq!(number(&control[31..43]), cents(true));
    assert_eq!(number(&control[43..55]), cents(false));
    assert_eq!(number(&control[7..13]) * 10, text.lines().count() as u64);
    assert!(text.lines().all(|line| line.len() == 94));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_is_read(file in file()) {
        let bytes = file.write().unwrap();
        assert_sums(std::str::from_utf8(&bytes).unwrap());
        prop_assert_eq!(parse(&bytes), Ok(file.clone()));
        prop_assert_eq!(file.write().unwrap(), bytes);
    }
}

#[test]
fn answers_are_read() {
    let file = samples::answers();
    assert_eq!(parse(&file.write().unwrap()), Ok(file));
}

#[test]
fn the_hash_keeps_ten_digits() {
    let mut file = samples::payments();
    let mut entry = samples::entry("22", 1, 1);
    entry.rdfi = Dfi::parse("99999999").unwrap().routing_number().unwrap();
    let entries = (1..=101).map(|sequence| {
        let trace = Trace::new(entry.trace.odfi(), sequence).unwrap();
        Entry { trace, ..entry.clone() }
    });
    let header = samples::batch_header(Sec::Ppd, ServiceClass::Credits, 1);
    file.batches = vec![samples::batch(header, entries.collect())];
    let text = String::from_utf8(file.write().unwrap()).unwrap();
    assert_sums(&text);
    // 101 times 99,999,999 is 10,099,999,899.
    assert!(text.contains("0099999899"));
}

#[test]
fn what_does_not_fit_is_refused_when_writing() {
    let errors = |change: &dyn Fn(&mut File)| {
        let mut file = samples::payments();
        change(&mut file);
        file.write().unwrap_err()
    };
    let long = errors(&|file| file.batches[0].header.company_name = "X".repeat(17));
    assert_eq!((long[0].line, long[0].field, long[0].code), (2, "companyName", Code::Value));
    let accent = errors(&|file| file.batches[1].entries[1].individual_name = "Zoë".to_owned());
    assert_eq!((accent[0].line, accent[0].code), (9, Code::Character), "{accent:?}");
    let blank = errors(&|file| file.batches[0].entries[0].individual_id = " 1".to_owned());
    assert_eq!((blank[0].line, blank[0].record), (3, "entry detail"), "{blank:?}");
    let number = errors(&|file| file.batches[2].header.number = 10_000_000);
    assert_eq!((number[0].field, number[0].code), ("batchNumber", Code::Value), "{number:?}");
    let none = errors(&|file| file.batches.clear());
    assert_eq!(none[0].code, Code::Structure);
    // 101 entries of the highest amount are more than the twelve digits of a sum can say.
    let sum = errors(&|file| {
        let header = file.batches[1].header.clone();
        let entries = (1..=101).map(|at| samples::entry("27", 9_999_999_999, at)).collect();
        file.batches = vec![samples::batch(header, entries)];
    });
    assert!(sum.iter().all(|error| error.field == "totalDebit"), "{sum:?}");
    assert_eq!(Amount::new(10_000_000_000), None);
    assert_eq!(Trace::new(Dfi::parse("02100002").unwrap(), 10_000_000), None);
}
