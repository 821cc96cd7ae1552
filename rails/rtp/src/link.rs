//! The connection to the network: one HTTP POST at a time and message, kept alive, never redirected,
//! never through a proxy. It knows bytes and what may have left, not what they mean.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::{Dialect, domain::Key, wire::Us};

/// The shortest pause after a refused connection.
const REFUSED_FIRST_MICROS: u64 = 100_000;
/// Messages in a row without an answer that open the circuit.
const SILENT_MOST: u32 = 16;
/// Idle connections are closed after this long, before a peer does.
const IDLE: Duration = Duration::from_secs(30);

type Http = Client<HttpConnector, Full<Bytes>>;

/// All settings and limits of the rail. [`Config::sandbox`] has the defaults of the fast pace.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the network takes messages: `http://HOST:PORT/messages`.
    pub participant: String,
    pub us: Us,
    /// How long an answer is waited for; then the payment is unknown and the network is asked.
    pub answer_within: Duration,
    /// How long a connection may take; below `answer_within`.
    pub connect_within: Duration,
    /// How old a message may be when it arrives: later the network refuses it as stale.
    pub acceptance_window: Duration,
    /// The pause before the second enquiry, doubled for each further one.
    pub enquire_first: Duration,
    /// The longest pause between enquiries about one payment.
    pub enquire_most: Duration,
    /// Payments claimed in one commit at most.
    pub batch: usize,
    /// Messages without an answer at most.
    pub window: usize,
    /// How long the lease on the connection lasts without being renewed.
    pub lease: Duration,
    /// The longest pause while the network refuses connections.
    pub refused_most: Duration,
}

impl Config {
    /// The sandbox's participant at this URL, at the fast pace.
    pub fn sandbox(participant: String, dialect: Dialect) -> Self {
        Self {
            participant,
            us: Us::sandbox(dialect),
            answer_within: Duration::from_millis(2_000),
            connect_within: Duration::from_millis(1_000),
            acceptance_window: Duration::from_secs(3),
            enquire_first: Duration::from_millis(500),
            enquire_most: Duration::from_secs(10),
            batch: 64,
            window: 256,
            lease: Duration::from_secs(10),
            refused_most: Duration::from_secs(2),
        }
    }
}

/// What became of a POST.
#[derive(Debug)]
pub enum Posted {
    /// An answer with its whole body.
    Answered { status: u16, body: Vec<u8> },
    /// Provably no byte left: there was no connection.
    NotSent(String),
    /// Bytes may have arrived; there is no answer.
    Silent(String),
}

/// The connection with what limits its use.
pub struct Link {
    url: Uri,
    connect_within: Duration,
    client: Mutex<Http>,
    /// Free places for messages without an answer.
    pub slots: Arc<Semaphore>,
    /// The worker waits for free places.
    pub starved: AtomicBool,
    /// Something may be due.
    pub wake: Notify,
    /// Payments about which the network is being asked.
    pub asking: Mutex<BTreeSet<Key>>,
    pub circuit: Mutex<Circuit>,
}

impl Link {
    /// A connection that is not yet made.
    pub fn new(config: &Config) -> Result<Self, String> {
        config.us.check()?;
        let url: Uri = config.participant.parse().map_err(|error| format!("rtp: URL: {error}"))?;
        if url.scheme_str() != Some("http") || url.host().is_none() {
            return Err(format!("rtp: {} is no http URL", config.participant));
        }
        if config.connect_within >= config.answer_within {
            return Err("rtp: connecting takes less time than answering".to_owned());
        }
        if !(1..=256).contains(&config.batch) || config.window < config.batch {
            return Err("rtp: a batch has 1 to 256 payments, the window at least one batch".into());
        }
        Ok(Self {
            url,
            connect_within: config.connect_within,
            client: Mutex::new(client(config.connect_within)),
            slots: Arc::new(Semaphore::new(config.window)),
            starved: AtomicBool::new(false),
            wake: Notify::new(),
            asking: Mutex::new(BTreeSet::new()),
            circuit: Mutex::new(Circuit::new(config.refused_most)),
        })
    }
    /// Posts a message and waits so long for the whole answer.
    pub async fn post(&self, message: Vec<u8>, within: Duration) -> Posted {
        let request = Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/xml")
            .header(header::ACCEPT, "application/xml")
            .body(Full::new(Bytes::from(message)))
            .expect("a parsed URL and two constant headers make a request");
        let client = self.client.lock().clone();
        match tokio::time::timeout(within, exchange(&client, request)).await {
            Ok(posted) => posted,
            Err(_) => Posted::Silent("no answer in time".to_owned()),
        }
    }
    /// Closes idle connections: somebody else holds the lease.
    pub fn close(&self) {
        *self.client.lock() = client(self.connect_within);
    }
}

fn client(connect_within: Duration) -> Http {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(connect_within));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

async fn exchange(client: &Http, request: Request<Full<Bytes>>) -> Posted {
    // hyper repeats by itself only a request that it took back whole from a connection that had
    // ended before the first byte was written.
    let response = match client.request(request).await {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            let why = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
            return Posted::NotSent(format!("no connection: {why}"));
        }
        Err(error) => return Posted::Silent(format!("the connection broke: {error}")),
    };
    let status = response.status().as_u16();
    match Limited::new(response.into_body(), iso20022::MAX_BYTES).collect().await {
        Ok(body) => Posted::Answered { status, body: body.to_bytes().to_vec() },
        Err(_) => Posted::Silent("the answer broke off".to_owned()),
    }
}

/// How much the circuit lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// Everything.
    All,
    /// One message, to see whether the network is back.
    Probe,
    /// Nothing until this monotonic microsecond, or until the probe is back.
    Nothing { until: u64 },
}

/// Opens when the network refuses connections or is silent again and again; lets one message through
/// after a pause that doubles.
#[derive(Debug)]
pub struct Circuit {
    most_micros: u64,
    failures: u32,
    silences: u32,
    open_until: u64,
    probing_until: u64,
}

impl Circuit {
    fn new(most: Duration) -> Self {
        let most_micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Self { most_micros, failures: 0, silences: 0, open_until: 0, probing_until: 0 }
    }
    /// What may be sent now.
    pub fn allows(&self, now: u64) -> Allowed {
        match self.failures {
            0 => Allowed::All,
            _ if now < self.open_until => Allowed::Nothing { until: self.open_until },
            _ if now < self.probing_until => Allowed::Nothing { until: self.probing_until },
            _ => Allowed::Probe,
        }
    }
    /// When it lets the next message through; `None` while it is closed.
    pub fn is_open_until(&self) -> Option<u64> {
        (self.failures > 0).then_some(self.open_until)
    }
    /// Failures in a row; a burst counts once.
    pub fn failures(&self) -> u32 {
        self.failures
    }
    /// A probe is under way and ends by then.
    pub fn probe(&mut self, until: u64) {
        self.probing_until = until;
    }
    /// An answer came.
    pub fn answered(&mut self) {
        *self = Self { most_micros: self.most_micros, ..Self::new(Duration::ZERO) };
    }
    /// No connection. Those of one burst count once. `spread` is any number that differs between
    /// processes and failures.
    pub fn refused(&mut self, now: u64, spread: u64) {
        self.probing_until = 0;
        if self.failures > 0 && now < self.open_until {
            return;
        }
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = (REFUSED_FIRST_MICROS << doublings).min(self.most_micros).max(4);
        self.open_until = now + pause * 3 / 4 + spread % (pause / 2);
    }
    /// A message without an answer.
    pub fn silent(&mut self, now: u64, spread: u64) {
        self.silences = self.silences.saturating_add(1);
        if self.failures > 0 || self.silences >= SILENT_MOST {
            self.refused(now, spread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuit_opens_probes_and_closes() {
        let mut circuit = Circuit::new(Duration::from_secs(2));
        assert_eq!(circuit.allows(0), Allowed::All);
        for now in 0..50 {
            circuit.refused(now, 7);
        }
        assert_eq!(circuit.failures, 1, "one burst is one failure");
        let until = circuit.is_open_until().unwrap();
        assert!((75_000..=150_000).contains(&until));
        assert_eq!(circuit.allows(until - 1), Allowed::Nothing { until });
        assert_eq!(circuit.allows(until), Allowed::Probe);
        circuit.probe(until + 1_000);
        assert_eq!(circuit.allows(until + 1), Allowed::Nothing { until: until + 1_000 });
        let mut now = until;
        for _ in 0..20 {
            now += 5_000_000;
            circuit.refused(now, 1);
            assert!(circuit.is_open_until().unwrap() <= now + 2_500_000);
        }
        circuit.answered();
        assert_eq!(circuit.allows(now), Allowed::All);
        for _ in 0..SILENT_MOST {
            assert_eq!(circuit.allows(now), Allowed::All);
            circuit.silent(now, 1);
        }
        assert_ne!(circuit.allows(now), Allowed::All);
    }
}
