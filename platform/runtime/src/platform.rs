//! The platform as a service sees it, and starting a process of services.

use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use contracts::{
    Code, Endpoint, Refusal,
    exchanges::{EventPlace, Exchange},
    ids::{AccountId, TransferId},
    operations::{DeadLetterEnded, DeadLetterId, Health},
};
use eventlog::Log;
use parking_lot::Mutex;
use store::{Engine, Store, Tx, Writer};
use tokio::sync::{oneshot, watch};

use crate::{
    access::{Access, Projection},
    admission::Admission,
    clock::{Clock, Monotonic},
    commands::Command,
    exchanges::{self, Shows},
    health::{Since, health},
    http::{self, Route},
    metrics::Metrics,
    peers::{Called, OnBehalf, Peers},
    queues::{Inbox, Waiting},
    replay::{Deed, Repairs},
    service::{Connection, Service, Tier, Wiring},
    topology::{self, EdgeKind, Topology, declared},
    turns::Turns,
    work::Fault,
    writer::{Signal, Writing},
};

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
        let result = match self.inner.store.engine() {
            Engine::Sqlite => self.inner.store.read(read),
            Engine::Postgres => {
                let store = self.inner.store.clone();
                match tokio::task::spawn_blocking(move || store.read(read)).await {
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
    /// The rails of this process.
    pub(crate) fn rails(&self) -> &[&'static str] {
        &self.inner.rails
    }
    /// The services of this process.
    pub fn services(&self) -> &[&'static str] {
        &self.inner.services
    }
    /// Metrics in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.inner.metrics.text(&self.inner.store.counters(), self.inner.admission.refused())
    }
    /// The declared graph with what was seen of it, and what was seen beside it.
    pub fn topology(&self) -> Topology {
        topology::observed(&self.inner.declared, &self.inner.metrics)
    }
    /// Whether this process can do its work.
    pub async fn health(&self) -> Health {
        health(self, &self.inner.since).await
    }
    /// How far each consumer is behind.
    pub(crate) fn behind(&self) -> BTreeMap<&'static str, Duration> {
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
        let engine = self.engine();
        self.read(move |tx| {
            Log::one(engine, tx, topic, at).map_err(|error| match error {
                eventlog::Error::Store(error) => error,
                other => store::Error::Other(other.to_string()),
            })
        })
        .await
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

/// A running process of services.
pub struct Running {
    pub platform: Platform,
    /// The public API of every service here.
    pub public: Router,
    stop: watch::Sender<bool>,
    drain: watch::Sender<bool>,
    signal: Arc<Signal>,
    writer: Option<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// How long an answer of a writer that has ended may be on its way.
const ENDED_MOST: Duration = Duration::from_millis(100);
/// How long a task may take to end once it was told to.
const TASK_MOST: Duration = Duration::from_secs(5);

impl Running {
    /// Ends answers that go on, before a listener waits for what is under way.
    pub fn drain(&self) {
        let _ = self.drain.send(true);
    }
    /// Stops: tasks are told, what waits is finished, the writer ends.
    pub async fn stop(mut self) {
        self.drain();
        let _ = self.stop.send(true);
        for mut task in self.tasks.drain(..) {
            if tokio::time::timeout(TASK_MOST, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.signal.stop();
        // Peers hold routers that hold the platform: without this the store would never close.
        *self.platform.inner.peers.lock() = None;
        // The store closes on a thread of its own: PostgreSQL's driver may not end inside tokio.
        let ended = tokio::task::spawn_blocking(move || {
            let Self { platform, public, writer, .. } = self;
            let joined = writer.map(std::thread::JoinHandle::join);
            drop((platform, public));
            joined
        });
        if !matches!(ended.await, Ok(Some(Ok(())))) {
            tracing::error!("the writer did not end as it should");
        }
    }
}

/// Adds the projection of keys and accounts as a consumer of its own.
fn with_access(mut services: Vec<Wiring>, access: &Arc<Access>) -> Vec<Wiring> {
    use contracts::{
        accounts::{AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked},
        operations::{
            DropDeadLetter, GetDeadLetter, GetHealth, GetTopology, ListDeadLetters,
            ListRailConnections, ReplayDeadLetter,
        },
    };
    let projection = Arc::new(Projection(Arc::clone(access)));
    let wiring = Service::new(crate::access::CONSUMER, Tier::Service, projection)
        .handles::<KeyCreated>()
        .handles::<KeyRevoked>()
        .handles::<AccountCreated>()
        .handles::<CapabilityUpdated>()
        .answers::<GetTopology>()
        .answers::<GetHealth>()
        .answers::<ListRailConnections>()
        .answers::<ListDeadLetters>()
        .answers::<GetDeadLetter>()
        .answers::<ReplayDeadLetter>()
        .answers::<DropDeadLetter>()
        .wire();
    services.insert(0, wiring);
    services
}

/// Starts these services on a store: migrates nothing, loads, starts the writer and the tasks.
pub fn start(
    store: Store,
    writer: Writer,
    services: Vec<Wiring>,
    settings: Settings,
) -> Result<Running, Fault> {
    let (stop, stopping) = watch::channel(false);
    let (drain, draining) = watch::channel(false);
    let access = Arc::new(Access::default());
    let declared = declared(&services);
    let names: Vec<&'static str> = services.iter().map(|service| service.name).collect();
    let rails = services.iter().filter(|s| s.tier == Tier::Rail).map(|s| s.name).collect();
    let mut services = with_access(services, &access);
    let metrics = Arc::new(Metrics::new(settings.clock.clone()));
    let signal = Arc::new(Signal::default());
    let admission = Arc::new(Admission::new(settings.waiting_most));
    let latest = Arc::new(exchanges::Latest::default());
    let inboxes = services
        .iter()
        .flat_map(|service| service.queues.iter().map(|queue| queue.inbox()))
        .collect();
    let routes = taken(&mut services, |service| &mut service.routes);
    let pages = taken(&mut services, |service| &mut service.pages);
    let connections =
        services.iter_mut().filter_map(|s| Some((s.name, s.connection.take()?))).collect();
    let tasks = taken(&mut services, |service| &mut service.tasks);
    let monotonic = Monotonic::system();
    let consumes = consumes(&services);
    let shows = services.iter().filter_map(|s| Some((s.name, s.shows?))).collect();
    let platform = Platform {
        inner: Arc::new(Inner {
            store: store.clone(),
            settings: settings.clone(),
            monotonic: monotonic.clone(),
            access: Arc::clone(&access),
            peers: Mutex::new(None),
            inboxes,
            signal: Arc::clone(&signal),
            admission: Arc::clone(&admission),
            turns: Arc::new(Turns::new(monotonic.clone())),
            metrics: Arc::clone(&metrics),
            repairs: Arc::default(),
            since: Since::default(),
            stopping,
            draining,
            declared,
            services: names.clone(),
            rails,
            connections,
            consumes,
            shows,
            latest: Arc::clone(&latest),
        }),
    };
    let mut writing = Writing::open(
        (store.clone(), writer),
        services,
        &settings,
        (signal.clone(), admission, Arc::clone(&platform.inner.repairs)),
        metrics,
        latest,
    )?;
    writing.load(|tx| access.load(tx))?;
    let internal = internal(&names, &routes, &platform);
    let public: Vec<Route> =
        routes.into_iter().filter(|route| route.access != contracts::Access::Internal).collect();
    let public = http::router(&public, &platform);
    let peers = Peers::new(internal, public.clone(), monotonic);
    *platform.inner.peers.lock() = Some(Arc::new(peers));
    let public = pages.iter().fold(public, |router, pages| pages.mount(router, &platform));
    let writer = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writing.run())
        .expect("a process may have a second thread");
    let tasks = tasks.into_iter().map(|task| tokio::spawn(task(platform.clone()))).collect();
    Ok(Running { platform, public, stop, drain, signal, writer: Some(writer), tasks })
}

/// Everything of one kind that the services have.
fn taken<T>(services: &mut [Wiring], of: impl Fn(&mut Wiring) -> &mut Vec<T>) -> Vec<T> {
    services.iter_mut().flat_map(|service| std::mem::take(of(service))).collect()
}

fn consumes(services: &[Wiring]) -> BTreeSet<(&'static str, &'static str, i64)> {
    let mut all = BTreeSet::new();
    for service in services {
        for handler in &service.handlers {
            all.extend(handler.topics.iter().map(|topic| (service.name, *topic, handler.kind)));
        }
    }
    all
}

/// Each service's internal endpoints, with the one every service has: its part of a timeline.
fn internal(
    names: &[&'static str],
    routes: &[Route],
    platform: &Platform,
) -> BTreeMap<&'static str, Router> {
    let router = |name: &'static str| {
        let own: Vec<Route> = routes
            .iter()
            .filter(|route| route.service == name && route.access == contracts::Access::Internal)
            .cloned()
            .collect();
        let router = http::router(&own, platform);
        let router = exchanges::mount(router, name, platform.clone());
        (name, mount_connection(router, name, platform.clone()))
    };
    names.iter().map(|name| router(name)).collect()
}

/// Adds `GET /internal/{rail}/connection` to a rail's internal routes.
fn mount_connection(router: Router, service: &'static str, platform: Platform) -> Router {
    let Some(tells) = platform.inner.connections.get(service).cloned() else { return router };
    let answer = move || {
        let (platform, tells) = (platform.clone(), Arc::clone(&tells));
        async move {
            let asker = platform.clone();
            match platform.read(move |tx| tells(&asker, tx)).await {
                Ok(connection) => http::replied(&connection),
                Err(refusal) => http::refused(&refusal),
            }
        }
    };
    router.route(&format!("/internal/{service}/connection"), axum::routing::get(answer))
}
