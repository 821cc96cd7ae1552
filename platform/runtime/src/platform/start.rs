//! Starting and stopping a process of services.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use contracts::Endpoint;
use parking_lot::Mutex;
use store::{Engine, Store, Writer};
use tokio::sync::watch;

use super::{Elsewhere, Inner, Platform, Settings};
use crate::{
    access::{Access, Projection},
    admission::Admission,
    carried::Carried,
    clock::Monotonic,
    exchanges,
    health::Since,
    http::{self, Route},
    machine::{Driven, Machine, thread},
    metrics::Metrics,
    pages::Pages,
    peers::{Peers, Place},
    processes::{Others, Part},
    remote::{self, Remote},
    service::{Connection, Service, Tier, Wiring},
    signal::Signal,
    topology::declared,
    turns::Turns,
    work::Fault,
    writer::Writing,
};

/// A running process of services.
pub struct Running {
    pub platform: Platform,
    /// The public API of every service, here or passed on.
    pub public: Router,
    /// What services of other processes may ask, where they show the key.
    pub internal: BTreeMap<&'static str, Router>,
    stop: watch::Sender<bool>,
    drain: watch::Sender<bool>,
    signal: Arc<Signal>,
    writer: Option<Driven>,
    part: Option<Thread>,
    carriers: Vec<Thread>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// The service whose process keeps the tables of keys and accounts.
const ACCOUNTS: &str = contracts::accounts::CreateKey::SERVICE;
/// How long a task may take to end once it was told to.
const TASK_MOST: Duration = Duration::from_secs(5);

impl Running {
    /// Ends answers that go on, before a listener waits for what is under way.
    pub fn drain(&self) {
        let _ = self.drain.send(true);
    }
    /// Lets go of everything without a word, as a process does that is killed. What runs ends with its
    /// runtime.
    pub fn abandon(self) {
        *self.platform.inner.peers.lock() = None;
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
        self.platform.inner.others.stop();
        self.platform.inner.others.carried().stop();
        self.signal.stop();
        // Peers hold routers that hold the platform: without this the store would never close.
        *self.platform.inner.peers.lock() = None;
        let mut writer = self.writer.take();
        let as_task = match &mut writer {
            Some(Driven::Task(task)) => task.await.is_ok(),
            _ => false,
        };
        // The store closes on a thread of its own: PostgreSQL's driver may not end inside tokio.
        let ended = tokio::task::spawn_blocking(move || {
            let Self { platform, public, internal, part, carriers, .. } = self;
            let joined = match writer {
                Some(Driven::Thread(writer)) => writer.join().is_ok(),
                _ => as_task,
            };
            if part.is_some_and(|part| part.join().is_err()) {
                tracing::error!("the thread for other processes did not end as it should");
            }
            if !carriers.into_iter().all(|carrier| carrier.join().is_ok()) {
                tracing::error!("a thread for the broker did not end as it should");
            }
            drop((platform, public, internal));
            joined
        });
        if !matches!(ended.await, Ok(true)) {
            tracing::error!("the writer did not end as it should");
        }
    }
}

/// Adds the projection of keys and accounts as a consumer of its own: of tables and memory in one
/// where this is the only process, else of memory in each process and of tables beside accounts.
fn with_access(mut services: Vec<Wiring>, access: &Arc<Access>, engine: Engine) -> Vec<Wiring> {
    use contracts::operations::{
        DropDeadLetter, GetDeadLetter, GetHealth, GetTopology, ListDeadLetters,
        ListRailConnections, ReplayDeadLetter,
    };
    let shared = engine == Engine::Postgres;
    let memory = projection(access, (!shared, true))
        .answers::<GetTopology>()
        .answers::<GetHealth>()
        .answers::<ListRailConnections>()
        .answers::<ListDeadLetters>()
        .answers::<GetDeadLetter>()
        .answers::<ReplayDeadLetter>()
        .answers::<DropDeadLetter>();
    let memory = if shared { memory.in_memory() } else { memory };
    if shared && services.iter().any(|service| service.name == ACCOUNTS) {
        services.insert(0, projection(access, (true, false)).wire());
    }
    services.insert(0, memory.wire());
    services
}

fn projection(access: &Arc<Access>, (tables, memory): (bool, bool)) -> Service<Projection> {
    use contracts::accounts::{AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked};
    let projection = Projection { access: Arc::clone(access), tables, memory };
    Service::new(crate::access::CONSUMER, Tier::Service, Arc::new(projection))
        .handles::<KeyCreated>()
        .handles::<KeyRevoked>()
        .handles::<AccountCreated>()
        .handles::<CapabilityUpdated>()
}

/// Starts these services on a store: migrates nothing, loads, starts the writer and the tasks.
pub fn start(
    store: Store,
    writer: Writer,
    services: Vec<Wiring>,
    settings: Settings,
) -> Result<Running, Fault> {
    start_beside((store, writer), services, settings, &Elsewhere::default())
}

/// The same, beside processes that run the other services.
pub fn start_beside(
    opened: (Store, Writer),
    services: Vec<Wiring>,
    settings: Settings,
    elsewhere: &Elsewhere,
) -> Result<Running, Fault> {
    start_on(&Machine::system(), opened, services, settings, elsewhere)
}

/// The same, on this machine.
pub fn start_on(
    machine: &Machine,
    (store, writer): (Store, Writer),
    services: Vec<Wiring>,
    settings: Settings,
    elsewhere: &Elsewhere,
) -> Result<Running, Fault> {
    let (stop, stopping) = watch::channel(false);
    let (drain, draining) = watch::channel(false);
    let access = Arc::new(Access::default());
    let declared = elsewhere.declared.clone().unwrap_or_else(|| declared(&services));
    let names: Vec<&'static str> = services.iter().map(|service| service.name).collect();
    let rails = services.iter().filter(|s| s.tier == Tier::Rail).map(|s| s.name);
    let rails = rails.chain(elsewhere.rails.iter().copied()).collect();
    let mut services = with_access(services, &access, store.engine());
    let metrics = Arc::new(Metrics::new(settings.clock.clone()));
    let signal = Arc::new(Signal::default());
    let admission = Arc::new(Admission::new(settings.waiting_most));
    let latest = Arc::new(exchanges::Latest::default());
    let carried = Carried::new(elsewhere.broker.clone());
    let others = Others::new(Arc::clone(&signal), Arc::clone(&carried));
    let queues = services.iter().flat_map(|service| &service.queues);
    let inboxes = queues.map(|queue| queue.inbox()).collect();
    let routes = taken(&mut services, |service| &mut service.routes);
    let pages = taken(&mut services, |service| &mut service.pages);
    let connections = connections(&mut services);
    let tasks = taken(&mut services, |service| &mut service.tasks);
    let monotonic = Monotonic::system();
    let consumes = consumes(&services);
    let shows = services.iter().filter_map(|s| Some((s.name, s.shows?))).collect();
    let platform = Platform {
        inner: Arc::new(Inner {
            store: store.clone(),
            settings: settings.clone(),
            monotonic: monotonic.clone(),
            access,
            peers: Mutex::new(None),
            inboxes,
            signal: Arc::clone(&signal),
            admission,
            turns: Arc::new(Turns::new(monotonic.clone())),
            metrics,
            repairs: Arc::default(),
            since: Since::default(),
            stopping,
            draining,
            declared,
            services: installed(&names, elsewhere),
            rails,
            connections,
            consumes,
            shows,
            latest,
            others: Arc::clone(&others),
        }),
    };
    let opened = (store.clone(), writer, others.clone());
    let writing = writing(machine, opened, services, &platform)?;
    platform.inner.others.is_process(writing.process());
    let part = (writing.process(), consuming(&names));
    let part = Part::take(&store, part, others, (settings.clock, monotonic.clone()))?;
    let emitted = (writing.process(), emitting(&names));
    let carriers = carried.start(&store, emitted, &platform.inner.signal, &monotonic)?;
    let (public, internal) = routed(&platform, (&names, routes, &pages), elsewhere, monotonic)?;
    let tasks = tasks.into_iter().map(|task| tokio::spawn(task(platform.clone()))).collect();
    Ok(Running {
        platform,
        public,
        internal,
        stop,
        drain,
        signal,
        writer: Some(machine.runs(writing)),
        part: part.map(|part| thread("processes", move || part.keep())),
        carriers,
        tasks,
    })
}

/// How each rail tells of its connection.
fn connections(services: &mut [Wiring]) -> BTreeMap<&'static str, Connection> {
    services.iter_mut().filter_map(|s| Some((s.name, s.connection.take()?))).collect()
}

/// Those that share a service's shards with other processes: the services here, and the projection's
/// tables beside accounts.
fn consuming(here: &[&'static str]) -> Vec<&'static str> {
    let tables = here.contains(&ACCOUNTS).then_some(crate::access::CONSUMER);
    here.iter().copied().chain(tables).collect()
}

/// Those services here that emit events.
fn emitting(here: &[&'static str]) -> Vec<&'static str> {
    contracts::registry::emitters().into_iter().filter(|name| here.contains(name)).collect()
}

/// The services here and elsewhere.
fn installed(here: &[&'static str], elsewhere: &Elsewhere) -> Vec<&'static str> {
    // Counterparties are in the outside world.
    let there = elsewhere.peers.iter().filter(|peer| !peer.outside).map(|peer| peer.service);
    here.iter().copied().chain(there.filter(|name| !here.contains(name))).collect()
}

/// The writer with what services keep in memory loaded.
fn writing(
    machine: &Machine,
    opened: (Store, Writer, Arc<Others>),
    services: Vec<Wiring>,
    platform: &Platform,
) -> Result<Writing, Fault> {
    let inner = &platform.inner;
    let shared = (inner.signal.clone(), Arc::clone(&inner.admission), Arc::clone(&inner.repairs));
    let told = (Arc::clone(&inner.metrics), Arc::clone(&inner.latest));
    let mut writing = Writing::open(opened, services, &inner.settings, shared, told, machine)?;
    writing.load(|tx| inner.access.load(tx))?;
    Ok(writing)
}

/// The public API with the pages, and what other processes may ask; services ask each other from
/// now on.
fn routed(
    platform: &Platform,
    (names, routes, pages): (&[&'static str], Vec<Route>, &[Pages]),
    elsewhere: &Elsewhere,
    monotonic: Monotonic,
) -> Result<(Router, BTreeMap<&'static str, Router>), Fault> {
    let here = internal(names, &routes, platform);
    let public: Vec<Route> =
        routes.into_iter().filter(|route| route.access != contracts::Access::Internal).collect();
    let mut public = http::router(&public, platform);
    let mut places: BTreeMap<_, _> =
        here.iter().map(|(name, router)| (*name, Place::Here(router.clone()))).collect();
    for peer in elsewhere.peers.iter().filter(|peer| !names.contains(&peer.service)) {
        let remote = Remote::new(peer, elsewhere.key.clone());
        let wrong = || Fault::Poison(format!("{:?}: none of http://HOST:PORT", peer.urls));
        let remote = Arc::new(remote.ok_or_else(wrong)?);
        public = remote::mount(public, peer, &remote);
        places.insert(peer.service, Place::There(remote));
    }
    let peers = Peers::new(places, public.clone(), monotonic);
    *platform.inner.peers.lock() = Some(Arc::new(peers));
    let public = pages.iter().fold(public, |router, pages| pages.mount(router, platform));
    Ok((public, here))
}

type Thread = std::thread::JoinHandle<()>;

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
        let router = mount_topology(router, name, platform.clone());
        (name, mount_connection(router, name, platform.clone()))
    };
    names.iter().map(|name| router(name)).collect()
}

/// Adds `GET /internal/{service}/topology`: what this process saw, with its number.
fn mount_topology(router: Router, service: &'static str, platform: Platform) -> Router {
    let answer = move || {
        let seen = (platform.inner.others.process(), platform.topology());
        async move { http::replied(&seen) }
    };
    router.route(&format!("/internal/{service}/topology"), axum::routing::get(answer))
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
