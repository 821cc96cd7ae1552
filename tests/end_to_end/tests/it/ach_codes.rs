//! Every return code in both of its forms and every code of change, both ways, over true banking days:
//! a holiday, a weekend and the sixty days of a late return. The clock is moved; nothing waits.

use end_to_end::{Api, Process};
use nacha::{ChangeCode, ReturnCode};
use serde_json::{Value, json};

/// What becomes of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// 99NN
    Returned,
    /// 94NN
    ReturnedLate,
    /// 98NN
    Changed,
}

/// A transfer with what must become of it.
struct Row {
    id: String,
    value: i64,
    code: String,
    fate: Fate,
    is_debit: bool,
}

impl Row {
    /// Its leg at the bank.
    fn leg<'a>(&self, transfer: &'a Value) -> &'a Value {
        let side = if self.is_debit { "source" } else { "destination" };
        &transfer[side]["achDetails"]
    }
}

fn sum(rows: &[Row], is_debit: bool, fates: &[Fate]) -> i64 {
    let all = rows.iter().filter(|row| row.is_debit == is_debit && fates.contains(&row.fate));
    all.map(|row| row.value).sum()
}

/// Makes a transfer of every row, both ways.
async fn make(api: &Api) -> Vec<Row> {
    let returns = ReturnCode::all().filter(|code| code.number() <= 85);
    let returns = returns.flat_map(|code| {
        let (number, code) = (i64::from(code.number()), code.to_string());
        [
            (77_9900 + number, code.clone(), Fate::Returned),
            (77_9400 + number, code, Fate::ReturnedLate),
        ]
    });
    let changes = ChangeCode::all()
        .filter(|code| code.number() <= 14)
        .map(|code| (77_9800 + i64::from(code.number()), code.to_string(), Fate::Changed));
    let mut rows = Vec::new();
    for (value, code, fate) in returns.chain(changes) {
        for is_debit in [false, true] {
            let (from, to) = match is_debit {
                true => (api.method(0, "ach-debit-fund"), api.method(0, "moov-wallet")),
                false => (api.wallet(), api.method(1, "ach-credit-standard")),
            };
            let (id, code) = (api.transfer(from, to, value).await, code.clone());
            rows.push(Row { id, value, code, fate, is_debit });
        }
    }
    rows
}

/// Gives the platform as much again: all credits together are more than the sandbox's wallet holds.
async fn fund(api: &Api) {
    let wallets = api.get(&format!("/accounts/{}/wallets", api.account())).await.json();
    let amount = json!({ "currency": "USD", "value": 100_000_000 });
    let fund = json!({ "walletID": wallets[0]["walletID"], "amount": amount });
    assert_eq!(api.post("/sandbox/fund", &fund).await.status, 200);
}

/// Moves the clock to a moment.
async fn to(api: &Api, moment: &str) {
    let reply = api.post("/sandbox/clock/advance", &json!({ "to": moment })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The rail as its operators see it, once this holds of it.
async fn rail(api: &Api, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..2_000 {
        let rails = api.get("/operations/rails").await.json();
        let all = rails.as_array().unwrap();
        last = all.iter().find(|rail| rail["name"] == "ach").unwrap().clone();
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}: {last}");
}

/// Waits until the transfers of these fates have this status, and their bank's code with it.
async fn all(api: &Api, rows: &[Row], is_debit: bool, (fate, status): (Fate, &str)) {
    for row in rows.iter().filter(|row| row.is_debit == is_debit && row.fate == fate) {
        let transfer = api.until(&row.id, |now| now["status"] == status).await;
        let said = match status {
            "completed" if fate == Fate::Changed => {
                let noted = |now: &Value| row.leg(now)["correction"]["code"] == row.code;
                row.leg(&api.until(&row.id, noted).await)["correction"]["code"].clone()
            }
            "failed" | "reversed" => row.leg(&transfer)["return"]["code"].clone(),
            _ => continue,
        };
        assert_eq!(said, row.code, "{transfer}");
        if status == "failed" {
            let reason =
                if is_debit { "source-payment-error" } else { "destination-payment-error" };
            assert_eq!(transfer["failureReason"], reason, "{transfer}");
        }
    }
}

/// Whether the bank has each as it must: all in force but those that it returned.
async fn books(api: &Api, rows: &[Row], returned: &[Fate]) {
    let books = api.books().await;
    assert_eq!(books.len(), rows.len(), "each is there once");
    for row in rows {
        let there = books.iter().find(|one| one["transferID"] == row.id);
        let there = there.unwrap_or_else(|| panic!("{} {} is not there", row.id, row.code));
        assert_eq!(there["amount"], row.value, "{there}");
        let state = if returned.contains(&row.fate) { "returned" } else { "settled" };
        assert_eq!(there["state"], state, "{} {:?}", row.code, row.fate);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_in_every_form_both_ways() {
    use Fate::{Changed, Returned, ReturnedLate};
    let mut process = Process::start_with(&["--pace", "real"]).await;
    let api = process.api();
    fund(&api).await;
    // The Wednesday before Thanksgiving, nine in the morning in New York.
    to(&api, "2031-11-26T14:00:00Z").await;
    let (ours, theirs) = (api.account(), api.connected(0));
    let mut has = api.balance(ours).await;
    let mut they_have = api.balance(theirs).await;
    let third = api.balance(api.connected(1)).await;
    let rows = make(&api).await;
    let count = rows.len();
    rail(&api, "all are collected", |rail| rail["queue"]["ready"] == count).await;
    let [failing, late, changed] =
        [Returned, ReturnedLate, Changed].map(|fate| sum(&rows, false, &[fate]));
    has -= failing + late + changed;
    let balances = async |has: i64, they_have: i64, when: &str| {
        let third_now = api.balance(api.connected(1)).await;
        let now = (api.balance(ours).await, api.balance(theirs).await, third_now);
        assert_eq!(now, (has, they_have, third), "{when}");
    };
    balances(has, they_have, "collected").await;
    // Half past five: the day's last cut-off.
    to(&api, "2031-11-26T22:30:01Z").await;
    let acknowledged = |rail: &Value| {
        let files = rail["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let taken = files.iter().filter(|file| file["state"] == "acknowledged");
        taken.map(|file| file["entries"].as_u64().unwrap()).sum::<u64>() == count as u64
    };
    rail(&api, "the bank takes all", acknowledged).await;
    // Thanksgiving: what is returned before it settles is, and nothing settles.
    to(&api, "2031-11-27T15:00:00Z").await;
    for is_debit in [false, true] {
        all(&api, &rows, is_debit, (Returned, "failed")).await;
        all(&api, &rows, is_debit, (ReturnedLate, "pending")).await;
        all(&api, &rows, is_debit, (Changed, "pending")).await;
    }
    has += failing;
    balances(has, they_have, "on the holiday").await;
    // Friday, half past eight: credits are paid; the money of debits is held for two banking days.
    to(&api, "2031-11-28T13:30:01Z").await;
    all(&api, &rows, false, (ReturnedLate, "completed")).await;
    all(&api, &rows, false, (Changed, "completed")).await;
    balances(has, they_have, "settled").await;
    books(&api, &rows, &[Returned]).await;
    // Monday night, after the week-end: the hold of two banking days is not over.
    to(&api, "2031-12-02T05:00:00Z").await;
    all(&api, &rows, true, (ReturnedLate, "pending")).await;
    balances(has, they_have, "held over the week-end").await;
    to(&api, "2031-12-02T13:30:01Z").await;
    all(&api, &rows, true, (ReturnedLate, "completed")).await;
    all(&api, &rows, true, (Changed, "completed")).await;
    let [brought_late, brought] = [ReturnedLate, Changed].map(|fate| sum(&rows, true, &[fate]));
    they_have += brought_late + brought;
    balances(has, they_have, "released").await;
    // Sixty days after the settlement, the last on which a bank brings something back.
    to(&api, "2032-01-27T13:30:01Z").await;
    for is_debit in [false, true] {
        all(&api, &rows, is_debit, (ReturnedLate, "reversed")).await;
        all(&api, &rows, is_debit, (Returned, "failed")).await;
        all(&api, &rows, is_debit, (Changed, "completed")).await;
    }
    (has, they_have) = (has + late, they_have - brought_late);
    balances(has, they_have, "in the end").await;
    books(&api, &rows, &[Returned, ReturnedLate]).await;
    let nothing = rail(&api, "nothing waits", |rail| rail["queue"]["pending"] == 0).await;
    assert_eq!(nothing["waiting"], json!([]), "{nothing}");
    let exceptions = api.get("/operations/ach/exceptions").await.json();
    assert_eq!(exceptions, json!([]));
    process.verify_with_books(&api);
    println!("{count} transfers: every return code early and late, every change, both ways");
    assert!(process.stop().success());
}
