//! Each fault of the bank, what is held for a person, and what was changed between claim and upload.

use std::{sync::atomic::Ordering, time::Duration};

use contracts::rails::{AchFile, RailState};
use sandbox::{Fault as Wrong, Limit};

use super::world::{CREDIT, World, eventually};

const MANY: Limit = Limit::Count(10_000);
const NONE: Limit = Limit::Count(0);

#[test]
fn each_fault_leaves_one_file_and_the_truth() {
    let world = World::new();
    let config = || {
        let mut config = world.config();
        config.answer_within = Duration::from_millis(400);
        config.connect_within = Duration::from_secs(2);
        config
    };
    let up = world.up_with(config());
    let faults = [
        Wrong::DropReply,
        Wrong::RenameFails,
        Wrong::DiskFull,
        Wrong::PartialUpload,
        Wrong::CloseMidMessage,
        Wrong::Refuse,
        Wrong::WrongHostKey,
        Wrong::Hang,
        Wrong::HalfOpen,
        Wrong::Slow,
        Wrong::LateReply,
        Wrong::Garbage,
        Wrong::DuplicateReply,
    ];
    let mut transfers = Vec::new();
    for fault in faults {
        // A fault of connections needs a new one.
        if matches!(fault, Wrong::WrongHostKey | Wrong::HalfOpen) {
            world.fault(Wrong::Refuse, Limit::Count(1));
        }
        world.fault(fault, Limit::Count(1));
        let transfer = world.transfer();
        let amount = if fault == Wrong::DuplicateReply { 779_401 } else { 5_000 };
        up.reserve(transfer, amount, CREDIT);
        up.cut_off(1);
        world.until(transfer, "originated");
        transfers.push((transfer, fault));
    }
    for (transfer, fault) in &transfers {
        world.until(*transfer, "completed");
        if *fault == Wrong::DuplicateReply {
            world.until(*transfer, "returned");
        }
        world.agrees(*transfer);
    }
    assert_eq!(world.sandbox().faults(), [], "each of them befell");
    let outbound = world.outbound();
    assert_eq!(outbound.len(), faults.len(), "{outbound:?}");
    eventually("all are acknowledged", || {
        up.files().iter().all(|file| file.status == "acknowledged")
    });
    for file in up.files() {
        assert_eq!(world.hash(&file.name), file.hash, "it was rebuilt byte for byte");
    }
    let garbage = up.exceptions();
    assert_eq!(garbage.len(), 1, "{garbage:?}");
    assert!(garbage[0].file.starts_with("garbage-") && garbage[0].why.contains("errors"));
    assert_eq!(super::world::names(&world.folder("returned")), [garbage[0].file.clone()]);
    up.crash();
}

#[test]
fn a_bank_that_is_away_is_waited_for() {
    let world = World::new();
    let up = world.up();
    let (first, second) = (world.transfer(), world.transfer());
    world.fault(Wrong::Refuse, Limit::For(Duration::from_millis(1_500)));
    up.reserve(first, 5_000, CREDIT);
    up.cut_off(1);
    eventually("it says why it waits", || {
        up.waiting(first).is_some_and(|waiting| waiting.reason == "rail-unavailable")
    });
    // Files go on being made meanwhile.
    up.reserve(second, 5_000, CREDIT);
    up.cut_off(1);
    eventually("a second file", || up.files().len() == 2);
    for transfer in [first, second] {
        world.until(transfer, "completed");
        world.agrees(transfer);
    }
    up.crash();
}

#[test]
fn a_host_key_that_is_not_pinned_gets_nothing() {
    let world = World::new();
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let mut config = world.config();
    config.host_keys = vec![other.clone()];
    let up = world.up_with(config.clone());
    let transfer = world.transfer();
    up.reserve(transfer, 5_000, CREDIT);
    up.cut_off(1);
    eventually("it says why it waits", || {
        up.waiting(transfer).is_some_and(|waiting| waiting.reason == "rail-unavailable")
    });
    assert_eq!(world.outbound(), [] as [String; 0]);
    assert_eq!(up.files()[0].status, "fixed");
    up.crash();
    // The second slot: while the bank changes its key, both are good.
    config.host_keys.push(world.sandbox().ach_host_key.clone().unwrap());
    let up = world.up_with(config);
    world.until(transfer, "completed");
    up.crash();
}

/// A file whose rename was tried and that is not there any more.
fn held(world: &World, up: &super::world::Up) -> (contracts::ids::TransferId, AchFile) {
    world.fault(Wrong::RenameFails, MANY);
    let transfer = world.transfer();
    up.reserve(transfer, 5_000, CREDIT);
    up.cut_off(1);
    let part = || world.outbound().into_iter().find(|name| name.ends_with(".part"));
    eventually("a part whose rename fails", || {
        part().is_some() && up.files()[0].status == "renaming"
    });
    let gone = part().unwrap();
    std::fs::rename(world.folder("outbound").join(&gone), world.dir.path().join("kept.part"))
        .unwrap();
    eventually("it is held", || up.files()[0].status == "held");
    world.fault(Wrong::RenameFails, NONE);
    assert_eq!(up.waiting(transfer).unwrap().reason, "awaiting-answer");
    let file = up.files().remove(0);
    assert!(file.reason.as_ref().unwrap().contains("it is not there"), "{file:?}");
    (transfer, file)
}

#[test]
fn what_may_be_there_is_held_until_somebody_knows() {
    let world = World::new();
    let up = world.up();
    // A person knows that it did not arrive: the same file again.
    let (transfer, file) = held(&world, &up);
    let decide = |number: i64, arrived: bool| {
        let path = format!("/operations/ach/files/{number}/decision");
        up.operate::<AchFile>("POST", &path, &format!("{{\"arrived\":{arrived}}}"))
    };
    assert_eq!(decide(file.number, false).unwrap().status, "fixed");
    world.until(transfer, "completed");
    assert_eq!((world.hash(&file.name), world.outbound().len()), (file.hash.clone(), 1));
    assert_eq!(decide(file.number, true), Err(409), "nothing is left to decide");
    assert_eq!(decide(77, true), Err(404));
    // A person knows that it did.
    let (transfer, file) = held(&world, &up);
    assert_eq!(decide(file.number, true).unwrap().status, "sent");
    world.until(transfer, "completed");
    // The bank's acknowledgement says so.
    let (transfer, file) = held(&world, &up);
    let stem = file.name.strip_suffix(".ach").unwrap();
    let ack = format!(
        "{{\"file\":\"{}\",\"sha256\":\"{}\",\"accepted\":true,\"reason\":null}}",
        file.name, file.hash
    );
    std::fs::write(world.folder("ack").join(format!("{stem}.ack")), ack).unwrap();
    world.until(transfer, "completed");
    assert_eq!(up.files()[0].status, "acknowledged");
    assert_eq!(world.outbound().len(), 1, "the other two never were there again");
    up.crash();
}

#[test]
fn a_file_that_the_bank_refuses_fails_its_entries() {
    let world = World::new();
    let up = world.up();
    let (transfer, file) = held(&world, &up);
    let stem = file.name.strip_suffix(".ach").unwrap();
    let write = |name: &str, hash: &str, reason: &str| {
        let ack = format!(
            "{{\"file\":\"{}\",\"sha256\":\"{hash}\",\"accepted\":false,\"reason\":\"{reason}\"}}",
            file.name
        );
        std::fs::write(world.folder("ack").join(name), ack).unwrap();
    };
    write("other.ack", "00", "other bytes");
    eventually("it is set aside", || up.exceptions().len() == 1);
    assert_eq!(up.files()[0].status, "held", "that was not about our bytes");
    write(&format!("{stem}.ack"), &file.hash, "no such originator");
    let told = world.until(transfer, "failed");
    assert_eq!(told.last().unwrap().reason.as_deref(), Some("no such originator"));
    assert_eq!((told.len(), told[0].state), (1, RailState::Rejected));
    assert_eq!(up.files()[0].status, "refused");
    up.crash();
}

#[test]
fn an_account_that_is_corrected_after_the_claim() {
    let world = World::new();
    let up = world.up();
    // Before a byte left the file is fixed anew.
    let transfer = world.transfer();
    world.fault(Wrong::Refuse, Limit::For(Duration::from_millis(1_000)));
    up.reserve(transfer, 5_000, CREDIT);
    up.cut_off(1);
    eventually("a file", || !up.files().is_empty());
    let before = up.files().remove(0);
    world.methods.shift.store(1, Ordering::SeqCst);
    world.until(transfer, "completed");
    let after = up.files().remove(0);
    assert_eq!((before.name.as_str(), before.status.as_str()), (after.name.as_str(), "fixed"));
    assert_ne!(before.hash, after.hash);
    assert_eq!(world.hash(&after.name), after.hash);
    world.agrees(transfer);
    // After it a person decides.
    world.fault(Wrong::DiskFull, MANY);
    let transfer = world.transfer();
    up.reserve(transfer, 5_000, CREDIT);
    up.cut_off(1);
    eventually("something was sent", || up.files()[0].status == "sending");
    world.methods.shift.store(2, Ordering::SeqCst);
    eventually("it is held", || up.files()[0].status == "held");
    world.fault(Wrong::DiskFull, NONE);
    let number = up.files()[0].number;
    let path = format!("/operations/ach/files/{number}/decision");
    up.operate::<AchFile>("POST", &path, "{\"arrived\":false}").unwrap();
    world.until(transfer, "completed");
    let last = up.files().remove(0);
    assert_eq!(world.hash(&last.name), last.hash);
    up.crash();
}
