//! The wiring of one service: what it answers, commits, handles, emits and calls.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{body::Body as HttpBody, http::Response};
use contracts::{Access as Who, Endpoint, Event, Timestamp, operations::RailConnection};
use store::{Migration, Tx};

use crate::{
    access::CONSUMER,
    commands::{Command, Commit},
    exchanges::Shows,
    handlers::{self, Handle, HandleTogether, HandlerOf, Together},
    http::{Answer, Route},
    pages::{PageRequest, Pages},
    platform::Platform,
    queues::QueueOf,
    topology::{Edge, EdgeKind},
    work::Fault,
};

/// Which folder a service lives in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    /// `services/`
    Service,
    /// `rails/`
    Rail,
}

pub(crate) type Task = Box<dyn FnOnce(Platform) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
pub(crate) type Start = Box<dyn FnMut(&mut Tx<'_>) -> Result<(), Fault> + Send>;
pub(crate) type Late = Box<dyn FnMut(&mut Tx<'_>, Timestamp) -> Result<(), store::Error> + Send>;
pub(crate) type Due = Box<dyn Fn(Timestamp) -> Option<Duration> + Send>;
pub(crate) type Floor = Arc<dyn Fn(&'static str) -> Option<i64> + Send + Sync>;

pub(crate) type Connection =
    Arc<dyn Fn(&Platform, &mut Tx<'_>) -> Result<RailConnection, store::Error> + Send + Sync>;

/// A rail that tells operators of its connection: what it knows now, in the form of every rail.
pub trait Connects: Send + Sync + 'static {
    /// The connection's state, its queue, and what waits.
    fn connection(
        &self,
        platform: &Platform,
        tx: &mut Tx<'_>,
    ) -> Result<RailConnection, store::Error>;
}

/// A service with its wiring. Built once in the service's `lib.rs`, run by the binary.
pub struct Service<S> {
    pub(crate) state: Arc<S>,
    pub(crate) wiring: Wiring,
}

/// What the runtime keeps of a service.
pub struct Wiring {
    pub(crate) name: &'static str,
    pub(crate) tier: Tier,
    pub(crate) tables: &'static [&'static str],
    pub(crate) migrations: &'static [Migration],
    pub(crate) routes: Vec<Route>,
    pub(crate) queues: Vec<QueueOf>,
    pub(crate) handlers: Vec<HandlerOf>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) start: Vec<Start>,
    pub(crate) late: Vec<Late>,
    pub(crate) due: Vec<Due>,
    pub(crate) floor: Option<Floor>,
    pub(crate) committed: Vec<Box<dyn Fn() + Send>>,
    pub(crate) rolled_back: Vec<Box<dyn Fn() + Send>>,
    pub(crate) forgets: Vec<Box<dyn Fn() + Send>>,
    pub(crate) elsewhere: Vec<Box<dyn Fn() + Send>>,
    pub(crate) memory_only: bool,
    pub(crate) committed_only: bool,
    pub(crate) lazy: Duration,
    pub(crate) shows: Option<Shows>,
    pub(crate) connection: Option<Connection>,
    pub(crate) pages: Vec<Pages>,
}

impl Wiring {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
    /// Whether it is a rail.
    pub fn is_rail(&self) -> bool {
        self.tier == Tier::Rail
    }
    /// The public paths that it answers, each once, with names in braces.
    pub fn paths(&self) -> Vec<String> {
        let public = self.routes.iter().filter(|route| route.access != Who::Internal);
        let mut paths: Vec<String> = public.map(|route| route.path.to_owned()).collect();
        paths.extend(self.pages.iter().flat_map(Pages::paths));
        paths.sort_unstable();
        paths.dedup();
        paths
    }
    /// Declares an edge from each emitter of an event.
    fn consumes(&mut self, emitters: &[&str], event: &str) {
        let edge = |from: &&str| Edge::declared(from, self.name, EdgeKind::Event, event);
        self.edges.extend(emitters.iter().map(edge));
    }
}

impl<S: Send + Sync + 'static> Service<S> {
    /// A service with no wiring yet.
    pub fn new(name: &'static str, tier: Tier, state: Arc<S>) -> Self {
        let wiring = Wiring {
            name,
            tier,
            tables: &[],
            migrations: &[],
            routes: Vec::new(),
            queues: Vec::new(),
            handlers: Vec::new(),
            edges: Vec::new(),
            tasks: Vec::new(),
            start: Vec::new(),
            late: Vec::new(),
            due: Vec::new(),
            floor: None,
            committed: Vec::new(),
            rolled_back: Vec::new(),
            forgets: Vec::new(),
            elsewhere: Vec::new(),
            memory_only: false,
            committed_only: tier == Tier::Rail,
            lazy: Duration::ZERO,
            shows: None,
            connection: None,
            pages: Vec::new(),
        };
        Self { state, wiring }
    }
    /// Its tables and how they are made.
    pub fn tables(mut self, tables: &'static [&'static str], made: &'static [Migration]) -> Self {
        self.wiring.tables = tables;
        self.wiring.migrations = made;
        self
    }
    /// Answers an endpoint.
    pub fn answers<E: Endpoint>(mut self) -> Self
    where
        S: Answer<E>,
    {
        self.wiring.routes.push(Route::new::<S, E>(self.wiring.name, Arc::clone(&self.state)));
        self
    }
    /// Commits a kind of command. Commands of a commit are applied in the order of declaration.
    pub fn commits<C: Command>(mut self) -> Self
    where
        S: Commit<C>,
    {
        assert_eq!(C::SERVICE, self.wiring.name, "{} is another service's command", C::NAME);
        self.wiring.queues.push(QueueOf::new::<S, C>(Arc::clone(&self.state)));
        self
    }
    /// Consumes a kind of event from every service that emits it.
    pub fn handles<E: Event>(mut self) -> Self
    where
        S: Handle<E>,
    {
        self.wiring.consumes(E::EMITTERS, E::NAME);
        self.wiring.handlers.push(handlers::single::<S, E>(Arc::clone(&self.state)));
        self
    }
    /// Consumes several kinds of events together, from every service that emits them.
    pub fn handles_together<M: Together>(mut self) -> Self
    where
        S: HandleTogether<M>,
    {
        for one in M::KINDS {
            self.wiring.consumes(one.emitters, one.name);
        }
        self.wiring.handlers.extend(handlers::several::<S, M>(Arc::clone(&self.state)));
        self
    }
    /// Emits a kind of event.
    pub fn emits<E: Event>(self) -> Self {
        assert!(E::EMITTERS.contains(&self.wiring.name), "the contract names the emitters");
        self
    }
    /// Asks another service synchronously. What the runtime answers for every service is no edge.
    pub fn calls<E: Endpoint>(mut self) -> Self {
        if E::SERVICE != CONSUMER {
            let kind = EdgeKind::Synchronous;
            self.wiring.edges.push(Edge::declared(self.wiring.name, E::SERVICE, kind, E::NAME));
        }
        self
    }
    /// Answers browsers: whatever is asked at this path and below it.
    pub fn pages<F, Fut>(mut self, below: &'static str, answer: F) -> Self
    where
        F: Fn(Arc<S>, PageRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<HttpBody>> + Send + 'static,
    {
        self.wiring.pages.push(Pages::new(below, Arc::clone(&self.state), answer));
        self
    }
    /// Tells operators of this rail's connection.
    pub fn connects(mut self) -> Self
    where
        S: Connects,
    {
        let state = Arc::clone(&self.state);
        self.wiring.connection = Some(Arc::new(move |platform, tx| state.connection(platform, tx)));
        self
    }
    /// Talks to the outside, by this message.
    pub fn talks_to(mut self, counterparty: &'static str, message: &'static str) -> Self {
        let edge = Edge::declared(self.wiring.name, counterparty, EdgeKind::Rail, message);
        self.wiring.edges.push(edge);
        self
    }
    /// Hears from the outside without having asked, by this message.
    pub fn hears_from(mut self, counterparty: &'static str, message: &'static str) -> Self {
        let edge = Edge::declared(counterparty, self.wiring.name, EdgeKind::Rail, message);
        self.wiring.edges.push(edge);
        self
    }
    /// Consumes in the merged commit only what an earlier commit made durable (rails, webhooks).
    pub fn committed_only(mut self) -> Self {
        self.wiring.committed_only = true;
        self
    }
    /// Lets events wait so long where no other work makes a commit: a lone write then costs one.
    pub fn lazily(mut self, most: Duration) -> Self {
        self.wiring.lazy = most;
        self
    }
    /// Adds this rail's messages about a transfer to its timeline.
    pub fn shows(mut self, messages: Shows) -> Self {
        self.wiring.shows = Some(messages);
        self
    }
    /// A task that runs beside the handlers: a job's or a link's loop. It ends when
    /// [`Platform::stopping`] does.
    pub fn runs<F, Fut>(mut self, task: F) -> Self
    where
        F: FnOnce(Arc<S>, Platform) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let state = Arc::clone(&self.state);
        self.wiring.tasks.push(Box::new(move |platform| Box::pin(task(state, platform))));
        self
    }
    /// Loads what the service keeps in memory, before anything else runs.
    pub fn starts(mut self, load: fn(&S, &mut Tx<'_>) -> Result<(), Fault>) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.start.push(Box::new(move |tx| load(&state, tx)));
        self
    }
    /// Work that may come late (index slices), inside each commit.
    pub fn merges(
        mut self,
        merge: fn(&S, &mut Tx<'_>, Timestamp) -> Result<(), store::Error>,
    ) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.late.push(Box::new(move |tx, now| merge(&state, tx, now)));
        self
    }
    /// In how long a commit is to be made for that work, where nothing else makes one.
    pub fn merges_within(mut self, due: fn(&S, Timestamp) -> Option<Duration>) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.due.push(Box::new(move |now| due(&state, now)));
        self
    }
    /// Keeps what it consumed in memory and writes it later, each part with a mark of its own: the
    /// stored position stays at or below `floor`, a place in a topic up to which everything is
    /// written. What comes again after a restart is told apart by the marks. `None`: effects and
    /// position are one commit, as everywhere else.
    pub fn gathers(mut self, floor: fn(&S, &'static str) -> Option<i64>) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.floor = Some(Arc::new(move |topic| floor(&state, topic)));
        self
    }
    /// What the writer's memory does once a commit is durable, and where it was rolled back.
    pub fn remembers(mut self, committed: fn(&S), rolled_back: fn(&S)) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.committed.push(Box::new(move || committed(&state)));
        let state = Arc::clone(&self.state);
        self.wiring.rolled_back.push(Box::new(move || rolled_back(&state)));
        self
    }
    /// What the writer's memory does where another process has written this service's tables: it is
    /// void, and read again when it is needed.
    pub fn forgets(mut self, forget: fn(&S)) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.forgets.push(Box::new(move || forget(&state)));
        self
    }
    /// What is to be done where another process of this service has emitted events: who waits here
    /// may wait for what happened there.
    pub fn hears_of_others(mut self, heard: fn(&S)) -> Self {
        let state = Arc::clone(&self.state);
        self.wiring.elsewhere.push(Box::new(move || heard(&state)));
        self
    }
    /// Consumes into memory alone, in every process anew: it has no position and no dead letters.
    pub(crate) fn in_memory(mut self) -> Self {
        self.wiring.memory_only = true;
        self
    }
    /// The wiring alone, for the platform.
    pub fn wire(self) -> Wiring {
        self.wiring
    }
}
