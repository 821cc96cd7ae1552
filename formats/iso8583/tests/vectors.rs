//! The tables of `SWITCHYARD_VECTORS` (default `../shared/vectors` beside the workspace), as far as
//! ASCII dialects go. Absent: a loud skip.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use iso8583::{
    Bitmaps, Code, Content, Error, Field, Format, FrameError, Frames, Message, Mti, Place, Spec,
    parse, parse_partly, write,
};
use serde_json::Value;

fn vectors() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("SWITCHYARD_VECTORS")
        .map_or_else(|| workspace.join("../shared/vectors"), PathBuf::from);
    let root = if root.is_absolute() { root } else { workspace.join(root) };
    if root.join("iso8583").is_dir() {
        return Some(root.join("iso8583"));
    }
    eprintln!("SKIPPED: vectors: iso8583: no directory {}", root.join("iso8583").display());
    None
}

/// What came of one case: of another dialect, passed, or what is different.
type Outcome = Option<Result<(), String>>;

type Judge = fn(&Value) -> Outcome;

/// The tables of ASCII dialects. Cases of all others are counted as not supported.
const JUDGES: [(&str, Judge); 5] = [
    ("ascii87-agreed.json", agreed),
    ("jpos-images.json", image),
    ("network-headers.json", header),
    ("pyiso8583-cases.json", recorded),
    ("zemuldo.json", zemuldo),
];

#[test]
fn every_case_of_an_ascii_dialect() {
    let Some(root) = vectors() else { return };
    let mut tables: Vec<PathBuf> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    tables.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    tables.sort();
    let (mut checked, mut other, mut faults) = (0, 0, Vec::new());
    for path in tables {
        let name = path.file_name().unwrap().to_str().unwrap();
        let table: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Some(cases) = table["cases"].as_array() else { continue };
        // Tables that were held out have the name of the table that they belong to.
        let stem = name.replace(".heldout", "");
        let judge = JUDGES.iter().find(|(table, _)| *table == stem).map(|(_, judge)| judge);
        for case in cases {
            match judge.and_then(|judge| judge(case)) {
                None => other += 1,
                Some(outcome) => {
                    checked += 1;
                    if let Err(fault) = outcome {
                        faults.push(format!("{name}: {}: {fault}", case["id"]));
                    }
                }
            }
        }
    }
    println!("vectors: iso8583: {checked} checked, {} passed", checked - faults.len());
    println!("vectors: iso8583: {other} cases of other dialects, not supported yet");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 0, "tables without a case");
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// The data elements among the fields of a case.
fn fields(value: &Value) -> BTreeMap<u8, String> {
    let fields = value.as_object().unwrap().iter();
    fields
        .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
        .filter(|(number, _)| !matches!(number, 0 | 1))
        .map(|(number, value)| (number, value.as_str().unwrap().to_owned()))
        .collect()
}

fn found(message: &Message) -> BTreeMap<u8, String> {
    message.fields().map(|(number, text)| (number, text.to_owned())).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

/// Reads, compares, writes again, compares.
fn round_trip(
    bytes: &[u8],
    spec: &Spec,
    mti: &str,
    expected: &BTreeMap<u8, String>,
) -> Result<(), String> {
    let message = parse(bytes, spec).map_err(|error| error.to_string())?;
    same("message type", &message.mti.to_string().as_str(), &mti)?;
    same("fields", &found(&message), expected)?;
    let written = write(&message, spec).map_err(|error| error.to_string())?;
    same("bytes", &written.as_slice(), &bytes)
}

fn bitmaps(case: &Value) -> Bitmaps {
    match case["bitmap"].as_str() {
        Some("binary") => Bitmaps::Binary,
        _ => Bitmaps::Hex,
    }
}

fn agreed(case: &Value) -> Outcome {
    let spec = Spec::ascii87().with_bitmaps(bitmaps(case));
    let mti = case["mti"].as_str().unwrap();
    Some(round_trip(&bytes(&case["hex"]), &spec, mti, &fields(&case["fields"])))
}

/// jPOS's image of a message in its ASCII table of 1987.
fn image(case: &Value) -> Outcome {
    if case["packager"] != "iso87ascii" {
        return None;
    }
    let values = case["fields"].as_object().unwrap();
    let text = |name: &str| values[name]["value"].as_str().unwrap();
    let names = values.keys().filter_map(|name| Some((name.parse::<u8>().ok()?, name)));
    let expected = names
        .filter(|(number, _)| *number > 1)
        .map(|(number, name)| (number, text(name).to_owned()))
        .collect();
    let spec = Spec::ascii87().with_bitmaps(Bitmaps::Hex);
    Some(round_trip(&bytes(&case["hex"]), &spec, text("0"), &expected))
}

/// Length headers: the two-byte binary one is ours.
fn header(case: &Value) -> Outcome {
    if case["kind"] != "binary2-be" {
        return None;
    }
    let length = usize::try_from(case["length"].as_u64().unwrap()).unwrap();
    let mut frames = Frames::new(length);
    frames.push(&bytes(&case["hex"]));
    frames.push(&vec![b'x'; length - 1]);
    let early = same("a frame one byte short", &frames.poll(), &None);
    frames.push(b"x");
    let whole = frames.poll().and_then(Result::ok).map(|message| message.len());
    let mut narrow = Frames::new(length - 1);
    narrow.push(&bytes(&case["hex"]));
    let refused = Some(Err(FrameError::TooLarge { length, limit: length - 1 }));
    Some(
        early
            .and_then(|()| same("length", &whole, &Some(length)))
            .and_then(|()| same("over the limit", &narrow.poll(), &refused)),
    )
}

fn zemuldo(case: &Value) -> Outcome {
    let bytes = bytes(&case["hex"]);
    if case.get("error").is_some() {
        // No length header where one is expected.
        let mut frames = Frames::new(iso8583::MAX_BYTES);
        frames.push(&bytes);
        let refused = matches!(frames.poll(), Some(Err(FrameError::TooLarge { .. })));
        return Some(same("refused", &refused, &true));
    }
    let spec = Spec::ascii87().with_bitmaps(bitmaps(case));
    let mti = case["expect"]["0"].as_str().unwrap();
    let expected = fields(&case["expect"]);
    let (message, error) = parse_partly(&bytes, &spec);
    let all = message.as_ref().map(found).unwrap_or_default();
    let found_type = message.map(|message| message.mti.to_string());
    let outcome = same("message type", &found_type.as_deref(), &Some(mti));
    if expected.is_empty() {
        // One case is of this table in its message type only.
        return Some(outcome);
    }
    // The table lists some of the fields.
    let listed = all.clone().into_iter().filter(|(number, _)| expected.contains_key(number));
    Some(
        outcome
            .and_then(|()| same("error", &error, &None))
            .and_then(|()| same("fields", &listed.collect(), &expected))
            .and_then(|()| round_trip(&bytes, &spec, mti, &all)),
    )
}

/// A call of pyiso8583's tests, if its table is an ASCII one that ours can say.
fn recorded(case: &Value) -> Outcome {
    let spec = ascii_spec(&case["spec"])?;
    let refused = case.get("error").is_some();
    match (case["op"].as_str().unwrap(), refused) {
        ("decode", false) => {
            let mti = case["fields"]["t"].as_str().unwrap();
            // Types that are no numbers are none of the standard's.
            Mti::parse(mti)?;
            let message = match parse(&bytes(&case["hex"]), &spec) {
                Ok(message) => message,
                Err(error) => return Some(Err(error.to_string())),
            };
            let type_found = message.mti.to_string();
            Some(
                same("message type", &type_found.as_str(), &mti)
                    .and_then(|()| same("fields", &found(&message), &fields(&case["fields"]))),
            )
        }
        ("decode", true) => Some(refusal(case, parse_partly(&bytes(&case["hex"]), &spec))),
        (_, refused) => {
            let mti = Mti::parse(case["input"]["t"].as_str().unwrap());
            let Some(mti) = mti else {
                return Some(same("field at fault", &case["errorField"], &Value::from("t")));
            };
            let mut message = Message::new(mti);
            for (number, text) in fields(&case["input"]) {
                message.set(number, text);
            }
            let written = write(&message, &spec);
            if refused {
                return Some(refusal(case, (None, written.err())));
            }
            Some(same("bytes", &written, &Ok(bytes(&case["hex"]))))
        }
    }
}

/// Whether the error is about the field of the case, and what stands before it was read.
fn refusal(case: &Value, (message, error): (Option<Message>, Option<Error>)) -> Result<(), String> {
    let error = error.ok_or("accepted, expected an error")?;
    let field = case["errorField"].as_str().unwrap();
    let named = match (field, error.place) {
        ("t", place) => place == Place::Mti,
        (_, Place::Message) => error.code == Code::Trailing,
        ("p" | "1", place) => place == Place::Bitmap || error.code == Code::UnknownField,
        (number, place) => number.parse().ok().map(Place::Field) == Some(place),
    };
    if !named {
        return Err(format!("found {error}, expected an error of field {field}"));
    }
    let Some(message) = message else { return Ok(()) };
    let mut readable = fields(&case["fields"]);
    readable.retain(|_, text| !text.is_empty());
    same("fields before the error", &found(&message), &readable)
}

/// A table of pyiso8583 as ours: ASCII data and lengths of none, two or three digits.
fn ascii_spec(table: &Value) -> Option<Spec> {
    let number = |field: &Value, key: &str| field[key].as_u64().unwrap();
    let ascii = |field: &Value, key: &str| field[key] == "ascii";
    if number(&table["h"], "max_len") != 0 || !ascii(&table["t"], "data_enc") {
        return None;
    }
    let bitmaps = match (table["p"]["data_enc"].as_str()?, table["1"]["data_enc"].as_str()?) {
        ("ascii", "ascii") => Bitmaps::Hex,
        ("b", "b") => Bitmaps::Binary,
        _ => return None,
    };
    let mut spec = Spec::new("pyiso8583", bitmaps);
    for (name, field) in table.as_object().unwrap() {
        let Ok(index) = name.parse::<u8>() else { continue };
        let is_bitmap = index == 1;
        let format = match number(field, "len_type") {
            0 => Format::Fixed,
            2 => Format::Llvar,
            3 => Format::Lllvar,
            _ => return None,
        };
        let plain =
            ascii(field, "data_enc") && (format == Format::Fixed || ascii(field, "len_enc"));
        if !is_bitmap && !plain {
            return None;
        }
        let length = usize::try_from(number(field, "max_len")).unwrap();
        let (name, content) = ("a test's".into(), Content::Ans);
        spec = spec.with(index, Field { name, format, content, length });
    }
    Some(spec)
}
