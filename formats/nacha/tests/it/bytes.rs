//! What is written, column by column.

use nacha::{Totals, parse};

use crate::samples;

/// Puts a record together from its fields, and checks that it is as long as one.
macro_rules! record {
    ($($field:literal),+ $(,)?) => {{
        const RECORD: &str = concat!($($field),+);
        const { assert!(RECORD.len() == 94) };
        RECORD
    }};
}

#[test]
fn headers_and_entries() {
    let file = samples::payments();
    let text = String::from_utf8(file.write().unwrap()).unwrap();
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 20, "14 records, filled to two blocks");
    assert_eq!(
        lines[0],
        record!(
            "1",                       // record type
            "01",                      // priority code
            " 231380104",              // immediate destination
            " 021000021",              // immediate origin
            "261125",                  // file creation date
            "1730",                    // file creation time
            "A",                       // file id modifier
            "094",                     // record size
            "10",                      // blocking factor
            "1",                       // format code
            "FEDERAL RESERVE BANK   ", // immediate destination name
            "SWITCHYARD BANK        ", // immediate origin name
            "        ",                // reference code
        )
    );
    assert_eq!(
        lines[1],
        record!(
            "5",                    // record type
            "220",                  // service class: credits
            "ACME CORPORATION",     // company name
            "                    ", // company discretionary data
            "1123456789",           // company identification
            "PPD",                  // standard entry class
            "PAYROLL   ",           // company entry description
            "SD1300",               // company descriptive date: same day, settle at 13:00
            "261125",               // effective entry date
            "   ",                  // settlement date, the operator's
            "1",                    // originator status
            "02100002",             // ODFI
            "0000001",              // batch number
        )
    );
    assert_eq!(
        lines[2],
        record!(
            "6",                      // record type
            "22",                     // transaction code: checking credit
            "23138010",               // receiving bank
            "4",                      // its check digit
            "744-5678-99      ",      // account number
            "0000779901",             // amount: $7,799.01
            "0123456789ABCDE",        // individual identification number
            "Ada King              ", // individual name
            "  ",                     // discretionary data
            "1",                      // addenda follow
            "02100002",               // trace number: ODFI
            "0000001",                // trace number: sequence
        )
    );
}

#[test]
fn addenda_and_controls() {
    let file = samples::payments();
    let text = String::from_utf8(file.write().unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[3],
        record!(
            "7",                                                // record type
            "05",                                               // addenda type
            "transfer 0123456789abcdef0123456789abcdef       ", // payment related information
            "                                ",                 // (80 characters)
            "0001",                                             // addenda sequence
            "0000001",                                          // sequence of the entry
        )
    );
    assert_eq!(
        lines[5],
        record!(
            "8",                   // record type
            "220",                 // service class
            "000003",              // records 6 and 7
            "0046276020",          // entry hash: twice 23138010
            "000000000000",        // debits
            "000000779902",        // credits: 779,901 and 1
            "1123456789",          // company identification
            "                   ", // message authentication code
            "      ",              // reserved
            "02100002",            // ODFI
            "0000001",             // batch number
        )
    );
    assert_eq!(
        lines[13],
        record!(
            "9",                                       // record type
            "000003",                                  // batches
            "000002",                                  // blocks
            "00000006",                                // records 6 and 7
            "0115690050",                              // entry hash: five times 23138010
            "010000004999",                            // debits: 9,999,999,999 and 5,000
            "000000779902",                            // credits
            "                                       ", // reserved
        )
    );
    for filler in &lines[14..] {
        assert_eq!(*filler, "9".repeat(94));
    }
    let totals = Totals::of_file(&file);
    assert_eq!((totals.records, totals.hash), (6, 115_690_050));
}

#[test]
fn answers() {
    let text = String::from_utf8(samples::answers().write().unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(
        lines[2],
        record!(
            "6",                      // record type
            "21",                     // transaction code: returned checking credit
            "021000021",              // the bank that sent the entry
            "744-5678-99      ",      // account number, as in the entry
            "0000779901",             // amount
            "0123456789ABCDE",        // individual identification number
            "Ada King              ", // individual name
            "  ",                     // discretionary data
            "1",                      // addenda follow
            "231380100000001",        // trace number of the returning bank
        )
    );
    assert_eq!(
        lines[3],
        record!(
            "7",                                            // record type
            "99",                                           // addenda type: return
            "R03",                                          // return reason code
            "021000020000001",                              // original entry's trace number
            "      ",                                       // date of death
            "23138010",                                     // original receiving bank
            "                                            ", // addenda information
            "231380100000001",                              // trace number
        )
    );
    assert_eq!(
        lines[7],
        record!(
            "7",                             // record type
            "98",                            // addenda type: notification of change
            "C01",                           // change code
            "021000020000001",               // original entry's trace number
            "      ",                        // reserved
            "23138010",                      // original receiving bank
            "1918171614                   ", // corrected data
            "               ",               // reserved
            "231380100000002",               // trace number
        )
    );
}

#[test]
fn other_line_ends_and_lost_blanks_are_read() {
    let file = samples::payments();
    let text = String::from_utf8(file.write().unwrap()).unwrap();
    let records: Vec<&str> = text.lines().take_while(|line| !line.starts_with("99")).collect();
    for variant in [
        text.replace('\n', "\r\n"),
        text.replace('\n', ""),
        text.trim_end().to_owned(),
        text.replace('\n', "   \n"),
        text.replace('\n', "\n\n"),
        records.join("\n"),
        records.iter().map(|record| record.trim_end()).collect::<Vec<_>>().join("\n"),
    ] {
        assert_eq!(parse(variant.as_bytes()).as_ref(), Ok(&file), "{variant}");
    }
}
