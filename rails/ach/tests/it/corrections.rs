//! Notifications of change: each bank account is corrected before the bank's file counts as taken in.

use contracts::Code;

use super::world::{CREDIT, DEBIT, Notice, World, eventually, names};

/// What the notices said, one line each.
fn told(world: &World) -> Vec<String> {
    let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let notices = world.methods.notices.lock();
    let line = |notice: &contracts::payment_methods::CorrectBankAccountRequest| {
        let right = &notice.corrected;
        format!(
            "{} {} {} {} {} {}",
            notice.payment_method_id.0.as_bytes()[15],
            notice.change_code,
            of(&right.routing_number),
            of(&right.account_number),
            of(&right.bank_account_type),
            of(&right.holder_name)
        )
    };
    notices.iter().map(line).collect()
}

#[test]
fn every_change_of_a_bank_account_is_told_and_no_other() {
    let world = World::new();
    let up = world.up();
    let codes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14];
    let transfers = codes.map(|code| {
        let transfer = world.transfer();
        up.reserve(transfer, 779_800 + code, CREDIT);
        transfer
    });
    up.cut_off(codes.len() as u64);
    for transfer in transfers {
        world.until(transfer, "corrected");
        world.until(transfer, "completed");
        world.agrees(transfer);
    }
    let mut lines = told(&world);
    lines.sort_unstable();
    let expected = [
        "113 C01 - 100200301 - -",
        "113 C02 021000021 - - -",
        "113 C03 021000021 100200301 - -",
        "113 C04 - - - JULES JACKSON JR",
        "113 C05 - - savings -",
        "113 C06 - 100200301 savings -",
        "113 C07 021000021 100200301 savings -",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.eq_ignore_ascii_case(expected), "{line}, not {expected}");
    }
    let notices = world.methods.notices.lock();
    let causes: std::collections::BTreeSet<_> = notices.iter().map(|one| &one.cause).collect();
    assert_eq!(causes.len(), expected.len(), "each has a cause of its own");
    drop(notices);
    assert_eq!(up.exceptions(), []);
    up.crash();
}

#[test]
fn a_refusal_is_set_aside_and_holds_up_nothing() {
    let world = World::new();
    let up = world.up();
    for code in [Code::NotFound, Code::Conflict, Code::InvalidField] {
        world.methods.answers.lock().push(Notice::Refused(code));
        let (changed, paid) = (world.transfer(), world.transfer());
        up.reserve(changed, 779_801, CREDIT);
        up.reserve(paid, 1_000, DEBIT);
        up.cut_off(2);
        world.until(changed, "corrected");
        world.until(changed, "completed");
        world.until(paid, "completed");
        let newest = up.exceptions().swap_remove(0);
        assert_eq!((newest.code.as_str(), newest.amount), ("C01", 0));
        assert_eq!(newest.why, "the bank account stays: as the test wants it");
    }
    assert_eq!(up.exceptions().len(), 3);
    assert_eq!(world.methods.notices.lock().len(), 3, "none was told again");
    eventually("the files are taken away", || names(&world.folder("returned")).is_empty());
    up.crash();
}

#[test]
fn a_file_waits_while_payment_methods_is_away() {
    let world = World::new();
    let up = world.up();
    world.methods.answers.lock().extend([
        Notice::Refused(Code::Unavailable),
        Notice::Refused(Code::Busy),
        Notice::Silent,
    ]);
    let transfer = world.transfer();
    up.reserve(transfer, 779_806, CREDIT);
    up.cut_off(1);
    let told = world.until(transfer, "corrected");
    assert_eq!(told.last().unwrap().network_code.as_deref(), Some("C06"));
    world.until(transfer, "completed");
    let notices = world.methods.notices.lock();
    assert_eq!(notices.len(), 4, "three times in vain");
    assert!(notices.iter().all(|one| one.cause == notices[0].cause), "it is one notice");
    drop(notices);
    assert_eq!(up.exceptions(), []);
    up.crash();
}

#[test]
fn a_crash_between_the_correction_and_the_file_repeats_the_same_notice() {
    let world = World::new();
    let up = world.up();
    world.methods.answers.lock().push(Notice::Silent);
    let transfer = world.transfer();
    up.reserve(transfer, 779_803, CREDIT);
    up.cut_off(1);
    eventually("it is told", || !world.methods.notices.lock().is_empty());
    up.crash();
    assert!(!names(&world.folder("returned")).is_empty(), "the file is still there");
    let up = world.up();
    world.until(transfer, "corrected");
    world.until(transfer, "completed");
    let notices = world.methods.notices.lock();
    assert_eq!(notices.len(), 2);
    assert_eq!(notices[0].cause, notices[1].cause);
    drop(notices);
    assert_eq!(up.exceptions(), []);
    up.crash();
}
