//! The files of `SWITCHYARD_VECTORS` (default `../shared/vectors` beside the workspace), judged as
//! the library of moov-io judged them. Absent: a loud skip.

use std::path::{Path, PathBuf};
use std::process::Command;

use nacha::{Code, File, Totals, parse, routing};
use serde_json::Value;

mod fields;

fn vectors() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("SWITCHYARD_VECTORS")
        .map_or_else(|| workspace.join("../shared/vectors"), PathBuf::from);
    let root = if root.is_absolute() { root } else { workspace.join(root) };
    if root.join("nacha").is_dir() {
        return Some(root);
    }
    eprintln!("SKIPPED: vectors: nacha: no directory {}", root.join("nacha").display());
    None
}

/// Where the written bytes differ from upstream's on purpose; not counted as passed. Upstream drops
/// the tenth character of an origin that begins with neither a zero nor a blank; here it is kept,
/// since it is part of the file's name.
const ORIGIN_OF_TEN: &str = "moov-ach-issues/issue1378/employers_test.txt";

/// A row of `verdicts.json`, as far as it concerns a reader of four SEC codes.
enum Kind {
    Checked,
    /// The product does not know this SEC code or option yet.
    NotSupported,
}

#[test]
fn files_are_judged_as_upstream_judges_them() {
    let Some(root) = vectors() else { return };
    let folder = root.join("nacha");
    let text = std::fs::read(folder.join("expected/verdicts.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let (mut checked, mut sec, mut other) = (0, 0, 0);
    let mut faults = Vec::new();
    for row in &rows {
        let name = row["file"].as_str().unwrap();
        if row["kind"] != "nacha" {
            other += 1;
            continue;
        }
        let bytes = content(&folder.join(name));
        match judge(&folder, name, row, &bytes) {
            Ok(Kind::Checked) => checked += 1,
            Ok(Kind::NotSupported) => sec += 1,
            Err(fault) => {
                checked += 1;
                faults.push(format!("{name}: {fault}"));
            }
        }
    }
    let passed = checked - faults.len();
    println!("vectors: nacha: {checked} checked, {passed} passed");
    println!(
        "vectors: nacha: not supported yet: {sec} files of other SEC codes (refused by name), \
         {other} JSON inputs; {} rows in all",
        rows.len()
    );
    let (known, unknown): (Vec<&String>, Vec<&String>) = faults.iter().partition(|fault| {
        fault.strip_prefix(ORIGIN_OF_TEN).is_some_and(|fault| fault.starts_with(": line 1:"))
    });
    for fault in known {
        println!("vectors: nacha: differs on purpose: {fault}");
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(checked > 80, "{checked}");
}

/// The file, unpacked where it is packed.
fn content(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return std::fs::read(path).unwrap();
    }
    let output = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", path.display());
    output.stdout
}

fn judge(folder: &Path, name: &str, row: &Value, bytes: &[u8]) -> Result<Kind, String> {
    let accept = row["accept"].as_bool().unwrap();
    match parse(bytes) {
        Err(errors) => {
            let unsupported = errors.iter().any(|error| error.code == Code::UnsupportedSec);
            let only = errors.iter().all(|error| error.code == Code::UnsupportedSec);
            match (accept, unsupported, only) {
                (true, true, true) => Ok(Kind::NotSupported),
                // That upstream refuses it as well, for another reason, is not checked by this.
                (false, true, true) => Ok(Kind::NotSupported),
                (false, _, _) => Ok(Kind::Checked),
                (true, _, _) => Err(format!("refused: {errors:#?}")),
            }
        }
        Ok(_) if !accept => Err(format!("accepted; upstream: {}", row["errors"])),
        Ok(file) => {
            totals(row, &file)?;
            let path = folder.join("expected/json").join(format!("{name}.json"));
            if path.exists() {
                let expected = std::fs::read(path).unwrap();
                fields::compare(&serde_json::from_slice(&expected).unwrap(), &file)?;
            }
            canonical(folder, name, bytes, &file)?;
            Ok(Kind::Checked)
        }
    }
}

fn totals(row: &Value, file: &File) -> Result<(), String> {
    let stated = &row["summary"]["fileControl"];
    let ours = Totals::of_file(file);
    for (field, value) in [
        ("batchCount", file.batches.len() as u64),
        ("entryAddendaCount", ours.records),
        ("entryHash", ours.hash),
        ("totalDebit", ours.debit_cents),
        ("totalCredit", ours.credit_cents),
    ] {
        if stated[field].as_u64() != Some(value) {
            return Err(format!("{field}: found {value}, expected {}", stated[field]));
        }
    }
    Ok(())
}

/// What is written equals upstream's writer, which is the input where that differs in nothing.
fn canonical(folder: &Path, name: &str, bytes: &[u8], file: &File) -> Result<(), String> {
    let path = folder.join("expected/canonical").join(name);
    let expected = if path.exists() { std::fs::read(path).unwrap() } else { bytes.to_vec() };
    let written = file.write().map_err(|errors| format!("cannot be written: {errors:#?}"))?;
    if parse(&written).as_ref() != Ok(file) {
        return Err("what is written is read as another file".to_owned());
    }
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
    };
    let (expected, written) = (lines(&expected), lines(&written));
    for (number, (ours, theirs)) in (1..).zip(written.iter().zip(&expected)) {
        if ours != theirs {
            return Err(format!("line {number}:\n  found    {ours}\n  expected {theirs}"));
        }
    }
    if written.len() != expected.len() {
        return Err(format!("{} lines, expected {}", written.len(), expected.len()));
    }
    Ok(())
}

#[test]
fn reference_data() {
    let Some(root) = vectors() else { return };
    let read = |name: &str| std::fs::read_to_string(root.join("reference").join(name)).unwrap();
    let table = |name: &str| -> Vec<Value> { serde_json::from_str(&read(name)).unwrap() };
    let mut count = 0;
    for line in read("fedach-2018-routing-numbers.csv").lines().skip(1) {
        let number = line.split(',').next().unwrap();
        assert!(routing::valid(number), "{number}");
        let wrong = format!("{}{}", &number[..8], (number.as_bytes()[8] - b'0' + 1) % 10);
        assert!(!routing::valid(&wrong), "{wrong}");
        count += 1;
    }
    assert!(count > 10_000, "{count}");
    let digits: Value = serde_json::from_str(&read("aba-check-digits.json")).unwrap();
    for case in digits["cases"].as_array().unwrap() {
        let eight = case["Digits8"].as_str().unwrap();
        let check = routing::check_digit(eight).and_then(|digit| digit.to_digit(10));
        assert_eq!(check.map(u64::from), case["Check"].as_u64(), "{eight}");
    }
    let codes = |name: &str| -> Vec<String> {
        let of = |row: &Value| row["code"].as_str().unwrap().to_owned();
        table(name).iter().map(of).collect()
    };
    let returns: Vec<String> = nacha::ReturnCode::all().map(|code| code.to_string()).collect();
    assert_eq!(returns, codes("nacha-return-codes.json"));
    let changes: Vec<String> = nacha::ChangeCode::all().map(|code| code.to_string()).collect();
    assert_eq!(changes, codes("nacha-change-codes.json"));
    for row in table("nacha-transaction-codes.json") {
        let number = row["code"].as_u64().unwrap();
        let code = nacha::TransactionCode::parse(&number.to_string());
        // 81 to 88 are automated accounting advices', which no supported batch has.
        assert_eq!(code.is_some(), number < 80, "{row}");
        if let Some(code) = code {
            let debit = code.direction() == nacha::Direction::Debit;
            assert_eq!(debit, row["direction"] == "debit", "{row}");
        }
    }
    println!("vectors: {count} routing numbers, {} return codes", returns.len());
}
