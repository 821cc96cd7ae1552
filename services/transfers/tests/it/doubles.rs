//! The services that transfers meets, as small stand-ins that keep the contracts.
//!
//! accounts emits keys and accounts; payment-methods answers from a table in memory; the ledger
//! holds, posts and voids without books; the rail says what a test tells it to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    Code, Currency, Refusal, Timestamp,
    accounts::{AccountCreated, KeyCreated},
    ids::{AccountId, BankAccountId, KeyId, PaymentMethodId, TransferId, WalletId, from_parts},
    ledger::{LedgerPosted, LedgerRefused, LedgerReserved, PostedState, RefusedReason},
    payment_methods::{
        BankAccount, MicroDepositsInitiated, ResolvePaymentMethods, Resolved, ResolvedMethod,
    },
    rails::{Direction, GetRtpWaiting, Rail, RailOutcome, RailState},
    transfers::{Party, TransferCancelRequested, TransferCreated, Waiting},
};
use parking_lot::Mutex;
use runtime::{
    Answer, Answered, Ask, Command, Commit, Delivered, Fault, Handle, Service, Tier, Work,
};
use sha2::{Digest, Sha256};

/// An amount that the ledger refuses for want of funds.
pub const TOO_MUCH: i64 = 99_999_999;
/// An amount that the ledger leaves as it is.
pub const IGNORED: i64 = 31;

fn id(kind: i64, number: i64) -> uuid::Uuid {
    from_parts(kind << 12 | number, i64::MIN | number << 8 | (number & 0xff))
}
pub fn account(number: i64) -> AccountId {
    AccountId(id(1, number))
}
pub fn wallet(number: i64) -> WalletId {
    WalletId(id(2, number))
}
pub fn method(number: i64) -> PaymentMethodId {
    PaymentMethodId(id(3, number))
}
/// The Basic credentials of an account's key.
pub fn basic(account: AccountId) -> String {
    format!("Basic {}", STANDARD.encode(format!("{account}:secret")))
}

macro_rules! commands {
    ($($name:ident, $state:ty, $service:literal, $event:ty;)+) => {$(
        /// Emits these events as the service that it names would.
        pub struct $name(pub Vec<(i64, u8, $event)>);
        impl Command for $name {
            const SERVICE: &'static str = $service;
            const NAME: &'static str = stringify!($name);
            type Done = ();
        }
        impl Commit<$name> for $state {
            fn commit(
                &self,
                work: &mut Work<'_, '_>,
                batch: &[$name],
            ) -> Result<Vec<Result<(), Refusal>>, Fault> {
                for (key, bucket, event) in batch.iter().flat_map(|command| &command.0) {
                    let shard = work.shard_of(*bucket);
                    work.emit(*key, shard, event);
                }
                Ok(batch.iter().map(|_| Ok(())).collect())
            }
        }
    )+};
}
commands! {
    NewAccounts, Accounts, "accounts", AccountCreated;
    NewKeys, Accounts, "accounts", KeyCreated;
    Book, Ledger, "ledger", LedgerPosted;
    Refuse, Ledger, "ledger", LedgerRefused;
    Say, Rtp, "rtp", RailOutcome;
    Deposit, Methods, "payment-methods", MicroDepositsInitiated;
}

pub struct Accounts;

pub fn accounts() -> Service<Accounts> {
    Service::new("accounts", Tier::Service, Arc::new(Accounts))
        .commits::<NewAccounts>()
        .commits::<NewKeys>()
        .emits::<AccountCreated>()
        .emits::<KeyCreated>()
}

/// An account with a facilitator and a key of its own.
pub fn new_account(number: i64, facilitator: i64, scopes: &[&str]) -> (NewAccounts, NewKeys) {
    let (account_id, facilitator_id) = (account(number), account(facilitator));
    let made = AccountCreated {
        account_id,
        facilitator_id,
        display_name: format!("Account {number}"),
        email: Some(format!("{number}@example.com")),
        foreign_id: None,
    };
    let key = KeyCreated {
        key_id: KeyId(id(9, number)),
        account_id,
        hash: Sha256::digest(format!("{account_id}:secret")).to_vec(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    (NewAccounts(vec![(number, 0, made)]), NewKeys(vec![(number, 0, key)]))
}

/// What a test sets of payment-methods.
#[derive(Default)]
pub struct Methods {
    pub known: Mutex<BTreeMap<PaymentMethodId, ResolvedMethod>>,
    pub asked: AtomicU64,
    /// Answers with a 503 so many times.
    pub failing: AtomicU64,
}

impl Methods {
    pub fn put(&self, number: i64, owner: i64, kind: &str) {
        let is_wallet = kind == "moov-wallet";
        let made = ResolvedMethod {
            payment_method_id: method(number),
            version: 3,
            payment_method_type: kind.to_owned(),
            account_id: account(owner),
            enabled: true,
            rail: match kind {
                "moov-wallet" => None,
                "rtp-credit" => Some(Rail::Rtp),
                _ => Some(Rail::Card),
            },
            wallet_id: is_wallet.then(|| wallet(number)),
            bank_account_id: (!is_wallet).then(|| BankAccountId(id(4, number))),
            currency: Currency::USD,
            bank_account: None,
            card_id: None,
            card: None,
        };
        self.known.lock().insert(method(number), made);
    }
    pub fn change(&self, number: i64, change: impl FnOnce(&mut ResolvedMethod)) {
        change(self.known.lock().get_mut(&method(number)).unwrap());
    }
}

pub fn methods(state: Arc<Methods>) -> Service<Methods> {
    Service::new("payment-methods", Tier::Service, state)
        .answers::<ResolvePaymentMethods>()
        .commits::<Deposit>()
        .emits::<MicroDepositsInitiated>()
}

impl Answer<ResolvePaymentMethods> for Methods {
    async fn answer(
        &self,
        ask: Ask<ResolvePaymentMethods>,
    ) -> Result<Answered<ResolvePaymentMethods>, Refusal> {
        self.asked.fetch_add(1, Relaxed);
        if self.failing.load(Relaxed) > 0 {
            self.failing.fetch_sub(1, Relaxed);
            return Err(Refusal::new(Code::Unavailable, "down"));
        }
        let known = self.known.lock();
        let found = ask.query.ids.split(',').filter_map(|id| known.get(&id.parse().ok()?)).cloned();
        let found = found.map(|mut method| {
            if ask.query.details == Some(true) {
                method.bank_account = method.bank_account_id.map(bank_account);
            }
            method
        });
        Ok(Answered::ok(&Resolved { methods: found.collect() }))
    }
}

fn bank_account(bank_account_id: BankAccountId) -> BankAccount {
    BankAccount {
        bank_account_id,
        fingerprint: "f".to_owned(),
        status: "verified".to_owned(),
        holder_name: "Jules Jackson".to_owned(),
        holder_type: "individual".to_owned(),
        bank_name: "Bank".to_owned(),
        bank_account_type: "checking".to_owned(),
        routing_number: "021000021".to_owned(),
        last_four_account_number: "0002".to_owned(),
        updated_on: Timestamp(0),
        status_reason: None,
        exception_details: None,
    }
}

pub struct Ledger;

pub fn ledger() -> Service<Ledger> {
    Service::new("ledger", Tier::Service, Arc::new(Ledger))
        .commits::<Book>()
        .commits::<Refuse>()
        .handles::<TransferCreated>()
        .handles::<RailOutcome>()
        .emits::<LedgerReserved>()
        .emits::<LedgerRefused>()
        .emits::<LedgerPosted>()
}

impl Handle<TransferCreated> for Ledger {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<TransferCreated>],
    ) -> Result<(), Fault> {
        for Delivered { data, key, .. } in batch {
            let shard = work.shard_of(data.transfer_id.bucket());
            let transfer_id = data.transfer_id;
            match &data.destination {
                _ if data.amount.value == IGNORED => {}
                _ if data.amount.value == TOO_MUCH => {
                    let reason = RefusedReason::InsufficientFunds;
                    work.emit(*key, shard, &LedgerRefused { transfer_id, leg: 0, reason });
                }
                Party::Wallet { .. } => {
                    let state = PostedState::Posted;
                    work.emit(
                        *key,
                        shard,
                        &LedgerPosted { transfer_id, leg: 0, state, undone: None },
                    );
                }
                Party::External { payment_method_id, version, rail, .. } => {
                    let reserved = LedgerReserved {
                        transfer_id,
                        leg: 0,
                        rail: *rail,
                        amount: data.amount,
                        payment_method_id: *payment_method_id,
                        version: *version,
                        source_account_id: data.source.account_id(),
                        direction: Direction::Out,
                        destination_account_id: None,
                        purpose: data.purpose,
                    };
                    work.emit(*key, shard, &reserved);
                }
            }
        }
        Ok(())
    }
}

impl Handle<RailOutcome> for Ledger {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<RailOutcome>],
    ) -> Result<(), Fault> {
        for Delivered { data, key, .. } in batch {
            let state = match data.state {
                RailState::Accepted => PostedState::Posted,
                RailState::Rejected | RailState::Canceled => PostedState::Voided,
                RailState::Returned => PostedState::Reversed,
                RailState::Pending => continue,
            };
            // A test that books by hand marks its outcomes so.
            if data.reference.as_deref() != Some("by hand") {
                let shard = work.shard_of(data.transfer_id.bucket());
                let transfer_id = data.transfer_id;
                work.emit(*key, shard, &LedgerPosted { transfer_id, leg: 0, state, undone: None });
            }
        }
        Ok(())
    }
}

/// The rail: answers a request to cancel at once where `gone` is not set.
pub struct Rtp {
    pub claimed: Arc<std::sync::atomic::AtomicBool>,
}

pub fn rtp(claimed: Arc<std::sync::atomic::AtomicBool>) -> Service<Rtp> {
    Service::new("rtp", Tier::Rail, Arc::new(Rtp { claimed }))
        .commits::<Say>()
        .answers::<GetRtpWaiting>()
        .handles::<TransferCancelRequested>()
        .emits::<RailOutcome>()
}

impl Answer<GetRtpWaiting> for Rtp {
    async fn answer(&self, _: Ask<GetRtpWaiting>) -> Result<Answered<GetRtpWaiting>, Refusal> {
        if self.claimed.load(Relaxed) {
            return Err(Refusal::not_found("waiting transfer"));
        }
        let reason = "queued".to_owned();
        Ok(Answered::ok(&Waiting { reason, position: Some(4), expected_on: None }))
    }
}

pub fn outcome(transfer_id: TransferId, state: RailState, by_hand: bool) -> RailOutcome {
    let (network, failure) = match state {
        RailState::Pending => (Some("ACWP"), None),
        RailState::Accepted => (Some("ACTC"), None),
        RailState::Rejected => (Some("AC04"), Some("account-closed")),
        RailState::Canceled => (None, None),
        RailState::Returned => (Some("R01"), None),
    };
    RailOutcome {
        transfer_id,
        leg: 0,
        rail: Rail::Rtp,
        state,
        network_code: network.map(str::to_owned),
        failure_code: failure.map(str::to_owned),
        reference: by_hand.then(|| "by hand".to_owned()),
        payment_method_id: None,
        stage: None,
        reason: None,
    }
}

impl Handle<TransferCancelRequested> for Rtp {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<TransferCancelRequested>],
    ) -> Result<(), Fault> {
        for Delivered { data, key, .. } in batch {
            if data.rail == Some(Rail::Rtp) && !self.claimed.load(Relaxed) {
                let shard = work.shard_of(data.transfer_id.bucket());
                work.emit(*key, shard, &outcome(data.transfer_id, RailState::Canceled, false));
            }
        }
        Ok(())
    }
}

/// So many rows of a table.
pub fn count(tx: &mut store::Tx<'_>, table: &str) -> i64 {
    let mut select = store::sea_query::Query::select();
    let star = store::sea_query::Expr::cust("COUNT(*)");
    select.expr(star).from(table.to_owned());
    tx.select(&select, |row| row.int(0)).unwrap()[0]
}
