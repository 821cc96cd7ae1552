//! The connection to the bank: settings, what the tasks share, and when a connection may be tried. The
//! protocol itself is in `link/session.rs`. It knows files, not what is in them.

mod key;
mod session;

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use calendar::Windows;
use contracts::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::wire::Us;

pub use key::ClientKey;
pub use session::{Session, Trouble};

/// All settings and limits of the rail. [`Config::sandbox`] has the defaults of the fast pace.
#[derive(Clone)]
pub struct Config {
    /// Where the bank's SFTP server listens: `HOST:PORT`.
    pub bank: String,
    /// Our name there.
    pub user: String,
    /// The key with which we log in.
    pub client_key: ClientKey,
    /// The fingerprints (`SHA256:...`) of the host keys that the bank may show: one, or two while it
    /// changes them. With another one nothing is sent. Without one nothing ever is.
    pub host_keys: Vec<String>,
    /// The folder that takes our files.
    pub outbound: String,
    /// The folder with acknowledgements.
    pub acknowledgements: String,
    /// The folder with returns and notifications of change.
    pub returned: String,
    pub us: Us,
    /// How long a connection may take until it can be used.
    pub connect_within: Duration,
    /// How long one request may take.
    pub answer_within: Duration,
    /// The longest pause between attempts.
    pub retry_most: Duration,
    /// Between two looks into the bank's folders, while something is awaited.
    pub look: Duration,
    /// The same, when nothing is open and no return is likely.
    pub look_idle: Duration,
    /// How long after its file a return is likely, in business time.
    pub returns_within: Duration,
    /// How far, in business time, funds may be released beyond the last look: a return may lie there.
    pub unseen_most: Duration,
    /// Entries of one file at most.
    pub entries_most: usize,
    /// Minor units of one file at most, of debits and of credits each; a control has twelve digits.
    pub cents_most: i64,
    /// How long the lease on the bank's folders lasts without being renewed, where several processes
    /// share a store.
    pub lease: Duration,
    /// Cut-offs, settlements and holds.
    pub windows: Windows,
}

/// Twelve digits.
const CENTS_MOST: i64 = 999_999_999_999;

impl Config {
    /// The sandbox's bank at this address, at the fast pace.
    pub fn sandbox(bank: String, host_key: Option<String>, client_key: ClientKey) -> Self {
        Self {
            bank,
            user: "switchyard".to_owned(),
            client_key,
            host_keys: host_key.into_iter().collect(),
            outbound: "/outbound".to_owned(),
            acknowledgements: "/ack".to_owned(),
            returned: "/returned".to_owned(),
            us: Us::sandbox(),
            connect_within: Duration::from_secs(5),
            answer_within: Duration::from_secs(2),
            retry_most: Duration::from_secs(2),
            look: Duration::from_millis(200),
            look_idle: Duration::from_secs(5),
            returns_within: Duration::from_secs(20),
            unseen_most: Duration::from_secs(1),
            entries_most: 5_000,
            cents_most: CENTS_MOST,
            lease: Duration::from_secs(10),
            windows: Windows::fast(),
        }
    }
    /// True windows and holds, and a bank that is looked at every few minutes.
    pub fn at_true_pace(&mut self) {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        self.connect_within = Duration::from_secs(30);
        self.answer_within = Duration::from_secs(20);
        self.retry_most = 5 * MINUTE;
        self.look = 5 * MINUTE;
        self.look_idle = 60 * MINUTE;
        // Sixty days, and the banking day after them.
        self.returns_within = 65 * DAY;
        self.unseen_most = 30 * MINUTE;
        self.windows = Windows::default();
    }
    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        self.us.check()?;
        if !self.bank.contains(':') {
            return Err(format!("ach: {} is no HOST:PORT", self.bank));
        }
        if self.host_keys.len() > 2 || self.host_keys.iter().any(|key| !key.starts_with("SHA256:"))
        {
            return Err("ach: a host key is named by SHA256: and its hash; two at most".to_owned());
        }
        if !(1..=50_000).contains(&self.entries_most) {
            return Err("ach: a file has 1 to 50,000 entries".to_owned());
        }
        if !(1..=CENTS_MOST).contains(&self.cents_most) {
            return Err("ach: a file's sums have twelve digits".to_owned());
        }
        Ok(())
    }
}

/// The right to act for the bank's account until a monotonic deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    pub epoch: i64,
    pub until: u64,
}

/// What is known of the connection, for operators.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// There is a session that works.
    pub connected: bool,
    /// Attempts in a row that failed, and why the last one did.
    pub failures: u32,
    pub why: Option<String>,
    /// Machine time of the last look into the bank's folders.
    pub looked: Option<Timestamp>,
}

/// What the rail's tasks share.
pub struct Link {
    /// Something may be due: cut-offs and releases.
    pub clerk: Notify,
    /// Something may be due: uploads and looks.
    pub courier: Notify,
    lease: Mutex<Option<Lease>>,
    /// Business time until which the bank's folders were seen to hold nothing unread.
    seen_until: AtomicI64,
    /// Monotonic microseconds of the next attempt; 0 where the bank is there.
    retry_at: AtomicU64,
    seen: Mutex<Seen>,
}

impl Link {
    pub fn new() -> Self {
        Self {
            clerk: Notify::new(),
            courier: Notify::new(),
            lease: Mutex::new(None),
            // Before the first look nothing is released.
            seen_until: AtomicI64::new(0),
            retry_at: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }
    /// What is known of the connection.
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
    pub fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock());
    }
    pub fn lease(&self) -> Option<Lease> {
        *self.lease.lock()
    }
    pub fn set_lease(&self, lease: Option<Lease>) {
        let before = std::mem::replace(&mut *self.lease.lock(), lease);
        if before.map(|lease| lease.epoch) != lease.map(|lease| lease.epoch) {
            self.courier.notify_one();
        }
    }
    pub fn seen_until(&self) -> i64 {
        self.seen_until.load(Ordering::SeqCst)
    }
    /// The folders were seen to hold nothing unread at this business time.
    pub fn saw(&self, business: i64) {
        self.seen_until.fetch_max(business, Ordering::SeqCst);
    }
    /// When the bank is tried again, where it is away.
    pub fn retry_at(&self) -> Option<u64> {
        Some(self.retry_at.load(Ordering::SeqCst)).filter(|at| *at > 0)
    }
    pub fn set_retry(&self, at: Option<u64>) {
        self.retry_at.store(at.unwrap_or(0), Ordering::SeqCst);
    }
}

/// The pause after the first failure in a row.
const FIRST_MICROS: u64 = 100_000;

/// Pauses that double, after failures in a row.
#[derive(Debug)]
pub struct Pauses {
    most_micros: u64,
    failures: u32,
    until: u64,
}

impl Pauses {
    pub fn new(most: Duration) -> Self {
        let most_micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX / 2);
        Self { most_micros, failures: 0, until: 0 }
    }
    /// Until when nothing is tried; `None` where it may be.
    pub fn until(&self, now: u64) -> Option<u64> {
        (self.failures > 0 && now < self.until).then_some(self.until)
    }
    /// It worked.
    pub fn succeeded(&mut self) {
        (self.failures, self.until) = (0, 0);
    }
    /// It failed. `spread` is any number that differs between processes and failures.
    pub fn failed(&mut self, now: u64, spread: u64) {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = (FIRST_MICROS << doublings).min(self.most_micros).max(4);
        self.until = now + pause * 3 / 4 + spread % (pause / 2);
    }
    /// It failed in a way that no haste will mend.
    pub fn failed_for_long(&mut self, now: u64) {
        self.failures = self.failures.saturating_add(1).max(17);
        self.until = now + self.most_micros;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let mut pauses = Pauses::new(Duration::from_secs(2));
        assert_eq!(pauses.until(0), None);
        pauses.failed(0, 7);
        let until = pauses.until(0).unwrap();
        assert!((75_000..=150_000).contains(&until));
        assert_eq!(pauses.until(until), None);
        let mut now = until;
        for _ in 0..20 {
            now += 5_000_000;
            pauses.failed(now, 1);
            assert!(pauses.until(now).unwrap() <= now + 2_500_000);
        }
        pauses.succeeded();
        assert_eq!(pauses.until(now), None);
        pauses.failed_for_long(now);
        assert_eq!(pauses.until(now), Some(now + 2_000_000));
    }
}
