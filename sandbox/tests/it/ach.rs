//! The bank from outside: real SSH on free ports, a client of russh and one of OpenSSH, a clock that
//! the test moves.

mod client;
mod crashes;
mod faults;
mod files;
mod life;
mod openssh;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nacha::{File, ReturnCode};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use sandbox::{Fault, Limit, Payment, Rail, Sandbox, State};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{START, config, http};
use client::Client;

/// The client's key.
pub fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[1; 32]))
}

/// A bank with short times, and its clock.
pub struct World {
    pub sandbox: Sandbox,
    pub clock: Arc<AtomicI64>,
    pub dir: Arc<tempfile::TempDir>,
    settlement: Option<Duration>,
}

async fn start(dir: &Path, clock: &Arc<AtomicI64>, settlement: Option<Duration>) -> Sandbox {
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut config = config(dir, clock, nowhere);
    config.ach_client_key = Some(key().public_key().to_openssh().unwrap());
    config.timings.ach_settlement = settlement;
    Sandbox::start(config).await.unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(Some(Duration::from_secs(2))).await
    }

    /// With a time from acceptance to settlement, or with true days.
    pub async fn with(settlement: Option<Duration>) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let clock = Arc::new(AtomicI64::new(START));
        let sandbox = start(dir.path(), &clock, settlement).await;
        Self { sandbox, clock, dir, settlement }
    }

    /// Stops the bank, does something with its directory, and starts it again on it.
    pub async fn restarted(self, meanwhile: impl FnOnce(PathBuf)) -> Self {
        self.sandbox.shutdown().await;
        meanwhile(self.dir.path().join("sandbox"));
        let sandbox = start(self.dir.path(), &self.clock, self.settlement).await;
        Self { sandbox, ..self }
    }

    pub fn address(&self) -> SocketAddr {
        self.sandbox.ach_address.unwrap()
    }

    pub async fn client(&self) -> Client {
        Client::connect(self).await.unwrap()
    }

    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).unwrap();
        self.clock.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn fault(&self, fault: Fault) {
        self.sandbox.fault(Rail::Ach, fault, Limit::Count(1)).unwrap();
    }

    /// The payments of the bank, when all of them are in one of these states.
    pub async fn books_when(&self, states: &[State]) -> Vec<Payment> {
        let begin = Instant::now();
        loop {
            let books = self.sandbox.books().await.unwrap();
            if books.iter().map(|payment| payment.state).eq(states.iter().copied()) {
                return books;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "{books:?}, not {states:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Uploads a file and waits for its acknowledgement.
    pub async fn send(&self, name: &str, file: &File) -> Value {
        let client = self.client().await;
        client.upload(name, &file.write().unwrap()).await.unwrap();
        client.acknowledgement(name).await
    }
}

fn return_code(number: u8) -> ReturnCode {
    ReturnCode::new(number).unwrap()
}

#[tokio::test]
async fn without_a_client_there_is_no_bank() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(START));
    let callback = http::Receiver::start().await;
    let sandbox = Sandbox::start(config(dir.path(), &clock, callback.address)).await.unwrap();
    assert_eq!((sandbox.ach_address, sandbox.ach_host_key.as_deref()), (None, None));
    let refused = sandbox.fault(Rail::Ach, Fault::DiskFull, Limit::Count(1)).unwrap_err();
    assert_eq!(refused.to_string(), "the sandbox has no rail ach");
    let refused = sandbox.fault(Rail::Rtp, Fault::DiskFull, Limit::Count(1)).unwrap_err();
    assert_eq!(refused.to_string(), "the sandbox has no fault disk-full of rtp");
}
