//! What goes into files: cancellations, revoked methods, repeats, limits, and a reader that others wrote.

use std::process::Command;

use contracts::rails::RailState;

use super::world::{BUSINESS, CREDIT, DEBIT, SAME_DAY, World, eventually, reserved};

#[test]
fn a_cancellation_wins_before_the_cutoff_and_loses_after() {
    let world = World::new();
    let up = world.up();
    let (early, late, first) = (world.transfer(), world.transfer(), world.transfer());
    up.reserve(early, 5_000, CREDIT);
    up.cancel(early);
    let told = world.until(early, "canceled");
    assert_eq!((told.len(), told[0].state), (1, RailState::Canceled));
    assert_eq!(told[0].reference, None);
    // It overtakes the reservation.
    up.cancel(first);
    up.reserve(first, 5_000, CREDIT);
    world.until(first, "canceled");
    up.reserve(late, 5_000, CREDIT);
    up.cut_off(1);
    eventually("its file", || up.files().len() == 1);
    up.cancel(late);
    up.cancel(early);
    let told = world.until(late, "completed");
    assert!(told.iter().all(|one| one.state != RailState::Canceled), "{told:?}");
    assert_eq!(world.books().len(), 1, "of three one was sent");
    assert_eq!(world.outcomes_of(early).len(), 1);
    up.crash();
}

#[test]
fn what_cannot_be_sent_fails_before_a_file_is_made() {
    let world = World::new();
    let up = world.up();
    let [revoked, large, repeated] = [(); 3].map(|()| world.transfer());
    up.reserve_all(vec![
        reserved(revoked, 5_000, CREDIT, 2),
        reserved(large, 10_000_000_000, CREDIT, 1),
        reserved(repeated, 9_999_999_999, CREDIT, 1),
        reserved(repeated, 9_999_999_999, CREDIT, 1),
    ]);
    for (transfer, failure) in [(revoked, "other"), (large, "processing-error")] {
        let told = world.until(transfer, "failed");
        assert_eq!((told.len(), told[0].state), (1, RailState::Rejected));
        assert_eq!(told[0].failure_code.as_deref(), Some(failure));
    }
    world.until(repeated, "completed");
    assert_eq!(world.books().len(), 1);
    up.crash();
}

#[test]
fn payment_methods_that_are_away_delay_a_file() {
    let world = World::new();
    let up = world.up();
    world.methods.away.store(true, std::sync::atomic::Ordering::SeqCst);
    let transfer = world.transfer();
    up.reserve(transfer, 5_000, CREDIT);
    up.cut_off(1);
    eventually("they were asked", || {
        world.methods.asked.load(std::sync::atomic::Ordering::SeqCst) > 1
    });
    assert!(up.files().is_empty());
    world.methods.away.store(false, std::sync::atomic::Ordering::SeqCst);
    world.until(transfer, "completed");
    up.crash();
}

#[test]
fn a_cutoff_is_split_into_files_that_others_can_read() {
    let world = World::new();
    let mut config = world.config();
    config.entries_most = 40;
    config.cents_most = 100_000;
    let up = world.up_with(config);
    let kinds = [CREDIT, SAME_DAY, DEBIT, CREDIT | BUSINESS, DEBIT | BUSINESS, SAME_DAY | BUSINESS];
    let mut events = Vec::new();
    for number in 0..100_usize {
        let method = kinds[number % kinds.len()];
        events.push(reserved(world.transfer(), 4_000, method, 1));
    }
    let transfers: Vec<_> = events.iter().map(|event| event.transfer_id).collect();
    up.reserve_all(events);
    for transfer in &transfers {
        world.until(*transfer, "completed");
    }
    let books = world.books();
    assert_eq!(books.len(), 100);
    let files = up.files();
    assert!(files.len() >= 4, "{files:?}");
    for file in &files {
        assert!(file.entries <= 40 && file.total_debit <= 100_000, "{file:?}");
        assert!(file.total_credit <= 100_000, "{file:?}");
        assert_eq!(world.hash(&file.name), file.hash);
        let bytes = std::fs::read(world.folder("outbound").join(&file.name)).unwrap();
        let parsed = nacha::parse(&bytes).unwrap();
        let numbers = parsed.batches.iter().flat_map(|batch| &batch.entries).count();
        assert_eq!(i64::try_from(numbers).unwrap(), file.entries);
    }
    let mut traces: Vec<_> = books.values().map(|payment| payment.reference.clone()).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 100, "a trace number is given once");
    let program = std::env::var_os("SWITCHYARD_ACHLENS").unwrap_or_else(|| "achlens".into());
    if Command::new(&program).arg("--help").output().is_err() {
        println!("SKIPPED: ach: no achlens to read what is sent (pip install achlens)");
    } else {
        for file in &files {
            let path = world.folder("outbound").join(&file.name);
            let mut command = Command::new(&program);
            let output =
                command.arg("validate").arg(path).args(["--min-severity", "error"]).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        println!("achlens: {} files of ours are valid", files.len());
    }
    // No account number is anywhere in our own data.
    let numbers = ["100200300", "100200301"];
    for entry in std::fs::read_dir(world.dir.path().join("data")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        for number in numbers {
            assert!(!bytes.windows(9).any(|window| window == number.as_bytes()), "{number}");
        }
    }
    up.crash();
}
