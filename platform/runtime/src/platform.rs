//! The platform as a service sees it, and starting a process of services.

mod start;

use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use contracts::{
    Code, Endpoint, Refusal,
    exchanges::{EventPlace, Exchange},
    ids::{AccountId, TransferId},
    operations::{DeadLetterEnded, DeadLetterId, Health},
};
use eventlog::Log;
use parking_lot::Mutex;
use store::{Engine, Store, Tx};
use tokio::sync::{oneshot, watch};

use crate::{
    access::Access,
    admission::Admission,
    clock::{Clock, Monotonic},
    commands::Command,
    exchanges::{self, Shows},
    health::{Since, health},
    metrics::{Behind, Metrics},
    peers::{Called, OnBehalf, Peers},
    processes::{self, Others},
    queues::{Inbox, Waiting},
    remote::{Peer, PeerKey},
    replay::{Deed, Repairs},
    service::Connection,
    signal::Signal,
    topology::{self, EdgeKind, Topology},
    turns::Turns,
};

pub use start::{Running, start, start_beside, start_on};

/// How a process runs.
#[derive(Clone)]
pub struct Settings {
    /// S of a new installation, a power of two.
    pub shards: u32,
    /// Commands that may wait for the writer; more are refused with 429.
    pub waiting_most: usize,
    /// The sandbox's counterparties and shortcuts are there.
    pub sandbox: bool,
    /// Where files of the process are (sealing key, credentials).
    pub directory: Option<PathBuf>,
    pub clock: Clock,
}

/// What of the installation runs in other processes.
#[derive(Clone, Default)]
pub struct Elsewhere {
    /// The services there.
    pub peers: Vec<Peer>,
    /// Those of them that are rails.
    pub rails: Vec<&'static str>,
    /// The edges of the whole installation; of the services here where nothing says so.
    pub declared: Option<Topology>,
    /// What services of different processes show each other.
    pub key: Option<PeerKey>,
    /// What carries events between processes, where that is not the database itself.
    pub broker: Option<Arc<dyn eventlog::broker::Broker>>,
}

/// Everything a handler or task may use. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    settings: Settings,
    monotonic: Monotonic,
    access: Arc<Access>,
    peers: Mutex<Option<Arc<Peers>>>,
    inboxes: BTreeMap<TypeId, Arc<dyn std::any::Any + Send + Sync>>,
    signal: Arc<Signal>,
    admission: Arc<Admission>,
    turns: Arc<Turns>,
    metrics: Arc<Metrics>,
    repairs: Arc<Repairs>,
    since: Since,
    stopping: watch::Receiver<bool>,
    draining: watch::Receiver<bool>,
    declared: Topology,
    services: Vec<&'static str>,
    rails: Vec<&'static str>,
    connections: BTreeMap<&'static str, Connection>,
    consumes: BTreeSet<(&'static str, &'static str, i64)>,
    shows: BTreeMap<&'static str, Shows>,
    latest: Arc<exchanges::Latest>,
    others: Arc<Others>,
}

impl Platform {
    /// Business and machine time.
    pub fn clock(&self) -> &Clock {
        &self.inner.settings.clock
    }
    /// Monotonic time for deadlines.
    pub fn monotonic(&self) -> &Monotonic {
        &self.inner.monotonic
    }
    /// How this process runs.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }
    /// Keys and accounts.
    pub fn access(&self) -> &Access {
        &self.inner.access
    }
    /// The store; prefer [`Platform::read`].
    pub fn store(&self) -> &Store {
        &self.inner.store
    }
    /// Reads one consistent state of the store. Point reads on the embedded engine run in place.
    pub async fn read<T, F>(&self, read: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, store::Error> + Send + 'static,
    {
        self.reads(move |store| store.read(read)).await
    }
    /// Reads by one statement, and no more: on PostgreSQL one way there and back in place of three.
    pub async fn read_once<T, F>(&self, read: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, store::Error> + Send + 'static,
    {
        self.reads(move |store| store.read_once(read)).await
    }
    async fn reads<T, F>(&self, read: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, store::Error> + Send + 'static,
    {
        let result = match self.inner.store.engine() {
            Engine::Sqlite => read(&self.inner.store),
            Engine::Postgres => {
                let store = self.inner.store.clone();
                match tokio::task::spawn_blocking(move || read(&store)).await {
                    Ok(result) => result,
                    Err(_) => return Err(Refusal::new(Code::Internal, "a read broke off")),
                }
            }
        };
        result.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a read failed");
            Refusal::new(Code::Unavailable, "the store cannot be read now").retry_after(1)
        })
    }
    /// Whether writes are taken: the writer's thread goes on.
    pub fn is_writing(&self) -> bool {
        !self.inner.signal.has_ended()
    }
    /// What is wrong with the broker, if something is; `None` without one.
    pub(crate) fn broker(&self) -> Option<String> {
        self.inner.others.carried().state()
    }
    /// Waits until keys and accounts are known here that other processes made before this call: a
    /// second at most. At once where there is no other process.
    pub async fn catch_up(&self) {
        if self.engine() == Engine::Postgres {
            self.inner.others.catch_up(CATCH_UP_MOST).await;
        }
    }
    /// Moves the business clock of every process on the database ahead to where it is here.
    pub async fn share_clock(&self) -> Result<(), Refusal> {
        let (store, offset) = (self.inner.store.clone(), self.clock().offset_micros());
        let moved =
            tokio::task::spawn_blocking(move || processes::move_clock(&store, offset)).await;
        if matches!(moved, Ok(Ok(()))) {
            return Ok(());
        }
        tracing::error!(?moved, "the business clock of other processes cannot be moved");
        let what = "the clock of other processes cannot be moved; repeat";
        Err(Refusal::new(Code::Unavailable, what).retry_after(1))
    }
    /// Refuses a new write where our own processing is behind. To be asked before anything of it is
    /// looked at: what is refused then costs least.
    pub fn admits(&self) -> Result<(), Refusal> {
        let turns = &self.inner.turns;
        self.inner.admission.admit(turns.rate()).inspect_err(|_| turns.refused())
    }
    /// The same; else returns when it is its turn.
    pub(crate) async fn admit(&self) -> Result<(), Refusal> {
        self.admits()?;
        let _in_line = self.inner.admission.lines_up();
        self.inner.turns.take().await;
        Ok(())
    }
    /// Hands a command to the writer and waits until it is durable or refused.
    pub async fn commit<C: Command>(&self, command: C) -> Result<C::Done, Refusal> {
        let inbox = self
            .inner
            .inboxes
            .get(&TypeId::of::<C>())
            .and_then(|inbox| inbox.downcast_ref::<Inbox<C>>())
            .ok_or_else(|| Refusal::new(Code::Unavailable, "this process does not write that"))?;
        self.inner.admission.bound()?;
        let (answer, answered) = oneshot::channel();
        inbox.push(Waiting { command, answer }, &self.inner.admission);
        self.inner.signal.nudge();
        let stopping = || {
            Err(Refusal::new(Code::Unavailable, "stopping; a repeat with the same key is safe")
                .retry_after(1))
        };
        if self.inner.signal.has_ended() {
            // The writer may have taken it before it ended; otherwise nobody will.
            let answer = tokio::time::timeout(ENDED_MOST, answered).await;
            return answer.ok().and_then(Result::ok).unwrap_or_else(stopping);
        }
        answered.await.unwrap_or_else(|_| stopping())
    }
    /// Asks another service `GET path`, where `path` is that endpoint's with its names filled in.
    pub async fn call<E: Endpoint>(
        &self,
        from: &'static str,
        path: &str,
    ) -> Result<Called<E::Reply>, Refusal> {
        let called = self.peers().get::<E>(path).await;
        self.inner.metrics.edge(from, E::SERVICE, EdgeKind::Synchronous, E::NAME, 1);
        called
    }
    /// Hands another service something to write: a body for an endpoint whose path has no names. It
    /// is sent once; whether it may be repeated is for the caller to know.
    pub async fn send<E: Endpoint>(
        &self,
        from: &'static str,
        body: &E::Body,
    ) -> Result<Called<E::Reply>, Refusal>
    where
        E::Body: serde::Serialize,
    {
        let body = serde_json::to_vec(body).expect("bodies are plain data");
        let called = self.peers().send::<E>(body).await;
        self.inner.metrics.edge(from, E::SERVICE, EdgeKind::Synchronous, E::NAME, 1);
        called
    }
    /// Asks a public endpoint of another service for a caller, with that caller's own credentials.
    pub async fn ask_for<E: Endpoint>(
        &self,
        from: &'static str,
        asked: OnBehalf,
    ) -> Result<axum::response::Response, Refusal> {
        let answer = self.peers().ask_for::<E>(asked).await;
        self.inner.metrics.edge(from, E::SERVICE, EdgeKind::Synchronous, E::NAME, 1);
        answer
    }
    /// The answer of the process of another service to a public endpoint that every process has;
    /// `None` where that service runs here.
    pub(crate) async fn pass_on<E: Endpoint>(
        &self,
        service: &str,
        asked: OnBehalf,
    ) -> Option<Result<axum::response::Response, Refusal>> {
        self.peers().pass_on::<E>(service, asked).await
    }
    /// The body of another service's `GET path`.
    pub async fn fetch(
        &self,
        service: &'static str,
        path: &str,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        self.peers().fetch(service, path).await
    }
    /// A message went to or came from the outside.
    pub fn observed_rail(
        &self,
        rail: &'static str,
        counterparty: &'static str,
        name: &'static str,
    ) {
        self.inner.metrics.edge(rail, counterparty, EdgeKind::Rail, name, 1);
    }
    /// Resolves once the process is to stop.
    pub async fn stopping(&self) {
        let mut stopping = self.inner.stopping.clone();
        let _ = stopping.wait_for(|stop| *stop).await;
    }
    /// Whether the process is to stop.
    pub fn is_stopping(&self) -> bool {
        *self.inner.stopping.borrow()
    }
    /// Resolves once answers that go on (event streams) are to end; what else is under way goes on.
    pub async fn draining(&self) {
        let mut draining = self.inner.draining.clone();
        let _ = draining.wait_for(|drain| *drain).await;
    }
    /// The rails of the installation.
    pub(crate) fn rails(&self) -> &[&'static str] {
        &self.inner.rails
    }
    /// The services of the installation.
    pub fn services(&self) -> &[&'static str] {
        &self.inner.services
    }
    /// Metrics in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let (counters, refused) = (self.inner.store.counters(), self.inner.admission.refused());
        let carrying = self.inner.others.carried().carrying();
        self.inner.metrics.text(&counters, refused, carrying.as_ref())
    }
    /// The declared graph with what was seen of it, and what was seen beside it: by this process, or
    /// by all.
    pub fn topology(&self) -> Topology {
        topology::observed(&self.inner.declared, &self.inner.metrics)
    }
    /// The same as every process of the installation saw it, those that answer.
    pub async fn topology_of_all(&self) -> Topology {
        let mut seen = BTreeMap::from([(self.inner.others.process(), self.topology())]);
        for part in self.peers().ask_each("topology").await {
            if let Ok((process, topology)) = serde_json::from_slice(&part) {
                seen.insert(process, topology);
            }
        }
        topology::merged(seen.into_values())
    }
    /// Whether this process can do its work.
    pub async fn health(&self) -> Health {
        health(self, &self.inner.since).await
    }
    /// How far each consumer is behind.
    pub(crate) fn behind(&self) -> BTreeMap<&'static str, Behind> {
        self.inner.metrics.behind()
    }
    /// Ends a dead letter, and applies what is parked behind it.
    pub(crate) async fn end_letter(
        &self,
        id: DeadLetterId,
        deed: Deed,
        by: Option<AccountId>,
    ) -> Result<DeadLetterEnded, Refusal> {
        let answered = self.inner.repairs.ask(id, deed, by)?;
        self.inner.signal.nudge();
        let stopping = || Refusal::new(Code::Unavailable, "stopping; a repeat is safe");
        if self.inner.signal.has_ended() {
            self.inner.repairs.close();
        }
        answered.await.unwrap_or_else(|_| Err(stopping().retry_after(1)))
    }
    /// Reads events by their places; for timelines.
    pub(crate) fn engine(&self) -> Engine {
        self.inner.store.engine()
    }
    pub(crate) fn latest(&self) -> &exchanges::Latest {
        &self.inner.latest
    }
    /// One stored event; `None` where there is none at that place.
    pub async fn event(
        &self,
        topic: &'static str,
        at: EventPlace,
    ) -> Result<Option<eventlog::Stored>, Refusal> {
        self.read(move |tx| Log::one(tx, topic, at)).await
    }
    /// Whether a service consumes a kind of event of a topic.
    pub(crate) fn consumes(&self, service: &'static str, topic: &'static str, kind: i64) -> bool {
        self.inner.consumes.contains(&(service, topic, kind))
    }
    /// The messages that a service shows for a transfer.
    pub(crate) async fn shown(
        &self,
        service: &'static str,
        transfer: TransferId,
    ) -> Result<Vec<Exchange>, Refusal> {
        match self.inner.shows.get(service) {
            Some(shows) => {
                let shows = *shows;
                self.read(move |tx| shows(tx, transfer)).await
            }
            None => Ok(Vec::new()),
        }
    }
    fn peers(&self) -> Arc<Peers> {
        self.inner.peers.lock().clone().expect("peers are set before any request is served")
    }
}

/// How long an answer of a writer that has ended may be on its way.
const ENDED_MOST: Duration = Duration::from_millis(100);
/// How long a key or account that is not known here is waited for.
const CATCH_UP_MOST: Duration = Duration::from_secs(1);
