//! What is refused: each damage to a good file, with the line, field and code of the error.

use nacha::{
    Addenda, ChangeCode, Code, File, FileModifier, ReturnCode, ReturnKind, ReturnWindow, Sec,
    ServiceClass, parse,
};

use crate::samples;

fn lines_of(file: &File) -> Vec<String> {
    let text = String::from_utf8(file.write().unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Writes over the columns from `column` (from 1) of a line (from 1).
fn put(lines: &mut [String], line: usize, column: usize, text: &str) {
    let end = column - 1 + text.len();
    lines[line - 1].replace_range(column - 1..end, text);
}

#[test]
fn every_field_that_must_agree() {
    for (line, column, text, field, code) in [
        (1, 4, " 231380105", "immediateDestination", Code::CheckDigit),
        (1, 24, "261131", "fileCreationDate", Code::Value),
        (1, 24, "      ", "fileCreationDate", Code::Missing),
        (1, 34, "a", "fileIDModifier", Code::Value),
        (1, 35, "095", "recordSize", Code::Value),
        (1, 40, "2", "formatCode", Code::Value),
        (2, 2, "221", "serviceClassCode", Code::Value),
        (2, 5, "0000000000000000", "companyName", Code::Missing),
        (2, 51, "CTX", "standardEntryClassCode", Code::UnsupportedSec),
        (2, 79, "0", "originatorStatusCode", Code::Value),
        (2, 88, "0000009", "batchNumber", Code::Contradiction),
        (3, 2, "20", "transactionCode", Code::Value),
        (3, 2, "27", "transactionCode", Code::Contradiction),
        (3, 12, "5", "RDFIIdentification", Code::CheckDigit),
        (3, 13, "                 ", "DFIAccountNumber", Code::Missing),
        (3, 30, "00007 9901", "amount", Code::Value),
        (3, 30, "0000000000", "amount", Code::Rule),
        (3, 30, "0000779902", "totalCredit", Code::Totals),
        (3, 55, "                      ", "individualName", Code::Missing),
        (3, 79, "0", "addendaRecordIndicator", Code::Contradiction),
        (3, 80, "12345678", "traceNumber", Code::Contradiction),
        (4, 2, "10", "typeCode", Code::Value),
        (4, 84, "0002", "sequenceNumber", Code::Contradiction),
        (4, 88, "0000002", "entryDetailSequenceNumber", Code::Contradiction),
        (5, 80, "021000020000001", "traceNumber", Code::Rule),
        (6, 2, "200", "serviceClassCode", Code::Contradiction),
        (6, 5, "000004", "entryAddendaCount", Code::Totals),
        (6, 11, "0046276021", "entryHash", Code::Totals),
        (6, 45, "1123456780", "companyIdentification", Code::Contradiction),
        (6, 80, "02100003", "ODFIIdentification", Code::Contradiction),
        (7, 88, "0000001", "batchNumber", Code::Rule),
        (14, 2, "000004", "batchCount", Code::Totals),
        (14, 32, "010000005000", "totalDebit", Code::Totals),
    ] {
        let mut lines = lines_of(&samples::payments());
        put(&mut lines, line, column, text);
        let errors = parse(lines.join("\n").as_bytes()).unwrap_err();
        let found = errors.iter().find(|error| error.field == field && error.code == code);
        assert!(found.is_some(), "line {line} column {column} {text}: {errors:#?}");
    }
}

#[test]
fn one_bad_record_does_not_hide_the_rest() {
    let mut lines = lines_of(&samples::payments());
    put(&mut lines, 3, 2, "20");
    lines[4].truncate(93);
    put(&mut lines, 8, 12, "9");
    put(&mut lines, 14, 2, "000009");
    let errors = parse(lines.join("\n").as_bytes()).unwrap_err();
    let told: Vec<_> = errors.iter().map(|error| (error.line, error.field, error.code)).collect();
    assert_eq!(
        told,
        [
            (3, "transactionCode", Code::Value),
            (5, "", Code::Length),
            (8, "RDFIIdentification", Code::CheckDigit),
            (14, "batchCount", Code::Totals),
        ]
    );
    assert_eq!(errors[0].found.as_deref(), Some("20"));
    assert_eq!(errors[2].expected.as_deref(), Some("231380104"));
    assert_eq!((errors[3].found.as_deref(), errors[3].expected.as_deref()), (Some("9"), Some("3")));
}

#[test]
fn structure() {
    let good = lines_of(&samples::payments());
    let first = |lines: &[String]| {
        let errors = parse(lines.join("\n").as_bytes()).unwrap_err();
        let structure = errors.iter().find(|error| error.code == Code::Structure);
        let error = structure.unwrap_or_else(|| panic!("{errors:#?}"));
        (error.line, error.message.clone())
    };
    let without = |line: usize| {
        let mut lines = good.clone();
        lines.remove(line - 1);
        lines
    };
    assert_eq!(first(&without(1)).1, "the first record is no file header");
    assert_eq!(first(&without(2)), (2, "an entry outside a batch".to_owned()));
    assert_eq!(first(&without(6)), (2, "a batch without a control".to_owned()));
    assert_eq!(first(&without(10)), (7, "a batch without a control".to_owned()));
    assert_eq!(first(&good[..13]), (0, "the file has no file control".to_owned()));
    assert_eq!(first(&[]), (0, "the file has no file header".to_owned()));
    let mut twice = good.clone();
    twice.insert(1, good[0].clone());
    assert_eq!(first(&twice), (2, "a second file header".to_owned()));
    let mut after = good.clone();
    after.insert(14, good[1].clone());
    assert_eq!(first(&after), (15, "records after the file control".to_owned()));
    let mut loose = good.clone();
    loose.insert(2, good[3].clone());
    assert_eq!(first(&loose), (3, "addenda outside an entry".to_owned()));
    let errors = parse(&[b'x'; nacha::MAX_BYTES + 1]).unwrap_err();
    assert_eq!(errors[0].code, Code::TooLarge);
    let noise = "x\n".repeat(1_000_000);
    let errors = parse(noise.as_bytes()).unwrap_err();
    assert_eq!((errors.len(), errors[10_000].code), (10_001, Code::TooMany));
}

#[test]
fn kinds_of_entries() {
    let codes = |change: &dyn Fn(&mut File)| {
        let mut file = samples::answers();
        change(&mut file);
        file.write().unwrap_err().iter().map(|error| error.message.clone()).collect::<Vec<_>>()
    };
    let of_cor = codes(&|file| file.batches[1].entries[0].addenda.clear());
    assert!(of_cor.iter().any(|told| told.contains("one addenda 98")), "{of_cor:?}");
    let mixed = codes(&|file| file.batches[1].header.sec = Sec::Ppd);
    assert!(mixed.iter().any(|told| told.contains("for COR entries only")), "{mixed:?}");
    let code = codes(&|file| file.batches[0].entries[0].addenda.clear());
    assert!(code.iter().any(|told| told.contains("without addenda 98 or 99")), "{code:?}");
    let money = codes(&|file| {
        file.batches[1].entries[0].amount = file.batches[0].entries[0].amount;
    });
    assert!(money.iter().any(|told| told.contains("no amount")), "{money:?}");
    let class = codes(&|file| file.batches[0].header.service_class = ServiceClass::Debits);
    assert!(class.iter().any(|told| told.contains("this direction")), "{class:?}");
    let two = codes(&|file| {
        let one = Addenda::Payment { information: "1".to_owned() };
        file.batches[0].entries[0].addenda = vec![one.clone(), one];
    });
    assert!(two.iter().any(|told| told.contains("one addenda 05 at most")), "{two:?}");
}

#[test]
fn code_lists() {
    let returns: Vec<String> = ReturnCode::all().map(|code| code.to_string()).collect();
    assert_eq!((returns.len(), returns[0].as_str()), (71, "R01"));
    assert!(returns.iter().all(|code| ReturnCode::parse(code).unwrap().to_string() == *code));
    for bad in ["R00", "R48", "R97", "R1", "r01", "R+1", "C01", "R0١"] {
        assert_eq!(ReturnCode::parse(bad), None, "{bad}");
    }
    let of = |number| ReturnCode::new(number).unwrap();
    assert_eq!((of(1).window(), of(1).is_hard()), (ReturnWindow::TwoBankingDays, false));
    assert_eq!((of(10).window(), of(10).is_hard()), (ReturnWindow::SixtyDays, true));
    assert_eq!((of(68).kind(), of(73).kind()), (ReturnKind::Dishonored, ReturnKind::Contested));
    let hard: Vec<u8> =
        ReturnCode::all().filter(|code| code.is_hard()).map(|code| code.number()).collect();
    assert_eq!(hard, [2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 20, 23, 29, 34, 38, 39]);
    assert_eq!(ChangeCode::all().count(), 20);
    let modifiers: String =
        std::iter::successors(Some(FileModifier::FIRST), |modifier| modifier.next())
            .map(|modifier| modifier.to_string())
            .collect();
    assert_eq!(modifiers, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
}
