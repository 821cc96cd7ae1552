//! The messages that are taken and not ended, and by what their answers are known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{Class, Message};

/// Ended messages whose late or second answers are recognised.
const ENDED_KEPT: usize = 1024;

/// What a request and its answer have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trace {
    class: Class,
    /// Field 11.
    stan: String,
    /// Field 7.
    transmitted: String,
    /// Field 41, without the blanks that fill it up.
    terminal: String,
}

impl Trace {
    pub(super) fn of(message: &Message) -> Option<Self> {
        let terminal = message.field(41).unwrap_or_default();
        Some(Self {
            class: message.mti.class,
            stan: message.field(11)?.to_owned(),
            transmitted: message.field(7)?.to_owned(),
            terminal: terminal.trim_end_matches(' ').to_owned(),
        })
    }
}

#[derive(Debug)]
struct Flight {
    key: u64,
    deadline: i64,
    sent: bool,
}

/// All messages in flight.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_trace: BTreeMap<Trace, Flight>,
    by_deadline: BTreeSet<(i64, Trace)>,
    keys: BTreeSet<u64>,
    /// The latest that were sent and have ended.
    ended: VecDeque<(Trace, u64)>,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.by_trace.len()
    }

    pub(super) fn has_key(&self, key: u64) -> bool {
        self.keys.contains(&key)
    }

    pub(super) fn has_trace(&self, trace: &Trace) -> bool {
        self.by_trace.contains_key(trace)
    }

    pub(super) fn insert(&mut self, trace: Trace, key: u64, deadline: i64) {
        let new = self.keys.insert(key);
        self.by_deadline.insert((deadline, trace.clone()));
        let old = self.by_trace.insert(trace, Flight { key, deadline, sent: false });
        assert!(new && old.is_none(), "a message in flight is never overwritten");
    }

    /// Its first byte was written: its key.
    pub(super) fn sent(&mut self, trace: &Trace) -> Option<u64> {
        let flight = self.by_trace.get_mut(trace)?;
        flight.sent = true;
        Some(flight.key)
    }

    /// An answer came: ends the message if one is in flight that was sent.
    pub(super) fn answered(&mut self, trace: &Trace) -> Option<u64> {
        if !self.by_trace.get(trace)?.sent {
            return None;
        }
        self.end(trace).map(|flight| flight.key)
    }

    /// The key of a message that was sent and has ended.
    pub(super) fn ended(&self, trace: &Trace) -> Option<u64> {
        self.ended.iter().rev().find(|(other, _)| other == trace).map(|(_, key)| *key)
    }

    pub(super) fn first_deadline(&self) -> Option<i64> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Ends those whose deadline has come: trace, key, and whether they were sent.
    pub(super) fn expired(&mut self, now: i64) -> Vec<(Trace, u64, bool)> {
        let mut expired = Vec::new();
        while let Some((deadline, trace)) = self.by_deadline.first()
            && *deadline <= now
        {
            let trace = trace.clone();
            let flight = self.end(&trace).expect("both maps have the same messages");
            expired.push((trace, flight.key, flight.sent));
        }
        expired
    }

    /// Ends all, in the order of their deadlines: key, and whether they were sent.
    pub(super) fn end_all(&mut self) -> Vec<(u64, bool)> {
        let ended = self.expired(i64::MAX);
        ended.into_iter().map(|(_, key, sent)| (key, sent)).collect()
    }

    fn end(&mut self, trace: &Trace) -> Option<Flight> {
        let (trace, flight) = self.by_trace.remove_entry(trace)?;
        self.keys.remove(&flight.key);
        let deadline = (flight.deadline, trace);
        self.by_deadline.remove(&deadline);
        if flight.sent {
            if self.ended.len() == ENDED_KEPT {
                self.ended.pop_front();
            }
            self.ended.push_back((deadline.1, flight.key));
        }
        Some(flight)
    }
}
