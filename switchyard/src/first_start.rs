//! The first start: the platform's own account and key, and in the sandbox accounts with money.
//!
//! Everything is made through the public API inside the process, found again by `foreignID`, and
//! `credentials.json` is written last: a start that was killed half way goes on where it was.

use std::{path::Path, time::Duration};

use contracts::{
    Amount, Currency,
    accounts::{Account, Key},
    ids::AccountId,
    ledger::Wallet,
    payment_methods::{BankAccount, Card, PaymentMethod},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use runtime::{HttpBody, Router, Running};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    client,
    counterparties::write_whole,
    exit::{Context, Failure, Outcome},
};

/// The file with the first key.
pub const FILE: &str = "credentials.json";
/// What the platform's wallet gets in the sandbox: 1,000,000.00 USD.
const PLATFORM_FUNDS: i64 = 100_000_000;
/// The accounts of the sandbox: name, foreignID, routing number, account number.
const CONNECTED: [(&str, &str, &str, &str, &str); 2] = [
    ("Lena", "Fischer", "sandbox-lena", "021000021", "1000000001"),
    ("Marco", "Rossi", "sandbox-marco", "121000248", "1000000002"),
];
/// The sandbox's test card of each: one that pays, and one that can be pushed to and pulled from.
const CARDS: [&str; CONNECTED.len()] = ["4111111111111111", "4111100010002000"];
/// How often, and how many times, something that follows from events is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_MOST: u32 = 1_000;

/// How long another process is waited for: a minute.
const UNAVAILABLE_PAUSE: Duration = Duration::from_millis(250);
const UNAVAILABLE_MOST: u32 = 240;

/// `credentials.json`
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    #[serde(rename = "baseURL")]
    pub base_url: String,
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    pub public_key: String,
    pub secret_key: String,
    /// The platform's wallet; only in the sandbox is there money in it.
    #[serde(rename = "walletPaymentMethodID", skip_serializing_if = "Option::is_none", default)]
    pub wallet_payment_method_id: Option<String>,
    #[serde(default)]
    pub accounts: Vec<Connected>,
}

/// A connected account of the sandbox.
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    pub name: String,
    pub payment_methods: Vec<ShownMethod>,
}

/// A payment method of such an account.
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct ShownMethod {
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: String,
    pub payment_method_type: String,
}

impl Credentials {
    /// `public:secret`
    pub fn key(&self) -> String {
        format!("{}:{}", self.public_key, self.secret_key)
    }
    /// The payment method of this type of any connected account.
    pub fn method(&self, kind: &str) -> Option<&str> {
        let methods = self.accounts.iter().flat_map(|account| &account.payment_methods);
        let mut found = methods.filter(|method| method.payment_method_type == kind);
        found.next().map(|method| method.payment_method_id.as_str())
    }
    /// A data directory's own.
    pub fn read(data: &Path) -> Outcome<Self> {
        let path = data.join(FILE);
        let bytes = std::fs::read(&path).context(format!(
            "{} (name the data directory with --data, or give --url and --key)",
            path.display()
        ))?;
        serde_json::from_slice(&bytes).context(path.display())
    }
    fn save(&self, data: &Path) -> Outcome {
        let mut text = serde_json::to_vec_pretty(self).expect("credentials are plain data");
        text.push(b'\n');
        let path = data.join(FILE);
        write_whole(&path, &text, 0o600).context(path.display())
    }
}

/// Makes what a first start makes, or finds what an earlier one made; `verifies` where micro-deposits
/// are known to be 0 and 0.
pub async fn ensure(
    running: &Running,
    data: &Path,
    base_url: &str,
    verifies: bool,
) -> Outcome<Credentials> {
    let (platform, public) = (&running.platform, &running.public);
    if data.join(FILE).exists() {
        let mut known = Credentials::read(data)?;
        if known.base_url != base_url {
            base_url.clone_into(&mut known.base_url);
            known.save(data)?;
        }
        return Ok(known);
    }
    let command = accounts::Bootstrap { name: "Switchyard".to_owned() };
    let first = platform.commit(command).await.context("the platform's account cannot be made")?;
    let (account_id, key) = (first.account_id, first.key);
    let api = Api { public, authorization: authorization(&key)?, verifies };
    let mut credentials = Credentials {
        base_url: base_url.to_owned(),
        account_id,
        public_key: key.public_key,
        secret_key: key.secret_key.unwrap_or_default(),
        wallet_payment_method_id: None,
        accounts: Vec::new(),
    };
    let wallet = api.method(account_id, "moov-wallet").await?;
    credentials.wallet_payment_method_id = Some(wallet.payment_method_id.to_string());
    if platform.settings().sandbox {
        api.fund(account_id, PLATFORM_FUNDS).await?;
        for (connected, card) in CONNECTED.iter().zip(CARDS) {
            credentials.accounts.push(api.connected(connected, card).await?);
        }
    }
    credentials.save(data)?;
    Ok(credentials)
}

fn authorization(key: &Key) -> Outcome<String> {
    let secret = key.secret_key.as_deref();
    let secret =
        secret.ok_or_else(|| Failure::could_not("the first key came without its secret"))?;
    Ok(client::basic(&format!("{}:{secret}", key.public_key)))
}

/// The public API inside the process, with the operator's key.
struct Api<'a> {
    public: &'a Router,
    authorization: String,
    verifies: bool,
}

impl Api<'_> {
    async fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, body: &Value) -> Outcome<T> {
        let mut tries = 0;
        let (status, bytes) = loop {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::AUTHORIZATION, &self.authorization)
                .header(header::CONTENT_TYPE, "application/json")
                .body(HttpBody::from(body.to_string()))
                .context(path)?;
            let response = self.public.clone().oneshot(request).await.context(path)?;
            let status = response.status();
            let bytes = response.into_body().collect().await.context(path)?.to_bytes();
            tries += 1;
            // A service of another process may not be up yet; all that is asked may be repeated.
            if status != StatusCode::SERVICE_UNAVAILABLE || tries > UNAVAILABLE_MOST {
                break (status, bytes);
            }
            tokio::time::sleep(UNAVAILABLE_PAUSE).await;
        };
        if !status.is_success() {
            let said = String::from_utf8_lossy(&bytes);
            let text = format!("the first start failed: {method} {path} answered {status}: {said}");
            return Err(Failure::CouldNotRun(text));
        }
        let bytes = if bytes.is_empty() { b"null" } else { bytes.as_ref() };
        serde_json::from_slice(bytes).context(format!("the first start failed: {path}"))
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Outcome<Vec<T>> {
        self.ask("GET", path, &Value::Null).await
    }

    /// The first of a list that follows from an event, once it is there.
    async fn wait_for<T: DeserializeOwned>(
        &self,
        path: &str,
        is_it: impl Fn(&T) -> bool,
    ) -> Outcome<T> {
        for _ in 0..LOOKS_MOST {
            if let Some(found) = self.list(path).await?.into_iter().find(|item| is_it(item)) {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(Failure::CouldNotRun(format!("the first start waited in vain for {path}")))
    }

    async fn method(&self, account: AccountId, kind: &str) -> Outcome<PaymentMethod> {
        let path = format!("/accounts/{account}/payment-methods");
        self.wait_for(&path, |method: &PaymentMethod| method.payment_method_type == kind).await
    }

    /// Puts money into the account's wallet, unless an earlier start has.
    async fn fund(&self, account: AccountId, value: i64) -> Outcome {
        let path = format!("/accounts/{account}/wallets");
        let wallet: Wallet = self.wait_for(&path, |_| true).await?;
        if wallet.available_balance.value > 0 {
            return Ok(());
        }
        let amount = Amount::new(value, Currency::USD);
        let body = json!({ "walletID": wallet.wallet_id, "amount": amount });
        let _: Wallet = self.ask("POST", "/sandbox/fund", &body).await?;
        Ok(())
    }

    /// A connected account with a wallet, a verified bank account and a card.
    async fn connected(
        &self,
        (first, last, foreign, routing, number): &(&str, &str, &str, &str, &str),
        card: &str,
    ) -> Outcome<Connected> {
        let known: Vec<Account> = self.list("/accounts?count=1000").await?;
        let is_it = |account: &Account| account.foreign_id.as_deref() == Some(foreign);
        let account = match known.into_iter().find(is_it) {
            Some(account) => account,
            None => {
                let name = json!({ "firstName": first, "lastName": last });
                let body = json!({
                    "accountType": "individual",
                    "profile": { "individual": { "name": name } },
                    "foreignID": foreign,
                });
                self.ask("POST", "/accounts", &body).await?
            }
        };
        let id = account.account_id;
        let holder = format!("{first} {last}");
        self.bank_account(id, &holder, routing, number).await?;
        self.card(id, &holder, card).await?;
        let of_bank = if self.verifies { "ach-debit-fund" } else { "ach-debit-collect" };
        for kind in ["moov-wallet", "rtp-credit", of_bank, "card-payment"] {
            self.method(id, kind).await?;
        }
        let path = format!("/accounts/{id}/payment-methods");
        let methods: Vec<PaymentMethod> = self.list(&path).await?;
        let shown = methods.into_iter().map(|method| ShownMethod {
            payment_method_id: method.payment_method_id.to_string(),
            payment_method_type: method.payment_method_type,
        });
        let (name, payment_methods) = (account.display_name, shown.collect());
        Ok(Connected { account_id: id, name, payment_methods })
    }

    /// The account's card.
    async fn card(&self, account: AccountId, holder: &str, number: &str) -> Outcome {
        let path = format!("/accounts/{account}/cards");
        let known: Vec<Card> = self.list(&path).await?;
        if known.is_empty() {
            let body = json!({
                "cardNumber": number, "cardCvv": "123", "holderName": holder,
                "expiration": { "month": "12", "year": "2049" },
                "billingAddress": { "addressLine1": "1 Main St", "postalCode": "80301" },
            });
            let _: Card = self.ask("POST", &path, &body).await?;
        }
        Ok(())
    }

    /// The account's bank account, verified by the sandbox's micro-deposits of 0 and 0.
    async fn bank_account(
        &self,
        account: AccountId,
        holder: &str,
        routing: &str,
        number: &str,
    ) -> Outcome {
        let path = format!("/accounts/{account}/bank-accounts");
        let known: Vec<BankAccount> = self.list(&path).await?;
        let linked = match known.into_iter().next() {
            Some(linked) => linked,
            None => {
                let body = json!({ "account": {
                    "holderName": holder, "holderType": "individual", "routingNumber": routing,
                    "accountNumber": number, "bankAccountType": "checking",
                }});
                self.ask("POST", &path, &body).await?
            }
        };
        if !self.verifies {
            return Ok(());
        }
        let deposits = format!("{path}/{}/micro-deposits", linked.bank_account_id);
        if linked.status == "new" {
            let _: Value = self.ask("POST", &deposits, &json!({})).await?;
        }
        if linked.status != "verified" {
            let _: Value = self.ask("PUT", &deposits, &json!({ "amounts": [0, 0] })).await?;
        }
        Ok(())
    }
}
