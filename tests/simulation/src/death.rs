//! How a process dies: at a commit, between two turns of its tasks, or at a moment; and how a disk is
//! full for a while.

use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use store::{AtCommit, Side};
use tokio::sync::Notify;

use crate::{
    client::Door,
    plan::{At, End},
    random::Random,
};

/// What a disk writes at once.
const SECTOR: usize = 512;
/// The log's header.
const HEADER: usize = 32;

/// Thrown where a process dies in the middle of a commit.
pub(crate) struct Crashed;

/// The death of one life.
#[derive(Default)]
pub(crate) struct Death {
    pub came: Arc<AtomicBool>,
    pub called: Notify,
    /// Commits so far.
    commits: AtomicU64,
    /// The process has started.
    begun: AtomicBool,
    /// Commits for which there was no room.
    pub full: AtomicU64,
    /// Jumps of the clock.
    pub jumps: AtomicU64,
    /// The log before the commit in which power was lost, and after it.
    log: Mutex<Option<(Vec<u8>, Vec<u8>)>>,
}

impl Death {
    fn comes(&self) {
        self.came.store(true, Relaxed);
        self.called.notify_one();
    }
    /// The process has started.
    pub fn has_begun(&self) {
        self.begun.store(true, Relaxed);
    }
    /// Counts a commit; its number.
    fn counts(&self, side: Side) -> u64 {
        match side {
            Side::Before => self.commits.fetch_add(1, Relaxed) + 1,
            Side::After => self.commits.load(Relaxed),
        }
    }
    /// Where power was lost in a commit: of the sectors that it changed, some are as before.
    pub fn tears(&self, log: &Path, chance: &mut Random) {
        let Some((before, mut torn)) = self.log.lock().take() else { return };
        // A log that begins anew has its header on the disk before anything else of it (SQLite syncs
        // that by itself, for what follows it would else be read as of the log before).
        let header = torn[..HEADER.min(torn.len())].to_vec();
        let keeps = chance.below(101);
        for (number, sector) in torn.chunks_mut(SECTOR).enumerate() {
            let old = before.get(number * SECTOR..).unwrap_or_default();
            let old = &old[..old.len().min(sector.len())];
            if !chance.percent(keeps) {
                // What a file became longer by is zero until it is written.
                let (same, beyond) = sector.split_at_mut(old.len());
                same.copy_from_slice(old);
                beyond.fill(0);
            }
        }
        torn[..header.len()].copy_from_slice(&header);
        std::fs::write(log, torn).expect("the log can be written");
    }
}

/// Hears of each commit: ends the process at one, where its life ends so, and has no room for some.
pub(crate) fn hears(
    log: PathBuf,
    (end, full): (Option<End>, Option<(u64, u64)>),
    death: &Arc<Death>,
) -> AtCommit {
    let death = Arc::clone(death);
    let read = move || std::fs::read(&log).unwrap_or_default();
    AtCommit(Arc::new(move |side| {
        let number = death.counts(side);
        let begun = death.begun.load(Relaxed);
        let room = full.is_none_or(|(from, count)| !(from..from + count).contains(&number));
        let at = match end {
            Some(End::Commit { number: last, at }) if number == last => at,
            // A process that finds no room at its start is not there at all.
            _ if room || !begun => return true,
            _ => {
                death.full.fetch_add(1, Relaxed);
                return false;
            }
        };
        match (at, side) {
            (At::Before, Side::Before) | (At::After, Side::After) => {}
            (At::Within, Side::Before) => {
                *death.log.lock() = Some((read(), Vec::new()));
                return true;
            }
            (At::Within, Side::After) => {
                if let Some((_, after)) = &mut *death.log.lock() {
                    *after = read();
                }
            }
            (At::Before, Side::After) | (At::After, Side::Before) => return true,
        }
        death.comes();
        resume_unwind(Box::new(Crashed));
    }))
}

/// Ends the process when a request began so many turns ago.
pub(crate) async fn dies_in_turn(door: Arc<Door>, (request, turns): (u64, u64), death: Arc<Death>) {
    while door.requests.load(Relaxed) < request {
        door.asked.notified().await;
    }
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    death.comes();
}

pub(crate) async fn dies_after(time: Duration, death: Arc<Death>) {
    tokio::time::sleep(time).await;
    death.comes();
}
