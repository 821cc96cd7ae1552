//! The RTP rail against the sandbox's participant: every row of its table, every fault, crashes at
//! each point, cancellations, revoked methods, strangers' posts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use contracts::{
    Amount, Currency, Refusal,
    ids::{AccountId, CancellationId, PaymentMethodId, TransferId},
    ledger::LedgerReserved,
    payment_methods::{Reveal, Revealed, RevealedMethod},
    rails::{Direction, GetRtpWaiting, Rail, RailOutcome, RailState},
    transfers::TransferCancelRequested,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use parking_lot::Mutex;
use rtp::{Config, Dialect};
use runtime::{
    Answer, Answered, Ask, Clock, Command, Commit, Delivered, Fault, Handle, Running, Service,
    Settings, Tier, Work,
};
use sandbox::{Fault as Wrong, Limit, Pace, Sandbox, State, Timings};
use tower::ServiceExt;

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
                rail: Some(Rail::Rtp),
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
                payment_method_type: "rtp-credit".to_owned(),
                holder_name: "Jules Jackson".to_owned(),
                holder_type: "individual".to_owned(),
                routing_number: "322271627".to_owned(),
                account_number: "0004321567".to_owned(),
                bank_account_type: "checking".to_owned(),
                card: None,
            })
        });
        Ok(Answered::ok(&Revealed { methods: methods.collect() }))
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
        Self::with(|_| {}, None)
    }
    fn with(timings: impl FnOnce(&mut Timings), callback: Option<SocketAddr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = sandbox::Config {
            dir: dir.path().to_owned(),
            rtp_listen: "127.0.0.1:0".parse().unwrap(),
            card_listen: "127.0.0.1:0".parse().unwrap(),
            callback_url: callback.map(|at| format!("http://{at}/rails/rtp/messages")),
            ach_listen: "127.0.0.1:0".parse().unwrap(),
            ach_client_key: None,
            ach_host_seed: [7; 32],
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
        self.sandbox().fault(sandbox::Rail::Rtp, fault, limit).unwrap();
    }
    fn config(&self, dialect: Dialect) -> Config {
        let participant = format!("http://{}/messages", self.sandbox().rtp_address);
        Config {
            answer_within: Duration::from_millis(1_200),
            ..Config::sandbox(participant, dialect)
        }
    }
    fn up(&self) -> Up {
        self.up_with(self.config(Dialect::Tch))
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
            rtp::service(config).unwrap().wire(),
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
    /// The participant's payments by transfer; panics where one is there twice.
    fn books(&self) -> BTreeMap<String, (State, i64)> {
        let payments = self.outside.block_on(self.sandbox().books()).unwrap();
        let mut books = BTreeMap::new();
        for payment in payments {
            let transfer = payment.transfer_id.unwrap();
            let twice = books.insert(transfer, (payment.state, payment.amount));
            assert!(twice.is_none(), "a payment is in the books twice");
        }
        books
    }
    /// What we tell of a transfer and what the participant has agree.
    fn agrees(&self, transfer: TransferId) {
        let end = self.ended(transfer, Duration::ZERO);
        let there = self.books().get(&transfer.to_string()).map(|(state, _)| *state);
        match end.state {
            RailState::Accepted => assert_eq!(there, Some(State::Accepted)),
            _ => assert_ne!(there, Some(State::Accepted), "{end:?}"),
        }
    }
}

impl Up {
    fn reserve(&self, transfer: TransferId, amount: i64) {
        self.reserve_version(transfer, amount, 1);
    }
    fn reserve_version(&self, transfer: TransferId, amount: i64, version: i64) {
        let event = LedgerReserved {
            transfer_id: transfer,
            leg: 0,
            rail: Rail::Rtp,
            amount: Amount::new(amount, Currency::USD),
            payment_method_id: PaymentMethodId::from_parts(4096, 0x77),
            version,
            source_account_id: AccountId::from_parts(4096, 0x55),
            direction: Direction::Out,
            destination_account_id: None,
            purpose: None,
        };
        self.runtime.block_on(self.running.platform.commit(Reserve(event))).unwrap();
    }
    fn cancel(&self, transfer: TransferId) {
        self.runtime.block_on(self.running.platform.commit(AskToCancel(transfer))).unwrap();
    }
    fn waiting(&self, transfer: TransferId) -> Option<contracts::transfers::Waiting> {
        let path = format!("/internal/rtp/waiting?transfer={transfer}");
        let asked = self.running.platform.call::<GetRtpWaiting>("transfers", &path);
        self.runtime.block_on(asked).ok().map(|called| called.reply)
    }
    fn exchanges(&self, transfer: TransferId) -> Vec<String> {
        let path = format!("/internal/rtp/exchanges?transfer={transfer}&events=");
        let fetched = self.running.platform.fetch("rtp", &path);
        let (body, _) = self.runtime.block_on(fetched).unwrap();
        let part: contracts::exchanges::Exchanges = serde_json::from_slice(&body).unwrap();
        let line = |e: contracts::exchanges::Exchange| {
            assert!(e.bytes.unwrap() > 500, "a message has its size");
            format!("{}>{} {} {}", e.from, e.to, e.name, e.outcome.unwrap())
        };
        part.exchanges.into_iter().map(line).collect()
    }
    /// Posts to the public API; the status.
    fn post(&self, path: &str, body: Vec<u8>) -> u16 {
        let request = http::Request::post(path).body(Full::new(Bytes::from(body))).unwrap();
        let router = self.running.public.clone();
        let answered = self.runtime.block_on(router.oneshot(request)).unwrap();
        let status = answered.status().as_u16();
        self.runtime.block_on(answered.into_body().collect()).unwrap();
        status
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

const SOON: Duration = Duration::from_secs(12);

#[test]
fn every_row_of_the_table_ends_as_it_says() {
    for dialect in [Dialect::Tch, Dialect::FedNow] {
        let world = World::new();
        let up = world.up_with(world.config(dialect));
        let rejected = |code, failure| (RailState::Rejected, Some(code), Some(failure));
        let (final_code, never) = match dialect {
            Dialect::Tch => ("ACTC", "NOAT"),
            Dialect::FedNow => ("ACSC", "NOOR"),
        };
        let accepted = (RailState::Accepted, Some(final_code), None);
        let rows = [
            (1_000, accepted),
            (779_500, accepted),
            (779_501, rejected(never, "participant-not-available")),
            (779_502, accepted),
            (779_511, rejected("AC03", "invalid-account")),
            (779_512, rejected("AC04", "account-closed")),
            (779_513, rejected("AC06", "account-blocked")),
            (779_514, rejected("AC14", "invalid-account")),
            (779_515, rejected("AG01", "transaction-not-supported")),
            (779_516, rejected("AG03", "transaction-not-supported")),
            (779_517, rejected("AM02", "limit-exceeded")),
            (779_518, rejected("AM04", "other")),
            (779_519, rejected("AM09", "invalid-amount")),
            (779_520, rejected("BE04", "invalid-field")),
            (779_521, rejected("MD07", "customer-deceased")),
            (12_779_512, rejected("AC04", "account-closed")),
        ];
        let transfers: Vec<TransferId> = rows.iter().map(|_| world.transfer()).collect();
        for (transfer, (amount, _)) in transfers.iter().zip(&rows) {
            up.reserve(*transfer, *amount);
            up.reserve(*transfer, *amount);
        }
        for (transfer, (amount, expected)) in transfers.iter().zip(&rows) {
            let end = world.ended(*transfer, SOON);
            let told = (end.state, end.network_code.as_deref(), end.failure_code.as_deref());
            assert_eq!(told, *expected, "{dialect:?} {amount}");
            assert!(end.reference.is_some_and(|uetr| uetr.len() == 36));
            assert!(up.waiting(*transfer).is_none());
            world.agrees(*transfer);
        }
        let pending = &world.outcomes_of(transfers[3])[0];
        assert_eq!(pending.state, RailState::Pending);
        assert_eq!(pending.network_code.as_deref(), Some("ACWP"));
        let lines = up.exchanges(transfers[0]);
        assert_eq!(
            lines,
            [
                "rtp>rtp-participant pacs.008 answered".to_owned(),
                format!("rtp-participant>rtp pacs.002 {final_code}")
            ]
        );
        let lines = up.exchanges(transfers[1]);
        assert_eq!(
            lines,
            [
                "rtp>rtp-participant pacs.008 no answer in time".to_owned(),
                "rtp>rtp-participant pacs.028 answered".to_owned(),
                format!("rtp-participant>rtp pacs.002 {final_code}")
            ]
        );
        up.crash();
    }
}

#[test]
fn while_connections_are_refused_transfers_wait_and_then_complete() {
    let world = World::with(|timings| timings.refuse_for = Duration::from_secs(3), None);
    let up = world.up();
    let first = world.transfer();
    up.reserve(first, 779_600);
    assert_eq!(world.ended(first, SOON).state, RailState::Accepted);
    std::thread::sleep(Duration::from_millis(100));
    let later: Vec<TransferId> = (0..20).map(|_| world.transfer()).collect();
    for transfer in &later {
        up.reserve(*transfer, 500);
    }
    std::thread::sleep(Duration::from_millis(1_000));
    let waiting = up.waiting(later[19]).unwrap();
    assert_eq!(waiting.reason, "rail-unavailable");
    assert!(waiting.position.is_some_and(|position| position >= 10), "{waiting:?}");
    for transfer in &later {
        assert_eq!(world.ended(*transfer, SOON).state, RailState::Accepted);
        world.agrees(*transfer);
    }
    up.crash();
}

#[test]
fn every_fault_ends_as_the_participant_has_it() {
    let world = World::with(|timings| timings.late = Duration::from_secs(2), None);
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
        let mut ends = Vec::new();
        for transfer in &transfers {
            ends.push(world.ended(*transfer, SOON).state);
            world.agrees(*transfer);
        }
        let lost = ends.iter().filter(|state| **state != RailState::Accepted).count();
        let may_be_lost = matches!(fault, Wrong::Hang | Wrong::HalfOpen | Wrong::Refuse);
        assert!(lost <= usize::from(may_be_lost), "{fault:?}: {ends:?}");
    }
    world.fault(Wrong::Refuse, Limit::For(Duration::from_secs(2)));
    // The kept connections end first: one may take a request as it closes, which is then lost.
    std::thread::sleep(Duration::from_millis(100));
    let transfer = world.transfer();
    up.reserve(transfer, 4_200);
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
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
fn a_crash_between_claim_and_arrival_is_asked_about_and_never_sent_again() {
    let world = World::new();
    // Takes connections into its backlog and never reads: the claim is durable, nothing arrives.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = world.config(Dialect::Tch);
    config.participant = format!("http://{}/messages", deaf.local_addr().unwrap());
    config.answer_within = Duration::from_secs(30);
    let up = world.up_with(config);
    let transfer = world.transfer();
    up.reserve(transfer, 900);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(up.waiting(transfer).unwrap().reason, "awaiting-answer");
    up.cancel(transfer);
    up.crash();
    let up = world.up();
    let end = world.ended(transfer, SOON);
    assert_eq!(end.state, RailState::Rejected);
    assert_eq!(end.failure_code.as_deref(), Some("participant-not-available"));
    assert!(!world.books().contains_key(&transfer.to_string()));
    up.crash();
}

#[test]
fn a_crash_between_arrival_and_record_finds_it_paid_once() {
    let world = World::new();
    world.fault(Wrong::LateReply, Limit::Count(1));
    let mut config = world.config(Dialect::Tch);
    config.answer_within = Duration::from_secs(30);
    let up = world.up_with(config);
    let transfer = world.transfer();
    up.reserve(transfer, 900);
    std::thread::sleep(Duration::from_millis(700));
    assert!(world.books().contains_key(&transfer.to_string()), "it arrived");
    assert!(world.outcomes_of(transfer).is_empty());
    up.crash();
    let up = world.up();
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
    up.crash();
}

/// A backup that is put back knows nothing of what was sent since: the network says that the message
/// is a duplicate, which says nothing of what became of the first.
#[test]
fn data_put_back_from_before_a_payment_finds_it_paid_once() {
    let world = World::new();
    let ::store::Location::Directory(data) = world.location.clone() else {
        panic!("the data is a directory");
    };
    let (transfer, backup) = (world.transfer(), data.with_extension("backup"));
    world.away.store(true, Ordering::SeqCst);
    let up = world.up();
    up.reserve(transfer, 1_700);
    while up.waiting(transfer).is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    up.crash();
    std::fs::create_dir(&backup).unwrap();
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), backup.join(file.file_name())).unwrap();
    }
    world.away.store(false, Ordering::SeqCst);
    let up = world.up();
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    up.crash();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&backup, &data).unwrap();
    world.outcomes.lock().clear();
    let up = world.up();
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
    assert!(
        up.exchanges(transfer).iter().any(|line| line.ends_with("pacs.002 RJCT DUPL")),
        "{:?}",
        up.exchanges(transfer)
    );
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
    for transfer in &all {
        world.ended(*transfer, Duration::from_secs(30));
    }
    let books = world.books();
    let paid: BTreeSet<&String> = books
        .iter()
        .filter(|(_, (state, _))| *state == State::Accepted)
        .map(|(id, _)| id)
        .collect();
    let told: BTreeSet<String> = all
        .iter()
        .filter(|id| world.ended(**id, Duration::ZERO).state == RailState::Accepted)
        .map(ToString::to_string)
        .collect();
    assert_eq!(paid, told.iter().collect());
    assert!(told.len() > all.len() / 2, "most were paid");
    up.crash();
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
    up.reserve(late, 779_502);
    std::thread::sleep(Duration::from_millis(500));
    up.cancel(late);
    assert_eq!(world.ended(late, SOON).state, RailState::Accepted);
    std::thread::sleep(Duration::from_millis(200));
    for transfer in [queued, early, late] {
        world.agrees(transfer);
    }
    assert_eq!(world.books().len(), 1, "no byte of a cancelled one left");
    up.crash();
}

#[test]
fn a_cancel_after_the_first_byte_is_late() {
    let world = World::new();
    world.fault(Wrong::LateReply, Limit::Count(1));
    let up = world.up();
    let transfer = world.transfer();
    up.reserve(transfer, 700);
    let began = tokio::time::Instant::now();
    while world.books().is_empty() {
        assert!(began.elapsed() < SOON, "nothing arrived");
        std::thread::sleep(Duration::from_millis(10));
    }
    up.cancel(transfer);
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
    up.crash();
}

#[test]
fn a_revoked_method_fails_before_a_byte_is_sent() {
    let world = World::new();
    let up = world.up();
    let transfer = world.transfer();
    up.reserve_version(transfer, 700, 2);
    let end = world.ended(transfer, SOON);
    assert_eq!((end.state, end.failure_code.as_deref()), (RailState::Rejected, Some("other")));
    assert!(world.books().is_empty());
    assert!(up.exchanges(transfer).is_empty());
    up.crash();
}

#[test]
fn what_strangers_post_is_never_believed() {
    let world = World::with(|timings| timings.final_after = Duration::from_secs(4), None);
    let up = world.up();
    let transfer = world.transfer();
    up.reserve(transfer, 779_502);
    std::thread::sleep(Duration::from_millis(500));
    let us = rtp::Us::sandbox(Dialect::Tch);
    let forged = |code: &str, amount: i64| forged_report(&us, transfer, code, amount);
    assert_eq!(up.post("/rails/rtp/messages", b"<garbage".to_vec()), 400);
    assert_eq!(up.post("/rails/rtp/messages", forged("RJCT", 779_502)), 202);
    assert_eq!(up.post("/rails/rtp/messages", forged("ACTC", 1)), 202);
    std::thread::sleep(Duration::from_millis(500));
    assert!(world.outcomes_of(transfer).iter().all(|o| o.state == RailState::Pending));
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    assert_eq!(up.post("/rails/rtp/messages", forged("RJCT", 779_502)), 202);
    std::thread::sleep(Duration::from_millis(300));
    world.agrees(transfer);
    assert_eq!(up.post("/rails/rtp/messages", vec![b'x'; 70_000]), 413);
    up.crash();
}

/// A report as somebody would write who knows our transfer and our source code.
fn forged_report(us: &rtp::Us, transfer: TransferId, code: &str, amount: i64) -> Vec<u8> {
    use iso20022::{DateTime, Envelope, Header, Message, Original, Reason, Status};
    let ids = us.payment_ids(transfer, 0);
    let time = DateTime::from_unix_micros(Clock::system().now().0);
    let reason = Reason { code: "AC04".to_owned(), proprietary: false, information: None };
    let report = iso20022::pacs002::StatusReport {
        message_id: "M20261124990000001S1BOTS00000000001".to_owned(),
        created: time.clone(),
        original: Original {
            message_id: ids.message,
            message_name: iso20022::pacs008::NAME.to_owned(),
            created: Some(time.clone()),
            instruction_id: Some(ids.instruction),
            end_to_end_id: None,
            transaction_id: None,
            uetr: Some(ids.uetr),
        },
        status: Status::parse(code),
        reason: (code == "RJCT").then_some(reason),
        accepted: Some(time.clone()),
        instructing_agent: Some("021000021".to_owned()),
        instructed_agent: Some("322271627".to_owned()),
        amount: iso20022::Amount::new(amount, "USD"),
        settlement_date: None,
    };
    let header = Header {
        from: "990000001S1".to_owned(),
        to: "021000021T1".to_owned(),
        message_id: "B20261124990000001S1BOTS00000000001".to_owned(),
        created: time,
        duplicate: false,
    };
    Envelope::from_network(Dialect::Tch, header, Message::StatusReport(report)).write().unwrap()
}

#[test]
fn later_answers_come_to_our_own_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let world = World::with(|_| {}, Some(address));
    let mut config = world.config(Dialect::Tch);
    // Without a post the enquiry would come far too late.
    config.enquire_first = Duration::from_secs(60);
    config.enquire_most = Duration::from_secs(60);
    let up = world.up_with(config);
    let public = up.running.public.clone();
    up.runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(public.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            let served = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
            tokio::spawn(async move { drop(served.await) });
        }
    });
    let transfer = world.transfer();
    up.reserve(transfer, 779_502);
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    world.agrees(transfer);
    let lines = up.exchanges(transfer).join("\n");
    assert!(lines.contains("pacs.002 ACWP") && lines.contains("pacs.002 ACTC"), "{lines}");
    world.fault(Wrong::DuplicateReply, Limit::Count(1));
    let transfer = world.transfer();
    up.reserve(transfer, 900);
    assert_eq!(world.ended(transfer, SOON).state, RailState::Accepted);
    std::thread::sleep(Duration::from_millis(500));
    world.agrees(transfer);
    up.crash();
}

#[test]
fn thousands_a_second() {
    const COUNT: usize = 6_000;
    let world = World::new();
    let up = world.up();
    let transfers: Vec<TransferId> = (0..COUNT).map(|_| world.transfer()).collect();
    let began = tokio::time::Instant::now();
    up.runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for part in transfers.chunks(COUNT / 64 + 1) {
            let (platform, part) = (up.running.platform.clone(), part.to_vec());
            tasks.spawn(async move {
                for transfer_id in part {
                    let event = LedgerReserved {
                        transfer_id,
                        leg: 0,
                        rail: Rail::Rtp,
                        amount: Amount::new(4_200, Currency::USD),
                        payment_method_id: PaymentMethodId::from_parts(4096, 0x77),
                        version: 1,
                        source_account_id: AccountId::from_parts(4096, 0x55),
                        direction: Direction::Out,
                        destination_account_id: None,
                        purpose: None,
                    };
                    platform.commit(Reserve(event)).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
    while world.outcomes.lock().len() < COUNT {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{} of {COUNT}",
            world.outcomes.lock().len()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let rate = COUNT as f64 / began.elapsed().as_secs_f64();
    println!(
        "rtp: {rate:.0} transfers/s from reservation to outcome, participant on the same cores"
    );
    assert!(world.outcomes.lock().iter().all(|outcome| outcome.state == RailState::Accepted));
    assert_eq!(world.books().len(), COUNT);
    up.crash();
}

#[test]
fn on_postgresql_the_same() {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: rtp on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return;
    };
    let mut world = World::new();
    let at = |url: &str| ::store::Location::Postgres(url.to_owned());
    let (store, mut writer) = ::store::Store::open(at(&url), ::store::Options::default()).unwrap();
    let mut tx = writer.begin().unwrap();
    let schema = format!("rtp_it_{}", std::process::id());
    tx.execute(&::store::Sql::new(format!("CREATE SCHEMA {schema}").leak()), &[]).unwrap();
    tx.commit().unwrap();
    drop((store, writer));
    let separator = if url.contains('?') { '&' } else { '?' };
    world.location = at(&format!("{url}{separator}options=-c%20search_path%3D{schema}"));
    let config = || Config { lease: Duration::from_secs(2), ..world.config(Dialect::Tch) };
    let up = world.up_with(config());
    let rows = [
        (900, RailState::Accepted),
        (779_500, RailState::Accepted),
        (779_501, RailState::Rejected),
        (779_502, RailState::Accepted),
        (779_512, RailState::Rejected),
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
    world.fault(Wrong::LateReply, Limit::Count(1));
    let [paid, canceled] = [world.transfer(), world.transfer()];
    up.reserve(paid, 900);
    up.cancel(canceled);
    std::thread::sleep(Duration::from_millis(500));
    up.reserve(canceled, 900);
    assert_eq!(world.ended(canceled, SOON).state, RailState::Canceled);
    assert_eq!(up.waiting(paid).unwrap().reason, "awaiting-answer");
    assert_eq!(up.exchanges(transfers[0]).len(), 2);
    up.crash();
    // The lease of the one that died has to run out first.
    let up = world.up_with(config());
    assert_eq!(world.ended(paid, SOON).state, RailState::Accepted);
    world.agrees(paid);
    up.crash();
}
