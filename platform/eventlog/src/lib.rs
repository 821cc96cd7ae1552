//! The event log: numbered events that are committed with the state they follow from.
//!
//! One topic per emitting service, one table a topic, S shards a topic, numbers 1, 2, 3, ... without
//! a gap in each shard. A consumer's position is a row that moves by compare-and-set in the
//! transaction of its effects (rules 2, 3 and 9 of the delivery protocol). The outbox is the log.

pub mod broker;
mod cursor;
pub mod envelope;
mod feed;
mod heads;
mod lives;
mod log;
mod members;
mod positions;
mod relay;
pub mod rules;
mod share;
mod tables;
mod verify;

pub use cursor::Cursor;
pub use feed::Feed;
pub use heads::ends;
pub use lives::{Lives, restored};
pub use log::{Log, NewEvent, Numbered, Stored};
pub use members::{Member, clock_offset, join, leave, members, move_clock, process_number};
pub use relay::{Relay, RelayError, Turn, ask};
pub use share::Share;
pub use tables::{migrations, rights};
pub use verify::verify;

/// What went wrong with the log.
#[derive(Debug)]
pub enum Error {
    /// The store failed.
    Store(store::Error),
    /// Somebody else moved this consumer's position: what was done on top of it is void.
    Fenced { group: String, topic: String },
    /// Another process has written to this topic since: numbers given in memory are void.
    Overtaken { topic: String },
    /// Numbers are missing in a shard: the consumer stops, nothing is skipped.
    Gap { topic: String, shard: u32, expected: i64, found: i64 },
    /// A broker brought a number that the database has not given yet.
    Ahead { topic: String, shard: u32, end: i64, found: i64 },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(_) => f.write_str("the event log's store failed"),
            Self::Fenced { group, topic } => {
                write!(f, "position of {group} in {topic} was moved by another")
            }
            Self::Overtaken { topic } => {
                write!(f, "{topic} was written by another process meanwhile")
            }
            Self::Gap { topic, shard, expected, found } => {
                write!(f, "{topic}/{shard} goes on with {found} where {expected} is due")
            }
            Self::Ahead { topic, shard, end, found } => write!(
                f,
                "the broker has {topic}/{shard}/{found} where the database ends with {end}; if the \
                 database was put back, stop all processes and run `switchyard migrate --restored`"
            ),
        }
    }
}
impl Error {
    /// Whether a number was given that is another's.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Store(error) => error.is_conflict(),
            Self::Overtaken { .. } => true,
            _ => false,
        }
    }
}
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// An event's kind and version in one stored number.
pub fn kind_and_version(kind: i64, version: u16) -> i64 {
    (i64::from(version) << 16) | kind
}
/// The kind of a stored number.
pub fn kind_of(stored: i64) -> i64 {
    stored & 0xffff
}
/// The version of a stored number.
pub fn version_of(stored: i64) -> u16 {
    u16::try_from(stored >> 16).unwrap_or(u16::MAX)
}
