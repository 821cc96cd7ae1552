//! The RTP participant: the other bank and the network before it, in one.
//!
//! # What it answers
//!
//! `POST /messages`, one ISO 20022 message in TCH's or FedNow's wrapper; the answer is in the
//! wrapper and dialect of the question.
//!
//! | message | answer |
//! |---|---|
//! | pacs.008 | 200 with a pacs.002: ACTC (TCH) or ACSC (FedNow), or what the table of amounts says |
//! | pacs.008 again, the same | 200 with its payment's pacs.002 as it is now; it is paid once |
//! | pacs.008 again, same `MsgId`, other content | 200, RJCT `DUPL`; nothing is booked |
//! | pacs.008 older than the window | 200, RJCT `TM01`; booked as rejected |
//! | pacs.028 about a known payment | 200 with its pacs.002 as it is now |
//! | pacs.028 about another | 200, RJCT with [`iso20022::reasons::never_arrived`]: `NOAT` as `Prtry` (TCH), `NOOR` (FedNow) |
//! | anything else | 400 with the errors, one a line; kept in `rtp-unmatched.jsonl` |
//! | more than 64 KiB | 413 |
//! | any, while the books cannot be written | 503; nothing is booked |
//!
//! # The table of amounts
//!
//! Minor units whose last six digits are `77` and a code:
//!
//! | code | outcome |
//! |---|---|
//! | 9500 | booked, and never acknowledged; an enquiry finds it accepted |
//! | 9501 | swallowed; an enquiry finds that it never arrived |
//! | 9502 | ACWP; 2 s later accepted, told by callback until a 2xx comes, and by enquiry |
//! | 9511 to 9521 | RJCT with AC03 AC04 AC06 AC14 AG01 AG03 AM02 AM04 AM09 BE04 MD07 |
//! | 9600 | accepted and answered; then connections are refused for 10 s |
//!
//! Whatever is answered is in the books (`rtp-books.jsonl`, fsynced) before.

mod booking;
mod callback;
mod desk;
mod server;
mod table;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::books::Payment;
use crate::door::{self, Gate};
use crate::fault::{ActiveFault, Fault, Faults, Limit, Rail};
use crate::journal::Notes;
use crate::wire::{Direction, Wire};
use crate::{Clock, Config, Timings, end};
use desk::Desk;
use server::Server;

/// Most bytes of `rtp-unmatched.jsonl`.
const UNMATCHED_LIMIT: u64 = 16 << 20;

/// The running participant.
pub(crate) struct Participant {
    shared: Arc<Shared>,
    server: Server,
}

/// What connections, callbacks and the operator share.
struct Shared {
    desk: Desk,
    faults: Faults,
    wire: Wire,
    gate: Gate,
    clock: Clock,
    timings: Timings,
    callback: Option<callback::Target>,
    unmatched: Mutex<Notes>,
    unmatched_count: AtomicU64,
    /// Set when the participant stops; tasks that wait end then.
    stop: watch::Sender<bool>,
}

/// A line of `rtp-unmatched.jsonl`.
#[derive(Serialize)]
struct Unmatched<'a> {
    time: String,
    reason: &'a str,
    text: &'a str,
}

impl Participant {
    pub(crate) async fn start(config: Config) -> io::Result<Self> {
        let dir = config.dir.join("sandbox");
        std::fs::create_dir_all(&dir)?;
        let callback = config.callback_url.as_deref().map(callback::Target::parse).transpose()?;
        let (desk, owed) = Desk::open(&dir.join("rtp-books.jsonl"))?;
        let wire =
            if config.keep_wire { Wire::into(&dir.join("rtp"), "xml")? } else { Wire::off() };
        let notes = Notes::open(&dir.join("rtp-unmatched.jsonl"), UNMATCHED_LIMIT)?;
        let listener = door::listen(config.rtp_listen).await?;
        let shared = Arc::new(Shared {
            desk,
            faults: Faults::new(Rail::Rtp),
            wire,
            gate: Gate::new(),
            clock: config.clock,
            timings: config.timings,
            callback,
            unmatched: Mutex::new(notes),
            unmatched_count: AtomicU64::new(0),
            stop: watch::Sender::new(false),
        });
        for booking in owed {
            callback::finish_later(&shared, booking);
        }
        let server = Server::start(Arc::clone(&shared), listener)?;
        Ok(Self { shared, server })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn fault(&self, fault: Fault, limit: Limit) {
        match (fault, limit) {
            (Fault::Refuse, Limit::For(duration)) => self.shared.gate.close_for(duration),
            (Fault::Refuse, Limit::Count(_)) => self.shared.gate.open(),
            _ => {}
        }
        self.shared.faults.set(fault, limit);
    }

    pub(crate) fn faults(&self) -> Vec<ActiveFault> {
        self.shared.faults.list()
    }

    pub(crate) async fn books(&self) -> io::Result<Vec<Payment>> {
        self.shared.desk.books().await
    }

    pub(crate) fn unmatched(&self) -> u64 {
        self.shared.unmatched_count.load(Ordering::Relaxed)
    }

    pub(crate) async fn shutdown(self) {
        self.shared.stop.send_replace(true);
        self.server.stopped().await;
        // Tasks that hold the shared state end at once.
        let close = |last: Shared| {
            last.desk.close();
            last.wire.close();
        };
        end(self.shared, "the RTP participant", close).await;
    }
}

impl Shared {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    fn keep_unmatched(&self, reason: &str, bytes: &[u8]) {
        self.unmatched_count.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(bytes);
        let time = iso20022::DateTime::from_unix_micros(self.now()).to_string();
        match serde_json::to_vec(&Unmatched { time, reason, text: &text }) {
            Ok(line) => self.unmatched.lock().append(line),
            Err(error) => tracing::warn!(%error, "an unmatched message was not kept"),
        }
        tracing::info!(reason, "a message that the RTP participant cannot match");
    }

    fn kept(&self, direction: Direction, bytes: &[u8]) {
        let time = || iso20022::DateTime::from_unix_micros(self.now()).to_string();
        self.wire.keep(time, direction, bytes);
    }
}
