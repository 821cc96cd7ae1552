//! The card host: the processor, the network and the issuer behind one TCP port.
//!
//! # What it answers
//!
//! ISO 8583:1987 by [`iso8583::Spec::ascii87`], two bytes of length before each message. Any number
//! of connections; each signs on for itself.
//!
//! | message | answer |
//! |---|---|
//! | 0800 sign-on, echo, sign-off | 0810 with 00; after a sign-off the connection is as before the sign-on |
//! | 0100 or 0400 before the sign-on | 0110 or 0410 with 91; nothing is booked |
//! | 0100 | 0110 by the table of amounts; what is approved is captured |
//! | 0100 again, same fields 7, 11, 41 and content | 0110 as before; it is booked once |
//! | the same with other content | 0110 with 94; nothing is booked |
//! | 0100 after its own reversal | 0110 with 21; nothing is booked |
//! | 0100 of an amount of zero, of a number whose check digit is wrong | 0110 with 13, 14 |
//! | 0100 that lacks a field or has a wrong one | 0110 with 30, if there is something to answer by |
//! | 0400, 0401 of an approval | 0410 with 00; it is reversed, also after it was settled |
//! | 0400, 0401 of a decline, or again | 0410 with 00 |
//! | 0400, 0401 of an approval of another amount | 0410 with 64; partial reversals are not done |
//! | 0400, 0401 of an original that did not come | 0410 with 25, and remembered |
//! | any, while the books cannot be written | 0110 or 0410 with 96; nothing is booked |
//! | anything else | nothing; noted in `card-unmatched.jsonl` |
//! | bytes that are no message | the connection is closed; noted likewise, without the bytes |
//!
//! Every number that passes the check digit is a card, whatever its expiry. An approval settles one
//! settlement later ([`Timings::settlement`], business clock), of which no message tells, but a file
//! does: see [`settlement`].
//!
//! # The table of amounts
//!
//! Minor units whose last six digits are `77` and a code; alike for payments, refunds, pulls and
//! pushes:
//!
//! | code | outcome |
//! |---|---|
//! | 9700 | approved and booked; the answer is lost |
//! | 9701 | no answer, and nothing is booked |
//! | 9702 | approved and booked; the answer comes when the reversal has come, just before the reversal's own, and at the latest after [`Timings::hold`] |
//! | 97NN, NN 03 to 99 | declined with NN, if [`iso8583::response::meaning`] has NN as a decline |
//! | 9600 | approved and answered; then connections are refused for 10 s, and open ones closed |
//!
//! Whatever is answered is in the books (`card-books.jsonl`, fsynced) before. No card number is in
//! books or notes but masked; only `--keep-wire` keeps messages as they were.

mod booking;
mod connection;
mod desk;
mod settlement;
mod table;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iso8583::Spec;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::books::Payment;
use crate::door::{self, Gate};
use crate::fault::{ActiveFault, Fault, Faults, Limit, Rail};
use crate::journal::Notes;
use crate::wire::{Direction, Wire};
use crate::{Clock, Config, Timings, end};
use desk::Desk;

/// Most bytes of `card-unmatched.jsonl`.
const UNMATCHED_LIMIT: u64 = 16 << 20;
/// The folder of the settlement files, in `DIR/sandbox/`.
const SETTLEMENTS: &str = "card-settlement";

/// The running host.
pub(crate) struct Host {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: JoinHandle<()>,
    settles: JoinHandle<()>,
    settlements: PathBuf,
}

/// What connections and the operator share.
struct Shared {
    spec: Spec,
    desk: Desk,
    /// Answers that wait for the reversal of what they answer (9702), by the key of its trace.
    held: Mutex<BTreeMap<u128, Vec<u8>>>,
    faults: Faults,
    wire: Wire,
    gate: Gate,
    clock: Clock,
    timings: Timings,
    unmatched: Mutex<Notes>,
    unmatched_count: AtomicU64,
    /// Set when the host stops; tasks that wait end then.
    stop: watch::Sender<bool>,
}

/// A line of `card-unmatched.jsonl`.
#[derive(Serialize)]
struct Unmatched<'a> {
    time: String,
    reason: &'a str,
}

impl Host {
    pub(crate) async fn start(config: Config) -> io::Result<Self> {
        let dir = config.dir.join("sandbox");
        std::fs::create_dir_all(&dir)?;
        let desk = Desk::open(&dir.join("card-books.jsonl"))?;
        let wire = if config.keep_wire {
            std::fs::create_dir_all(dir.join("card"))?;
            Wire::lines(&dir.join("card/messages.jsonl"))?
        } else {
            Wire::off()
        };
        let notes = Notes::open(&dir.join("card-unmatched.jsonl"), UNMATCHED_LIMIT)?;
        let listener = door::listen(config.card_listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            spec: Spec::ascii87(),
            desk,
            held: Mutex::new(BTreeMap::new()),
            faults: Faults::new(Rail::Card),
            wire,
            gate: Gate::new(),
            clock: config.clock,
            timings: config.timings,
            unmatched: Mutex::new(notes),
            unmatched_count: AtomicU64::new(0),
            stop: watch::Sender::new(false),
        });
        let (gate, stop) = (shared.gate.clone(), shared.stop.subscribe());
        let serving = Arc::clone(&shared);
        let serve = move |stream| connection::serve(Arc::clone(&serving), stream);
        let door = tokio::spawn(gate.keep(listener, stop, serve));
        let folder = dir.join(SETTLEMENTS);
        std::fs::create_dir_all(&folder)?;
        let settles = tokio::spawn(settlement::run(Arc::clone(&shared), folder.clone()));
        Ok(Self { shared, address, door, settles, settlements: folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn settlements(&self) -> &Path {
        &self.settlements
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
        let settlement = self.shared.timings.settlement.as_micros();
        let settlement = i64::try_from(settlement).unwrap_or(i64::MAX);
        self.shared.desk.books(self.shared.now(), settlement).await
    }

    pub(crate) fn unmatched(&self) -> u64 {
        self.shared.unmatched_count.load(Ordering::Relaxed)
    }

    pub(crate) async fn shutdown(self) {
        self.shared.stop.send_replace(true);
        if self.door.await.is_err() || self.settles.await.is_err() {
            tracing::error!("a task of the card host panicked");
        }
        // Tasks that hold the shared state end at once.
        let close = |last: Shared| {
            last.desk.close();
            last.wire.close();
        };
        end(self.shared, "the card host", close).await;
    }
}

impl Shared {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    fn time(&self) -> String {
        iso20022::DateTime::from_unix_micros(self.now()).to_string()
    }

    /// `reason` has no card number in it.
    fn keep_unmatched(&self, reason: &str) {
        self.unmatched_count.fetch_add(1, Ordering::Relaxed);
        match serde_json::to_vec(&Unmatched { time: self.time(), reason }) {
            Ok(line) => self.unmatched.lock().append(line),
            Err(error) => tracing::warn!(%error, "an unmatched message was not noted"),
        }
        tracing::info!(reason, "a message that the card host cannot match");
    }

    fn kept(&self, direction: Direction, bytes: &[u8]) {
        self.wire.keep(|| self.time(), direction, bytes);
    }
}
