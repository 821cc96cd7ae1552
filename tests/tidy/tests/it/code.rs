//! The rules about code, seen failing.

use tidy::code::{ambient, float, handler_place, pure, random_order, sql_place, unfinished};

use crate::check;

#[test]
fn what_is_left_for_later_is_found() {
    check(
        unfinished,
        &[(
            "contracts/src/a.rs",
            "fn a() { todo!() }\nfn b() { unimplemented!(\"later\") }\n// todo! in a comment\n\
             fn c() { dbg!(1); print(\"todo!\") }\n#[cfg(test)]\nmod tests {\n#[test]\n#[ignore]\n\
             fn d() {}\n}\n",
        )],
        &[
            "contracts/src/a.rs:1: unfinished: `todo!`",
            "contracts/src/a.rs:2: unfinished: `unimplemented!`",
            "contracts/src/a.rs:4: unfinished: `dbg!`",
            "contracts/src/a.rs:8: unfinished: a test that cannot run",
        ],
    );
}

#[test]
fn sql_outside_its_place_is_found() {
    let select = "const A: &str = \"SELECT id FROM wallet\";\n";
    check(
        sql_place,
        &[
            ("services/a/src/http.rs", select),
            ("services/a/src/store.rs", select),
            ("services/a/src/store/rows.rs", select),
            ("services/a/src/domain/tests.rs", select),
            ("services/a/tests/it.rs", select),
            ("platform/eventlog/src/log.rs", select),
            ("tests/simulation/src/lib.rs", select),
            ("switchyard/src/verify.rs", &format!("#[cfg(test)]\nmod tests {{ {select} }}\n")),
        ],
        &["services/a/src/http.rs:1: sql-place: "],
    );
}

#[test]
fn every_statement_is_sql_and_a_sentence_is_not() {
    check(
        sql_place,
        &[(
            "services/a/src/jobs.rs",
            "f(\"INSERT INTO wallet VALUES ($1)\");\nf(\"DELETE FROM wallet\");\n\
             f(\"UPDATE wallet \\\n    SET held = $1\");\nf(r#\"WITH x AS (SELECT 1) TABLE x\"#);\n\
             f(\"select id from wallet\");\nf(\"update wallet set held = 1\");\n\
             f(\"Select an account from the list\".len());\nf(\"UPDATE the wallet\");\n\
             f(\"RESELECT it\");\nf(\"selected from 3\"); // SELECT 1\n",
        )],
        &[
            "services/a/src/jobs.rs:1: ",
            "services/a/src/jobs.rs:2: ",
            "services/a/src/jobs.rs:3: ",
            "services/a/src/jobs.rs:5: ",
            "services/a/src/jobs.rs:6: ",
            "services/a/src/jobs.rs:7: ",
            // In small letters a sentence that reads like a statement is one.
            "services/a/src/jobs.rs:8: ",
        ],
    );
}

#[test]
fn a_clock_or_randomness_of_its_own_is_found() {
    let text = "let a = std::time::SystemTime::now();\nlet b = Instant::now();\n\
                let c = tokio::time::Instant::now();\nlet d = Uuid::new_v4();\n\
                let e = Uuid::now_v7();\nlet f = rand::thread_rng();\ngetrandom::fill(&mut g);\n\
                use std::hash::RandomState;\nlet h = jiff::Timestamp::now();\n\
                let known = clock.now();\nlet socket = TcpSocket::new_v4();\n";
    check(
        ambient,
        &[
            ("sandbox/src/a.rs", text),
            ("platform/runtime/src/clock.rs", text),
            ("platform/runtime/src/ids.rs", text),
            ("sandbox/src/b.rs", "use tokio::time::{Instant, sleep};\nlet a = Instant::now();\n"),
            ("sandbox/src/c.rs", "use std::time::Instant;\nlet a = Instant::now();\n"),
            ("contracts/tests/it.rs", text),
        ],
        &[
            "sandbox/src/a.rs:1: ambient: `SystemTime::now`",
            "sandbox/src/a.rs:2: ambient: `Instant::now`",
            "sandbox/src/a.rs:9: ambient: `Timestamp::now`",
            "sandbox/src/a.rs:4: ambient: `Uuid::new_v4`",
            "sandbox/src/a.rs:5: ambient: `now_v7`",
            "sandbox/src/a.rs:6: ambient: `thread_rng`",
            "sandbox/src/a.rs:7: ambient: `getrandom`",
            "sandbox/src/a.rs:8: ambient: `RandomState`",
            "sandbox/src/c.rs:2: ambient: `Instant::now`",
        ],
    );
}

#[test]
fn a_map_with_the_default_hasher_is_found() {
    check(
        random_order,
        &[(
            "platform/store/src/a.rs",
            "let a = HashMap::new();\nlet b = HashSet::with_capacity(3);\n\
             let c: HashMap<u8, Vec<(u8, fn(u8) -> u8)>> = d;\nlet e: HashSet<u8> = f;\n\
             let g: HashMap<u8, u8, Fixed> = HashMap::with_hasher(Fixed);\n\
             let h: HashSet<u8, Fixed> = HashSet::with_capacity_and_hasher(3, Fixed);\n\
             let i = HashMap::<u8, u8>::default();\nuse std::collections::HashMap;\n\
             type Map<K, V> = HashMap<K, V, Fixed>;\nlet j = HashMap::from([(1, 2)]);\n\
             #[cfg(test)]\nfn k() { HashMap::new() }\nlet l: HashMap<\n    u8,\n    u8,\n> = m;\n",
        )],
        &[
            "platform/store/src/a.rs:1: random-order: ",
            "platform/store/src/a.rs:3: random-order: ",
            "platform/store/src/a.rs:7: random-order: ",
            "platform/store/src/a.rs:10: random-order: ",
            "platform/store/src/a.rs:13: random-order: ",
            "platform/store/src/a.rs:2: random-order: ",
            "platform/store/src/a.rs:4: random-order: ",
        ],
    );
}

#[test]
fn a_select_by_chance_is_found() {
    check(
        random_order,
        &[(
            "platform/runtime/src/a.rs",
            "tokio::select! {\n    a = b => {}\n}\ntokio::select! {\n    biased;\n    a = b => {}\n}\n",
        )],
        &["platform/runtime/src/a.rs:1: random-order: picks by chance"],
    );
}

#[test]
fn a_handler_in_another_file_is_found() {
    let text = "impl Answer<GetBalance> for Ledger {}\nimpl Handle<TransferCreated> for Ledger {}\n\
                fn wire(s: impl Handle<A>) {}\n";
    check(
        handler_place,
        &[
            ("services/a/src/lib.rs", text),
            ("services/a/src/http.rs", text),
            ("services/a/src/events/refunds.rs", text),
            ("platform/runtime/src/service.rs", text),
        ],
        &[
            "services/a/src/lib.rs:1: handler-place: ",
            "services/a/src/lib.rs:2: handler-place: ",
            "services/a/src/http.rs:2: handler-place: ",
            "services/a/src/events/refunds.rs:1: handler-place: ",
        ],
    );
}

#[test]
fn a_decision_that_waits_or_reads_is_found() {
    let text = "async fn a(tx: &mut Tx) {}\nfn b(clock: &Clock) { c().await }\n";
    check(
        pure,
        &[
            ("services/a/src/domain.rs", text),
            ("rails/b/src/wire/pacs.rs", text),
            ("rails/b/src/link.rs", text),
            ("services/a/src/domain/tests.rs", text),
        ],
        &[
            "services/a/src/domain.rs:1: pure: `async`",
            "services/a/src/domain.rs:2: pure: `await`",
            "services/a/src/domain.rs:1: pure: `Tx`",
            "services/a/src/domain.rs:2: pure: `Clock`",
            "rails/b/src/wire/pacs.rs:1: pure: `async`",
            "rails/b/src/wire/pacs.rs:2: pure: `await`",
            "rails/b/src/wire/pacs.rs:1: pure: `Tx`",
        ],
    );
}

#[test]
fn a_floating_amount_is_found() {
    check(
        float,
        &[
            ("contracts/src/money.rs", "struct Amount(f64);\n// never f64\n"),
            ("platform/runtime/src/metrics.rs", "fn seconds() -> f64 {}\n"),
        ],
        &["contracts/src/money.rs:1: float: `f64`"],
    );
}
