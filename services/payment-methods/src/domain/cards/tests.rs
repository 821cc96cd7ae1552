//! Card rules and decisions as tables.

use contracts::{Body, payment_methods::LinkCardRequest};

use super::{
    super::{Method, sealing::SealingKey},
    *,
};

/// 2026-11-26.
const NOW: Timestamp = Timestamp(1_795_651_200_000_000);

fn number(text: &str) -> CardNumber {
    CardNumber::new(text.to_owned())
}

fn address() -> CardAddress {
    CardAddress {
        address_line1: Some("1 Main St".to_owned()),
        address_line2: None,
        city: None,
        state_or_province: None,
        postal_code: "80301".to_owned(),
        country: Some("US".to_owned()),
    }
}

fn card(text: &str) -> Card {
    let (key, number) = (SealingKey::new(&[1; 32]), number(text));
    let id = CardId::from_slice(&[1; 16]).expect("16 bytes");
    Card {
        id,
        account: AccountId::from_slice(&[2; 16]).expect("16 bytes"),
        fingerprint: key.card_fingerprint(&number),
        brand: Brand::of(&number),
        card_type: CardType::of(&number, true),
        bin: number.bin().to_owned(),
        last_four: number.last_four().to_owned(),
        sealed: key.seal_card(id, &number, [3; 12]),
        details: Details {
            expires: Expiry("2031-08".to_owned()),
            holder_name: Some("Ada Smith".to_owned()),
            address: address(),
            on_file: false,
            merchant: None,
            verification: verified(true, true, &address()),
        },
        disabled: None,
        created: Timestamp(1),
        updated: Timestamp(1),
    }
}

/// One line per case: number, whether it is one, brand, type in the sandbox, methods.
#[test]
fn numbers() {
    let table = "
        4111111111111111    yes Visa             credit  card-payment
        5555555555554444    yes Mastercard       credit  card-payment
        6011111111111117    yes Discover         credit  card-payment
        371111111111114     yes American_Express credit  card-payment
        4111100010002000    yes Visa             debit   card-payment push-to-card pull-from-card
        4242424242424242    yes Visa             unknown card-payment
        2223003122003222    yes Mastercard       unknown card-payment
        6441111111111117    yes Discover         unknown card-payment
        4222222222222       yes Visa             unknown card-payment
        3530111333300000    yes Unknown          unknown card-payment
        4111111111111112    no  Visa             credit  card-payment
        41111111111111      no  Visa             credit  card-payment
        55555555555544      no  Mastercard       credit  card-payment
        0000000000000000    no  Unknown          unknown card-payment
        4111-1111-1111-1111 no  Visa             unknown card-payment
        ٤١١١١١١١١١١١١١١١    no  Unknown          unknown card-payment
        4                   no  Unknown          unknown card-payment";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = number(words[0]);
        assert_eq!(is_card_number(&number), words[1] == "yes", "{line}");
        assert_eq!(Brand::of(&number).text(), words[2].replace('_', " "), "{line}");
        assert_eq!(CardType::of(&number, true).text(), words[3], "{line}");
        assert_eq!(CardType::of(&number, false), CardType::Unknown, "{line}");
        let methods = Method::of_card(&card(words[0]));
        let kinds: Vec<&str> = methods.iter().map(|method| method.kind.text()).collect();
        assert_eq!(kinds, words[4..], "{line}");
        assert!(methods.iter().all(|method| method.source.has(method.kind)));
    }
    let gone = Card { disabled: Some(NOW), ..card("4111100010002000") };
    assert!(Method::of_card(&gone).is_empty());
}

/// One line per case: month, year, and what it comes to.
#[test]
fn expirations() {
    let table = "
        08 31    2031-08
        08 2031  2031-08
        11 26    2026-11
        10 26    past
        12 2025  past
        01 99    2099-01
        13 31    none
        00 31    none
        8  31    none
        08 1931  none
        08 2131  none
        08 3     none
        0x 31    none
        08 3x    none
        08 ٣١    none";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let stated = Expiration { month: words[0].to_owned(), year: words[1].to_owned() };
        let came = match Expiry::new(&stated) {
            None => "none".to_owned(),
            Some(expiry) if expiry.is_past(NOW) => "past".to_owned(),
            Some(expiry) => {
                assert_eq!(expiry.shown().month, words[0]);
                assert_eq!(expiry.shown().year, words[1][words[1].len() - 2..]);
                expiry.0
            }
        };
        assert_eq!(came, words[2], "{line}");
    }
}

#[test]
fn every_rule_of_a_card_has_its_key_and_names_no_value() {
    let canary = "4111111111111111";
    let long = "x".repeat(65);
    let cases: &[(&str, &str, bool)] = &[
        ("cardNumber", canary, true),
        ("cardNumber", "4111111111111112", false),
        ("cardNumber", "", false),
        ("cardCvv", "123", true),
        ("cardCvv", "1234", false),
        ("cardCvv", "12x", false),
        ("cardCvv", "", false),
        ("expiration", "01", false),
        ("holderName", "Ada Smith", true),
        ("holderName", "", false),
        ("holderName", &long, false),
        ("holderName", "Ada\0", false),
        ("holderName", "4111 1111 1111 1111", false),
        ("billingAddress.addressLine1", "no 4111-1111-1111-1111", false),
        ("billingAddress.postalCode", "", false),
        ("billingAddress.postalCode", "80301-00001", false),
        ("billingAddress.country", "us", false),
        ("billingAddress.country", "DE", true),
    ];
    for (field, value, good) in cases {
        let (mut numbered, mut cvv, mut holder, mut place) = (canary, "123", "Ada", address());
        let mut expiration = Expiration { month: "08".to_owned(), year: "31".to_owned() };
        match *field {
            "cardNumber" => numbered = value,
            "cardCvv" => cvv = value,
            "expiration" => expiration.year = (*value).to_owned(),
            "holderName" => holder = value,
            "billingAddress.addressLine1" => place.address_line1 = Some((*value).to_owned()),
            "billingAddress.postalCode" => place.postal_code = (*value).to_owned(),
            _ => place.country = Some((*value).to_owned()),
        }
        let numbered = number(numbered);
        let stated = Stated {
            number: Some(&numbered),
            cvv: Some(cvv),
            expiration: Some(&expiration),
            holder_name: Some(holder),
            address: Some(&place),
        };
        match check(&stated, Brand::Visa, NOW) {
            Ok(()) => assert!(good, "{field} {value:?}"),
            Err(refusal) => {
                assert!(!good, "{field} {value:?} {refusal:?}");
                assert_eq!(refusal.fields.keys().collect::<Vec<_>>(), [field]);
                assert!(!format!("{refusal:?}").contains("4111"));
            }
        }
    }
}

#[test]
fn what_the_parser_says_holds_no_value() {
    let canary = "4111111111111111";
    let cases = [
        (r#"{"cardNumber":4111111111111111}"#, "cardNumber"),
        (r#"{"cardNumber":["4111111111111111"]}"#, "cardNumber"),
        (r#"{"4111111111111111":1}"#, "error"),
        (r#"{"cardNumber":"4111111111111111"}"#, "expiration"),
        (r#"{"cardCvv":4111111111111111}"#, "cardCvv"),
        (r#"{"expiration":{"month":4111111111111111}}"#, "expiration.month"),
        (r#"{"expiration":{"month":"08"}}"#, "expiration.year"),
        (r#"{"expiration":{"4111111111111111":1}}"#, "expiration"),
        (r#"{"billingAddress":{"city":"x"}}"#, "billingAddress.postalCode"),
        (r#"{"billingAddress":"4111111111111111"}"#, "billingAddress"),
        (r#"{"cardOnFile":"4111111111111111"}"#, "cardOnFile"),
        (r#"{"merchantAccountID":"4111111111111111"}"#, "merchantAccountID"),
        (r#"{"e2ee":{"token":"4111111111111111"}}"#, "error"),
        (r#"{"cardNumber":"4111111111111111""#, ""),
        ("4111111111111111", "error"),
    ];
    for (body, key) in cases {
        let Err(refusal) = LinkCardRequest::parse(body.as_bytes()) else {
            panic!("parsed {body}");
        };
        assert!(!format!("{refusal:?} {refusal}").contains(canary), "{body} {refusal:?}");
        if !key.is_empty() {
            assert_eq!(refusal.fields.keys().collect::<Vec<_>>(), [key], "{body}");
        }
    }
}

#[test]
fn decisions() {
    let before = card("4111100010002000");
    let change = |change: CardChange| decide(&before, &CardInput::Change(Box::new(change)), NOW);
    assert!(matches!(change(CardChange::default()), CardDecision::AlreadyDone));
    let expires = Some(Expiry("2033-01".to_owned()));
    let CardDecision::Done(changed) = change(CardChange { expires, ..CardChange::default() })
    else {
        panic!("it is another month");
    };
    assert_eq!((changed.details.expires.0.as_str(), changed.updated), ("2033-01", NOW));
    assert_eq!(changed.details.address, before.details.address);
    let CardDecision::Done(gone) = decide(&before, &CardInput::Disable, NOW) else {
        panic!("it was in use");
    };
    assert_eq!(gone.disabled, Some(NOW));
    assert!(matches!(decide(&gone, &CardInput::Disable, NOW), CardDecision::AlreadyDone));
    let late = Box::new(CardChange { on_file: Some(true), ..CardChange::default() });
    let late = CardInput::Change(late);
    assert!(matches!(decide(&gone, &late, NOW), CardDecision::Refused(_)));
}

#[test]
fn a_card_is_compared_where_the_sandbox_compares() {
    let parts = |it: CardVerification| [it.cvv, it.address_line1, it.postal_code];
    let bare = CardAddress { address_line1: None, ..address() };
    assert_eq!(parts(verified(true, true, &address())), ["match"; 3]);
    assert_eq!(parts(verified(true, false, &bare)), ["unavailable", "unavailable", "match"]);
    assert_eq!(parts(verified(false, true, &address())), ["unavailable"; 3]);
    let before = card("4111111111111111").details;
    assert_eq!(verified_again(true, false, None, &before), None);
    let again = verified_again(true, false, Some(&bare), &before).expect("an address was given");
    assert_eq!(parts(again), ["match", "unavailable", "match"]);
}

#[test]
fn a_sealed_card_opens_for_itself_alone() {
    let (key, other) = (SealingKey::new(&[1; 32]), SealingKey::new(&[2; 32]));
    let own = card("4111111111111111");
    let id = |byte: u8| CardId::from_slice(&[byte; 16]).expect("16 bytes");
    let opened = key.open_card(own.id, &own.sealed).expect("its own");
    assert_eq!(opened.digits(), "4111111111111111");
    assert!(key.open_card(id(9), &own.sealed).is_none());
    assert!(other.open_card(own.id, &own.sealed).is_none());
    // A bank account with the same id has another key.
    assert!(key.open(contracts::ids::BankAccountId(own.id.0), &own.sealed).is_none());
    for index in 0..own.sealed.bytes.len() {
        let mut changed = own.sealed.clone();
        changed.bytes[index] ^= 1;
        assert!(key.open_card(own.id, &changed).is_none(), "byte {index}");
    }
    assert_ne!(own.fingerprint, other.card_fingerprint(&opened));
    assert_eq!(own.fingerprint, key.card_fingerprint(&number("4111111111111111")));
}
