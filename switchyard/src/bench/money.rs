//! Wallets with money in them, made through the API as a customer would, many at once.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    cli::Mix,
    client::Client,
    exit::{Failure, Outcome},
    first_start::Credentials,
};

/// Accounts that are made at the same time.
const AT_ONCE: usize = 64;
/// How often a platform that has too much to do is asked again, once a second.
const BUSY_MOST: u32 = 60;
/// What each wallet gets: 1,000,000.00.
const FUNDS: i64 = 100_000_000;
/// What the one source of `--hot` gets: 10,000,000,000.00.
const HOT_FUNDS: i64 = 1_000_000_000_000;

/// Payment methods by account, in one order.
#[derive(Default)]
pub struct Wallets {
    pub wallet_methods: Vec<String>,
    /// Empty unless asked for.
    pub rtp_methods: Vec<String>,
    /// Empty unless asked for.
    pub card_methods: Vec<String>,
    /// Empty unless asked for.
    pub ach_methods: Vec<String>,
}

/// The payment methods of one account.
struct Made {
    wallet: String,
    rtp: Option<String>,
    card: Option<String>,
    ach: Option<String>,
}

/// Makes accounts with a funded wallet each, and what the mixes pay to beside wallets: a bank account
/// that RTP and ACH reach, a debit card.
pub async fn wallets(
    credentials: &Credentials,
    count: u32,
    mixes: &[Mix],
    progress: impl Fn(u64),
) -> Outcome<Wallets> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for number in 0..count {
        let (permits, credentials) = (Arc::clone(&permits), credentials.clone());
        let mixes = mixes.to_vec();
        tasks.push(tokio::spawn(async move {
            let _permit = permits.acquire().await.expect("never closed");
            account(&credentials, number, &mixes).await
        }));
    }
    let mut made = Wallets::default();
    for (task, number) in tasks.into_iter().zip(1..) {
        let one = task.await.map_err(Failure::could_not)??;
        made.wallet_methods.push(one.wallet);
        made.rtp_methods.extend(one.rtp);
        made.card_methods.extend(one.card);
        made.ach_methods.extend(one.ach);
        progress(number);
    }
    Ok(made)
}

async fn account(credentials: &Credentials, number: u32, mixes: &[Mix]) -> Outcome<Made> {
    let mut client = Client::new(&credentials.base_url, Some(&credentials.key()))?;
    let name = json!({ "firstName": "Bench", "lastName": format!("Number {number}") });
    let body = json!({
        "accountType": "individual",
        "profile": { "individual": { "name": name } },
        "foreignID": format!("bench-{number}"),
    });
    let account = ask(&mut client, "POST", "/accounts", &body).await?;
    let account = text(&account, "accountID")?;
    let (method, source) = method(&mut client, &account, "moov-wallet").await?;
    let wallet = source.pointer("/wallet/walletID").and_then(Value::as_str).unwrap_or_default();
    let funds = if number == 0 { HOT_FUNDS } else { FUNDS };
    let body = json!({ "walletID": wallet, "amount": { "currency": "USD", "value": funds } });
    ask(&mut client, "POST", "/sandbox/fund", &body).await?;
    if mixes.iter().any(|mix| matches!(mix, Mix::Rtp | Mix::Ach)) {
        bank_account(&mut client, &account, number).await?;
    }
    if mixes.contains(&Mix::Card) {
        debit_card(&mut client, &account, number).await?;
    }
    let mut of = [None, None, None];
    let kinds =
        [(Mix::Rtp, "rtp-credit"), (Mix::Card, "push-to-card"), (Mix::Ach, "ach-credit-standard")];
    for (found, (mix, kind)) in of.iter_mut().zip(kinds) {
        if mixes.contains(&mix) {
            *found = Some(self::method(&mut client, &account, kind).await?.0);
        }
    }
    let [rtp, card, ach] = of;
    Ok(Made { wallet: method, rtp, card, ach })
}

/// A write, once the platform takes it: what it refuses as too much for now is not done.
async fn ask(client: &mut Client, method: &str, path: &str, body: &Value) -> Outcome<Value> {
    let body = body.to_string().into_bytes();
    for _ in 0..BUSY_MOST {
        let answer = client.send(method, path, &[], Some(body.clone())).await?;
        if !matches!(answer.status, 429 | 503) {
            return answer.ok();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    client.send(method, path, &[], Some(body)).await?.ok()
}

/// Links the sandbox's debit card.
async fn debit_card(client: &mut Client, account: &str, number: u32) -> Outcome {
    let body = json!({
        "cardNumber": "4111100010002000", "cardCvv": "123",
        "holderName": format!("Bench Number {number}"),
        "expiration": { "month": "12", "year": "2049" },
        "billingAddress": { "postalCode": "80301" },
    });
    ask(client, "POST", &format!("/accounts/{account}/cards"), &body).await?;
    Ok(())
}

/// Links a bank account and verifies it by the sandbox's micro-deposits.
async fn bank_account(client: &mut Client, account: &str, number: u32) -> Outcome {
    let body = json!({ "account": {
        "holderName": format!("Bench Number {number}"), "holderType": "individual",
        "routingNumber": "021000021", "accountNumber": format!("{:010}", 1_000_000_000 + u64::from(number)),
        "bankAccountType": "checking",
    }});
    let path = format!("/accounts/{account}/bank-accounts");
    let linked = ask(client, "POST", &path, &body).await?;
    let deposits = format!("{path}/{}/micro-deposits", text(&linked, "bankAccountID")?);
    ask(client, "POST", &deposits, &json!({})).await?;
    ask(client, "PUT", &deposits, &json!({ "amounts": [0, 0] })).await?;
    Ok(())
}

/// The account's payment method of a type, once it is there.
async fn method(client: &mut Client, account: &str, kind: &str) -> Outcome<(String, Value)> {
    let path = format!("/accounts/{account}/payment-methods?paymentMethodType={kind}");
    // A broker's first record of each partition takes it tens of milliseconds; many who ask all the
    // time are a load of their own.
    for wait in [20, 20, 40, 80, 160].into_iter().chain(std::iter::repeat_n(300, 65)) {
        let found = client.get(&path).await?.ok()?;
        if let Some(method) = found.as_array().and_then(|methods| methods.first()) {
            return Ok((text(method, "paymentMethodID")?, method.clone()));
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Err(Failure::CouldNotRun(format!("account {account} has no {kind} after 20 s")))
}

/// A text field of an answer.
pub fn text(value: &Value, name: &str) -> Outcome<String> {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| Failure::CouldNotRun(format!("an answer has no {name}: {value}")))
}
