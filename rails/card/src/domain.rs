//! An instruction's life: what is known of one authorisation, and what follows from news.
//!
//! A message that may have left and was not answered is reversed, and the reversal is repeated until
//! the host says that it is done: only then has the leg failed. An answer that comes after we gave
//! up changes nothing, since the reversal takes back whatever it approved.

use contracts::{
    Amount,
    ids::{AccountId, PaymentMethodId, TransferId},
    rails::{Direction, RailState},
};
use runtime::rules::{self, Rule};

mod settlement;
#[cfg(test)]
mod tests;

pub use settlement::{Fits, Matching, Says};

/// How often a reversal is sent before a person is called; it goes on after that.
pub const REVERSALS_QUIET: i64 = 6;
/// What a leg failed for whose authorisation nobody answered.
pub const UNANSWERED: &str = "issuer-not-available";

/// One leg of one transfer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub transfer: TransferId,
    /// 0 the only or source leg, 1 the destination leg of two, 2 the first one given back.
    pub leg: u8,
}

/// States in the order of life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// In the queue; no byte of it ever left, or provably none of the last attempt.
    Ready,
    /// Claimed: bytes may be on their way.
    Sending,
    /// To be taken back: the host may hold an approval, until it says that it does not.
    Reversing,
    /// Approved and captured; its funds are not released yet.
    Confirmed,
    /// Paid; final.
    Accepted,
    /// Not paid; final.
    Rejected,
    /// Taken back before a byte left; final.
    Canceled,
    /// The request to cancel came before the instruction itself.
    Tombstone,
    /// Paid, and in the host's settlement file; final.
    Settled,
    /// Paid, but the settlement files do not have it as they should: a person asks the host; final.
    Unsettled,
}

impl State {
    const ALL: [Self; 10] = [
        Self::Ready,
        Self::Sending,
        Self::Reversing,
        Self::Confirmed,
        Self::Accepted,
        Self::Rejected,
        Self::Canceled,
        Self::Tombstone,
        Self::Settled,
        Self::Unsettled,
    ];
    /// The number stored; those below 4 are open.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// The state with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
    /// Whether nothing may follow.
    pub fn is_final(self) -> bool {
        self >= Self::Accepted
    }
    /// Whether the host's approval is in force, by all that we know.
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Confirmed | Self::Accepted | Self::Settled | Self::Unsettled)
    }
}

/// An authorisation that we are to ask for, with all that is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    pub key: Key,
    pub state: State,
    /// Machine time: when it was queued.
    pub queued: i64,
    /// Place in the queue, deadline of the answer, or when to reverse (machine time); when the funds
    /// are released (business time); by state.
    pub due: i64,
    /// Claims so far.
    pub attempt: i64,
    /// The lease under which it was last claimed.
    pub epoch: i64,
    /// How often the reversal was sent.
    pub reversals: i64,
    /// Messages recorded.
    pub messages: i64,
    pub direction: Direction,
    pub amount: Amount,
    pub method: PaymentMethodId,
    /// The frozen version of the method.
    pub version: i64,
    /// The account that is paid, or that pays where the money goes out: it names the merchant.
    pub merchant: AccountId,
    /// The rail's number of the last claimed message, from which trace number, terminal and
    /// retrieval reference follow; 0 before.
    pub number: i64,
    /// Business time of the last claim, as the message carries it.
    pub created: i64,
    /// The number of the reversal, the same for its repeats; 0 where there is none.
    pub reversal: i64,
    /// Business time of the reversal, the same for its repeats.
    pub reversed: i64,
    /// The host has said that it knows no such original: once more, and it is believed.
    pub unknown_there: bool,
    /// The host's last code.
    pub code: Option<String>,
    /// W3C trace context of the event that brought it.
    pub trace: Option<[u8; 24]>,
}

/// What the host said to an authorisation, checked against ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// All of it is approved and captured.
    Approved { code: String },
    /// Something else than what was asked for is approved.
    Conditional { code: String },
    /// Not approved.
    Declined { code: String, failure: &'static str },
}

/// News of an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// It cannot be sent: the method was revoked, or the message cannot be written. Before a claim.
    Unsendable { failure: &'static str },
    /// No byte of this attempt left.
    NotSent { attempt: i64 },
    /// This attempt was not answered.
    Silent { attempt: i64 },
    /// The host's word on this attempt; an error where it is not about what we sent.
    Said { attempt: i64, word: Result<Word, ()> },
    /// The reversal cannot be written or sent now, or was not answered.
    NotReversed,
    /// The host's answer to the reversal: done.
    Reversed,
    /// The host's answer to the reversal: it has no such original.
    NotFound,
    /// Another answer to the reversal.
    NoReversal,
}

/// What the others are to hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub state: RailState,
    pub code: Option<String>,
    pub failure: Option<&'static str>,
    /// Moov's name of how far it is.
    pub stage: &'static str,
}

/// What follows from news.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The instruction changed.
    Done { outcome: Option<Outcome>, alarm: Option<&'static str> },
    /// Nothing new.
    AlreadyDone,
    /// It contradicts what is decided: that stays, and a person is told.
    Refused(&'static str),
}

/// Times that decisions need.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Machine time.
    pub now: i64,
    /// Business time at which funds confirmed now are released.
    pub release: i64,
    /// The pause before the second reversal, doubled for each further one; microseconds.
    pub reverse_first: i64,
    /// The longest pause between reversals.
    pub reverse_most: i64,
}

/// What a reservation does with what is there under its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserve {
    /// A new instruction.
    Queue,
    /// It was cancelled before it came.
    Cancel,
    /// A repeat.
    AlreadyDone,
}

/// Decides on a reservation.
pub fn reserve(there: Option<State>) -> Reserve {
    match there {
        None => Reserve::Queue,
        Some(State::Tombstone) => Reserve::Cancel,
        Some(_) => Reserve::AlreadyDone,
    }
}

/// What a request to cancel does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancel {
    /// It came first: the instruction will find it.
    Bury,
    /// It wins.
    Wins,
    /// Claimed or finished: the answer stays with the host.
    Late,
}

/// Decides on a request to cancel.
pub fn cancel(there: Option<State>) -> Cancel {
    match there {
        None => Cancel::Bury,
        Some(State::Ready) => Cancel::Wins,
        Some(_) => Cancel::Late,
    }
}

/// How a claimed message is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Claiming {
    pub epoch: i64,
    /// The rail's number of the message.
    pub number: i64,
    /// Business time.
    pub created: i64,
    /// Machine time by which the answer must be there.
    pub deadline: i64,
}

impl Instruction {
    /// Claims it for sending; false where it is no longer in the queue.
    pub fn claim(&mut self, claiming: Claiming) -> bool {
        if self.state != State::Ready {
            return false;
        }
        self.state = State::Sending;
        self.attempt += 1;
        self.epoch = claiming.epoch;
        (self.number, self.created) = (claiming.number, claiming.created);
        self.due = claiming.deadline;
        true
    }
    /// Claims its reversal, the first time with these numbers; false where none is to be sent.
    pub fn claim_reversal(&mut self, claiming: Claiming) -> bool {
        if self.state != State::Reversing {
            return false;
        }
        if self.reversal == 0 {
            (self.reversal, self.reversed) = (claiming.number, claiming.created);
        }
        self.reversals += 1;
        self.epoch = claiming.epoch;
        self.due = claiming.deadline;
        true
    }
    /// Its funds are released, if they are to be by this business time.
    pub fn release(&mut self, business: i64) -> Option<Outcome> {
        if self.state != State::Confirmed || self.due > business {
            return None;
        }
        self.state = State::Accepted;
        let (code, stage) = (self.code.clone(), "completed");
        Some(Outcome { state: RailState::Accepted, code, failure: None, stage })
    }
    /// Applies news.
    pub fn hear(&mut self, news: &News, times: Times) -> Decision {
        if self.state.is_final() || self.state == State::Confirmed {
            return self.hear_late(news, times);
        }
        match news {
            News::Unsendable { failure } => match self.state {
                State::Ready => self.reject(None, failure),
                _ => Decision::AlreadyDone,
            },
            News::NotSent { attempt } => match self.state {
                State::Sending if *attempt == self.attempt => {
                    (self.state, self.due) = (State::Ready, self.queued);
                    Decision::Done { outcome: None, alarm: None }
                }
                _ => Decision::AlreadyDone,
            },
            News::Silent { attempt } => match self.state {
                State::Sending if *attempt == self.attempt => {
                    if !rules::hold(Rule::UnknownIsNotFailure) {
                        return self.reject(None, UNANSWERED);
                    }
                    self.doubt(times, None)
                }
                _ => Decision::AlreadyDone,
            },
            News::Said { attempt, word } => self.hear_answer(*attempt, word, times),
            News::NotReversed | News::Reversed | News::NotFound | News::NoReversal => {
                match self.state {
                    State::Reversing => self.hear_reversal(news, times),
                    _ => Decision::Refused("an answer to a reversal that was not sent"),
                }
            }
        }
    }
    fn hear_answer(&mut self, attempt: i64, word: &Result<Word, ()>, times: Times) -> Decision {
        match self.state {
            State::Sending if attempt == self.attempt => {}
            // Given up: whatever it approved is being taken back.
            State::Reversing if attempt == self.attempt => return Decision::AlreadyDone,
            _ => return Decision::Refused("an answer to what was not sent"),
        }
        match word {
            Err(()) => self.doubt(times, Some("an answer that is not about what was sent")),
            Ok(Word::Conditional { code }) => {
                self.code = Some(code.clone());
                self.doubt(times, None)
            }
            Ok(Word::Declined { code, failure }) => self.reject(Some(code), failure),
            Ok(Word::Approved { code }) => {
                self.code = Some(code.clone());
                let (state, told, stage) = match self.direction {
                    // Money to a card is gone with its approval.
                    Direction::Out => (State::Accepted, RailState::Accepted, "completed"),
                    Direction::In => (State::Confirmed, RailState::Pending, "confirmed"),
                };
                (self.state, self.due) = (state, times.release);
                let code = self.code.clone();
                let outcome = Outcome { state: told, code, failure: None, stage };
                Decision::Done { outcome: Some(outcome), alarm: None }
            }
        }
    }
    fn hear_reversal(&mut self, news: &News, times: Times) -> Decision {
        let alarm = match news {
            News::Reversed => return self.reject_reversed(),
            // On a connection before this one the original may still be on its way to the host.
            News::NotFound if self.unknown_there => return self.reject_reversed(),
            News::NotFound => {
                self.unknown_there = true;
                None
            }
            News::NoReversal => Some("the host refuses a reversal"),
            _ => None,
        };
        let often = (self.reversals == REVERSALS_QUIET)
            .then_some("a reversal is not answered: a person must ask the host");
        self.due = times.now + self.pause(times);
        Decision::Done { outcome: None, alarm: alarm.or(often) }
    }
    /// The pause before the next reversal, spread by a quarter, so that those which began together
    /// do not go on together.
    fn pause(&self, times: Times) -> i64 {
        let doublings = u32::try_from(self.reversals.clamp(1, 20) - 1).expect("between 0 and 19");
        let pause = times.reverse_first.saturating_mul(1 << doublings).min(times.reverse_most);
        pause + (self.key.transfer.tail() >> 8).rem_euclid(pause / 4 + 1)
    }
    /// Failed for the host's own reason where it gave one, else because it gave no answer.
    fn reject_reversed(&mut self) -> Decision {
        let code = self.code.take();
        let failure = if code.is_some() { "processing-error" } else { UNANSWERED };
        self.reject(code.as_deref(), failure)
    }
    fn doubt(&mut self, times: Times, alarm: Option<&'static str>) -> Decision {
        (self.state, self.due) = (State::Reversing, times.now);
        Decision::Done { outcome: None, alarm }
    }
    fn reject(&mut self, code: Option<&str>, failure: &'static str) -> Decision {
        self.state = State::Rejected;
        self.code = code.map(str::to_owned);
        let (state, code) = (RailState::Rejected, self.code.clone());
        let outcome = Outcome { state, code, failure: Some(failure), stage: "failed" };
        Decision::Done { outcome: Some(outcome), alarm: None }
    }
    fn hear_late(&mut self, news: &News, times: Times) -> Decision {
        let paid = self.state.is_paid();
        match news {
            // It came to the host after the host had said that it had none: taken back again.
            News::Said { word: Ok(Word::Approved { .. } | Word::Conditional { .. }), .. }
                if self.unknown_there =>
            {
                self.doubt(times, Some("an approval of what the host did not have"))
            }
            News::Said { word: Ok(Word::Approved { .. }), .. } if paid => Decision::AlreadyDone,
            News::Said { word: Ok(Word::Declined { .. }), .. } if !paid => Decision::AlreadyDone,
            // Its reversal was acknowledged, which the host will honour: kept, never revived.
            News::Said { .. } if self.reversal > 0 => {
                Decision::Refused("an answer after the reversal was acknowledged")
            }
            News::Said { .. } => Decision::Refused("the host contradicts its first word"),
            News::Reversed if paid => Decision::Refused("the host reversed what is paid"),
            _ => Decision::AlreadyDone,
        }
    }
}
