//! Bank accounts, cards and payment methods: field rules, and what each input comes to. Pure.

use contracts::{
    Code, Refusal, Timestamp,
    ids::{AccountId, BankAccountId},
    payment_methods::{self as contract, BankAccountDetails, CorrectBankAccountRequest},
    rails::{Rail, RailOutcome, RailState},
};

use sealing::{Sealed, SealingKey};

pub mod cards;
mod methods;
pub mod micro_deposits;
mod reason;
pub mod sealing;
#[cfg(test)]
mod tests;

pub use methods::{Behind, Kind, Method, Source};
pub use micro_deposits::{Deposits, outcome as deposit_outcome};
pub use reason::{Exception, Reason};

/// Wrong amounts after which the verification has failed (Moov: five tries).
pub const ATTEMPTS_MOST: i64 = 5;
/// How long the amounts may be named, in business time: 14 days.
const NAMED_WITHIN_MICROS: i64 = 14 * 24 * 60 * 60 * 1_000_000;

/// How this service runs.
pub struct Config {
    /// Cards are those of the test mode.
    pub sandbox: bool,
    /// Which micro-deposits verify a bank account.
    pub deposits: Deposits,
    /// The key that numbers are sealed under, from a file outside the database.
    pub sealing_key: SealingKey,
}

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
    /// Why it has its status; absent where it has had it since before that was noted.
    pub reason: Option<Reason>,
    /// What a rail said, where that is why.
    pub exception: Option<Exception>,
    /// Until when micro-deposits may be named, in business time.
    pub named_until: Option<Timestamp>,
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
            status_reason: self.reason.map(|reason| reason.text().to_owned()),
            exception_details: self.exception.as_ref().map(Exception::shown),
        }
    }
}

/// What happens to a bank account after it was linked.
#[derive(Clone, Debug)]
pub enum Input {
    /// Its owner takes it out of use.
    Disable,
    /// Its owner asks for micro-deposits, of which there are such.
    StartDeposits(Deposits),
    /// Its owner names the two amounts seen, in minor units; those that were sent.
    NameDeposits { named: [i64; 2], sent: [i64; 2] },
    /// Nobody named them in time.
    Expire,
    /// A micro-deposit never left: the ledger refused it, or it was taken back.
    DepositUnsent,
    /// RTP refused a payment for a reason that lies with the account.
    RailRefused(Exception),
    /// The account's bank returned an ACH entry for such a reason, or a micro-deposit for any.
    HardReturn(Reason, Exception),
}

/// What becomes of the payment methods of a bank account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Methods {
    /// They stay as they are.
    Stay,
    /// Those that [`Method::of_bank_account`] says and that are not there yet are added.
    Grow,
    /// None may be used any more.
    End,
}

/// What an input comes to.
pub enum Decision {
    Done {
        /// The bank account from now on.
        bank: Box<BankAccount>,
        /// What that makes of its payment methods.
        methods: Methods,
        /// The status to announce, where it changed.
        announce: Option<&'static str>,
    },
    AlreadyDone,
    Refused(Refusal),
}

/// Decides what an input does to a bank account.
pub fn decide(bank: &BankAccount, input: Input, now: Timestamp) -> Decision {
    let conflict = |what: &str| Decision::Refused(Refusal::new(Code::Conflict, what));
    if bank.disabled.is_some() {
        return match input {
            Input::StartDeposits(_) | Input::NameDeposits { .. } => {
                Decision::Refused(Refusal::not_found("bank account"))
            }
            _ => Decision::AlreadyDone,
        };
    }
    let is_over = bank.named_until.is_some_and(|until| until <= now);
    let expired = || moved(bank, Status::VerificationFailed, Reason::MicroDepositExpired, now);
    match (input, bank.status) {
        (Input::Disable, _) => Decision::Done {
            bank: Box::new(BankAccount { disabled: Some(now), updated: now, ..bank.clone() }),
            methods: Methods::End,
            announce: Some("disabled"),
        },
        (Input::RailRefused(_) | Input::HardReturn(..), Status::Errored) => Decision::AlreadyDone,
        (Input::RailRefused(exception), _) => {
            ended(bank, Status::Errored, (Reason::RtpCreditFailure, exception), now)
        }
        (Input::HardReturn(reason, exception), Status::Verified) => {
            ended(bank, Status::Errored, (reason, exception), now)
        }
        (Input::HardReturn(reason, exception), _) => {
            ended(bank, Status::VerificationFailed, (reason, exception), now)
        }
        (Input::DepositUnsent, Status::Pending) => moved(bank, Status::New, Reason::Other, now),
        (Input::DepositUnsent, _) => Decision::AlreadyDone,
        (Input::Expire, Status::Pending) if is_over => expired(),
        (Input::Expire, _) => Decision::AlreadyDone,
        (_, Status::Verified) => conflict("the bank account is verified already"),
        (_, Status::VerificationFailed) => conflict("the verification failed for good"),
        (_, Status::Errored) => conflict("a rail refused this bank account for good"),
        (Input::StartDeposits(Deposits::Unavailable), _) => Decision::Refused(Refusal::new(
            Code::Unavailable,
            "no rail that could send micro-deposits is configured",
        )),
        (_, Status::Pending) if is_over => expired(),
        (Input::StartDeposits(_), Status::Pending) => Decision::AlreadyDone,
        (Input::StartDeposits(_), Status::New) => {
            let named_until = Some(now.plus_micros(NAMED_WITHIN_MICROS));
            let bank = BankAccount { named_until, ..bank.clone() };
            moved(&bank, Status::Pending, Reason::VerificationInitiated, now)
        }
        (Input::NameDeposits { .. }, Status::New) => conflict("no micro-deposits were sent yet"),
        (Input::NameDeposits { named, sent }, Status::Pending) => {
            if micro_deposits::are_equal(named, sent) {
                moved(bank, Status::Verified, Reason::VerificationSuccessful, now)
            } else {
                wrong_amounts(bank, now)
            }
        }
    }
}

/// It has another status from now on.
fn moved(bank: &BankAccount, status: Status, reason: Reason, now: Timestamp) -> Decision {
    let (reason, exception) = (Some(reason), None);
    let changed = BankAccount { status, reason, exception, updated: now, ..bank.clone() };
    Decision::Done {
        bank: Box::new(changed),
        methods: if status == Status::Verified { Methods::Grow } else { Methods::Stay },
        announce: Some(status.text()),
    }
}

/// A rail ended it.
fn ended(
    bank: &BankAccount,
    status: Status,
    (reason, exception): (Reason, Exception),
    now: Timestamp,
) -> Decision {
    let (reason, exception) = (Some(reason), Some(exception));
    let changed = BankAccount { status, reason, exception, updated: now, ..bank.clone() };
    Decision::Done {
        bank: Box::new(changed),
        methods: Methods::End,
        announce: (status != bank.status).then(|| status.text()),
    }
}

fn wrong_amounts(bank: &BankAccount, now: Timestamp) -> Decision {
    let attempts = bank.attempts.checked_add(1).expect("attempts are few");
    let tried = BankAccount { attempts, updated: now, ..bank.clone() };
    if attempts >= ATTEMPTS_MOST {
        let reason = Reason::MicroDepositAttemptsExceeded;
        return moved(&tried, Status::VerificationFailed, reason, now);
    }
    Decision::Done { bank: Box::new(tried), methods: Methods::Stay, announce: None }
}

/// What the caller of a verification hears: its attempt counted, whatever came of it. Wrong amounts
/// are a conflict, as Moov's SDKs take it.
pub fn deposits_answer(bank: &BankAccount) -> Result<(), Refusal> {
    let conflict = |what: String| Err(Refusal::new(Code::Conflict, what));
    match (bank.status, bank.reason) {
        (Status::Verified, _) => Ok(()),
        (Status::Pending, _) => {
            let left = ATTEMPTS_MOST - bank.attempts;
            conflict(format!("the amounts are not those that were sent; {left} tries left"))
        }
        (_, Some(Reason::MicroDepositExpired)) => {
            conflict("the micro-deposits are too old: the verification failed".to_owned())
        }
        _ => conflict("wrong amounts too often: the verification failed".to_owned()),
    }
}

/// Whether an outcome may say something of an account: the others are most.
pub fn may_tell(outcome: &RailOutcome) -> bool {
    outcome.rail != Rail::Card
        && matches!(outcome.state, RailState::Rejected | RailState::Canceled | RailState::Returned)
}

/// What an outcome says of the bank account itself, where it says that it is no good.
///
/// RTP: closed, blocked, unknown, or its holder has died (ISO 20022 external status reasons, as Moov
/// acts on them); a refusal that lies with the participant (`AG01`, `AG03`) does not take the account
/// with it. ACH: the return codes on which Moov ends an account, in the order of Nacha's table.
/// Some of them (`R05`, `R07`, `R08`, `R10`, `R29`, `R38`, `R39`) can only answer a debit, and end
/// the credits too, as they do at Moov. A return counts whenever it comes: before the money was
/// released the leg is rejected, and later it is returned.
pub fn hard_refusal(outcome: &RailOutcome, by_debit: bool) -> Option<Input> {
    let exception = Exception::of(outcome)?;
    let code = exception.code.as_str();
    match (outcome.rail, outcome.state) {
        (Rail::Rtp, RailState::Rejected) => {
            matches!(code, "AC03" | "AC04" | "AC06" | "AC14" | "MD07")
                .then_some(Input::RailRefused(exception))
        }
        (Rail::Ach, RailState::Rejected | RailState::Returned) => {
            let reason = if by_debit { Reason::AchDebitReturn } else { Reason::AchCreditReturn };
            HARD_RETURNS.contains(&code).then_some(Input::HardReturn(reason, exception))
        }
        _ => None,
    }
}

/// Return codes that lie with the account (Moov's `achReturnCode`).
const HARD_RETURNS: [&str; 20] = [
    "R02", "R03", "R04", "R05", "R07", "R08", "R10", "R11", "R12", "R13", "R14", "R15", "R16",
    "R17", "R20", "R23", "R29", "R34", "R38", "R39",
];

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

/// The rules of a notice of change that need no bank account.
pub fn check_notice(notice: &CorrectBankAccountRequest) -> Result<(), Refusal> {
    let number = notice.change_code.strip_prefix('C').filter(|number| number.len() == 2);
    let number = number.and_then(|number| number.parse::<u8>().ok());
    if !number.is_some_and(|number| (1..=14).contains(&number)) {
        return Err(Refusal::field("changeCode", "is C01 to C14"));
    }
    if !(1..=128).contains(&notice.cause.len()) {
        return Err(Refusal::field("cause", "has 1 to 128 characters"));
    }
    let right = &notice.corrected;
    let given = [
        &right.routing_number,
        &right.account_number,
        &right.bank_account_type,
        &right.holder_name,
    ];
    if given.iter().all(|field| field.is_none()) {
        return Err(Refusal::field("corrected", "corrects nothing"));
    }
    Ok(())
}
