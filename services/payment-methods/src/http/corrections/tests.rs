//! Corrections through the writer, over a store in a directory.

use std::{path::Path, sync::Arc};

use ::store::{Location, Options, Sql, Store, Value};
use contracts::{Body, ids::PaymentMethodId, payment_methods::Corrected};
use runtime::{Clock, Running, Settings};

use super::*;
use crate::{
    Config, SealingKey,
    domain::{Kind, Method, Status},
    http::NewBankAccount,
};

const OLD: &str = "48151623427";
const NEW: &str = "27182818284";

fn start(directory: &Path) -> (Running, SealingKey) {
    let path = directory.join("sealing.key");
    let sealing_key = SealingKey::load_or_create(&path).unwrap();
    let place = Location::Directory(directory.join("data"));
    let (store, mut writer) = Store::open(place, Options::default()).unwrap();
    let deposits = crate::Deposits::Simulated;
    let services = vec![crate::service(Config { sandbox: true, deposits, sealing_key }).wire()];
    writer.migrate(&runtime::migrations(&services)).unwrap();
    let settings = Settings {
        shards: 1,
        waiting_most: 100,
        sandbox: true,
        directory: None,
        clock: Clock::from_micros(Arc::new(|| 1_795_651_200_000_000)),
    };
    let running = runtime::start(store, writer, services, settings).unwrap();
    (running, SealingKey::load_or_create(&path).unwrap())
}

async fn link(running: &Running, number: &str) -> BankAccount {
    let details = BankAccountDetails {
        holder_name: "Ada Smith".to_owned(),
        holder_type: "individual".to_owned(),
        routing_number: "021000021".to_owned(),
        account_number: String::new(),
        bank_account_type: "checking".to_owned(),
    };
    let account = contracts::ids::AccountId::from_slice(&[2; 16]).unwrap();
    let number = AccountNumber::new(number.to_owned());
    running.platform.commit(NewBankAccount { account, number, details }).await.unwrap()
}

fn notice(method: PaymentMethodId, cause: &str, corrected: Corrected) -> Correction {
    Correction(CorrectBankAccountRequest {
        payment_method_id: method,
        version: 1,
        change_code: "C01".to_owned(),
        corrected,
        cause: cause.to_owned(),
    })
}

fn numbered(number: &str) -> Corrected {
    let mut corrected = Corrected::default();
    corrected.account_number = Some(number.to_owned());
    corrected
}

fn routed(number: &str) -> Corrected {
    let mut corrected = Corrected::default();
    corrected.routing_number = Some(number.to_owned());
    corrected
}

fn method_of(bank: &BankAccount, kind: Kind) -> PaymentMethodId {
    let methods = Method::of_bank_account(bank);
    methods.iter().find(|method| method.kind == kind).unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_moves_the_account_once_and_revokes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (running, key) = start(directory.path());
    let bank = link(&running, OLD).await;
    let method = method_of(&bank, Kind::AchCreditStandard);
    for _ in 0..2 {
        running.platform.commit(notice(method, "trace 1", numbered(NEW))).await.unwrap();
    }
    let read = |tx: &mut ::store::Tx<'_>| {
        static KEPT: Sql =
            Sql::new("SELECT sealed, last_four, change_code FROM payment_methods_correction");
        let kept = tx.query(&KEPT, &[] as &[Value<'_>], |row| {
            Ok((row.blob(0)?.to_vec(), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
        })?;
        Ok((store::load_banks(tx, &[bank.id])?, store::load_methods(tx, &[method])?, kept))
    };
    let (banks, methods, kept) = running.platform.store().read(read).unwrap();
    assert_eq!(key.open(bank.id, &banks[0].sealed).unwrap().digits(), NEW);
    assert_eq!((banks[0].last_four.as_str(), banks[0].status), ("8284", Status::New));
    assert_ne!(banks[0].fingerprint, bank.fingerprint);
    assert_eq!((methods[0].version, methods[0].enabled), (2, true), "raised once");
    assert!(methods[0].may_reveal(1) && methods[0].may_reveal(2));
    assert_eq!(kept, [(bank.sealed.bytes.clone(), "3427".to_owned(), "C01".to_owned())]);

    // RTP does not reach the corrected bank: that method ends, and the others go on.
    let elsewhere = notice(method, "trace 2", routed("111326233"));
    running.platform.commit(elsewhere).await.unwrap();
    let rtp = method_of(&bank, Kind::RtpCredit);
    let read = |tx: &mut ::store::Tx<'_>| store::load_methods(tx, &[rtp, method]);
    let methods = running.platform.store().read(read).unwrap();
    assert_eq!((methods[0].enabled, methods[1].enabled, methods[1].version), (false, true, 3));
    running.stop().await;
    for file in std::fs::read_dir(directory.path().join("data")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(OLD) && !holds(NEW));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_correction_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (running, _) = start(directory.path());
    let (bank, other) = (link(&running, OLD).await, link(&running, NEW).await);
    let method = method_of(&bank, Kind::AchCreditStandard);
    let stranger = PaymentMethodId::from_slice(&[9; 16]).unwrap();
    let mut later = notice(method, "a", numbered("5555"));
    later.0.version = 2;
    for (notice, code) in [
        (notice(stranger, "a", numbered("5555")), Code::NotFound),
        (later, Code::NotFound),
        (notice(method, "a", routed("021000022")), Code::InvalidField),
        (notice(method, "a", numbered("12x")), Code::InvalidField),
        (notice(method, "a", numbered(NEW)), Code::Conflict),
    ] {
        let refusal = running.platform.commit(notice).await.unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(!format!("{refusal:?}").contains(NEW));
    }
    let read = |tx: &mut ::store::Tx<'_>| {
        Ok((store::load_banks(tx, &[bank.id, other.id])?, store::is_corrected(tx, "a")?))
    };
    let (banks, known) = running.platform.store().read(read).unwrap();
    assert!(!known && banks.iter().all(|bank| bank.updated == bank.created));
    running.stop().await;
}

#[test]
fn a_notice_has_a_code_a_cause_and_something_to_correct() {
    let method = PaymentMethodId::from_slice(&[9; 16]).unwrap();
    let good = notice(method, "trace 1", numbered(NEW)).0;
    assert!(domain::check_notice(&good).is_ok());
    for (code, cause, corrected) in [
        ("C00", "a", numbered(NEW)),
        ("C15", "a", numbered(NEW)),
        ("R01", "a", numbered(NEW)),
        ("C01", "", numbered(NEW)),
        ("C01", "a", Corrected::default()),
    ] {
        let mut bad = notice(method, cause, corrected).0;
        bad.change_code = code.to_owned();
        assert_eq!(domain::check_notice(&bad).unwrap_err().code, Code::InvalidField, "{code}");
    }
    let body = format!(r#"{{"corrected":{{"accountNumber":{NEW}}}}}"#);
    let Err(refusal) = CorrectBankAccountRequest::parse(body.as_bytes()) else {
        panic!("parsed");
    };
    assert!(!format!("{refusal:?}").contains(NEW));
}
