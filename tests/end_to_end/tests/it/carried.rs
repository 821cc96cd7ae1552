//! Events carried by Kafka, as others see them: a foreign client, the graph, one trace.

use std::process::Command;

use end_to_end::{Api, Process, key};
use serde_json::Value;

/// The trace of the caller of the RTP transfer.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What the confluent client for Python reads of all topics; `None` (said loudly) without it.
fn read_by_another(process: &Process) -> Option<Value> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import confluent_kafka, jsonschema"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no confluent-kafka and jsonschema for {python}: pip install both");
        return None;
    }
    let (brokers, prefix) = process.topics().unwrap();
    let here = env!("CARGO_MANIFEST_DIR");
    let read = Command::new(python)
        .arg(format!("{here}/foreign/read_topics.py"))
        .args([brokers, prefix])
        .arg(format!("{here}/../../contracts/schemas"))
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    Some(serde_json::from_slice(&read.stdout).unwrap())
}

const TOPICS: [&str; 7] =
    ["accounts", "payment-methods", "transfers", "ledger", "ach", "card", "rtp"];

/// The active relay of each topic says how far it is, in one process of all.
async fn each_topic_has_a_relay_that_is_measured(process: &Process) {
    let mut all = String::new();
    for base in process.bases() {
        all += &reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
    }
    let up = all.lines().filter(|line| *line == "switchyard_broker_up 1").count();
    assert_eq!(up, process.bases().len(), "{all}");
    let unsent = "switchyard_relay_unsent_events{topic=";
    let mut relays: Vec<_> = all.lines().filter_map(|line| line.strip_prefix(unsent)).collect();
    relays.sort_unstable();
    let mut wanted: Vec<_> = TOPICS.map(|topic| format!("{topic:?}}} 0")).to_vec();
    wanted.sort_unstable();
    assert_eq!(relays, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_read_every_topic_and_one_trace_crosses_the_broker() {
    let _alone = crate::MACHINE.lock().await;
    let Some(process) = Process::start_several_by_kafka().await else { return };
    let api = process.api();
    for (number, kind) in [(0, "moov-wallet"), (0, "ach-credit-standard"), (1, "push-to-card")] {
        let id = api.transfer(api.wallet(), api.method(number, kind), 500).await;
        assert_eq!(api.settled(&id).await["status"], "completed", "{kind}");
    }
    let body = Api::transfer_body(api.wallet(), api.method(0, "rtp-credit"), 700);
    let request = api.transfer_request(&key(), &body);
    let request = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    let id = api.send(request).await.unwrap().text_of("transferID");
    assert_eq!(api.settled(&id).await["status"], "completed");
    let topology = api.get("/operations/topology").await.json();
    let edges = topology["edges"].as_array().unwrap();
    let undeclared: Vec<&Value> = edges.iter().filter(|edge| edge["declared"] == false).collect();
    assert!(undeclared.is_empty(), "{undeclared:?}");
    each_topic_has_a_relay_that_is_measured(&process).await;
    let Some(read) = read_by_another(&process) else { return };
    for topic in TOPICS {
        assert!(read["events"][topic].as_u64() > Some(0), "{topic}: {read}");
    }
    let of_trace = read["traces"][TRACE].as_array().unwrap();
    for step in [
        "transfer.created.v1",
        "ledger.reserved.v1",
        "rail.outcome.v1",
        "ledger.posted.v1",
        "transfer.updated.v1",
    ] {
        assert!(of_trace.iter().any(|kind| kind == step), "{step} is not in {of_trace:?}");
    }
}
