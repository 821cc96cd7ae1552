//! The dashboard in a real Chromium: create by form, watch it complete live, read its diagram,
//! replay a dead letter; axe-core finds nothing and no policy is broken on the way.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use browser::{Browser, accessible, quiet, screenshot};
use end_to_end::{Api, Process, key};
use serde_json::{Value, json};
use store::{Location, Options, Sql, Store};

/// Fills in the form for a transfer from the platform's wallet.
async fn fill_in(browser: &Browser, api: &Api, to: &str, amount: &str, description: &str) {
    browser.press(&format!("#source option[value='{}']", api.wallet())).await;
    browser.press(&format!("#destination option[value='{to}']")).await;
    browser.write("#amount", amount).await;
    browser.write("#description", description).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_made_by_form_and_watched_until_it_completes() {
    let Some(browser) = Browser::start().await else { return };
    let process = Process::start().await;
    let (api, base) = (process.api(), process.base());
    browser.open(&format!("{base}/dashboard/transfers/new")).await;
    browser.shows("Sign in").await;
    accessible(&browser).await;
    browser.write("#public", "nobody").await;
    browser.write("#secret", "nothing").await;
    browser.press("main button[type=submit]").await;
    browser.shows("No key has these two halves.").await;
    accessible(&browser).await;
    browser.sign_in(&base, api.key()).await;
    browser.press("nav a[href='/dashboard/transfers/new']").await;
    accessible(&browser).await;
    // What is wrong is said at its field, and what was written stays.
    fill_in(&browser, &api, api.method(0, "rtp-credit"), "12.345", "Invoice 17").await;
    browser.press("main form button[type=submit]").await;
    browser.shows("Write an amount like 12.04").await;
    assert_eq!(
        browser.value_of("return document.getElementById('description').value").await,
        "Invoice 17"
    );
    assert_eq!(
        browser.value_of("return document.getElementById('amount').ariaInvalid").await,
        "true"
    );
    accessible(&browser).await;
    screenshot(&browser, "dashboard-form.png", (1000, 860)).await;
    // 7,795.02: the network takes it at once and decides two seconds later.
    browser.write("#amount", "$7,795.02").await;
    browser.press("main form button[type=submit]").await;
    browser.shows("Transfer of 7795.02 USD").await;
    let loaded =
        "return performance.getEntriesByType('navigation').length + ' ' + performance.timeOrigin";
    let before = browser.value_of(loaded).await;
    browser.find(".status .under-way").await;
    accessible(&browser).await;
    browser.find(".status .good").await;
    assert_eq!(browser.value_of(loaded).await, before, "it was watched, not reloaded");
    let said = "return document.getElementById('said').textContent";
    assert_eq!(browser.value_of(said).await, "The transfer is completed.");
    // Its diagram is drawn, and says in words what it shows.
    let told = browser.value_of("return document.querySelector('svg desc').textContent").await;
    let told = told.as_str().unwrap().to_owned();
    for step in ["client asks transfers", "rtp sends rtp-participant a message", "ledger.posted"] {
        assert!(told.contains(step), "{step}: {told}");
    }
    let arrows = browser.value_of("return document.querySelectorAll('svg .label').length").await;
    assert!(arrows.as_u64() > Some(12), "{arrows}");
    accessible(&browser).await;
    quiet(&browser).await;
    screenshot(&browser, "dashboard-transfer.png", (1540, 1860)).await;
    look_around(&browser, &api).await;
    browser.press("header.top button").await;
    browser.shows("Sign in").await;
    browser.open(&format!("{base}/dashboard/transfers")).await;
    browser.shows("Sign in").await;
    browser.quit().await;
}

/// The other pages after one transfer.
async fn look_around(browser: &Browser, api: &Api) {
    browser.press("nav a[href='/dashboard/transfers']").await;
    browser.shows("Invoice 17").await;
    browser.press("#status option[value=failed]").await;
    browser.press(".filters button").await;
    browser.shows("No transfers here.").await;
    accessible(browser).await;
    browser.press("nav a[href='/dashboard/rails']").await;
    browser.shows("closed").await;
    accessible(browser).await;
    browser.press("nav a[href='/dashboard']").await;
    browser.find("svg.picture").await;
    accessible(browser).await;
    screenshot(browser, "dashboard-map.png", (1600, 1240)).await;
    quiet(browser).await;
    // What the dashboard itself asked was declared, like everything else.
    let topology = api.get("/operations/topology").await.json();
    let edges = topology["edges"].as_array().unwrap();
    let undeclared: Vec<&Value> = edges.iter().filter(|edge| edge["declared"] == false).collect();
    assert!(undeclared.is_empty(), "{undeclared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_works_without_scripts() {
    let Some(browser) = Browser::start_with(false).await else { return };
    let process = Process::start().await;
    let (api, base) = (process.api(), process.base());
    browser.sign_in(&base, api.key()).await;
    browser.find("svg.picture").await;
    browser.press("nav a[href='/dashboard/transfers/new']").await;
    fill_in(&browser, &api, api.method(0, "rtp-credit"), "7795.02", "by hand").await;
    browser.press("main form button[type=submit]").await;
    browser.shows("It goes on: reload this page").await;
    for _ in 0..100 {
        browser.driver.refresh().await.unwrap();
        if browser.text().await.contains("completed") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    browser.shows("completed").await;
    browser.find("svg.picture").await;
    for (page, text) in [("rails", "rtp"), ("dead-letters", "There are none.")] {
        browser.open(&format!("{base}/dashboard/{page}")).await;
        browser.shows(text).await;
    }
    quiet(&browser).await;
    browser.quit().await;
}

/// Changes the data of a process that is stopped.
async fn change(process: &Process, statement: Sql) {
    let data = process.data();
    let done = tokio::task::spawn_blocking(move || {
        let (_store, mut writer) =
            Store::open(Location::Directory(data), Options::default()).unwrap();
        let mut tx = writer.begin().unwrap();
        tx.execute(&statement, &[]).unwrap();
        tx.commit().unwrap();
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_replayed_once_its_cause_is_gone() {
    static BREAK: Sql = Sql::new(
        "CREATE TRIGGER broken BEFORE INSERT ON rtp_instruction \
         BEGIN SELECT RAISE(ABORT, 'the rail is broken'); END",
    );
    static MEND: Sql = Sql::new("DROP TRIGGER broken");
    let Some(browser) = Browser::start().await else { return };
    let mut process = Process::start().await;
    process.stop();
    change(&process, BREAK).await;
    process.again().await;
    let (api, base) = (process.api(), process.base());
    let id = api.transfer(api.wallet(), api.method(0, "rtp-credit"), 500).await;
    browser.sign_in(&base, api.key()).await;
    browser.press("nav a[href='/dashboard/dead-letters']").await;
    let letter = loop {
        let letters = api.get("/operations/dead-letters").await.json();
        match letters[0]["deadLetterID"].as_str() {
            Some(letter) => break letter.to_owned(),
            None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    assert!(letter.starts_with("rtp:ledger:0:"), "{letter}");
    browser.driver.refresh().await.unwrap();
    browser.shows("the rail is broken").await;
    accessible(&browser).await;
    screenshot(&browser, "dashboard-dead-letters.png", (1200, 600)).await;
    browser.press(&format!("a[href='/dashboard/dead-letters/{letter}']")).await;
    browser.shows("ledger.reserved").await;
    accessible(&browser).await;
    // The cause is still there.
    browser.press("form[action$=replay] button").await;
    browser.shows("it still cannot be applied").await;
    accessible(&browser).await;
    let command =
        process.command(&["dead-letters", "list", "--data", process.data().to_str().unwrap()]);
    assert_eq!(command.0, 0, "{command:?}");
    assert!(command.1.starts_with(&format!("{letter} poisoned ledger.reserved: ")), "{command:?}");
    assert_eq!(api.transfer_now(&id).await["status"], "pending");
    process.stop();
    change(&process, MEND).await;
    process.again().await;
    // A restart ends sessions.
    browser.open(&format!("{base}/dashboard/dead-letters/{letter}")).await;
    browser.sign_in(&base, api.key()).await;
    browser.open(&format!("{base}/dashboard/dead-letters/{letter}")).await;
    browser.press("form[action$=replay] button").await;
    browser.shows("replayed").await;
    accessible(&browser).await;
    assert_eq!(api.settled(&id).await["status"], "completed");
    browser.open(&format!("{base}/dashboard/dead-letters")).await;
    browser.shows("There are none.").await;
    quiet(&browser).await;
    let (code, out, errors) =
        process.command(&["verify", "--data", process.data().to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{errors}");
    browser.quit().await;
}

/// Markup that would fire a canary where it is taken for markup.
const MARKUP: &str =
    "\"'></title></textarea></svg><img src=x onerror=fired=1><script>fired=1</script>";

/// A transfer with markup wherever a person can write.
async fn with_markup(api: &Api) -> String {
    let name = "N<img src=x onerror=fired=1><script>fired=1</script>";
    let made = api
        .post(
            "/accounts",
            &json!({ "accountType": "business",
            "profile": { "business": { "legalBusinessName": name } } }),
        )
        .await;
    let account = made.text_of("accountID");
    let linked = api
        .post(&format!("/accounts/{account}/bank-accounts"), &json!({ "account": {
            "holderName": "H<script>fired=1</script>", "holderType": "individual",
            "routingNumber": "021000021", "accountNumber": "5551234", "bankAccountType": "checking" } }))
        .await;
    assert_eq!(linked.status, 200, "{linked:?}");
    let methods = api.get(&format!("/accounts/{account}/payment-methods")).await.json();
    let method =
        methods.as_array().unwrap().iter().find(|m| m["paymentMethodType"] == "rtp-credit");
    let method = method.unwrap()["paymentMethodID"].as_str().unwrap();
    let mut body = Api::transfer_body(api.wallet(), method, 100);
    body["description"] = MARKUP.into();
    body["foreignID"] = "<svg onload=fired=1>".into();
    body["metadata"] = json!({ "<b onmouseover=fired=1>": MARKUP });
    let reply = api.send(api.transfer_request(&key(), &body)).await.unwrap();
    let id = reply.text_of("transferID");
    api.settled(&id).await;
    id
}

/// Markup in every text that a person can write, and a canary that fires where it runs.
#[tokio::test(flavor = "multi_thread")]
async fn markup_in_every_text_stays_text() {
    let Some(browser) = Browser::start().await else { return };
    let process = Process::start().await;
    let (api, base) = (process.api(), process.base());
    let id = with_markup(&api).await;
    browser.open(&format!("{base}/dashboard/sign-in")).await;
    browser.write("#public", MARKUP).await;
    browser.write("#secret", MARKUP).await;
    browser.press("main button[type=submit]").await;
    browser.shows("No key has these two halves.").await;
    browser.sign_in(&base, api.key()).await;
    let asked: String = MARKUP.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for page in [
        "transfers".to_owned(),
        format!("transfers/{id}"),
        "transfers/new".to_owned(),
        format!("transfers?account={asked}&foreign={asked}&status={asked}&before={asked}"),
        format!("transfers?foreign={asked}"),
        format!("transfers/{asked}"),
        format!("dead-letters/{asked}"),
        format!("dead-letters?after={asked}"),
        asked.clone(),
    ] {
        browser.open(&format!("{base}/dashboard/{page}")).await;
        browser.find("main").await;
        let fired = browser.value_of("return typeof fired").await;
        assert_eq!(fired, "undefined", "{page}");
        let inside =
            "return document.querySelectorAll('main script, main img, [onload], [onerror]').length";
        assert_eq!(browser.value_of(inside).await, 0, "{page}");
    }
    browser.open(&format!("{base}/dashboard/transfers/{id}")).await;
    browser.shows(MARKUP).await;
    browser.shows("<svg onload=fired=1>").await;
    accessible(&browser).await;
    // Through the form, and back into it.
    browser.open(&format!("{base}/dashboard/transfers/new")).await;
    fill_in(&browser, &api, api.method(0, "moov-wallet"), MARKUP, MARKUP).await;
    browser.press("main form button[type=submit]").await;
    browser.shows("Write an amount like 12.04").await;
    assert_eq!(browser.value_of("return typeof fired").await, "undefined");
    assert_eq!(
        browser.value_of("return document.getElementById('description').value").await,
        MARKUP
    );
    quiet(&browser).await;
    browser.quit().await;
}
