//! Wallet to bank account by RTP: every row of the sandbox's table and every fault.

use std::time::Duration;

use end_to_end::{Api, Process};
use serde_json::{Value, json};

/// Makes an RTP transfer of this amount; the transfer once final.
async fn pay(api: &Api, value: i64) -> Value {
    let id = api.transfer(api.wallet(), api.method(0, "rtp-credit"), value).await;
    api.settled(&id).await
}

/// The counterparty's books name exactly the completed ones, with their amounts.
async fn books_agree(api: &Api, transfers: &[Value]) {
    let books = api.books().await;
    for transfer in transfers {
        let id = transfer["transferID"].as_str().unwrap();
        let paid: i64 = books
            .iter()
            .filter(|row| row["transferID"] == id && row["state"] == "accepted")
            .map(|row| row["amount"].as_i64().or(row["amount"]["value"].as_i64()).unwrap())
            .sum();
        let expected = match transfer["status"].as_str().unwrap() {
            "completed" => transfer["amount"]["value"].as_i64().unwrap(),
            _ => 0,
        };
        assert_eq!(paid, expected, "{transfer} {books:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table() {
    let rows = [
        (1_000, "completed", None),
        (77_9500, "completed", None),
        (77_9501, "failed", Some("participant-not-available")),
        (77_9502, "completed", None),
        (77_9511, "failed", Some("invalid-account")),
        (77_9512, "failed", Some("account-closed")),
        (77_9513, "failed", Some("account-blocked")),
        (77_9514, "failed", Some("invalid-account")),
        (77_9515, "failed", Some("transaction-not-supported")),
        (77_9516, "failed", Some("transaction-not-supported")),
        (77_9517, "failed", Some("limit-exceeded")),
        (77_9518, "failed", Some("other")),
        (77_9519, "failed", Some("invalid-amount")),
        (77_9520, "failed", Some("invalid-field")),
        (77_9521, "failed", Some("customer-deceased")),
    ];
    let process = Process::start().await;
    let api = process.api();
    let mut had = api.balance(api.account()).await;
    let mut done = Vec::new();
    for (number, (value, status, code)) in rows.into_iter().enumerate() {
        // A hard rejection disables the bank account's methods: each row pays another one.
        let method = link(&api, number).await;
        let id = api.transfer(api.wallet(), &method, value).await;
        let transfer = api.settled(&id).await;
        assert_eq!(transfer["status"], status, "{value}: {transfer}");
        let details = &transfer["destination"]["instantBankDetails"];
        assert_eq!(details["network"], "rtp", "{transfer}");
        if let Some(code) = code {
            assert_eq!(details["failureCode"], code, "{value}: {transfer}");
        }
        if status == "completed" {
            had -= value;
        }
        assert_eq!(api.balance(api.account()).await, had, "{value}: {transfer}");
        done.push(transfer);
    }
    books_agree(&api, &done).await;
}

/// Links a fresh bank account to the first connected account; its `rtp-credit`.
async fn link(api: &Api, number: usize) -> String {
    let account = api.connected(0);
    let body = json!({ "account": {
        "holderName": "Lena Fischer", "holderType": "individual", "routingNumber": "021000021",
        "accountNumber": format!("55500{number:04}"), "bankAccountType": "checking",
    }});
    let linked = api.post(&format!("/accounts/{account}/bank-accounts"), &body).await;
    assert_eq!(linked.status, 200, "{linked:?}");
    let source = linked.text_of("bankAccountID");
    let path = format!(
        "/accounts/{account}/payment-methods?sourceID={source}&paymentMethodType=rtp-credit"
    );
    let methods = api.get(&path).await.json();
    methods[0]["paymentMethodID"].as_str().unwrap_or_else(|| panic!("{methods}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_9600_later_ones_wait_and_complete() {
    let process = Process::start().await;
    let api = process.api();
    let first = pay(&api, 77_9600).await;
    assert_eq!(first["status"], "completed");
    let second = api.transfer(api.wallet(), api.method(0, "rtp-credit"), 200).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = api.transfer_now(&second).await;
    assert_eq!(waiting["status"], "pending", "{waiting}");
    assert!(waiting["waiting"]["reason"].is_string(), "{waiting}");
    let second = api.settled(&second).await;
    assert_eq!(second["status"], "completed", "{second}");
    books_agree(&api, &[first, second]).await;
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
        let body = json!({ "rail": "rtp", "fault": fault, "count": 1 });
        let set = api.post("/sandbox/faults", &body).await;
        assert_eq!(set.status, 200, "{fault}: {set:?}");
        let had = api.balance(api.account()).await;
        let transfer = pay(&api, 300).await;
        let status = transfer["status"].as_str().unwrap();
        assert!(["completed", "failed"].contains(&status), "{fault}: {transfer}");
        let moved = if status == "completed" { 300 } else { 0 };
        assert_eq!(api.balance(api.account()).await, had - moved, "{fault}: {transfer}");
        done.push(transfer);
    }
    books_agree(&api, &done).await;
    let after = pay(&api, 400).await;
    assert_eq!(after["status"], "completed", "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_wins_only_before_the_claim() {
    let process = Process::start().await;
    let api = process.api();
    // The participant refuses connections for 10 s: what comes next stays READY.
    assert_eq!(pay(&api, 77_9600).await["status"], "completed");
    let had = api.balance(api.account()).await;
    let id = api.transfer(api.wallet(), api.method(0, "rtp-credit"), 500).await;
    let path = format!("/accounts/{}/transfers/{id}/cancellations", api.account());
    let asked = api.post(&path, &json!({})).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let transfer = api.settled(&id).await;
    let won = transfer["status"] == "canceled";
    let answer = if won { "completed" } else { "failed" };
    assert_eq!(transfer["cancellations"][0]["status"], answer, "{transfer}");
    assert_eq!(api.balance(api.account()).await, if won { had } else { had - 500 });
    books_agree(&api, &[transfer]).await;
    // One that is final cannot be cancelled.
    let done = api.transfer(api.wallet(), api.method(0, "moov-wallet"), 1).await;
    api.settled(&done).await;
    let path = format!("/accounts/{}/transfers/{done}/cancellations", api.account());
    assert_eq!(api.post(&path, &json!({})).await.status, 409);
}
