//! Field rules, decisions and sealing as tables.

use std::os::unix::fs::PermissionsExt;

use contracts::{
    Body, Currency,
    ids::{TransferId, WalletId, derive},
    payment_methods::LinkBankAccountRequest,
};

use super::{
    sealing::{AccountNumber, SealingKey},
    *,
};

const NOW: Timestamp = Timestamp(77);

fn id<T>(make: fn(&[u8]) -> Option<T>, n: u8) -> T {
    make(&[n; 16]).expect("16 bytes")
}

fn bank(status: Status) -> BankAccount {
    let key = SealingKey::new(&[1; 32]);
    let (id, number) =
        (id(BankAccountId::from_slice, 1), AccountNumber::new("123456789".to_owned()));
    BankAccount {
        id,
        account: AccountId::from_slice(&[2; 16]).expect("16 bytes"),
        fingerprint: key.fingerprint("021000021", &number),
        status,
        holder_name: "Ada Smith".to_owned(),
        holder_type: "individual".to_owned(),
        bank_account_type: "checking".to_owned(),
        routing_number: "021000021".to_owned(),
        last_four: number.last_four().to_owned(),
        sealed: key.seal(id, &number, [3; 12]),
        attempts: 0,
        reason: None,
        exception: None,
        named_until: None,
        disabled: None,
        created: Timestamp(1),
        updated: Timestamp(1),
    }
}

#[test]
fn routing_numbers() {
    let cases = [
        ("021000021", true, "JPMorgan Chase Bank"),
        ("071000013", true, "JPMorgan Chase Bank"),
        ("322271627", true, "JPMorgan Chase Bank"),
        ("021000089", true, "Citibank"),
        ("026009593", true, "Bank of America"),
        ("121000358", true, "Bank of America"),
        ("121000248", true, "Wells Fargo Bank"),
        ("091000022", true, "U.S. Bank"),
        ("043000096", true, "PNC Bank"),
        ("273976369", true, "Veridian Credit Union"),
        ("111326233", true, "Unknown bank"),
        ("000000000", false, "Unknown bank"),
        ("021000022", false, "Unknown bank"),
        ("201000021", false, "Unknown bank"),
        ("02100002", false, "Unknown bank"),
        ("0210000210", false, "Unknown bank"),
        ("02100002x", false, "Unknown bank"),
        ("٠٢١٠٠٠٠٢١", false, "Unknown bank"),
        ("", false, "Unknown bank"),
    ];
    for (number, valid, bank) in cases {
        assert_eq!(is_routing_number(number), valid, "{number}");
        assert_eq!(bank_name(number), bank, "{number}");
        assert_eq!(is_rtp_capable(number), valid && number != "111326233", "{number}");
    }
}

#[test]
fn every_rule_of_a_bank_account_has_its_key_and_names_no_value() {
    let long = "x".repeat(65);
    let cases: &[(&str, &str, bool)] = &[
        ("holderName", "Ada Smith", true),
        ("holderName", "", false),
        ("holderName", "   ", false),
        ("holderName", &long, false),
        ("holderName", "Ada\0Smith", false),
        ("holderName", "Ada\nSmith", false),
        ("holderName", &long[1..], true),
        ("holderType", "business", true),
        ("holderType", "Individual", false),
        ("holderType", "", false),
        ("routingNumber", "021000021", true),
        ("routingNumber", "021000022", false),
        ("routingNumber", "000000000", false),
        ("routingNumber", "", false),
        ("accountNumber", "1234", true),
        ("accountNumber", "12345678901234567", true),
        ("accountNumber", "123", false),
        ("accountNumber", "123456789012345678", false),
        ("accountNumber", "12345-6789", false),
        ("accountNumber", "١٢٣٤٥", false),
        ("accountNumber", "1234567\0", false),
        ("bankAccountType", "savings", true),
        ("bankAccountType", "general-ledger", true),
        ("bankAccountType", "loan", true),
        ("bankAccountType", "offshore", false),
    ];
    for (field, value, good) in cases {
        let mut details = BankAccountDetails {
            holder_name: "Ada Smith".to_owned(),
            holder_type: "individual".to_owned(),
            routing_number: "273976369".to_owned(),
            account_number: "123456789".to_owned(),
            bank_account_type: "checking".to_owned(),
        };
        let place = match *field {
            "holderName" => &mut details.holder_name,
            "holderType" => &mut details.holder_type,
            "routingNumber" => &mut details.routing_number,
            "accountNumber" => &mut details.account_number,
            _ => &mut details.bank_account_type,
        };
        *place = (*value).to_owned();
        match check_details(&details) {
            Ok(()) => assert!(good, "{field} {value:?}"),
            Err(refusal) => {
                assert!(!good, "{field} {value:?}");
                let keys: Vec<&String> = refusal.fields.keys().collect();
                assert_eq!(keys, [&format!("account.{field}")]);
                assert!(!format!("{refusal:?}").contains("123456"));
            }
        }
    }
}

#[test]
fn what_the_parser_says_holds_no_value() {
    let canary = "4815162342";
    let cases = [
        (r#"{"account":4815162342}"#, "account"),
        (r#"{"account":"4815162342"}"#, "account"),
        (r#"{"4815162342":1}"#, "account"),
        (r#"{"account":{"4815162342":1}}"#, "account"),
        (r#"{"account":{"accountNumber":4815162342}}"#, "account.accountNumber"),
        (r#"{"account":{"accountNumber":["4815162342"]}}"#, "account.accountNumber"),
        (r#"{"account":{"holderName":4815162342}}"#, "account.holderName"),
        (r#"{"account":{"accountNumber":"4815162342"}}"#, "account.holderName"),
        (r#"{"account":{"accountNumber":"4815162342""#, ""),
        (r#"{"account":{"accountNumber":4815162342"#, ""),
        (r#"4815162342"#, "account"),
    ];
    for (body, key) in cases {
        let Err(refusal) = LinkBankAccountRequest::parse(body.as_bytes()) else {
            panic!("parsed {body}");
        };
        assert!(!format!("{refusal:?} {refusal}").contains(canary), "{body} {refusal:?}");
        if !key.is_empty() {
            assert_eq!(refusal.fields.keys().collect::<Vec<_>>(), [key], "{body}");
        }
    }
}

/// One line per case: state, input, and what it comes to.
const DECISIONS: &str = "
    new                 start      pending
    pending             start      same
    verified            start      conflict
    verificationFailed  start      conflict
    errored             start      conflict
    new                 start-real pending
    pending             start-real same
    new                 start-none unavailable
    pending             start-none unavailable
    old                 start      verificationFailed
    old                 right      verificationFailed
    old                 wrong      verificationFailed
    old                 disable    pending disabled ends
    disabled            start      not-found
    new                 right      conflict
    pending             right      verified grows
    pending             swapped    verified grows
    verified            right      conflict
    verificationFailed  right      conflict
    errored             right      conflict
    disabled            right      not-found
    new                 wrong      conflict
    pending             wrong      pending
    new                 disable    new disabled ends
    pending             disable    pending disabled ends
    verified            disable    verified disabled ends
    errored             disable    errored disabled ends
    disabled            disable    same
    new                 refused    errored ends
    pending             refused    errored ends
    verified            refused    errored ends
    verificationFailed  refused    errored ends
    errored             refused    same
    disabled            refused    same
    new                 returned   verificationFailed ends
    pending             returned   verificationFailed ends
    verified            returned   errored ends
    verificationFailed  returned   verificationFailed ends
    errored             returned   same
    disabled            returned   same
    new                 unsent     same
    pending             unsent     new
    old                 unsent     new
    verified            unsent     same
    verificationFailed  unsent     same
    errored             unsent     same
    disabled            unsent     same
    new                 expire     same
    pending             expire     same
    old                 expire     verificationFailed
    verified            expire     same
    verificationFailed  expire     same
    errored             expire     same
    disabled            expire     same";

#[test]
fn decisions() {
    let said = || Exception { code: "R03".to_owned(), meaning: None };
    for line in DECISIONS.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let status = Status::ALL.into_iter().find(|status| status.text() == words[0]);
        let otherwise = if words[0] == "old" { Status::Pending } else { Status::Verified };
        let mut before = bank(status.unwrap_or(otherwise));
        before.disabled = (words[0] == "disabled").then_some(Timestamp(5));
        // Its time is over in the very microsecond.
        before.named_until = Some(Timestamp(if words[0] == "old" { NOW.0 } else { NOW.0 + 1 }));
        let sent = [3, 25];
        let input = match words[1] {
            "start" => Input::StartDeposits(Deposits::Simulated),
            "start-real" => Input::StartDeposits(Deposits::Sent),
            "start-none" => Input::StartDeposits(Deposits::Unavailable),
            "right" => Input::NameDeposits { named: sent, sent },
            "swapped" => Input::NameDeposits { named: [25, 3], sent },
            "wrong" => Input::NameDeposits { named: [3, 3], sent },
            "disable" => Input::Disable,
            "returned" => Input::HardReturn(Reason::AchCreditReturn, said()),
            "expire" => Input::Expire,
            "unsent" => Input::DepositUnsent,
            "refused" => Input::RailRefused(said()),
            other => panic!("{other}"),
        };
        let outcome = match decide(&before, input, NOW) {
            Decision::AlreadyDone => "same".to_owned(),
            Decision::Refused(refusal) => refusal.code.text().to_owned(),
            Decision::Done { bank, methods, announce } => {
                assert_eq!(bank.updated, NOW);
                let told = bank.status != before.status || bank.disabled.is_some();
                assert_eq!(announce.is_some(), told, "{line}");
                let mut words = vec![bank.status.text()];
                words.extend(bank.disabled.map(|_| "disabled"));
                words.extend(match methods {
                    Methods::Stay => None,
                    Methods::Grow => Some("grows"),
                    Methods::End => Some("ends"),
                });
                words.join(" ")
            }
        };
        assert_eq!(outcome, words[2..].join(" "), "{line}");
    }
}

#[test]
fn five_wrong_tries_end_the_verification() {
    let mut state = bank(Status::Pending);
    for attempt in 1..=ATTEMPTS_MOST {
        let input = Input::NameDeposits { named: [1, 2], sent: [2, 2] };
        let Decision::Done { bank, announce, .. } = decide(&state, input, NOW) else {
            panic!("try {attempt} is counted");
        };
        state = *bank;
        assert_eq!(state.attempts, attempt);
        let refusal = deposits_answer(&state).expect_err("wrong");
        let last = attempt == ATTEMPTS_MOST;
        assert_eq!(refusal.code, Code::Conflict);
        let left = format!("{} tries left", ATTEMPTS_MOST - attempt);
        assert_eq!(refusal.detail.contains(&left), !last, "{refusal}");
        assert_eq!(announce, last.then_some("verificationFailed"));
    }
    assert_eq!(state.status, Status::VerificationFailed);
    assert_eq!(state.reason, Some(Reason::MicroDepositAttemptsExceeded));
    let verified = BankAccount { status: Status::Verified, ..state };
    assert!(deposits_answer(&verified).is_ok());
}

#[test]
fn hard_refusals() {
    let outcome = |rail, state, code: Option<&str>| RailOutcome {
        transfer_id: id(TransferId::from_slice, 9),
        leg: 0,
        rail,
        state,
        network_code: code.map(str::to_owned),
        failure_code: None,
        reference: None,
        payment_method_id: None,
        stage: None,
        reason: None,
    };
    let said = |rail, state, code: Option<&str>| {
        let outcome = outcome(rail, state, code);
        let told = match hard_refusal(&outcome, true) {
            None => "nothing",
            Some(Input::RailRefused(_)) => "refused",
            Some(Input::HardReturn(Reason::AchDebitReturn, _)) => "returned",
            Some(_) => "another",
        };
        assert!(may_tell(&outcome) || told == "nothing", "it is looked at first");
        told
    };
    use RailState::{Accepted, Canceled, Pending, Rejected, Returned};
    for code in ["AC03", "AC04", "AC06", "AC14", "MD07"] {
        assert_eq!(said(Rail::Rtp, Rejected, Some(code)), "refused", "{code}");
        assert_eq!(said(Rail::Rtp, Accepted, Some(code)), "nothing", "{code}");
        assert_eq!(said(Rail::Ach, Rejected, Some(code)), "nothing", "{code}");
    }
    for code in ["AG01", "AG03", "AM02", "AM04", "AM09", "BE04", "", "R02"] {
        assert_eq!(said(Rail::Rtp, Rejected, Some(code)), "nothing", "{code}");
    }
    assert_eq!(said(Rail::Rtp, Rejected, None), "nothing");
    let hard = [2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 20, 23, 29, 34, 38, 39];
    for number in 0..=99 {
        let code = format!("R{number:02}");
        let expected = if hard.contains(&number) { "returned" } else { "nothing" };
        for state in [Rejected, Returned] {
            assert_eq!(said(Rail::Ach, state, Some(code.as_str())), expected, "{code}");
        }
        for state in [Pending, Accepted, Canceled] {
            assert_eq!(said(Rail::Ach, state, Some(code.as_str())), "nothing", "{code}");
        }
        assert_eq!(said(Rail::Card, Rejected, Some(code.as_str())), "nothing", "{code}");
    }
}

/// What the end of a micro-deposit says: one line for each state and code.
#[test]
fn ends_of_micro_deposits() {
    for (state, code, expected) in [
        (RailState::Pending, None, "nothing"),
        (RailState::Pending, Some("C01"), "nothing"),
        (RailState::Accepted, None, "nothing"),
        (RailState::Rejected, Some("R03"), "returned R03"),
        // Also one that is no reason to end an account which has paid before.
        (RailState::Rejected, Some("R01"), "returned R01"),
        (RailState::Returned, Some("R31"), "returned R31"),
        (RailState::Rejected, None, "unsent"),
        (RailState::Canceled, None, "unsent"),
        (RailState::Returned, None, "nothing"),
    ] {
        let outcome = RailOutcome {
            transfer_id: id(TransferId::from_slice, 9),
            leg: 0,
            rail: Rail::Ach,
            state,
            network_code: code.map(str::to_owned),
            failure_code: None,
            reference: None,
            payment_method_id: None,
            stage: None,
            reason: Some("why".to_owned()),
        };
        let told = match deposit_outcome(&outcome) {
            None => "nothing".to_owned(),
            Some(Input::DepositUnsent) => "unsent".to_owned(),
            Some(Input::HardReturn(Reason::MicroDepositReturn, said)) => {
                assert_eq!(said.shown().description, "why");
                format!("returned {}", said.code)
            }
            Some(other) => panic!("{other:?}"),
        };
        assert_eq!(told, expected, "{state:?} {code:?}");
    }
}

#[test]
fn reasons_and_exceptions_as_moov_shows_them() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_text(reason.text()), Some(reason));
    }
    assert_eq!(Reason::from_text("admin-action"), None);
    let shown = |code: &str| Exception { code: code.to_owned(), meaning: None }.shown();
    let (ach, rtp) = (shown("R03"), shown("AC04"));
    assert_eq!((ach.ach_return_code.as_deref(), ach.rtp_rejection_code), (Some("R03"), None));
    assert_eq!((rtp.ach_return_code, rtp.rtp_rejection_code.as_deref()), (None, Some("AC04")));
}

#[test]
fn random_bytes_give_every_amount_equally_often() {
    let mut counts = [0; 26];
    for cents in (0..=255).filter_map(micro_deposits::cents) {
        counts[usize::try_from(cents).expect("1 to 25")] += 1;
    }
    assert_eq!(counts[0], 0);
    assert_eq!(counts[1..], [10; 25]);
}

#[test]
fn a_sealed_deposit_opens_for_its_transfer_alone() {
    let (key, other) = (SealingKey::new(&[1; 32]), SealingKey::new(&[2; 32]));
    let (own, stranger) = (id(TransferId::from_slice, 1), id(TransferId::from_slice, 2));
    for cents in 1..=25 {
        let sealed = key.seal_deposit(own, cents, [7; 12]);
        assert_eq!(key.open_deposit(own, &sealed), Some(cents));
        assert_eq!(sealed.bytes.len(), 12 + 2 + 16, "the length tells nothing");
        assert_eq!(
            (key.open_deposit(stranger, &sealed), other.open_deposit(own, &sealed)),
            (None, None)
        );
    }
    // Not as a number of a bank account with the same id.
    let bank = id(BankAccountId::from_slice, 1);
    assert!(key.open(bank, &key.seal_deposit(own, 7, [7; 12])).is_none());
}

#[test]
fn methods_and_versions() {
    let wallet = id(WalletId::from_slice, 7);
    let account = id(AccountId::from_slice, 2);
    let method = Method::of_wallet(wallet, account, Currency::USD, NOW);
    assert_eq!(method.id, Method::of_wallet(wallet, account, Currency::USD, Timestamp(1)).id);
    assert_eq!(method.id.bucket(), wallet.bucket());
    assert_eq!((method.kind.text(), method.version), ("moov-wallet", 1));
    let own = bank(Status::New);
    let rtp = Method::of_bank_account(&own).remove(0);
    assert_eq!((rtp.kind.text(), rtp.bank_account()), ("rtp-credit", Some(own.id)));
    assert_eq!(rtp.id.0, derive(own.id.0, &[b"rtp-credit"], own.id.bucket()), "never changes");
    assert!(rtp.may_reveal(1) && !rtp.may_reveal(0) && !rtp.may_reveal(2));
    let ended = rtp.disabled(NOW).expect("was enabled");
    assert_eq!(ended.version, 2);
    assert!(!ended.may_reveal(1) && !ended.may_reveal(2));
    assert!(ended.was_revealed(1) && !ended.was_revealed(0) && !ended.was_revealed(3));
    assert_eq!(ended.disabled(NOW), None);
    assert!(rtp.fits(None, None) && rtp.fits(Some(own.id.0), Some("rtp-credit")));
    assert!(!rtp.fits(Some(wallet.0), None) && !rtp.fits(None, Some("moov-wallet")));
}

/// One line per case: the bank account, and its methods.
#[test]
fn methods_of_a_bank_account() {
    let table = "
        new                rtp  rtp-credit ach-credit-standard ach-credit-same-day ach-debit-collect
        pending            -    ach-credit-standard ach-credit-same-day ach-debit-collect
        verified           rtp  rtp-credit ach-credit-standard ach-credit-same-day ach-debit-collect ach-debit-fund
        verified           -    ach-credit-standard ach-credit-same-day ach-debit-collect ach-debit-fund
        verificationFailed -    ach-credit-standard ach-credit-same-day ach-debit-collect
        errored            rtp
        disabled           rtp";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let status = Status::ALL.into_iter().find(|status| status.text() == words[0]);
        let mut own = bank(status.unwrap_or(Status::Verified));
        own.disabled = status.is_none().then_some(Timestamp(5));
        if words[1] == "-" {
            own.routing_number = "111326233".to_owned();
        }
        let methods = Method::of_bank_account(&own);
        let kinds: Vec<&str> = methods.iter().map(|method| method.kind.text()).collect();
        assert_eq!(kinds, words[2..], "{line}");
        let rail = |text: &str| if text == "rtp-credit" { Rail::Rtp } else { Rail::Ach };
        for method in methods {
            assert_eq!(method.kind.rail(), Some(rail(method.kind.text())), "{line}");
            assert_eq!(Kind::from_text(method.kind.text()), Some(method.kind));
            assert!(method.source.has(method.kind) && !method.source.has(Kind::MoovWallet));
        }
    }
}

#[test]
fn a_sealed_number_opens_for_its_owner_alone() {
    let (key, other) = (SealingKey::new(&[1; 32]), SealingKey::new(&[2; 32]));
    let (owner, stranger) = (id(BankAccountId::from_slice, 1), id(BankAccountId::from_slice, 2));
    let number = AccountNumber::new("4815162342".to_owned());
    assert_eq!(number.last_four(), "2342");
    let sealed = key.seal(owner, &number, [9; 12]);
    assert!(!sealed.bytes.windows(10).any(|window| window == b"4815162342"));
    let opened = key.open(owner, &sealed).expect("its own");
    assert_eq!(opened.digits(), number.digits());
    assert!(key.open(stranger, &sealed).is_none());
    assert!(other.open(owner, &sealed).is_none());
    for index in 0..sealed.bytes.len() {
        let mut changed = sealed.clone();
        changed.bytes[index] ^= 1;
        assert!(key.open(owner, &changed).is_none(), "byte {index}");
        changed.bytes.truncate(index);
        assert!(key.open(owner, &changed).is_none(), "length {index}");
    }
    let newer = sealing::Sealed { key_version: 2, ..sealed };
    assert!(key.open(owner, &newer).is_none());
    let same = AccountNumber::new("4815162342".to_owned());
    let fingerprint = key.fingerprint("021000021", &number);
    assert_eq!(fingerprint, key.fingerprint("021000021", &same));
    assert_ne!(fingerprint, key.fingerprint("021000089", &same));
    assert_ne!(fingerprint, other.fingerprint("021000021", &same));
    assert_ne!(key.check(), other.check());
}

#[test]
fn the_key_file_is_made_once_and_kept_from_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sealing.key");
    std::fs::write(path.with_extension("new"), b"half").expect("left by a crash");
    let made = SealingKey::load_or_create(&path).expect("made");
    let about = std::fs::metadata(&path).expect("there");
    assert_eq!((about.len(), about.permissions().mode() & 0o777), (32, 0o600));
    let loaded = SealingKey::load_or_create(&path).expect("loaded");
    assert_eq!(made.check(), loaded.check());
    let refused = |expected: &str| {
        let Err(error) = SealingKey::load_or_create(&path) else { panic!("{expected}") };
        assert!(error.to_string().contains(expected), "{error}");
    };
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("mine");
    refused("chmod 600");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("mine");
    std::fs::write(&path, [0; 31]).expect("mine");
    refused("32 bytes");
}
