//! A reader that others wrote judges what is written here: achlens (`pip install achlens`), where it
//! is found in `PATH` or by `SWITCHYARD_ACHLENS`.

use std::process::Command;

use crate::samples;

#[test]
fn achlens_reads_what_is_written() {
    let program = std::env::var_os("SWITCHYARD_ACHLENS").unwrap_or_else(|| "achlens".into());
    if Command::new(&program).arg("--help").output().is_err() {
        eprintln!("SKIPPED: nacha: no achlens to read what is written (pip install achlens)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.ach");
    std::fs::write(&file, samples::payments().write().unwrap()).unwrap();
    let output = Command::new(&program)
        .arg("validate")
        .arg(&file)
        .args(["--min-severity", "error"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    // It is no reader that says yes to everything.
    let mut bytes = samples::payments().write().unwrap();
    let amount = 2 * 95 + 38;
    bytes[amount] = if bytes[amount] == b'1' { b'2' } else { b'1' };
    std::fs::write(&file, bytes).unwrap();
    let damaged = Command::new(&program).arg("validate").arg(&file).output().unwrap();
    assert!(!damaged.status.success(), "a changed amount must be found");
    println!("achlens: what is written is valid");
}
