//! The worker: claims what is ready and sends it, takes back what is in doubt, releases funds. Woken
//! by commits, by the connection, by a moved clock, and by the earliest time at which something is
//! due; it never polls on the embedded engine.

mod settlement;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use contracts::{
    Timestamp,
    payment_methods::{Reveal, RevealedMethod},
};
use iso8583::Message;
use runtime::Platform;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Card,
    domain::{Instruction, Key, News, State, Word},
    http::{Claim, ClaimReversals, Hold, Keep, Record, Release, micros},
    link::{Driver, Hears, Outgoing},
    store::{self, Recorded},
};

/// The pause after something of our own was not there (the store, payment-methods).
const OWN_TROUBLE: Duration = Duration::from_millis(250);
/// Between two looks where another process may have queued something.
const SHARED_STORE_LOOK: Duration = Duration::from_millis(500);
/// A claim that is older than its deadline by this was left behind by a task that died.
const LEFT_BEHIND_MICROS: i64 = 5_000_000;
/// Who holds the directory's lock needs no lease: a century of one costs a commit, not one each few
/// seconds.
const EMBEDDED_LEASE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The right to write to the host until a monotonic deadline.
#[derive(Clone, Copy)]
struct Lease {
    epoch: i64,
    until: u64,
}

struct Worker {
    card: Arc<Card>,
    platform: Platform,
    lease: Option<Lease>,
    lease_length: Duration,
    flights: Flights,
    next_key: u64,
}

/// What is open, the earliest due first.
struct Open {
    ready: Vec<Instruction>,
    reversing: Vec<Instruction>,
    confirmed: Option<Instruction>,
    sending: Option<Instruction>,
}

/// The rail's task.
pub async fn run(card: Arc<Card>, platform: Platform) {
    let flights = Flights::default();
    let hears =
        Told { card: Arc::clone(&card), platform: platform.clone(), flights: flights.clone() };
    let driver = Driver::new(Arc::clone(&card.link), platform.clone(), hears);
    let embedded = platform.store().engine() == ::store::Engine::Sqlite;
    let lease_length = if embedded { EMBEDDED_LEASE } else { card.config.lease };
    let (lease, next_key) = (None, 0);
    let settles = settlement::run(Arc::clone(&card), platform.clone());
    let worker = Worker { card, platform, lease, lease_length, flights, next_key };
    tokio::join!(driver.run(), worker.run(), settles);
}

fn unsigned(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Worker {
    async fn run(mut self) {
        let link = Arc::clone(&self.card.link);
        let mut moved = self.platform.clock().moves();
        loop {
            moved.mark_unchanged();
            let pause = self.pass().await;
            let due = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.platform.stopping() => return,
                () = link.wake.notified() => {}
                _ = moved.changed() => {}
                () = due => {}
            }
        }
    }
    /// Does what is due; how long nothing more is.
    async fn pass(&mut self) -> Option<Duration> {
        let embedded = self.platform.store().engine() == ::store::Engine::Sqlite;
        let idle = (!embedded).then_some(SHARED_STORE_LOOK);
        // The connection is a long-lived one: the lease is held also while there is nothing to do.
        let Some(lease) = self.hold().await else {
            return Some(self.card.config.lease / 4);
        };
        let Ok(open) = self.open().await else { return Some(OWN_TROUBLE) };
        let now = self.platform.clock().machine().0;
        if let Some(left) = open.sending.filter(|one| one.due + LEFT_BEHIND_MICROS < now) {
            let news = News::Silent { attempt: left.attempt };
            record(&self.platform, Record { key: left.key, news, message: None }).await;
        }
        let next_release = self.release(open.confirmed).await;
        let (none_to_reverse, some_wait) = (open.reversing.is_empty(), !open.ready.is_empty());
        let next_reversal = self.reverse(open.reversing, lease, now).await;
        let next_send = match self.card.link.is_silent() {
            None => self.send(open.ready, lease).await,
            // Where nothing is left to take back, one payment asks whether the host is there again.
            Some(_) if none_to_reverse && self.flights.keys().is_empty() => {
                self.send(open.ready.into_iter().take(1).collect(), lease).await
            }
            // An answer that came too late ends a reversal, and closes no circuit: looked at again.
            Some(_) => some_wait.then_some(self.card.config.reverse_most),
        };
        let some = [idle, next_release, next_reversal, next_send];
        some.into_iter().flatten().min()
    }
    async fn open(&self) -> Result<Open, contracts::Refusal> {
        let config = &self.card.config;
        let (batch, window) = (config.batch, config.window);
        self.platform
            .read(move |tx| {
                let ready = store::list_due(tx, State::Ready, batch)?;
                let reversing = store::list_due(tx, State::Reversing, window)?;
                let confirmed = store::list_due(tx, State::Confirmed, 1)?.pop();
                let sending = store::list_due(tx, State::Sending, 1)?.pop();
                Ok(Open { ready, reversing, confirmed, sending })
            })
            .await
    }
    /// The lease, taken or renewed where it has less than half of its time left.
    async fn hold(&mut self) -> Option<Lease> {
        let length = unsigned(self.lease_length);
        let began = self.platform.monotonic().micros();
        if let Some(lease) = self.lease.filter(|lease| lease.until > began + length / 2) {
            return Some(lease);
        }
        let epoch = self.lease.map(|lease| lease.epoch);
        let hold = Hold { epoch, micros: micros(self.lease_length) };
        match self.platform.commit(hold).await {
            Ok(Some(epoch)) => {
                // Counted from before the commit: the stored time is never earlier than ours.
                let lease = Lease { epoch, until: began + length };
                self.lease = Some(lease);
                self.card.link.cover(lease.until);
            }
            Ok(None) => {
                if self.lease.take().is_some() {
                    self.card.link.cover(0);
                    self.card.link.wake.notify_one();
                }
            }
            Err(_) => return None,
        }
        self.lease
    }
    /// Releases what is due; how long nothing more is.
    async fn release(&self, first: Option<Instruction>) -> Option<Duration> {
        let first = first?.due;
        let next = if first <= self.platform.clock().now().0 {
            match self.platform.commit(Release).await {
                Ok(next) => next?,
                Err(_) => return Some(OWN_TROUBLE),
            }
        } else {
            first
        };
        let pause = next - self.platform.clock().now().0;
        Some(Duration::from_micros(u64::try_from(pause).unwrap_or(0)))
    }
    /// A place for one message, or `None` while there is none (one that comes free wakes the worker).
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let link = &self.card.link;
        let permit = Arc::clone(&link.slots).try_acquire_owned().ok();
        if permit.is_none() {
            link.starved.store(true, Ordering::SeqCst);
        }
        permit
    }
    /// Takes back what is due and not on its way, the oldest first.
    async fn reverse(
        &mut self,
        open: Vec<Instruction>,
        lease: Lease,
        now: i64,
    ) -> Option<Duration> {
        if open.is_empty() || !self.card.link.is_signed_on() {
            return None;
        }
        let flying = self.flights.keys();
        let open = open.into_iter().filter(|one| !flying.contains(&one.key));
        let (due, later): (Vec<_>, Vec<_>) = open.partition(|one| one.due <= now);
        let next = later
            .first()
            .map(|one| Duration::from_micros(u64::try_from(one.due - now).unwrap_or(0).max(1_000)));
        let mut places = Vec::new();
        for instruction in due {
            match self.place() {
                Some(permit) => places.push((instruction, permit)),
                None => break,
            }
        }
        if places.is_empty() {
            return next;
        }
        let methods = reveal(&self.platform, places.iter().map(|(one, _)| one), true).await;
        let Some(methods) = methods else { return Some(OWN_TROUBLE) };
        let keys = places.iter().map(|(one, _)| one.key).collect();
        let claim = ClaimReversals { epoch: lease.epoch, keys };
        let claimed = match self.claim(self.platform.commit(claim).await) {
            Ok(claimed) => claimed,
            Err(pause) => return Some(pause),
        };
        let mut permits: BTreeMap<Key, OwnedSemaphorePermit> =
            places.into_iter().map(|(one, permit)| (one.key, permit)).collect();
        for one in claimed {
            let Some(permit) = permits.remove(&one.key) else { continue };
            let method = methods.get(&(one.method, one.version));
            match self.request(&one, method) {
                Ok(request) => {
                    let reversal = self.card.config.us.reversal(&one, &request);
                    let name = if reversal.repeat { "0401" } else { "0400" };
                    self.put(one, name, reversal.message(), permit);
                }
                Err(why) => {
                    let transfer = one.key.transfer;
                    tracing::error!(%transfer, why, "card: a reversal that cannot be written");
                    let news = News::NotReversed;
                    record(&self.platform, Record { key: one.key, news, message: None }).await;
                }
            }
        }
        next
    }
    /// Reveals, claims and sends a batch; how long nothing more can be sent.
    async fn send(&mut self, ready: Vec<Instruction>, lease: Lease) -> Option<Duration> {
        if ready.is_empty() || !self.card.link.is_signed_on() {
            return None;
        }
        let full = ready.len() == self.card.config.batch;
        let mut permits = BTreeMap::new();
        let mut some = Vec::with_capacity(ready.len());
        for instruction in ready {
            let Some(permit) = self.place() else { break };
            permits.insert(instruction.key, permit);
            some.push(instruction);
        }
        if some.is_empty() {
            return None;
        }
        let methods = reveal(&self.platform, some.iter(), false).await;
        let Some(methods) = methods else { return Some(OWN_TROUBLE) };
        let mut keys = Vec::with_capacity(some.len());
        for instruction in &some {
            let method = methods.get(&(instruction.method, instruction.version));
            // Its number comes with the claim; whether it can be written is known before.
            let tried = Instruction { number: 1, ..instruction.clone() };
            let tried = match method.filter(|method| !method.revoked) {
                None => Err("other"),
                Some(method) => self.request(&tried, Some(method)).map_err(|why| {
                    let transfer = instruction.key.transfer;
                    tracing::error!(%transfer, why, "card: a payment that cannot be written");
                    "processing-error"
                }),
            };
            match tried {
                Ok(_) => keys.push(instruction.key),
                Err(failure) => {
                    let (key, news) = (instruction.key, News::Unsendable { failure });
                    record(&self.platform, Record { key, news, message: None }).await;
                }
            }
        }
        if keys.is_empty() {
            return None;
        }
        let claim = Claim { epoch: lease.epoch, keys };
        let claimed = match self.claim(self.platform.commit(claim).await) {
            Ok(claimed) => claimed,
            Err(pause) => return Some(pause),
        };
        for one in claimed {
            let Some(permit) = permits.remove(&one.key) else { continue };
            let request = self.request(&one, methods.get(&(one.method, one.version)));
            let message = request.expect("it could be written before it had a number").message();
            self.put(one, "0100", message, permit);
        }
        full.then_some(Duration::ZERO)
    }
    fn request(
        &self,
        of: &Instruction,
        method: Option<&RevealedMethod>,
    ) -> Result<iso8583::authorisation::Request, String> {
        let method = method.ok_or("its method is not revealed")?;
        let merchant = self.platform.access().account(of.merchant);
        let name = merchant.map_or(String::new(), |known| known.display_name.clone());
        self.card.config.us.request(of, method, &name)
    }
    fn claim(
        &mut self,
        claimed: Result<Option<Vec<Instruction>>, contracts::Refusal>,
    ) -> Result<Vec<Instruction>, Duration> {
        match claimed {
            Ok(Some(claimed)) => Ok(claimed),
            Ok(None) => {
                self.lease = None;
                self.card.link.cover(0);
                Err(Duration::ZERO)
            }
            Err(_) => Err(OWN_TROUBLE),
        }
    }
    /// Hands a claimed message to the connection.
    fn put(
        &mut self,
        of: Instruction,
        name: &'static str,
        message: Message,
        permit: OwnedSemaphorePermit,
    ) {
        self.next_key += 1;
        let (key, began) = (self.next_key, self.platform.monotonic().micros());
        let at = self.platform.clock().machine();
        self.flights.insert(key, Flight { of, name, at, began, permit });
        let deadline = began + unsigned(self.card.config.answer_within);
        self.card.link.put(Outgoing { key, message, deadline });
    }
}

type Methods = BTreeMap<(contracts::ids::PaymentMethodId, i64), RevealedMethod>;

/// The opened payment methods of these instructions, in one question; `None` where there is no answer.
async fn reveal<'a>(
    platform: &Platform,
    of: impl Iterator<Item = &'a Instruction>,
    taken_back: bool,
) -> Option<Methods> {
    let wanted: BTreeSet<_> = of.map(|one| (one.method, one.version)).collect();
    let names: Vec<String> = wanted.iter().map(|(id, version)| format!("{id}:{version}")).collect();
    // What was sent under a version is taken back under it, also where it was revoked since.
    let again = if taken_back { "&revoked=true" } else { "" };
    let path = format!("/internal/payment-methods/reveal?methods={}{again}", names.join(","));
    match platform.call::<Reveal>("card", &path).await {
        Ok(called) => {
            let methods = called.reply.methods.into_iter();
            Some(methods.map(|one| ((one.payment_method_id, one.version), one)).collect())
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "card: payment methods cannot be opened now");
            None
        }
    }
}

/// A message on its way, with its place.
struct Flight {
    of: Instruction,
    name: &'static str,
    at: Timestamp,
    began: u64,
    permit: OwnedSemaphorePermit,
}

/// Messages on their way, by the connection's key; as many as there are places.
#[derive(Clone, Default)]
struct Flights(Arc<parking_lot::Mutex<BTreeMap<u64, Flight>>>);

impl Flights {
    fn insert(&self, key: u64, flight: Flight) {
        self.0.lock().insert(key, flight);
    }
    fn remove(&self, key: u64) -> Option<Flight> {
        self.0.lock().remove(&key)
    }
    fn name(&self, key: u64) -> Option<&'static str> {
        self.0.lock().get(&key).map(|flight| flight.name)
    }
    fn keys(&self) -> BTreeSet<Key> {
        self.0.lock().values().map(|flight| flight.of.key).collect()
    }
}

/// Records what the connection tells.
struct Told {
    card: Arc<Card>,
    platform: Platform,
    flights: Flights,
}

impl Hears for Told {
    fn sent(&mut self, key: u64) {
        if let Some(name) = self.flights.name(key) {
            self.platform.observed_rail("card", "card-host", name);
        }
    }
    fn ended(&mut self, key: u64, answer: Option<Option<Message>>) {
        let Some(flight) = self.flights.0.lock().get(&key).map(|flight| {
            let micros = self.platform.monotonic().micros() - flight.began;
            (flight.of.clone(), flight.name, flight.at, micros)
        }) else {
            return;
        };
        let (of, name, at, micros) = flight;
        let news = self.news(&of, name, answer.as_ref());
        let (answered, outcome) = match &answer {
            None => (None, "not sent: the connection was down".to_owned()),
            Some(None) => (None, "no answer".to_owned()),
            Some(Some(message)) => {
                let answered = if name == "0100" { "0110" } else { "0410" };
                self.platform.observed_rail("card-host", "card", answered);
                (Some(answered), message.field(39).unwrap_or("-").to_owned())
            }
        };
        let link = Arc::clone(&self.card.link);
        let turned = match &answer {
            None => false,
            Some(answer) => link.answered(answer.is_some()),
        };
        if turned {
            let is_open = link.is_silent().is_some();
            tracing::warn!(is_open, "card: the circuit to the host");
        }
        let message = Some(Recorded { name, at, micros, answered, outcome });
        let decided = matches!(&news, News::Said { word: Ok(word), .. }
            if !matches!(word, Word::Conditional { .. }));
        let doubtful = !decided && !matches!(news, News::Reversed);
        let (platform, flights) = (self.platform.clone(), self.flights.clone());
        let batch = self.card.config.batch;
        tokio::spawn(async move {
            record(&platform, Record { key: of.key, news, message }).await;
            // Its place is free only now: what is not recorded counts as under way.
            drop(flights.remove(key).map(|flight| flight.permit));
            let enough = link.slots.available_permits() >= batch;
            if enough && link.starved.swap(false, Ordering::SeqCst) {
                link.wake.notify_one();
            }
            // What is to be reversed now was passed over while it was on its way; what waited for the
            // circuit may go.
            if doubtful || turned {
                link.wake.notify_one();
            }
        });
    }
    fn unmatched(&mut self, message: Message) {
        let platform = self.platform.clone();
        tracing::warn!(kind = %message.mti, "card: a message for which nobody waits");
        tokio::spawn(async move {
            if let Err(refusal) = platform.commit(Keep(message)).await {
                tracing::error!(%refusal, "card: a message for which nobody waits was not kept");
            }
        });
    }
}

impl Told {
    fn news(&self, of: &Instruction, name: &str, answer: Option<&Option<Message>>) -> News {
        let us = &self.card.config.us;
        let (attempt, transfer) = (of.attempt, of.key.transfer);
        match (name, answer) {
            ("0100", None) => News::NotSent { attempt },
            ("0100", Some(None)) => News::Silent { attempt },
            ("0100", Some(Some(message))) => {
                let word = us.word(of, message).map_err(|why| {
                    tracing::error!(%transfer, why, "card: an answer that is not believed");
                });
                News::Said { attempt, word }
            }
            (_, None | Some(None)) => News::NotReversed,
            (_, Some(Some(message))) => us.reversal_word(of, message).unwrap_or_else(|why| {
                tracing::error!(%transfer, why, "card: an answer that is not believed");
                News::NoReversal
            }),
        }
    }
}

/// Records until it is durable. What cannot be recorded stays claimed: the next start reverses.
async fn record(platform: &Platform, record: Record) {
    let transfer = record.key.transfer;
    platform.commit_until_durable(record, transfer).await;
}
