//! Field rules and decisions as tables.

use super::*;
use contracts::Body;

fn account(n: u8) -> AccountId {
    AccountId::from_slice(&[n; 16]).expect("16 bytes")
}

fn request(json: &str) -> CreateAccountRequest {
    CreateAccountRequest::parse(json.as_bytes()).expect("well-shaped")
}

#[test]
fn every_rule_of_a_new_account_has_its_key() {
    let person = |first: &str, last: &str| {
        format!(
            r#"{{"accountType":"individual","profile":{{"individual":{{"name":{{"firstName":"{first}",
            "lastName":"{last}"}}}}}}}}"#
        )
    };
    let with = |more: &str| {
        let profile = r#"{"business":{"legalBusinessName":"Whole"}}"#;
        format!(r#"{{"accountType":"business","profile":{profile},{more}}}"#)
    };
    let long = "x".repeat(65);
    let many: Vec<String> = (0..101).map(|i| format!(r#""k{i}":"v""#)).collect();
    let cases: Vec<(String, &[&str])> = vec![
        (person("Ada", "Lovelace"), &[]),
        (person("", "Lovelace"), &["profile.individual.name.firstName"]),
        (person("Ada", " "), &["profile.individual.name.lastName"]),
        (
            person(&long, &long),
            &["profile.individual.name.firstName", "profile.individual.name.lastName"],
        ),
        (person("A\\u0000da", "Lovelace"), &["profile.individual.name.firstName"]),
        (r#"{"accountType":"individual","profile":{}}"#.into(), &["profile.individual"]),
        (r#"{"accountType":"business","profile":{}}"#.into(), &["profile.business"]),
        (r#"{"accountType":"club","profile":{}}"#.into(), &["accountType"]),
        (
            r#"{"accountType":"business","profile":{"business":{"legalBusinessName":"W"},
            "individual":{"name":{"firstName":"A","lastName":"B"}}}}"#
                .into(),
            &["profile.individual"],
        ),
        (
            r#"{"accountType":"business","profile":{"business":{"legalBusinessName":"W",
            "email":"nobody"}}}"#
                .into(),
            &["profile.business.email"],
        ),
        (
            r#"{"accountType":"business","profile":{"business":{"legalBusinessName":"W",
            "email":"a@b@c"}}}"#
                .into(),
            &["profile.business.email"],
        ),
        (with(r#""foreignID":"""#), &["foreignID"]),
        (with(&format!(r#""foreignID":"{long}""#)), &["foreignID"]),
        (with(r#""foreignID":"a\u0000""#), &["foreignID"]),
        (with(&format!(r#""metadata":{{{}}}"#, many.join(","))), &["metadata"]),
        (with(&format!(r#""metadata":{{"k":"{}"}}"#, "v".repeat(1_001))), &["metadata"]),
        (with(r#""metadata":{"k":"\u0000"}"#), &["metadata"]),
        (with(r#""metadata":{"k":"v"}"#), &[]),
        (with(r#""capabilities":[]"#), &["capabilities"]),
        (with(r#""capabilities":["fly"]"#), &["capabilities"]),
        (with(r#""capabilities":["wallet","transfers"]"#), &[]),
    ];
    for (json, keys) in cases {
        let broken = match check_account(&request(&json)) {
            Ok(()) => Vec::new(),
            Err(refusal) => {
                assert_eq!(refusal.code, Code::InvalidField);
                refusal.fields.into_keys().collect()
            }
        };
        assert_eq!(broken, keys, "{json}");
    }
}

#[test]
fn scopes() {
    let cases: &[(&[&str], bool)] = &[
        (&[], true),
        (&["operator"], true),
        (&["transfers.read", "bank-accounts.write"], true),
        (&["transfers"], false),
        (&["transfers.delete"], false),
        (&["transfers.read operator"], false),
        (&[".read"], false),
        (&[""], false),
        (&["Transfers.read"], false),
    ];
    for (scopes, good) in cases {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        assert_eq!(check_scopes(&scopes).is_ok(), *good, "{scopes:?}");
    }
}

#[test]
fn capabilities_are_granted_once() {
    let (now, later) = (Timestamp(1), Timestamp(2));
    let asked: Vec<String> = ["wallet", "transfers", "wallet"].map(str::to_owned).to_vec();
    let first = grant(account(1), &[], &asked, now);
    assert_eq!(first.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["wallet", "transfers"]);
    assert!(grant(account(1), &first, &asked, later).is_empty());
    let mut taken = first.clone();
    taken[0].enabled = false;
    let again = grant(account(1), &taken, &asked, later);
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].created, again[0].updated, again[0].enabled), (now, later, true));
}

#[test]
fn a_key_is_revoked_once() {
    let (public, secret) = key_pair(&[7; 48]);
    assert_eq!((public.len(), secret.len()), (3 + 22, 3 + 43));
    let key = Key {
        id: KeyId::from_slice(&[1; 16]).expect("16 bytes"),
        account: account(1),
        hash: credentials_hash(&public, &secret),
        public,
        scopes: Vec::new(),
        created: Timestamp(1),
        revoked: None,
    };
    let Revocation::Done(revoked) = revoke(&key, Timestamp(5)) else { panic!("was good") };
    assert_eq!(revoked.revoked, Some(Timestamp(5)));
    assert!(matches!(revoke(&revoked, Timestamp(6)), Revocation::AlreadyDone));
}

#[test]
fn the_hash_is_of_basic_credentials() {
    let expected: [u8; 32] = Sha256::digest(b"pk_a:sk_b").into();
    assert_eq!(credentials_hash("pk_a", "sk_b"), expected);
}
