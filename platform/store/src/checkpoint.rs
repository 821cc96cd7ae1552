//! SQLite's write-ahead log is copied into the database beside the writer, and kept short.
//!
//! A thread with a connection of its own copies (PASSIVE: it waits for nobody) once enough frames
//! are outstanding. While the writer goes on, the copy rarely reaches the end, and the log only
//! starts again from its beginning when it has; so, when little is left, the thread tries once
//! after each commit, to be done before the next, and after some tries the writer copies the rest
//! itself between two transactions, at the price of a pause. Should readers hinder all that, the writer waits for
//! them, a little, once the log reaches its limit; only a snapshot held longer than that makes the
//! log longer than its limit, since nothing that a reader still sees can be overwritten.

use crate::sqlite::{self, BUSY, PAGE};
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Outstanding frames that wake the thread.
const DUE: u32 = 8_000;
/// Frames that the writer may copy by itself between two transactions.
const LITTLE: u32 = 400;
/// Commits after each of which the thread tries to copy all that is left.
const CHASES: u32 = 12;
/// Frames after which the writer tries again, when a reader kept the log from starting again.
const RETRY: u32 = 256;
/// How long the writer waits for readers once the log has reached its limit.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Nothing to do until the writer has written more.
    Idle,
    /// It copied much, and much was written meanwhile: call again.
    More,
}

/// Figures since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commits of the writer; on SQLite one fsync each (if anything was written).
    pub commits: u64,
    /// Checkpoints that copied something; two fsyncs each.
    pub checkpoints: u64,
    /// Times the log started again from its beginning.
    pub log_restarts: u64,
    /// Frames in the log now.
    pub log_frames: u64,
}

#[derive(Default)]
struct Progress {
    /// Frames in the log, as the last commit left it.
    frames: u32,
    /// Of them copied.
    copied: u32,
    /// The thread is woken at this many frames.
    due_at: u32,
    /// Tries to reach the end of this log, so far.
    chases: u32,
    /// The writer tries to finish at this many frames.
    finish_at: Option<u32>,
    /// The writer waits for the readers at this many frames.
    block_at: u32,
    /// How often the log started again; an answer about an older log is ignored.
    generation: u64,
    due: bool,
    stop: bool,
}

/// The state shared by the writer and the thread.
pub(crate) struct Checkpointer {
    conn: Mutex<Connection>,
    progress: Mutex<Progress>,
    wake: Condvar,
    limit: u32,
    checkpoints: AtomicU64,
}

impl Checkpointer {
    pub(crate) fn new(conn: Connection, limit_bytes: u64) -> Checkpointer {
        let limit = u32::try_from(limit_bytes / (PAGE + 24)).unwrap_or(u32::MAX / 2);
        let progress = Progress { due_at: DUE.min(limit), block_at: limit, ..Progress::default() };
        Checkpointer {
            conn: Mutex::new(conn),
            progress: Mutex::new(progress),
            wake: Condvar::new(),
            limit,
            checkpoints: AtomicU64::new(0),
        }
    }

    pub(crate) fn fill(&self, counters: &mut Counters) {
        let progress = self.progress.lock();
        counters.checkpoints = self.checkpoints.load(Relaxed);
        counters.log_restarts = progress.generation;
        counters.log_frames = u64::from(progress.frames);
    }

    /// The writer has committed and the log now holds `frames`.
    pub(crate) fn committed(&self, frames: u32) {
        let mut p = self.progress.lock();
        if frames <= p.frames {
            p.copied = 0;
            p.chases = 0;
            p.generation += 1;
            p.due_at = DUE.min(self.limit);
            p.block_at = self.limit;
            p.finish_at = None;
        }
        p.frames = frames;
        if frames >= p.due_at && !p.due {
            p.due = true;
            self.wake.notify_one();
        }
    }

    /// The work of the thread: copies once what is outstanding.
    pub(crate) fn step(&self) -> Result<Checkpoint> {
        let (generation, before) = {
            let mut p = self.progress.lock();
            p.due = false;
            (p.generation, p.copied)
        };
        let (busy, log, copied) = passive(&self.conn.lock())?;
        let mut p = self.progress.lock();
        if busy || p.generation != generation {
            return Ok(Checkpoint::Idle);
        }
        self.note(&mut p, before, copied);
        p.due_at = (copied + DUE).max(log + DUE / 4).min(self.limit.max(log + 1));
        if p.frames.saturating_sub(copied) <= LITTLE {
            if p.frames > copied && p.chases < CHASES {
                p.chases += 1;
                p.due_at = p.frames + 1;
            } else {
                p.finish_at = Some(p.frames);
            }
            return Ok(Checkpoint::Idle);
        }
        Ok(if copied > before { Checkpoint::More } else { Checkpoint::Idle })
    }

    fn note(&self, p: &mut Progress, before: u32, copied: u32) {
        if copied > before {
            self.checkpoints.fetch_add(1, Relaxed);
        }
        p.copied = copied;
    }

    /// The writer's part, between two transactions.
    pub(crate) fn finish_if_due(&self, writer: &Connection) -> Result<()> {
        let (blocked, before) = {
            let p = self.progress.lock();
            let blocked = p.frames >= p.block_at;
            let finish = p.finish_at.is_some_and(|at| p.frames >= at)
                && p.frames.saturating_sub(p.copied) <= 2 * LITTLE;
            if !blocked && !finish {
                return Ok(());
            }
            (blocked, p.copied)
        };
        let (busy, log, copied) = if blocked {
            // The thread's copy, if one is under way, is waited for without a limit of time.
            let _own_turn = self.conn.lock();
            restart(writer)?
        } else {
            passive(writer)?
        };
        let mut p = self.progress.lock();
        if !busy || copied > 0 {
            self.note(&mut p, before, copied.max(before));
            p.due_at = (p.copied + DUE).max(log + DUE / 4);
        }
        p.finish_at = Some(p.frames + RETRY);
        if blocked {
            // Later and later: a reader of minutes must not stop the writer each time.
            p.block_at = p.frames + p.frames / 4;
        }
        Ok(())
    }

    /// What the thread does until it is stopped: sleeps until there is work, then steps.
    pub(crate) fn drive(&self) {
        loop {
            {
                let mut p = self.progress.lock();
                while !p.due && !p.stop {
                    self.wake.wait(&mut p);
                }
                if p.stop {
                    return;
                }
            }
            // An error here is no loss (the log holds all), and the next commit wakes again.
            while matches!(self.step(), Ok(Checkpoint::More)) {
                if self.progress.lock().stop {
                    return;
                }
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.progress.lock().stop = true;
        self.wake.notify_one();
    }
}

fn passive(conn: &Connection) -> Result<(bool, u32, u32)> {
    sqlite::checkpoint(conn, "PASSIVE").map_err(fatal)
}

fn restart(conn: &Connection) -> Result<(bool, u32, u32)> {
    conn.busy_timeout(PATIENCE)?;
    let answer = sqlite::checkpoint(conn, "RESTART").map_err(fatal);
    conn.busy_timeout(BUSY)?;
    answer
}

fn fatal(e: rusqlite::Error) -> Error {
    sqlite::die_on_io_error(&e, "a checkpoint");
    e.into()
}
