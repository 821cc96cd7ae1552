//! What becomes of held money: how a rail's word resolves a hold, and what follows for other legs.

use contracts::{
    ledger::Undone,
    rails::{Direction, RailState},
};

use super::Movement;

/// What became of a hold, in the order of life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldState {
    Open,
    Posted,
    Voided,
    Canceled,
    /// Posted, and taken back by the rail later.
    Returned,
    /// The second leg, while the first is under way: nothing is held yet.
    Waiting,
    /// The second leg, which never began.
    Dropped,
}

impl HoldState {
    /// The number stored.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// The state with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        let all = [
            Self::Open,
            Self::Posted,
            Self::Voided,
            Self::Canceled,
            Self::Returned,
            Self::Waiting,
            Self::Dropped,
        ];
        all.into_iter().find(|state| state.number() == number)
    }
}

/// What a rail's word does to a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// The hold gets this state by this movement.
    Done(HoldState, Movement),
    /// Nothing is to be done: not final, or said before.
    AlreadyDone,
    /// The rail said the opposite before: an alarm, and nothing.
    Contradiction,
}

/// Decides what a rail's word does to a hold. A hold is resolved once; only what was posted can be
/// returned, once.
pub fn resolve(hold: HoldState, direction: Direction, said: RailState) -> Resolution {
    let [settle, void, back] = match direction {
        Direction::Out => [Movement::Settle, Movement::Void, Movement::Return],
        Direction::In => [Movement::SettleIn, Movement::VoidIn, Movement::ReturnIn],
    };
    let (state, movement) = match said {
        RailState::Pending => return Resolution::AlreadyDone,
        RailState::Accepted => (HoldState::Posted, settle),
        RailState::Rejected => (HoldState::Voided, void),
        RailState::Canceled => (HoldState::Canceled, void),
        RailState::Returned => (HoldState::Returned, back),
    };
    match (hold, state) {
        (HoldState::Open, HoldState::Returned) => Resolution::Contradiction,
        (HoldState::Open, _) | (HoldState::Posted, HoldState::Returned) => {
            Resolution::Done(state, movement)
        }
        (resolved, state) if resolved == state => Resolution::AlreadyDone,
        // A late word of detail about what came back since.
        (HoldState::Returned, HoldState::Posted) => Resolution::AlreadyDone,
        _ => Resolution::Contradiction,
    }
}

/// What follows for the other legs once one leg of a transfer from outside to outside has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    Nothing,
    /// The money is in transit: the second leg begins.
    Begin,
    /// The second leg will not begin any more.
    Drop,
    /// The first leg is given back on its own rail.
    GiveBack,
    /// It goes to the wallet of who paid: its rail took it back already, or does not take it.
    ToWallet,
}

/// Decides what follows from the end of a leg; `first` and `second` are as they are now.
pub fn follow(leg: u8, ended: HoldState, first: HoldState, second: HoldState) -> Follow {
    use HoldState::{Canceled, Dropped, Open, Posted, Returned, Voided, Waiting};
    match (leg, ended) {
        (0, Posted) => match second {
            Waiting => Follow::Begin,
            Dropped => Follow::GiveBack,
            Open | Posted | Voided | Canceled | Returned => Follow::Nothing,
        },
        (0, Voided | Canceled) if second == Waiting => Follow::Drop,
        (1, Voided | Canceled | Returned) if first == Posted => Follow::GiveBack,
        // The first leg's own money came back to its bank, from the wallet of who paid.
        (1, Voided | Canceled | Returned) => Follow::ToWallet,
        (2, Voided | Canceled | Returned) => Follow::ToWallet,
        _ => Follow::Nothing,
    }
}

/// Why the first leg is given back, from how the second one ended.
pub fn undone(second: HoldState) -> Undone {
    match second {
        HoldState::Voided => Undone::Refused,
        HoldState::Returned => Undone::Returned,
        _ => Undone::Canceled,
    }
}
