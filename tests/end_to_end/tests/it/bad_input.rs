//! Bad input of every kind gets a clear error and changes nothing.

use end_to_end::{Api, Process, key};
use reqwest::Method;
use serde_json::{Value, json};

async fn post_raw(api: &Api, body: impl Into<reqwest::Body>) -> end_to_end::Reply {
    let path = format!("/accounts/{}/transfers", api.account());
    let request = api
        .request(Method::POST, &path)
        .header("X-Idempotency-Key", key())
        .header("Content-Type", "application/json")
        .body(body);
    api.send(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn field_rules_name_moovs_keys() {
    let process = Process::start().await;
    let api = process.api();
    let (wallet, other) = (api.wallet().to_owned(), api.method(0, "moov-wallet").to_owned());
    let good = Api::transfer_body(&wallet, &other, 100);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let nobody = "00000000-0000-7000-8000-000000000000";
    let cases: Vec<(&str, Value)> = vec![
        ("amount", with(&|b| b["amount"]["value"] = json!(0))),
        ("amount", with(&|b| b["amount"]["value"] = json!(-5))),
        ("amount", with(&|b| b["amount"]["value"] = json!(1.5))),
        ("amount", with(&|b| b["amount"]["value"] = json!("12"))),
        ("amount", with(&|b| b["amount"]["currency"] = json!("XXQ"))),
        ("amount", with(&|b| b["amount"]["currency"] = json!("usd"))),
        ("sourcePaymentMethodID", with(&|b| b["source"]["paymentMethodID"] = json!(nobody))),
        (
            "destinationPaymentMethodID",
            with(&|b| b["destination"]["paymentMethodID"] = json!(nobody)),
        ),
        ("destinationPaymentMethodID", with(&|b| b["destination"] = b["source"].clone())),
        ("description", with(&|b| b["description"] = json!("x".repeat(257)))),
        ("description", with(&|b| b["description"] = json!("a\u{0}b"))),
        ("foreignID", with(&|b| b["foreignID"] = json!("x".repeat(65)))),
        (
            "amount",
            with(&|b| {
                b.as_object_mut().unwrap().remove("amount");
            }),
        ),
        ("colour", with(&|b| b["colour"] = json!("red"))),
    ];
    let had = api.balance(api.account()).await;
    for (field, body) in cases {
        let reply = post_raw(&api, body.to_string()).await;
        assert_eq!(reply.status, 422, "{body}: {reply:?}");
        assert!(reply.json().get(field).is_some(), "{field}: {body}: {reply:?}");
    }
    assert_eq!(api.balance(api.account()).await, had);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_garbage_is_refused_and_nothing_falls_over() {
    let process = Process::start().await;
    let api = process.api();
    let (a, b) = (api.wallet(), api.method(0, "moov-wallet"));
    let shaped = |amount: &str| {
        format!(
            "{{\"source\":{{\"paymentMethodID\":\"{a}\"}},\
             \"destination\":{{\"paymentMethodID\":\"{b}\"}},\"amount\":{amount}}}"
        )
    };
    let cases: Vec<(Vec<u8>, &[u16])> = vec![
        (b"".to_vec(), &[400]),
        (b"{".to_vec(), &[400]),
        (b"not json".to_vec(), &[400]),
        (b"\xff\xfe\x00".to_vec(), &[400]),
        ("[".repeat(10_000).into_bytes(), &[400]),
        (format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into_bytes(), &[400, 422]),
        (shaped("{\"currency\":\"USD\",\"value\":9223372036854775808}").into_bytes(), &[400, 422]),
        (shaped("{\"currency\":\"USD\",\"value\":1e3}").into_bytes(), &[400, 422]),
        (shaped("{\"currency\":\"USD\",\"value\":NaN}").into_bytes(), &[400]),
        (shaped("{\"currency\":\"USD\",\"value\":1,\"value\":2}").into_bytes(), &[400, 422]),
        (shaped("{\"currency\":\"USD\",\"value\":\"\\ud800\"}").into_bytes(), &[400, 422]),
        (vec![b' '; 70_000], &[413]),
    ];
    for (body, statuses) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = post_raw(&api, body).await;
        assert!(statuses.contains(&reply.status), "{shown}: {reply:?}");
    }
    assert_eq!(api.get("/ping").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused() {
    let process = Process::start().await;
    let api = process.api();
    let own = format!("/accounts/{}/transfers", api.account());
    let none = api.send(api.anonymous(Method::GET, &own)).await.unwrap();
    assert_eq!(none.status, 401);
    assert!(none.headers["content-type"].to_str().unwrap().starts_with("application/problem+json"));
    let wrong = api.anonymous(Method::GET, &own).basic_auth("pk_x", Some("sk_y"));
    assert_eq!(api.send(wrong).await.unwrap().status, 401);
    let foreign = "/accounts/019a8f3e-1c40-7000-8000-0000000000aa/transfers";
    assert_eq!(api.get(foreign).await.status, 404);
    assert_eq!(api.get("/accounts/not-an-id/transfers").await.status, 404);
    assert_eq!(api.get("/internal/payment-methods?ids=").await.status, 404);
    // A service with another key is told so: to it "no such thing" would be a fact about a method.
    let service = api.anonymous(Method::GET, "/internal/payment-methods?ids=");
    let service = service.bearer_auth("another-key-of-peers");
    assert_eq!(api.send(service).await.unwrap().status, 421);
    assert_eq!(api.get("/nowhere").await.status, 404);
    // A customer's key sees its own account alone, and no operations.
    let made =
        api.post("/operations/keys", &json!({ "accountID": api.connected(0), "scopes": [] })).await;
    assert_eq!(made.status, 200, "{made:?}");
    let (public, secret) = (made.text_of("publicKey"), made.text_of("secretKey"));
    let as_customer =
        |path: &str| api.anonymous(Method::GET, path).basic_auth(&public, Some(&secret));
    let path = format!("/accounts/{}/wallets", api.connected(0));
    assert_eq!(api.send(as_customer(&path)).await.unwrap().status, 200);
    let path = format!("/accounts/{}/wallets", api.connected(1));
    assert_eq!(api.send(as_customer(&path)).await.unwrap().status, 404);
    assert_eq!(api.send(as_customer("/operations/keys")).await.unwrap().status, 403);
    assert_eq!(api.send(as_customer("/ledger/accounts")).await.unwrap().status, 403);
}
