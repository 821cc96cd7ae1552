//! Faults that an operator sets: which, for how many messages or how long.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use tokio::time::Instant;

/// The rails that have a counterparty here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rail {
    /// ACH: NACHA files over SFTP.
    Ach,
    /// Cards: ISO 8583 over TCP.
    Card,
    /// Real-time payments: ISO 20022 over HTTP.
    Rtp,
}

/// What can go wrong. A fault of a message is taken by the next message; `refuse` and `half-open`
/// by the next connection, or the next message on an open one. Of the card host's messages only
/// those about money count: not sign-on, sign-off and echo. What comes "by callback" comes on the
/// card host's connection, if it is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `--for`: nobody listens (connection refused), open connections are closed when their answer
    /// is out. `--count`: as many connections are reset before a byte was read.
    Refuse,
    /// The message is read, not processed, and never answered; the connection stays open.
    Hang,
    /// Processed and booked; the connection is closed without an answer.
    DropReply,
    /// Processed and booked; the answer comes after [`late`](crate::Timings::late): on the
    /// connection if the client still waits, else by callback.
    LateReply,
    /// Processed and booked; answered, and the same answer comes by callback too.
    DuplicateReply,
    /// Processed and booked; the answer (over HTTP: 200) has bytes that are no message.
    Garbage,
    /// The connection is accepted and then dead: nothing is read, nothing sent, not closed.
    HalfOpen,
    /// Processed and booked; half of the answer is sent, then the connection is closed.
    CloseMidMessage,
    /// Processed and booked; the answer dribbles over [`slow`](crate::Timings::slow).
    Slow,
    /// SFTP: a write fails, as it does when no space is left.
    DiskFull,
    /// SFTP: a rename fails.
    RenameFails,
    /// SFTP: a write is acknowledged, but from the middle of its bytes on nothing is kept of what is
    /// written to that file.
    PartialUpload,
    /// SFTP: a connection is met with another host key.
    WrongHostKey,
    /// Card: a reversal is answered, and not booked.
    ForgetReversals,
}

/// All faults with their names at the command line.
const NAMES: [(Fault, &str); 14] = [
    (Fault::Refuse, "refuse"),
    (Fault::Hang, "hang"),
    (Fault::DropReply, "drop-reply"),
    (Fault::LateReply, "late-reply"),
    (Fault::DuplicateReply, "duplicate-reply"),
    (Fault::Garbage, "garbage"),
    (Fault::HalfOpen, "half-open"),
    (Fault::CloseMidMessage, "close-mid-message"),
    (Fault::Slow, "slow"),
    (Fault::DiskFull, "disk-full"),
    (Fault::RenameFails, "rename-fails"),
    (Fault::ForgetReversals, "forget-reversals"),
    (Fault::PartialUpload, "partial-upload"),
    (Fault::WrongHostKey, "wrong-host-key"),
];

/// How long a fault stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// For so many messages (or connections); 0 ends the fault.
    Count(u32),
    /// For so long from now.
    For(Duration),
}

/// A fault that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveFault {
    /// Where.
    pub rail: Rail,
    /// What.
    pub fault: Fault,
    /// How much of it is left.
    pub left: Limit,
}

impl Serialize for ActiveFault {
    /// `{"rail", "fault", "count"}` or `{"rail", "fault", "forMillis"}`: what is left.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ActiveFault", 3)?;
        object.serialize_field("rail", self.rail.name())?;
        object.serialize_field("fault", self.fault.name())?;
        match self.left {
            Limit::Count(count) => object.serialize_field("count", &count)?,
            Limit::For(left) => {
                let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                object.serialize_field("forMillis", &millis)?;
            }
        }
        object.end()
    }
}

/// A name of no rail or no fault, or a fault that the rail does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName(pub String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sandbox has no {}", self.0)
    }
}

impl std::error::Error for UnknownName {}

impl Rail {
    /// Its name at the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ach => "ach",
            Self::Card => "card",
            Self::Rtp => "rtp",
        }
    }
}

impl FromStr for Rail {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        match name {
            "ach" => Ok(Self::Ach),
            "card" => Ok(Self::Card),
            "rtp" => Ok(Self::Rtp),
            other => Err(UnknownName(format!("rail {other}"))),
        }
    }
}

impl Fault {
    /// Whether a rail has it.
    pub(crate) fn is_of(self, rail: Rail) -> bool {
        match self {
            Self::DiskFull | Self::RenameFails | Self::PartialUpload | Self::WrongHostKey => {
                rail == Rail::Ach
            }
            Self::ForgetReversals => rail == Rail::Card,
            _ => true,
        }
    }

    /// Its name at the command line.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(fault, _)| *fault == self);
        found.expect("every fault has a row in NAMES").1
    }
}

impl FromStr for Fault {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(fault, _)| *fault).ok_or_else(|| {
            let known = NAMES.map(|(_, name)| name).join(", ");
            UnknownName(format!("fault {name}; there are {known}"))
        })
    }
}

/// The faults of one rail.
#[derive(Debug)]
pub(crate) struct Faults {
    rail: Rail,
    active: Mutex<Vec<(Fault, Left)>>,
}

#[derive(Debug, Clone, Copy)]
enum Left {
    Count(u32),
    Until(Instant),
}

impl Faults {
    pub(crate) fn new(rail: Rail) -> Self {
        Self { rail, active: Mutex::new(Vec::new()) }
    }

    pub(crate) fn set(&self, fault: Fault, limit: Limit) {
        let mut active = self.active.lock();
        active.retain(|(other, _)| *other != fault);
        match limit {
            Limit::Count(0) => {}
            Limit::Count(count) => active.push((fault, Left::Count(count))),
            Limit::For(duration) => active.push((fault, Left::Until(Instant::now() + duration))),
        }
    }

    /// Takes the first active fault of those that `wanted` picks, and counts it.
    pub(crate) fn take(&self, wanted: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut active = self.active.lock();
        if active.is_empty() {
            return None;
        }
        let now = Instant::now();
        active.retain(|(_, left)| !matches!(left, Left::Until(end) if *end <= now));
        // To refuse for a time is the gate's business, which has nobody listen.
        let here = |(fault, left): &(Fault, Left)| {
            !matches!((fault, left), (Fault::Refuse, Left::Until(_))) && wanted(*fault)
        };
        let index = active.iter().position(here)?;
        let (fault, left) = &mut active[index];
        let fault = *fault;
        if let Left::Count(count) = left {
            *count -= 1;
            if *count == 0 {
                active.remove(index);
            }
        }
        Some(fault)
    }

    pub(crate) fn list(&self) -> Vec<ActiveFault> {
        let now = Instant::now();
        let active = self.active.lock();
        let left = |left: &Left| match left {
            Left::Count(count) => Some(Limit::Count(*count)),
            Left::Until(end) => (*end > now).then(|| Limit::For(*end - now)),
        };
        active
            .iter()
            .filter_map(|(fault, remaining)| {
                let (rail, fault) = (self.rail, *fault);
                left(remaining).map(|left| ActiveFault { rail, fault, left })
            })
            .collect()
    }
}
