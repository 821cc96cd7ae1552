//! Wallet to wallet: money moves once, the answer, the list, the timeline and the feed agree.

use end_to_end::{Api, Process, key};

on_both!(
    a_wallet_transfer_completes_with_exact_balances,
    without_funds_it_is_accepted_and_fails,
    the_timeline_shows_the_road_in_order,
    the_feed_is_gapless_and_at_most_a_second_behind
);

async fn a_wallet_transfer_completes_with_exact_balances(process: Process) {
    let api = process.api();
    let (from, to) = (api.account().to_owned(), api.connected(0).to_owned());
    let (had, had_other) = (api.balance(&from).await, api.balance(&to).await);
    let body = Api::transfer_body(api.wallet(), api.method(0, "moov-wallet"), 1204);
    let request = api.transfer_request(&key(), &body).header("X-Wait-For", "rail-response");
    let reply = api.send(request).await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.headers.contains_key("x-request-id"));
    let transfer = reply.json();
    assert_eq!(transfer["status"], "completed", "{transfer}");
    assert_eq!(transfer["amount"]["value"], 1204);
    assert_eq!(transfer["source"]["paymentMethodType"], "moov-wallet");
    assert_eq!(api.balance(&from).await, had - 1204);
    assert_eq!(api.balance(&to).await, had_other + 1204);

    let id = transfer["transferID"].as_str().unwrap();
    let list = api.get(&format!("/accounts/{}/transfers?count=5", api.account())).await.json();
    assert_eq!(list[0]["transferID"], id);
    let movements = api
        .get(&format!(
            "/accounts/{to}/wallets/{}/transactions",
            api.get(&format!("/accounts/{to}/wallets")).await.json()[0]["walletID"]
                .as_str()
                .unwrap()
        ))
        .await
        .json();
    assert_eq!(movements[0]["sourceID"], id, "{movements}");
    assert_eq!(movements[0]["netAmount"], 1204);
}

async fn without_funds_it_is_accepted_and_fails(process: Process) {
    let api = process.api();
    let (poor, rich) = (api.connected(0).to_owned(), api.account().to_owned());
    let had = (api.balance(&poor).await, api.balance(&rich).await);
    let id = api.transfer(api.method(0, "moov-wallet"), api.wallet(), had.0 + 1).await;
    let transfer = api.settled(&id).await;
    assert_eq!(transfer["status"], "failed");
    assert_eq!(transfer["failureReason"], "wallet-insufficient-funds");
    assert_eq!((api.balance(&poor).await, api.balance(&rich).await), had);
}

async fn the_timeline_shows_the_road_in_order(process: Process) {
    let api = process.api();
    let id = api.transfer(api.wallet(), api.method(0, "moov-wallet"), 100).await;
    api.settled(&id).await;
    let path = format!("/accounts/{}/transfers/{id}/timeline", api.account());
    let timeline = api.get(&path).await.json();
    assert_eq!(timeline["complete"], true, "{timeline}");
    let exchanges = timeline["exchanges"].as_array().unwrap();
    let at = |kind: &str, from: &str, to: &str, name: &str| {
        exchanges
            .iter()
            .position(|e| {
                e["kind"] == kind && e["from"] == from && e["to"] == to && e["name"] == name
            })
            .unwrap_or_else(|| panic!("{kind} {from} -> {to} {name} in {timeline}"))
    };
    let road = [
        at("request", "client", "transfers", "POST /accounts/{accountID}/transfers"),
        exchanges
            .iter()
            .position(|e| e["to"] == "payment-methods" && e["kind"] == "request")
            .unwrap(),
        at("event", "transfers", "ledger", "transfer.created"),
        at("event", "ledger", "transfers", "ledger.posted"),
    ];
    assert!(road.is_sorted(), "{timeline}");
    for (number, exchange) in exchanges.iter().enumerate() {
        assert_eq!(exchange["number"], number as u64 + 1);
        if let Some(cause) = exchange["cause"].as_u64() {
            assert!(cause < number as u64 + 1, "{exchange}");
        }
    }
    let events =
        api.get(&format!("/accounts/{}/transfers/{id}/events", api.account())).await.json();
    let names: Vec<_> =
        events["events"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"transfer.created") && names.contains(&"ledger.posted"), "{names:?}");
}

async fn the_feed_is_gapless_and_at_most_a_second_behind(process: Process) {
    let api = process.api();
    let mut made = std::collections::BTreeSet::new();
    for _ in 0..20 {
        made.insert(api.transfer(api.wallet(), api.method(1, "moov-wallet"), 1).await);
    }
    // How long a busy machine takes for them is not the feed's delay.
    for id in &made {
        api.settled(id).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let mut after = String::new();
    let mut sequence = 0;
    let mut seen = std::collections::BTreeMap::<String, Vec<String>>::new();
    loop {
        let page = api.get(&format!("/events?after={after}&count=7")).await.json();
        for event in page["events"].as_array().unwrap() {
            sequence += 1;
            assert_eq!(event["sequence"], sequence, "{event}");
            if let Some(id) = event["transferID"].as_str() {
                seen.entry(id.to_owned()).or_default().push(event["type"].to_string());
            }
        }
        let next = page["next"].as_str().unwrap().to_owned();
        if next == after || page["events"].as_array().unwrap().is_empty() {
            break;
        }
        after = next;
    }
    for id in &made {
        let types = &seen[id];
        assert_eq!(types[0], "\"transfer.created\"", "{types:?}");
        assert!(types.len() >= 2, "{types:?}");
    }
}
