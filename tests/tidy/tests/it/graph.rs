//! The rules about crates, seen failing.

use serde_json::{Value, json};
use tidy::{
    Finding,
    graph::{Graph, depth, direction, outside},
};

/// What `cargo metadata` prints of these crates: `folder: used used dev:used outside:used`, the
/// crate's name being the folder's last part.
fn graph(lines: &[&str]) -> Graph {
    let name = |folder: &str| folder.rsplit('/').next().map(str::to_owned);
    let packages: Vec<Value> = lines
        .iter()
        .map(|line| {
            let (folder, used) = line.split_once(':').expect("a colon after the folder");
            let uses: Vec<Value> = used.split_whitespace().map(dependency).collect();
            json!({
                "name": name(folder),
                "manifest_path": format!("/here/{folder}/Cargo.toml"),
                "dependencies": uses,
            })
        })
        .collect();
    Graph::parse(&json!({ "workspace_root": "/here", "packages": packages }))
        .expect("it has the shape of cargo's own")
}

fn dependency(word: &str) -> Value {
    let (kind, word) = match word.strip_prefix("dev:") {
        Some(word) => (json!("dev"), word),
        None => (Value::Null, word),
    };
    match word.strip_prefix("outside:") {
        Some(name) => json!({ "name": name, "kind": kind }),
        None => json!({ "name": word, "kind": kind, "path": "/here/somewhere" }),
    }
}

fn check(rule: fn(&Graph) -> Vec<Finding>, lines: &[&str], expected: &[&str]) {
    let found: Vec<String> = rule(&graph(lines)).iter().map(Finding::to_string).collect();
    assert_eq!(found, expected);
}

const SOUND: [&str; 12] = [
    "contracts: outside:serde",
    "formats/iso20022: outside:quick-xml",
    "platform/calendar: contracts",
    "platform/store: contracts outside:rusqlite outside:sea-query",
    "platform/eventlog: contracts store",
    "platform/runtime: contracts store eventlog calendar outside:axum outside:hyper",
    "services/ledger: contracts store runtime outside:sea-query dev:sandbox",
    "services/payment-methods: contracts runtime outside:aes-gcm",
    "rails/rtp: contracts runtime iso20022 outside:reqwest dev:sandbox",
    "sandbox: iso20022 outside:axum",
    "switchyard: ledger payment-methods rtp sandbox runtime outside:axum",
    "tests/end_to_end: switchyard ledger outside:reqwest",
];

#[test]
fn a_sound_graph_passes() {
    for rule in [direction, depth, outside] {
        check(rule, &SOUND, &[]);
    }
}

#[test]
fn a_use_against_the_direction_is_found() {
    let cases = [
        ("contracts: store", "`contracts` may not use `store` at all"),
        ("contracts: dev:store", "`contracts` may not use `store` even in tests"),
        ("formats/iso20022: contracts", "`iso20022` may not use `contracts` at all"),
        ("platform/store: eventlog", "`store` may not use `eventlog` at all"),
        ("platform/eventlog: runtime", "`eventlog` may not use `runtime` at all"),
        ("platform/calendar: store", "`calendar` may not use `store` at all"),
        ("platform/runtime: ledger", "`runtime` may not use `ledger` at all"),
        ("platform/runtime: dev:ledger", "`runtime` may not use `ledger` even in tests"),
        ("services/ledger: payment-methods", "`ledger` may not use `payment-methods` at all"),
        ("services/ledger: dev:rtp", "`ledger` may not use `rtp` even in tests"),
        ("services/ledger: iso20022", "`ledger` may not use `iso20022` at all"),
        ("rails/rtp: ledger", "`rtp` may not use `ledger` at all"),
        ("rails/rtp: dev:ledger", "`rtp` may not use `ledger` even in tests"),
        ("rails/rtp: sandbox", "`rtp` may not use `sandbox` at all"),
        ("sandbox: contracts", "`sandbox` may not use `contracts` at all"),
        ("switchyard: end_to_end", "`switchyard` may not use `end_to_end` at all"),
    ];
    for (line, message) in cases {
        let (folder, _) = line.split_once(':').unwrap();
        let mut lines = SOUND.to_vec();
        let of_folder = |other: &str| other.split_once(':').unwrap().0 == folder;
        lines.retain(|other| !of_folder(other));
        lines.push(line);
        let expected = format!("{folder}/Cargo.toml: dependency-direction: {message}");
        check(direction, &lines, &[&expected]);
    }
}

#[test]
fn a_crate_without_a_place_is_found() {
    check(
        direction,
        &["platform/glue: ", "tools/fix: "],
        &[
            "platform/glue/Cargo.toml: dependency-direction: `glue` has no place in the chain of platform/",
            "tools/fix/Cargo.toml: dependency-direction: `fix` is in no folder of the architecture",
        ],
    );
}

#[test]
fn a_deep_graph_is_found() {
    let mut lines = SOUND.to_vec();
    lines.retain(|line| !line.starts_with("contracts"));
    lines.extend(["contracts: below", "formats/below: "]);
    check(
        depth,
        &lines,
        &["switchyard/Cargo.toml: graph-depth: the graph is 6 deep, at most 5: \
           switchyard > ledger > runtime > eventlog > store > contracts > below"],
    );
}

#[test]
fn tests_do_not_deepen_the_graph() {
    let mut lines = SOUND.to_vec();
    lines.retain(|line| !line.starts_with("contracts"));
    lines.extend(["contracts: dev:below", "formats/below: "]);
    check(depth, &lines, &[]);
}

#[test]
fn an_outside_crate_with_another_user_is_found() {
    let cases = [
        ("services/ledger: outside:rusqlite", "`rusqlite` may be used only by store"),
        ("services/ledger: dev:outside:postgres", "`postgres` may be used only by store"),
        ("tests/faults: outside:tokio-postgres", "`tokio-postgres` may be used only by store"),
        ("rails/rtp: outside:rustls", "`rustls` may be used only by store"),
        ("sandbox: outside:sea-query", "`sea-query` may be used only by store, services/, rails/"),
        ("switchyard: outside:rdkafka", "`rdkafka` may be used only by kafka"),
        (
            "services/ledger: outside:axum",
            "`axum` may be used only by runtime, sandbox, switchyard, tests/",
        ),
        (
            "services/ledger: outside:reqwest",
            "`reqwest` may be used only by runtime, rtp, webhooks, switchyard, sandbox, tests/",
        ),
        ("rails/rtp: outside:russh", "`russh` may be used only by ach, sandbox"),
        ("services/accounts: outside:aes-gcm", "`aes-gcm` may be used only by payment-methods"),
        ("rails/rtp: outside:quick-xml", "`quick-xml` may be used only by iso20022"),
    ];
    for (line, message) in cases {
        let (folder, _) = line.split_once(':').unwrap();
        let expected = format!("{folder}/Cargo.toml: outside-crate: {message}");
        check(outside, &[line], &[&expected]);
    }
    check(outside, &["services/ledger: dev:outside:axum"], &[]);
}
