//! Dead letters by command: a rail that is broken for a while, told and mended from outside.

use std::time::Duration;

use end_to_end::{Api, Process};
use serde_json::Value;
use store::{Options, Sql, Store};

/// On the embedded engine, and on PostgreSQL.
static BREAK: [&[Sql]; 2] = [
    &[Sql::new(
        "CREATE TRIGGER broken BEFORE INSERT ON rtp_instruction \
         BEGIN SELECT RAISE(ABORT, 'the rail is broken'); END",
    )],
    &[
        Sql::new(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
             RAISE EXCEPTION ''the rail is broken'' USING ERRCODE = ''check_violation''; END'",
        ),
        Sql::new(
            "CREATE TRIGGER broken BEFORE INSERT ON rtp_instruction \
             FOR EACH ROW EXECUTE FUNCTION broken()",
        ),
    ],
];
static MEND: [&[Sql]; 2] = [
    &[Sql::new("DROP TRIGGER broken")],
    &[Sql::new("DROP TRIGGER broken ON rtp_instruction"), Sql::new("DROP FUNCTION broken")],
];

/// Changes the data of a process that is stopped meanwhile.
async fn change(process: &mut Process, statements: &'static [&[Sql]; 2]) {
    assert!(process.stop().success());
    let location = process.location();
    let statements = statements[usize::from(process.database().is_some())];
    let done = tokio::task::spawn_blocking(move || {
        let (_store, mut writer) = Store::open(location, Options::default()).unwrap();
        let mut tx = writer.begin().unwrap();
        for statement in statements {
            tx.execute(statement, &[]).unwrap();
        }
        tx.commit().unwrap();
    });
    done.await.unwrap();
    process.again().await;
}

/// `dead-letters` with these words, one JSON value a line.
fn command(process: &Process, words: &[&str]) -> (i32, Vec<Value>, String) {
    let data = process.data();
    let mut all = vec!["dead-letters"];
    all.extend(words);
    all.extend(["--json", "--data", data.to_str().unwrap()]);
    let (code, out, errors) = process.command(&all);
    let lines = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
    (code, lines.map(Result::unwrap).collect(), errors)
}

async fn letters(process: &Process, count: usize) -> Vec<Value> {
    for _ in 0..400 {
        let (code, letters, errors) = command(process, &["list"]);
        assert_eq!(code, 0, "{errors}");
        if letters.len() == count {
            return letters;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {count} letters: {:?}", command(process, &["list"]));
}

async fn pay(api: &Api) -> String {
    api.transfer(api.wallet(), api.method(0, "rtp-credit"), 500).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rail_leaves_letters_that_are_replayed_or_dropped_by_command() {
    let mut process = Process::start().await;
    change(&mut process, &BREAK).await;
    let api = process.api();
    let (first, second) = (pay(&api).await, pay(&api).await);
    let found = letters(&process, 2).await;
    // Letters are listed by shard, which is nobody's order.
    let of = |transfer: &str| {
        let ids = found.iter().map(|letter| letter["deadLetterID"].as_str().unwrap());
        let mut all = ids.map(|id| {
            let (code, shown, errors) = command(&process, &["show", id]);
            assert_eq!(code, 0, "{errors}");
            (id.to_owned(), shown)
        });
        let found = all.find(|(_, shown)| shown[0]["data"]["transferID"] == transfer);
        found.unwrap_or_else(|| panic!("{transfer} left no letter"))
    };
    let ((one, shown), (other, _)) = (of(&first), of(&second));
    let state = if process.database().is_some() { "23514 " } else { "" };
    assert_eq!(shown[0]["error"], format!("store: constraint: {state}the rail is broken"));
    // The timeline says where it is stuck.
    let path = format!("/accounts/{}/transfers/{first}/timeline", api.account());
    let timeline = api.get(&path).await.json();
    let exchanges = timeline["exchanges"].as_array().unwrap();
    let stuck = exchanges.iter().find(|e| e["outcome"] == "dead letter").unwrap();
    assert_eq!((&stuck["name"], &stuck["to"]), (&"ledger.reserved".into(), &"rtp".into()));
    let (code, _, errors) = command(&process, &["replay", "--all"]);
    assert_eq!(code, 1, "{errors}");
    assert_eq!(errors.matches("it still cannot be applied").count(), 2, "{errors}");
    assert_eq!(command(&process, &["drop", &other]).0, 2, "no reason, no drop");
    assert_eq!(command(&process, &["replay", "nonsense"]).0, 2);
    assert_eq!(command(&process, &["replay", "rtp:ledger:0:9999"]).0, 3);
    change(&mut process, &MEND).await;
    let (code, ended, errors) = command(&process, &["drop", &other, "--reason", "paid by hand"]);
    assert_eq!((code, &ended[0]["state"]), (0, &"dropped".into()), "{errors}");
    let (code, ended, errors) = command(&process, &["replay", "--all"]);
    assert_eq!((code, &ended[0]["applied"]), (0, &1.into()), "{errors}");
    let api = process.api();
    assert_eq!(api.settled(&first).await["status"], "completed");
    assert_eq!(api.transfer_now(&second).await["status"], "pending", "it was given up");
    // Twice does nothing twice.
    let (code, ended, errors) = command(&process, &["replay", &one]);
    assert_eq!((code, &ended[0]["applied"]), (0, &0.into()), "{errors}");
    let books = api.books().await;
    assert_eq!(books.iter().filter(|row| row["transferID"] == first.as_str()).count(), 1);
    letters(&process, 0).await;
    let (_, shown, _) = command(&process, &["show", &other]);
    assert_eq!(
        (&shown[0]["state"], &shown[0]["reason"]),
        (&"dropped".into(), &"paid by hand".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_is_printed_with_what_was_seen() {
    let process = Process::start().await;
    let api = process.api();
    let id = pay(&api).await;
    api.settled(&id).await;
    let (base, data) = (process.base(), process.data());
    let observed = |format: &str| {
        let data = data.to_str().unwrap();
        let words = ["topology", "--observed", &base, "--data", data, "--format", format];
        let (code, out, errors) = process.command(&words);
        assert_eq!(code, 0, "{errors}");
        out
    };
    let graph: Value = serde_json::from_str(&observed("json")).unwrap();
    let edges = graph["edges"].as_array().unwrap();
    let edge = edges.iter().find(|e| e["from"] == "ledger" && e["to"] == "rtp").unwrap();
    assert_eq!((&edge["observed"], &edge["lastMinute"]), (&1.into(), &1.into()), "{edge}");
    assert!(edge["last"].is_string() && edge["lagMicros"].is_u64(), "{edge}");
    assert!(observed("svg").contains(">1 seen, 1/min</text>"));
    for format in ["text", "mermaid", "svg", "json"] {
        let data = data.to_str().unwrap();
        let (code, out, errors) =
            process.command(&["timeline", &id, "--data", data, "--format", format]);
        assert_eq!(code, 0, "{errors}");
        assert!(out.contains("pacs.008"), "{format}: {out}");
    }
}
