//! What a process is given by its machine: threads and randomness. A simulated one has one thread, and
//! randomness that follows from a seed; time is Tokio's and the [`Clock`](crate::Clock)'s.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::{
    ids::{self, Ids, Random},
    writer::Writing,
};

/// The machine of a process.
#[derive(Clone)]
pub struct Machine {
    random: Arc<dyn Fn() -> Random + Send + Sync>,
    one_thread: bool,
}

/// What runs the writer.
pub(crate) enum Driven {
    Thread(std::thread::JoinHandle<()>),
    Task(JoinHandle<()>),
}

impl Machine {
    /// This one: the writer has a thread, the system gives random bytes.
    pub fn system() -> Self {
        Self { random: Arc::new(ids::random), one_thread: false }
    }
    /// One on which everything runs on the thread of the runtime, and whose random bytes come from
    /// here. The store's checkpoints are somebody else's too ([`store::Store::checkpoint_step`]).
    pub fn simulated(random: Arc<dyn Fn() -> Random + Send + Sync>) -> Self {
        Self { random, one_thread: true }
    }
    /// Ids above this ordered part.
    pub(crate) fn ids(&self, last_row: i64) -> Ids {
        Ids::new(last_row, (self.random)())
    }
    /// Runs the writer until it is stopped.
    pub(crate) fn runs(&self, writing: Writing) -> Driven {
        if self.one_thread {
            return Driven::Task(tokio::spawn(writing.run_as_task()));
        }
        Driven::Thread(thread("writer", move || writing.run()))
    }
}

/// A thread of this process.
pub(crate) fn thread(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(run).expect("a process may have a few threads")
}
