//! The life of entries by the bank's table: credits and debits, returns before and after settlement,
//! notifications of change.

use contracts::{
    ledger::LedgerReserved,
    rails::{Purpose, RailOutcome, RailState},
};
use sandbox::State;

use super::world::{BUSINESS, CREDIT, DEBIT, SAME_DAY, World, reserved};

fn line(outcome: &RailOutcome) -> String {
    let or = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
    let (code, failure) = (or(&outcome.network_code), or(&outcome.failure_code));
    format!("{:?} {} {code} {failure}", outcome.state, or(&outcome.stage))
}

#[test]
fn a_credit_goes_with_a_file_and_settles() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    up.reserve(transfer, 12_345, CREDIT);
    let waiting = up.waits(transfer);
    assert_eq!((waiting.reason.as_str(), waiting.position), ("awaiting-cutoff", Some(0)));
    assert!(waiting.expected_on.is_some());
    let told = world.until(transfer, "completed");
    assert_eq!(
        told.iter().map(line).collect::<Vec<_>>(),
        ["Pending originated - -", "Accepted completed - -"]
    );
    assert_eq!(told[0].reference.as_deref(), Some("091000010000001"));
    let books = world.books();
    let payment = &books[&transfer.to_string()];
    assert_eq!((payment.amount, payment.reference.as_str()), (12_345, "091000010000001"));
    assert!(up.waiting(transfer).is_none());
    let exchanges = up.exchanges(transfer);
    assert_eq!(exchanges.len(), 2, "{exchanges:?}");
    assert!(exchanges[0].starts_with("ach>bank NACHA file switchyard-20"), "{exchanges:?}");
    assert_eq!(exchanges[1], "bank>ach ack accepted");
    up.crash();
}

#[test]
fn micro_deposits_go_in_batches_of_their_own() {
    let world = World::new();
    let up = world.up();
    let deposit = |amount, method| {
        let purpose = Some(Purpose::AccountVerification);
        LedgerReserved { purpose, ..reserved(world.transfer(), amount, method, 1) }
    };
    let payment = |amount, method| reserved(world.transfer(), amount, method, 1);
    let events = vec![
        payment(900, SAME_DAY),
        deposit(7, SAME_DAY),
        payment(901, CREDIT),
        deposit(25, SAME_DAY),
        deposit(12, SAME_DAY | BUSINESS),
        deposit(3, CREDIT),
    ];
    let transfers: Vec<_> = events.iter().map(|event| event.transfer_id).collect();
    up.reserve_all(events);
    for transfer in transfers {
        world.until(transfer, "completed");
        world.agrees(transfer);
    }
    let files = up.files();
    assert_eq!(files.len(), 1, "{files:?}");
    let bytes = std::fs::read(world.folder("outbound").join(&files[0].name)).unwrap();
    let batches: Vec<(String, &str, Vec<u64>)> = nacha::parse(&bytes)
        .unwrap()
        .batches
        .iter()
        .map(|batch| {
            let cents = batch.entries.iter().map(|entry| entry.amount.cents()).collect();
            (batch.header.entry_description.clone(), batch.header.sec.as_str(), cents)
        })
        .collect();
    let of = |description: &str, sec, cents: &[u64]| (description.to_owned(), sec, cents.to_vec());
    let expected = [
        of("TRANSFER", "PPD", &[900]),
        of("ACCTVERIFY", "PPD", &[7, 25]),
        of("ACCTVERIFY", "CCD", &[12]),
        of("TRANSFER", "PPD", &[901]),
        of("ACCTVERIFY", "PPD", &[3]),
    ];
    assert_eq!(batches, expected);
    up.crash();
}

#[test]
fn every_row_of_the_table_ends_as_it_says() {
    let world = World::new();
    let up = world.up();
    let mut rows = Vec::new();
    let mut events = Vec::new();
    let mut add = |amount: i64, method: i64, stage: &'static str, ends: Vec<String>| {
        let transfer = world.transfer();
        events.push(reserved(transfer, amount, method, 1));
        rows.push((transfer, amount, stage, ends));
    };
    let (first, last) = ("Pending originated - -".to_owned(), "Accepted completed - -".to_owned());
    for (method, number) in [CREDIT, SAME_DAY, DEBIT].into_iter().cycle().zip(1..=85_u8) {
        let Some(code) = nacha::ReturnCode::new(number) else { continue };
        let method = if number % 2 == 0 { method | BUSINESS } else { method };
        let returned = |state: RailState| format!("{state:?} returned {code}");
        let early = vec![first.clone(), returned(RailState::Rejected)];
        add(779_900 + i64::from(number), method, "returned", early);
        let late = vec![first.clone(), last.clone(), returned(RailState::Returned)];
        add(779_400 + i64::from(number), method, "returned", late);
    }
    for number in 1..=14_u8 {
        let Some(code) = nacha::ChangeCode::new(number) else { continue };
        add(779_800 + i64::from(number), CREDIT, "corrected", vec![format!("corrected {code}")]);
    }
    for method in [CREDIT, SAME_DAY, DEBIT, CREDIT | BUSINESS, DEBIT | BUSINESS] {
        add(100, method, "completed", vec![first.clone(), last.clone()]);
    }
    up.reserve_all(events);
    for (transfer, amount, stage, ends) in &rows {
        let told = world.until(*transfer, stage);
        let lines: Vec<String> = told.iter().map(line).collect();
        if *stage == "corrected" {
            world.until(*transfer, "completed");
            let corrected = told.iter().find(|one| one.stage.as_deref() == Some("corrected"));
            assert!(line(corrected.unwrap()).contains(&ends[0]), "{amount}: {lines:?}");
            continue;
        }
        assert_eq!(lines.len(), ends.len(), "{amount}: {lines:?}");
        for (found, expected) in lines.iter().zip(ends) {
            assert!(found.starts_with(expected.as_str()), "{amount}: {found}, not {expected}");
        }
        world.agrees(*transfer);
    }
    let books = world.books();
    assert_eq!(books.len(), rows.len());
    let corrected = rows.iter().filter(|row| row.2 == "corrected");
    for (transfer, ..) in corrected {
        assert_eq!(books[&transfer.to_string()].state, State::Settled);
    }
    assert_eq!(world.outbound().len(), 1, "all of it in one file");
    let (instructed, faults) = up.read(ach::verify);
    assert_eq!((instructed.len(), faults), (rows.len(), Vec::new()));
    println!("ach: {} rows of the table", rows.len());
    up.crash();
}
