//! The bank's files: doubled, poisoned, growing, too large, about nothing of ours.

use contracts::rails::RailState;
use nacha::{
    Addenda, Amount, Batch, BatchHeader, Date, Entry, File, FileHeader, FileModifier,
    OriginatorStatus, Return, ReturnCode, Sec, ServiceClass, Trace, TransactionCode,
    routing::RoutingNumber,
};

use super::world::{CREDIT, World, eventually, names};

/// A file of returns, each of a trace number, an amount and a code.
fn returns(modifier: char, all: &[(&str, u64, u8)]) -> Vec<u8> {
    let rdfi = RoutingNumber::parse("011401533").unwrap();
    let ours = RoutingNumber::parse("091000019").unwrap();
    let entries = (1..).zip(all).map(|(number, (original, cents, code))| {
        let trace = Trace::new(rdfi.dfi(), number).unwrap();
        Entry {
            transaction_code: TransactionCode::parse("21").unwrap(),
            rdfi: ours,
            account: "1".to_owned(),
            amount: Amount::new(*cents).unwrap(),
            individual_id: String::new(),
            individual_name: "Jules Jackson".to_owned(),
            discretionary: String::new(),
            addenda: vec![Addenda::Return(Return {
                code: ReturnCode::new(*code).unwrap(),
                original_trace: Trace::parse(original).unwrap(),
                date: String::new(),
                original_rdfi: rdfi.dfi(),
                information: String::new(),
                trace,
            })],
            trace,
        }
    });
    let header = BatchHeader {
        service_class: ServiceClass::Mixed,
        company_name: "SWITCHYARD".to_owned(),
        company_data: String::new(),
        company_id: "1990010001".to_owned(),
        sec: Sec::Ppd,
        entry_description: "TRANSFER".to_owned(),
        descriptive_date: String::new(),
        effective_date: Date::parse("261125"),
        settlement_date: "329".to_owned(),
        originator_status: OriginatorStatus::Bound,
        odfi: rdfi.dfi(),
        number: 1,
    };
    let batch = Batch { header, entries: entries.collect(), authentication_code: String::new() };
    let file = File {
        header: FileHeader {
            immediate_destination: ours,
            immediate_origin: "011401533".to_owned(),
            created: Date::parse("261125").unwrap(),
            created_time: None,
            modifier: FileModifier::new(modifier).unwrap(),
            destination_name: "US".to_owned(),
            origin_name: "BANK".to_owned(),
            reference_code: String::new(),
        },
        batches: vec![batch],
    };
    file.write().unwrap()
}

#[test]
fn what_fits_nothing_is_set_aside_and_the_rest_applied() {
    let world = World::new();
    let up = world.up();
    let [open, settled] = [(); 2].map(|()| world.transfer());
    up.reserve(settled, 5_000, CREDIT);
    up.cut_off(1);
    world.until(settled, "completed");
    let returned = world.folder("returned");
    let put = |name: &str, bytes: &[u8]| {
        // Whole at once, as the bank does it.
        let beside = world.dir.path().join("beside");
        std::fs::write(&beside, bytes).unwrap();
        std::fs::rename(beside, returned.join(name)).unwrap();
    };
    // Poison: no file at all, sums that do not hold, and more than is read.
    put("poison.ach", b"101 garbage");
    let mut broken = returns('B', &[("091000010000001", 5_000, 2)]);
    let place = 2 * 95 + 38;
    broken[place] = if broken[place] == b'9' { b'8' } else { b'9' };
    put("sums.ach", &broken);
    let large = std::fs::File::create(returned.join("large.ach")).unwrap();
    large.set_len(nacha::MAX_BYTES as u64 + 1).unwrap();
    put("notes.txt", b"not for us");
    eventually("three are set aside", || up.exceptions().len() == 3);
    assert_eq!(world.outcomes_of(settled).len(), 2, "nothing of them is applied");
    // A good file among them: one entry returned, three that fit nothing.
    let mixed = [
        ("091000010000001", 5_000, 1),
        ("091000010000001", 5_000, 2),
        ("091000010000077", 5_000, 1),
        ("021000020000001", 5_000, 1),
    ];
    let bytes = returns('C', &mixed);
    put("mixed.ach", &bytes);
    let told = world.until(settled, "returned");
    let last = told.last().unwrap();
    assert_eq!((last.state, last.network_code.as_deref()), (RailState::Returned, Some("R01")));
    assert_eq!(last.failure_code.as_deref(), Some("insufficient-funds"));
    assert_eq!(last.reason.as_deref(), Some("Insufficient funds"));
    eventually("six are set aside", || up.exceptions().len() == 6);
    let why: Vec<String> = up.exceptions().into_iter().take(3).map(|one| one.why).collect();
    let unknown = "no entry of ours has this trace number";
    assert_eq!(why, [unknown, unknown, "a second return"]);
    eventually("it is taken away", || !returned.join("mixed.ach").exists());
    // The same once more, under another name: nothing.
    put("mixed-again.ach", &bytes);
    eventually("it is taken away", || !returned.join("mixed-again.ach").exists());
    assert_eq!(up.exceptions().len(), 6);
    assert_eq!(world.outcomes_of(settled).len(), 3);
    // Of another amount than the entry's.
    up.reserve(open, 7_000, CREDIT);
    up.cut_off(1);
    world.until(open, "originated");
    put("amount.ach", &returns('D', &[("091000010000002", 7_001, 1)]));
    eventually("it is set aside", || up.exceptions().len() == 7);
    world.until(open, "completed");
    assert_eq!(names(&returned), ["large.ach", "notes.txt", "poison.ach", "sums.ach"]);
    let exchanges = up.exchanges(settled);
    assert!(
        exchanges.contains(&"bank>ach return R01 Insufficient funds".to_owned()),
        "{exchanges:?}"
    );
    up.crash();
    // What was set aside is not set aside again after a start.
    let up = world.up();
    let again = world.transfer();
    up.reserve(again, 5_000, CREDIT);
    up.cut_off(1);
    world.until(again, "completed");
    assert_eq!(up.exceptions().len(), 7);
    up.crash();
}

#[test]
fn a_file_that_grows_is_left_alone_until_it_is_whole() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    up.reserve(transfer, 8_000, CREDIT);
    up.cut_off(1);
    world.until(transfer, "originated");
    let whole = returns('E', &[("091000010000001", 8_000, 3)]);
    let growing = world.folder("returned").join("growing.ach");
    for end in (0..whole.len()).step_by(200).chain([whole.len()]) {
        std::fs::write(&growing, &whole[..end]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    world.until(transfer, "returned");
    assert_eq!(up.exceptions(), []);
    up.crash();
}

#[test]
fn nothing_is_released_while_the_folders_are_not_seen() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    // The bank takes the file, returns its entry before settlement, and is away meanwhile.
    up.reserve_all(vec![
        super::world::reserved(transfer, 779_901, CREDIT, 1),
        super::world::reserved(world.transfer(), 779_600, CREDIT, 1),
    ]);
    up.cut_off(2);
    let told = world.until(transfer, "returned");
    let states: Vec<RailState> = told.iter().map(|one| one.state).collect();
    assert_eq!(states, [RailState::Pending, RailState::Rejected], "it never counted as paid");
    up.crash();
}
