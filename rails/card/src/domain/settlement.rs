//! What the host's settlement files say, against what we know: both have it, ours only, theirs only.

use super::{Instruction, Outcome, RailState, State, Times};

/// What a line says of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// It is in force, and the money moves.
    Settled,
    /// It was settled before, and is taken back.
    TakenBack,
}

/// How a line and an instruction that it names go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fits {
    Whole,
    /// The same message, another amount or currency.
    OtherAmount,
    /// Another message than the last one that was sent.
    OtherMessage,
}

/// What follows from a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Matching {
    /// Both have it; the outcome where it was not told before.
    Matched(Option<Outcome>),
    /// What is under way decides.
    UnderWay,
    /// The host has in force what has failed: it is taken back, and a person is told.
    TakeBack(&'static str),
    /// A person must look.
    Apart(&'static str),
}

impl Instruction {
    /// Applies a line of a settlement file.
    pub fn settle(&mut self, says: Says, fits: Fits, times: Times) -> Matching {
        match (says, fits) {
            (_, Fits::OtherMessage) => Matching::Apart("it is about another message than ours"),
            (_, Fits::OtherAmount) => {
                // Told once: it is not missed as well.
                if self.state == State::Accepted {
                    self.state = State::Unsettled;
                }
                Matching::Apart("another amount or currency than ours")
            }
            (Says::Settled, Fits::Whole) => match self.state {
                State::Settled => Matching::Apart("it was settled before"),
                state if state.is_paid() => Matching::Matched(self.settled()),
                State::Sending | State::Reversing => Matching::UnderWay,
                // The host forgot a reversal that it had acknowledged, or its own refusal.
                State::Rejected => {
                    (self.state, self.due) = (State::Reversing, times.now);
                    Matching::TakeBack("the host has in force what has failed: it is taken back")
                }
                _ => Matching::Apart("what never left is settled"),
            },
            (Says::TakenBack, Fits::Whole) => match self.state {
                State::Rejected => Matching::Matched(None),
                State::Sending | State::Reversing => Matching::UnderWay,
                _ => Matching::Apart("the host took back what is paid, or never left"),
            },
        }
    }
    /// Its money has moved: its funds are released, if they were not.
    fn settled(&mut self) -> Option<Outcome> {
        let told = self.state != State::Confirmed;
        self.state = State::Settled;
        let (code, stage) = (self.code.clone(), "completed");
        (!told).then_some(Outcome { state: RailState::Accepted, code, failure: None, stage })
    }
    /// The files had to have it, and do not; false where nothing is missed.
    pub fn miss(&mut self) -> bool {
        let missed = self.state == State::Accepted;
        if missed {
            self.state = State::Unsettled;
        }
        missed
    }
}
