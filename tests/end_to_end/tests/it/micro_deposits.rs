//! Micro-deposits that are sent: the bank's files hold them, and only who can read its books can name
//! them.

use std::{path::Path, time::Duration};

use end_to_end::{Api, Process};
use nacha::{
    Addenda, Amount, Batch, BatchHeader, Date, Entry, File, FileHeader, FileModifier,
    OriginatorStatus, Return, ReturnCode, Sec, ServiceClass, Trace, TransactionCode,
    routing::RoutingNumber,
};
use serde_json::{Value, json};

/// The bank account of the first connected account, which the first start left unverified.
struct Linked {
    /// `/accounts/.../bank-accounts/...`
    path: String,
    account: String,
}

async fn linked(api: &Api) -> Linked {
    let account = api.connected(0).to_owned();
    let path = format!("/accounts/{account}/bank-accounts");
    let banks = api.get(&path).await.json();
    assert_eq!(banks[0]["status"], "new", "{banks}");
    let path = format!("{path}/{}", banks[0]["bankAccountID"].as_str().unwrap());
    Linked { path, account }
}

impl Linked {
    async fn initiate(&self, api: &Api) -> u16 {
        api.post(&format!("{}/micro-deposits", self.path), &json!({})).await.status
    }
    async fn name(&self, api: &Api, amounts: &[i64]) -> (u16, Value) {
        let path = format!("{}/micro-deposits", self.path);
        let request = api.request(reqwest::Method::PUT, &path).json(&json!({ "amounts": amounts }));
        let reply = api.send(request).await.unwrap();
        (reply.status, reply.json())
    }
    /// `status statusReason code`
    async fn state(&self, api: &Api) -> String {
        let bank = api.get(&self.path).await.json();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let code = &bank["exceptionDetails"]["achReturnCode"];
        format!("{} {} {}", text(&bank["status"]), text(&bank["statusReason"]), text(code))
    }
    /// Types of the account's payment methods.
    async fn methods(&self, api: &Api) -> Vec<String> {
        let methods = api.get(&format!("/accounts/{}/payment-methods", self.account)).await.json();
        let kind = |method: &Value| method["paymentMethodType"].as_str().unwrap().to_owned();
        methods.as_array().unwrap().iter().map(kind).collect()
    }
}

/// An entry of a micro-deposit, as the bank got it.
struct Got {
    cents: i64,
    account: String,
    trace: String,
}

/// What is in the bank's files under the description of micro-deposits; every other batch has none.
fn in_files(data: &Path) -> Vec<Got> {
    let mut got = Vec::new();
    for file in std::fs::read_dir(data.join("sandbox/ach-root/outbound")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ach") {
            continue;
        }
        for batch in nacha::parse(&std::fs::read(path).unwrap()).unwrap().batches {
            if batch.header.entry_description != "ACCTVERIFY" {
                continue;
            }
            assert_eq!(batch.header.sec, Sec::Ppd);
            got.extend(batch.entries.into_iter().map(|entry| Got {
                cents: i64::try_from(entry.amount.cents()).unwrap(),
                account: entry.account,
                trace: entry.trace.to_string(),
            }));
        }
    }
    got
}

/// The platform's transfers, once there are so many.
async fn transfers(api: &Api, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let all = api.get(&format!("/accounts/{}/transfers", api.account())).await.json();
        let all = all.as_array().unwrap();
        assert!(all.len() <= count, "{all:?}");
        if all.len() == count {
            let id = |transfer: &Value| transfer["transferID"].as_str().unwrap().to_owned();
            return all.iter().map(id).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are no {count} transfers")
}

async fn are_read_at_the_bank(process: Process) {
    let api = process.api();
    let had = api.balance(api.account()).await;
    let bank = linked(&api).await;
    assert!(!bank.methods(&api).await.contains(&"ach-debit-fund".to_owned()));
    assert_eq!(bank.name(&api, &[1, 2]).await.0, 409, "none were sent");
    for _ in 0..2 {
        assert_eq!(bank.initiate(&api).await, 204);
    }
    assert_eq!(bank.state(&api).await, "pending verification-initiated -");
    let pair = transfers(&api, 2).await;
    let mut told = Vec::new();
    for id in &pair {
        let transfer = api.settled(id).await;
        assert_eq!(transfer["status"], "completed", "{transfer}");
        assert_eq!(transfer["destination"]["paymentMethodType"], "ach-credit-same-day");
        told.push(transfer["amount"]["value"].as_i64().unwrap());
        // Who is to find them out does not see them.
        let path = format!("/accounts/{}/transfers/{id}", bank.account);
        assert_eq!(api.get(&path).await.status, 404);
    }
    let theirs = api.get(&format!("/accounts/{}/transfers", bank.account)).await.json();
    assert_eq!(theirs, json!([]));
    let got = in_files(&process.data());
    let mut cents: Vec<i64> = got.iter().map(|one| one.cents).collect();
    assert_eq!(cents.len(), 2);
    assert!(cents.iter().all(|cents| (1..=25).contains(cents)), "{cents:?}");
    assert!(got.iter().all(|one| one.account == "1000000001"));
    let books = api.books().await;
    for (id, amount) in pair.iter().zip(&told) {
        let row = books.iter().find(|row| row["transferID"] == **id).unwrap();
        assert_eq!((&row["rail"], &row["amount"]), (&json!("ach"), &json!(amount)));
    }
    assert_eq!(api.balance(api.account()).await, had - cents.iter().sum::<i64>());
    told.sort_unstable();
    cents.sort_unstable();
    assert_eq!(told, cents);
    let (status, answer) = bank.name(&api, &[cents[0], cents[1] % 25 + 1]).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("4 tries left"), "{answer}");
    let verified = bank.name(&api, &cents).await;
    assert_eq!(verified, (200, json!({ "status": "verified" })));
    assert_eq!(bank.state(&api).await, "verified verification-successful -");
    assert!(bank.methods(&api).await.contains(&"ach-debit-fund".to_owned()));
    process.verify_with_books(&api);
}

async fn come_back_with_a_code(process: Process) {
    let api = process.api();
    let had = api.balance(api.account()).await;
    let bank = linked(&api).await;
    assert_eq!(bank.initiate(&api).await, 204);
    let pair = transfers(&api, 2).await;
    let sent = |transfer: &Value| !transfer["destination"]["achDetails"]["traceNumber"].is_null();
    for id in &pair {
        api.until(id, sent).await;
    }
    let got = in_files(&process.data());
    let cents = u64::try_from(got[0].cents).unwrap();
    let file = return_of(&got[0].trace, cents);
    let beside = process.data().join("sandbox/return.ach");
    std::fs::write(&beside, file).unwrap();
    // Whole at once, as the bank does it.
    let returned = process.data().join("sandbox/ach-root/returned/return-900001.ach");
    std::fs::rename(beside, returned).unwrap();
    let failed = "verificationFailed micro-deposit-return R03";
    for _ in 0..1_000 {
        if bank.state(&api).await == failed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bank.state(&api).await, failed);
    assert_eq!(bank.methods(&api).await.iter().filter(|kind| kind.starts_with("ach")).count(), 0);
    let amounts: Vec<i64> = got.iter().map(|one| one.cents).collect();
    assert_eq!(bank.name(&api, &amounts).await.0, 409);
    assert_eq!(bank.initiate(&api).await, 409);
    let mut ends = Vec::new();
    for id in &pair {
        let transfer = api.settled(id).await;
        let end = |transfer: &Value| {
            let trace = &transfer["destination"]["achDetails"]["traceNumber"];
            let is_it = *trace == got[0].trace.as_str();
            !is_it || ["failed", "reversed"].contains(&transfer["status"].as_str().unwrap())
        };
        ends.push(api.until(transfer["transferID"].as_str().unwrap(), end).await);
    }
    let paid: i64 = ends
        .iter()
        .filter(|transfer| transfer["status"] == "completed")
        .map(|transfer| transfer["amount"]["value"].as_i64().unwrap())
        .sum();
    assert_eq!(paid, got[1].cents, "the other stays paid");
    assert_eq!(api.balance(api.account()).await, had - paid);
}

/// A file in which the bank of the account returns one of our entries: no account of that number.
fn return_of(original: &str, cents: u64) -> Vec<u8> {
    let rdfi = RoutingNumber::parse("021000021").unwrap();
    let ours = RoutingNumber::parse("091000019").unwrap();
    let trace = Trace::new(rdfi.dfi(), 1).unwrap();
    let entry = Entry {
        transaction_code: TransactionCode::parse("21").unwrap(),
        rdfi: ours,
        account: "1000000001".to_owned(),
        amount: Amount::new(cents).unwrap(),
        individual_id: String::new(),
        individual_name: "Lena Fischer".to_owned(),
        discretionary: String::new(),
        addenda: vec![Addenda::Return(Return {
            code: ReturnCode::new(3).unwrap(),
            original_trace: Trace::parse(original).unwrap(),
            date: String::new(),
            original_rdfi: rdfi.dfi(),
            information: String::new(),
            trace,
        })],
        trace,
    };
    let header = BatchHeader {
        service_class: ServiceClass::Mixed,
        company_name: "SWITCHYARD".to_owned(),
        company_data: String::new(),
        company_id: "1990010001".to_owned(),
        sec: Sec::Ppd,
        entry_description: "ACCTVERIFY".to_owned(),
        descriptive_date: String::new(),
        effective_date: Date::parse("261125"),
        settlement_date: "329".to_owned(),
        originator_status: OriginatorStatus::Bound,
        odfi: rdfi.dfi(),
        number: 1,
    };
    let batch = Batch { header, entries: vec![entry], authentication_code: String::new() };
    let header = FileHeader {
        immediate_destination: ours,
        immediate_origin: "021000021".to_owned(),
        created: Date::parse("261125").unwrap(),
        created_time: None,
        modifier: FileModifier::FIRST,
        destination_name: "US".to_owned(),
        origin_name: "BANK".to_owned(),
        reference_code: String::new(),
    };
    File { header, batches: vec![batch] }.write().unwrap()
}

/// Both engines, each with this flag.
macro_rules! sending {
    ($($case:ident),* $(,)?) => {
        $(mod $case {
            #[tokio::test(flavor = "multi_thread")]
            async fn embedded() {
                super::$case(end_to_end::Process::start_with(super::SENT).await).await;
            }
            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql() {
                let started = end_to_end::Process::start_on_postgresql_with(super::SENT).await;
                if let Some(process) = started {
                    super::$case(process).await;
                }
            }
        })*
    };
}
const SENT: &[&str] = &["--send-micro-deposits"];
sending!(are_read_at_the_bank, come_back_with_a_code);

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_answer_makes_neither_more_nor_fewer() {
    let mut process = Process::start_with(SENT).await;
    let bank = linked(&process.api()).await;
    assert_eq!(bank.initiate(&process.api()).await, 204);
    process.kill();
    process.again().await;
    let api = process.api();
    let pair = transfers(&api, 2).await;
    for id in &pair {
        assert_eq!(api.settled(id).await["status"], "completed");
    }
    assert_eq!(transfers(&api, 2).await.len(), 2);
    let cents: Vec<i64> = in_files(&process.data()).iter().map(|one| one.cents).collect();
    assert_eq!(cents.len(), 2, "{cents:?}");
    assert_eq!(bank.name(&api, &cents).await.0, 200);
    process.verify_with_books(&api);
    // No client was told of a transfer: a journal without a line has all that there should be.
    let journal = process.data().join("journal.jsonl");
    std::fs::write(&journal, "").unwrap();
    process.verify_with(&["--journal", journal.to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_leaves_the_account_as_it_was() {
    let process = Process::start_with(SENT).await;
    let api = process.api();
    let had = api.balance(api.account()).await;
    // All of it to somebody else.
    let wallets = api.get(&format!("/accounts/{}/payment-methods", api.connected(1))).await.json();
    let wallet = wallets.as_array().unwrap().iter();
    let wallet = wallet.clone().find(|method| method["paymentMethodType"] == "moov-wallet");
    let wallet = wallet.unwrap()["paymentMethodID"].as_str().unwrap().to_owned();
    let all = api.transfer(api.wallet(), &wallet, had).await;
    assert_eq!(api.settled(&all).await["status"], "completed");
    let bank = linked(&api).await;
    assert_eq!(bank.initiate(&api).await, 204);
    for id in transfers(&api, 3).await.iter().filter(|id| **id != all) {
        let transfer = api.settled(id).await;
        assert_eq!(transfer["failureReason"], "wallet-insufficient-funds", "{transfer}");
    }
    for _ in 0..500 {
        if bank.state(&api).await == "new other -" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bank.state(&api).await, "new other -");
    let back = api.transfer(&wallet, api.wallet(), 1_000).await;
    assert_eq!(api.settled(&back).await["status"], "completed");
    assert_eq!(bank.initiate(&api).await, 204, "it may be asked for again");
    for id in transfers(&api, 6).await {
        api.settled(&id).await;
    }
    let cents: Vec<i64> = in_files(&process.data()).iter().map(|one| one.cents).collect();
    assert_eq!(bank.name(&api, &cents).await.0, 200);
    process.verify_with_books(&api);
}
