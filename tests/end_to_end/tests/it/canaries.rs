//! No card or account number is anywhere but sealed: a thousand of them are linked and used, with
//! refusals and faults among the uses, and looked for in all that was answered, logged or stored.

use std::{path::Path, sync::Arc};

use base64::Engine;
use end_to_end::{Api, Canaries, Found, Process, distinct};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CARDS: usize = 500;
const BANKS: usize = 500;
/// Connected accounts that share them.
const ACCOUNTS: usize = 10;
/// All log lines there are.
const FLAGS: [&str; 3] = ["--keep-wire", "--log", "trace"];

/// Other numbers in each run, so that no earlier run's are found.
struct Digits(u64);

impl Digits {
    fn new(number: u64) -> Self {
        Self(u64::from(std::process::id()) << 8 | number)
    }
    fn some(&mut self, count: usize) -> String {
        let mut digits = String::new();
        for _ in 0..count {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            digits.push(char::from(b'0' + u8::try_from((self.0 >> 33) % 10).unwrap()));
        }
        digits
    }
    fn card(&mut self, bin: &str) -> String {
        let body = format!("{bin}{}", self.some(15 - bin.len()));
        let sum: u32 = body
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, byte)| {
                let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    }
}

/// First the cards, then the bank accounts.
fn numbers(run: u64) -> Vec<String> {
    let mut digits = Digits::new(run);
    let bins = ["411110", "400555", "510510", "601100", "222300"];
    let cards = (0..CARDS).map(|card| bins[card % bins.len()]);
    let mut all: Vec<String> = cards.map(|bin| digits.card(bin)).collect();
    all.extend((0..BANKS).map(|_| format!("7{}", digits.some(14))));
    all
}

fn card_body(number: &Value) -> Value {
    json!({
        "cardNumber": number, "cardCvv": "123", "holderName": "Lena Fischer",
        "expiration": { "month": "12", "year": "2049" },
        "billingAddress": { "addressLine1": "1 Main St", "postalCode": "80301" },
    })
}

fn bank_body(number: &Value) -> Value {
    json!({ "account": {
        "holderName": "Lena Fischer", "holderType": "individual", "routingNumber": "021000021",
        "accountNumber": number, "bankAccountType": "checking",
    }})
}

/// What somebody may do wrong with a number; whatever is answered must not name it.
async fn mistakes(api: &Api, path: &str, number: &str, body: fn(&Value) -> Value) {
    let twice = api.post(path, &body(&number.into())).await;
    assert!((200..500).contains(&twice.status), "{twice:?}");
    let value: u64 = number.parse().unwrap();
    let (good, text) = (body(&number.into()), body(&number.into()).to_string());
    let mut unknown = good.clone();
    unknown[number] = number.into();
    let wrong = [
        body(&value.into()),
        body(&json!([number])),
        body(&format!("{number}x").into()),
        body(&format!("{} {}", &number[..4], &number[4..]).into()),
        unknown,
        json!(number),
        json!({ "account": number, "cardNumber": { "number": number } }),
    ];
    for body in wrong {
        let reply = api.post(path, &body).await;
        assert!((400..500).contains(&reply.status), "{body} {reply:?}");
    }
    for broken in [&text[..text.len() - 1], &text.replace(':', "="), &format!("{text}{number}")] {
        let request = api.request(Method::POST, path);
        let request = request.header("content-type", "application/json").body(broken.to_owned());
        let reply = api.send(request).await.unwrap();
        assert!((400..500).contains(&reply.status), "{broken} {reply:?}");
    }
}

/// Links one number to an account; its payment methods.
async fn link(api: &Api, account: &str, number: &str, is_card: bool) -> Vec<Value> {
    let (kind, id) = if is_card { ("cards", "cardID") } else { ("bank-accounts", "bankAccountID") };
    let body = if is_card { card_body } else { bank_body };
    let path = format!("/accounts/{account}/{kind}");
    let linked = api.post(&path, &body(&number.into())).await;
    assert_eq!(linked.status, 200, "{linked:?}");
    let id = linked.text_of(id);
    if !is_card && number.ends_with(['0', '1', '2', '3']) {
        let deposits = format!("{path}/{id}/micro-deposits");
        assert_eq!(api.post(&deposits, &json!({})).await.status, 204);
        let request = api.request(Method::PUT, &deposits).json(&json!({ "amounts": [0, 0] }));
        assert_eq!(api.send(request).await.unwrap().status, 200);
    }
    assert_eq!(api.get(&format!("{path}/{id}")).await.status, 200);
    let methods = format!("/accounts/{account}/payment-methods?sourceID={id}");
    api.get(&methods).await.json().as_array().unwrap().clone()
}

/// Links all of them; the payment methods of each number.
async fn link_all(api: &Api, numbers: &[String]) -> Vec<Vec<Value>> {
    let mut accounts = Vec::new();
    for account in 0..ACCOUNTS {
        let name = json!({ "firstName": "Lena", "lastName": format!("Fischer {account}") });
        let body =
            json!({ "accountType": "individual", "profile": { "individual": { "name": name } } });
        accounts.push(api.post("/accounts", &body).await.text_of("accountID"));
    }
    let mut tasks = JoinSet::new();
    for (share, account) in accounts.into_iter().enumerate() {
        let (api, numbers) = (api.clone(), numbers.to_vec());
        tasks.spawn(async move {
            let mut linked = Vec::new();
            for place in (share..numbers.len()).step_by(ACCOUNTS) {
                linked.push((place, link(&api, &account, &numbers[place], place < CARDS).await));
            }
            for (path, place, body) in [
                ("cards", share, card_body as fn(&Value) -> Value),
                ("bank-accounts", CARDS + share, bank_body),
            ] {
                mistakes(&api, &format!("/accounts/{account}/{path}"), &numbers[place], body).await;
            }
            for list in ["cards", "bank-accounts", "payment-methods"] {
                assert_eq!(api.get(&format!("/accounts/{account}/{list}")).await.status, 200);
            }
            linked
        });
    }
    let mut all: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, methods)| methods).collect()
}

/// Pays by every way of a few of these numbers at once, each with an amount of its own; the ids.
async fn pay(api: &Api, methods: &[Vec<Value>], kind: &str, amounts: &[i64]) -> Vec<String> {
    let of_kind = methods.iter().flatten().filter(|one| one["paymentMethodType"] == kind);
    let mut ids = Vec::new();
    for (method, amount) in of_kind.zip(amounts) {
        let method = method["paymentMethodID"].as_str().unwrap();
        let comes_in = ["card-payment", "pull-from-card", "ach-debit-fund"].contains(&kind);
        let (from, to) = if comes_in { (method, api.wallet()) } else { (api.wallet(), method) };
        ids.push(api.transfer(from, to, *amount).await);
    }
    assert_eq!(ids.len(), amounts.len(), "{kind}: there are as many methods");
    ids
}

/// Transfers on every rail: what completes, every sort of refusal, and faults of the connection.
async fn use_them(api: &Api, methods: &[Vec<Value>]) -> Vec<String> {
    let (cards, banks) = methods.split_at(CARDS);
    let mut ids = Vec::new();
    let card = [1_000, 77_9700, 77_9701, 77_9702, 77_9705, 77_9714, 1_100, 1_200];
    ids.extend(pay(api, &cards[..100], "card-payment", &card).await);
    ids.extend(pay(api, &cards[100..200], "push-to-card", &card).await);
    ids.extend(pay(api, &cards[200..300], "pull-from-card", &[1_000, 77_9751, 1_100]).await);
    let rtp = [1_000, 77_9500, 77_9501, 77_9502, 77_9511, 77_9521, 1_100, 1_200];
    ids.extend(pay(api, &banks[..100], "rtp-credit", &rtp).await);
    // A change of the account number is among them, and returns before and after the settlement.
    let ach = [1_000, 77_9901, 77_9801, 77_9803, 77_9807, 77_9903, 77_9409, 1_100];
    ids.extend(pay(api, &banks[100..200], "ach-debit-fund", &ach).await);
    ids.extend(pay(api, &banks[200..300], "ach-credit-standard", &ach).await);
    for id in &ids {
        api.settled(id).await;
    }
    let faults = ["drop-reply", "garbage", "close-mid-message", "half-open", "duplicate-reply"];
    for (round, fault) in faults.into_iter().enumerate() {
        for rail in ["card", "rtp"] {
            let fault = json!({ "rail": rail, "fault": fault, "count": 1 });
            assert_eq!(api.post("/sandbox/faults", &fault).await.status, 200);
        }
        let some = 300 + 10 * round..310 + 10 * round;
        let mut now = pay(api, &cards[some.clone()], "card-payment", &[900, 901]).await;
        now.extend(pay(api, &banks[some], "rtp-credit", &[900, 901]).await);
        for id in &now {
            api.settled(id).await;
        }
        ids.extend(now);
    }
    for (round, fault) in ["partial-upload", "rename-fails", "disk-full"].into_iter().enumerate() {
        let body = json!({ "rail": "ach", "fault": fault, "count": 1 });
        assert_eq!(api.post("/sandbox/faults", &body).await.status, 200);
        let some = &banks[400 + 10 * round..410 + 10 * round];
        let now = pay(api, some, "ach-credit-standard", &[900, 901, 902]).await;
        for id in &now {
            api.settled(id).await;
        }
        ids.extend(now);
    }
    ids
}

/// Asks for everything that shows what was done.
async fn look_around(api: &Api, transfers: &[String]) {
    for id in transfers {
        for path in ["", "/timeline", "/events"] {
            let reply = api.get(&format!("/accounts/{}/transfers/{id}{path}", api.account())).await;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }
    let mut path = "/events".to_owned();
    loop {
        let page = api.get(&path).await.json();
        if page["events"].as_array().unwrap().is_empty() {
            break;
        }
        path = match &page["next"] {
            Value::String(next) => format!("/events?after={next}"),
            next => format!("/events?after={next}"),
        };
    }
    for path in [
        "/metrics",
        "/health/ready",
        "/ledger/accounts",
        "/ledger/journal",
        "/operations/ach/exceptions",
        "/operations/ach/files",
        "/operations/dead-letters",
        "/operations/rails",
        "/operations/topology",
        "/sandbox/books",
    ] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
}

fn assert_none(found: &[Found]) {
    assert!(
        found.is_empty(),
        "{} numbers: {:#?}",
        distinct(found).len(),
        &found[..found.len().min(20)]
    );
}

async fn nowhere(mut process: Process, run: u64) {
    let _alone = crate::MACHINE.lock().await;
    let numbers = numbers(run);
    let canaries = Arc::new(Canaries::new(&numbers));
    let api = process.api().that_keeps_answers();
    let methods = link_all(&api, &numbers).await;
    let transfers = use_them(&api, &methods).await;
    look_around(&api, &transfers).await;
    assert_none(&canaries.search("answers", &api.answers()));
    // Not stopped: the write-ahead log is there as it was.
    process.kill();
    let sandbox = process.data().join("sandbox");
    // They did go out, and are found where they did: the search sees what it should.
    let (wire, _) = canaries.search_folder(&sandbox, &[]);
    assert!(distinct(&wire).len() > 70, "only {} were used", distinct(&wire).len());
    let (found, size) = canaries.search_folder(process.folder(), &[&sandbox]);
    assert!(process.log().contains("DEBUG"), "all that can be logged is");
    assert_none(&found);
    let Some((rows, server)) = process.rows_and_server().await else {
        assert!(size > 1_000_000, "{size} bytes of a database and its log");
        return;
    };
    assert!(rows.lines().count() > 5_000, "all tables were read");
    assert_none(&canaries.search("rows", rows.as_bytes()));
    if std::fs::read_dir(&server).is_err() {
        eprintln!("\n!!! SKIPPED: {} of PostgreSQL cannot be read here !!!\n", server.display());
        return;
    }
    let (found, size) = canaries.search_folder(&server, &[]);
    assert!(size > 10_000_000, "{size} bytes of PostgreSQL's directory");
    assert_none(&found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_numbers_are_nowhere_embedded() {
    nowhere(Process::start_with(&FLAGS).await, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_numbers_are_nowhere_on_postgresql() {
    if let Some(process) = Process::start_on_postgresql_with(&FLAGS).await {
        nowhere(process, 1).await;
    }
}

/// One number in every form, between other bytes.
fn planted(number: &str) -> Vec<(String, &'static str, Vec<u8>)> {
    let utf16 = |swap: bool| -> Vec<u8> {
        let units = number.encode_utf16();
        units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let grouped = |size: usize, with: &str| -> Vec<u8> {
        let groups: Vec<&[u8]> = number.as_bytes().chunks(size).collect();
        groups.join(with.as_bytes())
    };
    let packed = |digits: String| -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| pair.iter().fold(0, |all, one| all << 4 | (one - b'0'))).collect()
    };
    let even = |before: &str, after: &str| {
        let digits = format!("{before}{number}{after}");
        packed(if digits.len() % 2 == 0 { digits } else { format!("{digits}0") })
    };
    let base64 = |before: &str| {
        let text = format!("{before}{number}xy");
        base64::engine::general_purpose::STANDARD.encode(text).into_bytes()
    };
    let value: u64 = number.parse().unwrap();
    let hex = number.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let all: [(&str, &'static str, Vec<u8>); 15] = [
        ("ASCII", "digits", number.into()),
        ("blanks", "digits", grouped(4, " ")),
        ("hyphens", "digits", grouped(4, "-")),
        ("spaced", "digits", grouped(1, " ")),
        ("UTF-16LE", "digits", utf16(false)),
        ("UTF-16BE", "digits", utf16(true)),
        ("packed from the high half", "packed", even("", "")),
        ("packed from the low half", "packed", even("0", "")),
        ("packed within more", "packed", even("12", "34")),
        ("base64 at 0", "base64", base64("")),
        ("base64 at 1", "base64", base64("a")),
        ("base64 at 2", "base64", base64("ab")),
        ("hexadecimal", "hex", hex.into()),
        ("big endian", "binary", value.to_be_bytes().to_vec()),
        ("little endian", "binary", value.to_le_bytes().to_vec()),
    ];
    all.map(|(name, form, bytes)| (name.to_owned(), form, bytes)).to_vec()
}

#[test]
fn the_search_finds_each_form_in_a_file_and_nothing_else() {
    let numbers = numbers(2);
    let canaries = Canaries::new(&numbers);
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let file = inner.join("planted");
    let search = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let (found, size) = canaries.search_folder(folder.path(), &[]);
        assert_eq!(size, bytes.len());
        found
    };
    for place in [0, CARDS - 1, CARDS, CARDS + BANKS - 1] {
        for (name, form, bytes) in planted(&numbers[place]) {
            for around in [&b""[..], b"\x00\xff\"", b"zz"] {
                let found = search(&[around, &bytes, around].concat());
                let one = found.iter().find(|one| one.number == place && one.form == form);
                assert!(one.is_some(), "{name} of {}: {found:?}", numbers[place]);
                assert_eq!(distinct(&found).len(), 1, "{name}: {found:?}");
            }
        }
        // What may be shown, and a neighbour, are no finds.
        let number = &numbers[place];
        let (first, last) = (&number[..6], &number[number.len() - 4..]);
        assert_none(&search(format!("{first}******{last} {first} {last}").as_bytes()));
        let other = if number[8..].starts_with('9') { '0' } else { '9' };
        let neighbour = format!("{}{other}{}", &number[..8], &number[9..]);
        let forms = planted(&neighbour).into_iter().map(|(_, _, bytes)| bytes);
        assert_none(&search(&forms.collect::<Vec<_>>().join(&b"\xff"[..])));
    }
    let (found, size) = canaries.search_folder(folder.path(), &[Path::new(&inner)]);
    assert!(found.is_empty() && size == 0, "a folder that is left out");
}
