//! A platform with the ledger and stand-ins that feed it and listen to it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    Amount, Currency, Event, Refusal,
    accounts::{AccountCreated, CapabilityUpdated, KeyCreated},
    ids::{AccountId, KeyId, PaymentMethodId, TransferId, WalletId, from_parts},
    ledger::{
        LedgerPosted, LedgerRefused, LedgerReserved, PostedState, RefusedReason, WalletCreated,
    },
    rails::{Rail, RailOutcome, RailState},
    transfers::{Party, TransferCancelRequested, TransferCreated},
};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use runtime::{
    Clock, Command, Commit, Delivered, Fault, Handle, Running, Service, Settings, Tier, Work,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Engine, Location, Options, Store, Writer};
use tower::ServiceExt;

pub const USD: Currency = Currency::USD;

/// What the ledger said of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Reserved,
    Posted,
    Voided,
    Reversed,
    Refused(u8),
}

/// Plays accounts, transfers, payment-methods and the rail.
#[derive(Default)]
pub struct Double {
    pub said: Mutex<Vec<(TransferId, Said)>>,
    pub wallets: Mutex<BTreeMap<WalletId, AccountId>>,
}

/// One kind of event as a command of the stand-in that emits it.
pub struct Emit<E>(pub Vec<E>);

macro_rules! emits {
    ($($event:ty, $service:literal, $name:literal, $about:expr;)+) => {$(
        impl Command for Emit<$event> {
            const SERVICE: &'static str = $service;
            const NAME: &'static str = $name;
            type Done = ();
        }
        impl Commit<Emit<$event>> for Double {
            fn commit(
                &self,
                work: &mut Work<'_, '_>,
                batch: &[Emit<$event>],
            ) -> Result<Vec<Result<(), Refusal>>, Fault> {
                for event in batch.iter().flat_map(|emit| &emit.0) {
                    let about: fn(&$event) -> uuid::Uuid = $about;
                    let id = about(event);
                    let shard = work.shard_of(contracts::ids::bucket_of(id));
                    work.emit(contracts::ids::row_of(id), shard, event);
                }
                Ok(batch.iter().map(|_| Ok(())).collect())
            }
        }
    )+};
}
emits! {
    AccountCreated, "accounts", "account", |event| event.account_id.0;
    KeyCreated, "accounts", "key", |event| event.account_id.0;
    CapabilityUpdated, "accounts", "capability", |event| event.account_id.0;
    TransferCreated, "transfers", "created", |event| event.transfer_id.0;
    TransferCancelRequested, "transfers", "cancel", |event| event.transfer_id.0;
    RailOutcome, "rtp", "outcome", |event| event.transfer_id.0;
}

/// Where money is to go.
#[derive(Clone, Copy, Debug)]
pub enum To {
    Wallet(WalletId),
    Bank,
    /// Not to anywhere: from a card into the wallet.
    FromCard,
}

/// Makes transfers as the transfers service would: fresh ids with the bucket of who pays.
pub struct Move(pub Vec<(WalletId, To, i64)>);
impl Command for Move {
    const SERVICE: &'static str = "transfers";
    const NAME: &'static str = "move";
    type Done = Vec<TransferCreated>;
}
impl Commit<Move> for Double {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Move],
    ) -> Result<Vec<Result<Vec<TransferCreated>, Refusal>>, Fault> {
        let mut all = Vec::new();
        for Move(moves) in batch {
            let mut made = Vec::new();
            for (source, to, amount) in moves {
                let id = TransferId(work.fresh(source.bucket()));
                let event = created(id, *source, *to, *amount);
                work.emit(id.row(), work.shard_of(id.bucket()), &event);
                made.push(event);
            }
            all.push(Ok(made));
        }
        Ok(all)
    }
}

pub fn created(id: TransferId, source: WalletId, to: To, amount: i64) -> TransferCreated {
    let account_id = account(1);
    let mine = Party::Wallet { account_id, wallet_id: source };
    let outside = |rail| Party::External {
        account_id,
        payment_method_id: PaymentMethodId(from_parts(77, 77)),
        version: 3,
        rail,
    };
    let (source, destination) = match to {
        To::Wallet(wallet_id) => (mine, Party::Wallet { account_id, wallet_id }),
        To::Bank => (mine, outside(Rail::Rtp)),
        To::FromCard => (outside(Rail::Card), mine),
    };
    TransferCreated {
        transfer_id: id,
        facilitator_id: account_id,
        source,
        destination,
        refund_of: None,
        amount: Amount::new(amount, USD),
        purpose: None,
    }
}

macro_rules! listens {
    ($($event:ty, $said:expr;)+) => {$(
        impl Handle<$event> for Double {
            fn handle(
                &self,
                work: &mut Work<'_, '_>,
                batch: &[Delivered<$event>],
            ) -> Result<(), Fault> {
                let _ = work;
                let said: fn(&$event) -> Said = $said;
                let new = batch.iter().map(|e| (e.data.transfer_id, said(&e.data)));
                self.said.lock().extend(new);
                Ok(())
            }
        }
    )+};
}
listens! {
    LedgerReserved, |_| Said::Reserved;
    LedgerRefused, |event| Said::Refused(event.reason as u8);
    LedgerPosted, |event| match event.state {
        PostedState::Posted => Said::Posted,
        PostedState::Voided => Said::Voided,
        PostedState::Reversed => Said::Reversed,
    };
}

impl Handle<WalletCreated> for Double {
    fn handle(
        &self,
        _: &mut Work<'_, '_>,
        batch: &[Delivered<WalletCreated>],
    ) -> Result<(), Fault> {
        let new = batch.iter().map(|event| (event.data.wallet_id, event.data.account_id));
        self.wallets.lock().extend(new);
        Ok(())
    }
}

pub const NO_FUNDS: Said = Said::Refused(RefusedReason::InsufficientFunds as u8);
pub const NO_WALLET: Said = Said::Refused(RefusedReason::NoSuchWallet as u8);
pub const OVERFLOW: Said = Said::Refused(RefusedReason::Overflow as u8);

pub fn account(number: i64) -> AccountId {
    AccountId(from_parts(number, number))
}

/// A place to keep data: a directory, or a schema of its own.
pub struct Bed {
    location: Location,
    shards: u32,
    _directory: Option<tempfile::TempDir>,
}

impl Bed {
    pub fn new(engine: Engine, shards: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let location = match engine {
            Engine::Sqlite => Location::Directory(directory.path().join("data")),
            Engine::Postgres => Location::Postgres(schema()?),
        };
        Some(Self { location, shards, _directory: Some(directory) })
    }
    pub fn open(&self) -> (Store, Writer) {
        Store::open(self.location.clone(), Options::default()).unwrap()
    }
    /// Changes rows behind the platform's back.
    pub fn execute(&self, text: &'static str) -> u64 {
        let (_store, mut writer) = self.open();
        let sql = store::Sql::new(text);
        let mut tx = writer.begin().unwrap();
        let count = tx.execute(&sql, &[]).unwrap();
        tx.commit().unwrap();
        count
    }
    /// What `verify` finds: only invariants with faults.
    pub fn faults(&self) -> BTreeMap<&'static str, Vec<String>> {
        let store = Store::open_read_only(self.location.clone(), Options::default()).unwrap();
        let checked = store.read(ledger::verify).unwrap();
        assert_eq!(checked.len(), 6);
        let bad = checked.into_iter().filter(|checked| !checked.faults.is_empty());
        bad.map(|checked| (checked.invariant, checked.faults)).collect()
    }
}

fn schema() -> Option<String> {
    let Ok(url) = std::env::var("SWITCHYARD_TEST_POSTGRES") else {
        println!("SKIPPED: the ledger on PostgreSQL: SWITCHYARD_TEST_POSTGRES is not set");
        return None;
    };
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("ledger_{}_{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let (_store, mut writer) =
        Store::open(Location::Postgres(url.clone()), Options::default()).unwrap();
    let text: &'static str = Box::leak(format!("CREATE SCHEMA {name}").into_boxed_str());
    let mut tx = writer.begin().unwrap();
    tx.execute(&store::Sql::new(text), &[]).unwrap();
    tx.commit().unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}options=-c%20search_path%3D{name}"))
}

/// A running platform. Everything on it is asked from outside tokio: PostgreSQL's driver has a
/// runtime of its own.
pub struct Harness {
    pub double: Arc<Double>,
    running: Option<Running>,
    tokio: tokio::runtime::Runtime,
}

impl Harness {
    pub fn start(bed: &Bed) -> Self {
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let tokio = tokio.unwrap();
        let _inside = tokio.enter();
        let (store, mut writer) = bed.open();
        let double = Arc::new(Double::default());
        let accounts = Service::new("accounts", Tier::Service, Arc::clone(&double))
            .commits::<Emit<AccountCreated>>()
            .commits::<Emit<KeyCreated>>()
            .commits::<Emit<CapabilityUpdated>>()
            .wire();
        let methods = Service::new("payment-methods", Tier::Service, Arc::clone(&double))
            .handles::<WalletCreated>()
            .wire();
        let transfers = Service::new("transfers", Tier::Service, Arc::clone(&double))
            .commits::<Move>()
            .commits::<Emit<TransferCreated>>()
            .commits::<Emit<TransferCancelRequested>>()
            .handles::<LedgerReserved>()
            .handles::<LedgerRefused>()
            .handles::<LedgerPosted>()
            .wire();
        let rtp = Service::new("rtp", Tier::Rail, Arc::clone(&double))
            .commits::<Emit<RailOutcome>>()
            .wire();
        let ledger = ledger::service(&store).wire();
        let services = vec![accounts, methods, transfers, ledger, rtp];
        writer.migrate(&runtime::migrations(&services)).unwrap();
        let settings = Settings {
            shards: bed.shards,
            waiting_most: 100_000,
            sandbox: true,
            directory: None,
            clock: Clock::system(),
        };
        let running = runtime::start(store, writer, services, settings).unwrap();
        drop(_inside);
        Self { double, running: Some(running), tokio }
    }
    pub fn commit<C: Command>(&self, command: C) -> C::Done {
        let platform = &self.running.as_ref().unwrap().platform;
        self.tokio.block_on(platform.commit(command)).unwrap()
    }
    pub fn emit<E: Event>(&self, events: Vec<E>)
    where
        Emit<E>: Command<Done = ()>,
    {
        self.commit(Emit(events));
    }
    /// Makes transfers and waits until the ledger answered each; what it said, in order.
    pub fn make(&self, moves: Vec<(WalletId, To, i64)>) -> Vec<(TransferCreated, Said)> {
        let before = self.double.said.lock().len();
        let made = self.commit(Move(moves));
        self.wait(|| self.double.said.lock().len() >= before + made.len());
        let said: BTreeMap<TransferId, Said> =
            self.double.said.lock()[before..].iter().copied().collect();
        made.into_iter().map(|event| (event.clone(), said[&event.transfer_id])).collect()
    }
    pub fn one(&self, source: WalletId, to: To, amount: i64) -> (TransferCreated, Said) {
        self.make(vec![(source, to, amount)]).remove(0)
    }
    /// The rail's word on a transfer; what the ledger says to it, if it says something.
    pub fn outcome(&self, id: TransferId, state: RailState) -> Option<Said> {
        self.hears(outcome(id, state))
    }
    /// The same of any outcome.
    pub fn hears(&self, outcome: RailOutcome) -> Option<Said> {
        let before = self.double.said.lock().len();
        self.emit(vec![outcome]);
        self.settle();
        self.double.said.lock().get(before).map(|said| said.1)
    }
    /// Waits until consumers are at rest: an account's own wallet event comes after all before it.
    pub fn settle(&self) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Rails' events are consumed one commit later, their answers in that commit: three
        // round trips through the writer are more than enough.
        for _ in 0..3 {
            let number = i64::from(NUMBER.fetch_add(1, Relaxed)) + 1_000_000;
            self.wallet_of(number);
        }
    }
    pub fn wait(&self, until: impl Fn() -> bool) {
        for _ in 0..20_000 {
            if until() {
                return;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        panic!("the ledger did not get there: {:?}", self.dead_letters());
    }
    /// An account with its default wallet.
    pub fn wallet_of(&self, number: i64) -> WalletId {
        let account_id = account(number);
        let created = AccountCreated {
            account_id,
            facilitator_id: account(1),
            display_name: format!("account {number}"),
            email: None,
            foreign_id: None,
        };
        self.emit(vec![created]);
        let capability = "wallet".to_owned();
        self.emit(vec![CapabilityUpdated { account_id, capability, enabled: true }]);
        let find = || {
            let wallets = self.double.wallets.lock();
            wallets.iter().find(|(_, owner)| **owner == account_id).map(|(wallet, _)| *wallet)
        };
        self.wait(|| find().is_some());
        find().unwrap()
    }
    /// The platform account with an operator's key, and so many accounts with a funded wallet.
    pub fn people(&self, count: i64, funds: i64) -> Vec<WalletId> {
        let platform = self.wallet_of(1);
        let hash = Sha256::digest(b"public:secret").to_vec();
        let scopes = vec!["operator".to_owned()];
        let key_id = KeyId(from_parts(1, 1));
        self.emit(vec![KeyCreated { key_id, account_id: account(1), hash, scopes }]);
        let others = (2..=count).map(|number| self.wallet_of(number));
        let wallets: Vec<WalletId> = std::iter::once(platform).chain(others).collect();
        for wallet in &wallets {
            let body = format!(
                r#"{{"walletID":"{wallet}","amount":{{"currency":"USD","value":{funds}}}}}"#
            );
            let (status, text) = self.ask("POST", "/sandbox/fund", &body);
            assert_eq!(status, 200, "{text}");
        }
        wallets
    }
    /// A request with the operator's key.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode("public:secret")))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let router = self.running.as_ref().unwrap().public.clone();
        self.tokio.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
        })
    }
    pub fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
    /// The available balance of a wallet.
    pub fn available(&self, wallet: WalletId) -> i64 {
        let owner = self.double.wallets.lock().get(&wallet).copied();
        let owner = owner.unwrap_or(account(1));
        let wallet = self.get(&format!("/accounts/{owner}/wallets/{wallet}"));
        wallet["availableBalance"]["value"].as_i64().unwrap()
    }
    pub fn dead_letters(&self) -> usize {
        let store = self.running.as_ref().unwrap().platform.store().clone();
        static COUNT: store::Sql = store::Sql::new("SELECT count(*) FROM dead_letter");
        let count = store.read(|tx| tx.query_one(&COUNT, &[], |row| row.int(0))).unwrap();
        usize::try_from(count.unwrap()).unwrap()
    }
    pub fn stop(mut self) {
        let running = self.running.take().unwrap();
        let _inside = self.tokio.enter();
        let platform = running.platform.clone();
        self.tokio.block_on(running.stop());
        drop(platform);
    }
}

pub fn outcome(id: TransferId, state: RailState) -> RailOutcome {
    outcome_of(id, Rail::Rtp, state)
}

pub fn outcome_of(id: TransferId, rail: Rail, state: RailState) -> RailOutcome {
    RailOutcome {
        transfer_id: id,
        leg: 0,
        rail,
        state,
        network_code: None,
        failure_code: None,
        reference: None,
        payment_method_id: None,
        stage: None,
        reason: None,
    }
}

/// One test per engine for each case, with so many shards.
macro_rules! on_both {
    ($($case:ident: $shards:expr;)*) => {
        $(mod $case {
            #[test]
            fn sqlite() {
                let bed = $crate::harness::Bed::new(store::Engine::Sqlite, $shards).unwrap();
                super::$case(&bed);
            }
            #[test]
            fn postgres() {
                if let Some(bed) = $crate::harness::Bed::new(store::Engine::Postgres, $shards) {
                    super::$case(&bed);
                }
            }
        })*
    };
}
pub(crate) use on_both;
