//! Events that a broker carries between processes: a thread for each relay, and one for each
//! consumer's topic. The API never waits for any of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use eventlog::{
    Feed, Relay, Turn,
    broker::{Broker, Reader},
};
use parking_lot::Mutex;
use store::{Bell, Store};

use crate::{clock::Monotonic, processes::CHANNEL, work::Fault, writer::Signal};

/// How long a thread waits for something new before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked for consumers that ask for events once more.
const ASKS_EVERY: Duration = Duration::from_secs(1);
/// How often the broker is compared with where consumers are.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// How long a failing broker is left alone.
const PAUSE: Duration = Duration::from_millis(300);

/// What this process has to do with a broker.
pub(crate) struct Carried {
    broker: Option<Arc<dyn Broker>>,
    feeds: Mutex<Vec<(&'static str, Arc<Feed>)>>,
    /// What does not work now, by who says so.
    troubles: Mutex<BTreeMap<String, String>>,
    stopped: AtomicBool,
}

impl Carried {
    pub fn new(broker: Option<Arc<dyn Broker>>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            feeds: Mutex::default(),
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
        topic: &'static str,
        shards: u32,
    ) -> Option<Arc<Feed>> {
        self.broker.as_ref()?;
        let feed = Feed::new(topic, shards);
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
    /// What is wrong with the broker, if something is; `None` without one.
    pub fn state(&self) -> Option<String> {
        self.broker.as_ref()?;
        let troubles = self.troubles.lock();
        Some(troubles.values().next().cloned().unwrap_or_else(|| "ok".to_owned()))
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
        let mut said = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            said.push_str(&format!(": {source}"));
            next = source.source();
        }
        if self.troubles.lock().insert(who.to_owned(), said).is_none() {
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
            let Some(mut bell) = Bell::open(store, CHANNEL)? else { continue };
            let mut tx = bell.begin()?;
            let relay = Relay::open(&mut tx, topic, process)?;
            tx.commit()?;
            let (all, broker, monotonic) =
                (Arc::clone(self), Arc::clone(broker), monotonic.clone());
            threads.push(spawn(format!("relay {topic}"), move |who| {
                all.relays((relay, bell), &*broker, (&monotonic, who));
            }));
        }
        for (consumer, feed) in self.feeds.lock().clone() {
            let (all, broker, signal) = (Arc::clone(self), Arc::clone(broker), Arc::clone(signal));
            threads.push(spawn(format!("{consumer} of {}", feed.topic()), move |who| {
                all.reads((consumer, &feed), &*broker, &signal, who);
            }));
        }
        Ok(threads)
    }
    fn relays(
        &self,
        (mut relay, mut bell): (Relay, Bell),
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
        let mut busy = true;
        while !self.has_stopped() {
            let waited = bell.wait(if busy { Duration::ZERO } else { LOOK });
            // A connection that was lost is made anew by the turn.
            let lost = waited.is_err();
            let mut done = relay.turn(&mut bell, broker);
            busy = matches!(done, Ok(Turn::Sent(sent)) if sent > 0);
            if done.is_ok() && due(&mut asked, ASKS_EVERY) {
                done = relay.answer_asks(&mut bell).and(done);
            }
            // Also where nothing can be sent: the topic may be gone.
            if due(&mut compared, RECONCILE_EVERY) {
                done = relay.reconcile(&mut bell, broker).and(done);
            }
            match done {
                Ok(_) => self.works(who),
                Err(error) => self.fails(who, &error),
            }
            if lost {
                std::thread::park_timeout(PAUSE);
            }
        }
        // Where this fails, the lease runs out.
        let _ = relay.leave(&mut bell);
    }
    fn reads(
        &self,
        (consumer, feed): (&'static str, &Arc<Feed>),
        broker: &dyn Broker,
        signal: &Signal,
        who: &str,
    ) {
        let mut reader: Option<Box<dyn Reader>> = None;
        let mut paused = false;
        while !self.has_stopped() {
            let open = match &mut reader {
                Some(open) => open,
                none => match broker.reader(consumer, feed.topic()) {
                    Ok(open) => none.insert(open),
                    Err(error) => {
                        self.fails(who, &error);
                        continue;
                    }
                },
            };
            let assigned = feed.changed().map_or(Ok(()), |parts| {
                paused = false;
                open.assign(&parts)
            });
            let polled = assigned.and_then(|()| {
                if feed.pauses(paused) != paused {
                    paused = !paused;
                    open.pause(paused)?;
                }
                open.poll(LOOK)
            });
            match polled {
                Ok(arrived) => {
                    self.works(who);
                    if feed.take(&arrived) {
                        signal.nudge();
                    }
                }
                Err(error) => self.fails(who, &error),
            }
            open.note(&feed.noted());
        }
    }
}

fn spawn(name: String, run: impl FnOnce(&str) + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.clone());
    thread.spawn(move || run(&name)).expect("a process may have a few threads")
}
