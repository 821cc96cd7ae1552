//! `verify` names the row that breaks an invariant: one is spoiled at a time, in a copy of a real
//! installation's data.

use std::path::Path;

use end_to_end::{Api, Process};
use serde_json::Value;
use store::{Location, Options, Sql, Store};

/// What is spoiled, and the invariant that has to name it. (V4 needs several shards, V5, V6, V8 and
/// V11 a story of their own: the services' suites have them.)
const SPOILED: [(&str, Sql); 9] = [
    (
        "V1",
        Sql::new("UPDATE ledger_balance SET debits_posted = debits_posted + 1 WHERE account = 1"),
    ),
    (
        "V2",
        Sql::new(
            "UPDATE ledger_balance SET credits_posted = credits_posted + 7 \
             WHERE account = (SELECT max(account) FROM ledger_balance)",
        ),
    ),
    (
        "V9",
        Sql::new(
            "DELETE FROM event_transfers WHERE place = (SELECT max(place) - 1 FROM event_transfers)",
        ),
    ),
    (
        "V9",
        Sql::new(
            "UPDATE position SET sequences = x'00000000000f4240', last = 1000000, \
                     total = 1000000 WHERE consumer = 'ledger' AND topic = 'transfers'",
        ),
    ),
    (
        "V9",
        Sql::new(
            "DELETE FROM webhooks_feed WHERE account = zeroblob(16) AND last = \
             (SELECT min(last) FROM webhooks_feed WHERE account = zeroblob(16))",
        ),
    ),
    ("V10", Sql::new("UPDATE rtp_instruction SET amount = -5")),
    (
        "V10",
        Sql::new("DELETE FROM transfers_transfer WHERE id = (SELECT id / 4 FROM rtp_instruction)"),
    ),
    ("V16", Sql::new("UPDATE ledger_seal SET hash = zeroblob(32) WHERE sequence = 1")),
    (
        "V16",
        Sql::new(
            "UPDATE ledger_posting SET amount = amount + 1 \
                      WHERE id = (SELECT max(id) FROM ledger_posting)",
        ),
    ),
];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// The invariants that are broken, with their faults.
fn broken(process: &Process, arguments: &[&str]) -> Vec<(String, String)> {
    let (code, out, errors) =
        process.command(&[&["verify", "--json", "--data"], arguments].concat());
    let all: Vec<Value> = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    let broken: Vec<_> = all.iter().filter(|one| one["ok"] == false).collect();
    assert_eq!(code, i32::from(!broken.is_empty()), "{out}{errors}");
    let named =
        |one: &&Value| (one["invariant"].as_str().unwrap().to_owned(), one["faults"].to_string());
    broken.iter().map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_row_is_named() {
    let mut process = Process::start_on_a_directory(&[]).await;
    let api = process.api();
    let mut told = String::new();
    for (method, value) in [("moov-wallet", 100), ("moov-wallet", 250), ("rtp-credit", 300)] {
        let id = api.transfer(api.wallet(), api.method(0, method), value).await;
        assert_eq!(api.settled(&id).await["status"], "completed");
        told += &format!("{{\"key\":\"{value}\",\"status\":200,\"transferID\":\"{id}\"}}\n");
    }
    seen_in_the_feed(&api, 3).await;
    assert!(process.stop().success());
    let data = process.data();
    let folder = data.parent().unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();

    let journal = folder.join("journal");
    std::fs::write(&journal, &told).unwrap();
    let unspoiled = [&text(&data), "--journal", &text(&journal)];
    assert_eq!(broken(&process, &unspoiled), []);
    let nobody = "019a8f3e-1c40-7000-8000-000000000001";
    std::fs::write(&journal, format!("{told}{{\"status\":200,\"transferID\":\"{nobody}\"}}\n"))
        .unwrap();
    let lost = broken(&process, &unspoiled);
    assert!(lost.len() == 1 && lost[0].0 == "V7" && lost[0].1.contains(nobody), "{lost:?}");

    for (number, (invariant, sql)) in SPOILED.iter().enumerate() {
        let spoiled = folder.join(format!("spoiled-{number}"));
        copy(&data, &spoiled);
        let (store, mut writer) =
            Store::open(Location::Directory(spoiled.clone()), Options::default()).unwrap();
        let mut tx = writer.begin().unwrap();
        assert!(tx.execute(sql, &[]).unwrap() > 0, "{} spoils nothing", sql.text());
        tx.commit().unwrap();
        drop((writer, store));
        let named = broken(&process, &[&text(&spoiled)]);
        assert!(named.iter().any(|(name, _)| name == invariant), "{}: {named:?}", sql.text());
    }
}

/// Waits until the operator's feed has so many transfers.
async fn seen_in_the_feed(api: &Api, transfers: usize) {
    for _ in 0..200 {
        let page = api.get("/events?count=1000").await.json();
        let all = page["events"].as_array().unwrap();
        if all.iter().filter(|event| event["type"] == "transfer.created").count() >= transfers {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the feed lacks transfers");
}
