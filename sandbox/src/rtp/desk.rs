//! The participant's desk: what it does with a message, and the books it does it by.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use iso20022::pacs002::StatusReport;
use iso20022::pacs008::CreditTransfer;
use iso20022::pacs028::StatusRequest;
use iso20022::{DateTime, Dialect, Header, Status, reasons};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::booking::{Booking, Parties, hash};
use super::table::{Outcome, outcome};
use crate::books::Payment;
use crate::journal::{Journal, Place, Unwritable, read_lines};

/// The books: a journal, and where in it each payment's last line is.
pub(super) struct Desk {
    journal: Journal,
    index: Mutex<BTreeMap<u128, Slot>>,
}

#[derive(Debug, Clone)]
enum Slot {
    /// Being booked; the sender is dropped when that is over.
    Busy(watch::Receiver<()>),
    Booked(Place),
}

/// What to do with a message.
#[derive(Debug)]
pub(super) enum Answer {
    /// This pacs.002.
    Report(Vec<u8>),
    /// This pacs.002; then be away for a while.
    ReportThenAway(Vec<u8>),
    /// This pacs.002; and finish the payment later.
    ReportThenFinish(Vec<u8>, Box<Booking>),
    /// Nothing, ever.
    Silence,
}

/// Why there is no answer that is a message.
#[derive(Debug)]
pub(super) enum Failure {
    /// The books cannot be written or read.
    Books,
    /// No pacs.002 can be made of it.
    NoReport(String),
}

impl From<Unwritable> for Failure {
    fn from(_: Unwritable) -> Self {
        Self::Books
    }
}

impl Desk {
    /// Opens the books. Also returns the payments that are to be finished or told of.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Booking>)> {
        let mut index = BTreeMap::new();
        let mut owed: BTreeMap<u128, Booking> = BTreeMap::new();
        let journal = Journal::open(path, |place, line| {
            let booking: Booking =
                serde_json::from_slice(line).map_err(|error| error.to_string())?;
            let key = key(&booking.message_id);
            index.insert(key, Slot::Booked(place));
            if booking.owed {
                owed.insert(key, booking);
            } else {
                owed.remove(&key);
            }
            Ok(())
        })?;
        Ok((Self { journal, index: Mutex::new(index) }, owed.into_values().collect()))
    }

    /// A credit transfer at a time of the business clock.
    pub(super) async fn transfer(
        &self,
        transfer: &CreditTransfer,
        header: &Header,
        dialect: Dialect,
        (now, window): (i64, Duration),
    ) -> Result<Answer, Failure> {
        let key = key(&transfer.message_id);
        let decided = outcome(transfer.amount.minor());
        let booking = Booking { at: now, ..Booking::new(transfer, header, dialect) };
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let stale = now.saturating_sub(transfer.created.unix_micros()) > window;
        let claim = match self.claim(key).await {
            Ok(claim) => claim,
            Err(place) => return self.repeated(place, transfer, booking),
        };
        if stale {
            let booking = self.book(claim, booking.rejected(reasons::STALE)).await?;
            return report(&booking).map(Answer::Report);
        }
        match decided {
            Outcome::Swallowed => Ok(Answer::Silence),
            Outcome::AcceptedSilently => {
                self.book(claim, booking).await?;
                Ok(Answer::Silence)
            }
            Outcome::Accepted => report(&self.book(claim, booking).await?).map(Answer::Report),
            Outcome::AcceptedThenAway => {
                report(&self.book(claim, booking).await?).map(Answer::ReportThenAway)
            }
            Outcome::AcceptedLater => {
                let booking = self.book(claim, booking.pending()).await?;
                report(&booking).map(|bytes| Answer::ReportThenFinish(bytes, Box::new(booking)))
            }
            Outcome::Rejected(reason) => {
                report(&self.book(claim, booking.rejected(reason)).await?).map(Answer::Report)
            }
        }
    }

    /// An enquiry: what the payment is now, or that it never arrived.
    pub(super) async fn enquiry(
        &self,
        request: &StatusRequest,
        header: &Header,
        dialect: Dialect,
        now: i64,
    ) -> Result<Answer, Failure> {
        if let Some(place) = self.find(key(&request.original.message_id)).await {
            let booking = self.read(place)?;
            let same = booking.message_id == request.original.message_id
                && request.original.uetr.is_none_or(|uetr| {
                    booking.uetr.as_deref().is_none_or(|known| known == uetr.to_string())
                });
            if same {
                return report(&booking).map(Answer::Report);
            }
        }
        let time = DateTime::from_unix_micros(now);
        let message = StatusReport {
            message_id: String::new(),
            created: time.clone(),
            original: request.original.clone(),
            status: Status::Rjct,
            reason: Some(reasons::never_arrived(dialect)),
            accepted: Some(time),
            instructing_agent: request.instructing_agent.clone(),
            instructed_agent: request.instructed_agent.clone(),
            amount: request.amount,
            settlement_date: request.settlement_date,
        };
        let parties = Parties { sender: &header.from, receiver: &header.to, dialect };
        let envelope = parties.envelope(message, hash(&request.message_id), now);
        envelope.write().map(Answer::Report).map_err(no_report)
    }

    /// Books another state of a payment that is booked.
    pub(super) async fn rebook(&self, booking: &Booking) -> Result<(), Unwritable> {
        let place = self.append(booking).await?;
        self.index.lock().insert(key(&booking.message_id), Slot::Booked(place));
        Ok(())
    }

    /// All payments in the order of arrival.
    pub(super) async fn books(&self) -> io::Result<Vec<Payment>> {
        let path = self.journal.path().to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let mut places: BTreeMap<u128, usize> = BTreeMap::new();
            let mut payments: Vec<Payment> = Vec::new();
            read_lines(&path, |line| {
                // A line that is damaged here is one that is just being written.
                let Ok(booking) = serde_json::from_slice::<Booking>(line) else { return };
                let place = *places.entry(key(&booking.message_id)).or_insert(payments.len());
                if place == payments.len() {
                    payments.push(booking.payment());
                } else {
                    payments[place] = booking.payment();
                }
            })?;
            Ok(payments)
        });
        reading.await.map_err(io::Error::other)?
    }

    pub(super) fn close(self) {
        self.journal.close();
    }

    /// The same `MsgId` again: the same payment gets its report, another is refused.
    fn repeated(
        &self,
        place: Place,
        transfer: &CreditTransfer,
        booking: Booking,
    ) -> Result<Answer, Failure> {
        let first = self.read(place)?;
        if first.is_of(transfer) {
            return report(&first).map(Answer::Report);
        }
        tracing::warn!(message_id = first.message_id, "a MsgId came again with other content");
        report(&booking.rejected("DUPL")).map(Answer::Report)
    }

    /// The right to book `key`, or where it is booked. Waits for one who is booking it.
    async fn claim(&self, key: u128) -> Result<Claim<'_>, Place> {
        loop {
            let mut busy = {
                let mut index = self.index.lock();
                match index.get(&key) {
                    Some(Slot::Booked(place)) => return Err(*place),
                    Some(Slot::Busy(receiver)) => receiver.clone(),
                    None => {
                        let (sender, receiver) = watch::channel(());
                        index.insert(key, Slot::Busy(receiver));
                        return Ok(Claim { desk: self, key, _busy: sender });
                    }
                }
            };
            // An error is what is waited for: the other's claim is over.
            let _ = busy.changed().await;
        }
    }

    async fn find(&self, key: u128) -> Option<Place> {
        loop {
            let mut busy = match self.index.lock().get(&key)? {
                Slot::Booked(place) => return Some(*place),
                Slot::Busy(receiver) => receiver.clone(),
            };
            let _ = busy.changed().await;
        }
    }

    async fn book(&self, claim: Claim<'_>, booking: Booking) -> Result<Booking, Unwritable> {
        let place = self.append(&booking).await?;
        self.index.lock().insert(claim.key, Slot::Booked(place));
        Ok(booking)
    }

    async fn append(&self, booking: &Booking) -> Result<Place, Unwritable> {
        let line = serde_json::to_vec(booking).map_err(|_| Unwritable)?;
        self.journal.append(line).await
    }

    fn read(&self, place: Place) -> Result<Booking, Failure> {
        let line = self.journal.read(place).map_err(|_| Failure::Books)?;
        serde_json::from_slice(&line).map_err(|_| Failure::Books)
    }
}

/// The right to book one payment; given back when dropped.
struct Claim<'a> {
    desk: &'a Desk,
    key: u128,
    _busy: watch::Sender<()>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut index = self.desk.index.lock();
        if matches!(index.get(&self.key), Some(Slot::Busy(_))) {
            index.remove(&self.key);
        }
    }
}

/// 128 bits of a message identifier: no two of those that one sandbox sees are equal.
fn key(message_id: &str) -> u128 {
    u128::from(hash(&(1_u8, message_id))) << 64 | u128::from(hash(&(2_u8, message_id)))
}

fn report(booking: &Booking) -> Result<Vec<u8>, Failure> {
    booking.report().map_err(no_report)
}

fn no_report(errors: Vec<iso20022::Error>) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::NoReport(lines.join("\n"))
}
