//! The card rail against the sandbox's host: every row of its table, every fault, crashes at each
//! point, cancellations, revoked methods, thousands of authorisations with answers lost, late and
//! doubled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use card::Config;
use contracts::{
    Amount, Currency, Refusal,
    ids::{AccountId, CancellationId, PaymentMethodId, TransferId},
    ledger::LedgerReserved,
    payment_methods::{Reveal, Revealed, RevealedCard, RevealedMethod},
    rails::{Direction, GetCardWaiting, Rail, RailOutcome, RailState},
    transfers::TransferCancelRequested,
};
use parking_lot::Mutex;
use runtime::{
    Answer, Answered, Ask, Clock, Command, Commit, Delivered, Fault, Handle, Running, Service,
    Settings, Tier, Work,
};
use sandbox::{Fault as Wrong, Limit, Pace, Sandbox, State, Timings};
use store::{Sql, Tx};

type Outcomes = Arc<Mutex<Vec<RailOutcome>>>;

/// Plays the ledger: reserves on command, hears outcomes.
struct Ledger(Outcomes);
struct Reserve(LedgerReserved);
impl Command for Reserve {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "reserve";
    type Done = ();
}
impl Commit<Reserve> for Ledger {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Reserve],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for Reserve(event) in batch {
            let shard = work.shard_of(event.transfer_id.bucket());
            work.emit(event.transfer_id.row(), shard, event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}
impl Handle<RailOutcome> for Ledger {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<RailOutcome>],
    ) -> Result<(), Fault> {
        for event in batch {
            let (outcomes, outcome) = (Arc::clone(&self.0), event.data.clone());
            work.after_commit(move || outcomes.lock().push(outcome));
        }
        Ok(())
    }
}

/// Plays transfers: asks to cancel on command.
struct Transfers;
struct AskToCancel(TransferId);
impl Command for AskToCancel {
    const SERVICE: &'static str = "transfers";
    const NAME: &'static str = "cancel";
    type Done = ();
}
impl Commit<AskToCancel> for Transfers {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[AskToCancel],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for AskToCancel(transfer) in batch {
            let event = TransferCancelRequested {
                transfer_id: *transfer,
                cancellation_id: CancellationId::from_parts(1, 1),
                rail: Some(Rail::Card),
                destination_rail: None,
            };
            work.emit(transfer.row(), work.shard_of(transfer.bucket()), &event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

/// Plays payment-methods: opens every method whose version is 1; can be away.
struct Methods(Arc<AtomicBool>);
impl Answer<Reveal> for Methods {
    async fn answer(&self, ask: Ask<Reveal>) -> Result<Answered<Reveal>, Refusal> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Refusal::new(contracts::Code::Unavailable, "away"));
        }
        let methods = ask.query.methods.split(',').filter_map(|named| {
            let (id, version) = named.split_once(':')?;
            Some(RevealedMethod {
                payment_method_id: id.parse().ok()?,
                version: version.parse().ok()?,
                revoked: version != "1",
                payment_method_type: kind(id).to_owned(),
                holder_name: "Jules Jackson".to_owned(),
                holder_type: "individual".to_owned(),
                routing_number: String::new(),
                account_number: String::new(),
                bank_account_type: String::new(),
                card: Some(RevealedCard {
                    number: NUMBER.to_owned(),
                    expiration_month: "08".to_owned(),
                    expiration_year: "31".to_owned(),
                }),
            })
        });
        Ok(Answered::ok(&Revealed { methods: methods.collect() }))
    }
}

const NUMBER: &str = "4111100010002000";

/// Methods by the last byte of their id.
const PAYMENT: i64 = 0x71;
const PULL: i64 = 0x72;
const PUSH: i64 = 0x73;

fn kind(id: &str) -> &'static str {
    match &id[id.len() - 2..] {
        "72" => "pull-from-card",
        "73" => "push-to-card",
        _ => "card-payment",
    }
}

/// What outlives a crash of the platform.
struct World {
    _dir: tempfile::TempDir,
    location: ::store::Location,
    outcomes: Outcomes,
    away: Arc<AtomicBool>,
    outside: tokio::runtime::Runtime,
    sandbox: Option<Sandbox>,
    began: i64,
    next: AtomicI64,
}

/// A running platform on a runtime of its own.
struct Up {
    runtime: tokio::runtime::Runtime,
    running: Running,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }
    fn with(timings: impl FnOnce(&mut Timings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = sandbox::Config {
            dir: dir.path().to_owned(),
            rtp_listen: "127.0.0.1:0".parse().unwrap(),
            card_listen: "127.0.0.1:0".parse().unwrap(),
            callback_url: None,
            ach_listen: "127.0.0.1:0".parse().unwrap(),
            ach_client_key: None,
            ach_host_seed: [0; 32],
            keep_wire: false,
            clock: Arc::new(|| Clock::system().now().0),
            timings: Timings::of(Pace::Fast),
        };
        timings(&mut config.timings);
        let outside = runtime();
        let sandbox = outside.block_on(Sandbox::start(config)).unwrap();
        Self {
            location: ::store::Location::Directory(dir.path().join("data")),
            _dir: dir,
            outcomes: Arc::default(),
            away: Arc::default(),
            outside,
            sandbox: Some(sandbox),
            began: Clock::system().now().millis(),
            next: AtomicI64::new(0),
        }
    }
    fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }
    fn fault(&self, fault: Wrong, limit: Limit) {
        self.sandbox().fault(sandbox::Rail::Card, fault, limit).unwrap();
    }
    fn config(&self) -> Config {
        Config {
            answer_within: Duration::from_millis(1_000),
            reverse_first: Duration::from_millis(300),
            ..Config::sandbox(self.sandbox().card_address.to_string())
        }
    }
    fn up(&self) -> Up {
        self.up_with(self.config())
    }
    fn up_with(&self, config: Config) -> Up {
        let (location, options) = (self.location.clone(), ::store::Options::default());
        let (store, mut writer) = ::store::Store::open(location, options).unwrap();
        let ledger = Arc::new(Ledger(Arc::clone(&self.outcomes)));
        let services = vec![
            Service::new("ledger", Tier::Service, ledger)
                .commits::<Reserve>()
                .handles::<RailOutcome>()
                .emits::<LedgerReserved>()
                .wire(),
            Service::new("transfers", Tier::Service, Arc::new(Transfers))
                .commits::<AskToCancel>()
                .emits::<TransferCancelRequested>()
                .wire(),
            Service::new(
                "payment-methods",
                Tier::Service,
                Arc::new(Methods(Arc::clone(&self.away))),
            )
            .answers::<Reveal>()
            .wire(),
            card::service(config).unwrap().wire(),
        ];
        writer.migrate(&runtime::migrations(&services)).unwrap();
        let settings = Settings {
            shards: 1,
            waiting_most: 4_096,
            sandbox: true,
            directory: None,
            clock: Clock::system(),
        };
        let runtime = runtime();
        let entered = runtime.enter();
        let running = runtime::start(store, writer, services, settings).unwrap();
        drop(entered);
        Up { runtime, running }
    }
    fn transfer(&self) -> TransferId {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let tail = i64::MIN | (number.wrapping_mul(0x9e37_79b9_7f4a) & 0x3fff_ffff_ffff_ff00);
        TransferId::from_parts((self.began << 12) + number, tail | (number & 0xff))
    }
    fn outcomes_of(&self, transfer: TransferId) -> Vec<RailOutcome> {
        let outcomes = self.outcomes.lock();
        outcomes.iter().filter(|outcome| outcome.transfer_id == transfer).cloned().collect()
    }
    /// The one final outcome of a transfer; panics where there is none in time, or two.
    fn ended(&self, transfer: TransferId, within: Duration) -> RailOutcome {
        let began = tokio::time::Instant::now();
        loop {
            let mut finals = self.outcomes_of(transfer);
            finals.retain(|outcome| outcome.state != RailState::Pending);
            assert!(finals.len() < 2, "two ends of one transfer: {finals:?}");
            if let Some(outcome) = finals.pop() {
                return outcome;
            }
            assert!(began.elapsed() < within, "{transfer} is stuck");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    /// Waits until something was told of a transfer.
    fn first_word(&self, transfer: TransferId) {
        let began = tokio::time::Instant::now();
        while self.outcomes_of(transfer).is_empty() {
            assert!(began.elapsed() < SOON, "nothing is told of {transfer}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    /// The host's payments by transfer; panics where one is in force twice.
    fn books(&self) -> BTreeMap<String, (State, i64)> {
        let payments = self.outside.block_on(self.sandbox().books()).unwrap();
        let mut books = BTreeMap::new();
        for payment in payments.into_iter().filter(|payment| payment.rail == "card") {
            let transfer = payment.transfer_id.unwrap();
            let before = books.insert(transfer, (payment.state, payment.amount));
            // What was refused or taken back may be asked for again; what is in force may not.
            assert!(!before.is_some_and(|(state, _)| in_force(state)), "approved twice");
        }
        books
    }
    /// What we tell of a transfer and what the host has agree.
    fn agrees(&self, transfer: TransferId) {
        let end = self.ended(transfer, Duration::ZERO);
        let there = self.books().get(&transfer.to_string()).map(|(state, _)| *state);
        assert_eq!(there.is_some_and(in_force), end.state == RailState::Accepted, "{end:?}");
    }
}

fn in_force(state: State) -> bool {
    matches!(state, State::Approved | State::Settled | State::Accepted)
}

impl Up {
    fn reserve(&self, transfer: TransferId, amount: i64) {
        self.reserve_by(transfer, amount, PAYMENT, 1);
    }
    fn reserve_by(&self, transfer: TransferId, amount: i64, method: i64, version: i64) {
        let event = reserved(transfer, amount, method, version);
        self.runtime.block_on(self.running.platform.commit(Reserve(event))).unwrap();
    }
    fn cancel(&self, transfer: TransferId) {
        self.runtime.block_on(self.running.platform.commit(AskToCancel(transfer))).unwrap();
    }
    fn waiting(&self, transfer: TransferId) -> Option<contracts::transfers::Waiting> {
        let path = format!("/internal/card/waiting?transfer={transfer}");
        let asked = self.running.platform.call::<GetCardWaiting>("transfers", &path);
        self.runtime.block_on(asked).ok().map(|called| called.reply)
    }
    fn exchanges(&self, transfer: TransferId) -> Vec<String> {
        let path = format!("/internal/card/exchanges?transfer={transfer}&events=");
        let fetched = self.running.platform.fetch("card", &path);
        let (body, _) = self.runtime.block_on(fetched).unwrap();
        let part: contracts::exchanges::Exchanges = serde_json::from_slice(&body).unwrap();
        let line = |e: contracts::exchanges::Exchange| {
            format!("{}>{} {} {}", e.from, e.to, e.name, e.outcome.unwrap())
        };
        part.exchanges.into_iter().map(line).collect()
    }
    /// The settlement files: lines applied, and whether it is done.
    fn files(&self) -> Vec<(i64, bool)> {
        static FILES: Sql = Sql::new("SELECT applied, done FROM card_settlement ORDER BY at");
        let read = |tx: &mut Tx<'_>| tx.query(&FILES, &[], |row| Ok((row.int(0)?, row.bool(1)?)));
        self.runtime.block_on(self.running.platform.read(read)).unwrap()
    }
    /// What of settlement files is for a person: why, and whose.
    fn apart(&self) -> Vec<(String, String)> {
        static APART: Sql = Sql::new("SELECT why, reference FROM card_exception ORDER BY at");
        let read = |tx: &mut Tx<'_>| {
            tx.query(&APART, &[], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
        };
        self.runtime.block_on(self.running.platform.read(read)).unwrap()
    }
    /// Waits until so many settlement files are done with.
    fn until_files(&self, count: usize) {
        let began = tokio::time::Instant::now();
        while self.files().iter().filter(|(_, done)| *done).count() < count {
            assert!(began.elapsed() < SOON, "{:?}, not {count}", self.files());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// Every task dies where it stands; what the writer had been given is written, nothing more.
    fn crash(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        // The last holder of a PostgreSQL connection may not be dropped inside tokio.
        let platform = self.running.platform.clone();
        runtime().block_on(self.running.stop());
        drop(platform);
    }
}

fn reserved(transfer_id: TransferId, amount: i64, method: i64, version: i64) -> LedgerReserved {
    LedgerReserved {
        transfer_id,
        leg: 0,
        rail: Rail::Card,
        amount: Amount::new(amount, Currency::USD),
        payment_method_id: PaymentMethodId::from_parts(4096, method),
        version,
        source_account_id: AccountId::from_parts(4096, 0x55),
        direction: if method == PUSH { Direction::Out } else { Direction::In },
        destination_account_id: Some(AccountId::from_parts(4096, 0x56)),
        purpose: None,
    }
}

const SOON: Duration = Duration::from_secs(15);

type Row = (i64, (RailState, Option<&'static str>, Option<&'static str>));

/// Amounts, and how they end: state, code of field 39, failure.
fn rows() -> Vec<Row> {
    let accepted = (RailState::Accepted, Some("00"), None);
    let declined = |code, failure| (RailState::Rejected, Some(code), Some(failure));
    let unanswered = (RailState::Rejected, None, Some("issuer-not-available"));
    let mut rows = vec![
        (1_000, accepted),
        (779_700, unanswered),
        (779_701, unanswered),
        (779_702, unanswered),
        (779_705, declined("05", "do-not-honor")),
        (779_751, declined("51", "insufficient-funds")),
        (779_799, declined("99", "unknown-issue")),
        (12_779_754, declined("54", "expired-card")),
    ];
    // Every decline that has a name in the published table, and one that has none.
    for (code, failure) in [
        ("03", "invalid-merchant"),
        ("04", "suspected-fraud"),
        ("06", "processing-error"),
        ("07", "suspected-fraud"),
        ("12", "invalid-transaction"),
        ("13", "invalid-amount"),
        ("14", "invalid-card-number"),
        ("15", "no-such-issuer"),
        ("19", "reenter-transaction"),
        ("30", "unknown-issue"),
        ("41", "lost-or-stolen"),
        ("43", "lost-or-stolen"),
        ("46", "cardholder-account-closed"),
        ("55", "incorrect-pin"),
        ("57", "transaction-not-allowed"),
        ("58", "transaction-not-allowed"),
        ("59", "suspected-fraud"),
        ("61", "amount-limit-exceeded"),
        ("62", "transaction-not-allowed"),
        ("65", "velocity-limit-exceeded"),
        ("78", "card-not-activated"),
        ("82", "cvv-mismatch"),
        ("91", "issuer-not-available"),
        ("92", "could-not-route"),
        ("94", "duplicate-transaction"),
        ("96", "processing-error"),
    ] {
        rows.push((779_700 + code.parse::<i64>().unwrap(), declined(code, failure)));
    }
    rows
}

#[test]
fn every_row_of_the_table_ends_as_it_says() {
    let world = World::new();
    let up = world.up();
    let rows = rows();
    let transfers: Vec<TransferId> = rows.iter().map(|_| world.transfer()).collect();
    for (transfer, (amount, _)) in transfers.iter().zip(&rows) {
        up.reserve(*transfer, *amount);
        up.reserve(*transfer, *amount);
    }
    for (transfer, (amount, expected)) in transfers.iter().zip(&rows) {
        let end = world.ended(*transfer, SOON);
        let told = (end.state, end.network_code.as_deref(), end.failure_code.as_deref());
        assert_eq!(told, *expected, "{amount}");
        assert!(end.reference.is_some_and(|reference| reference.len() == 12));
        assert!(up.waiting(*transfer).is_none());
        world.agrees(*transfer);
    }
    let confirmed = &world.outcomes_of(transfers[0])[0];
    assert_eq!(confirmed.state, RailState::Pending, "approved, its funds not released");
    assert_eq!(confirmed.stage.as_deref(), Some("confirmed"));
    let lines = |at: usize| up.exchanges(transfers[at]).join("; ");
    assert_eq!(lines(0), "card>card-host 0100 answered; card-host>card 0110 00");
    assert_eq!(
        lines(1),
        "card>card-host 0100 no answer; card>card-host 0400 answered; card-host>card 0410 00"
    );
    assert_eq!(
        lines(2),
        "card>card-host 0100 no answer; card>card-host 0400 answered; card-host>card 0410 25; \
         card>card-host 0401 answered; card-host>card 0410 25"
    );
    assert!(lines(3).contains("0110 00, when nobody waited for it"), "{}", lines(3));
    up.crash();
}

#[test]
fn money_goes_to_cards_and_is_pulled_from_them() {
    let world = World::new();
    let up = world.up();
    let [push, pull, lost] = [world.transfer(), world.transfer(), world.transfer()];
    up.reserve_by(push, 2_500, PUSH, 1);
    up.reserve_by(pull, 2_600, PULL, 1);
    up.reserve_by(lost, 779_700, PUSH, 1);
    assert_eq!(world.ended(push, SOON).state, RailState::Accepted);
    assert_eq!(world.outcomes_of(push).len(), 1, "money to a card is gone with its approval");
    assert_eq!(world.ended(pull, SOON).state, RailState::Accepted);
    assert_eq!(world.ended(lost, SOON).state, RailState::Rejected);
    let payments = world.outside.block_on(world.sandbox().books()).unwrap();
    let kinds: BTreeSet<&str> = payments.iter().filter_map(|payment| payment.kind).collect();
    assert_eq!(kinds, BTreeSet::from(["pull", "push"]));
    for transfer in [push, pull, lost] {
        world.agrees(transfer);
    }
    up.crash();
}

#[test]
fn while_the_host_refuses_connections_transfers_wait_and_then_complete() {
    let world = World::with(|timings| timings.refuse_for = Duration::from_secs(3));
    let up = world.up();
    let first = world.transfer();
    up.reserve(first, 779_600);
    world.first_word(first);
    // Answered, and then the line goes down for a while.
    std::thread::sleep(Duration::from_millis(200));
    let later: Vec<TransferId> = (0..20).map(|_| world.transfer()).collect();
    for transfer in &later {
        up.reserve(*transfer, 500);
    }
    std::thread::sleep(Duration::from_millis(200));
    let waiting = up.waiting(later[19]).unwrap();
    assert_eq!(waiting.reason, "rail-unavailable");
    assert!(waiting.position.is_some_and(|position| position >= 10), "{waiting:?}");
    for transfer in later.iter().chain([&first]) {
        assert_eq!(world.ended(*transfer, SOON).state, RailState::Accepted);
        world.agrees(*transfer);
    }
    up.crash();
}

#[test]
fn while_the_host_answers_no_payment_the_others_wait_and_then_complete() {
    let world = World::new();
    let config = Config { window: 32, batch: 16, ..world.config() };
    let up = world.up_with(config);
    // Its connection stands, also its echoes are answered; but no payment is.
    world.fault(Wrong::Hang, Limit::For(Duration::from_secs(6)));
    let all: Vec<TransferId> = (0..200).map(|_| world.transfer()).collect();
    for transfer in &all {
        up.reserve(*transfer, 4_200);
    }
    let began = tokio::time::Instant::now();
    while up.waiting(all[199]).is_none_or(|waiting| waiting.reason != "rail-unavailable") {
        assert!(began.elapsed() < Duration::from_secs(5), "the circuit stays closed");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut failed = 0;
    for transfer in &all {
        let end = world.ended(*transfer, Duration::from_secs(40));
        failed += usize::from(end.state == RailState::Rejected);
        world.agrees(*transfer);
    }
    // Those that were sent before the circuit opened: what the window holds, twice at most.
    assert!((16..=64).contains(&failed), "{failed} were sent to a host that does not answer");
    up.crash();
}

#[test]
fn every_fault_ends_as_the_host_has_it() {
    let world = World::with(|timings| timings.late = Duration::from_secs(2));
    let up = world.up();
    for fault in [
        Wrong::Hang,
        Wrong::DropReply,
        Wrong::LateReply,
        Wrong::DuplicateReply,
        Wrong::Garbage,
        Wrong::HalfOpen,
        Wrong::CloseMidMessage,
        Wrong::Slow,
        Wrong::Refuse,
    ] {
        world.fault(fault, Limit::Count(1));
        let transfers: Vec<TransferId> = (0..3).map(|_| world.transfer()).collect();
        for transfer in &transfers {
            up.reserve(*transfer, 4_200);
        }
        for transfer in &transfers {
            world.ended(*transfer, Duration::from_secs(40));
            world.agrees(*transfer);
        }
        // Whatever it was, the next one goes through.
        let after = world.transfer();
        up.reserve(after, 4_200);
        let end = world.ended(after, Duration::from_secs(40));
        assert_eq!(end.state, RailState::Accepted, "{fault:?}");
        world.agrees(after);
    }
    up.crash();
}

#[test]
fn a_reversal_that_the_host_forgot_is_found_by_its_settlement_file_and_repeated() {
    let world = World::new();
    let settlements = Some(world.sandbox().card_settlements.clone());
    let up = world.up_with(Config { settlements, ..world.config() });
    let [paid, lost] = [world.transfer(), world.transfer()];
    world.fault(Wrong::ForgetReversals, Limit::Count(1));
    up.reserve(paid, 4_200);
    // Approved and booked; the answer is lost, and then the reversal forgotten.
    up.reserve(lost, 779_700);
    assert_eq!(world.ended(paid, SOON).state, RailState::Accepted);
    assert_eq!(world.ended(lost, SOON).state, RailState::Rejected);
    let theirs = world.books()[&lost.to_string()].0;
    assert!(in_force(theirs), "failed, yet paid: {theirs:?}");
    let began = tokio::time::Instant::now();
    while in_force(world.books()[&lost.to_string()].0) {
        assert!(began.elapsed() < SOON, "nobody takes it back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let why = "the host has in force what has failed: it is taken back";
    assert_eq!(up.apart(), [(why.to_owned(), format!("{}-0", lost.0.simple()))]);
    let told = world.outcomes_of(lost);
    assert!(told.iter().all(|outcome| outcome.state == RailState::Rejected), "{told:?}");
    // The host has it in its books before its answer is here.
    let taken_back = "card>card-host 0401 answered; card-host>card 0410 00";
    loop {
        let lines = up.exchanges(lost).join("; ");
        if lines.ends_with(taken_back) {
            break;
        }
        assert!(began.elapsed() < SOON, "{lines}");
        std::thread::sleep(Duration::from_millis(20));
    }
    up.crash();
}

/// A folder of settlement files that the test writes, from what the sandbox's host has settled.
struct Files {
    folder: tempfile::TempDir,
    lines: Vec<String>,
}

impl Files {
    /// So many payments, made on a platform that matches nothing, once the host has settled them.
    fn made(world: &World, count: usize) -> Self {
        let up = world.up();
        let all: Vec<TransferId> = (0..count).map(|_| world.transfer()).collect();
        for transfer in &all {
            up.reserve(*transfer, 4_200);
        }
        for transfer in &all {
            assert_eq!(world.ended(*transfer, Duration::from_secs(30)).state, RailState::Accepted);
        }
        let files = Self::of(world, count);
        up.crash();
        files
    }
    /// All payments of a world, once the host has settled so many.
    fn of(world: &World, count: usize) -> Self {
        let began = tokio::time::Instant::now();
        loop {
            let mut names: Vec<_> = std::fs::read_dir(&world.sandbox().card_settlements)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|end| end == "csv"))
                .collect();
            names.sort();
            let texts = names.iter().map(|name| std::fs::read_to_string(name).unwrap());
            let all: String = texts.collect();
            let settled = all.lines().filter(|line| line.starts_with('D'));
            let lines: Vec<String> = settled.map(str::to_owned).collect();
            if lines.len() >= count {
                return Self { folder: tempfile::tempdir().unwrap(), lines };
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{} of {count}", lines.len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    fn text(lines: &[String]) -> String {
        let sum: i64 =
            lines.iter().map(|line| line.split(',').nth(6).unwrap().parse::<i64>().unwrap()).sum();
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let head = "H,1,1970-01-01T00:00:00.000Z,2100-01-01T00:00:00.000Z";
        format!("{head}\n{body}T,{},{sum},0,0\n", lines.len())
    }
    fn put(&self, name: &str, text: &str) {
        let part = self.folder.path().join("part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(part, self.folder.path().join(name)).unwrap();
    }
}

#[test]
fn a_file_with_one_in_a_hundred_wrong_sets_exactly_those_apart() {
    let world = World::new();
    let files = Files::made(&world, 1_200);
    let mut lines = files.lines.clone();
    lines.sort();
    // Four of each kind: not there, another amount, another trace number, of nobody, twice.
    lines.drain(..4);
    for line in &mut lines[..4] {
        *line = line.replace(",4200,", ",4201,");
    }
    for line in &mut lines[4..8] {
        let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        fields[2] = format!("{:06}", (fields[2].parse::<u32>().unwrap() + 7) % 1_000_000);
        *line = fields.join(",");
    }
    for number in 0..4 {
        let named = format!("{number:032x}-0");
        lines
            .push(format!("D,R0000000000{number},000001,1124153336,NOBODY01,000000,9,840,{named}"));
    }
    let twice: Vec<String> = lines[100..104].to_vec();
    lines.extend(twice);
    files.put("day.csv", &Files::text(&lines));
    let settlements = Some(files.folder.path().to_owned());
    let up = world.up_with(Config { settlements: settlements.clone(), ..world.config() });
    up.until_files(1);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (why, _) in up.apart() {
        *counts.entry(why).or_default() += 1;
    }
    let expected = [
        ("another amount or currency than ours", 4),
        ("it is about another message than ours", 4),
        ("it was settled before", 4),
        ("no payment of ours has this reference", 4),
        // Four that are not there, and four whose line is about another message.
        ("paid by the host's answer, and in no settlement file", 8),
    ];
    assert_eq!(counts, expected.map(|(why, count)| (why.to_owned(), count)).into());
    // The same bytes under another name, the same time with other bytes, half a file, and after a
    // crash all of them again: nothing more.
    files.put("again.csv", &Files::text(&lines));
    files.put("other.csv", &Files::text(&lines[..10]));
    let half = Files::text(&lines);
    files.put("half.csv", &half[..half.len() / 2]);
    up.until_files(3);
    up.crash();
    let up = world.up_with(Config { settlements, ..world.config() });
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(up.files(), [(1_204, true), (0, true), (0, true)], "two are set aside");
    assert_eq!(up.apart().len(), 24);
    up.crash();
}

#[test]
fn a_crash_in_the_middle_of_a_file_goes_on_where_it_was() {
    let world = World::new();
    let files = Files::made(&world, 3_000);
    let settlements = Some(files.folder.path().to_owned());
    files.put("day.csv", &Files::text(&files.lines));
    // Killed again and again, each time a little later.
    let mut parts = BTreeSet::new();
    for millis in 1..200 {
        let config = Config { settlements: settlements.clone(), ..world.config() };
        let up = world.up_with(config);
        std::thread::sleep(Duration::from_millis(millis));
        up.crash();
        let up = world.up();
        let files = up.files();
        up.crash();
        parts.extend(files.iter().map(|(applied, _)| *applied));
        if files == [(3_000, true)] {
            break;
        }
    }
    assert!(parts.len() > 1, "it was never killed in the middle: {parts:?}");
    let up = world.up();
    assert_eq!(up.files(), [(3_000, true)]);
    assert_eq!(up.apart(), []);
    up.crash();
}

#[test]
fn a_crash_before_the_claim_sends_later() {
    let world = World::new();
    world.away.store(true, Ordering::SeqCst);
    let up = world.up();
    let transfer = world.transfer();
    up.reserve(transfer, 900);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(up.waiting(transfer).unwrap().reason, "queued");
    up.crash();
    assert!(world.books().is_empty());
    world.away.store(false, Ordering::SeqCst);
    let up = world.up();
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
    up.crash();
}

#[test]
fn a_crash_after_the_claim_is_reversed_and_never_sent_again() {
    let world = World::new();
    // Both have arrived and are not answered when we die: one is approved there, one is not.
    for amount in [779_700, 779_701] {
        let config = Config { answer_within: Duration::from_secs(30), ..world.config() };
        let up = world.up_with(config);
        let transfer = world.transfer();
        up.reserve(transfer, amount);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(up.waiting(transfer).unwrap().reason, "awaiting-answer");
        up.cancel(transfer);
        up.crash();
        let up = world.up();
        let end = world.ended(transfer, SOON);
        assert_eq!(end.state, RailState::Rejected);
        assert_eq!(end.failure_code.as_deref(), Some("issuer-not-available"));
        let sent = up.exchanges(transfer);
        assert!(!sent.iter().any(|line| line.contains(" 0100 ")), "{sent:?}");
        world.agrees(transfer);
        up.crash();
    }
}

#[test]
fn a_reversal_outlives_a_crash_with_its_number() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    // The host goes silent as the reversal begins: it is stored, sent, and not answered.
    up.reserve(transfer, 779_700);
    std::thread::sleep(Duration::from_millis(500));
    world.fault(Wrong::Hang, Limit::Count(2));
    std::thread::sleep(Duration::from_millis(1_000));
    up.crash();
    let up = world.up();
    assert_eq!(world.ended(transfer, SOON).state, RailState::Rejected);
    let lines = up.exchanges(transfer).join("; ");
    assert!(lines.contains("0401 answered"), "a repeat: {lines}");
    world.agrees(transfer);
    up.crash();
}

#[test]
fn a_payment_that_is_confirmed_is_released_after_a_crash() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    up.reserve(transfer, 900);
    world.first_word(transfer);
    assert_eq!(up.waiting(transfer).unwrap().reason, "awaiting-settlement");
    up.crash();
    let up = world.up();
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
    up.crash();
}

#[test]
fn crashes_under_load_lose_nothing_and_double_nothing() {
    let world = World::new();
    let mut all = Vec::new();
    let mut up = world.up();
    for round in 0..5u64 {
        let transfers: Vec<TransferId> = (0..150).map(|_| world.transfer()).collect();
        for transfer in &transfers {
            up.reserve(*transfer, 1_500);
        }
        all.extend(transfers);
        std::thread::sleep(Duration::from_millis(3 * round));
        up.crash();
        up = world.up();
    }
    everything_agrees(&world, &all);
    up.crash();
}

/// Waits for every end, and compares what was told with what is in force at the host.
fn everything_agrees(world: &World, all: &[TransferId]) {
    let began = tokio::time::Instant::now();
    let is_final = |outcome: &&RailOutcome| outcome.state != RailState::Pending;
    while world.outcomes.lock().iter().filter(is_final).count() < all.len() {
        assert!(began.elapsed() < Duration::from_secs(120), "some are stuck");
        std::thread::sleep(Duration::from_millis(20));
    }
    let books = world.books();
    let paid = books.iter().filter(|(_, (state, _))| in_force(*state)).map(|(id, _)| id.clone());
    let paid: BTreeSet<String> = paid.collect();
    let outcomes = world.outcomes.lock();
    let ends: Vec<&RailOutcome> = outcomes.iter().filter(is_final).collect();
    let ended: BTreeSet<TransferId> = ends.iter().map(|outcome| outcome.transfer_id).collect();
    assert_eq!((ends.len(), ended.len()), (all.len(), all.len()), "each has one end");
    let told = ends.iter().filter(|outcome| outcome.state == RailState::Accepted);
    let told: BTreeSet<String> = told.map(|outcome| outcome.transfer_id.to_string()).collect();
    assert_eq!(paid, told);
    assert!(told.len() > all.len() / 2, "most were paid");
}

#[test]
fn a_cancel_wins_before_the_claim_and_loses_after() {
    let world = World::new();
    world.away.store(true, Ordering::SeqCst);
    let up = world.up();
    let [queued, early, late] = [world.transfer(), world.transfer(), world.transfer()];
    up.reserve(queued, 700);
    up.cancel(queued);
    assert_eq!(world.ended(queued, SOON).state, RailState::Canceled);
    up.cancel(early);
    std::thread::sleep(Duration::from_millis(100));
    up.reserve(early, 700);
    assert_eq!(world.ended(early, SOON).state, RailState::Canceled);
    up.cancel(early);
    world.away.store(false, Ordering::SeqCst);
    up.reserve(late, 900);
    world.first_word(late);
    up.cancel(late);
    assert_eq!(world.ended(late, SOON).state, RailState::Accepted);
    for transfer in [queued, early, late] {
        world.agrees(transfer);
    }
    assert_eq!(world.books().len(), 1, "no byte of a cancelled one left");
    up.crash();
}

#[test]
fn a_revoked_method_fails_before_a_byte_is_sent() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    up.reserve_by(transfer, 700, PAYMENT, 2);
    let end = world.ended(transfer, SOON);
    assert_eq!((end.state, end.failure_code.as_deref()), (RailState::Rejected, Some("other")));
    assert!(world.books().is_empty());
    assert!(up.exchanges(transfer).is_empty());
    up.crash();
}

/// Ten thousand authorisations with 2 % of the answers lost, 2 % late and 2 % doubled: nothing is in
/// force for what failed, nothing is missing for what completed.
#[test]
fn ten_thousand_with_answers_lost_late_and_doubled() {
    const COUNT: usize = 10_000;
    let world = World::new();
    let up = world.up_with(Config { window: 64, ..world.config() });
    let transfers: Vec<TransferId> = (0..COUNT).map(|_| world.transfer()).collect();
    world.fault(Wrong::DuplicateReply, Limit::Count(200));
    let began = tokio::time::Instant::now();
    up.runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for part in transfers.chunks(COUNT / 64 + 1) {
            let (platform, part) = (up.running.platform.clone(), part.to_vec());
            tasks.spawn(async move {
                for (transfer, number) in part.into_iter().zip(0..) {
                    let amount = match number % 50 {
                        7 => 779_700,
                        31 => 779_702,
                        _ => 4_200,
                    };
                    let event = reserved(transfer, amount, PAYMENT, 1);
                    platform.commit(Reserve(event)).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
    everything_agrees(&world, &transfers);
    let rate = COUNT as f64 / began.elapsed().as_secs_f64();
    println!("card: {rate:.0} authorisations/s from reservation to release, with 6 % of trouble");
    up.crash();
}

/// A world whose rail is on PostgreSQL, in a fresh schema.
fn on_postgresql(schema: &str) -> Option<World> {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: card on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return None;
    };
    let mut world = World::new();
    let at = |url: &str| ::store::Location::Postgres(url.to_owned());
    let (store, mut writer) = ::store::Store::open(at(&url), ::store::Options::default()).unwrap();
    let schema = format!("{schema}_{}", std::process::id());
    let mut tx = writer.begin().unwrap();
    tx.execute(&Sql::new(format!("CREATE SCHEMA {schema}").leak()), &[]).unwrap();
    tx.commit().unwrap();
    drop((store, writer));
    let separator = if url.contains('?') { '&' } else { '?' };
    world.location = at(&format!("{url}{separator}options=-c%20search_path%3D{schema}"));
    Some(world)
}

#[test]
fn on_postgresql_the_same() {
    let Some(world) = on_postgresql("card_it") else { return };
    let config = || Config { lease: Duration::from_secs(2), ..world.config() };
    let up = world.up_with(config());
    let rows = [
        (900, RailState::Accepted),
        (779_700, RailState::Rejected),
        (779_701, RailState::Rejected),
        (779_702, RailState::Rejected),
        (779_751, RailState::Rejected),
    ];
    let transfers = rows.map(|_| world.transfer());
    for (transfer, (amount, _)) in transfers.iter().zip(rows) {
        up.reserve(*transfer, amount);
        up.reserve(*transfer, amount);
    }
    for (transfer, (amount, expected)) in transfers.iter().zip(rows) {
        assert_eq!(world.ended(*transfer, SOON).state, expected, "{amount}");
        world.agrees(*transfer);
    }
    let lost = world.transfer();
    up.reserve(lost, 779_700);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(up.waiting(lost).unwrap().reason, "awaiting-answer");
    up.crash();
    // The next process waits until the lease of the dead one has run out, then takes it back.
    let up = world.up_with(config());
    assert_eq!(world.ended(lost, SOON).state, RailState::Rejected);
    world.agrees(lost);
    up.crash();
}

/// Between the moment at which the lease ends and its renewal nothing may be written: the connection
/// is closed, and made again once the lease covers it, though it is the same holder's.
#[test]
fn a_lease_that_ran_out_and_is_renewed_connects_again() {
    let Some(world) = on_postgresql("card_lease_it") else { return };
    let lease = Duration::from_secs(2);
    // Echoes make the connection look at its lease.
    let up =
        world.up_with(Config { lease, echo_after: Duration::from_millis(100), ..world.config() });
    let before = world.transfer();
    up.reserve(before, 900);
    assert_eq!(world.ended(before, SOON).state, RailState::Accepted);
    let options = ::store::Options::default();
    let (store, mut writer) = ::store::Store::open(world.location.clone(), options).unwrap();
    let mut tx = writer.begin().unwrap();
    let keep = Sql::new("UPDATE card_lease SET name = name");
    assert_eq!(tx.execute(&keep, &[]).unwrap(), 1);
    // The database stands still for longer than the lease holds.
    std::thread::sleep(lease + lease / 4);
    tx.rollback().unwrap();
    drop((store, writer));
    let after = world.transfer();
    up.reserve(after, 900);
    assert_eq!(world.ended(after, SOON).state, RailState::Accepted);
    world.agrees(after);
    up.crash();
}
