//! Bank accounts and payment methods: field rules, and what each input comes to. Pure.

use contracts::{
    Code, Currency, Refusal, Timestamp,
    ids::{AccountId, BankAccountId, PaymentMethodId, WalletId, derive},
    payment_methods::{self as contract, BankAccountDetails, MethodWallet, ResolvedMethod},
    rails::{Rail, RailOutcome, RailState},
};

use sealing::Sealed;

pub mod sealing;
#[cfg(test)]
mod tests;

/// Wrong amounts after which the verification has failed (Moov: five tries).
pub const ATTEMPTS_MOST: i64 = 5;
/// Amounts of the sandbox's micro-deposits.
const SANDBOX_DEPOSITS: [i64; 2] = [0, 0];

/// How far the verification of a bank account came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    New,
    /// Micro-deposits are under way.
    Pending,
    Verified,
    VerificationFailed,
    /// A rail refused it for good.
    Errored,
}

impl Status {
    /// The states in order of life.
    pub const ALL: [Self; 5] =
        [Self::New, Self::Pending, Self::Verified, Self::VerificationFailed, Self::Errored];

    /// Moov's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::VerificationFailed => "verificationFailed",
            Self::Errored => "errored",
        }
    }
}

/// A linked bank account.
#[derive(Clone)]
pub struct BankAccount {
    pub id: BankAccountId,
    pub account: AccountId,
    pub fingerprint: [u8; 32],
    pub status: Status,
    pub holder_name: String,
    pub holder_type: String,
    pub bank_account_type: String,
    pub routing_number: String,
    pub last_four: String,
    pub sealed: Sealed,
    /// Wrong micro-deposit amounts so far.
    pub attempts: i64,
    /// When it was disabled; its row stays for the transfers that used it.
    pub disabled: Option<Timestamp>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl BankAccount {
    /// As the API shows it.
    pub fn shown(&self) -> contract::BankAccount {
        let fingerprint = self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        contract::BankAccount {
            bank_account_id: self.id,
            fingerprint,
            status: self.status.text().to_owned(),
            holder_name: self.holder_name.clone(),
            holder_type: self.holder_type.clone(),
            bank_name: bank_name(&self.routing_number).to_owned(),
            bank_account_type: self.bank_account_type.clone(),
            routing_number: self.routing_number.clone(),
            last_four_account_number: self.last_four.clone(),
            updated_on: self.updated,
        }
    }
}

/// What is behind a payment method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Wallet(WalletId),
    /// A bank account by a rail.
    Bank(BankAccountId, Rail),
}

/// A way to pay from or to a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    pub id: PaymentMethodId,
    /// From 1; raised by each change. Only the current one of an enabled method may be revealed.
    pub version: i64,
    pub account: AccountId,
    pub enabled: bool,
    pub source: Source,
    pub currency: Currency,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Method {
    /// The method of a wallet; its id follows from the wallet, so a repeated event makes the same.
    pub fn of_wallet(
        wallet: WalletId,
        account: AccountId,
        currency: Currency,
        now: Timestamp,
    ) -> Self {
        let id = derive(wallet.0, &[b"moov-wallet"], wallet.bucket());
        Self::new(PaymentMethodId(id), account, Source::Wallet(wallet), currency, now)
    }
    /// The methods of a new bank account: those that need no verification.
    pub fn of_bank_account(bank: &BankAccount) -> Vec<Self> {
        if !is_rtp_capable(&bank.routing_number) {
            return Vec::new();
        }
        let id = PaymentMethodId(derive(bank.id.0, &[b"rtp-credit"], bank.id.bucket()));
        let source = Source::Bank(bank.id, Rail::Rtp);
        vec![Self::new(id, bank.account, source, Currency::USD, bank.created)]
    }
    fn new(
        id: PaymentMethodId,
        account: AccountId,
        source: Source,
        currency: Currency,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            version: 1,
            account,
            enabled: true,
            source,
            currency,
            created: now,
            updated: now,
        }
    }
    /// Moov's name of the type.
    pub fn kind(&self) -> &'static str {
        match self.source {
            Source::Wallet(_) => "moov-wallet",
            Source::Bank(_, Rail::Rtp) => "rtp-credit",
            Source::Bank(_, Rail::Ach) => "ach-credit-standard",
            Source::Bank(_, Rail::Card) => "push-to-card",
        }
    }
    /// The bank account behind it.
    pub fn bank_account(&self) -> Option<BankAccountId> {
        match self.source {
            Source::Bank(id, _) => Some(id),
            Source::Wallet(_) => None,
        }
    }
    /// The method as it is once disabled; `None` where it is already.
    pub fn disabled(&self, now: Timestamp) -> Option<Self> {
        let version = self.version.checked_add(1).expect("versions are few");
        let disabled = Self { enabled: false, version, updated: now, ..self.clone() };
        self.enabled.then_some(disabled)
    }
    /// Whether this version may be revealed to a rail.
    pub fn may_reveal(&self, version: i64) -> bool {
        self.enabled && self.version == version
    }
    /// Whether it is of this wallet or bank account, and of this type.
    pub fn fits(&self, source: Option<uuid::Uuid>, kind: Option<&str>) -> bool {
        let own = match self.source {
            Source::Wallet(wallet) => wallet.0,
            Source::Bank(bank, _) => bank.0,
        };
        source.is_none_or(|wanted| wanted == own) && kind.is_none_or(|wanted| wanted == self.kind())
    }
    /// As the API shows it, with its bank account where it has one.
    pub fn shown(&self, bank: Option<&BankAccount>) -> contract::PaymentMethod {
        let wallet = match self.source {
            Source::Wallet(wallet_id) => Some(MethodWallet { wallet_id }),
            Source::Bank(..) => None,
        };
        contract::PaymentMethod {
            payment_method_id: self.id,
            payment_method_type: self.kind().to_owned(),
            wallet,
            bank_account: bank.map(BankAccount::shown),
        }
    }
    /// As a transfer freezes it, or with its bank account as one shows it.
    pub fn resolved(&self, details: Option<&BankAccount>) -> ResolvedMethod {
        let (wallet_id, bank) = match self.source {
            Source::Wallet(wallet) => (Some(wallet), None),
            Source::Bank(bank, rail) => (None, Some((bank, rail))),
        };
        ResolvedMethod {
            payment_method_id: self.id,
            version: self.version,
            payment_method_type: self.kind().to_owned(),
            account_id: self.account,
            enabled: self.enabled,
            rail: bank.map(|(_, rail)| rail),
            wallet_id,
            bank_account_id: bank.map(|(id, _)| id),
            currency: self.currency,
            bank_account: details.map(BankAccount::shown),
        }
    }
}

/// What happens to a bank account after it was linked.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// Its owner takes it out of use.
    Disable,
    /// Its owner asks for micro-deposits; `sandbox` where they are simulated.
    StartDeposits { sandbox: bool },
    /// Its owner names the two amounts seen, in minor units.
    NameDeposits([i64; 2]),
    /// A rail refused a payment for a reason that lies with the account.
    RailRefused,
}

/// What an input comes to.
pub enum Decision {
    Done {
        /// The bank account from now on.
        bank: Box<BankAccount>,
        /// Its payment methods may no longer be used.
        ends_methods: bool,
        /// The status to announce, where it changed.
        announce: Option<&'static str>,
    },
    AlreadyDone,
    Refused(Refusal),
}

/// Decides what an input does to a bank account.
pub fn decide(bank: &BankAccount, input: Input, now: Timestamp) -> Decision {
    let to = |status: Status| Decision::Done {
        bank: Box::new(BankAccount { status, updated: now, ..bank.clone() }),
        ends_methods: status == Status::Errored,
        announce: Some(status.text()),
    };
    let conflict = |what: &str| Decision::Refused(Refusal::new(Code::Conflict, what));
    if bank.disabled.is_some() {
        return match input {
            Input::Disable | Input::RailRefused => Decision::AlreadyDone,
            _ => Decision::Refused(Refusal::not_found("bank account")),
        };
    }
    match (input, bank.status) {
        (Input::Disable, _) => Decision::Done {
            bank: Box::new(BankAccount { disabled: Some(now), updated: now, ..bank.clone() }),
            ends_methods: true,
            announce: Some("disabled"),
        },
        (Input::RailRefused, Status::Errored) => Decision::AlreadyDone,
        (Input::RailRefused, _) => to(Status::Errored),
        (_, Status::Verified) => conflict("the bank account is verified already"),
        (_, Status::VerificationFailed) => conflict("the verification failed for good"),
        (_, Status::Errored) => conflict("a rail refused this bank account for good"),
        (Input::StartDeposits { sandbox: false }, _) => Decision::Refused(Refusal::new(
            Code::Unavailable,
            "no rail that could send micro-deposits is configured",
        )),
        (Input::StartDeposits { .. }, Status::Pending) => Decision::AlreadyDone,
        (Input::StartDeposits { .. }, Status::New) => to(Status::Pending),
        (Input::NameDeposits(_), Status::New) => conflict("no micro-deposits were sent yet"),
        (Input::NameDeposits(amounts), Status::Pending) if amounts == SANDBOX_DEPOSITS => {
            to(Status::Verified)
        }
        (Input::NameDeposits(_), Status::Pending) => wrong_amounts(bank, now),
    }
}

fn wrong_amounts(bank: &BankAccount, now: Timestamp) -> Decision {
    let attempts = bank.attempts.checked_add(1).expect("attempts are few");
    let failed = attempts >= ATTEMPTS_MOST;
    let status = if failed { Status::VerificationFailed } else { Status::Pending };
    Decision::Done {
        bank: Box::new(BankAccount { status, attempts, updated: now, ..bank.clone() }),
        ends_methods: false,
        announce: failed.then(|| status.text()),
    }
}

/// What the caller of a verification hears: its attempt counted, whatever came of it.
pub fn deposits_answer(bank: &BankAccount) -> Result<(), Refusal> {
    match bank.status {
        Status::Verified => Ok(()),
        Status::Pending => {
            let left = ATTEMPTS_MOST - bank.attempts;
            Err(Refusal::field(
                "amounts",
                format!("are not those that were sent; {left} tries left"),
            ))
        }
        _ => Err(Refusal::new(Code::Conflict, "wrong amounts too often: the verification failed")),
    }
}

/// Whether an outcome says that the bank account itself is no good: closed, blocked, unknown, or
/// its holder has died (ISO 20022 external status reasons, as Moov acts on them). A refusal that
/// lies with the participant (`AG01`, `AG03`) does not take the account with it.
pub fn is_hard_refusal(outcome: &RailOutcome) -> bool {
    outcome.state == RailState::Rejected
        && outcome.rail == Rail::Rtp
        && matches!(
            outcome.network_code.as_deref(),
            Some("AC03" | "AC04" | "AC06" | "AC14" | "MD07")
        )
}

/// Nine digits whose weighted sum (ABA: 3, 7, 1) is a multiple of ten; not all zeros.
pub fn is_routing_number(text: &str) -> bool {
    if text.len() != 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) || text == "000000000" {
        return false;
    }
    let weights = [3, 7, 1].into_iter().cycle();
    let sum: u32 = text.bytes().zip(weights).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
    sum.is_multiple_of(10)
}

/// Whether the bank takes part in RTP: every valid number but the one that Moov's documentation
/// names as a bank without it.
pub fn is_rtp_capable(routing_number: &str) -> bool {
    is_routing_number(routing_number) && routing_number != "111326233"
}

/// The bank behind a well-known routing number. We hold no directory: others are not named.
pub fn bank_name(routing_number: &str) -> &'static str {
    match routing_number {
        "021000021" | "071000013" | "322271627" => "JPMorgan Chase Bank",
        "021000089" => "Citibank",
        "026009593" | "121000358" => "Bank of America",
        "121000248" => "Wells Fargo Bank",
        "091000022" => "U.S. Bank",
        "043000096" => "PNC Bank",
        "273976369" => "Veridian Credit Union",
        _ => "Unknown bank",
    }
}

/// The field rules of a bank account; a refusal names each broken one, and no value.
pub fn check_details(details: &BankAccountDetails) -> Result<(), Refusal> {
    let mut refusal = Refusal::new(Code::InvalidField, "some fields break their rules");
    let mut broken = |field: &str, broken: bool, rule: &str| {
        if broken {
            let rules = &mut refusal.fields;
            rules.entry(format!("account.{field}")).or_insert_with(|| rule.to_owned());
        }
    };
    let name = &details.holder_name;
    broken("holderName", name.trim().is_empty(), "must not be empty");
    broken("holderName", name.chars().count() > 64, "has at most 64 characters");
    broken("holderName", name.chars().any(char::is_control), "holds a control character");
    let holder = matches!(details.holder_type.as_str(), "individual" | "business");
    broken("holderType", !holder, "is individual or business");
    let routing = is_routing_number(&details.routing_number);
    broken("routingNumber", !routing, "has nine digits, the last a right check digit");
    let number = &details.account_number;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    broken("accountNumber", !digits || !(4..=17).contains(&number.len()), "has 4 to 17 digits");
    let kind = matches!(
        details.bank_account_type.as_str(),
        "checking" | "savings" | "general-ledger" | "loan"
    );
    broken("bankAccountType", !kind, "is checking, savings, general-ledger or loan");
    if refusal.fields.is_empty() { Ok(()) } else { Err(refusal) }
}
