//! What wakes the writer, a relay, or whoever else works when there is something to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// Wakes whoever waits for it: a thread, or a task.
#[derive(Default)]
pub(crate) struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
    called: Notify,
    pub(crate) stopped: AtomicBool,
    pub(crate) ended: AtomicBool,
}

impl Signal {
    /// Something may be due.
    pub fn nudge(&self) {
        let mut raised = self.raised.lock();
        if !*raised {
            *raised = true;
            self.changed.notify_one();
            self.called.notify_one();
        }
    }
    /// Whether the writer takes nothing more.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
    /// Ends the writer once nothing is left to do.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.nudge();
    }
    /// Waits for a nudge; whether there was one.
    pub fn wait(&self, most: Option<Duration>) -> bool {
        let mut raised = self.raised.lock();
        if !*raised {
            match most {
                Some(most) => {
                    self.changed.wait_for(&mut raised, most);
                }
                None => self.changed.wait(&mut raised),
            }
        }
        std::mem::take(&mut *raised)
    }
    /// The same for a task: lets others run while it waits.
    pub async fn called(&self, most: Option<Duration>) {
        let raised = async {
            while !std::mem::take(&mut *self.raised.lock()) {
                self.called.notified().await;
            }
        };
        match most {
            // Whoever waited in vain looks all the same.
            Some(most) => drop(tokio::time::timeout(most, raised).await),
            None => raised.await,
        }
    }
}

/// Says that the writer takes nothing more, also where it ended by a panic.
pub(crate) struct Ended(pub Arc<Signal>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}
