//! The other side of every rail: counterparties that keep books of their own, follow one table of
//! magic amounts, and misbehave on command. A separate program's code: it knows the wire formats and
//! nothing of the platform, so that its books are a second opinion.
//!
//! # The map
//!
//! - [`Sandbox`] starts the counterparties and stops them; [`Config`] has all limits.
//! - One module a rail: [`rtp`] is the RTP participant (ISO 20022 over HTTP), [`card`] the card host
//!   (ISO 8583 over TCP), [`ach`] the bank that takes NACHA files over SFTP. A further rail is a
//!   module beside them, a line in [`Rail`], and a field in [`Sandbox`].
//! - [`Fault`], [`Limit`]: what can be made to go wrong, for how many messages or how long.
//! - [`Payment`], [`State`]: the books, as anyone may compare them with the platform's.
//!
//! # Durability
//!
//! A counterparty answers only after its books are on disk (fsync, shared by all payments that wait
//! for it): `kill -9` of the process at any moment loses no payment that anyone was told of.

pub mod ach;
mod books;
pub mod card;
mod door;
mod fault;
mod journal;
pub mod rtp;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use books::{Direction, Payment, State};
pub use fault::{ActiveFault, Fault, Limit, Rail, UnknownName};

/// Microseconds since 1970, UTC: the business clock, which an operator of the sandbox can move.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How fast the outside world goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Seconds instead of days; acceptance window 3 s.
    Fast,
    /// True windows; acceptance window 20 s (FedNow's time-out clock).
    Real,
}

/// What a sandbox is started with.
#[derive(Clone)]
pub struct Config {
    /// The platform's data directory; the sandbox writes in `DIR/sandbox/` only.
    pub dir: PathBuf,
    /// Where the RTP participant listens; port 0 takes a free one.
    pub rtp_listen: SocketAddr,
    /// Where the card host listens; port 0 takes a free one.
    pub card_listen: SocketAddr,
    /// Where later answers of the RTP participant are posted:
    /// `http://127.0.0.1:8080/rails/rtp/messages`. Without, they are found by enquiry only.
    pub callback_url: Option<String>,
    /// Where the bank's SFTP server listens; port 0 takes a free one.
    pub ach_listen: SocketAddr,
    /// The one key that may log in there, as OpenSSH writes it (`ssh-ed25519 AAAA...`). Without, no
    /// bank is started.
    pub ach_client_key: Option<String>,
    /// Randomness that the bank's host key is made of when it is started on this directory for the
    /// first time.
    pub ach_host_seed: [u8; 32],
    /// Keep every message received and sent in `DIR/sandbox/<rail>/`. The card host's have card
    /// numbers in them, in the clear.
    pub keep_wire: bool,
    /// The business clock: time stamps and acceptance windows. Time-outs use tokio's clock.
    pub clock: Clock,
    /// How long everything takes.
    pub timings: Timings,
}

/// How long everything takes, on tokio's clock but for the window and the settlement.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// A credit transfer whose `CreDtTm` is older than this is refused as stale (business clock).
    pub acceptance_window: Duration,
    /// From a card's approval to its settlement (business clock).
    pub settlement: Duration,
    /// From ACWP to the final status (9502).
    pub final_after: Duration,
    /// How long connections are refused after 9600.
    pub refuse_for: Duration,
    /// How long a request that gets no answer is held open at most (9500, 9501, `hang`), and an
    /// answer is held back at most (9702).
    pub hold: Duration,
    /// How late `late-reply` is.
    pub late: Duration,
    /// How long the bytes of a `slow` answer take.
    pub slow: Duration,
    /// One attempt to post a later answer.
    pub callback: Duration,
    /// ACH: from the acceptance of a file to its settlement (business clock); without, it settles in
    /// the morning of its effective entry date, or at the time of day that its batch asks for.
    pub ach_settlement: Option<Duration>,
    /// ACH: from the acceptance of a file to a return of 99NN, which is before its settlement
    /// (business clock).
    pub ach_return: Duration,
    /// ACH: from the settlement to a return of 94NN (business clock).
    pub ach_late_return: Duration,
}

impl Timings {
    /// The timings of a pace.
    pub fn of(pace: Pace) -> Self {
        let (window, settlement) = match pace {
            Pace::Fast => (Duration::from_secs(3), Duration::from_secs(2)),
            Pace::Real => (Duration::from_secs(20), Duration::from_secs(24 * 60 * 60)),
        };
        const HOUR: Duration = Duration::from_secs(3600);
        let (ach_settlement, ach_return, ach_late_return) = match pace {
            Pace::Fast => {
                let settlement = Duration::from_secs(2);
                (Some(settlement), Duration::from_millis(500), settlement)
            }
            // The last day on which a bank brings back what a consumer never agreed to: later than any
            // hold, so that a transfer completed before.
            Pace::Real => (None, HOUR, 60 * 24 * HOUR),
        };
        Self {
            acceptance_window: window,
            settlement,
            final_after: Duration::from_secs(2),
            refuse_for: Duration::from_secs(10),
            hold: Duration::from_secs(60),
            late: window + Duration::from_secs(2),
            slow: Duration::from_millis(1500),
            callback: Duration::from_secs(5),
            ach_settlement,
            ach_return,
            ach_late_return,
        }
    }
}

/// The running counterparties.
pub struct Sandbox {
    /// Where the RTP participant listens: `POST http://ADDRESS/messages`.
    pub rtp_address: SocketAddr,
    /// Where the card host listens, plain TCP.
    pub card_address: SocketAddr,
    /// The folder where the card host leaves its settlement files.
    pub card_settlements: PathBuf,
    /// Where the bank's SFTP server listens, if there is one.
    pub ach_address: Option<SocketAddr>,
    /// The fingerprint of the bank's host key: `SHA256:...`.
    pub ach_host_key: Option<String>,
    rtp: rtp::Participant,
    card: card::Host,
    ach: Option<ach::Bank>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("rtp_address", &self.rtp_address)
            .field("card_address", &self.card_address)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Opens the books and starts all counterparties in the current tokio runtime. Fails if an
    /// address is taken, the directory cannot be written, the books are in use by another process
    /// or damaged before their last line (a torn last line is cut), the callback is no `http` URL, or
    /// a key is none.
    pub async fn start(config: Config) -> io::Result<Self> {
        let ach = ach::Bank::start(&config).await?;
        let rtp = rtp::Participant::start(config.clone()).await?;
        let card = match card::Host::start(config).await {
            Ok(card) => card,
            Err(error) => {
                rtp.shutdown().await;
                return Err(error);
            }
        };
        Ok(Self {
            rtp_address: rtp.address(),
            card_address: card.address(),
            card_settlements: card.settlements().to_owned(),
            ach_address: ach.as_ref().map(ach::Bank::address),
            ach_host_key: ach.as_ref().map(ach::Bank::fingerprint),
            rtp,
            card,
            ach,
        })
    }

    /// Makes a rail misbehave; replaces the same fault if it is active. `Limit::Count(0)` ends it.
    /// Fails if the rail is not here, or does not have that fault.
    pub fn fault(&self, rail: Rail, fault: Fault, limit: Limit) -> Result<(), UnknownName> {
        if !fault.is_of(rail) {
            return Err(UnknownName(format!("fault {} of {}", fault.name(), rail.name())));
        }
        match (rail, &self.ach) {
            (Rail::Ach, Some(ach)) => ach.fault(fault, limit),
            (Rail::Ach, None) => return Err(UnknownName("rail ach".to_owned())),
            (Rail::Card, _) => self.card.fault(fault, limit),
            (Rail::Rtp, _) => self.rtp.fault(fault, limit),
        }
        Ok(())
    }

    /// The faults that are active, rail by rail, in the order in which they were set.
    pub fn faults(&self) -> Vec<ActiveFault> {
        let ach = self.ach.as_ref().map(ach::Bank::faults).unwrap_or_default();
        [self.rtp.faults(), self.card.faults(), ach].concat()
    }

    /// Every payment as the counterparties see it, rail by rail, in the order of arrival, read from
    /// disk.
    pub async fn books(&self) -> io::Result<Vec<Payment>> {
        let ach = match &self.ach {
            Some(ach) => ach.books().await?,
            None => Vec::new(),
        };
        Ok([self.rtp.books().await?, self.card.books().await?, ach].concat())
    }

    /// How many messages no counterparty could make sense of since the start; they are in
    /// `DIR/sandbox/<rail>-unmatched.jsonl`.
    pub fn unmatched(&self) -> u64 {
        self.rtp.unmatched() + self.card.unmatched()
    }

    /// Stops listening, drops all connections, ends the writers of the books. Later answers that
    /// are owed are posted after the next start.
    pub async fn shutdown(self) {
        self.rtp.shutdown().await;
        self.card.shutdown().await;
        if let Some(ach) = self.ach {
            ach.shutdown().await;
        }
    }
}

/// Waits, for 10 s at most, until tasks gave back what they share, then ends its writers.
async fn end<T: Send + 'static>(
    mut shared: Arc<T>,
    who: &str,
    close: impl FnOnce(T) + Send + 'static,
) {
    for _ in 0..1000 {
        match Arc::try_unwrap(shared) {
            Ok(last) => {
                if tokio::task::spawn_blocking(move || close(last)).await.is_err() {
                    tracing::error!("{who}'s books were not closed");
                }
                return;
            }
            Err(still_used) => shared = still_used,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::warn!("{who} stopped with work under way");
}
