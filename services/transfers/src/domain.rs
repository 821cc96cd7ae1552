//! A transfer's nouns, and its status as a monotone lattice over what ledger and rails say.
//!
//! Ledger and rail speak on topics of their own, whose order to each other nobody promises. So a
//! status is a function of the facts known, not of the order in which they came: money that the
//! ledger released means `failed` or `canceled` only together with the rail's word that says which.

mod refunds;
mod trail;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use contracts::{
    Timestamp,
    ids::{PaymentMethodId, TransferId, default_wallet},
    ledger::{PostedState, RefusedReason, Undone},
    rails::{Rail, RailOutcome, RailState},
    transfers::{Party, TransferStatus},
};

pub use refunds::{Given, NoRefund, refund, taken};
pub use trail::{Mark, Trail};

/// The payment methods that a transfer can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum MethodType {
    #[n(0)]
    MoovWallet,
    #[n(1)]
    RtpCredit,
    #[n(2)]
    AchDebitFund,
    #[n(3)]
    AchDebitCollect,
    #[n(4)]
    AchCreditStandard,
    #[n(5)]
    AchCreditSameDay,
    #[n(6)]
    CardPayment,
    #[n(7)]
    PullFromCard,
    #[n(8)]
    PushToCard,
}

impl MethodType {
    const ALL: [Self; 9] = [
        Self::MoovWallet,
        Self::RtpCredit,
        Self::AchDebitFund,
        Self::AchDebitCollect,
        Self::AchCreditStandard,
        Self::AchCreditSameDay,
        Self::CardPayment,
        Self::PullFromCard,
        Self::PushToCard,
    ];
    /// Moov's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MoovWallet => "moov-wallet",
            Self::RtpCredit => "rtp-credit",
            Self::AchDebitFund => "ach-debit-fund",
            Self::AchDebitCollect => "ach-debit-collect",
            Self::AchCreditStandard => "ach-credit-standard",
            Self::AchCreditSameDay => "ach-credit-same-day",
            Self::CardPayment => "card-payment",
            Self::PullFromCard => "pull-from-card",
            Self::PushToCard => "push-to-card",
        }
    }
    /// The type with Moov's name, where a transfer can use it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
    /// Whether money may come from it.
    pub fn is_source(self) -> bool {
        use MethodType::{AchDebitCollect, AchDebitFund, CardPayment, MoovWallet, PullFromCard};
        matches!(self, MoovWallet | AchDebitFund | AchDebitCollect | CardPayment | PullFromCard)
    }
    /// Whether money may go to it.
    pub fn is_destination(self) -> bool {
        self == Self::MoovWallet || !self.is_source()
    }
    /// The rail that moves it; none between wallets.
    pub fn rail(self) -> Option<Rail> {
        match self {
            Self::MoovWallet => None,
            Self::RtpCredit => Some(Rail::Rtp),
            Self::AchDebitFund
            | Self::AchDebitCollect
            | Self::AchCreditStandard
            | Self::AchCreditSameDay => Some(Rail::Ach),
            Self::CardPayment | Self::PullFromCard | Self::PushToCard => Some(Rail::Card),
        }
    }
}

/// Whether money can go from a method of one type to one of another, where each may be on its side.
pub fn may_pay(source: MethodType, destination: MethodType) -> Result<(), &'static str> {
    match (source.rail(), destination.rail()) {
        (Some(Rail::Card), Some(Rail::Card)) => Err("a card does not pay a card"),
        _ => Ok(()),
    }
}

/// One side of a transfer, frozen when it was accepted.
#[derive(Clone, PartialEq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct Side {
    #[n(0)]
    pub party: Party,
    #[n(1)]
    pub method: PaymentMethodId,
    #[n(2)]
    pub kind: MethodType,
}

/// Both sides.
#[derive(Clone, PartialEq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct Parties {
    #[n(0)]
    pub source: Side,
    #[n(1)]
    pub destination: Side,
}

impl Parties {
    /// The bucket of the home: the source wallet, or the destination's where the source is outside, or
    /// the default wallet of the source's owner where both are.
    pub fn bucket(&self) -> u8 {
        let wallet = self.source.party.wallet_id().or(self.destination.party.wallet_id());
        wallet.unwrap_or_else(|| default_wallet(self.source.party.account_id())).bucket()
    }
    /// Which sides are outside.
    pub fn legs(&self) -> Legs {
        match (self.source.party.rail(), self.destination.party.rail()) {
            (None, None) => Legs::None,
            (Some(_), None) => Legs::One(End::Source),
            (None, Some(_)) => Legs::One(End::Destination),
            (Some(_), Some(_)) => Legs::Two,
        }
    }
    /// The rail of the first leg, if any.
    pub fn rail(&self) -> Option<Rail> {
        self.source.party.rail().or(self.destination.party.rail())
    }
}

/// Which end of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Source,
    Destination,
}

/// The legs that a transfer has on rails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Legs {
    /// Between wallets.
    None,
    /// One, at this end.
    One(End),
    /// In from the source, then out to the destination.
    Two,
}

/// What a caller may add to a transfer.
#[derive(Clone, PartialEq, Debug, Default, minicbor::Encode, minicbor::Decode)]
pub struct Extra {
    #[n(0)]
    pub description: Option<String>,
    #[n(1)]
    pub metadata: Option<BTreeMap<String, String>>,
    #[n(2)]
    pub foreign_id: Option<String>,
    /// What no caller adds: the transfer that this one refunds.
    #[n(3)]
    pub refund_of: Option<TransferId>,
}

impl Extra {
    /// That of a refund of this transfer.
    pub fn refund(of: TransferId) -> Self {
        Self { refund_of: Some(of), ..Self::default() }
    }
}

/// Why a transfer failed, with Moov's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Failure {
    #[n(0)]
    SourcePaymentError,
    #[n(1)]
    DestinationPaymentError,
    #[n(2)]
    WalletInsufficientFunds,
    #[n(3)]
    ProcessingError,
}

impl Failure {
    /// Moov's `failureReason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SourcePaymentError => "source-payment-error",
            Self::DestinationPaymentError => "destination-payment-error",
            Self::WalletInsufficientFunds => "wallet-insufficient-funds",
            Self::ProcessingError => "processing-error",
        }
    }
}

/// What is remembered beside the status; most wallet transfers have none of it.
#[derive(Clone, PartialEq, Debug, Default, minicbor::Encode, minicbor::Decode)]
pub struct Detail {
    #[n(0)]
    pub failure: Option<Failure>,
    /// The rail's last word.
    #[n(1)]
    pub rail: Option<RailWord>,
    /// The ledger gave the held money back.
    #[n(2)]
    pub released: bool,
    /// A cancellation waits for the transfer's end.
    #[n(3)]
    pub canceling: bool,
    /// Something contradicted what was final: a person has to look.
    #[n(4)]
    pub alarm: bool,
    /// The stages that the rail named, in order, each with its time: [`STAGES_MOST`] at most.
    #[n(5)]
    #[cbor(default)]
    pub stages: Vec<Stage>,
    /// The rail's last word on the second leg.
    #[n(6)]
    pub second: Option<Box<RailWord>>,
    /// The first leg is being given back, or was: what its rail said of that.
    #[n(7)]
    pub back: Option<Box<RailWord>>,
    /// The books closed the way back; false where its rail did not take it.
    #[n(8)]
    pub gave_back: Option<bool>,
}

/// Stages that are remembered of one transfer; a rail has half a dozen.
const STAGES_MOST: usize = 16;

/// A stage of a rail and when we heard of it.
#[derive(Clone, PartialEq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct Stage {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub at: i64,
    #[n(2)]
    #[cbor(default)]
    pub leg: u8,
}

/// A rail's word on a transfer.
#[derive(Clone, PartialEq, Debug, minicbor::Encode, minicbor::Decode)]
pub struct RailWord {
    #[n(0)]
    pub rail: Rail,
    #[n(1)]
    pub state: RailState,
    #[n(2)]
    pub network_code: Option<String>,
    #[n(3)]
    pub failure_code: Option<String>,
    #[n(4)]
    pub reference: Option<String>,
    /// How far it is, in the rail's own words.
    #[n(5)]
    pub stage: Option<String>,
    /// What the network's code means.
    #[n(6)]
    pub reason: Option<String>,
}

impl From<&RailOutcome> for RailWord {
    fn from(outcome: &RailOutcome) -> Self {
        Self {
            rail: outcome.rail,
            state: outcome.state,
            network_code: outcome.network_code.clone(),
            failure_code: outcome.failure_code.clone(),
            reference: outcome.reference.clone(),
            stage: outcome.stage.clone(),
            reason: outcome.reason.clone(),
        }
    }
}

/// The part of a transfer that changes.
#[derive(Clone, PartialEq, Debug)]
pub struct Progress {
    pub status: TransferStatus,
    pub completed: Option<Timestamp>,
    pub detail: Detail,
}

impl Progress {
    /// Accepted, nothing else known.
    pub fn created() -> Self {
        Self { status: TransferStatus::Created, completed: None, detail: Detail::default() }
    }
}

/// What ledger or rail says.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    Reserved,
    Refused(RefusedReason),
    /// A leg is final in the books; why, where it gave the first one back.
    Books(u8, PostedState, Option<Undone>),
    /// A rail's word on a leg.
    Rail(u8, RailWord),
}

/// What follows from an input.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// The new state; the status differs from the old one where the change is public.
    Done(Progress),
    /// Known already, or too late to matter.
    AlreadyDone,
    /// It contradicts what is final: nothing moves, a person is told.
    Alarm(&'static str),
}

/// Whether no event can bring about another ending (but that a completed one may be reversed).
pub fn is_final(status: TransferStatus) -> bool {
    use TransferStatus::{Canceled, Completed, Failed, Reversed};
    matches!(status, Completed | Failed | Canceled | Reversed)
}

/// Whether a public status may follow another: the table of invariant V8.
pub fn may_follow(before: TransferStatus, after: TransferStatus) -> bool {
    use TransferStatus::{Canceled, Completed, Created, Failed, Pending, Queued, Reversed};
    match before {
        Created => after != Created,
        Queued => !matches!(after, Created | Queued),
        Pending => matches!(after, Completed | Failed | Canceled | Reversed),
        Completed => after == Reversed,
        Failed | Canceled | Reversed => false,
    }
}

/// The next state of a transfer with these legs.
pub fn decide(state: &Progress, legs: Legs, input: &Input, now: Timestamp) -> Decision {
    let outside = match legs {
        Legs::None => None,
        Legs::One(end) => Some(end),
        Legs::Two => Some(End::Source),
    };
    match input {
        Input::Books(leg, posted, undone) if legs == Legs::Two && (*leg, *posted) != VOIDED => {
            through(state, *leg, *posted, *undone, now)
        }
        Input::Rail(leg, word) if *leg > 0 => other_leg(state, *leg, word, now),
        Input::Reserved => {
            if state.status < TransferStatus::Pending {
                moved(state, TransferStatus::Pending, now)
            } else {
                Decision::AlreadyDone
            }
        }
        Input::Refused(reason) => refused(state, *reason, now),
        Input::Books(_, PostedState::Posted, _) => match state.status {
            TransferStatus::Completed | TransferStatus::Reversed => Decision::AlreadyDone,
            _ => moved(state, TransferStatus::Completed, now),
        },
        Input::Books(_, PostedState::Reversed, _) => match state.status {
            TransferStatus::Reversed => Decision::AlreadyDone,
            _ => moved(state, TransferStatus::Reversed, now),
        },
        Input::Books(_, PostedState::Voided, _) => voided(state, outside, now),
        Input::Rail(_, word) => rail(state, outside, word, now),
    }
}

/// The same state with another status, where that may follow.
fn moved(state: &Progress, status: TransferStatus, now: Timestamp) -> Decision {
    if !may_follow(state.status, status) {
        return Decision::Alarm("a final status was contradicted");
    }
    let mut next = state.clone();
    next.status = status;
    if status == TransferStatus::Completed {
        next.completed = Some(now);
    }
    Decision::Done(next)
}

fn refused(state: &Progress, reason: RefusedReason, now: Timestamp) -> Decision {
    let (status, failure) = match reason {
        RefusedReason::Canceled => (TransferStatus::Canceled, None),
        RefusedReason::InsufficientFunds => {
            (TransferStatus::Failed, Some(Failure::WalletInsufficientFunds))
        }
        RefusedReason::NoSuchWallet | RefusedReason::Overflow => {
            (TransferStatus::Failed, Some(Failure::ProcessingError))
        }
    };
    if state.status == status {
        return Decision::AlreadyDone;
    }
    with_failure(moved(state, status, now), failure)
}

fn with_failure(decision: Decision, failure: Option<Failure>) -> Decision {
    match decision {
        Decision::Done(mut next) => {
            next.detail.failure = failure;
            Decision::Done(next)
        }
        other => other,
    }
}

fn voided(state: &Progress, outside: Option<End>, now: Timestamp) -> Decision {
    use TransferStatus::{Canceled, Completed, Failed, Reversed};
    match state.status {
        Failed | Canceled => Decision::AlreadyDone,
        Completed | Reversed => Decision::Alarm("money that had moved was released"),
        _ => {
            let mut next = state.clone();
            next.detail.released = true;
            ended(next, outside, now)
        }
    }
}

/// A released transfer ends as the rail said; until the rail's word is here, it goes on waiting.
fn ended(state: Progress, outside: Option<End>, now: Timestamp) -> Decision {
    let word = state.detail.rail.as_ref().map(|word| word.state);
    if !state.detail.released || is_final(state.status) {
        return Decision::Done(state);
    }
    match word {
        Some(RailState::Canceled) => moved(&state, TransferStatus::Canceled, now),
        Some(RailState::Rejected) => {
            let failure = match outside {
                Some(End::Source) => Failure::SourcePaymentError,
                Some(End::Destination) => Failure::DestinationPaymentError,
                None => Failure::ProcessingError,
            };
            with_failure(moved(&state, TransferStatus::Failed, now), Some(failure))
        }
        Some(RailState::Accepted | RailState::Returned) => {
            Decision::Alarm("accepted money was released")
        }
        Some(RailState::Pending) | None => Decision::Done(state),
    }
}

fn rail(state: &Progress, outside: Option<End>, word: &RailWord, now: Timestamp) -> Decision {
    use RailState::{Accepted, Canceled, Pending, Rejected, Returned};
    let known = state.detail.rail.as_ref().map(|word| word.state);
    let unsettled = matches!(state.status, TransferStatus::Failed | TransferStatus::Canceled);
    match (known, word.state) {
        (Some(Accepted | Rejected | Canceled | Returned), Pending) | (Some(Returned), Accepted) => {
            return Decision::AlreadyDone;
        }
        // The same again, unless it says more: an entry that settled, and was corrected.
        (Some(known), new) if known == new && new != Pending => {
            let stage = state.detail.rail.as_ref().and_then(|word| word.stage.as_deref());
            if word.stage.is_none() || word.stage.as_deref() == stage {
                return Decision::AlreadyDone;
            }
        }
        (Some(Accepted | Returned), Canceled)
        | (Some(Rejected), Accepted | Canceled | Returned)
        | (Some(Returned), Rejected) => {
            return Decision::Alarm("the rail contradicts its final word");
        }
        (Some(Canceled), Accepted | Rejected | Returned) => {
            return Decision::Alarm("the rail went on with what it had cancelled");
        }
        (_, Accepted) if unsettled => {
            return Decision::Alarm("the rail accepted what had ended without it");
        }
        // Nothing new, a refusal after acceptance (a return), or the first word of all.
        _ => {}
    }
    let mut next = state.clone();
    if let Some(stage) = &word.stage
        && next.detail.stages.len() < STAGES_MOST
    {
        next.detail.stages.push(Stage { name: stage.clone(), at: now.0, leg: 0 });
    }
    next.detail.rail = Some(word.clone());
    ended(next, outside, now)
}

/// The first leg was released: nothing ever moved.
const VOIDED: (u8, PostedState) = (0, PostedState::Voided);

/// What the books say of a transfer from outside to outside. The second leg completes it; where that
/// fails, the way back ends it, whatever becomes of the money there.
fn through(
    state: &Progress,
    leg: u8,
    posted: PostedState,
    undone: Option<Undone>,
    now: Timestamp,
) -> Decision {
    use TransferStatus::{Canceled, Completed, Failed, Reversed};
    match (leg, posted) {
        (1, PostedState::Posted) => match state.status {
            Completed | Reversed => Decision::AlreadyDone,
            _ => moved(state, Completed, now),
        },
        // The source's bank took its money back.
        (0, PostedState::Reversed) => match state.status {
            Reversed | Failed | Canceled => Decision::AlreadyDone,
            _ => moved(state, Reversed, now),
        },
        (2, PostedState::Posted | PostedState::Voided) if state.detail.gave_back.is_none() => {
            let (status, failure) = match undone {
                Some(Undone::Canceled) => (Canceled, None),
                Some(Undone::Returned) => (Reversed, None),
                Some(Undone::Refused) | None => (Failed, Some(Failure::DestinationPaymentError)),
            };
            let mut next = state.clone();
            next.detail.gave_back = Some(posted == PostedState::Posted);
            match state.status {
                status if is_final(status) && status != Completed => Decision::Done(next),
                _ => with_failure(moved(&next, status, now), failure),
            }
        }
        // Money in transit: the other leg follows, or the way back.
        _ => Decision::AlreadyDone,
    }
}

/// A rail's word on the second leg, or on the way back: shown, and decided by the books.
fn other_leg(state: &Progress, leg: u8, word: &RailWord, now: Timestamp) -> Decision {
    let mut next = state.clone();
    let known = if leg == 1 { &mut next.detail.second } else { &mut next.detail.back };
    if known.as_deref() == Some(word) {
        return Decision::AlreadyDone;
    }
    let is_late = known.as_ref().is_some_and(|known| known.state != RailState::Pending)
        && word.state == RailState::Pending;
    if is_late {
        return Decision::AlreadyDone;
    }
    *known = Some(Box::new(word.clone()));
    if let Some(name) = &word.stage
        && next.detail.stages.len() < STAGES_MOST
    {
        next.detail.stages.push(Stage { name: name.clone(), at: now.0, leg });
    }
    Decision::Done(next)
}
