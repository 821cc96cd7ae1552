//! accounts alone: the public API over a store in a temporary directory.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::sync::Arc;

use accounts::{Accounts, Bootstrap, Bootstrapped, Config};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    accounts::{AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked},
    ids::AccountId,
};
use http_body_util::BodyExt;
use runtime::{Clock, Delivered, Fault, Handle, Running, Service, Settings, Tier, Work};
use serde_json::{Value, json};
use store::{Insert, Kind, Location, Migration, OnConflict, Options, Sql, Store};
use tower::ServiceExt;

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
hears!(AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked);

struct Platform {
    running: Running,
    directory: tempfile::TempDir,
}

fn start_in(directory: tempfile::TempDir) -> Platform {
    let (store, mut writer) =
        Store::open(Location::Directory(directory.path().to_owned()), Options::default()).unwrap();
    let ear = Service::new("ear", Tier::Service, Arc::new(Ear))
        .tables(&["ear_heard"], MIGRATIONS)
        .handles::<AccountCreated>()
        .handles::<CapabilityUpdated>()
        .handles::<KeyCreated>()
        .handles::<KeyRevoked>();
    let services = vec![accounts::service(Config { sandbox: true }).wire(), ear.wire()];
    writer.migrate(&runtime::migrations(&services)).unwrap();
    let settings = Settings {
        shards: 1,
        waiting_most: 1_000,
        sandbox: true,
        directory: None,
        clock: Clock::system(),
    };
    let running = runtime::start(store, writer, services, settings).unwrap();
    Platform { running, directory }
}

fn start() -> Platform {
    start_in(tempfile::tempdir().unwrap())
}

impl Platform {
    async fn bootstrap(&self) -> Bootstrapped {
        let command = Bootstrap { name: "Switchyard Platform".to_owned() };
        self.running.platform.commit(command).await.unwrap()
    }
    async fn ask(&self, key: &str, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            let basic = format!("Basic {}", STANDARD.encode(key));
            request = request.header(header::AUTHORIZATION, basic);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.running.public.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
    fn heard(&self) -> Vec<(String, Value)> {
        static ALL: Sql = Sql::new("SELECT name, data FROM ear_heard ORDER BY sequence");
        let read = self.running.platform.store().read(|tx| {
            tx.query(&ALL, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
        });
        let rows = read.unwrap().into_iter();
        rows.map(|(name, data)| (name, serde_json::from_str(&data).unwrap())).collect()
    }
    /// Waits until so many events were heard; a consumer's commit may follow the answer's.
    async fn heard_at_least(&self, count: usize) -> Vec<(String, Value)> {
        for _ in 0..200 {
            if self.heard().len() >= count {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.heard()
    }
}

fn credentials(key: &contracts::accounts::Key) -> String {
    format!("{}:{}", key.public_key, key.secret_key.as_ref().unwrap())
}

fn person(name: &str) -> String {
    json!({
        "accountType": "individual",
        "profile": {"individual": {"name": {"firstName": name, "lastName": "Smith"},
            "email": format!("{name}@example.org")}},
        "foreignID": format!("f-{name}"),
        "metadata": {"tier": "gold"},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_account_is_made_once_and_each_call_makes_a_key() {
    let platform = start();
    let first = platform.bootstrap().await;
    let second = platform.bootstrap().await;
    assert!(first.created && !second.created);
    assert_eq!(first.account_id, second.account_id);
    assert_ne!(credentials(&first.key), credentials(&second.key));
    assert_eq!(first.key.scopes, ["operator"]);
    for key in [&first.key, &second.key] {
        let (status, keys) = platform.ask(&credentials(key), "GET", "/operations/keys", "").await;
        assert_eq!(status, 200, "{keys}");
        assert_eq!(keys.as_array().unwrap().len(), 2);
        assert!(keys[0].get("secretKey").is_none());
    }
    let heard = platform.heard_at_least(7).await;
    let names: Vec<&str> = heard.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[0], "account.created");
    assert_eq!(names[1..5], ["capability.updated"; 4]);
    assert_eq!(names[5..], ["key.created"; 2]);
    assert_eq!(heard[0].1["accountID"], heard[0].1["facilitatorID"]);
    // Another start on the same directory finds account and keys.
    let Platform { running, directory } = platform;
    running.stop().await;
    let platform = start_in(directory);
    let third = platform.bootstrap().await;
    assert!(!third.created && third.account_id == first.account_id);
    let (status, _) = platform.ask(&credentials(&first.key), "GET", "/accounts", "").await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_listed_and_read() {
    let platform = start();
    let own = platform.bootstrap().await;
    let key = credentials(&own.key);
    let (status, made) = platform.ask(&key, "POST", "/accounts", &person("Ada")).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["displayName"], "Ada Smith");
    assert_eq!(made["mode"], "sandbox");
    assert_eq!(made["foreignID"], "f-Ada");
    assert_eq!(made["metadata"]["tier"], "gold");
    let id = made["accountID"].as_str().unwrap();
    let path = format!("/accounts/{id}");
    let (status, read) = platform.ask(&key, "GET", &path, "").await;
    assert_eq!((status, &read), (StatusCode::OK, &made));
    let (status, capabilities) =
        platform.ask(&key, "GET", &format!("{path}/capabilities"), "").await;
    assert_eq!(status, 200);
    let names: Vec<&str> = capabilities
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["capability"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["collect-funds", "send-funds", "transfers", "wallet"]);
    assert!(capabilities.as_array().unwrap().iter().all(|c| c["status"] == "enabled"));
    let known = platform.running.platform.access().account(id.parse::<AccountId>().unwrap());
    let known = known.unwrap();
    assert_eq!(known.facilitator, own.account_id);
    assert_eq!(known.email.as_deref(), Some("Ada@example.org"));
    assert_eq!(known.capabilities.len(), 4);
    for name in ["Bob", "Cid"] {
        platform.ask(&key, "POST", "/accounts", &person(name)).await;
    }
    let (_, all) = platform.ask(&key, "GET", "/accounts", "").await;
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|a| a["displayName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&all), ["Switchyard Platform", "Ada Smith", "Bob Smith", "Cid Smith"]);
    let (_, some) = platform.ask(&key, "GET", "/accounts?skip=1&count=2", "").await;
    assert_eq!(names(&some), ["Ada Smith", "Bob Smith"]);
    for (query, field) in [("count=0", "count"), ("count=1001", "count"), ("skip=-1", "query")] {
        let (status, body) = platform.ask(&key, "GET", &format!("/accounts?{query}"), "").await;
        assert_eq!(status, 422, "{query}");
        assert!(body.get(field).is_some(), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_requested() {
    let platform = start();
    let own = platform.bootstrap().await;
    let key = credentials(&own.key);
    let mut body: Value = serde_json::from_str(&person("Ada")).unwrap();
    body["capabilities"] = json!(["transfers"]);
    let (_, made) = platform.ask(&key, "POST", "/accounts", &body.to_string()).await;
    let path = format!("/accounts/{}/capabilities", made["accountID"].as_str().unwrap());
    let before = platform.heard_at_least(8).await.len();
    let ask = json!({"capabilities": ["wallet", "transfers"]}).to_string();
    for _ in 0..2 {
        let (status, granted) = platform.ask(&key, "POST", &path, &ask).await;
        assert_eq!(status, 200, "{granted}");
        assert_eq!(granted.as_array().unwrap().len(), 2);
    }
    let (status, one) = platform.ask(&key, "GET", &format!("{path}/wallet"), "").await;
    assert_eq!((status, &one["status"]), (StatusCode::OK, &json!("enabled")));
    let (status, _) = platform.ask(&key, "GET", &format!("{path}/send-funds"), "").await;
    assert_eq!(status, 404);
    for bad in [r#"{"capabilities":[]}"#, r#"{"capabilities":["x"]}"#, r#"{}"#, r#"{"x":1}"#] {
        let (status, body) = platform.ask(&key, "POST", &path, bad).await;
        assert_eq!(status, 422, "{bad} {body}");
    }
    let heard = platform.heard_at_least(before + 1).await;
    assert_eq!(heard.len(), before + 1, "what is held is not granted again");
    assert_eq!(heard[before].1["capability"], "wallet");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_their_scopes_say_until_revoked() {
    let platform = start();
    let own = platform.bootstrap().await;
    let key = credentials(&own.key);
    let (_, ada) = platform.ask(&key, "POST", "/accounts", &person("Ada")).await;
    let (_, bob) = platform.ask(&key, "POST", "/accounts", &person("Bob")).await;
    let make = |account: &Value, scopes: &[&str]| {
        json!({"accountID": account["accountID"], "scopes": scopes}).to_string()
    };
    let (status, made) =
        platform.ask(&key, "POST", "/operations/keys", &make(&ada, &["profile.read"])).await;
    assert_eq!(status, 200, "{made}");
    let (public, secret) =
        (made["publicKey"].as_str().unwrap(), made["secretKey"].as_str().unwrap());
    assert!(public.starts_with("pk_") && secret.starts_with("sk_") && secret.len() == 46);
    let adas = format!("{public}:{secret}");
    let path = |account: &Value| format!("/accounts/{}", account["accountID"].as_str().unwrap());
    assert_eq!(platform.ask(&adas, "GET", &path(&ada), "").await.0, 200);
    assert_eq!(platform.ask(&adas, "GET", &path(&bob), "").await.0, 404, "another's account");
    let capabilities = format!("{}/capabilities", path(&ada));
    assert_eq!(platform.ask(&adas, "GET", &capabilities, "").await.0, 403, "no such scope");
    assert_eq!(platform.ask(&adas, "GET", "/operations/keys", "").await.0, 403);
    assert_eq!(platform.ask("", "GET", &path(&ada), "").await.0, 401);
    assert_eq!(platform.ask(&format!("{public}:sk_no"), "GET", &path(&ada), "").await.0, 401);
    // Only the hash is kept: the secret is nowhere in the files.
    let (_, keys) = platform.ask(&key, "GET", "/operations/keys", "").await;
    assert!(!keys.to_string().contains(secret));
    // Revoking is for good, and a second time changes nothing.
    let end = format!("/operations/keys/{}", made["keyID"].as_str().unwrap());
    let (status, first) = platform.ask(&key, "DELETE", &end, "").await;
    assert_eq!(status, 200);
    assert!(first["revokedOn"].is_string());
    for _ in 0..200 {
        if platform.ask(&adas, "GET", &path(&ada), "").await.0 == 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(platform.ask(&adas, "GET", &path(&ada), "").await.0, 401);
    assert_eq!(platform.ask(&key, "DELETE", &end, "").await.1, first);
    let heard = platform.heard();
    assert_eq!(heard.iter().filter(|(name, _)| name == "key.revoked").count(), 1);
    let unknown = format!("/operations/keys/{}", ada["accountID"].as_str().unwrap());
    assert_eq!(platform.ask(&key, "DELETE", &unknown, "").await.0, 404);
    let nobody = json!({"accountID": made["keyID"]}).to_string();
    assert_eq!(platform.ask(&key, "POST", "/operations/keys", &nobody).await.0, 404);
    let bad = make(&ada, &["everything"]);
    let (status, body) = platform.ask(&key, "POST", "/operations/keys", &bad).await;
    assert_eq!((status, body["scopes"].is_string()), (StatusCode::UNPROCESSABLE_ENTITY, true));
    let Platform { running, directory } = platform;
    running.stop().await;
    let secret = secret.as_bytes();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_change_nothing() {
    let platform = start();
    let own = platform.bootstrap().await;
    let key = credentials(&own.key);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let big = format!(r#"{{"accountType":"{}"}}"#, "x".repeat(70_000));
    let business = |name: &str| {
        json!({"accountType": "business", "profile": {"business": {"legalBusinessName": name}}})
            .to_string()
    };
    let cases: Vec<(String, u16, &str)> = vec![
        ("{".into(), 400, "error"),
        (String::new(), 400, "error"),
        (deep, 400, "error"),
        (big, 413, "error"),
        ("[]".into(), 400, "error"),
        ("7".into(), 422, "error"),
        (r#"{"profile":{}}"#.into(), 422, "accountType"),
        (r#"{"accountType":"business"}"#.into(), 422, "profile"),
        (r#"{"accountType":1,"profile":{}}"#.into(), 422, "accountType"),
        (r#"{"accountType":"business","profile":{},"x":1}"#.into(), 422, "x"),
        (business(""), 422, "profile.business.legalBusinessName"),
        (business("a\0b"), 422, "profile.business.legalBusinessName"),
        (person("").replace("f-", "f"), 422, "profile.individual.name.firstName"),
    ];
    for (body, status, field) in cases {
        let (found, answer) = platform.ask(&key, "POST", "/accounts", &body).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(found, status, "{start} {answer}");
        assert!(answer.get(field).is_some(), "{start} {answer}");
    }
    assert_eq!(platform.ask("", "POST", "/accounts", &business("W")).await.0, 401);
    assert_eq!(platform.ask(&key, "PATCH", "/accounts", "").await.0, 405);
    let (_, all) = platform.ask(&key, "GET", "/accounts", "").await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    let _: fn(Config) -> Service<Accounts> = accounts::service;
    // What Moov's SDKs send beside it is no fault.
    let mut sent: serde_json::Value = serde_json::from_str(&business("W")).unwrap();
    sent["mode"] = json!("sandbox");
    sent["termsOfService"] = json!({"token": "kgT1uxoMAk7QKuyJcmQE8nqW"});
    assert_eq!(platform.ask(&key, "POST", "/accounts", &sent.to_string()).await.0, 200);
}
