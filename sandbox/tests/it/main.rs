//! The sandbox from outside: real HTTP on free ports, a small client, a clock that the test moves.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod ach;
mod books;
mod card;
mod faults;
mod http;
mod messages;
mod table;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sandbox::{Config, Pace, Sandbox, Timings};

/// 2026-11-24T15:33:36Z.
pub const START: i64 = 1_795_534_416_000_000;

/// A sandbox with short times, and its clock.
pub struct World {
    pub sandbox: Sandbox,
    pub clock: Arc<AtomicI64>,
    pub dir: Arc<tempfile::TempDir>,
    pub callback: http::Receiver,
}

pub fn timings() -> Timings {
    Timings {
        final_after: Duration::from_millis(300),
        refuse_for: Duration::from_millis(600),
        hold: Duration::from_secs(5),
        late: Duration::from_millis(400),
        slow: Duration::from_millis(500),
        callback: Duration::from_secs(2),
        ..Timings::of(Pace::Fast)
    }
}

pub fn config(dir: &Path, clock: &Arc<AtomicI64>, callback: SocketAddr) -> Config {
    let clock = Arc::clone(clock);
    Config {
        dir: dir.to_owned(),
        rtp_listen: "127.0.0.1:0".parse().unwrap(),
        card_listen: "127.0.0.1:0".parse().unwrap(),
        callback_url: Some(format!("http://{callback}/rails/rtp/messages")),
        ach_listen: "127.0.0.1:0".parse().unwrap(),
        ach_client_key: None,
        ach_host_seed: [7; 32],
        keep_wire: true,
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        timings: timings(),
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Timings)) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let clock = Arc::new(AtomicI64::new(START));
        let callback = http::Receiver::start().await;
        let mut config = config(dir.path(), &clock, callback.address);
        change(&mut config.timings);
        let sandbox = Sandbox::start(config).await.unwrap();
        Self { sandbox, clock, dir, callback }
    }

    /// Stops the sandbox and starts it again on the same directory.
    pub async fn restarted(self) -> Self {
        self.sandbox.shutdown().await;
        let config = config(self.dir.path(), &self.clock, self.callback.address);
        Self { sandbox: Sandbox::start(config).await.unwrap(), ..self }
    }

    pub fn address(&self) -> SocketAddr {
        self.sandbox.rtp_address
    }

    pub fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }
}
