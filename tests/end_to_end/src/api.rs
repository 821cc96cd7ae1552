//! A client of the public API: plain HTTP and JSON.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
    /// The body's field as text.
    pub fn text_of(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned()
    }
}

/// A fresh idempotency key.
pub fn key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("key-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The amounts that these books have in force for a transfer.
pub fn in_force(books: &[Value], transfer: &str) -> Vec<i64> {
    let counts = |row: &&Value| {
        let state = row["state"].as_str().expect("a state");
        row["transferID"] == transfer && ["accepted", "approved", "settled"].contains(&state)
    };
    let amount = |row: &Value| row["amount"].as_i64().expect("an amount");
    books.iter().filter(counts).map(amount).collect()
}

/// A client with a key of the platform.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    credentials: Value,
    seen: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Api {
    /// A client of this base URL with the credentials file of `up --sandbox`.
    pub fn new(base: &str, credentials: Value) -> Self {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client can be made");
        Self { client, base: base.to_owned(), credentials, seen: None }
    }
    /// The same, and everything that is answered to it or to a copy of it is kept.
    pub fn that_keeps_answers(mut self) -> Self {
        self.seen = Some(Arc::default());
        self
    }
    /// The heads and bodies of all answers so far.
    pub fn answers(&self) -> Vec<u8> {
        let seen = self.seen.as_ref().expect("a client that keeps answers");
        seen.lock().expect("no thread died with it").clone()
    }
    /// The platform account.
    pub fn account(&self) -> &str {
        self.credentials["accountID"].as_str().expect("credentials name the account")
    }
    /// The platform wallet's payment method.
    pub fn wallet(&self) -> &str {
        self.credentials["walletPaymentMethodID"].as_str().expect("the sandbox has a wallet")
    }
    /// A connected account's id.
    pub fn connected(&self, number: usize) -> &str {
        self.credentials["accounts"][number]["accountID"].as_str().expect("it is there")
    }
    /// A connected account's payment method of a type.
    pub fn method(&self, number: usize, kind: &str) -> &str {
        let methods = self.credentials["accounts"][number]["paymentMethods"].as_array();
        methods
            .and_then(|all| all.iter().find(|method| method["paymentMethodType"] == kind))
            .and_then(|method| method["paymentMethodID"].as_str())
            .unwrap_or_else(|| panic!("account {number} has a {kind}"))
    }
    /// `public:secret` of the key.
    pub fn key(&self) -> (&str, &str) {
        let text = |field: &str| self.credentials[field].as_str().expect("credentials hold a key");
        (text("publicKey"), text("secretKey"))
    }
    /// A request with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let (public, secret) = self.key();
        self.client.request(method, format!("{}{path}", self.base)).basic_auth(public, Some(secret))
    }
    /// A request without a key.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }
    /// Sends; `Err` where no answer came.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let reply = request.send().await?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let reply = Reply { status, headers, text: reply.text().await? };
        if let Some(seen) = &self.seen {
            let mut seen = seen.lock().expect("no thread died with it");
            for (name, value) in &reply.headers {
                seen.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
            }
            seen.extend([reply.text.as_bytes(), b"\n"].concat());
        }
        Ok(reply)
    }
    /// GET that must answer.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await.expect("an answer")
    }
    /// POST of JSON that must answer.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await.expect("an answer")
    }
    /// The body of a transfer in USD minor units.
    pub fn transfer_body(from: &str, to: &str, value: i64) -> Value {
        json!({
            "source": { "paymentMethodID": from },
            "destination": { "paymentMethodID": to },
            "amount": { "currency": "USD", "value": value },
        })
    }
    /// A POST of a transfer with this key.
    pub fn transfer_request(&self, key: &str, body: &Value) -> RequestBuilder {
        let path = format!("/accounts/{}/transfers", self.account());
        self.request(Method::POST, &path).header("X-Idempotency-Key", key).json(body)
    }
    /// Makes a transfer and answers its id.
    pub async fn transfer(&self, from: &str, to: &str, value: i64) -> String {
        let body = Self::transfer_body(from, to, value);
        let reply = self.send(self.transfer_request(&key(), &body)).await.expect("an answer");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text_of("transferID")
    }
    /// A transfer as it is now.
    pub async fn transfer_now(&self, id: &str) -> Value {
        let reply = self.get(&format!("/accounts/{}/transfers/{id}", self.account())).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
    /// A transfer once its status is final.
    pub async fn settled(&self, id: &str) -> Value {
        for _ in 0..6_000 {
            let transfer = self.transfer_now(id).await;
            let status = transfer["status"].as_str().expect("a status");
            if ["completed", "failed", "canceled", "reversed"].contains(&status) {
                return transfer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} is still {}", self.transfer_now(id).await)
    }
    /// A transfer once this holds of it.
    pub async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..6_000 {
            let transfer = self.transfer_now(id).await;
            if holds(&transfer) {
                return transfer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} is still {}", self.transfer_now(id).await)
    }
    /// The available balance of an account's first wallet, minor units.
    pub async fn balance(&self, account: &str) -> i64 {
        let reply = self.get(&format!("/accounts/{account}/wallets")).await;
        reply.json()[0]["availableBalance"]["value"]
            .as_i64()
            .unwrap_or_else(|| panic!("a balance: {reply:?}"))
    }
    /// The amounts that a rail's counterparty has in force for a transfer.
    pub async fn in_force(&self, rail: &str, transfer: &str) -> Vec<i64> {
        let mut books = self.books().await;
        books.retain(|row| row["rail"] == rail);
        in_force(&books, transfer)
    }
    /// The counterparties' books, by transfer.
    pub async fn books(&self) -> Vec<Value> {
        let reply = self.get("/sandbox/books").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let body = reply.json();
        let rows = body.as_array().or_else(|| body["payments"].as_array());
        rows.unwrap_or_else(|| panic!("books: {body}")).clone()
    }
}
