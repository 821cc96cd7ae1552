//! An instruction's life: what is known of one payment on the network, and what follows from news.

use contracts::{
    Amount, Timestamp,
    ids::{AccountId, PaymentMethodId, TransferId},
    rails::RailState,
};
use runtime::rules::{self, Rule};

/// How often the network is asked before a person is called.
pub const ASKED_MOST: i64 = 12;

/// One leg of one transfer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub transfer: TransferId,
    /// 0 the only or source leg, 1 the destination leg of two.
    pub leg: u8,
}

/// States in the order of life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// In the queue; no byte of it ever left, or provably none of the last attempt.
    Ready,
    /// Claimed: bytes may be on their way.
    Sending,
    /// The network may or may not have it. Only its word resolves this.
    Unknown,
    /// The network has it and has not decided.
    Pending,
    /// Paid; final.
    Accepted,
    /// Not paid; final.
    Rejected,
    /// Taken back before a byte left; final.
    Canceled,
    /// The request to cancel came before the instruction itself.
    Tombstone,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Ready,
        Self::Sending,
        Self::Unknown,
        Self::Pending,
        Self::Accepted,
        Self::Rejected,
        Self::Canceled,
        Self::Tombstone,
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
}

/// A payment that we are to make, with all that is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    pub key: Key,
    pub state: State,
    /// Machine time: when it was queued.
    pub queued: i64,
    /// Machine time: place in the queue, deadline of the answer, or when to ask, by state.
    pub due: i64,
    /// Claims so far.
    pub attempt: i64,
    /// The lease under which it was last claimed.
    pub epoch: i64,
    /// How often the network was asked about it.
    pub asked: i64,
    /// Messages recorded.
    pub messages: i64,
    pub amount: Amount,
    pub method: PaymentMethodId,
    /// The frozen version of the method.
    pub version: i64,
    pub source: AccountId,
    /// Business time of the last claim, as the message carries it.
    pub created: i64,
    /// Machine time of the last claim.
    pub sent: i64,
    /// Routing number of the receiving bank, known from the first claim on.
    pub receiver: String,
    /// The network's last code.
    pub code: Option<String>,
    /// W3C trace context of the event that brought it.
    pub trace: Option<[u8; 24]>,
}

/// What the network said of a payment, checked against ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// Paid for good.
    Accepted { code: String },
    /// Refused for good.
    Rejected { code: String, failure: &'static str },
    /// There, not decided.
    Pending { code: String },
    /// Never seen (only in answer to an enquiry).
    NeverArrived { code: String },
    /// Refused because it was there before: what became of that one is not said.
    Duplicate,
}

/// News of an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// It cannot be sent: the method was revoked, or the message cannot be written. Before a claim.
    Unsendable { failure: &'static str },
    /// No byte of this attempt left.
    NotSent { attempt: i64 },
    /// This attempt was not answered, or not with a message.
    Silent { attempt: i64 },
    /// An answer that is garbage, of another payment, or of another amount.
    Garbage,
    /// The network's word in answer to the payment itself.
    Said(Word),
    /// The network's word in answer to an enquiry sent at this machine time.
    Told { asked: i64, word: Word },
    /// An enquiry was not answered, or with garbage.
    NotTold { garbage: bool },
    /// Somebody posted a report that fits: ask.
    Hinted { contradicts: bool },
}

/// What the others are to hear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub state: RailState,
    pub code: Option<String>,
    pub failure: Option<&'static str>,
}

/// What follows from news.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The instruction changed.
    Done { outcome: Option<Outcome>, alarm: Option<&'static str> },
    /// Nothing new.
    AlreadyDone,
    /// It contradicts what is final: the first final stays.
    Refused(&'static str),
}

/// Times that decisions need, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// After this the network refuses the message as stale, should it still come.
    pub acceptance: i64,
    /// The pause before the second enquiry; doubled for each further one.
    pub enquire_first: i64,
    /// The longest pause between enquiries.
    pub enquire_most: i64,
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
    /// Claimed or finished: the answer stays with the network.
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

impl Instruction {
    /// Claims it for sending; false where it is no longer in the queue.
    pub fn claim(&mut self, epoch: i64, created: Timestamp, now: Timestamp, within: i64) -> bool {
        if self.state != State::Ready {
            return false;
        }
        self.state = State::Sending;
        self.attempt += 1;
        (self.epoch, self.created, self.sent) = (epoch, created.0, now.0);
        self.due = now.plus_micros(within).0;
        true
    }
    /// Applies news.
    pub fn hear(&mut self, news: &News, now: i64, windows: Windows) -> Decision {
        if self.state.is_final() {
            return self.hear_after_the_end(news);
        }
        match news {
            News::Unsendable { failure } => match self.state {
                State::Ready => self.end(State::Rejected, None, Some(failure)),
                _ => Decision::AlreadyDone,
            },
            News::NotSent { attempt } => self.not_sent(*attempt),
            News::Silent { attempt } => match self.state {
                State::Sending if *attempt == self.attempt => self.doubt(now, None),
                _ => Decision::AlreadyDone,
            },
            News::Garbage => match self.state {
                State::Ready => Decision::AlreadyDone,
                State::Pending => self.ask_later(now, windows, Some("garbage in answer")),
                _ => self.doubt(now, Some("garbage in answer")),
            },
            News::Said(Word::NeverArrived { .. }) => {
                self.doubt(now, Some("no answer to a payment"))
            }
            // The one before may have been paid: it is asked about.
            News::Said(Word::Duplicate) => match self.state {
                State::Pending => Decision::AlreadyDone,
                _ => self.doubt(now, Some("the network has had this payment before")),
            },
            News::Said(word) => self.obey(word, now, windows),
            News::Told { asked, word } => {
                self.asked += 1;
                match word {
                    Word::NeverArrived { code } => self.never_arrived(code, *asked, now, windows),
                    Word::Duplicate => {
                        self.ask_later(now, windows, Some("an enquiry was refused as a duplicate"))
                    }
                    word => self.obey(word, now, windows),
                }
            }
            News::NotTold { garbage } => {
                self.asked += 1;
                self.ask_later(now, windows, garbage.then_some("garbage in answer to an enquiry"))
            }
            News::Hinted { .. } => self.hinted(now),
        }
    }
    fn not_sent(&mut self, attempt: i64) -> Decision {
        let open = matches!(self.state, State::Sending | State::Unknown) && self.asked == 0;
        if !open || attempt != self.attempt {
            return Decision::AlreadyDone;
        }
        (self.state, self.due) = (State::Ready, self.queued);
        Decision::Done { outcome: None, alarm: None }
    }
    fn doubt(&mut self, now: i64, alarm: Option<&'static str>) -> Decision {
        if !rules::hold(Rule::UnknownIsNotFailure) {
            return self.end(State::Rejected, None, Some("participant-not-available"));
        }
        (self.state, self.due) = (State::Unknown, now);
        Decision::Done { outcome: None, alarm }
    }
    fn hinted(&mut self, now: i64) -> Decision {
        // Whoever posts can at most make us ask now what we would ask soon.
        if !matches!(self.state, State::Unknown | State::Pending) || self.due <= now {
            return Decision::AlreadyDone;
        }
        self.due = now;
        Decision::Done { outcome: None, alarm: None }
    }
    fn ask_later(&mut self, now: i64, windows: Windows, alarm: Option<&'static str>) -> Decision {
        if matches!(self.state, State::Ready | State::Sending) {
            return Decision::AlreadyDone;
        }
        let doublings = u32::try_from(self.asked.clamp(1, 20) - 1).expect("between 0 and 19");
        let pause = windows.enquire_first.saturating_mul(1 << doublings).min(windows.enquire_most);
        // Spread by a quarter, so that payments which fell silent together do not ask together.
        let spread = (self.key.transfer.tail() >> 8).rem_euclid(pause / 4 + 1);
        self.due = now + pause + spread;
        let research = (self.asked == ASKED_MOST).then_some("research required: a person must ask");
        Decision::Done { outcome: None, alarm: alarm.or(research) }
    }
    fn obey(&mut self, word: &Word, now: i64, windows: Windows) -> Decision {
        let alarm = (self.state == State::Ready).then_some("an answer to what was not sent");
        let decision = match word {
            Word::Accepted { code } => self.end(State::Accepted, Some(code), None),
            Word::Rejected { code, failure } => {
                self.end(State::Rejected, Some(code), Some(failure))
            }
            Word::Pending { code } => self.pend(code, now, windows),
            Word::NeverArrived { .. } | Word::Duplicate => {
                unreachable!("both callers took it")
            }
        };
        match decision {
            Decision::Done { outcome, alarm: other } => {
                Decision::Done { outcome, alarm: alarm.or(other) }
            }
            other => other,
        }
    }
    fn pend(&mut self, code: &str, now: i64, windows: Windows) -> Decision {
        let is_new = self.state != State::Pending || self.code.as_deref() != Some(code);
        self.state = State::Pending;
        self.code = Some(code.to_owned());
        let outcome = is_new.then(|| Outcome {
            state: RailState::Pending,
            code: self.code.clone(),
            failure: None,
        });
        match self.ask_later(now, windows, None) {
            Decision::Done { alarm, .. } => Decision::Done { outcome, alarm },
            other => other,
        }
    }
    fn never_arrived(&mut self, code: &str, asked: i64, now: i64, windows: Windows) -> Decision {
        match self.state {
            State::Ready | State::Sending => Decision::AlreadyDone,
            State::Pending => self.ask_later(now, windows, Some("the network forgot a payment")),
            // What is on its way may still come, and be paid, until it is stale.
            _ if asked <= self.sent + windows.acceptance => {
                self.due = self.sent + windows.acceptance + 1;
                Decision::Done { outcome: None, alarm: None }
            }
            _ => self.end(State::Rejected, Some(code), Some("participant-not-available")),
        }
    }
    fn end(&mut self, state: State, code: Option<&str>, failure: Option<&'static str>) -> Decision {
        self.state = state;
        self.code = code.map(str::to_owned);
        let told = match state {
            State::Accepted => RailState::Accepted,
            _ => RailState::Rejected,
        };
        let outcome = Outcome { state: told, code: self.code.clone(), failure };
        Decision::Done { outcome: Some(outcome), alarm: None }
    }
    fn hear_after_the_end(&self, news: &News) -> Decision {
        let word = match news {
            News::Said(word) | News::Told { word, .. } => word,
            News::Hinted { contradicts: true } => {
                return Decision::Refused("a posted report contradicts what is final");
            }
            _ => return Decision::AlreadyDone,
        };
        match (self.state, word) {
            (State::Accepted, Word::Accepted { .. } | Word::Pending { .. })
            | (State::Rejected, Word::Rejected { .. } | Word::NeverArrived { .. })
            | (_, Word::Duplicate) => Decision::AlreadyDone,
            _ => Decision::Refused("the network contradicts what is final"),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Every state with every news.
    use super::*;
    use contracts::Currency;

    const WINDOWS: Windows = Windows { acceptance: 3_000, enquire_first: 100, enquire_most: 1_000 };

    fn at(state: State) -> Instruction {
        Instruction {
            key: Key { transfer: TransferId::from_parts(4096, 0x1234), leg: 0 },
            state,
            queued: 5,
            due: 0,
            attempt: 1,
            epoch: 1,
            asked: 0,
            messages: 0,
            amount: Amount::new(100, Currency::USD),
            method: PaymentMethodId::from_parts(1, 1),
            version: 1,
            source: AccountId::from_parts(1, 1),
            created: 1_000,
            sent: 1_000,
            receiver: "021000021".to_owned(),
            code: None,
            trace: None,
        }
    }

    fn short(before: State, news: &News) -> String {
        let mut instruction = at(before);
        let decision = instruction.hear(news, 2_000, WINDOWS);
        let what = match decision {
            Decision::AlreadyDone => "-".to_owned(),
            Decision::Refused(_) => "ALARM".to_owned(),
            Decision::Done { outcome, alarm } => {
                let told = outcome.map_or("silent".to_owned(), |o| format!("{:?}", o.state));
                format!("{told}{}", if alarm.is_some() { "!" } else { "" })
            }
        };
        format!("{:?}>{:?} {what}", before, instruction.state)
    }

    #[test]
    fn every_state_hears_every_news() {
        let code = || "X".to_owned();
        let told = |word: Word| News::Told { asked: 1_500, word };
        let late = |word: Word| News::Told { asked: 4_001, word };
        let never = || Word::NeverArrived { code: code() };
        let refused = || Word::Rejected { code: code(), failure: "other" };
        use State::{Accepted, Canceled, Pending, Ready, Rejected, Sending, Unknown};
        let table: Vec<(State, News, &str)> = vec![
            (Ready, News::Unsendable { failure: "other" }, "Ready>Rejected Rejected"),
            (Sending, News::Unsendable { failure: "other" }, "Sending>Sending -"),
            (Sending, News::NotSent { attempt: 1 }, "Sending>Ready silent"),
            (Sending, News::NotSent { attempt: 0 }, "Sending>Sending -"),
            (Unknown, News::NotSent { attempt: 1 }, "Unknown>Ready silent"),
            (Accepted, News::NotSent { attempt: 1 }, "Accepted>Accepted -"),
            (Sending, News::Silent { attempt: 1 }, "Sending>Unknown silent"),
            (Unknown, News::Silent { attempt: 1 }, "Unknown>Unknown -"),
            (Pending, News::Silent { attempt: 1 }, "Pending>Pending -"),
            (Sending, News::Garbage, "Sending>Unknown silent!"),
            (Pending, News::Garbage, "Pending>Pending silent!"),
            (Sending, News::Said(Word::Accepted { code: code() }), "Sending>Accepted Accepted"),
            (Unknown, News::Said(Word::Accepted { code: code() }), "Unknown>Accepted Accepted"),
            (Ready, News::Said(Word::Accepted { code: code() }), "Ready>Accepted Accepted!"),
            (Sending, News::Said(refused()), "Sending>Rejected Rejected"),
            (Sending, News::Said(Word::Pending { code: code() }), "Sending>Pending Pending"),
            (Pending, News::Said(refused()), "Pending>Rejected Rejected"),
            (Sending, News::Said(Word::Duplicate), "Sending>Unknown silent!"),
            (Unknown, News::Said(Word::Duplicate), "Unknown>Unknown silent!"),
            (Pending, News::Said(Word::Duplicate), "Pending>Pending -"),
            (Unknown, late(Word::Duplicate), "Unknown>Unknown silent!"),
            (Accepted, News::Said(Word::Duplicate), "Accepted>Accepted -"),
            (Unknown, told(never()), "Unknown>Unknown silent"),
            (Unknown, late(never()), "Unknown>Rejected Rejected"),
            (Pending, late(never()), "Pending>Pending silent!"),
            (Sending, late(never()), "Sending>Sending -"),
            (Unknown, told(Word::Accepted { code: code() }), "Unknown>Accepted Accepted"),
            (Unknown, News::NotTold { garbage: false }, "Unknown>Unknown silent"),
            (Pending, News::NotTold { garbage: true }, "Pending>Pending silent!"),
            (Unknown, News::Hinted { contradicts: false }, "Unknown>Unknown -"),
            (Accepted, News::Said(Word::Accepted { code: code() }), "Accepted>Accepted -"),
            (Accepted, News::Said(refused()), "Accepted>Accepted ALARM"),
            (Rejected, News::Said(Word::Accepted { code: code() }), "Rejected>Rejected ALARM"),
            (Rejected, late(never()), "Rejected>Rejected -"),
            (Canceled, News::Said(Word::Accepted { code: code() }), "Canceled>Canceled ALARM"),
            (Accepted, News::Hinted { contradicts: true }, "Accepted>Accepted ALARM"),
        ];
        for (state, news, expected) in table {
            assert_eq!(short(state, &news), expected, "{state:?} hears {news:?}");
        }
    }

    #[test]
    fn a_cancel_wins_only_in_the_queue() {
        assert_eq!(cancel(None), Cancel::Bury);
        assert_eq!(cancel(Some(State::Ready)), Cancel::Wins);
        for state in State::ALL.into_iter().filter(|state| *state != State::Ready) {
            assert_eq!(cancel(Some(state)), Cancel::Late);
        }
        assert_eq!(reserve(Some(State::Tombstone)), Reserve::Cancel);
        assert_eq!(reserve(None), Reserve::Queue);
        assert_eq!(reserve(Some(State::Canceled)), Reserve::AlreadyDone);
    }

    #[test]
    fn enquiries_back_off_to_a_limit() {
        let mut instruction = at(State::Unknown);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            instruction.hear(&News::NotTold { garbage: false }, 2_000, WINDOWS);
            pauses.push(instruction.due - 2_000);
        }
        assert!(pauses.windows(2).take(3).all(|pair| pair[1] > pair[0]), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 1_250), "{pauses:?}");
    }
}
