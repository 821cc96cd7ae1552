//! Contracts by snapshot: the schema of every event is committed, and may only grow.

use std::{collections::BTreeSet, path::PathBuf};

use contracts::{
    Event,
    accounts::{AccountCreated, CapabilityUpdated},
    ids::{AccountId, from_parts, row_of, tail_of},
    registry::EVENTS,
};
use proptest::prelude::*;
use serde_json::Value;

fn committed(name: &str, version: u16) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.v{version}.json"))
}

/// What a reader of `old` would miss in `new`: a field gone, of another type, or newly demanded.
fn breaks(old: &Value, new: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let fields = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
    let (before, after) = (fields(old), fields(new));
    for (name, schema) in &before {
        match after.get(name) {
            None => found.push(format!("{at}{name} is gone")),
            Some(now) => {
                if schema["type"] != now["type"] || schema["$ref"] != now["$ref"] {
                    found.push(format!("{at}{name} has another type"));
                }
                found.extend(breaks(schema, now, &format!("{at}{name}.")));
            }
        }
    }
    let required = |schema: &Value| -> BTreeSet<String> {
        let names = schema["required"].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    for name in required(new).difference(&required(old)) {
        found.push(format!("{at}{name} is newly demanded"));
    }
    for (kind, schema) in old["$defs"].as_object().into_iter().flatten() {
        found.extend(breaks(schema, &new["$defs"][kind], &format!("{at}{kind}.")));
    }
    found
}

/// The same value with the names of its objects in the alphabet's order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> =
                fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[test]
fn schemas_are_those_committed_and_only_grow() {
    let update = std::env::var_os("SWITCHYARD_UPDATE").is_some();
    for entry in &EVENTS {
        let path = committed(entry.name, entry.version);
        let new = (entry.schema)();
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        if !old.is_empty() {
            let broken = breaks(&serde_json::from_str(&old).unwrap(), &new, "");
            assert!(broken.is_empty(), "{}: {broken:?}: raise its version", entry.name);
        }
        if update {
            let text = format!("{}\n", serde_json::to_string_pretty(&sorted(&new)).unwrap());
            std::fs::write(&path, &text).unwrap();
            continue;
        }
        // As values: another crate of the build may make JSON objects keep the order of insertion.
        let old: Value = serde_json::from_str(&old).unwrap_or_default();
        assert_eq!(old, new, "{path:?}: run this test with SWITCHYARD_UPDATE=1 and commit it");
    }
}

#[test]
fn a_change_that_is_no_addition_is_found() {
    let entry = EVENTS.iter().find(|entry| entry.name == "transfer.created").unwrap();
    let old = (entry.schema)();
    let mut gone = old.clone();
    gone["properties"].as_object_mut().unwrap().remove("amount");
    assert_eq!(breaks(&old, &gone, ""), ["amount is gone"]);
    let mut other = old.clone();
    other["$defs"]["Amount"]["properties"]["value"]["type"] = "string".into();
    assert_eq!(breaks(&old, &other, ""), ["Amount.value has another type"]);
    let mut demanded = old.clone();
    demanded["required"].as_array_mut().unwrap().push("memo".into());
    assert_eq!(breaks(&old, &demanded, ""), ["memo is newly demanded"]);
    let mut grown = old.clone();
    grown["properties"]["memo"] = serde_json::json!({ "type": "string" });
    assert!(breaks(&old, &grown, "").is_empty());
}

#[test]
fn names_and_numbers_are_used_once() {
    let names: BTreeSet<_> = EVENTS.iter().map(|entry| entry.name).collect();
    let kinds: BTreeSet<_> = EVENTS.iter().map(|entry| entry.kind).collect();
    assert_eq!((names.len(), kinds.len()), (EVENTS.len(), EVENTS.len()));
}

#[test]
fn an_older_reader_skips_a_newer_field_and_a_newer_reader_does_without() {
    let event = CapabilityUpdated {
        account_id: AccountId(uuid::Uuid::from_u128(7)),
        capability: "wallet".to_owned(),
        enabled: true,
    };
    // The array of three fields becomes one of four: 0x83 is its head, 0xf6 a null (RFC 8949).
    let mut longer = event.to_compact();
    assert_eq!(longer[0], 0x83);
    longer[0] = 0x84;
    longer.push(0xf6);
    assert_eq!(CapabilityUpdated::from_compact(&longer).unwrap(), event);
    // `foreignID` was added last and is optional: an older row lacks it.
    let account = AccountCreated {
        account_id: event.account_id,
        facilitator_id: event.account_id,
        display_name: "Lena".to_owned(),
        email: None,
        foreign_id: None,
    };
    let mut shorter = account.to_compact();
    if shorter[0] == 0x85 {
        shorter[0] = 0x84;
        assert_eq!(shorter.pop(), Some(0xf6));
    }
    assert_eq!(AccountCreated::from_compact(&shorter).unwrap(), account);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_a_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for entry in &EVENTS {
            let _ = (entry.to_json)(&bytes);
        }
    }

    #[test]
    fn an_id_survives_being_taken_apart(row in 0i64..1 << 54, tail in any::<i64>()) {
        let tail = (tail & 0x3fff_ffff_ffff_ffff) | i64::MIN;
        let id = from_parts(row, tail);
        prop_assert_eq!((row_of(id), tail_of(id)), (row, tail));
        prop_assert_eq!(id.get_version_num(), 7);
    }
}
