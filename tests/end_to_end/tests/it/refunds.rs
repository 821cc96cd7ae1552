//! Refunds end to end: money back to a card, to a bank account and to a wallet, with exact balances,
//! equal books at the counterparties, and never more than was paid.

use end_to_end::{Api, Process, key};
use reqwest::Method;
use serde_json::{Value, json};

on_both!(money_goes_back_the_way_it_came, many_at_once_never_exceed_the_transfer);

/// Posts to `refunds` or `reversals` of a transfer and waits for the rail.
async fn post(api: &Api, what: &str, of: &str, body: &Value) -> (u16, Value) {
    let path = format!("/accounts/{}/transfers/{of}/{what}", api.account());
    let request = api
        .request(Method::POST, &path)
        .header("X-Idempotency-Key", key())
        .header("X-Wait-For", "rail-response")
        .json(body);
    let reply = api.send(request).await.unwrap();
    (reply.status, reply.json())
}

async fn money_goes_back_the_way_it_came(process: Process) {
    let api = process.api();
    let had = api.balance(api.account()).await;
    let lena = api.balance(api.connected(0)).await;
    let card = api.transfer(api.method(0, "card-payment"), api.wallet(), 5_000).await;
    let bank = api.transfer(api.method(0, "ach-debit-fund"), api.wallet(), 6_000).await;
    let wallet = api.transfer(api.wallet(), api.method(0, "moov-wallet"), 700).await;
    for id in [&card, &bank, &wallet] {
        assert_eq!(api.settled(id).await["status"], "completed");
    }
    // A part to the card, then one that the host refuses, then the rest by a reversal.
    let (status, part) = post(&api, "refunds", &card, &json!({ "amount": 2_000 })).await;
    assert_eq!((status, part["status"].as_str()), (200, Some("completed")), "{part}");
    assert!(part["cardDetails"]["statusUpdates"]["completed"].is_string(), "{part}");
    let (status, rest) = post(&api, "reversals", &card, &json!({})).await;
    assert_eq!((status, rest["refund"]["amount"]["value"].as_i64()), (200, Some(3_000)), "{rest}");
    let (status, nothing) = post(&api, "refunds", &card, &json!({})).await;
    assert_eq!(status, 422, "{nothing}");
    for (id, amount) in [(&part["refundID"], 2_000), (&rest["refund"]["refundID"], 3_000)] {
        assert_eq!(api.in_force("card", id.as_str().unwrap()).await, [amount]);
    }
    // To the bank account by an ACH credit: after the cut-off, so not within the wait.
    let (_, back) = post(&api, "refunds", &bank, &json!({ "amount": 6_000 })).await;
    let id = back["refundID"].as_str().unwrap();
    assert_eq!(api.settled(id).await["status"], "completed", "{back}");
    assert_eq!(api.in_force("ach", id).await, [6_000]);
    // Between wallets, from the wallet that got it.
    let (status, back) = post(&api, "refunds", &wallet, &json!({ "amount": 300 })).await;
    assert_eq!((status, back["status"].as_str()), (200, Some("completed")), "{back}");
    assert_eq!(api.balance(api.account()).await, had - 700 + 300);
    assert_eq!(api.balance(api.connected(0)).await, lena + 700 - 300);
    let shown = api.transfer_now(&card).await;
    assert_eq!(shown["refundedAmount"]["value"], 5_000, "{shown}");
    assert_eq!(shown["refunds"].as_array().unwrap().len(), 2, "{shown}");
    // The feed tells of refunds as refunds.
    let told = api.get("/events?count=1000").await.json();
    let told = told["events"].as_array().unwrap();
    let of_part = told.iter().filter(|event| event["data"]["refundID"] == part["refundID"]);
    let kinds: Vec<(&str, &str)> = of_part
        .map(|event| (event["type"].as_str().unwrap(), event["data"]["status"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds.first(), Some(&("refund.created", "created")), "{told:?}");
    assert_eq!(kinds.last(), Some(&("refund.updated", "completed")), "{told:?}");
    process.verify();
}

async fn many_at_once_never_exceed_the_transfer(process: Process) {
    let api = process.api();
    let card = api.transfer(api.method(0, "card-payment"), api.wallet(), 1_000).await;
    assert_eq!(api.settled(&card).await["status"], "completed");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (api, card) = (api.clone(), card.clone());
        asking.spawn(async move { post(&api, "refunds", &card, &json!({ "amount": 300 })).await });
    }
    let answers = asking.join_all().await;
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!((made.len(), refused.len()), (3, 61), "{refused:?}");
    for (status, body) in refused {
        assert_eq!((status, body["amount"].as_str()), (422, Some("only 100 is left to refund")));
    }
    for (_, refund) in made {
        assert_eq!(api.in_force("card", refund["refundID"].as_str().unwrap()).await, [300]);
    }
    process.verify();
}
