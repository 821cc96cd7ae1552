//! The courier: keeps a session with the bank while there is something to bring or to await.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use runtime::Platform;

use super::{OWN_TROUBLE, looks::Looked, unsigned};
use crate::{
    Ach,
    domain::{State, files::FileState},
    http::micros,
    link::{Lease, Pauses, Session, Trouble},
    store,
};

/// Files brought in one pass.
const FILES_MOST: usize = 64;
/// After a moved clock the bank does what has become due meanwhile: it is looked for
/// for so long and so often, whatever is open.
const AFTER_A_MOVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(200));

pub struct Courier {
    pub(super) ach: Arc<Ach>,
    pub(super) platform: Platform,
    /// Attempts to get a session.
    sessions: Pauses,
    /// Attempts to bring files, by a session that works.
    pub(super) uploads: Pauses,
    session: Option<Session>,
    pub(super) looked: Looked,
    /// Monotonic microseconds: the next look, and until when it is looked often.
    next_look: u64,
    brisk_until: u64,
}

/// What there is to do.
struct Work {
    files: Vec<store::File>,
    /// Something is open at the bank.
    open: bool,
    /// Business time of the newest file.
    newest: Option<i64>,
}

impl Courier {
    pub fn new(ach: Arc<Ach>, platform: Platform) -> Self {
        let (sessions, uploads) =
            (Pauses::new(ach.config.retry_most), Pauses::new(ach.config.retry_most));
        Self {
            ach,
            platform,
            sessions,
            uploads,
            session: None,
            looked: Looked::default(),
            next_look: 0,
            brisk_until: 0,
        }
    }
    pub async fn run(mut self) {
        let link = Arc::clone(&self.ach.link);
        let platform = self.platform.clone();
        let mut moved = platform.clock().moves();
        loop {
            // A session is dropped where it stands when the process stops: what is durable says how
            // far it came.
            let pause = tokio::select! {
                biased;
                () = platform.stopping() => return,
                pause = self.pass() => pause,
            };
            let due = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = platform.stopping() => return,
                () = link.courier.notified() => {}
                _ = moved.changed() => {
                    let now = platform.monotonic().micros();
                    self.brisk_until = now + unsigned(AFTER_A_MOVE.0);
                    self.next_look = now;
                }
                () = due => {}
            }
        }
    }
    fn now(&self) -> u64 {
        self.platform.monotonic().micros()
    }
    /// Does what is to be done; how long nothing more is.
    async fn pass(&mut self) -> Option<Duration> {
        let Some(lease) = self.ach.link.lease() else {
            self.session = None;
            self.ach.link.note(|seen| seen.connected = false);
            return None;
        };
        let Ok(work) = self.work().await else { return Some(OWN_TROUBLE) };
        let now = self.now();
        let business = self.platform.clock().now().0;
        let awaits = micros(self.ach.config.returns_within);
        let recent = work.newest.is_some_and(|newest| business.saturating_sub(newest) < awaits);
        let look = match () {
            () if now < self.brisk_until => AFTER_A_MOVE.1.min(self.ach.config.look),
            () if work.open || recent => self.ach.config.look,
            () => self.ach.config.look_idle,
        };
        // Before the first file there is nothing that the bank could say.
        work.newest?;
        if let Some(until) = self.sessions.until(now) {
            return Some(Duration::from_micros(until - now));
        }
        let held_back = self.uploads.until(now);
        let to_bring = !work.files.is_empty() && held_back.is_none();
        if to_bring || now >= self.next_look {
            match self.visit(work.files, held_back.is_none(), lease, look).await {
                Ok(()) => {
                    self.sessions.succeeded();
                    self.ach.link.set_retry(None);
                    self.ach.link.note(|seen| {
                        if seen.failures > 0 {
                            tracing::info!(
                                attempts = seen.failures,
                                "ach: the bank is there again"
                            );
                        }
                        (seen.connected, seen.failures, seen.why) = (true, 0, None);
                    });
                }
                Err(trouble) => self.failed(&trouble),
            }
        }
        let now = self.now();
        let next = match self.sessions.until(now) {
            Some(until) => until,
            None => self.uploads.until(now).map_or(self.next_look, |at| at.min(self.next_look)),
        };
        Some(Duration::from_micros(next.saturating_sub(now).max(1_000)))
    }
    async fn work(&self) -> Result<Work, contracts::Refusal> {
        self.platform
            .read(|tx| {
                let files = store::list_to_send(tx, FileState::Held, FILES_MOST)?;
                let awaited = store::list_to_send(tx, FileState::Acknowledged, 1)?;
                let open = !awaited.is_empty()
                    || !store::list_due(tx, State::Originated, 1)?.is_empty()
                    || !store::list_due(tx, State::Claimed, 1)?.is_empty();
                let newest = store::list_newest_files(tx, 1)?.pop().map(|file| file.created);
                Ok(Work { files, open, newest })
            })
            .await
    }
    /// Brings files and looks around.
    async fn visit(
        &mut self,
        files: Vec<store::File>,
        brings: bool,
        lease: Lease,
        look: Duration,
    ) -> Result<(), Trouble> {
        let session = match self.session.take().filter(Session::is_open) {
            Some(session) => session,
            None => Session::open(&self.ach.config, &self.ach.link, &self.platform).await?,
        };
        if brings {
            for file in files {
                self.bring(&session, file, lease).await?;
            }
        }
        if self.now() >= self.next_look {
            self.look(&session, lease).await?;
            let looked = self.platform.clock().machine();
            self.ach.link.note(|seen| seen.looked = Some(looked));
            self.next_look = self.now() + unsigned(look);
        }
        self.session = Some(session);
        Ok(())
    }
    fn failed(&mut self, trouble: &Trouble) {
        self.session = None;
        let now = self.now();
        match trouble {
            Trouble::WrongKey(shown) => {
                tracing::error!(shown, "ach: a person must look: the bank's host key is not ours");
                self.sessions.failed_for_long(now);
            }
            _ => self.sessions.failed(now, now),
        }
        self.ach.link.set_retry(self.sessions.until(now));
        self.ach.link.note(|seen| {
            seen.connected = false;
            seen.failures = seen.failures.saturating_add(1);
            let why = trouble.to_string();
            // Once for each reason: it is tried every few seconds, for hours if need be.
            if seen.why.as_ref() != Some(&why) {
                tracing::warn!(why, "ach: the bank is away, and is tried until it is there");
            }
            seen.why = Some(why);
        });
    }
}

/// Names with sizes, as a look found them.
pub(super) type Sizes = BTreeMap<String, u64>;
