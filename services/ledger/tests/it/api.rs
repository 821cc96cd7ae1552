//! What the ledger answers over HTTP.

use contracts::{ids::WalletId, rails::RailState::Accepted};
use serde_json::json;

use crate::harness::{Bed, Harness, Said, To, account, on_both};

on_both! {
    wallets: 1;
    journal_and_balances_as_of_a_moment: 4;
    pages_of_transactions: 4;
}

fn wallets(bed: &Bed) {
    let harness = Harness::start(bed);
    let own = harness.people(2, 500);
    let path = format!("/accounts/{}/wallets", account(2));
    let list = harness.get(&path);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let wallet = &list[0];
    assert_eq!(wallet["walletID"], json!(own[1]));
    assert_eq!(wallet["partnerAccountID"], json!(account(2)));
    assert_eq!(wallet["walletType"], "default");
    let balance = json!({"currency": "USD", "value": 500, "valueDecimal": "5.00"});
    assert_eq!(wallet["availableBalance"], balance);
    // The capability again: no second wallet.
    assert_eq!(harness.wallet_of(2), own[1]);
    assert_eq!(harness.get(&path).as_array().unwrap().len(), 1);
    // Nine more, then no more.
    for number in 0..9 {
        let body = json!({"name": format!("pocket {number}"), "metadata": {"a": "b"}}).to_string();
        let (status, made) = harness.ask("POST", &path, &body);
        assert_eq!((status, &made["walletType"]), (200, &json!("general")), "{made}");
        assert_eq!(made["metadata"], json!({"a": "b"}));
        let id: WalletId = made["walletID"].as_str().unwrap().parse().unwrap();
        harness.wait(|| harness.double.wallets.lock().contains_key(&id));
        assert_eq!(harness.get(&format!("{path}/{id}")), made);
    }
    assert_eq!(harness.ask("POST", &path, r#"{"name":"one more"}"#).0, 409);
    assert_eq!(harness.get(&format!("{path}?skip=8")).as_array().unwrap().len(), 2);
    for body in [r#"{"name":""}"#, r#"{"name":"a\u0000"}"#, "{}", r#"{"name":"a","x":1}"#] {
        assert_eq!(harness.ask("POST", &path, body).0, 422, "{body}");
    }
    // Another account's wallet is not there.
    let wrong = format!("/accounts/{}/wallets/{}", account(1), own[1]);
    assert_eq!(harness.ask("GET", &wrong, "").0, 404);
    assert_eq!(harness.ask("GET", &format!("{wrong}/transactions"), "").0, 404);
    for (amount, status) in [("0", 422), ("-1", 422), ("1.5", 422), ("9223372036854775808", 422)] {
        let body = format!(
            r#"{{"walletID":"{}","amount":{{"currency":"USD","value":{amount}}}}}"#,
            own[0]
        );
        assert_eq!(harness.ask("POST", "/sandbox/fund", &body).0, status, "{amount}");
    }
    let euro = format!(r#"{{"walletID":"{}","amount":{{"currency":"EUR","value":1}}}}"#, own[0]);
    assert_eq!(harness.ask("POST", "/sandbox/fund", &euro).0, 422);
    let nobody = euro.replace(&own[0].to_string(), &account(9).to_string());
    assert_eq!(harness.ask("POST", "/sandbox/fund", &nobody).0, 404);
    harness.stop();
    assert!(bed.faults().is_empty());
}

fn journal_and_balances_as_of_a_moment(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(2, 1_000);
    let (held, _) = harness.one(people[0], To::Bank, 300);
    let moment = harness.get("/ledger/journal?count=1000");
    let moment = moment.as_array().unwrap().iter().map(|line| line["at"].as_str().unwrap());
    let moment = moment.max().unwrap().to_owned();
    assert_eq!(harness.outcome(held.transfer_id, Accepted), Some(Said::Posted));
    let id = held.transfer_id;
    let lines = harness.get(&format!("/ledger/journal?transferID={id}"));
    let lines: Vec<(String, String, String, i64)> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("step"), text("side"), text("account"), line["amount"].as_i64().unwrap())
        })
        .collect();
    let wallet = format!("wallet:{}", people[0]);
    let expected: Vec<_> = [
        ("hold", "debit", wallet.as_str()),
        ("hold", "credit", "rtp:out"),
        ("post", "debit", &wallet),
        ("post", "credit", "rtp:out"),
        ("settle", "debit", "rtp:out"),
        ("settle", "credit", "rtp:settlement"),
    ]
    .map(|(step, side, name)| (step.to_owned(), side.to_owned(), name.to_owned(), 300))
    .into();
    assert_eq!(lines, expected);
    // Page by page it is the same journal.
    let whole = harness.get("/ledger/journal?count=1000");
    let mut paged = Vec::new();
    let mut after = -1;
    loop {
        let page = harness.get(&format!("/ledger/journal?count=3&after={after}"));
        let page = page.as_array().unwrap().clone();
        let Some(last) = page.last() else { break };
        after = last["key"].as_i64().unwrap();
        paged.extend(page);
    }
    assert_eq!(whole.as_array().unwrap(), &paged);
    // A moment ago the money was held; one wallet alone and all together say the same.
    let then = format!("/ledger/accounts?at={moment}");
    let find = |list: serde_json::Value, name: &str| {
        let list = list.as_array().unwrap().clone();
        list.into_iter().find(|account| account["name"] == name).unwrap()
    };
    let all = find(harness.get(&then), &wallet);
    let one = find(harness.get(&format!("{then}&name={wallet}")), &wallet);
    assert_eq!(all, one);
    assert_eq!((&one["debitsPending"], &one["debitsReleased"]), (&json!(300), &json!(0)));
    assert_eq!(one["debitsPosted"], 0);
    let out = find(harness.get(&format!("{then}&name=rtp:out")), "rtp:out");
    assert_eq!((&out["creditsPending"], &out["creditsPosted"]), (&json!(300), &json!(0)));
    let now = "2999-01-01T00:00:00Z";
    assert_eq!(harness.get(&format!("/ledger/accounts?at={now}")), harness.get("/ledger/accounts"));
    let one = harness.get(&format!("/ledger/accounts?at={now}&name={wallet}"));
    assert_eq!(one, harness.get(&format!("/ledger/accounts?name={wallet}")));
    let early = harness.get("/ledger/accounts?at=2000-01-01T00:00:00Z");
    assert!(early.as_array().unwrap().iter().all(|account| account["creditsPosted"] == 0));
    harness.stop();
    assert!(bed.faults().is_empty());
}

fn pages_of_transactions(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(4, 100_000);
    let moves: Vec<_> = (0..50)
        .map(|number| (people[number % 4], To::Wallet(people[(number + 1) % 4]), 1 + number as i64))
        .collect();
    harness.make(moves.clone());
    let path = format!("/accounts/{}/wallets/{}/transactions", account(1), people[0]);
    let whole = harness.get(&format!("{path}?count=1000"));
    let whole = whole.as_array().unwrap();
    assert_eq!(whole.len(), 1 + 13 + 12);
    let sum: i64 = whole.iter().map(|t| t["netAmount"].as_i64().unwrap()).sum();
    assert_eq!(sum, harness.available(people[0]));
    let mut paged = Vec::new();
    for skip in (0..40).step_by(7) {
        let page = harness.get(&format!("{path}?skip={skip}&count=7"));
        paged.extend(page.as_array().unwrap().clone());
    }
    assert_eq!(whole, &paged);
    assert_eq!(whole.last().unwrap()["transactionType"], "adjustment");
    harness.stop();
    // The same after a restart, when the index is read again.
    let harness = Harness::start(bed);
    let again = harness.get(&format!("{path}?count=1000"));
    assert_eq!(again.as_array().unwrap(), whole);
    harness.stop();
}
