//! The platform around the rail: a ledger, transfers and payment-methods that are played, a bank, and
//! what outlives a crash.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use ach::{ClientKey, Config};
use axum::{
    body::Body,
    http::{Request, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    Amount, Currency, Refusal,
    accounts::{AccountCreated, KeyCreated},
    exchanges::Exchanges,
    ids::{AccountId, CancellationId, KeyId, PaymentMethodId, TransferId},
    ledger::LedgerReserved,
    payment_methods::{
        CorrectBankAccount, CorrectBankAccountRequest, Nothing, Reveal, Revealed, RevealedMethod,
    },
    rails::{
        AchCutOff, AchException, AchFile, Direction, GetAchWaiting, Rail, RailOutcome, RailState,
    },
    transfers::{TransferCancelRequested, Waiting},
};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use runtime::{
    Answer, Answered, Ask, Clock, Command, Commit, Delivered, Fault, Handle, Running, Service,
    Settings, Tier, Work,
};
use sandbox::{Fault as Wrong, Limit, Pace, Payment, Sandbox, State, Timings};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

type Outcomes = Arc<Mutex<Vec<RailOutcome>>>;

/// Plays the ledger: reserves on command, hears outcomes.
struct Ledger(Outcomes);
struct Reserve(Vec<LedgerReserved>);
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
        for event in batch.iter().flat_map(|reserve| &reserve.0) {
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

/// Plays accounts: makes an operator's key.
struct Accounts;
struct Register;
impl Command for Register {
    const SERVICE: &'static str = "accounts";
    const NAME: &'static str = "register";
    type Done = ();
}
impl Commit<Register> for Accounts {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Register],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        let account_id = AccountId::from_parts(4096, 0xaa);
        let created = AccountCreated {
            account_id,
            facilitator_id: account_id,
            display_name: "Platform".to_owned(),
            email: None,
            foreign_id: None,
        };
        work.emit(account_id.row(), 0, &created);
        let created = KeyCreated {
            key_id: KeyId(account_id.0),
            account_id,
            hash: Sha256::digest(OPERATOR).to_vec(),
            scopes: vec!["operator".to_owned()],
        };
        work.emit(account_id.row(), 0, &created);
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}
const OPERATOR: &str = "operator:secret";

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
                rail: Some(Rail::Ach),
                destination_rail: None,
            };
            work.emit(transfer.row(), work.shard_of(transfer.bucket()), &event);
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

/// Plays payment-methods: opens every method whose version is 1, and after a claim every one.
struct Methods(Arc<Bank>);
/// What of it a test changes.
#[derive(Default)]
pub struct Bank {
    pub away: AtomicBool,
    /// Added to the account numbers: a correction.
    pub shift: AtomicI64,
    pub asked: AtomicI64,
    /// Notices of change, as they came.
    pub notices: Mutex<Vec<CorrectBankAccountRequest>>,
    /// What becomes of the next notices, in their order; all others are taken.
    pub answers: Mutex<Vec<Notice>>,
}
impl Bank {
    fn next(&self) -> Option<Notice> {
        let mut answers = self.answers.lock();
        (!answers.is_empty()).then(|| answers.remove(0))
    }
}
/// What becomes of a notice.
pub enum Notice {
    Refused(contracts::Code),
    /// It is taken, and the answer never comes.
    Silent,
}
impl Answer<CorrectBankAccount> for Methods {
    async fn answer(
        &self,
        ask: Ask<CorrectBankAccount>,
    ) -> Result<Answered<CorrectBankAccount>, Refusal> {
        self.0.notices.lock().push(ask.body);
        match self.0.next() {
            Some(Notice::Refused(code)) => Err(Refusal::new(code, "as the test wants it")),
            Some(Notice::Silent) => std::future::pending().await,
            None => Ok(Answered::ok(&Nothing {})),
        }
    }
}
impl Answer<Reveal> for Methods {
    async fn answer(&self, ask: Ask<Reveal>) -> Result<Answered<Reveal>, Refusal> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        if self.0.away.load(Ordering::SeqCst) {
            return Err(Refusal::new(contracts::Code::Unavailable, "away"));
        }
        let shift = self.0.shift.load(Ordering::SeqCst);
        let methods = ask.query.methods.split(',').filter_map(|named| {
            let (id, version) = named.split_once(':')?;
            let id: PaymentMethodId = id.parse().ok()?;
            let business = id.0.as_bytes()[14] % 2 == 1;
            let account = 100_200_300 + i64::from(id.0.as_bytes()[14]) + shift;
            Some(RevealedMethod {
                payment_method_id: id,
                version: version.parse().ok()?,
                revoked: version == "2",
                payment_method_type: kind(id).to_owned(),
                holder_name: if business { "Ærø Bäckerei GmbH" } else { "Jules Jackson" }
                    .to_owned(),
                holder_type: if business { "business" } else { "individual" }.to_owned(),
                routing_number: if business { "021000021" } else { "011401533" }.to_owned(),
                account_number: account.to_string(),
                bank_account_type: "checking".to_owned(),
                card: None,
            })
        });
        Ok(Answered::ok(&Revealed { methods: methods.collect() }))
    }
}

/// Methods by the last byte of their id.
pub const CREDIT: i64 = 0x71;
pub const SAME_DAY: i64 = 0x72;
pub const DEBIT: i64 = 0x73;
/// The same of a business.
pub const BUSINESS: i64 = 0x100;

fn kind(id: PaymentMethodId) -> &'static str {
    match id.0.as_bytes()[15] {
        0x71 => "ach-credit-standard",
        0x72 => "ach-credit-same-day",
        _ => "ach-debit-fund",
    }
}

/// What outlives a crash of the platform.
pub struct World {
    pub dir: tempfile::TempDir,
    pub location: ::store::Location,
    pub outcomes: Outcomes,
    pub methods: Arc<Bank>,
    outside: tokio::runtime::Runtime,
    pub sandbox: Option<Sandbox>,
    pub clock: Clock,
    began: i64,
    next: AtomicI64,
}

/// A running platform on a runtime of its own.
pub struct Up {
    runtime: tokio::runtime::Runtime,
    pub running: Running,
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub fn key() -> ClientKey {
    ClientKey::new(&[7; 32])
}

impl World {
    pub fn new() -> Self {
        Self::with(Clock::system(), |_| {})
    }
    pub fn with(clock: Clock, change: impl FnOnce(&mut Timings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut timings = Timings::of(Pace::Fast);
        // 9600
        timings.refuse_for = Duration::from_secs(3);
        change(&mut timings);
        let business = clock.clone();
        let config = sandbox::Config {
            dir: dir.path().to_owned(),
            rtp_listen: "127.0.0.1:0".parse().unwrap(),
            card_listen: "127.0.0.1:0".parse().unwrap(),
            callback_url: None,
            ach_listen: "127.0.0.1:0".parse().unwrap(),
            ach_client_key: Some(key().public()),
            ach_host_seed: [3; 32],
            keep_wire: false,
            clock: Arc::new(move || business.now().0),
            timings,
        };
        let outside = runtime();
        let sandbox = outside.block_on(Sandbox::start(config)).unwrap();
        Self {
            location: ::store::Location::Directory(dir.path().join("data")),
            dir,
            outcomes: Arc::default(),
            methods: Arc::default(),
            outside,
            sandbox: Some(sandbox),
            began: clock.now().millis(),
            clock,
            next: AtomicI64::new(0),
        }
    }
    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }
    pub fn fault(&self, fault: Wrong, limit: Limit) {
        self.sandbox().fault(sandbox::Rail::Ach, fault, limit).unwrap();
    }
    pub fn config(&self) -> Config {
        let sandbox = self.sandbox();
        let bank = sandbox.ach_address.unwrap().to_string();
        Config::sandbox(bank, sandbox.ach_host_key.clone(), key())
    }
    pub fn up(&self) -> Up {
        self.up_with(self.config())
    }
    pub fn up_with(&self, config: Config) -> Up {
        let (location, options) = (self.location.clone(), ::store::Options::default());
        let (store, mut writer) = ::store::Store::open(location, options).unwrap();
        let ledger = Arc::new(Ledger(Arc::clone(&self.outcomes)));
        let services = vec![
            Service::new("accounts", Tier::Service, Arc::new(Accounts))
                .commits::<Register>()
                .emits::<AccountCreated>()
                .emits::<KeyCreated>()
                .wire(),
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
                Arc::new(Methods(Arc::clone(&self.methods))),
            )
            .answers::<Reveal>()
            .answers::<CorrectBankAccount>()
            .wire(),
            ach::service(config).unwrap().wire(),
        ];
        writer.migrate(&runtime::migrations(&services)).unwrap();
        let settings = Settings {
            shards: 1,
            waiting_most: 4_096,
            sandbox: true,
            directory: None,
            clock: self.clock.clone(),
        };
        let runtime = runtime();
        let entered = runtime.enter();
        let running = runtime::start(store, writer, services, settings).unwrap();
        drop(entered);
        runtime.block_on(running.platform.commit(Register)).unwrap();
        Up { runtime, running }
    }
    pub fn transfer(&self) -> TransferId {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let tail = i64::MIN | (number.wrapping_mul(0x9e37_79b9_7f4a) & 0x3fff_ffff_ffff_ff00);
        TransferId::from_parts((self.began << 12) + number, tail | (number & 0xff))
    }
    pub fn outcomes_of(&self, transfer: TransferId) -> Vec<RailOutcome> {
        let outcomes = self.outcomes.lock();
        outcomes.iter().filter(|outcome| outcome.transfer_id == transfer).cloned().collect()
    }
    /// The outcomes of a transfer, once one of this stage is among them.
    pub fn until(&self, transfer: TransferId, stage: &str) -> Vec<RailOutcome> {
        let began = tokio::time::Instant::now();
        loop {
            let told = self.outcomes_of(transfer);
            if told.iter().any(|outcome| outcome.stage.as_deref() == Some(stage)) {
                return told;
            }
            assert!(began.elapsed() < SOON, "{transfer} is not {stage}: {told:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    /// The bank's payments by transfer; panics where it has one twice.
    pub fn books(&self) -> BTreeMap<String, Payment> {
        let payments = self.outside.block_on(self.sandbox().books()).unwrap();
        let mut books = BTreeMap::new();
        for payment in payments.into_iter().filter(|payment| payment.rail == "ach") {
            let transfer = payment.transfer_id.clone().unwrap();
            assert!(books.insert(transfer.clone(), payment).is_none(), "{transfer} is paid twice");
        }
        books
    }
    /// What we tell of a transfer and what the bank has agree.
    pub fn agrees(&self, transfer: TransferId) {
        let told = self.outcomes_of(transfer);
        let last = told.last().unwrap();
        let there = self.books().get(&transfer.to_string()).map(|payment| payment.state);
        let paid = there.is_some_and(|state| state != State::Returned);
        assert_eq!(paid, last.state == RailState::Accepted, "{told:?} {there:?}");
    }
    /// A folder of the bank.
    pub fn folder(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("sandbox/ach-root").join(name)
    }
    /// The hash of a file in `/outbound`.
    pub fn hash(&self, name: &str) -> String {
        hash(&std::fs::read(self.folder("outbound").join(name)).unwrap())
    }
    /// The names in `/outbound`.
    pub fn outbound(&self) -> Vec<String> {
        names(&self.folder("outbound"))
    }
}

pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until something is so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !so() {
        assert!(began.elapsed() < SOON, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn names(folder: &std::path::Path) -> Vec<String> {
    let read = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        read.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

impl Up {
    pub fn reserve(&self, transfer: TransferId, amount: i64, method: i64) {
        self.reserve_all(vec![reserved(transfer, amount, method, 1)]);
    }
    pub fn reserve_all(&self, events: Vec<LedgerReserved>) {
        self.runtime.block_on(self.running.platform.commit(Reserve(events))).unwrap();
    }
    /// Asks as an operator; the status where it is no 200.
    pub fn operate<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<T, u16> {
        let asked = || {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(OPERATOR)));
            let request = request.body(Body::from(body.to_owned())).unwrap();
            self.runtime.block_on(async {
                let response = self.running.public.clone().oneshot(request).await.unwrap();
                let status = response.status().as_u16();
                (status, response.into_body().collect().await.unwrap().to_bytes())
            })
        };
        let (mut status, mut bytes) = asked();
        // The key becomes known a moment after its event.
        for _ in 0..500 {
            if status != 401 {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
            (status, bytes) = asked();
        }
        if status == 200 { Ok(serde_json::from_slice(&bytes).unwrap()) } else { Err(status) }
    }
    pub fn files(&self) -> Vec<AchFile> {
        self.operate("GET", "/operations/ach/files", "").unwrap()
    }
    pub fn exceptions(&self) -> Vec<AchException> {
        self.operate("GET", "/operations/ach/exceptions", "").unwrap()
    }
    /// Makes the cut-off of what is collected, once that is so many entries.
    pub fn cut_off(&self, entries: u64) {
        let began = tokio::time::Instant::now();
        let mut gone = 0;
        while gone < entries {
            let cut: AchCutOff = self.operate("POST", "/operations/ach/cutoff", "").unwrap();
            gone += cut.entries;
            assert!(began.elapsed() < SOON, "{gone} of {entries}");
        }
    }
    pub fn cancel(&self, transfer: TransferId) {
        self.runtime.block_on(self.running.platform.commit(AskToCancel(transfer))).unwrap();
    }
    pub fn waiting(&self, transfer: TransferId) -> Option<Waiting> {
        let path = format!("/internal/ach/waiting?transfer={transfer}");
        let asked = self.running.platform.call::<GetAchWaiting>("transfers", &path);
        self.runtime.block_on(asked).ok().map(|called| called.reply)
    }
    /// Why a transfer waits, once the rail has it.
    pub fn waits(&self, transfer: TransferId) -> Waiting {
        let began = tokio::time::Instant::now();
        loop {
            if let Some(waiting) = self.waiting(transfer) {
                return waiting;
            }
            assert!(began.elapsed() < SOON, "{transfer} does not wait");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    pub fn exchanges(&self, transfer: TransferId) -> Vec<String> {
        let path = format!("/internal/ach/exchanges?transfer={transfer}&events=");
        let fetched = self.running.platform.fetch("ach", &path);
        let (body, _) = self.runtime.block_on(fetched).unwrap();
        let part: Exchanges = serde_json::from_slice(&body).unwrap();
        let line = |e: contracts::exchanges::Exchange| {
            format!("{}>{} {} {}", e.from, e.to, e.name, e.outcome.unwrap())
        };
        part.exchanges.into_iter().map(line).collect()
    }
    /// Every task dies where it stands; what the writer had been given is written, nothing more.
    pub fn crash(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        // The last holder of a PostgreSQL connection may not be dropped inside tokio.
        let platform = self.running.platform.clone();
        runtime().block_on(self.running.stop());
        drop(platform);
    }
    pub fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut ::store::Tx<'_>) -> ::store::Result<T> + Send + 'static,
    ) -> T {
        self.runtime.block_on(self.running.platform.read(read)).unwrap()
    }
}

pub fn reserved(transfer_id: TransferId, amount: i64, method: i64, version: i64) -> LedgerReserved {
    LedgerReserved {
        transfer_id,
        leg: 0,
        rail: Rail::Ach,
        amount: Amount::new(amount, Currency::USD),
        payment_method_id: PaymentMethodId::from_parts(4096, method),
        version,
        source_account_id: AccountId::from_parts(4096, 0x55),
        direction: if method & 0xff == DEBIT { Direction::In } else { Direction::Out },
        destination_account_id: Some(AccountId::from_parts(4096, 0x56)),
        purpose: None,
    }
}

pub const SOON: Duration = Duration::from_secs(15);
