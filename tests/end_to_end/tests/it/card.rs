//! Cards: every row of the sandbox's table and every fault, in both directions, with exact balances.

use end_to_end::{Api, Process, in_force};
use serde_json::{Value, json};

/// A card pays into the platform's wallet; the transfer once final.
async fn collect(api: &Api, value: i64) -> Value {
    let id = api.transfer(api.method(0, "card-payment"), api.wallet(), value).await;
    api.settled(&id).await
}

/// What is in force at the host is what completed, with its amount.
async fn books_agree(api: &Api, transfers: &[Value]) {
    let books = api.books().await;
    for transfer in transfers {
        let id = transfer["transferID"].as_str().unwrap();
        let paid: i64 = in_force(&books, id).iter().sum();
        let expected = match transfer["status"].as_str().unwrap() {
            "completed" => transfer["amount"]["value"].as_i64().unwrap(),
            _ => 0,
        };
        assert_eq!(paid, expected, "{transfer} {books:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table() {
    let unanswered = Some("issuer-not-available");
    let rows = [
        (1_000, "completed", None),
        (77_9700, "failed", unanswered),
        (77_9701, "failed", unanswered),
        (77_9702, "failed", unanswered),
        (77_9705, "failed", Some("do-not-honor")),
        (77_9714, "failed", Some("invalid-card-number")),
        (77_9751, "failed", Some("insufficient-funds")),
        (77_9754, "failed", Some("expired-card")),
        (77_9796, "failed", Some("processing-error")),
    ];
    let process = Process::start().await;
    let api = process.api();
    let mut had = api.balance(api.account()).await;
    let mut done = Vec::new();
    for (value, status, code) in rows {
        // The card pays: nothing is available before its funds are released.
        let id = api.transfer(api.method(0, "card-payment"), api.wallet(), value).await;
        assert_eq!(api.balance(api.account()).await, had, "{value}");
        let transfer = api.settled(&id).await;
        assert_eq!(transfer["status"], status, "{value}: {transfer}");
        let details = &transfer["source"]["cardDetails"];
        assert_eq!(details["failureCode"].as_str(), code, "{value}: {transfer}");
        if status == "failed" {
            assert_eq!(transfer["failureReason"], "source-payment-error", "{transfer}");
        } else {
            had += value;
            assert!(details["statusUpdates"]["confirmed"].is_string(), "{transfer}");
        }
        let card = &transfer["source"]["card"];
        assert_eq!(card["lastFourCardNumber"], "1111", "{transfer}");
        assert_eq!(api.balance(api.account()).await, had, "{value}: {transfer}");
        done.push(transfer);
        // Money goes to a card.
        let id = api.transfer(api.wallet(), api.method(1, "push-to-card"), value).await;
        let transfer = api.settled(&id).await;
        assert_eq!(transfer["status"], status, "{value}: {transfer}");
        if status == "failed" {
            assert_eq!(transfer["failureReason"], "destination-payment-error", "{transfer}");
        } else {
            had -= value;
        }
        assert_eq!(api.balance(api.account()).await, had, "{value}: {transfer}");
        done.push(transfer);
    }
    let pulled = api.transfer(api.method(1, "pull-from-card"), api.wallet(), 700).await;
    let pulled = api.settled(&pulled).await;
    assert_eq!(pulled["status"], "completed", "{pulled}");
    assert_eq!(api.balance(api.account()).await, had + 700);
    // Every rail reads the reservations; this one alone took it up.
    let id = pulled["transferID"].as_str().unwrap();
    let path = format!("/accounts/{}/transfers/{id}/timeline", api.account());
    let timeline = api.get(&path).await.json();
    let exchanges = timeline["exchanges"].as_array().unwrap();
    let reserved = exchanges.iter().filter(|exchange| exchange["name"] == "ledger.reserved");
    let mut readers: Vec<&str> =
        reserved.map(|exchange| exchange["to"].as_str().unwrap()).collect();
    readers.sort_unstable();
    assert_eq!(readers, ["card", "transfers"], "{timeline}");
    done.push(pulled);
    books_agree(&api, &done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_ends_with_equal_books() {
    let process = Process::start().await;
    let api = process.api();
    let mut done = Vec::new();
    for fault in [
        "refuse",
        "hang",
        "drop-reply",
        "late-reply",
        "duplicate-reply",
        "garbage",
        "half-open",
        "close-mid-message",
        "slow",
    ] {
        let body = json!({ "rail": "card", "fault": fault, "count": 1 });
        let set = api.post("/sandbox/faults", &body).await;
        assert_eq!(set.status, 200, "{fault}: {set:?}");
        let had = api.balance(api.account()).await;
        let transfer = collect(&api, 300).await;
        let status = transfer["status"].as_str().unwrap();
        assert!(["completed", "failed"].contains(&status), "{fault}: {transfer}");
        let moved = if status == "completed" { 300 } else { 0 };
        assert_eq!(api.balance(api.account()).await, had + moved, "{fault}: {transfer}");
        done.push(transfer);
    }
    books_agree(&api, &done).await;
    assert_eq!(collect(&api, 400).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_that_the_host_forgot_is_found_by_its_settlement_file() {
    let process = Process::start().await;
    let api = process.api();
    let had = api.balance(api.account()).await;
    let body = json!({ "rail": "card", "fault": "forget-reversals", "count": 1 });
    assert_eq!(api.post("/sandbox/faults", &body).await.status, 200);
    // Approved and booked, the answer lost; then reversed, and that forgotten.
    let transfer = collect(&api, 77_9700).await;
    assert_eq!(transfer["status"], "failed", "{transfer}");
    let id = transfer["transferID"].as_str().unwrap();
    // On many processes its settlement file may be there before a caller hears of the failure.
    if process.roles().len() == 1 {
        assert_eq!(in_force(&api.books().await, id), [77_9700], "the host has it in force");
    }
    let began = tokio::time::Instant::now();
    while !in_force(&api.books().await, id).is_empty() {
        assert!(began.elapsed().as_secs() < 20, "nobody takes it back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let exceptions = api.get("/operations/card/exceptions").await.json();
    let [one] = exceptions.as_array().unwrap().as_slice() else { panic!("{exceptions}") };
    assert_eq!(one["amount"], 77_9700, "{one}");
    assert_eq!(one["reference"], format!("{}-0", id.replace('-', "")), "{one}");
    let rails = api.get("/operations/rails").await.json();
    let card = rails.as_array().unwrap().iter().find(|rail| rail["name"] == "card").unwrap();
    assert_eq!(card["files"][0]["name"], one["about"], "{card}");
    assert!(card["files"][0]["reason"].is_string(), "{card}");
    // It failed once, and no money moved.
    assert_eq!(api.transfer_now(id).await["status"], "failed");
    assert_eq!(api.balance(api.account()).await, had);
    books_agree(&api, &[transfer]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_9600_later_ones_wait_and_complete() {
    let process = Process::start().await;
    let api = process.api();
    let first = api.transfer(api.wallet(), api.method(1, "push-to-card"), 77_9600).await;
    let first = api.settled(&first).await;
    assert_eq!(first["status"], "completed");
    let second = api.transfer(api.wallet(), api.method(1, "push-to-card"), 200).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let waiting = api.transfer_now(&second).await;
    assert_eq!(waiting["status"], "pending", "{waiting}");
    assert_eq!(waiting["waiting"]["reason"], "rail-unavailable", "{waiting}");
    // A dead host slows nobody else down.
    let other = api.transfer(api.wallet(), api.method(0, "rtp-credit"), 100).await;
    assert_eq!(api.settled(&other).await["status"], "completed");
    let second = api.settled(&second).await;
    assert_eq!(second["status"], "completed", "{second}");
    books_agree(&api, &[first, second]).await;
}
