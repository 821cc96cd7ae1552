//! Micro-deposits: of 0 and 0, and such as are sent, with all that can become of them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn in_the_sandbox_they_are_0_and_0() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let mut paths = Vec::new();
    for number in [NUMBER, "5555"] {
        let (_, bank) = platform.link("111326233", number).await;
        paths.push(format!("/bank-accounts/{}", text(&bank["bankAccountID"])));
    }
    assert!(!platform.methods().await.contains_key("rtp-credit"), "not on RTP");
    assert!(!platform.methods().await.contains_key("ach-debit-fund"), "not verified");
    let name = |amounts: [i64; 2]| json!({"amounts": amounts}).to_string();
    let deposits = format!("{}/micro-deposits", paths[0]);
    assert_eq!(platform.ask("PUT", &deposits, &name([0, 0])).await.0, 409, "none were sent");
    for _ in 0..2 {
        let started = platform.ask("POST", &deposits, "").await;
        assert_eq!(started, (StatusCode::NO_CONTENT, Value::Null));
    }
    assert_eq!(platform.get(&paths[0]).await.1["status"], "pending");
    let (status, answer) = platform.ask("PUT", &deposits, &name([1, 0])).await;
    assert_eq!(status, 409);
    assert!(text(&answer["error"]).contains("4 tries left"), "{answer}");
    for bad in ["{}", r#"{"amounts":[0]}"#, r#"{"amounts":[0,0.5]}"#, r#"{"amounts":"0"}"#] {
        let (status, answer) = platform.ask("PUT", &deposits, bad).await;
        assert_eq!(status, 422, "{bad} {answer}");
    }
    let verified = platform.ask("PUT", &deposits, &name([0, 0])).await;
    assert_eq!(verified, (StatusCode::OK, json!({"status": "verified"})));
    assert_eq!(platform.get(&paths[0]).await.1["status"], "verified");
    let fund = platform.methods().await.remove("ach-debit-fund").unwrap();
    assert_eq!(fund["bankAccount"]["status"], "verified", "in the commit that verifies");
    assert_eq!(platform.ask("POST", &deposits, "").await.0, 409);
    let other = format!("{}/micro-deposits", paths[1]);
    platform.ask("POST", &other, "").await;
    for attempt in 1..=6 {
        let (status, answer) = platform.ask("PUT", &other, &name([2, 3])).await;
        assert_eq!(status, 409, "try {attempt}");
        assert_eq!(text(&answer["error"]).contains("left"), attempt < 5, "{answer}");
    }
    assert_eq!(platform.ask("PUT", &other, &name([0, 0])).await.0, 409, "too late");
    assert_eq!(platform.get(&paths[1]).await.1["status"], "verificationFailed");
    until(async || platform.heard().len() >= 13).await;
    let fund = |(name, data): &(String, Value)| {
        name == "paymentMethod.enabled" && data["paymentMethodType"] == "ach-debit-fund"
    };
    assert_eq!(platform.heard().iter().filter(|event| fund(event)).count(), 1);
    let heard = platform.heard().into_iter();
    let updates: Vec<Value> = heard
        .filter(|(name, _)| name == "bankAccount.updated")
        .map(|(_, data)| data["status"].clone())
        .collect();
    assert_eq!(updates, ["pending", "verified", "pending", "verificationFailed"]);
}

/// A platform that sends them, with the wallet that pays.
async fn sending(directory: &Path, clock: &Clock) -> Platform {
    let platform = register(open_with(directory, Deposits::Sent, clock).unwrap()).await;
    let wallet_id = contracts::ids::default_wallet(platform.account);
    let (account_id, currency) = (platform.account, Currency::USD);
    let event = WalletCreated { wallet_id, account_id, currency };
    platform.running.platform.commit(MakeWallet(event)).await.unwrap();
    until(async || platform.methods().await.contains_key("moov-wallet")).await;
    platform
}

impl Platform {
    /// A linked bank account, and its path.
    async fn linked(&self, number: &str) -> String {
        let (_, bank) = self.link("021000021", number).await;
        format!("/bank-accounts/{}", text(&bank["bankAccountID"]))
    }
    async fn initiate(&self, bank: &str) -> StatusCode {
        self.ask("POST", &format!("{bank}/micro-deposits"), "").await.0
    }
    async fn name(&self, bank: &str, amounts: [i64; 2]) -> (StatusCode, Value) {
        let body = json!({ "amounts": amounts }).to_string();
        self.ask("PUT", &format!("{bank}/micro-deposits"), &body).await
    }
    /// `status statusReason code` of a bank account.
    async fn state(&self, bank: &str) -> String {
        let bank = self.get(bank).await.1;
        let code = bank["exceptionDetails"]["achReturnCode"].as_str().unwrap_or("-");
        format!("{} {} {code}", text(&bank["status"]), text(&bank["statusReason"]))
    }
    /// What was told to those who move money: the transfers and cents of each pair.
    async fn pairs(&self, count: usize) -> Vec<Vec<(TransferId, i64)>> {
        let told = || -> Vec<Value> {
            let heard = self.heard().into_iter();
            heard.filter(|(name, _)| name == "microDeposits.initiated").map(|told| told.1).collect()
        };
        until(async || told().len() >= count).await;
        assert_eq!(told().len(), count);
        let pair = |event: &Value| {
            let deposits = event["deposits"].as_array().unwrap().iter();
            let deposits = deposits.map(|one| {
                let id = text(&one["transferID"]).parse().unwrap();
                (id, one["amount"]["value"].as_i64().unwrap())
            });
            deposits.collect()
        };
        told().iter().map(pair).collect()
    }
    async fn report(&self, transfer_id: TransferId, state: RailState, code: Option<&str>) {
        let event = RailOutcome {
            transfer_id,
            leg: 0,
            rail: Rail::Ach,
            state,
            network_code: code.map(str::to_owned),
            failure_code: None,
            reference: None,
            payment_method_id: None,
            stage: None,
            reason: Some("said the bank".to_owned()),
        };
        // Twice: the second changes nothing.
        for _ in 0..2 {
            self.running.platform.commit(ReportReturn(event.clone())).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_random_amounts_are_sent_once_and_verify() {
    let directory = tempfile::tempdir().unwrap();
    let mut platform = sending(directory.path(), &Clock::system()).await;
    let bank = platform.linked(NUMBER).await;
    assert_eq!(platform.state(&bank).await, "new bank-account-created -");
    assert_eq!(platform.name(&bank, [1, 1]).await.0, 409, "none were sent");
    for _ in 0..2 {
        assert_eq!(platform.initiate(&bank).await, 204);
    }
    assert_eq!(platform.state(&bank).await, "pending verification-initiated -");
    let pair = platform.pairs(1).await.remove(0);
    let event = platform.heard().into_iter().find(|told| told.0 == "microDeposits.initiated");
    let event = event.unwrap().1;
    let methods = platform.methods().await;
    let wallet = contracts::ids::default_wallet(platform.account);
    assert_eq!(event["walletID"], json!(wallet));
    assert_eq!(event["walletMethodID"], methods["moov-wallet"]["paymentMethodID"]);
    assert_eq!(event["paymentMethodID"], methods["ach-credit-same-day"]["paymentMethodID"]);
    assert_eq!(
        (&event["version"], text(&event["paymentMethodType"])),
        (&json!(1), "ach-credit-same-day")
    );
    assert_eq!(pair.len(), 2);
    for (transfer, cents) in &pair {
        assert_eq!(transfer.bucket(), wallet.bucket());
        assert!((1..=25).contains(cents), "{cents}");
    }
    // Neither a look nor what is public tells them.
    for path in [bank.as_str(), "/bank-accounts", "/payment-methods"] {
        let shown = platform.get(path).await.1.to_string();
        assert!(!shown.contains("amount") && !shown.contains("deposits"), "{shown}");
    }
    // What was sealed is opened after a restart.
    platform.running.stop().await;
    platform =
        register(open_with(directory.path(), Deposits::Sent, &Clock::system()).unwrap()).await;
    let [first, second] = [pair[0].1, pair[1].1];
    let (status, answer) = platform.name(&bank, [first, second % 25 + 1]).await;
    assert_eq!(status, 409, "{answer}");
    assert!(text(&answer["error"]).contains("4 tries left"), "{answer}");
    assert_eq!(platform.name(&bank, [second, first]).await.0, 200, "in any order");
    assert_eq!(platform.state(&bank).await, "verified verification-successful -");
    assert!(platform.methods().await.contains_key("ach-debit-fund"));
    assert_eq!(platform.initiate(&bank).await, 409);
    assert_eq!(platform.name(&bank, [first, second]).await.0, 409);
    // A deposit that comes back after that ends the account.
    platform.report(pair[1].0, RailState::Returned, Some("R31")).await;
    until(async || platform.state(&bank).await == "errored micro-deposit-return R31").await;
    let shown = platform.get(&bank).await.1;
    assert_eq!(shown["exceptionDetails"]["description"], "said the bank");
    assert!(!platform.methods().await.contains_key("ach-debit-fund"));
    platform.pairs(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returned_deposit_fails_the_verification() {
    let directory = tempfile::tempdir().unwrap();
    let platform = sending(directory.path(), &Clock::system()).await;
    let bank = platform.linked(NUMBER).await;
    platform.initiate(&bank).await;
    let pair = platform.pairs(1).await.remove(0);
    platform.report(pair[0].0, RailState::Pending, None).await;
    platform.report(pair[0].0, RailState::Accepted, None).await;
    assert_eq!(platform.state(&bank).await, "pending verification-initiated -");
    platform.report(pair[1].0, RailState::Rejected, Some("R03")).await;
    let failed = "verificationFailed micro-deposit-return R03";
    until(async || platform.state(&bank).await == failed).await;
    platform.report(pair[0].0, RailState::Returned, Some("R04")).await;
    assert_eq!(platform.name(&bank, [pair[0].1, pair[1].1]).await.0, 409);
    assert_eq!(platform.initiate(&bank).await, 409, "for good");
    let kinds: Vec<String> = platform.methods().await.into_keys().collect();
    assert_eq!(kinds, ["moov-wallet"]);
    let heard = platform.heard().into_iter();
    let updates = heard.filter(|told| told.0 == "bankAccount.updated").map(|told| told.1);
    let updates: Vec<String> = updates
        .map(|data| format!("{} {}", text(&data["status"]), text(&data["statusReason"])))
        .collect();
    let expected = ["pending verification-initiated", "verificationFailed micro-deposit-return"];
    assert_eq!(updates, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_may_be_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let platform = sending(directory.path(), &Clock::system()).await;
    let bank = platform.linked(NUMBER).await;
    platform.initiate(&bank).await;
    let refuse = async |transfer_id| {
        let reason = contracts::ledger::RefusedReason::InsufficientFunds;
        let event = LedgerRefused { transfer_id, leg: 0, reason };
        platform.running.platform.commit(RefuseTransfer(event)).await.unwrap();
    };
    let first = platform.pairs(1).await.remove(0);
    // A transfer that is nobody's deposit.
    refuse(TransferId::from_slice(&[9; 16]).unwrap()).await;
    refuse(first[0].0).await;
    until(async || platform.state(&bank).await == "new other -").await;
    assert_eq!(platform.initiate(&bank).await, 204);
    // The other of the first pair is refused late: the second pair is under way.
    refuse(first[1].0).await;
    let second = platform.pairs(2).await.remove(1);
    assert_eq!(platform.state(&bank).await, "pending verification-initiated -");
    let ids = |pair: &[(TransferId, i64)]| pair.iter().map(|one| one.0).collect::<Vec<_>>();
    assert!(ids(&first).iter().all(|id| !ids(&second).contains(id)));
    platform.report(second[0].0, RailState::Canceled, None).await;
    until(async || platform.state(&bank).await == "new other -").await;
    platform.initiate(&bank).await;
    let third = platform.pairs(3).await.remove(2);
    // No other pair's amounts count.
    let sorted = |pair: &[(TransferId, i64)]| {
        let mut cents = [pair[0].1, pair[1].1];
        cents.sort_unstable();
        cents
    };
    if sorted(&first) != sorted(&third) {
        assert_eq!(platform.name(&bank, sorted(&first)).await.0, 409);
    }
    assert_eq!(platform.name(&bank, sorted(&third)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_14_days_of_business_time_it_is_too_late() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let platform = sending(directory.path(), &clock).await;
    let in_time = platform.linked("1111").await;
    let late = platform.linked("2222").await;
    let unasked = platform.linked("3333").await;
    let mut amounts = Vec::new();
    for (bank, count) in [&in_time, &late, &unasked].into_iter().zip(1..) {
        platform.initiate(bank).await;
        let pair = platform.pairs(count).await.pop().unwrap();
        amounts.push([pair[0].1, pair[1].1]);
    }
    let day = 24 * 60 * 60 * 1_000_000_i64;
    clock.advance_to_offset(14 * day - 60_000_000);
    assert_eq!(platform.name(&in_time, amounts[0]).await.0, 200);
    clock.advance_to_offset(14 * day);
    // Nobody has to ask.
    let expired = "verificationFailed micro-deposit-expired -";
    until(async || platform.state(&unasked).await == expired).await;
    let (status, answer) = platform.name(&late, amounts[1]).await;
    assert_eq!(status, 409);
    assert!(text(&answer["error"]).contains("failed"), "{answer}");
    assert_eq!(platform.initiate(&unasked).await, 409);
    assert_eq!(platform.state(&late).await, expired);
    let told = |(name, data): &(String, Value)| {
        name == "bankAccount.updated" && data["statusReason"] == "micro-deposit-expired"
    };
    assert_eq!(platform.heard().iter().filter(|event| told(event)).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wallet_that_pays_nothing_is_promised() {
    let directory = tempfile::tempdir().unwrap();
    let platform =
        register(open_with(directory.path(), Deposits::Sent, &Clock::system()).unwrap()).await;
    let bank = platform.linked(NUMBER).await;
    assert_eq!(platform.initiate(&bank).await, 409);
    assert_eq!(platform.state(&bank).await, "new bank-account-created -");
    platform.pairs(0).await;
}
