//! Events that a broker carries between processes: a thread for each relay, and one for each
//! consumer. The API never waits for any of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use eventlog::{
    Cursor, Feed, Log, Relay, RelayError, Turn,
    broker::{Broker, BrokerError, Reader},
    envelope::Wants,
};
use parking_lot::Mutex;
use store::{Bell, Store};

use crate::{
    clock::Monotonic,
    metrics::Carrying,
    signal::Signal,
    work::{Fault, chain},
};

/// How long a thread waits for something new before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(250);
/// What is committed in so short a time shares a batch; the first of it does not wait.
const GATHER: Duration = Duration::from_millis(10);
/// How often it is looked for consumers that ask for events once more.
const ASKS_EVERY: Duration = Duration::from_secs(1);
/// How often the broker is compared with where consumers are.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// Reads without an error after which a broker that brings nothing works again.
const QUIET: u64 = 40;
/// How long a failing broker is left alone.
const PAUSE: Duration = Duration::from_millis(300);

/// What this process has to do with a broker.
pub(crate) struct Carried {
    broker: Option<Arc<dyn Broker>>,
    feeds: Mutex<Vec<(&'static str, Arc<Feed>)>>,
    /// What wakes the relay of a topic.
    relays: Mutex<BTreeMap<&'static str, Arc<Signal>>>,
    /// By topic, where the relay here is the active one: events that wait to be carried.
    unsent: Mutex<BTreeMap<&'static str, i64>>,
    /// What does not work now, by who says so.
    troubles: Mutex<BTreeMap<String, String>>,
    stopped: AtomicBool,
}

impl Carried {
    pub fn new(broker: Option<Arc<dyn Broker>>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            feeds: Mutex::default(),
            relays: Mutex::default(),
            unsent: Mutex::default(),
            troubles: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }
    /// Whether a broker carries events at all.
    pub fn is_on(&self) -> bool {
        self.broker.is_some()
    }
    /// What comes in of a topic for a consumer, where a broker brings it.
    pub fn feed(
        &self,
        consumer: &'static str,
        (log, topic): (&Log, &'static str),
        wants: Wants,
    ) -> Option<Arc<Feed>> {
        self.broker.as_ref()?;
        let feed = Feed::new(log, topic, wants);
        self.feeds.lock().push((consumer, Arc::clone(&feed)));
        Some(feed)
    }
    /// The numbers that consumers here miss: consumer, topic, shard, number. `all` names those again
    /// that were asked for already.
    pub fn gaps(&self, all: bool) -> Vec<(&'static str, &'static str, u32, i64)> {
        let feeds = self.feeds.lock();
        let of = |(consumer, feed): &(&'static str, Arc<Feed>)| {
            let (consumer, topic) = (*consumer, feed.topic());
            let gaps = feed.gaps(all).into_iter();
            gaps.map(move |(shard, number)| (consumer, topic, shard, number))
        };
        feeds.iter().flat_map(of).collect()
    }
    /// Wakes the relays of these topics, whose names are in a row.
    pub fn call(&self, topics: &str) {
        let relays = self.relays.lock();
        topics.split(' ').filter_map(|topic| relays.get(topic)).for_each(|relay| relay.nudge());
    }
    /// S, where something is read here.
    pub fn shards(&self) -> Option<u32> {
        self.feeds.lock().first().map(|(_, feed)| feed.shards())
    }
    /// Has each feed look where its stream ends.
    pub fn look(&self, ends: &[(String, Cursor)]) {
        for (_, feed) in self.feeds.lock().iter() {
            let end = ends.iter().find(|(topic, _)| topic == feed.topic());
            end.into_iter().for_each(|(_, end)| feed.look(end));
        }
    }
    /// What is wrong with the broker, if something is; `None` without one.
    pub fn state(&self) -> Option<String> {
        self.broker.as_ref()?;
        let troubles = self.troubles.lock();
        Some(troubles.values().next().cloned().unwrap_or_else(|| "ok".to_owned()))
    }
    /// What is measured of it; `None` without a broker.
    pub fn carrying(&self) -> Option<Carrying> {
        self.broker.as_ref()?;
        let unsent = self.unsent.lock().iter().map(|(topic, count)| (*topic, *count)).collect();
        Some(Carrying { works: self.troubles.lock().is_empty(), unsent })
    }
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
    fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
    fn works(&self, who: &str) {
        if self.troubles.lock().remove(who).is_some() {
            tracing::info!(who, "the broker works again");
        }
    }
    fn fails(&self, who: &str, error: &(dyn std::error::Error + 'static)) {
        if self.troubles.lock().insert(who.to_owned(), chain(error)).is_none() {
            tracing::warn!(error, who, "the broker does not work now");
        }
        std::thread::park_timeout(PAUSE);
    }
    /// The threads: relays of the topics that are emitted here, readers of all that is consumed here.
    pub fn start(
        self: &Arc<Self>,
        store: &Store,
        (process, topics): (i64, Vec<&'static str>),
        signal: &Arc<Signal>,
        monotonic: &Monotonic,
    ) -> Result<Vec<JoinHandle<()>>, Fault> {
        let Some(broker) = &self.broker else { return Ok(Vec::new()) };
        let mut threads = Vec::new();
        for topic in topics {
            let Some(mut line) = Bell::deaf(store)? else { continue };
            let mut tx = line.begin()?;
            let relay = Relay::open(&mut tx, topic, process)?;
            tx.commit()?;
            let signal = Arc::default();
            self.relays.lock().insert(topic, Arc::clone(&signal));
            let (all, broker, monotonic) =
                (Arc::clone(self), Arc::clone(broker), monotonic.clone());
            threads.push(spawn(format!("relay {topic}"), move |who| {
                all.relays((relay, line, &signal), &*broker, (&monotonic, who));
            }));
        }
        let mut read: BTreeMap<&'static str, Vec<Arc<Feed>>> = BTreeMap::new();
        for (consumer, feed) in self.feeds.lock().iter() {
            read.entry(consumer).or_default().push(Arc::clone(feed));
        }
        for (consumer, feeds) in read {
            let (all, broker, signal) = (Arc::clone(self), Arc::clone(broker), Arc::clone(signal));
            threads.push(spawn(format!("reads {consumer}"), move |who| {
                all.reads((consumer, &feeds), &*broker, &signal, who);
            }));
        }
        Ok(threads)
    }
    fn relays(
        &self,
        (mut relay, mut line, signal): (Relay, Bell, &Signal),
        broker: &dyn Broker,
        (monotonic, who): (&Monotonic, &str),
    ) {
        let (mut asked, mut compared) = (monotonic.micros(), monotonic.micros());
        let due = |since: &mut u64, every: Duration| {
            let now = monotonic.micros();
            let due = now - *since >= every.as_micros() as u64;
            if due {
                *since = now;
            }
            due
        };
        let (mut busy, mut standby) = (true, false);
        let mut looked = 0;
        while !self.has_stopped() {
            if busy {
                std::thread::park_timeout(GATHER);
            }
            // One in standby is called for what another carries: it looks for a lease that ran out
            // now and then, and no more.
            let called = signal.wait(Some(if busy { Duration::ZERO } else { LOOK })) && !standby;
            if !(busy || called || due(&mut looked, LOOK)) {
                continue;
            }
            let mut done = relay.turn(&mut line, broker, monotonic.micros());
            busy = matches!(done, Ok(Turn::Sent(sent)) if sent > 0);
            standby = matches!(done, Ok(Turn::Standby));
            self.measure(&relay, &done);
            if done.is_ok() && due(&mut asked, ASKS_EVERY) {
                done = relay.answer_asks(&mut line).and(done);
            }
            // Also where nothing can be sent: the topic may be gone.
            if due(&mut compared, RECONCILE_EVERY) {
                done = relay.reconcile(&mut line, broker).and(done);
            }
            match done {
                Ok(_) => self.works(who),
                Err(error) => self.fails(who, &error),
            }
        }
        // Where this fails, the lease runs out.
        let _ = relay.leave(&mut line);
    }
    /// Notes how many events wait, where that is this relay's to say.
    fn measure(&self, relay: &Relay, done: &Result<Turn, RelayError>) {
        let mut unsent = self.unsent.lock();
        match done {
            Ok(Turn::Standby) => unsent.remove(relay.topic()),
            // Nobody knows now.
            Err(RelayError::Log(_)) => None,
            Ok(Turn::Sent(_)) | Err(RelayError::Broker(_)) => {
                unsent.insert(relay.topic(), relay.behind())
            }
        };
    }
    fn reads(
        &self,
        (consumer, feeds): (&'static str, &[Arc<Feed>]),
        broker: &dyn Broker,
        signal: &Signal,
        who: &str,
    ) {
        let topics: Vec<&'static str> = feeds.iter().map(|feed| feed.topic()).collect();
        let mut reader: Option<Box<dyn Reader>> = None;
        let mut paused = BTreeSet::new();
        let mut quiet = 0u64;
        while !self.has_stopped() {
            let open = match &mut reader {
                Some(open) => open,
                none => match broker.reader(consumer, &topics) {
                    Ok(open) => none.insert(open),
                    Err(error) => {
                        self.fails(who, &error);
                        continue;
                    }
                },
            };
            match reads_once(open.as_mut(), feeds, &mut paused) {
                Ok(fresh) => {
                    quiet += 1;
                    // A client that has lost all brokers says so once in a while only.
                    if fresh || quiet >= QUIET {
                        self.works(who);
                    }
                    if fresh {
                        signal.nudge();
                    }
                }
                Err(error) => {
                    quiet = 0;
                    self.fails(who, &error);
                }
            }
            for feed in feeds {
                open.note(feed.topic(), &feed.noted());
            }
        }
    }
}

/// Has the reader read what it is to read, and puts what came into the feeds; whether that is
/// something new.
fn reads_once(
    reader: &mut dyn Reader,
    feeds: &[Arc<Feed>],
    paused: &mut BTreeSet<&'static str>,
) -> Result<bool, BrokerError> {
    if feeds.iter().any(|feed| feed.has_moved()) {
        let parts: Vec<_> = feeds.iter().flat_map(|feed| feed.parts()).collect();
        paused.clear();
        reader.assign(&parts)?;
    }
    // Each says so once.
    if feeds.iter().filter(|feed| feed.has_stalled()).count() > 0 {
        reader.renew();
    }
    for feed in feeds {
        let (topic, is_paused) = (feed.topic(), paused.contains(feed.topic()));
        if feed.pauses(is_paused) != is_paused {
            reader.pause(topic, !is_paused)?;
            if !paused.remove(topic) {
                paused.insert(topic);
            }
        }
    }
    let arrived = reader.poll(LOOK)?;
    Ok(feeds.iter().filter(|feed| feed.take(&arrived)).count() > 0)
}

fn spawn(name: String, run: impl FnOnce(&str) + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.clone());
    thread.spawn(move || run(&name)).expect("a process may have a few threads")
}
