//! The connection to the host: one TCP socket, driven through the state machine of `iso8583`. It
//! knows messages and what may have left, not what they mean.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use calendar::Windows;
use iso8583::{
    Message,
    connection::{Connection, Event, Refused},
};
use parking_lot::Mutex;
use runtime::Platform;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{Notify, Semaphore},
};

use crate::{http::micros, wire::Us};

/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Messages in a row without an answer that open the circuit.
const SILENT_MOST: u32 = 16;

/// All settings and limits of the rail. [`Config::sandbox`] has the defaults of the fast pace.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the host listens: `HOST:PORT`.
    pub host: String,
    pub us: Us,
    /// How long an answer is waited for; then the authorisation is reversed.
    pub answer_within: Duration,
    /// How long a connection may take.
    pub connect_within: Duration,
    /// How long the host may be silent before it is asked whether it is there.
    pub echo_after: Duration,
    /// How long it may take to answer that, and a sign-on.
    pub echo_within: Duration,
    /// The pause before the second reversal, doubled for each further one.
    pub reverse_first: Duration,
    /// The longest pause between reversals of one authorisation.
    pub reverse_most: Duration,
    /// Authorisations claimed in one commit at most.
    pub batch: usize,
    /// Messages without an answer at most.
    pub window: usize,
    /// How long the lease on the connection lasts without being renewed, where several processes
    /// share a store.
    pub lease: Duration,
    /// When the funds of a confirmed payment are released: one settlement later.
    pub windows: Windows,
    /// The folder of the host's settlement files (`*.csv`); without one nothing is matched.
    pub settlements: Option<PathBuf>,
    /// Between two looks into it.
    pub settlements_look: Duration,
}

impl Config {
    /// The sandbox's host at this address, at the fast pace.
    pub fn sandbox(host: String) -> Self {
        Self {
            host,
            us: Us::sandbox(),
            answer_within: Duration::from_millis(2_000),
            connect_within: Duration::from_millis(2_000),
            echo_after: Duration::from_secs(10),
            echo_within: Duration::from_secs(1),
            reverse_first: Duration::from_millis(500),
            reverse_most: Duration::from_secs(10),
            batch: 64,
            window: 256,
            lease: Duration::from_secs(10),
            windows: Windows::fast(),
            settlements: None,
            settlements_look: Duration::from_millis(500),
        }
    }
}

/// A message for the driver, with the key under which its fate is told.
pub struct Outgoing {
    pub key: u64,
    pub message: Message,
    /// Monotonic microseconds by which it must be answered.
    pub deadline: u64,
}

/// The connection as others see it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `down`, `signing-on` or `signed-on`
    pub state: &'static str,
    /// Why it went down last.
    pub why: Option<String>,
    /// Monotonic microseconds of the next attempt, while it is down.
    pub retry: Option<u64>,
}

/// What worker and driver share.
pub struct Link {
    host: String,
    connect_within: Duration,
    echo: [Duration; 2],
    window: usize,
    /// Something may be due: the worker.
    pub wake: Notify,
    /// Something is to be sent, or the lease has changed: the driver.
    send: Notify,
    outgoing: Mutex<VecDeque<Outgoing>>,
    /// Free places for messages without an answer.
    pub slots: Arc<Semaphore>,
    /// The worker waits for free places.
    pub starved: AtomicBool,
    signed_on: AtomicBool,
    /// Messages in a row that were sent and not answered in time.
    silences: AtomicU32,
    /// Monotonic microseconds until which the lease covers a write.
    lease_until: AtomicU64,
    seen: Mutex<Seen>,
}

impl Link {
    /// A connection that is not yet made.
    pub fn new(config: &Config) -> Result<Self, String> {
        config.us.check()?;
        if !config.host.contains(':') {
            return Err(format!("card: {} is no HOST:PORT", config.host));
        }
        if !(1..=256).contains(&config.batch) || config.window < config.batch {
            return Err("card: a batch has 1 to 256 messages, the window at least one batch".into());
        }
        Ok(Self {
            host: config.host.clone(),
            connect_within: config.connect_within,
            echo: [config.echo_after, config.echo_within],
            window: config.window,
            wake: Notify::new(),
            send: Notify::new(),
            outgoing: Mutex::new(VecDeque::new()),
            slots: Arc::new(Semaphore::new(config.window)),
            starved: AtomicBool::new(false),
            signed_on: AtomicBool::new(false),
            silences: AtomicU32::new(0),
            lease_until: AtomicU64::new(0),
            seen: Mutex::new(Seen { state: "down", why: None, retry: None }),
        })
    }
    /// Whether messages are taken.
    pub fn is_signed_on(&self) -> bool {
        self.signed_on.load(Ordering::SeqCst)
    }
    /// Messages in a row without an answer, where they are so many that the circuit is open: the host
    /// is there, and does not do its work. No payment is sent to it then; the reversals of those that
    /// were are the probes, and the first answer closes the circuit.
    pub fn is_silent(&self) -> Option<u32> {
        let silences = self.silences.load(Ordering::SeqCst);
        (silences >= SILENT_MOST).then_some(silences)
    }
    /// A message was answered in time, or not; whether that opened or closed the circuit.
    pub fn answered(&self, in_time: bool) -> bool {
        if in_time {
            return self.silences.swap(0, Ordering::SeqCst) >= SILENT_MOST;
        }
        self.silences.fetch_add(1, Ordering::SeqCst) + 1 == SILENT_MOST
    }
    /// The connection as others see it.
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }
    /// The lease covers writes until this moment; 0 where it is lost.
    pub fn cover(&self, until: u64) {
        self.lease_until.store(until, Ordering::SeqCst);
        // The driver may rest for as long as there is no lease, also where it was this one that ran
        // out.
        self.send.notify_one();
    }
    /// Hands over a message; the caller holds a place for it, so that these are bounded.
    pub fn put(&self, outgoing: Outgoing) {
        self.outgoing.lock().push_back(outgoing);
        self.send.notify_one();
    }
    fn is_covered(&self, now: u64) -> bool {
        now < self.lease_until.load(Ordering::SeqCst)
    }
    fn show(&self, state: &'static str, why: Option<String>, retry: Option<u64>) {
        let mut seen = self.seen.lock();
        let why = why.or_else(|| if state == "signed-on" { None } else { seen.why.take() });
        *seen = Seen { state, why, retry };
        drop(seen);
        self.signed_on.store(state == "signed-on", Ordering::SeqCst);
    }
}

/// What the driver tells: the events of messages, as they come.
pub trait Hears: Send {
    /// The first byte of this message was handed to the socket.
    fn sent(&mut self, key: u64);
    /// A message's end; `None` where no byte of it left, `Some(None)` where it was not answered.
    fn ended(&mut self, key: u64, answer: Option<Option<Message>>);
    /// A message that answers nothing that is waited for.
    fn unmatched(&mut self, message: Message);
}

/// Drives the connection until the process stops.
pub struct Driver<H> {
    link: Arc<Link>,
    platform: Platform,
    connection: Connection,
    socket: Option<TcpStream>,
    hears: H,
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

impl<H: Hears> Driver<H> {
    pub fn new(link: Arc<Link>, platform: Platform, hears: H) -> Self {
        let [echo_after, network_answer_within] = link.echo.map(micros);
        let config = iso8583::connection::Config {
            in_flight_most: link.window,
            echo_after,
            network_answer_within,
            ..iso8583::connection::Config::default()
        };
        let now = signed(platform.monotonic().micros());
        let connection = Connection::new(config, now);
        Self { link, platform, connection, socket: None, hears }
    }
    pub async fn run(mut self) {
        loop {
            if self.platform.is_stopping() {
                return self.stop().await;
            }
            self.take();
            self.check_lease();
            self.connect().await;
            self.write();
            self.tell();
            if self.connection.transmit().is_empty() || self.socket.is_none() {
                self.rest(Interest::READABLE).await;
            } else {
                self.rest(Interest::READABLE | Interest::WRITABLE).await;
            }
        }
    }
    fn now(&self) -> i64 {
        signed(self.platform.monotonic().micros())
    }
    /// Takes over what is to be sent; what the connection does not take was not sent.
    fn take(&mut self) {
        let now = self.now();
        loop {
            let Some(next) = self.link.outgoing.lock().pop_front() else { return };
            let (key, deadline) = (next.key, signed(next.deadline));
            if let Err(refused) = self.connection.enqueue(now, key, &next.message, deadline) {
                if let Refused::Unwritable(error) = &refused {
                    tracing::error!(%error, "card: a message that cannot be written");
                }
                self.hears.ended(key, None);
            }
        }
    }
    /// Without the lease nothing may be written: the socket is closed first.
    fn check_lease(&mut self) {
        if self.socket.is_some() && !self.link.is_covered(self.platform.monotonic().micros()) {
            self.lose("the lease on the connection ran out");
        }
    }
    fn lose(&mut self, why: &str) {
        let was_up = self.socket.take().is_some();
        let now = self.now();
        self.connection.disconnected(now, self.platform.clock().machine().0.unsigned_abs());
        let retry = self.connection.reconnect_at().and_then(|at| u64::try_from(at).ok());
        // At the end of a process the sandbox's host signs off as the rail does.
        if was_up && !self.platform.is_stopping() {
            tracing::warn!(why, "card: the connection to the host is down");
        }
        self.link.show("down", Some(why.to_owned()), retry);
        self.tell();
    }
    async fn connect(&mut self) {
        let now = self.now();
        let due = self.connection.reconnect_at().is_some_and(|at| at <= now);
        if self.socket.is_some() || !due || !self.link.is_covered(u64::try_from(now).unwrap_or(0)) {
            return;
        }
        let host = self.link.host.clone();
        let connecting = tokio::time::timeout(self.link.connect_within, TcpStream::connect(host));
        let connected = tokio::select! {
            biased;
            () = self.platform.stopping() => return,
            connected = connecting => connected,
        };
        match connected {
            Ok(Ok(socket)) => {
                // A message is small and is answered: waiting for more would only delay it.
                let _ = socket.set_nodelay(true);
                self.socket = Some(socket);
                let utc = self.platform.clock().now().0;
                self.connection.connected(self.now(), utc);
                self.link.show("signing-on", None, None);
            }
            Ok(Err(error)) => self.lose(&format!("no connection: {error}")),
            Err(_) => self.lose("no connection in time"),
        }
    }
    /// Writes what waits, as far as the socket takes it.
    fn write(&mut self) {
        loop {
            let now = self.now();
            let Some(socket) = &self.socket else { return };
            let bytes = self.connection.transmit();
            if bytes.is_empty() {
                return;
            }
            // The clock is read just before: a lease that ran out covers no byte.
            if !self.link.is_covered(u64::try_from(now).unwrap_or(0)) {
                return self.check_lease();
            }
            match socket.try_write(bytes) {
                Ok(count) => self.connection.written(now, count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => return self.lose(&format!("writing failed: {error}")),
            }
        }
    }
    fn read(&mut self) {
        let mut buffer = [0; READ];
        loop {
            let Some(socket) = &self.socket else { return };
            match socket.try_read(&mut buffer) {
                Ok(0) => return self.lose("the host closed the connection"),
                Ok(count) => {
                    let now = self.now();
                    self.connection.received(now, &buffer[..count]);
                    self.tell();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => return self.lose(&format!("reading failed: {error}")),
            }
        }
    }
    /// Tells what happened.
    fn tell(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::SignedOn => {
                    tracing::info!("card: signed on to the host");
                    self.link.show("signed-on", None, None);
                    self.link.wake.notify_one();
                }
                Event::Sent { key } => self.hears.sent(key),
                Event::Answer { key, message } => self.hears.ended(key, Some(Some(message))),
                Event::Silent { key } => self.hears.ended(key, Some(None)),
                Event::NotSent { key } => self.hears.ended(key, None),
                Event::Unmatched { message, .. } => self.hears.unmatched(message),
                Event::Close { reason } => self.lose(&format!("closed: {reason:?}")),
            }
        }
    }
    /// Waits until there is something to do.
    async fn rest(&mut self, interest: Interest) {
        let now = self.now();
        let covered = self.link.is_covered(u64::try_from(now).unwrap_or(0));
        let reconnect = self.connection.reconnect_at().filter(|_| covered);
        let due = [self.connection.next_timeout(), reconnect].into_iter().flatten().min();
        let due = async {
            match due {
                Some(at) => {
                    let pause = u64::try_from(at - now).unwrap_or(0);
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                }
                None => std::future::pending().await,
            }
        };
        let ready = async {
            match &self.socket {
                Some(socket) => socket.ready(interest).await.map(|_| ()),
                None => std::future::pending().await,
            }
        };
        let failed = tokio::select! {
            biased;
            () = self.platform.stopping() => None,
            ready = ready => ready.err(),
            () = self.link.send.notified() => None,
            () = due => None,
        };
        if let Some(error) = failed {
            return self.lose(&format!("the socket failed: {error}"));
        }
        self.read();
        let now = self.now();
        self.connection.timeout(now);
        self.tell();
    }
    /// Signs off, and waits a moment for what is still under way.
    async fn stop(mut self) {
        const SIGN_OFF_WITHIN: Duration = Duration::from_millis(500);
        let now = self.now();
        self.connection.sign_off(now);
        let farewell = async {
            while self.socket.is_some() {
                self.write();
                let Some(socket) = &self.socket else { return };
                if socket.readable().await.is_err() {
                    return;
                }
                self.read();
            }
        };
        let _ = tokio::time::timeout(SIGN_OFF_WITHIN, farewell).await;
        self.socket = None;
        let now = self.now();
        self.connection.disconnected(now, 0);
        self.tell();
    }
}
