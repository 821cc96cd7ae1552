//! The host's desk: what it does with a request or a reversal, and the books it does it by.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use iso8583::authorisation::{Request, Response};
use iso8583::reversal;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::booking::{Booking, Standing, Trace, WRONG_AMOUNT};
use super::settlement::Due;
use super::table::{Outcome, outcome};
use crate::books::Payment;
use crate::journal::{Journal, Place, Unwritable, read_lines};

/// Field 39: invalid amount.
const INVALID_AMOUNT: &str = "13";
/// Field 39: invalid card number.
const INVALID_CARD: &str = "14";

type Index = Arc<Mutex<BTreeMap<u128, Slot>>>;

/// The books: a journal, and where in it each authorisation's last line is.
pub(super) struct Desk {
    journal: Journal,
    index: Index,
    /// What the settlement files are still to have.
    due: Mutex<Due>,
}

#[derive(Debug, Clone)]
enum Slot {
    /// Being booked; the sender is dropped when that is over.
    Busy(watch::Receiver<()>),
    Booked(Place),
}

/// What a message found when it came. Taken in the order of arrival, before anything waits: a
/// reversal does not overtake its original within the host.
pub(super) enum Arrival {
    Free(Claim),
    Busy(u128, watch::Receiver<()>),
    Booked(Place),
}

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// This answer.
    Answer(Response),
    /// This answer; and be away for a while.
    AnswerThenAway(Response),
    /// This answer, when the reversal has come.
    AnswerWhenReversed(Response),
    /// Nothing, ever.
    Silence,
}

/// The books cannot be written or read.
#[derive(Debug)]
pub(super) struct Broken;

impl From<Unwritable> for Broken {
    fn from(_: Unwritable) -> Self {
        Self
    }
}

impl Desk {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut index = BTreeMap::new();
        let mut due = Due::default();
        let journal = Journal::open(path, |place, line| {
            let booking: Booking =
                serde_json::from_slice(line).map_err(|error| error.to_string())?;
            due.note(&booking);
            index.insert(booking.trace.key(), Slot::Booked(place));
            Ok(())
        })?;
        Ok(Self { journal, index: Arc::new(Mutex::new(index)), due: Mutex::new(due) })
    }

    /// A message about an authorisation came.
    pub(super) fn arrive(&self, trace: &Trace) -> Arrival {
        self.enter(trace.key())
    }

    /// A request at a time of the business clock.
    pub(super) async fn authorise(
        &self,
        request: &Request,
        arrival: Arrival,
        now: i64,
    ) -> Result<Decision, Broken> {
        let claim = match self.settle(arrival).await {
            Ok(claim) => claim,
            Err(place) => return Ok(Decision::Answer(self.read(place)?.answer(request))),
        };
        let refusal = match request.amount {
            0 => Some(INVALID_AMOUNT),
            _ if !request.pan.passes_luhn() => Some(INVALID_CARD),
            _ => None,
        };
        let decided = match refusal {
            Some(code) => Outcome::Declined(code.to_owned()),
            None => outcome(request.amount),
        };
        let booking = match &decided {
            // The claim is given back: nothing is known of it.
            Outcome::Swallowed => return Ok(Decision::Silence),
            Outcome::Declined(code) => Booking::declined(request, code, now),
            _ => Booking::approved(request, now),
        };
        self.book(claim, &booking).await?;
        let answer = booking.answer(request);
        Ok(match decided {
            Outcome::ApprovedSilently | Outcome::Swallowed => Decision::Silence,
            Outcome::ApprovedLate => Decision::AnswerWhenReversed(answer),
            Outcome::ApprovedThenAway => Decision::AnswerThenAway(answer),
            Outcome::Approved | Outcome::Declined(_) => Decision::Answer(answer),
        })
    }

    /// A reversal or its repeat, which is answered as it was before. One that is forgotten is
    /// answered, and not booked.
    pub(super) async fn reverse(
        &self,
        reversal: &reversal::Request,
        arrival: Arrival,
        now: i64,
        forgotten: bool,
    ) -> Result<reversal::Response, Broken> {
        let place = match self.settle(arrival).await {
            Ok(claim) => {
                self.book(claim, &Booking::overtaken(reversal, now)).await?;
                return Ok(reversal.response(reversal::NOT_FOUND));
            }
            Err(place) => place,
        };
        let booking = self.read(place)?;
        let code = match booking.standing {
            Standing::Overtaken => reversal::NOT_FOUND,
            // Nothing was paid, or it was given back: there is nothing to undo.
            Standing::Declined | Standing::Reversed => reversal::REVERSED,
            Standing::Approved if booking.amount != reversal.request.amount => WRONG_AMOUNT,
            Standing::Approved if forgotten => reversal::REVERSED,
            Standing::Approved => {
                let key = booking.trace.key();
                let place = self.append(&booking.reversed(now)).await?;
                self.index.lock().insert(key, Slot::Booked(place));
                reversal::REVERSED
            }
        };
        Ok(reversal.response(code))
    }

    /// All payments in the order of arrival, at a time of the business clock.
    pub(super) async fn books(&self, now: i64, settlement: i64) -> io::Result<Vec<Payment>> {
        let path = self.journal.path().to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let mut places: BTreeMap<u128, usize> = BTreeMap::new();
            let mut payments: Vec<Option<Payment>> = Vec::new();
            read_lines(&path, |line| {
                // A line that is damaged here is one that is just being written.
                let Ok(booking) = serde_json::from_slice::<Booking>(line) else { return };
                let place = *places.entry(booking.trace.key()).or_insert(payments.len());
                let payment = booking.payment(now, settlement);
                if place == payments.len() {
                    payments.push(payment);
                } else {
                    payments[place] = payment;
                }
            })?;
            Ok(payments.into_iter().flatten().collect())
        });
        reading.await.map_err(io::Error::other)?
    }

    /// Takes out what the next settlement file is to have, by when it came: approvals, and what was
    /// taken back.
    pub(super) fn take_due(&self, approved: i64, taken_back: i64) -> [BTreeSet<(i64, u128)>; 2] {
        self.due.lock().take(approved, taken_back)
    }

    /// What is booked of an authorisation.
    pub(super) fn find(&self, key: u128) -> Option<Booking> {
        let place = match self.index.lock().get(&key)? {
            Slot::Booked(place) => *place,
            Slot::Busy(_) => return None,
        };
        self.read(place).ok()
    }

    pub(super) fn close(self) {
        self.journal.close();
    }

    fn enter(&self, key: u128) -> Arrival {
        let mut index = self.index.lock();
        match index.get(&key) {
            Some(Slot::Booked(place)) => Arrival::Booked(*place),
            Some(Slot::Busy(receiver)) => Arrival::Busy(key, receiver.clone()),
            None => {
                let (sender, receiver) = watch::channel(());
                index.insert(key, Slot::Busy(receiver));
                let index = Arc::clone(&self.index);
                Arrival::Free(Claim { index, key, _busy: sender })
            }
        }
    }

    /// The right to book, or where it is booked. Waits for one who is booking it.
    async fn settle(&self, mut arrival: Arrival) -> Result<Claim, Place> {
        loop {
            match arrival {
                Arrival::Free(claim) => return Ok(claim),
                Arrival::Booked(place) => return Err(place),
                Arrival::Busy(key, mut busy) => {
                    // An error is what is waited for: the other's claim is over.
                    let _ = busy.changed().await;
                    arrival = self.enter(key);
                }
            }
        }
    }

    async fn book(&self, claim: Claim, booking: &Booking) -> Result<(), Unwritable> {
        let place = self.append(booking).await?;
        self.index.lock().insert(claim.key, Slot::Booked(place));
        Ok(())
    }

    async fn append(&self, booking: &Booking) -> Result<Place, Unwritable> {
        let line = serde_json::to_vec(booking).map_err(|_| Unwritable)?;
        let place = self.journal.append(line).await?;
        self.due.lock().note(booking);
        Ok(place)
    }

    fn read(&self, place: Place) -> Result<Booking, Broken> {
        let line = self.journal.read(place).map_err(|_| Broken)?;
        serde_json::from_slice(&line).map_err(|_| Broken)
    }
}

/// The right to book one authorisation; given back when dropped.
pub(super) struct Claim {
    index: Index,
    key: u128,
    _busy: watch::Sender<()>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut index = self.index.lock();
        if matches!(index.get(&self.key), Some(Slot::Busy(_))) {
            index.remove(&self.key);
        }
    }
}
