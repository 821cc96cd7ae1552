//! Admission: whether one more write may wait. It is refused, before any work, where our own
//! processing falls behind: too many wait already for what the writer commits, or an event waits
//! too long for its consumer, or the disk is nearly full.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use contracts::{Code, Refusal};

/// What is admitted is to be committed within this time.
const WAIT_MOST: Duration = Duration::from_millis(75);
/// So many may wait however slow the writer was lately: it may have had nothing to do.
const WAITING_LEAST: usize = 1_024;
/// How long an event may wait for a consumer that takes part in the commit.
const BEHIND_MOST: Duration = Duration::from_secs(5);
/// The longest pause that a refusal asks for.
const RETRY_SECONDS_MOST: u32 = 60;
/// The weight of the past in the rate is 7 of 8.
const SMOOTH: u64 = 8;

/// What the writer says of itself, and the answer that follows for the next write.
pub(crate) struct Admission {
    /// More never wait.
    most: usize,
    /// Writes that wait for their turn, before any work.
    in_line: AtomicUsize,
    /// Commands that wait for the writer.
    waiting: AtomicUsize,
    /// Commands committed a second, smoothed.
    rate: AtomicU64,
    behind_micros: AtomicU64,
    disk_full: AtomicBool,
    refused: AtomicU64,
}

impl Admission {
    /// Nothing waits.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            in_line: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            rate: AtomicU64::new(0),
            behind_micros: AtomicU64::new(0),
            disk_full: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        }
    }
    /// Commands that wait for the writer.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
    /// Writes that wait for their turn.
    pub fn in_line(&self) -> usize {
        self.in_line.load(Relaxed)
    }
    /// Writes that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
    /// One more waits.
    pub fn enters(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }
    /// One more waits for its turn, until this is dropped.
    pub fn lines_up(&self) -> InLine<'_> {
        self.in_line.fetch_add(1, Relaxed);
        InLine(self)
    }
    /// So many were taken by the writer.
    pub fn taken(&self, count: usize) {
        self.waiting.fetch_sub(count, Relaxed);
    }
    /// So many were committed in this time.
    pub fn committed(&self, count: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let now = (count as u64).saturating_mul(1_000_000) / micros;
        let past = self.rate.load(Relaxed);
        let smooth = if past == 0 { now } else { (past * (SMOOTH - 1) + now) / SMOOTH };
        self.rate.store(smooth, Relaxed);
    }
    /// The oldest event that a consumer of the commit has not applied is so old.
    pub fn behind(&self, oldest: Duration) {
        self.behind_micros.store(u64::try_from(oldest.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
    /// Whether the disk is nearly full.
    pub fn disk(&self, full: bool) {
        self.disk_full.store(full, Relaxed);
    }
    /// Refuses where one more write cannot be taken now; `Retry-After` says when it can. `turns` are
    /// given a second where the line for them does not empty.
    pub fn admit(&self, turns: Option<u64>) -> Result<(), Refusal> {
        let refusal = self.refusal(turns);
        if refusal.is_some() {
            self.refused.fetch_add(1, Relaxed);
        }
        refusal.map_or(Ok(()), Err)
    }
    fn refusal(&self, turns: Option<u64>) -> Option<Refusal> {
        if self.disk_full.load(Relaxed) {
            let refusal = Refusal::new(Code::Unavailable, "the disk is nearly full");
            return Some(refusal.retry_after(10));
        }
        let behind = self.behind_micros.load(Relaxed);
        if u128::from(behind) > BEHIND_MOST.as_micros() {
            let what = "events wait too long to be processed";
            return Some(
                Refusal::new(Code::Unavailable, what).retry_after(pause(behind / 1_000_000)),
            );
        }
        let waiting = (self.in_line() + self.waiting()) as u64;
        let rate = self.rate.load(Relaxed);
        // The writer may be fast, and the threads that serve requests busy with refusing.
        let slower = turns.map_or(rate, |turns| turns.min(rate));
        let millis = u64::try_from(WAIT_MOST.as_millis()).unwrap_or(u64::MAX);
        let fits = (slower.saturating_mul(millis) / 1_000).max(WAITING_LEAST as u64);
        if waiting < fits.min(self.most as u64) {
            return None;
        }
        Some(too_many().retry_after(pause(waiting.div_ceil(rate.max(1)))))
    }
    /// Refuses where the bound is reached that nothing passes, not even work under way.
    pub fn bound(&self) -> Result<(), Refusal> {
        if self.waiting() < self.most { Ok(()) } else { Err(too_many().retry_after(1)) }
    }
}

/// One that waits for its turn.
pub(crate) struct InLine<'a>(&'a Admission);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.in_line.fetch_sub(1, Relaxed);
    }
}

fn too_many() -> Refusal {
    Refusal::new(Code::Busy, "too many writes are waiting")
}

fn pause(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX).clamp(1, RETRY_SECONDS_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(admission: &Admission, count: usize) {
        (0..count).for_each(|_| admission.enters());
    }
    fn code(admission: &Admission) -> Option<(Code, Option<u32>)> {
        let refusal = admission.admit(None).err()?;
        Some((refusal.code, refusal.retry_after_seconds))
    }

    #[test]
    fn what_waits_follows_the_rate_between_two_bounds() {
        let admission = Admission::new(4_096);
        enter(&admission, 1_023);
        assert_eq!(code(&admission), None);
        enter(&admission, 1);
        assert!(matches!(code(&admission), Some((Code::Busy, _))));
        // 40,000 a second: 3,000 may wait.
        admission.committed(400, Duration::from_millis(10));
        enter(&admission, 1_975);
        assert_eq!(code(&admission), None);
        enter(&admission, 1);
        assert_eq!(code(&admission), Some((Code::Busy, Some(1))));
        assert_eq!(admission.refused(), 2);
        // Who waits for a turn counts as much.
        admission.taken(1);
        let in_line = admission.lines_up();
        assert!(matches!(code(&admission), Some((Code::Busy, _))));
        drop(in_line);
        assert_eq!(code(&admission), None);
        admission.taken(2_999);
        assert_eq!(code(&admission), None);
        // However fast: 4,096.
        (0..100).for_each(|_| admission.committed(1_000, Duration::from_millis(1)));
        enter(&admission, 4_096);
        assert_eq!(code(&admission), Some((Code::Busy, Some(1))));
    }

    #[test]
    fn what_waits_follows_the_turns_where_they_are_slower() {
        let admission = Admission::new(4_096);
        // 40,000 commits a second, and 20,000 turns: 1,500 are through in time, one more is not.
        admission.committed(400, Duration::from_millis(10));
        let line: Vec<_> = (0..1_500).map(|_| admission.lines_up()).collect();
        assert!(admission.admit(None).is_ok());
        assert!(admission.admit(Some(20_014)).is_ok());
        assert_eq!(admission.admit(Some(20_000)).unwrap_err().code, Code::Busy);
        drop(line);
        let _line: Vec<_> = (0..1_023).map(|_| admission.lines_up()).collect();
        assert!(admission.admit(Some(1)).is_ok(), "so many may always wait");
    }

    #[test]
    fn old_events_and_a_full_disk_refuse() {
        let admission = Admission::new(4_096);
        admission.behind(Duration::from_secs(5));
        assert_eq!(code(&admission), None);
        admission.behind(Duration::from_secs(9));
        assert_eq!(code(&admission), Some((Code::Unavailable, Some(9))));
        admission.behind(Duration::ZERO);
        admission.disk(true);
        assert_eq!(code(&admission), Some((Code::Unavailable, Some(10))));
        admission.disk(false);
        assert_eq!(code(&admission), None);
    }
}
