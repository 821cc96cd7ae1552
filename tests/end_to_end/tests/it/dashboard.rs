//! The dashboard as HTTP: who gets in, which forms are taken, what every answer says to a browser.

use std::collections::BTreeMap;

use end_to_end::{Api, Process};
use reqwest::{Client, Method, redirect::Policy};
use serde_json::{Value, json};

/// A browser without a screen: one cookie, no redirects.
struct Visitor {
    client: Client,
    base: String,
    cookie: String,
}

struct Page {
    status: u16,
    to: String,
    cookie: String,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Page {
    /// The value of a hidden field.
    fn hidden(&self, name: &str) -> String {
        let field = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&field).unwrap_or_else(|| panic!("no {name}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Visitor {
    fn new(process: &Process) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, base: process.base(), cookie: String::new() }
    }
    async fn signed_in(process: &Process) -> Self {
        let api = process.api();
        let mut visitor = Self::new(process);
        let (public, secret) = api.key();
        let page = visitor.sign_in(public, secret).await;
        assert_eq!((page.status, page.to.as_str()), (303, "/dashboard"));
        page.cookie.split(';').next().unwrap().clone_into(&mut visitor.cookie);
        visitor
    }
    async fn sign_in(&self, public: &str, secret: &str) -> Page {
        self.post("/dashboard/sign-in", &[("public", public), ("secret", secret)]).await
    }
    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let reply = request.header("cookie", &self.cookie).send().await.unwrap();
        let headers = reply.headers().clone();
        let text = |name: &str| {
            headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (to, cookie) = (text("location"), text("set-cookie"));
        let status = reply.status().as_u16();
        Page { status, to, cookie, headers, text: reply.text().await.unwrap() }
    }
    async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(Some(&self.base), path, fields).await
    }
    async fn post_from(&self, origin: Option<&str>, path: &str, fields: &[(&str, &str)]) -> Page {
        let encode = |text: &str| text.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let mut request = self.client.request(Method::POST, format!("{}{path}", self.base));
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        self.send(request.body(pairs.collect::<Vec<_>>().join("&"))).await
    }
}

async fn count(api: &Api) -> usize {
    let path = format!("/accounts/{}/transfers", api.account());
    api.get(&path).await.json().as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_key() {
    let process = Process::start().await;
    let (api, visitor) = (process.api(), Visitor::new(&process));
    for page in ["", "/transfers", "/transfers/new", "/rails", "/dead-letters", "/transfers/x/live"]
    {
        let page = visitor.get(&format!("/dashboard{page}")).await;
        assert_eq!((page.status, page.to.as_str()), (303, "/dashboard/sign-in"));
        assert!(page.text.is_empty());
    }
    let (public, secret) = api.key();
    let mut answers = Vec::new();
    for (public, secret) in [(public, "x"), ("x", secret), ("", ""), ("a:b", "c")] {
        let page = visitor.sign_in(public, secret).await;
        assert_eq!((page.status, page.cookie.as_str()), (401, ""));
        let at = page.text.find("No key has these two halves.").unwrap();
        answers.push(page.text[at..at + 60].to_owned());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same words for every reason: {answers:?}");
    for cookie in ["switchyard=00000000000000000000000000000000", "switchyard=x", "switchyard"] {
        let stranger = Visitor { cookie: cookie.to_owned(), ..Visitor::new(&process) };
        assert_eq!(stranger.get("/dashboard/transfers").await.status, 303, "{cookie}");
    }
    let page = visitor.sign_in(public, secret).await;
    assert!(
        page.cookie.ends_with("; Path=/dashboard; HttpOnly; SameSite=Strict"),
        "{}",
        page.cookie
    );
    let again = visitor.sign_in(public, secret).await;
    assert_ne!(page.cookie, again.cookie, "a fresh secret for each session");
    // Behind TLS the cookie has the name that no other host can set.
    let request = visitor.client.post(format!("{}/dashboard/sign-in", visitor.base));
    let request = request.header("origin", &visitor.base).header("x-forwarded-proto", "https");
    let page = visitor.send(request.body(format!("public={public}&secret={secret}"))).await;
    assert!(page.cookie.starts_with("__Host-switchyard="), "{}", page.cookie);
    assert!(
        page.cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
        "{}",
        page.cookie
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_browsers_strict() {
    let process = Process::start().await;
    let visitor = Visitor::signed_in(&process).await;
    for (page, status) in [
        ("", 200),
        ("/transfers", 200),
        ("/transfers/new", 200),
        ("/rails", 200),
        ("/dead-letters", 200),
        ("/style.css", 200),
        ("/script.js", 200),
        ("/icon.svg", 200),
        ("/nothing", 404),
        ("/transfers/nothing", 404),
        ("/transfers/019a8f3e-1c40-7000-8000-0000000000aa", 404),
        ("/dead-letters/nothing", 404),
        ("/dead-letters/a:b:0:1", 404),
    ] {
        let answer = visitor.get(&format!("/dashboard{page}")).await;
        assert_eq!(answer.status, status, "{page}");
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        if page.contains('.') {
            continue;
        }
        assert_eq!(header("cache-control"), "no-store");
        for inline in ["<style", " style=", "onclick", "javascript:", "https://", "src=\"http"] {
            assert!(!answer.text.contains(inline), "{page} has {inline}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_taken_from_our_own_pages_alone() {
    let process = Process::start().await;
    let (api, visitor) = (process.api(), Visitor::signed_in(&process).await);
    let page = visitor.get("/dashboard/transfers/new").await;
    let (token, key) = (page.hidden("token"), page.hidden("key"));
    let fields = |token: &str, key: &str, amount: &str| {
        [
            ("token", token.to_owned()),
            ("key", key.to_owned()),
            ("source", api.wallet().to_owned()),
            ("destination", api.method(0, "moov-wallet").to_owned()),
            ("amount", amount.to_owned()),
        ]
    };
    let send = async |origin: Option<&str>, fields: [(&str, String); 5]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        visitor.post_from(origin, "/dashboard/transfers/new", &fields).await
    };
    let own = visitor.base.clone();
    for origin in [None, Some("null"), Some("http://evil.example"), Some("http://127.0.0.1:1")] {
        let page = send(origin, fields(&token, &key, "1.00")).await;
        assert_eq!(page.status, 403, "{origin:?}");
    }
    for wrong in ["", "00000000000000000000000000000000", "nonsense"] {
        assert_eq!(send(Some(&own), fields(wrong, &key, "1.00")).await.status, 403, "{wrong}");
    }
    assert_eq!(count(&api).await, 0, "nothing was made so far");
    let made = send(Some(&own), fields(&token, &key, "1.00")).await;
    assert_eq!(made.status, 303);
    let twice = send(Some(&own), fields(&token, &key, "1.00")).await;
    assert_eq!((twice.status, &twice.to), (303, &made.to), "a double click makes one transfer");
    assert_eq!(count(&api).await, 1);
    // The same form with another amount is no repeat: it comes back with a new key.
    let other = send(Some(&own), fields(&token, &key, "2.00")).await;
    assert_eq!(other.status, 422);
    assert_ne!(other.hidden("key"), key);
    let made = send(Some(&own), fields(&token, &other.hidden("key"), "2.00")).await;
    assert_eq!(made.status, 303);
    assert_eq!(count(&api).await, 2);
    let made = visitor.get(&made.to).await;
    assert!(made.text.contains("Transfer of 2.00 USD"), "{}", made.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_its_field() {
    let process = Process::start().await;
    let (api, visitor) = (process.api(), Visitor::signed_in(&process).await);
    let page = visitor.get("/dashboard/transfers/new").await;
    let (token, key) = (page.hidden("token"), page.hidden("key"));
    let (wallet, other) = (api.wallet(), api.method(0, "moov-wallet"));
    let long = "x".repeat(257);
    let rows: [(&str, &str, &str, &str, &str); 7] = [
        (wallet, other, "", "", "amount-wrong"),
        (wallet, other, "0.00", "", "amount-wrong"),
        (wallet, other, "1.005", "", "amount-wrong"),
        ("", other, "1", "", "source-wrong"),
        (wallet, "", "1", "", "destination-wrong"),
        (wallet, wallet, "1", "", "destination-wrong"),
        (wallet, other, "1", &long, "description-wrong"),
    ];
    for (source, destination, amount, description, wrong) in rows {
        let fields = [
            ("token", token.as_str()),
            ("key", key.as_str()),
            ("source", source),
            ("destination", destination),
            ("amount", amount),
            ("description", description),
        ];
        let page = visitor.post("/dashboard/transfers/new", &fields).await;
        assert_eq!(page.status, 422, "{wrong}");
        assert!(page.text.contains(&format!("id=\"{wrong}\"")), "{wrong}: {}", page.text);
        assert!(page.text.contains(&format!("aria-describedby=\"{wrong}\"")), "{wrong}");
        assert_eq!(page.hidden("key"), key, "the key is not used up");
    }
    assert_eq!(count(&api).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_sees_what_the_key_may_see() {
    let process = Process::start().await;
    let api = process.api();
    let id = api.transfer(api.wallet(), api.method(0, "moov-wallet"), 100).await;
    api.settled(&id).await;
    let keys: BTreeMap<&str, (String, String, String)> = {
        let mut keys = BTreeMap::new();
        for (name, account, scopes) in [
            ("own", api.account(), json!([])),
            ("stranger", api.connected(1), json!([])),
            ("reader", api.account(), json!(["transfers.read"])),
        ] {
            let body = json!({ "accountID": account, "scopes": scopes });
            let made = api.post("/operations/keys", &body).await;
            assert_eq!(made.status, 200, "{made:?}");
            let text = |field| made.text_of(field);
            keys.insert(name, (text("publicKey"), text("secretKey"), text("keyID")));
        }
        keys
    };
    let as_key = async |name: &str| {
        let (public, secret, _) = &keys[name];
        let mut visitor = Visitor::new(&process);
        let page = visitor.sign_in(public, secret).await;
        assert_eq!(page.status, 303, "{name}");
        page.cookie.split(';').next().unwrap().clone_into(&mut visitor.cookie);
        visitor
    };
    let own = as_key("own").await;
    assert_eq!(own.get("/dashboard").await.to, "/dashboard/transfers", "no operator, no map");
    assert_eq!(own.get(&format!("/dashboard/transfers/{id}")).await.status, 200);
    for page in ["rails", "dead-letters", "dead-letters/a:b:0:1"] {
        assert_eq!(own.get(&format!("/dashboard/{page}")).await.status, 403, "{page}");
    }
    let stranger = as_key("stranger").await;
    assert_eq!(stranger.get(&format!("/dashboard/transfers/{id}")).await.status, 404);
    assert_eq!(stranger.get(&format!("/dashboard/transfers/{id}/live")).await.status, 404);
    let reader = as_key("reader").await;
    assert_eq!(reader.get("/dashboard/transfers").await.status, 200);
    // A key that is revoked ends its sessions at the next page, in another process once that heard.
    let revoke = api.request(Method::DELETE, &format!("/operations/keys/{}", keys["own"].2));
    assert_eq!(api.send(revoke).await.unwrap().status, 200);
    let hears = if process.roles().len() > 1 { 200 } else { 1 };
    let mut to = String::new();
    for _ in 0..hears {
        to = own.get("/dashboard/transfers").await.to;
        if !to.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(to, "/dashboard/sign-in");
    // Signing out ends the session, not only the cookie.
    let token = reader.get("/dashboard/transfers").await.hidden("token");
    assert_eq!(
        reader.post("/dashboard/sign-out", &[("token", &token)]).await.to,
        "/dashboard/sign-in"
    );
    assert_eq!(reader.get("/dashboard/transfers").await.to, "/dashboard/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stops_at_once_though_a_page_is_live() {
    let mut process = Process::start().await;
    let api = process.api();
    // The participant refuses for 10 s: the next one stays pending.
    let first = api.transfer(api.wallet(), api.method(0, "rtp-credit"), 77_9600).await;
    api.settled(&first).await;
    let id = api.transfer(api.wallet(), api.method(0, "rtp-credit"), 200).await;
    let visitor = Visitor::signed_in(&process).await;
    // The rail says what waits in it and why, to operators and on its page.
    let rail = loop {
        let rails = api.get("/operations/rails").await.json();
        let all = rails.as_array().unwrap();
        let rtp = all.iter().find(|rail| rail["name"] == "rtp").unwrap();
        if rtp["circuit"]["state"] != "closed" && rtp["queue"]["ready"] == 1 {
            break rtp.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!((&rail["name"], &rail["state"]), (&"rtp".into(), &"unavailable".into()), "{rail}");
    assert_eq!(rail["queue"]["ready"], 1, "{rail}");
    assert_eq!(rail["waiting"][0]["transferID"], id, "{rail}");
    assert_eq!(rail["waiting"][0]["reason"], "the network refuses connections", "{rail}");
    let page = visitor.get("/dashboard/rails").await;
    assert!(page.text.contains("the network refuses connections"), "{}", page.text);
    assert!(page.text.contains(&format!("/dashboard/transfers/{id}")), "{}", page.text);
    let live = visitor.client.get(format!("{}/dashboard/transfers/{id}/live", visitor.base));
    let mut live = live.header("cookie", &visitor.cookie).send().await.unwrap();
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    let first = live.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: change\ndata: <div data-live=\"\">"), "{first:?}");
    let begun = tokio::time::Instant::now();
    assert!(process.stop().success());
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
    while let Ok(Some(_)) = live.chunk().await {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bank_s_session_and_its_files_are_seen() {
    let process = Process::start().await;
    let api = process.api();
    let credit =
        async |value| api.transfer(api.wallet(), api.method(0, "ach-credit-standard"), value).await;
    let rail = async |holds: fn(&Value) -> bool| {
        for _ in 0..1_500 {
            let rails = api.get("/operations/rails").await.json();
            let all = rails.as_array().unwrap();
            let ach = all.iter().find(|rail| rail["name"] == "ach").unwrap();
            if holds(ach) {
                return ach.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("not in time: {}", api.get("/operations/rails").await.text);
    };
    let idle = rail(|_| true).await;
    assert_eq!((&idle["state"], &idle["circuit"]["state"]), (&"idle".into(), &"closed".into()));
    let id = credit(300).await;
    api.settled(&id).await;
    let file = |rail: &Value, direction: &str| {
        let files = rail["files"].as_array().unwrap();
        files.iter().find(|file| file["direction"] == direction).unwrap().clone()
    };
    let settled = rail(|rail| rail["queue"]["pending"] == 0).await;
    assert_eq!(settled["state"], "connected", "{settled}");
    let ours = file(&settled, "sent");
    assert_eq!((&ours["state"], &ours["entries"]), (&"acknowledged".into(), &1.into()), "{ours}");
    assert_eq!(file(&settled, "received")["state"], "taken-in", "{settled}");
    for moment in ["lastSentOn", "lastLookedOn"] {
        assert!(settled[moment].is_string(), "{settled}");
    }
    // The bank takes this one, and is away for 10 s: the next one's file waits for it.
    credit(77_9600).await;
    let away = rail(|rail| rail["state"] == "unavailable").await;
    assert_ne!(away["circuit"]["failures"], 0, "{away}");
    let next = credit(400).await;
    let away = rail(|rail| rail["queue"]["sending"] == 1).await;
    let waits = away["waiting"].as_array().unwrap();
    let waits = waits.iter().find(|one| one["transferID"] == next).unwrap();
    assert_eq!(waits["reason"], "its file waits until the bank is there", "{away}");
    let page = Visitor::signed_in(&process).await.get("/dashboard/rails").await.text;
    for text in [
        ours["name"].as_str().unwrap(),
        "acknowledged",
        "taken-in",
        "Last file sent",
        "Last look",
        "its file waits until the bank is there",
    ] {
        assert!(page.contains(text), "no {text}: {page}");
    }
    rail(|rail| rail["state"] == "connected" && rail["queue"]["sending"] == 0).await;
}
