//! Cards over HTTP: linked, changed, paid with, disabled, and never written down.

use super::*;

const DEBIT: &str = "4111100010002000";
const CREDIT: &str = "4111111111111111";
const CVV: &str = "739";

fn body(number: &str) -> Value {
    json!({"cardNumber": number, "cardCvv": CVV, "expiration": {"month": "08", "year": "2031"},
        "holderName": "Ada Smith", "billingAddress": {"addressLine1": "1 Main St",
        "city": "Boulder", "stateOrProvince": "CO", "postalCode": "80301", "country": "US"},
        "cardOnFile": true, "verifyName": false})
}

async fn link(platform: &Platform, number: &str) -> (StatusCode, Value) {
    platform.ask("POST", "/cards", &body(number).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_from_link_to_disable() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let (status, card) = link(&platform, DEBIT).await;
    assert_eq!(status, 200, "{card}");
    let expected = json!({"cardID": card["cardID"], "fingerprint": card["fingerprint"],
        "brand": "Visa", "cardType": "debit", "lastFourCardNumber": "2000", "bin": "411110",
        "expiration": {"month": "08", "year": "31"}, "holderName": "Ada Smith",
        "billingAddress": body(DEBIT)["billingAddress"], "cardVerification":
        {"cvv": "match", "addressLine1": "match", "postalCode": "match"}, "cardOnFile": true,
        "domesticPushToCard": "fast-funds", "domesticPullFromCard": "supported"});
    assert_eq!(card, expected);
    assert_eq!(text(&card["fingerprint"]).len(), 64);
    let (status, again) = link(&platform, DEBIT).await;
    assert_eq!((status, &again["code"]), (StatusCode::CONFLICT, &json!("conflict")), "{again}");
    let one = format!("/cards/{}", text(&card["cardID"]));
    assert_eq!(platform.get(&one).await, (StatusCode::OK, card.clone()));
    assert_eq!(platform.get("/cards").await.1, json!([card]));
    let methods = platform.methods().await;
    let kinds: Vec<&str> = methods.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["card-payment", "pull-from-card", "push-to-card"]);
    assert!(methods.values().all(|method| method["card"] == card));

    // What a transfer and a rail see.
    let id = text(&methods["push-to-card"]["paymentMethodID"]);
    let resolved = platform.resolve(&format!("ids={id}&details=true")).await.methods;
    assert_eq!((resolved[0].rail, resolved[0].version), (Some(Rail::Card), 1));
    assert_eq!(resolved[0].card_id.unwrap().to_string(), text(&card["cardID"]));
    assert_eq!(resolved[0].card.as_ref().unwrap().last_four_card_number, "2000");
    let revealed = platform.reveal(&format!("{id}:1")).await.methods;
    let opened = revealed[0].card.as_ref().unwrap();
    assert_eq!((opened.number.as_str(), opened.expiration_month.as_str()), (DEBIT, "08"));
    assert_eq!(opened.expiration_year, "31");
    assert_eq!(revealed[0].payment_method_type, "push-to-card");
    assert_eq!(revealed[0].holder_name, "Ada Smith");
    assert!(revealed[0].account_number.is_empty() && !revealed[0].revoked);

    // A change raises the version, and the older one opens what is right now.
    let change = json!({"expiration": {"month": "09", "year": "33"}, "cardCvv": CVV}).to_string();
    let (status, changed) = platform.ask("PATCH", &one, &change).await;
    assert_eq!((status, &changed["expiration"]["year"]), (StatusCode::OK, &json!("33")));
    assert_eq!(platform.ask("PATCH", &one, &change).await.0, 200, "the same again");
    assert_eq!(platform.resolve(&format!("ids={id}")).await.methods[0].version, 2);
    let revealed = platform.reveal(&format!("{id}:1,{id}:2,{id}:3")).await.methods;
    let revoked: Vec<bool> = revealed.iter().map(|method| method.revoked).collect();
    assert_eq!(revoked, [false, false, true]);
    assert_eq!(revealed[0].card.as_ref().unwrap().expiration_year, "33");

    for _ in 0..2 {
        assert_eq!(platform.ask("DELETE", &one, "").await, (StatusCode::OK, json!({})));
    }
    assert_eq!(platform.get(&one).await.0, 404);
    assert_eq!(platform.ask("PATCH", &one, &change).await.0, 404);
    assert_eq!(platform.get("/cards").await.1, json!([]));
    assert!(platform.methods().await.is_empty());
    let revealed = platform.reveal(&format!("{id}:1,{id}:2,{id}:3")).await.methods;
    assert!(revealed.iter().all(|method| method.revoked && method.card.is_none()));
    let (status, anew) = link(&platform, DEBIT).await;
    assert_eq!((status, &anew["fingerprint"]), (StatusCode::OK, &card["fingerprint"]));
    let mut expected = vec!["card.created"];
    expected.extend(["paymentMethod.enabled"; 3]);
    expected.push("card.updated");
    expected.extend(["paymentMethod.disabled"; 3]);
    expected.extend(["card.updated", "card.created"]);
    expected.extend(["paymentMethod.enabled"; 3]);
    assert_eq!(platform.names_heard(13).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_card_of_the_sandbox_and_a_caller_that_waits() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    for (number, cvv, brand) in [
        (CREDIT, CVV, "Visa"),
        ("5555555555554444", CVV, "Mastercard"),
        ("6011111111111117", CVV, "Discover"),
        ("371111111111114", "7390", "American Express"),
    ] {
        let mut body = body(number);
        body["cardCvv"] = json!(cvv);
        let header = [("x-wait-for", "payment-method")];
        let (status, card) = platform.send("POST", "/cards", &body.to_string(), &header).await;
        assert_eq!((status, &card["brand"]), (StatusCode::OK, &json!(brand)), "{card}");
        assert_eq!(
            (&card["cardType"], &card["domesticPushToCard"]),
            (&json!("credit"), &json!("not-supported"))
        );
        let query = format!("/payment-methods?sourceID={}", text(&card["cardID"]));
        let (_, methods) = platform.get(&query).await;
        let method = &methods[0];
        let basic = json!([{"paymentMethodID": method["paymentMethodID"],
            "paymentMethodType": "card-payment"}]);
        assert_eq!(card["paymentMethods"], basic);
        assert_eq!(methods.as_array().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_a_card_answers_with_its_key_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let with = |field: &str, value: Value| {
        let mut body = body(CREDIT);
        body[field] = value;
        body.to_string()
    };
    let cases: Vec<(String, u16, &str)> = vec![
        (with("cardNumber", json!("4111111111111112")), 422, "cardNumber"),
        (with("cardNumber", json!(4_111_111_111_111_111_u64)), 422, "cardNumber"),
        (with("cardCvv", json!("7390")), 422, "cardCvv"),
        (with("expiration", json!({"month": "01", "year": "20"})), 422, "expiration"),
        (with("holderName", json!(CREDIT)), 422, "holderName"),
        (with("billingAddress", json!({"city": "x"})), 422, "billingAddress.postalCode"),
        (with(CREDIT, json!(1)), 422, "error"),
        (format!(r#"{{"cardNumber":"{CREDIT}"#), 400, "error"),
    ];
    for (body, status, field) in cases {
        let (found, answer) = platform.ask("POST", "/cards", &body).await;
        assert_eq!(found, status, "{answer}");
        assert!(answer.get(field).is_some(), "{answer}");
        assert!(!answer.to_string().contains("41111"), "{answer}");
        assert!(!answer.to_string().contains(CVV), "{answer}");
    }
    assert_eq!(platform.get("/cards").await.1, json!([]));
    assert!(platform.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_card_number_and_no_cvv_is_in_any_file() {
    // A number whose parts stand nowhere else, and a CVV that is looked for beside its quotes.
    let number = "4539578763621486";
    let directory = tempfile::tempdir().unwrap();
    let platform = start(directory.path(), true).await;
    let (status, card) = link(&platform, number).await;
    assert_eq!(status, 200, "{card}");
    link(&platform, number).await;
    platform.ask("POST", "/cards", &format!(r#"{{"cardNumber":{number},"cardCvv":"{CVV}"#)).await;
    let methods = platform.methods().await;
    let id = text(&methods["card-payment"]["paymentMethodID"]);
    let revealed = platform.reveal(&format!("{id}:1")).await.methods;
    assert_eq!(revealed[0].card.as_ref().unwrap().number, number);
    let one = format!("/cards/{}", text(&card["cardID"]));
    platform.ask("PATCH", &one, &json!({"cardCvv": CVV, "cardOnFile": false}).to_string()).await;
    platform.ask("DELETE", &one, "").await;
    platform.names_heard(5).await;
    assert!(!format!("{:?}", platform.heard()).contains(number));
    assert!(!platform.running.platform.metrics().contains(number));
    platform.running.stop().await;
    let mut files = 0;
    for file in std::fs::read_dir(directory.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(number) && !holds(&number[6..]), "the number");
        assert!(!holds(&format!("\"{CVV}\"")), "the CVV");
        files += usize::from(holds("1 Main St"));
    }
    assert!(files > 0, "the scan looks where the rows are");
}
