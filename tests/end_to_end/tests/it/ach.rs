//! ACH, and transfers from outside to outside: rows of the sandbox's table, with exact balances, and
//! money that goes back where its second leg fails.

use end_to_end::{Api, Process};
use serde_json::{Value, json};

/// How many payments of a transfer are in force in a counterparty's books.
async fn in_force(api: &Api, rail: &str, transfer: &Value) -> usize {
    api.in_force(rail, transfer["transferID"].as_str().unwrap()).await.len()
}

async fn nothing_stays_in_transit(api: &Api) {
    let accounts = api.get("/ledger/accounts").await.json();
    let transit = accounts.as_array().unwrap().iter().find(|one| one["name"] == "transit");
    let transit = transit.unwrap_or_else(|| panic!("{accounts}"));
    assert_eq!(transit["debitsPosted"], transit["creditsPosted"], "nothing stays in transit");
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_debits_returns_and_changes() {
    let process = Process::start().await;
    let api = process.api();
    let had = api.balance(api.account()).await;
    let credit =
        async |value| api.transfer(api.wallet(), api.method(1, "ach-credit-standard"), value).await;
    // All are on their way together; the unlucky ones come last, since they end the bank account.
    let paid = credit(1_000).await;
    let debit = api.transfer(api.method(0, "ach-debit-fund"), api.wallet(), 2_000).await;
    let failed = api.transfer(api.method(0, "ach-debit-fund"), api.wallet(), 77_9901).await;
    let corrected = credit(77_9805).await;
    let returned = credit(77_9903).await;
    let late = credit(77_9409).await;
    assert_eq!(api.settled(&paid).await["status"], "completed");
    let debit = api.settled(&debit).await;
    assert_eq!(debit["status"], "completed", "{debit}");
    assert_eq!(debit["source"]["achDetails"]["status"], "completed", "{debit}");
    let failed = api.settled(&failed).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!(failed["failureReason"], "source-payment-error", "{failed}");
    assert_eq!(failed["source"]["achDetails"]["return"]["code"], "R01", "{failed}");
    let returned = api.settled(&returned).await;
    assert_eq!(returned["status"], "failed", "{returned}");
    assert_eq!(returned["destination"]["achDetails"]["return"]["code"], "R03", "{returned}");
    assert_eq!(api.settled(&corrected).await["status"], "completed");
    let late = api.until(&late, |transfer| transfer["status"] == "reversed").await;
    assert_eq!(late["destination"]["achDetails"]["return"]["code"], "R09", "{late}");
    let noted =
        |transfer: &Value| transfer["destination"]["achDetails"]["correction"]["code"] == "C05";
    let corrected = api.until(&corrected, noted).await;
    assert_eq!(corrected["status"], "completed", "{corrected}");
    let moved = -1_000 + 2_000 - 77_9805;
    assert_eq!(api.balance(api.account()).await, had + moved);
    for transfer in [&debit, &corrected] {
        assert_eq!(in_force(&api, "ach", transfer).await, 1, "{transfer}");
    }
    for transfer in [&failed, &returned, &late] {
        assert_eq!(in_force(&api, "ach", transfer).await, 0, "{transfer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_outside_to_outside() {
    let process = Process::start().await;
    let api = process.api();
    let had = api.balance(api.account()).await;
    let lena = api.balance(api.connected(0)).await;
    let through = async |from: &str, to: &str, value| {
        api.transfer(api.method(0, from), api.method(1, to), value).await
    };
    let bank = through("ach-debit-fund", "ach-credit-standard", 3_000).await;
    let instant = through("card-payment", "rtp-credit", 3_100).await;
    // The second leg is refused: the first goes back on its own rail.
    let refused = through("card-payment", "rtp-credit", 77_9518).await;
    let lost = through("card-payment", "rtp-credit", 77_9501).await;
    // The first leg fails: there is no second one.
    let declined = through("card-payment", "rtp-credit", 77_9751).await;
    let canceled = through("card-payment", "rtp-credit", 3_200).await;
    let path = format!("/accounts/{}/transfers/{canceled}/cancellations", api.account());
    assert_eq!(api.post(&path, &json!({})).await.status, 200);
    let bank = api.settled(&bank).await;
    assert_eq!(bank["status"], "completed", "{bank}");
    assert_eq!(in_force(&api, "ach", &bank).await, 2);
    let instant = api.settled(&instant).await;
    assert_eq!(instant["status"], "completed", "{instant}");
    assert_eq!(in_force(&api, "card", &instant).await, 1);
    assert_eq!(in_force(&api, "rtp", &instant).await, 1);
    for transfer in [refused, lost] {
        let transfer = api.settled(&transfer).await;
        assert_eq!(transfer["status"], "failed", "{transfer}");
        assert_eq!(transfer["failureReason"], "destination-payment-error", "{transfer}");
        assert_eq!(transfer["givenBack"]["status"], "completed", "{transfer}");
        assert_eq!(in_force(&api, "rtp", &transfer).await, 0);
        assert_eq!(in_force(&api, "card", &transfer).await, 2, "a payment and its refund");
    }
    let declined = api.settled(&declined).await;
    assert_eq!(declined["failureReason"], "source-payment-error", "{declined}");
    assert!(declined["givenBack"].is_null(), "{declined}");
    let canceled = api.settled(&canceled).await;
    assert_eq!(canceled["status"], "canceled", "{canceled}");
    assert_eq!(in_force(&api, "rtp", &canceled).await, 0);
    // No wallet saw any of it.
    assert_eq!(api.balance(api.account()).await, had);
    assert_eq!(api.balance(api.connected(0)).await, lena);
    nothing_stays_in_transit(&api).await;
    process.verify();
}

/// The account numbers of the entries that the bank received with this amount.
fn accounts_paid(process: &Process, cents: i64) -> Vec<String> {
    let folder = process.data().join("sandbox/ach");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // Credits to checking accounts, not what the bank sends back.
        let entries = text.lines().filter(|line| line.starts_with("622"));
        let paid = entries.filter(|line| line[29..39] == format!("{cents:010}"));
        found.extend(paid.map(|line| line[12..29].trim().to_owned()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_bank_account_is_used_from_then_on() {
    let mut process = Process::start_with(&["--keep-wire"]).await;
    let api = process.api();
    let account = format!("/accounts/{}/bank-accounts", api.connected(1));
    let before = api.get(&account).await.json()[0].clone();
    let credit =
        async |value| api.transfer(api.wallet(), api.method(1, "ach-credit-standard"), value).await;
    let noted =
        |transfer: &Value| transfer["destination"]["achDetails"]["correction"]["code"] == "C01";
    let corrected = credit(77_9801).await;
    api.until(&corrected, noted).await;
    let after = api.get(&account).await.json()[0].clone();
    assert_ne!(before["lastFourAccountNumber"], after["lastFourAccountNumber"], "{after}");
    assert_eq!(before["bankAccountID"], after["bankAccountID"]);
    let graph = api.get("/operations/topology").await.json();
    let edge = |edge: &&Value| edge["name"] == "CorrectBankAccount";
    let edge = graph["edges"].as_array().unwrap().iter().find(edge).unwrap();
    assert_eq!((&edge["declared"], &edge["observed"]), (&true.into(), &1.into()), "{edge}");
    // Killed right then, it is not corrected once more by the same notice.
    process.kill();
    process.again().await;
    let next = credit(1_234).await;
    assert_eq!(api.settled(&next).await["status"], "completed");
    assert_eq!(api.settled(&corrected).await["status"], "completed");
    let again = api.get(&account).await.json()[0].clone();
    assert_eq!(again, after);
    let (old, new) = (accounts_paid(&process, 77_9801), accounts_paid(&process, 1_234));
    assert_eq!((old.len(), new.len()), (1, 1), "each is paid once");
    assert_ne!(old, new);
    let last = |number: &str| number[number.len() - 4..].to_owned();
    assert_eq!(last(&old[0]), before["lastFourAccountNumber"]);
    assert_eq!(last(&new[0]), after["lastFourAccountNumber"]);
    let exceptions = api.get("/operations/ach/exceptions").await.json();
    assert_eq!(exceptions, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_ends_with_equal_books() {
    let process = Process::start().await;
    let api = process.api();
    let (mut had, mut all) = (api.balance(api.account()).await, Vec::new());
    for fault in [
        "refuse",
        "hang",
        "drop-reply",
        "late-reply",
        "duplicate-reply",
        "garbage",
        "half-open",
        "close-mid-message",
        "disk-full",
        "rename-fails",
        "partial-upload",
        "slow",
    ] {
        let body = json!({ "rail": "ach", "fault": fault, "count": 1 });
        assert_eq!(api.post("/sandbox/faults", &body).await.status, 200, "{fault}");
        let credit = api.transfer(api.wallet(), api.method(1, "ach-credit-standard"), 500).await;
        let debit = api.transfer(api.method(0, "ach-debit-fund"), api.wallet(), 700).await;
        for id in [&credit, &debit] {
            assert_eq!(crate::points::hurried(&api, id).await.as_deref(), Some("completed"));
        }
        had += 700 - 500;
        assert_eq!(api.balance(api.account()).await, had, "{fault}");
        all.extend([(credit, 500), (debit, 700)]);
        for (id, cents) in &all {
            assert_eq!(api.in_force("ach", id).await, [*cents], "{fault}");
        }
    }
    process.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_leg_that_comes_back_late_gives_the_first_back() {
    let process = Process::start().await;
    let api = process.api();
    let had = api.balance(api.account()).await;
    // Settles, completes, and is returned with R01 one settlement later.
    let id = api
        .transfer(api.method(0, "card-payment"), api.method(1, "ach-credit-standard"), 77_9401)
        .await;
    let transfer = api.until(&id, |now| now["givenBack"]["status"] == "completed").await;
    assert_eq!(transfer["status"], "reversed", "{transfer}");
    assert_eq!(in_force(&api, "ach", &transfer).await, 0, "{transfer}");
    assert_eq!(in_force(&api, "card", &transfer).await, 2, "a payment and its refund");
    assert_eq!(api.balance(api.account()).await, had);
    nothing_stays_in_transit(&api).await;
    let path = format!("/accounts/{}/transfers/{id}/timeline", api.account());
    let timeline = api.get(&path).await.json();
    let exchanges = timeline["exchanges"].as_array().unwrap();
    for (from, to, name) in [
        ("card", "card-host", "0100"),
        ("ach", "bank", "NACHA file"),
        ("bank", "ach", "return R01"),
    ] {
        let is_it = |one: &&Value| one["from"] == from && one["to"] == to && one["name"] == name;
        assert!(exchanges.iter().any(|one| is_it(&one)), "{from}>{to} {name}: {timeline}");
    }
    process.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_9600_later_ones_wait_and_complete() {
    let process = Process::start().await;
    let api = process.api();
    let had = api.balance(api.account()).await;
    let credit =
        async |value| api.transfer(api.wallet(), api.method(1, "ach-credit-standard"), value).await;
    let first = credit(77_9600).await;
    // The bank took its file, and then nobody reaches it for a while.
    api.until(&first, |now| now["waiting"]["reason"] == "awaiting-settlement").await;
    let second = credit(500).await;
    let away = |now: &Value| now["waiting"]["reason"] == "rail-unavailable";
    api.until(&second, away).await;
    for (id, value) in [(&first, 77_9600), (&second, 500)] {
        let transfer = api.settled(id).await;
        assert_eq!(transfer["status"], "completed", "{transfer}");
        assert_eq!(api.in_force("ach", id).await, [value]);
    }
    assert_eq!(api.balance(api.account()).await, had - 77_9600 - 500);
    process.verify();
}
