//! The bank's books: which files it took, and what has become of their entries.
//!
//! A journal of lines. A file and its entries are one line, so that a file is taken whole or not at
//! all; what happens to a batch of it later is a line each, written before anyone can see it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use nacha::{Addenda, File, Purpose, Trace};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::answers::{Code, Issue, asks_for};
use super::moment;
use super::table::{Outcome, outcome};
use crate::Timings;
use crate::books::{Direction, Payment, State};
use crate::journal::{Journal, Place, read_lines};

/// What is done about a batch after it was taken, in the order of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Step {
    /// 99NN.
    Return,
    Settle,
    /// 98NN.
    Change,
    /// 94NN.
    LateReturn,
}

/// A file that was judged. Numbers are those of the lines of this kind, from 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Taken {
    pub(super) file: String,
    pub(super) sha256: String,
    /// Origin, date and modifier, which together name a file; of one that cannot be read, nothing.
    #[serde(rename = "fileID", skip_serializing_if = "Option::is_none")]
    pub(super) file_id: Option<String>,
    pub(super) accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) entry_count: u64,
    pub(super) total_debit: u64,
    pub(super) total_credit: u64,
    /// Microseconds of the business clock.
    pub(super) at: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) batches: Vec<TakenBatch>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TakenBatch {
    pub(super) settles_at: i64,
    pub(super) entries: Vec<Booked>,
}

/// A payment of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Booked {
    /// Its place in the batch.
    place: usize,
    trace: String,
    #[serde(rename = "transferID", skip_serializing_if = "Option::is_none")]
    transfer_id: Option<String>,
    amount: i64,
    direction: Direction,
}

/// A line of `ach-books.jsonl`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "camelCase")]
enum Line {
    Taken(Taken),
    /// The acknowledgement of a file can be seen.
    #[serde(rename_all = "camelCase")]
    Acknowledged {
        number: usize,
    },
    Done(Done),
    /// A file of answers can be seen.
    Delivered {
        issue: u64,
    },
}

/// A step that was taken; with an issue, if the bank says so in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    pub(super) number: usize,
    pub(super) batch: usize,
    pub(super) step: Step,
    pub(super) at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<Issued>,
}

/// Which file of answers says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    number: u64,
    first_sequence: u32,
    answers: u32,
}

impl Done {
    pub(super) fn issue(&self) -> Option<Issue> {
        let Issued { number, first_sequence, .. } = self.issue?;
        Some(Issue { number, first_sequence, at: self.at })
    }
}

/// The books.
pub(super) struct Desk {
    journal: Journal,
    index: Mutex<Index>,
    timings: Timings,
}

#[derive(Default)]
struct Index {
    /// Where the line of each file stands.
    taken: Vec<Place>,
    names: BTreeSet<(String, String)>,
    accepted_ids: BTreeSet<String>,
    accepted_hashes: BTreeSet<String>,
    unacknowledged: BTreeSet<usize>,
    /// What is still to be done, by when.
    due: BTreeSet<(i64, usize, usize, Step)>,
    /// The same by what it is.
    when: BTreeMap<(usize, usize, Step), i64>,
    undelivered: BTreeMap<u64, Done>,
    issues: u64,
    /// The latest trace sequence number of an answer.
    sequences: u32,
}

impl Index {
    fn replay(&mut self, line: &Line, place: Place, timings: &Timings) {
        match line {
            Line::Taken(taken) => self.take(taken, place, timings),
            Line::Acknowledged { number } => {
                self.unacknowledged.remove(number);
            }
            Line::Done(done) => {
                let Done { number, batch, step, .. } = *done;
                if let Some(at) = self.when.remove(&(number, batch, step)) {
                    self.due.remove(&(at, number, batch, step));
                }
                if let Some(issue) = done.issue {
                    self.undelivered.insert(issue.number, *done);
                    self.issues = issue.number;
                    self.sequences = issue.first_sequence - 1 + issue.answers;
                }
            }
            Line::Delivered { issue } => {
                self.undelivered.remove(issue);
            }
        }
    }

    fn take(&mut self, taken: &Taken, place: Place, timings: &Timings) {
        let number = self.taken.len();
        self.taken.push(place);
        self.names.insert((taken.file.clone(), taken.sha256.clone()));
        self.unacknowledged.insert(number);
        if !taken.accepted {
            return;
        }
        self.accepted_ids.extend(taken.file_id.clone());
        self.accepted_hashes.insert(taken.sha256.clone());
        for (index, batch) in taken.batches.iter().enumerate() {
            let any = |step| batch.entries.iter().any(|entry| entry.code(step).is_some());
            let mut add = |at: i64, step| {
                self.due.insert((at, number, index, step));
                self.when.insert((number, index, step), at);
            };
            add(batch.settles_at, Step::Settle);
            if any(Step::Return) {
                let at = taken.at.saturating_add(micros(timings.ach_return));
                add(at.min(batch.settles_at), Step::Return);
            }
            if any(Step::Change) {
                add(batch.settles_at, Step::Change);
            }
            if any(Step::LateReturn) {
                let at = batch.settles_at.saturating_add(micros(timings.ach_late_return));
                add(at, Step::LateReturn);
            }
        }
    }
}

impl Booked {
    /// What a step says of this entry.
    fn code(&self, step: Step) -> Option<Code> {
        match (step, outcome(self.amount)) {
            (Step::Return, Outcome::Returned(code))
            | (Step::LateReturn, Outcome::ReturnedLate(code)) => Some(Code::Return(code)),
            (Step::Change, Outcome::Changed(code)) => Some(Code::Change(code)),
            _ => None,
        }
    }
}

impl Desk {
    pub(super) fn open(path: &Path, timings: Timings) -> io::Result<Self> {
        let mut index = Index::default();
        let journal = Journal::open(path, |place, line| {
            let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            index.replay(&line, place, &timings);
            Ok(())
        })?;
        Ok(Self { journal, index: Mutex::new(index), timings })
    }

    /// Why a file of this name (origin, date, modifier) or content cannot be taken, if it cannot.
    pub(super) fn duplicate(&self, file_id: &str, sha256: &str) -> Option<&'static str> {
        let index = self.index.lock();
        if index.accepted_hashes.contains(sha256) {
            return Some("duplicate: a file of the same content was taken");
        }
        let known = index.accepted_ids.contains(file_id);
        known.then_some("duplicate: a file of the same origin, date and modifier was taken")
    }

    /// Whether an uploaded file was judged.
    pub(super) fn knows(&self, file: &str, sha256: &str) -> bool {
        self.index.lock().names.contains(&(file.to_owned(), sha256.to_owned()))
    }

    /// Books a file that was judged; its number.
    pub(super) async fn take(&self, taken: &Taken) -> io::Result<usize> {
        let line = Line::Taken(taken.clone());
        let place = self.append(&line).await?;
        let mut index = self.index.lock();
        index.replay(&line, place, &self.timings);
        Ok(index.taken.len() - 1)
    }

    /// Books that an acknowledgement can be seen.
    pub(super) async fn acknowledged(&self, number: usize) -> io::Result<()> {
        self.record(Line::Acknowledged { number }).await
    }

    /// Books that a file of answers can be seen.
    pub(super) async fn delivered(&self, issue: u64) -> io::Result<()> {
        self.record(Line::Delivered { issue }).await
    }

    async fn record(&self, line: Line) -> io::Result<()> {
        let place = self.append(&line).await?;
        self.index.lock().replay(&line, place, &self.timings);
        Ok(())
    }

    /// Files whose acknowledgement is owed.
    pub(super) fn unacknowledged(&self) -> Vec<usize> {
        self.index.lock().unacknowledged.iter().copied().collect()
    }

    /// Files of answers that are owed.
    pub(super) fn undelivered(&self) -> Vec<Done> {
        self.index.lock().undelivered.values().copied().collect()
    }

    /// When the next step is due: at once, if a file of answers is owed.
    pub(super) fn next_due(&self) -> Option<i64> {
        let index = self.index.lock();
        let owed = index.undelivered.values().next().map(|done| done.at);
        owed.or_else(|| index.due.first().map(|(at, ..)| *at))
    }

    /// Takes the first step that is due, if one is: books it, and says what it was.
    pub(super) async fn step(&self, now: i64) -> io::Result<Option<Done>> {
        let first = self.index.lock().due.first().copied();
        let Some((at, number, batch, step)) = first.filter(|(at, ..)| *at <= now) else {
            return Ok(None);
        };
        let mut done = Done { number, batch, step, at, issue: None };
        if step != Step::Settle {
            let answers = u32::try_from(self.codes(&done)?.len()).map_err(io::Error::other)?;
            let index = self.index.lock();
            let room = Trace::SEQUENCE_MAX - index.sequences >= answers;
            let first_sequence = if room { index.sequences + 1 } else { 1 };
            done.issue = Some(Issued { number: index.issues + 1, first_sequence, answers });
        }
        self.record(Line::Done(done)).await?;
        Ok(Some(done))
    }

    /// What a step says of which entries of its batch.
    pub(super) fn codes(&self, done: &Done) -> io::Result<Vec<(usize, Code)>> {
        let taken = self.taken(done.number)?;
        let entries = taken.batches[done.batch].entries.iter();
        Ok(entries.filter_map(|entry| Some((entry.place, entry.code(done.step)?))).collect())
    }

    /// A file that was judged.
    pub(super) fn taken(&self, number: usize) -> io::Result<Taken> {
        let place = self.index.lock().taken[number];
        match serde_json::from_slice(&self.journal.read(place)?)? {
            Line::Taken(taken) => Ok(taken),
            _ => Err(io::Error::other("a line of the books is another than was written")),
        }
    }

    /// All payments in the order of arrival.
    pub(super) async fn books(&self) -> io::Result<Vec<Payment>> {
        let path = self.journal.path().to_owned();
        let reading = tokio::task::spawn_blocking(move || payments(&path));
        reading.await.map_err(io::Error::other)?
    }

    async fn append(&self, line: &Line) -> io::Result<Place> {
        let written = self.journal.append(serde_json::to_vec(line)?).await;
        written.map_err(|_| io::Error::other("the books cannot be written"))
    }

    pub(super) fn close(self) {
        self.journal.close();
    }
}

fn payments(path: &Path) -> io::Result<Vec<Payment>> {
    let mut payments: Vec<(Booked, State)> = Vec::new();
    // Where the payments of each batch of each file begin and end.
    let mut places: Vec<Vec<std::ops::Range<usize>>> = Vec::new();
    read_lines(path, |line| {
        // A line that is damaged here is one that is just being written.
        match serde_json::from_slice(line) {
            Ok(Line::Taken(taken)) => {
                let batches = taken.batches.into_iter().map(|batch| {
                    let begin = payments.len();
                    payments.extend(batch.entries.into_iter().map(|e| (e, State::Accepted)));
                    begin..payments.len()
                });
                places.push(batches.collect());
            }
            Ok(Line::Done(done)) => {
                let place = places.get(done.number).and_then(|batches| batches.get(done.batch));
                for (entry, state) in &mut payments[place.cloned().unwrap_or_default()] {
                    *state = match done.step {
                        Step::Settle if *state == State::Accepted => State::Settled,
                        Step::Return | Step::LateReturn if entry.code(done.step).is_some() => {
                            State::Returned
                        }
                        _ => *state,
                    };
                }
            }
            _ => {}
        }
    })?;
    let payment = |(entry, state): (Booked, State)| Payment {
        rail: "ach",
        transfer_id: entry.transfer_id,
        reference: entry.trace,
        amount: entry.amount,
        currency: "USD".to_owned(),
        direction: Some(entry.direction),
        state,
        kind: None,
    };
    Ok(payments.into_iter().map(payment).collect())
}

/// The payments of a file's batches, with when each settles. Prenotes and answers are no payments.
pub(super) fn batches(file: &File, now: i64, timings: &Timings) -> Vec<TakenBatch> {
    let batch = |batch: &nacha::Batch| {
        let entries = batch.entries.iter().enumerate();
        let paying = entries.filter(|(_, entry)| {
            entry.transaction_code.purpose() == Purpose::Live && !entry.is_answer()
        });
        let booked = paying.map(|(place, entry)| Booked {
            place,
            trace: entry.trace.to_string(),
            transfer_id: entry.addenda.iter().find_map(transfer_id),
            amount: i64::try_from(entry.amount.cents()).expect("ten digits"),
            direction: match entry.transaction_code.direction() {
                nacha::Direction::Credit => Direction::Credit,
                nacha::Direction::Debit => Direction::Debit,
            },
        });
        TakenBatch { settles_at: settles_at(batch, now, timings), entries: booked.collect() }
    };
    file.batches.iter().map(batch).collect()
}

/// When a batch settles: after a fixed time, or on the day that it asks for.
fn settles_at(batch: &nacha::Batch, now: i64, timings: &Timings) -> i64 {
    if let Some(after) = timings.ach_settlement {
        return now.saturating_add(micros(after));
    }
    let morning = nacha::Time::new(8, 30).expect("a time of day");
    let (day, time) = asks_for(&batch.header);
    let asked = day.map(|day| moment::of(day, time.unwrap_or(morning)));
    // A day that is over, or none, is put in by the operator: the next.
    let next = moment::of(moment::date(now.saturating_add(micros(DAY))), morning);
    asked.filter(|asked| *asked > now).unwrap_or(next)
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The platform's transfer, where addenda 05 say `transfer` and its 32 hex digits: a UUID.
fn transfer_id(addenda: &Addenda) -> Option<String> {
    let Addenda::Payment { information } = addenda else { return None };
    let digits = information.strip_prefix("transfer ")?.get(..32)?;
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.bytes().all(hex).then(|| {
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
        parts.join("-")
    })
}
