//! An entry's life: what is known of one payment by ACH, and what follows from news.
//!
//! An entry belongs to one file for ever once it is claimed: it is never put into another, since the
//! bank may have the first. Silence after settlement is what says that it is paid; a return undoes it.

pub mod files;
#[cfg(test)]
mod tests;

use calendar::Kind;
use contracts::{
    Amount,
    ids::{PaymentMethodId, TransferId},
    rails::{Direction, RailState},
};

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
    /// Collected until its cut-off.
    Ready,
    /// In a file whose bytes are fixed; the bank may have it.
    Claimed,
    /// In a file that the bank certainly has.
    Originated,
    /// Settled, and its funds are released; only a return undoes it.
    Accepted,
    /// Not paid; final.
    Rejected,
    /// Taken back before its cut-off; final.
    Canceled,
    /// The request to cancel came before the entry itself.
    Tombstone,
    /// Settled, and brought back later; final.
    Returned,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Claimed,
        Self::Originated,
        Self::Accepted,
        Self::Rejected,
        Self::Canceled,
        Self::Tombstone,
        Self::Returned,
    ];
    /// The number stored; those below 3 are open.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// The state with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
    /// Whether it still waits for something.
    pub fn is_open(self) -> bool {
        self < Self::Accepted
    }
}

/// A payment that we are to make or to collect, with all that is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: Key,
    pub state: State,
    /// Business time at which it was collected: its cut-off is the first after it.
    pub queued: i64,
    /// Business time: the cut-off, then when the funds are released.
    pub due: i64,
    pub direction: Direction,
    pub amount: Amount,
    pub method: PaymentMethodId,
    /// The frozen version of the method.
    pub version: i64,
    /// The file it is in; 0 before.
    pub file: i64,
    /// The batch of that file, from 1.
    pub batch: i64,
    /// The rail's number of the entry, from which the trace number follows; 0 before.
    pub number: i64,
    /// The receiving bank's eight digits.
    pub rdfi: i64,
    /// Messages recorded.
    pub messages: i64,
    /// The network's last code, `R01` or `C01`.
    pub code: Option<String>,
    /// W3C trace context of the event that brought it.
    pub trace: Option<[u8; 24]>,
    /// A micro-deposit.
    pub verifies: bool,
}

/// News of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// It cannot be sent: the method was revoked, or it does not fit into an entry. Before a claim.
    Unsendable { failure: &'static str, why: String },
    /// The bank has its file; the funds are released at this business time.
    Originated { release: i64 },
    /// The bank refused its file as a whole.
    Refused { why: String },
    /// The receiving bank returned it.
    Returned { code: String, failure: &'static str, why: String },
    /// The receiving bank notifies of a change.
    Corrected { code: String, why: String },
}

/// What the others are to hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub state: RailState,
    pub code: Option<String>,
    pub failure: Option<&'static str>,
    /// Moov's name of how far it is.
    pub stage: &'static str,
    /// In words.
    pub reason: Option<String>,
}

/// What follows from news.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The entry changed.
    Done(Outcome),
    /// Nothing new.
    AlreadyDone,
    /// It contradicts what is decided: that stays, and a person is told.
    Refused(&'static str),
}

/// What a reservation does with what is there under its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserve {
    /// A new entry.
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
    /// It came first: the entry will find it.
    Bury,
    /// It wins.
    Wins,
    /// In a file or finished: too late.
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

/// Its place in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub file: i64,
    pub batch: i64,
    pub number: i64,
    pub rdfi: i64,
}

/// What kind of entry a payment by a method of this type is; an error where the type does not take
/// money in this direction.
pub fn kind(direction: Direction, method: &str) -> Result<Kind, String> {
    match (direction, method) {
        (Direction::Out, "ach-credit-same-day") => Ok(Kind::SameDay),
        // What a debit brought goes back to its account as a credit.
        (Direction::Out, "ach-credit-standard" | "ach-debit-collect" | "ach-debit-fund") => {
            Ok(Kind::StandardCredit)
        }
        (Direction::In, "ach-debit-collect" | "ach-debit-fund") => Ok(Kind::StandardDebit),
        (direction, kind) => Err(format!("a {kind} does not take money {direction:?}")),
    }
}

impl Entry {
    /// Puts it into a file; false where it is no longer collected.
    pub fn claim(&mut self, place: Place) -> bool {
        if self.state != State::Ready {
            return false;
        }
        self.state = State::Claimed;
        (self.file, self.batch, self.number) = (place.file, place.batch, place.number);
        self.rdfi = place.rdfi;
        true
    }
    /// Whether the bank may have it, and has not returned it.
    pub fn is_at_bank(&self) -> bool {
        matches!(self.state, State::Claimed | State::Originated | State::Accepted)
    }
    /// Its funds are released, if they are to be by this business time.
    pub fn release(&mut self, business: i64) -> Option<Outcome> {
        if self.state != State::Originated || self.due > business {
            return None;
        }
        self.state = State::Accepted;
        // A notification that came before is told again: the later word replaces the earlier one.
        let code = self.code.clone();
        let change = code.as_deref().and_then(nacha::ChangeCode::parse);
        let reason = change.map(|change| change.title().to_owned());
        Some(Outcome {
            state: RailState::Accepted,
            code,
            failure: None,
            stage: "completed",
            reason,
        })
    }
    /// Applies news.
    pub fn hear(&mut self, news: &News) -> Decision {
        match news {
            News::Unsendable { failure, why } => match self.state {
                State::Ready => self.reject(None, failure, ("failed", why)),
                _ => Decision::AlreadyDone,
            },
            News::Originated { release } => match self.state {
                State::Claimed => {
                    (self.state, self.due) = (State::Originated, *release);
                    let (state, code, reason) = (RailState::Pending, None, None);
                    let stage = "originated";
                    Decision::Done(Outcome { state, code, failure: None, stage, reason })
                }
                // A return may overtake the word that the file arrived.
                State::Originated | State::Accepted | State::Rejected | State::Returned => {
                    Decision::AlreadyDone
                }
                _ => Decision::Refused("the bank has an entry that is in no file"),
            },
            News::Refused { why } => match self.state {
                State::Claimed | State::Originated => {
                    self.reject(None, "processing-error", ("failed", why))
                }
                State::Rejected => Decision::AlreadyDone,
                _ => Decision::Refused("the bank refuses the file of an entry that is settled"),
            },
            News::Returned { code, failure, why } => self.hear_return(code, failure, why),
            News::Corrected { code, why } => self.hear_change(code, why),
        }
    }
    fn hear_return(&mut self, code: &str, failure: &'static str, why: &str) -> Decision {
        match self.state {
            State::Claimed | State::Originated => {
                self.reject(Some(code), failure, ("returned", why))
            }
            State::Accepted => {
                self.state = State::Returned;
                self.code = Some(code.to_owned());
                Decision::Done(Outcome {
                    state: RailState::Returned,
                    code: self.code.clone(),
                    failure: Some(failure),
                    stage: "returned",
                    reason: Some(why.to_owned()),
                })
            }
            State::Rejected | State::Returned => Decision::Refused("a second return"),
            State::Ready | State::Canceled | State::Tombstone => {
                Decision::Refused("a return of what is in no file")
            }
        }
    }
    fn hear_change(&mut self, code: &str, why: &str) -> Decision {
        let state = match self.state {
            State::Claimed | State::Originated => RailState::Pending,
            State::Accepted => RailState::Accepted,
            State::Rejected | State::Returned => {
                return Decision::Refused("a change of what was returned");
            }
            State::Ready | State::Canceled | State::Tombstone => {
                return Decision::Refused("a change of what is in no file");
            }
        };
        if self.code.as_deref() == Some(code) {
            return Decision::AlreadyDone;
        }
        self.code = Some(code.to_owned());
        let (code, reason) = (self.code.clone(), Some(why.to_owned()));
        Decision::Done(Outcome { state, code, failure: None, stage: "corrected", reason })
    }
    fn reject(
        &mut self,
        code: Option<&str>,
        failure: &'static str,
        (stage, why): (&'static str, &str),
    ) -> Decision {
        self.state = State::Rejected;
        self.code = code.map(str::to_owned);
        let (state, code) = (RailState::Rejected, self.code.clone());
        let reason = (!why.is_empty()).then(|| why.to_owned());
        Decision::Done(Outcome { state, code, failure: Some(failure), stage, reason })
    }
}
