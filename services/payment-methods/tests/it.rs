//! payment-methods with accounts, a ledger and a rail that only emit, over a store in a directory.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

#[path = "it/cards.rs"]
mod cards;
#[path = "it/micro_deposits.rs"]
mod micro_deposits;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    Currency, Refusal,
    accounts::{AccountCreated, KeyCreated},
    ids::{AccountId, KeyId, PaymentMethodId, TransferId, WalletId},
    ledger::{LedgerRefused, WalletCreated},
    payment_methods::{
        BankAccountCreated, BankAccountUpdated, CardCreated, CardUpdated, MicroDepositsInitiated,
        PaymentMethodDisabled, PaymentMethodEnabled, ResolvePaymentMethods, Resolved, Reveal,
        Revealed,
    },
    rails::{Rail, RailOutcome, RailState},
};
use http_body_util::BodyExt;
use payment_methods::{Config, Deposits, SealingKey};
use runtime::{
    Clock, Command, Commit, Delivered, Fault, Handle, Running, Service, Settings, Tier, Work,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Insert, Kind, Location, Migration, OnConflict, Options, Sql, Store};
use tower::ServiceExt;

const NUMBER: &str = "48151623427";
/// The methods of a bank account that RTP reaches and that is not verified yet.
const UNVERIFIED: [&str; 4] =
    ["ach-credit-same-day", "ach-credit-standard", "ach-debit-collect", "rtp-credit"];

/// Stands for the ledger and for the rails: emits what it is told.
struct Mouth;
struct MakeWallet(WalletCreated);
struct Report(RailOutcome);
struct ReportReturn(RailOutcome);
struct RefuseTransfer(LedgerRefused);

impl Command for MakeWallet {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "MakeWallet";
    type Done = ();
}
impl Command for Report {
    const SERVICE: &'static str = "rtp";
    const NAME: &'static str = "Report";
    type Done = ();
}
impl Command for RefuseTransfer {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "RefuseTransfer";
    type Done = ();
}
impl Commit<RefuseTransfer> for Mouth {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[RefuseTransfer],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for RefuseTransfer(event) in batch.iter().chain(batch) {
            work.emit(event.transfer_id.row(), 0, event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}
impl Command for ReportReturn {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "ReportReturn";
    type Done = ();
}
impl Commit<ReportReturn> for Mouth {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[ReportReturn],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for ReportReturn(event) in batch {
            work.emit(event.transfer_id.row(), 0, event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}
impl Commit<MakeWallet> for Mouth {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[MakeWallet],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        // Each twice: a repeated event must change nothing.
        for MakeWallet(event) in batch.iter().chain(batch) {
            work.emit(event.wallet_id.row(), 0, event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}
impl Commit<Report> for Mouth {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Report],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for Report(event) in batch {
            work.emit(event.transfer_id.row(), 0, event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

/// Notes every event, in order, in a table of its own.
struct Ear;

static HEARD: Insert<3> = Insert::new(
    "ear_heard",
    [("sequence", Kind::Int), ("name", Kind::Text), ("data", Kind::Text)],
    OnConflict::None,
);
static MIGRATIONS: &[Migration] = &[Migration {
    owner: "ear",
    version: 1,
    name: "heard",
    sqlite: "CREATE TABLE ear_heard (sequence INTEGER PRIMARY KEY, name TEXT, data TEXT)",
    postgres: "CREATE TABLE ear_heard (sequence BIGINT PRIMARY KEY, name TEXT, data TEXT)",
}];

macro_rules! hears {
    ($($event:ty),+) => {$(
        impl Handle<$event> for Ear {
            fn handle(
                &self,
                work: &mut Work<'_, '_>,
                batch: &[Delivered<$event>],
            ) -> Result<(), Fault> {
                for event in batch {
                    let data = serde_json::to_string(&event.data).expect("plain data");
                    work.tx.insert_many(&HEARD, [&data], |data| {
                        let name = <$event as contracts::Event>::NAME;
                        [event.sequence.into(), name.into(), data.into()]
                    })?;
                }
                Ok(())
            }
        }
    )+};
}
hears!(
    BankAccountCreated,
    BankAccountUpdated,
    CardCreated,
    CardUpdated,
    MicroDepositsInitiated,
    PaymentMethodEnabled,
    PaymentMethodDisabled
);

/// An account that is its own platform, and an operator's key for it. Made anew at each start.
struct Register(String);
impl Command for Register {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "Register";
    type Done = AccountId;
}
impl Commit<Register> for Mouth {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Register],
    ) -> Result<Vec<Result<AccountId, Refusal>>, Fault> {
        let mut made = Vec::new();
        for Register(key) in batch {
            let account_id =
                AccountId(uuid::Uuid::from_u128(0x019a_8f3e_1c40_7000_8000_0000_0000_00aa));
            let created = AccountCreated {
                account_id,
                facilitator_id: account_id,
                display_name: "Platform".to_owned(),
                email: None,
                foreign_id: None,
            };
            work.emit(account_id.row(), 0, &created);
            let created = KeyCreated {
                key_id: KeyId(account_id.0),
                account_id,
                hash: Sha256::digest(key).to_vec(),
                scopes: vec!["operator".to_owned()],
            };
            work.emit(account_id.row(), 0, &created);
            made.push(Ok(account_id));
        }
        Ok(made)
    }
}

struct Platform {
    running: Running,
    key: String,
    account: AccountId,
    path: String,
}

fn open(directory: &Path, sandbox: bool) -> Result<Running, Fault> {
    let deposits = if sandbox { Deposits::Simulated } else { Deposits::Unavailable };
    open_with(directory, deposits, &Clock::system())
}

fn open_with(directory: &Path, deposits: Deposits, clock: &Clock) -> Result<Running, Fault> {
    let sandbox = deposits != Deposits::Unavailable;
    let sealing_key = SealingKey::load_or_create(&directory.join("sealing.key")).unwrap();
    let data = Location::Directory(directory.join("data"));
    let (store, mut writer) = Store::open(data, Options::default())?;
    let services = vec![
        Service::new("accounts", Tier::Service, Arc::new(Mouth)).commits::<Register>().wire(),
        payment_methods::service(Config { sandbox, deposits, sealing_key }).wire(),
        Service::new("ledger", Tier::Service, Arc::new(Mouth))
            .commits::<MakeWallet>()
            .commits::<RefuseTransfer>()
            .wire(),
        Service::new("ach", Tier::Rail, Arc::new(Mouth)).commits::<ReportReturn>().wire(),
        Service::new("rtp", Tier::Rail, Arc::new(Mouth)).commits::<Report>().wire(),
        Service::new("ear", Tier::Service, Arc::new(Ear))
            .tables(&["ear_heard"], MIGRATIONS)
            .handles::<BankAccountCreated>()
            .handles::<BankAccountUpdated>()
            .handles::<CardCreated>()
            .handles::<CardUpdated>()
            .handles::<MicroDepositsInitiated>()
            .handles::<PaymentMethodEnabled>()
            .handles::<PaymentMethodDisabled>()
            .wire(),
    ];
    writer.migrate(&runtime::migrations(&services))?;
    let settings =
        Settings { shards: 1, waiting_most: 1_000, sandbox, directory: None, clock: clock.clone() };
    runtime::start(store, writer, services, settings)
}

async fn start(directory: &Path, sandbox: bool) -> Platform {
    register(open(directory, sandbox).unwrap()).await
}

async fn register(running: Running) -> Platform {
    let key = "pk_test:sk_test".to_owned();
    let account = running.platform.commit(Register(key.clone())).await.unwrap();
    let path = format!("/accounts/{account}");
    let platform = Platform { running, key, account, path };
    // A consumer's commit may follow the answer's.
    until(async || platform.get("/payment-methods").await.0 == 200).await;
    platform
}

async fn until(done: impl AsyncFn() -> bool) {
    for _ in 0..300 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not come to pass in 3 s");
}

impl Platform {
    async fn ask(&self, method: &str, rest: &str, body: &str) -> (StatusCode, Value) {
        self.send(method, rest, body, &[]).await
    }
    async fn send(
        &self,
        method: &str,
        rest: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{rest}", self.path))
            .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(&self.key)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.running.public.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
    async fn get(&self, rest: &str) -> (StatusCode, Value) {
        self.ask("GET", rest, "").await
    }
    async fn link(&self, routing: &str, number: &str) -> (StatusCode, Value) {
        self.ask("POST", "/bank-accounts", &details(routing, number).to_string()).await
    }
    /// The enabled methods, by type.
    async fn methods(&self) -> BTreeMap<String, Value> {
        let (_, methods) = self.get("/payment-methods").await;
        let methods = methods.as_array().unwrap().iter();
        let typed =
            methods.map(|method| (text(&method["paymentMethodType"]).to_owned(), method.clone()));
        typed.collect()
    }
    async fn resolve(&self, query: &str) -> Resolved {
        let path = format!("/internal/payment-methods?{query}");
        self.running.platform.call::<ResolvePaymentMethods>("transfers", &path).await.unwrap().reply
    }
    async fn reveal(&self, methods: &str) -> Revealed {
        let path = format!("/internal/payment-methods/reveal?methods={methods}");
        self.running.platform.call::<Reveal>("rtp", &path).await.unwrap().reply
    }
    fn heard(&self) -> Vec<(String, Value)> {
        static ALL: Sql = Sql::new("SELECT name, data FROM ear_heard ORDER BY sequence");
        let read = self.running.platform.store().read(|tx| {
            tx.query(&ALL, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
        });
        let rows = read.unwrap().into_iter();
        rows.map(|(name, data)| (name, serde_json::from_str(&data).unwrap())).collect()
    }
    async fn names_heard(&self, count: usize) -> Vec<String> {
        until(async || self.heard().len() >= count).await;
        self.heard().into_iter().map(|(name, _)| name).collect()
    }
}

fn details(routing: &str, number: &str) -> Value {
    json!({"account": {"holderName": "Ada Smith", "holderType": "individual",
        "routingNumber": routing, "accountNumber": number, "bankAccountType": "checking"}})
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_account_from_link_to_disable() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let (status, bank) = platform.link("021000021", NUMBER).await;
    assert_eq!(status, 200, "{bank}");
    assert_eq!(bank["status"], "new");
    assert_eq!(bank["lastFourAccountNumber"], "3427");
    assert_eq!(bank["bankName"], "JPMorgan Chase Bank");
    assert_eq!(text(&bank["fingerprint"]).len(), 64);
    let (status, again) = platform.link("021000021", NUMBER).await;
    assert_eq!((status, &again["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{again}");
    let one = format!("/bank-accounts/{}", text(&bank["bankAccountID"]));
    assert_eq!(platform.get(&one).await, (StatusCode::OK, bank.clone()));
    assert_eq!(platform.get("/bank-accounts").await.1, json!([bank]));
    let methods = platform.methods().await;
    let kinds: Vec<&str> = methods.keys().map(String::as_str).collect();
    assert_eq!(kinds, UNVERIFIED);
    let method = &methods["rtp-credit"];
    assert_eq!(method["bankAccount"], bank);
    let id = text(&method["paymentMethodID"]);
    assert_eq!(platform.get(&format!("/payment-methods/{id}")).await.1, *method);

    // What a transfer and a rail see.
    let resolved = platform.resolve(&format!("ids={id}")).await.methods;
    assert!(resolved[0].enabled && resolved[0].bank_account.is_none());
    assert_eq!((resolved[0].version, resolved[0].rail), (1, Some(Rail::Rtp)));
    let detailed = platform.resolve(&format!("ids={id}&details=true")).await.methods;
    let shown = detailed[0].bank_account.as_ref().unwrap();
    assert_eq!(shown.last_four_account_number, "3427");
    let stranger = PaymentMethodId::from_slice(&[5; 16]).unwrap();
    let revealed = platform.reveal(&format!("{stranger}:1,{id}:1,{id}:2")).await.methods;
    let revoked: Vec<bool> = revealed.iter().map(|method| method.revoked).collect();
    assert_eq!(revoked, [true, false, true]);
    assert_eq!(revealed[1].account_number, NUMBER);
    assert_eq!(revealed[1].routing_number, "021000021");
    assert_eq!(revealed[1].payment_method_type, "rtp-credit");
    assert_eq!(
        (revealed[1].holder_type.as_str(), revealed[1].bank_account_type.as_str()),
        ("individual", "checking")
    );
    for (kind, method) in &methods {
        let id = text(&method["paymentMethodID"]);
        let revealed = platform.reveal(&format!("{id}:1")).await.methods;
        assert_eq!(revealed[0].payment_method_type, *kind);
        assert_eq!(revealed[0].account_number, NUMBER);
        let rail = if kind == "rtp-credit" { Rail::Rtp } else { Rail::Ach };
        assert_eq!(platform.resolve(&format!("ids={id}")).await.methods[0].rail, Some(rail));
    }
    assert!(revealed[0].account_number.is_empty() && revealed[2].account_number.is_empty());

    // Out of use: nothing shows it, no version opens, and it may be linked anew.
    for _ in 0..2 {
        assert_eq!(platform.ask("DELETE", &one, "").await, (StatusCode::OK, json!({})));
    }
    assert_eq!(platform.get(&one).await.0, 404);
    assert_eq!(platform.get("/bank-accounts").await.1, json!([]));
    assert_eq!(platform.get("/payment-methods").await.1, json!([]));
    assert_eq!(platform.get(&format!("/payment-methods/{id}")).await.0, 404);
    let resolved = platform.resolve(&format!("ids={id}")).await.methods;
    assert_eq!((resolved[0].enabled, resolved[0].version), (false, 2));
    let revealed = platform.reveal(&format!("{id}:1,{id}:2")).await.methods;
    assert!(revealed.iter().all(|method| method.revoked && method.account_number.is_empty()));
    let (status, anew) = platform.link("021000021", NUMBER).await;
    assert_eq!((status, &anew["fingerprint"]), (StatusCode::OK, &bank["fingerprint"]));
    let names = platform.names_heard(15).await;
    let mut expected = vec!["bankAccount.created"];
    expected.extend(["paymentMethod.enabled"; 4]);
    expected.extend(["paymentMethod.disabled"; 4]);
    expected.extend(["bankAccount.updated", "bankAccount.created"]);
    expected.extend(["paymentMethod.enabled"; 4]);
    assert_eq!(names, expected);
    assert_eq!(platform.heard()[9].1["status"], "disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_rule_answers_with_its_key_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let with = |field: &str, value: Value| {
        let mut body = details("021000021", NUMBER);
        body["account"][field] = value;
        body.to_string()
    };
    let mut short = details("021000021", NUMBER);
    short["account"].as_object_mut().unwrap().remove("holderType");
    let cases: Vec<(String, u16, &str)> = vec![
        (with("holderName", json!("")), 422, "account.holderName"),
        (with("holderName", json!("x".repeat(65))), 422, "account.holderName"),
        (with("holderName", json!("A\0")), 422, "account.holderName"),
        (with("holderType", json!("robot")), 422, "account.holderType"),
        (with("routingNumber", json!("000000000")), 422, "account.routingNumber"),
        (with("routingNumber", json!("021000022")), 422, "account.routingNumber"),
        (with("routingNumber", json!(21000021)), 422, "account.routingNumber"),
        (with("accountNumber", json!("123")), 422, "account.accountNumber"),
        (with("accountNumber", json!(48151623427u64)), 422, "account.accountNumber"),
        (with("accountNumber", json!("48151623427x")), 422, "account.accountNumber"),
        (with("bankAccountType", json!("piggy")), 422, "account.bankAccountType"),
        (with(NUMBER, json!(1)), 422, "account"),
        (short.to_string(), 422, "account.holderType"),
        (json!({ NUMBER: 1 }).to_string(), 422, "account"),
        ("{}".into(), 422, "account"),
        (format!(r#"{{"account":{{"accountNumber":"{NUMBER}"#), 400, "error"),
        ("x".repeat(70_000), 413, "error"),
    ];
    for (body, status, field) in cases {
        let (found, answer) = platform.ask("POST", "/bank-accounts", &body).await;
        let start: String = body.chars().take(90).collect();
        assert_eq!(found, status, "{start} {answer}");
        assert!(answer.get(field).is_some(), "{start} {answer}");
        assert!(!answer.to_string().contains(NUMBER), "{answer}");
    }
    assert_eq!(platform.get("/bank-accounts").await.1, json!([]));
    let unknown = format!("/bank-accounts/{}", platform.account);
    for (method, rest) in [("GET", ""), ("DELETE", ""), ("POST", "/micro-deposits"), ("GET", "x")] {
        let (status, _) = platform.ask(method, &format!("{unknown}{rest}"), "").await;
        assert_eq!(status, 404, "{method} {rest}");
    }
    for query in ["ids=", "ids=x", &format!("ids={}", ["x"; 101].join(","))] {
        let path = format!("/internal/payment-methods?{query}");
        let asked = platform.running.platform.call::<ResolvePaymentMethods>("transfers", &path);
        assert!(asked.await.is_err(), "{query}");
    }
    assert!(platform.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_becomes_one_method_however_often_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), false).await;
    let wallet_id = WalletId::from_slice(&[8; 16]).unwrap();
    let (account_id, currency) = (platform.account, Currency::USD);
    for _ in 0..2 {
        let event = WalletCreated { wallet_id, account_id, currency };
        platform.running.platform.commit(MakeWallet(event)).await.unwrap();
    }
    until(async || platform.get("/payment-methods").await.1 != json!([])).await;
    let (_, bank) = platform.link("021000021", NUMBER).await;
    let bank_id = text(&bank["bankAccountID"]);
    let (_, all) = platform.get("/payment-methods").await;
    let kinds = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        let mut kinds: Vec<_> =
            list.map(|method| text(&method["paymentMethodType"]).to_owned()).collect();
        kinds.sort();
        kinds
    };
    let mut every = UNVERIFIED.to_vec();
    every.insert(3, "moov-wallet");
    assert_eq!(kinds(&all), every);
    for (query, expected) in [
        (format!("sourceID={wallet_id}"), vec!["moov-wallet"]),
        (format!("sourceID={bank_id}"), UNVERIFIED.to_vec()),
        ("paymentMethodType=rtp-credit".to_owned(), vec!["rtp-credit"]),
        (format!("sourceID={bank_id}&paymentMethodType=moov-wallet"), vec![]),
    ] {
        let (status, some) = platform.get(&format!("/payment-methods?{query}")).await;
        assert_eq!(
            (status, kinds(&some)),
            (StatusCode::OK, expected.iter().map(|k| (*k).to_owned()).collect()),
            "{query}"
        );
    }
    assert_eq!(platform.get("/payment-methods?sourceID=x").await.0, 422);
    let of = |kind: &str| {
        let list = all.as_array().unwrap().iter();
        let found = list.clone().find(|method| method["paymentMethodType"] == kind).unwrap();
        text(&found["paymentMethodID"]).to_owned()
    };
    let (wallet, rtp) = (of("moov-wallet"), of("rtp-credit"));
    let resolved = platform.resolve(&format!("ids={rtp},{wallet}")).await.methods;
    let kinds: Vec<&str> = resolved.iter().map(|m| m.payment_method_type.as_str()).collect();
    assert_eq!(kinds, ["rtp-credit", "moov-wallet"], "in the order asked");
    assert_eq!((resolved[1].wallet_id, resolved[1].rail), (Some(wallet_id), None));
    assert!(platform.reveal(&format!("{wallet}:1")).await.methods[0].revoked, "nothing to open");
    let deposits = format!("/bank-accounts/{bank_id}/micro-deposits");
    assert_eq!(platform.ask("POST", &deposits, "").await.0, 503, "no rail outside the sandbox");
    let names = platform.names_heard(6).await;
    assert_eq!(names.iter().filter(|name| *name == "paymentMethod.enabled").count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_refusal_ends_the_bank_account_once() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let (_, bank) = platform.link("021000021", NUMBER).await;
    let one = format!("/bank-accounts/{}", text(&bank["bankAccountID"]));
    let rtp = platform.methods().await.remove("rtp-credit").unwrap();
    let method: PaymentMethodId = text(&rtp["paymentMethodID"]).parse().unwrap();
    let report = async |code: &str, method: Option<PaymentMethodId>, transfer: u8| {
        let event = RailOutcome {
            transfer_id: TransferId::from_slice(&[transfer; 16]).unwrap(),
            leg: 0,
            rail: Rail::Rtp,
            state: RailState::Rejected,
            network_code: Some(code.to_owned()),
            failure_code: None,
            reference: None,
            payment_method_id: method,
            stage: None,
            reason: None,
        };
        platform.running.platform.commit(Report(event)).await.unwrap();
    };
    report("AM04", Some(method), 1).await;
    report("AC04", None, 2).await;
    report("AC04", PaymentMethodId::from_slice(&[4; 16]), 3).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(platform.get(&one).await.1["status"], "new");
    report("AC04", Some(method), 4).await;
    report("AC04", Some(method), 5).await;
    until(async || platform.get(&one).await.1["status"] == "errored").await;
    assert_eq!(platform.get("/payment-methods").await.1, json!([]));
    assert!(platform.reveal(&format!("{method}:1")).await.methods[0].revoked);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let names = platform.names_heard(10).await;
    let mut expected = vec!["bankAccount.created"];
    expected.extend(["paymentMethod.enabled"; 4]);
    expected.extend(["paymentMethod.disabled"; 4]);
    expected.push("bankAccount.updated");
    assert_eq!(names, expected);
    assert_eq!(platform.heard()[9].1["status"], "errored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_return_ends_what_it_must_and_says_how_far_the_account_was() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    for (number, verify, state, status) in [
        ("5551", true, RailState::Returned, "errored"),
        ("5552", false, RailState::Rejected, "verificationFailed"),
    ] {
        let (_, bank) = platform.link("111326233", number).await;
        let id = text(&bank["bankAccountID"]);
        let one = format!("/bank-accounts/{id}");
        if verify {
            let deposits = format!("{one}/micro-deposits");
            platform.ask("POST", &deposits, "").await;
            platform.ask("PUT", &deposits, &json!({"amounts": [0, 0]}).to_string()).await;
        }
        let methods = platform.methods().await;
        assert_eq!(methods.contains_key("ach-debit-fund"), verify);
        let method = text(&methods["ach-debit-collect"]["paymentMethodID"]);
        for (code, transfer) in [("R01", 1), ("R03", 2), ("R03", 3)] {
            let event = RailOutcome {
                transfer_id: TransferId::from_slice(&[transfer; 16]).unwrap(),
                leg: 0,
                rail: Rail::Ach,
                state,
                network_code: Some(code.to_owned()),
                failure_code: None,
                reference: None,
                payment_method_id: Some(method.parse().unwrap()),
                stage: None,
                reason: None,
            };
            platform.running.platform.commit(ReportReturn(event)).await.unwrap();
        }
        until(async || platform.get(&one).await.1["status"] == status).await;
        assert!(platform.methods().await.is_empty());
        assert!(platform.reveal(&format!("{method}:1")).await.methods[0].revoked);
        let told = |(name, data): &&(String, Value)| {
            name == "bankAccount.updated" && data["status"] == status
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(platform.heard().iter().filter(told).count(), 1, "once: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_account_number_is_in_any_file_and_another_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let (_, bank) = platform.link("021000021", NUMBER).await;
    platform.link("021000021", NUMBER).await;
    platform
        .ask("POST", "/bank-accounts", &format!(r#"{{"account":{{"accountNumber":{NUMBER}"#))
        .await;
    let methods = platform.methods().await;
    let id = text(&methods["rtp-credit"]["paymentMethodID"]);
    assert_eq!(platform.reveal(&format!("{id}:1")).await.methods[0].account_number, NUMBER);
    let one = format!("/bank-accounts/{}", text(&bank["bankAccountID"]));
    platform.ask("DELETE", &one, "").await;
    platform.names_heard(10).await;
    assert!(!format!("{:?}", platform.heard()).contains(NUMBER));
    assert!(!platform.running.platform.metrics().contains(NUMBER));
    platform.running.stop().await;
    let mut files = 0;
    for file in std::fs::read_dir(directory.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(NUMBER));
        files += usize::from(holds("Ada Smith"));
    }
    assert!(files > 0, "the scan looks where the rows are");
    // The same directory under a new key must not start.
    std::fs::remove_file(directory.path().join("sealing.key")).unwrap();
    let refused = open(directory.path(), true).err().expect("refused");
    assert!(refused.to_string().contains("sealing.key"), "{refused}");
}
