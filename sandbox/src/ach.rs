//! The bank: takes NACHA files over SFTP, settles them, returns entries and notifies of changes.
//!
//! # What a client sees
//!
//! An SSH server with a host key of its own, one client key that may log in, and SFTP version 3 over
//! three folders:
//!
//! | folder | what |
//! |---|---|
//! | `/outbound` | a client writes `NAME.part` and renames it to `NAME.ach`, which hands it over |
//! | `/ack` | `NAME.ack`: JSON with file, SHA-256, accepted, reason, entry count and totals |
//! | `/returned` | `return-NNNNNN.ach` and `change-NNNNNN.ach`: NACHA files of returns and changes |
//!
//! A file is accepted whole or refused whole: with errors, or with an origin, date and modifier or a
//! content that was accepted before. Files in `/ack` and `/returned` appear whole, and a client may
//! remove them.
//!
//! # The table of amounts
//!
//! Cents whose last six digits are `77` and a code:
//!
//! | code | outcome |
//! |---|---|
//! | 99NN | returned with R NN before it settles |
//! | 94NN | settles, and is returned with R NN one settlement later |
//! | 98NN | settles, and a notification of change C NN comes with it |
//! | 9600 | settles; after the file is acknowledged, connections are refused for 10 s |
//!
//! Whatever a client can see is in the books (`ach-books.jsonl`, fsynced) before. A file of answers
//! that was booked and perhaps not seen before a crash is delivered at the next start, so it may come
//! twice: with the same bytes, under the same name.

mod answers;
mod clerk;
mod desk;
mod door;
mod moment;
mod ssh;
mod table;
mod tree;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::books::Payment;
use crate::fault::{ActiveFault, Fault, Faults, Limit, Rail};
use crate::wire::Wire;
use crate::{Clock, Config, Timings, end};
use desk::Desk;
use door::Gate;
use ssh::Keys;
use tree::Tree;

/// Uploaded files that wait for the clerk.
const UPLOADS: usize = 1024;

/// The running bank.
pub(crate) struct Bank {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: JoinHandle<()>,
    clerk: JoinHandle<()>,
}

/// What connections, the clerk and the operator share.
struct Shared {
    desk: Desk,
    tree: Tree,
    keys: Keys,
    originals: PathBuf,
    faults: Faults,
    wire: Wire,
    gate: Gate,
    clock: Clock,
    timings: Timings,
    uploads: mpsc::Sender<String>,
    /// Set when the bank stops; tasks that wait end then.
    stop: watch::Sender<bool>,
}

impl Bank {
    /// Starts the bank, if it has a client.
    pub(crate) async fn start(config: &Config) -> io::Result<Option<Self>> {
        let Some(client) = &config.ach_client_key else { return Ok(None) };
        let dir = config.dir.join("sandbox");
        std::fs::create_dir_all(&dir)?;
        let desk = Desk::open(&dir.join("ach-books.jsonl"), config.timings)?;
        let keys = Keys::open(&dir.join("ach-host-key"), &config.ach_host_seed, client)?;
        let wire =
            if config.keep_wire { Wire::into(&dir.join("ach"), "ach")? } else { Wire::off() };
        let listener = door::listen(config.ach_listen).await?;
        let address = listener.local_addr()?;
        let (uploads, uploaded) = mpsc::channel(UPLOADS);
        let shared = Arc::new(Shared {
            desk,
            tree: Tree::open(dir.join("ach-root"), dir.join("ach-unseen"))?,
            keys,
            originals: clerk::originals(&dir)?,
            faults: Faults::new(Rail::Ach),
            wire,
            gate: Gate::new(),
            clock: Arc::clone(&config.clock),
            timings: config.timings,
            uploads,
            stop: watch::Sender::new(false),
        });
        // Before anybody can upload: a file that is found is not in the clerk's line too.
        shared.make_up().await;
        let clerk = tokio::spawn(clerk::work(Arc::clone(&shared), uploaded));
        let door = tokio::spawn(door::accept(Arc::clone(&shared), listener));
        Ok(Some(Self { shared, address, door, clerk }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.shared.keys.fingerprint.clone()
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

    pub(crate) async fn shutdown(self) {
        self.shared.stop.send_replace(true);
        for task in [self.door, self.clerk] {
            if task.await.is_err() {
                tracing::error!("a task of the bank panicked");
            }
        }
        // Sessions end when their connection is cut.
        let close = |last: Shared| {
            last.desk.close();
            last.wire.close();
        };
        end(self.shared, "the bank", close).await;
    }
}

impl Shared {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Hands an uploaded file to the clerk. If the bank stops meanwhile, the next start finds it.
    async fn uploaded(&self, name: String) {
        if self.uploads.send(name).await.is_err() {
            tracing::warn!("a file was uploaded while the bank stops");
        }
    }

    /// Holds a client until it gives up (then this future is dropped) or the bank stops.
    async fn hold(&self) {
        let mut stop = self.stop.subscribe();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = sleep(self.timings.hold) => {}
        }
    }
}
