//! The two clocks: business time, which a sandbox can move, and machine time, which nothing moves.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use contracts::Timestamp;
use tokio::sync::watch;

/// Business time: cut-offs, expected dates, `createdOn`. Moved by the sandbox, never backwards.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
    offset_micros: Arc<AtomicI64>,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The machine's wall clock with no offset.
    pub fn system() -> Self {
        Self::from_micros(Arc::new(|| jiff::Timestamp::now().as_microsecond()))
    }
    /// A clock that reads these microseconds: for tests and the simulation.
    pub fn from_micros(now: Arc<dyn Fn() -> i64 + Send + Sync>) -> Self {
        let moved = watch::Sender::new(());
        Self { now, offset_micros: Arc::new(AtomicI64::new(0)), moved }
    }
    /// The business time now.
    pub fn now(&self) -> Timestamp {
        Timestamp((self.now)().saturating_add(self.offset_micros.load(Ordering::Relaxed)))
    }
    /// The machine's own time, for records of what happened when.
    pub fn machine(&self) -> Timestamp {
        Timestamp((self.now)())
    }
    /// How far business time is ahead, in microseconds.
    pub fn offset_micros(&self) -> i64 {
        self.offset_micros.load(Ordering::Relaxed)
    }
    /// Moves business time ahead to this offset; a smaller one changes nothing.
    pub fn advance_to_offset(&self, offset_micros: i64) {
        self.offset_micros.fetch_max(offset_micros, Ordering::Relaxed);
        self.moved.send_replace(());
    }
    /// Changes whenever business time is moved: whoever sleeps until a business time looks again.
    pub fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}

/// Monotonic machine time in microseconds since the process began: deadlines, leases, breakers.
#[derive(Clone)]
pub struct Monotonic(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Monotonic {
    /// The machine's monotonic clock.
    pub fn system() -> Self {
        let start = tokio::time::Instant::now();
        Self(Arc::new(move || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)))
    }
    /// Microseconds since the start.
    pub fn micros(&self) -> u64 {
        (self.0)()
    }
}
