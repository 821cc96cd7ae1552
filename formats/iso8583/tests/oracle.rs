//! pyiso8583 as a second opinion: what is written here is read there with the same fields, and
//! written there with the same bytes. `PYTHON` names the interpreter (default `python3`). Where it
//! or the package is missing: a loud skip.

mod samples;

use std::io::Write;
use std::process::{Command, Stdio};

use iso8583::{Content, Format, Message, Spec, authorisation, parse, write};
use serde_json::Value;

/// Reads lines of hexadecimal digits; prints the fields of each, and what is written of them again.
const SCRIPT: &str = r#"
import copy, json, sys
import iso8583
from iso8583.specs import default_ascii
spec = copy.deepcopy(default_ascii)
for name in ("p", "1"):
    spec[name]["data_enc"] = "b"
    spec[name]["max_len"] = 8
for line in sys.stdin:
    fields, _ = iso8583.decode(bytes.fromhex(line.strip()), spec)
    again, _ = iso8583.encode(dict(fields), spec)
    print(json.dumps({"fields": fields, "hex": bytes(again).hex()}))
"#;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every field of the table once: at its full length, or for the long ones at a hundred.
fn each_field(spec: &Spec) -> Vec<Message> {
    let messages = spec.fields().map(|(number, field)| {
        let length = match field.format {
            Format::Fixed => field.length,
            Format::Llvar | Format::Lllvar => field.length.min(100),
        };
        let pattern = match field.content {
            Content::N | Content::Xn => "0123456789",
            Content::An => "Ab1 ",
            Content::Ans => "a1 ~!Z",
            Content::Z => "41=2",
            Content::Hex => "0123456789ABCDEF",
        };
        let text: String = pattern.chars().cycle().take(length).collect();
        Message::new(authorisation::REQUEST).with(number, text)
    });
    messages.collect()
}

#[test]
fn pyiso8583_reads_and_writes_the_same() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import iso8583"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no pyiso8583 for {python}: pip install pyiso8583");
        return;
    }
    let spec = Spec::ascii87();
    let messages = [samples::all(), each_field(&spec)].concat();
    let written: Vec<Vec<u8>> = messages.iter().map(|m| write(m, &spec).unwrap()).collect();
    let mut child = Command::new(&python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = written.iter().map(|bytes| hex(bytes) + "\n").collect();
    let mut input = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), messages.len());
    for ((line, message), bytes) in text.lines().zip(&messages).zip(&written) {
        let read: Value = serde_json::from_str(line).unwrap();
        assert_eq!(read["hex"], hex(bytes));
        let fields = read["fields"].as_object().unwrap();
        assert_eq!(fields["t"], message.mti.to_string());
        let data =
            fields.iter().filter(|(name, _)| !matches!(name.as_str(), "h" | "t" | "p" | "1"));
        assert_eq!(data.clone().count(), message.fields().count());
        for (name, text) in data {
            assert_eq!(message.field(name.parse().unwrap()), text.as_str(), "field {name}");
        }
        assert_eq!(parse(bytes, &spec).as_ref(), Ok(message));
    }
    println!("oracle: pyiso8583 agrees on {} messages", messages.len());
}
