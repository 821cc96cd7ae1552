//! The process as it is in this world: the services of the binary on one thread, a store without
//! threads, a clock and chance of the run.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use runtime::{Clock, Elsewhere, Machine, Running, Settings, Wiring};
use store::{AtCommit, Location, Options, Store, Writer};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

use crate::{death::Death, plan::Jump, random::Random};

/// How often the log is put into the database, at most.
const CHECKPOINT_MICROS_MOST: u64 = 400_000;
/// Where files are in memory, if there is such a place and `TMPDIR` names no other.
const IN_MEMORY: &str = "/dev/shm";

/// One thread, and time that moves when nothing is left to do.
pub(crate) fn runtime() -> Runtime {
    let built = Builder::new_current_thread().enable_time().start_paused(true).build();
    built.expect("a runtime can be made")
}

pub(crate) fn folder() -> TempDir {
    let memory = Path::new(IN_MEMORY);
    let in_memory = std::env::var_os("TMPDIR").is_none() && memory.is_dir();
    let made = if in_memory { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

pub(crate) fn services(store: &Store) -> Vec<Wiring> {
    let methods = payment_methods::Config {
        sandbox: true,
        deposits: payment_methods::Deposits::Simulated,
        sealing_key: payment_methods::SealingKey::new(&[7; 32]),
    };
    vec![
        accounts::service(accounts::Config { sandbox: true }).wire(),
        ledger::service(store).wire(),
        payment_methods::service(methods).wire(),
        transfers::service(store).wire(),
        webhooks::service(store).wire(),
    ]
}

/// Opens the store as the binary does, but that nothing of it has a thread.
pub(crate) fn open(
    directory: &Path,
    log_limit: u64,
    at_commit: Option<AtCommit>,
) -> (Store, Writer) {
    let options = Options {
        readers: 2,
        log_limit_bytes: log_limit,
        checkpoint_thread: false,
        keep_log: true,
        at_commit,
        ..Options::default()
    };
    let opened = Store::open(Location::Directory(directory.to_owned()), options);
    opened.unwrap_or_else(|error| panic!("the store opens: {error}"))
}

/// Starts the services on an opened store.
pub(crate) fn start(
    (store, writer): (Store, Writer),
    (directory, shards): (&Path, u32),
    clock: Clock,
    random: &Arc<Mutex<Random>>,
) -> Running {
    let services = services(&store);
    let random = Arc::clone(random);
    let machine = Machine::simulated(Arc::new(move || {
        let random = Arc::clone(&random);
        Box::new(move |bytes| random.lock().fill(bytes))
    }));
    let settings = Settings {
        shards,
        waiting_most: 10_000,
        sandbox: true,
        directory: Some(directory.to_owned()),
        clock,
    };
    let started =
        runtime::start_on(&machine, (store, writer), services, settings, &Elsewhere::default());
    started.unwrap_or_else(|fault| panic!("the services start: {fault:?}"))
}

/// The machine's clock in a life: so late at its beginning, then as fast as Tokio's, but for its jumps.
#[derive(Clone)]
pub(crate) struct MachineClock {
    born: i64,
    begin: Instant,
    jumped: Arc<AtomicI64>,
}

impl MachineClock {
    pub fn new(born: i64) -> Self {
        Self { born, begin: Instant::now(), jumped: Arc::default() }
    }
    pub fn now(&self) -> i64 {
        self.born + self.lived() + self.jumped.load(Relaxed)
    }
    /// Microseconds of this life.
    pub fn lived(&self) -> i64 {
        i64::try_from(self.begin.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
    pub fn clock(&self) -> Clock {
        let own = self.clone();
        Clock::from_micros(Arc::new(move || own.now()))
    }
    /// Jumps once it is time.
    pub async fn jumps(self, jump: Jump, death: Arc<Death>) {
        tokio::time::sleep(Duration::from_micros(jump.after_micros)).await;
        self.jumped.fetch_add(jump.by_micros, Relaxed);
        death.jumps.fetch_add(1, Relaxed);
    }
}

/// What the thread for checkpoints does.
pub(crate) async fn checkpoints(store: Store, mut random: Random) {
    loop {
        tokio::time::sleep(Duration::from_micros(1 + random.below(CHECKPOINT_MICROS_MOST))).await;
        store.checkpoint_step().unwrap_or_else(|error| panic!("a checkpoint: {error}"));
    }
}
