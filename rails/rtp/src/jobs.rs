//! The worker: claims what is ready and sends it, asks about what is unknown. Woken by commits and
//! by the earliest time at which something is due; it never polls on the embedded engine.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use contracts::{
    Timestamp,
    payment_methods::{Reveal, RevealedMethod},
};
use runtime::Platform;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Rtp,
    domain::{Instruction, Key, News, State, Word},
    http::{Claim, Hold, OneClaim, Record, said},
    link::{Allowed, Posted},
    store::{self, Recorded},
    wire,
};

/// The pause after something of our own was not there (the store, payment-methods).
const OWN_TROUBLE: Duration = Duration::from_millis(250);
/// Between two looks where another process may have queued something.
const SHARED_STORE_LOOK: Duration = Duration::from_millis(500);
/// A claim that is older than its deadline by this was left behind by a task that died.
const LEFT_BEHIND_MICROS: i64 = 5_000_000;

/// The right to write to the network until a monotonic deadline.
#[derive(Clone, Copy)]
struct Lease {
    epoch: i64,
    until: u64,
}

struct Worker {
    rtp: Arc<Rtp>,
    platform: Platform,
    lease: Option<Lease>,
}

/// What is open, the earliest due first.
struct Open {
    ready: Vec<Instruction>,
    asking: Vec<Instruction>,
    sending: Option<Instruction>,
}

/// The rail's task.
pub async fn run(rtp: Arc<Rtp>, platform: Platform) {
    let mut worker = Worker { rtp, platform: platform.clone(), lease: None };
    let link = Arc::clone(&worker.rtp.link);
    loop {
        let pause = worker.pass().await;
        let due = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = platform.stopping() => return,
            () = link.wake.notified() => {}
            () = due => {}
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Worker {
    /// Does what is due; how long nothing more is.
    async fn pass(&mut self) -> Option<Duration> {
        let shared = self.platform.store().engine() == ::store::Engine::Postgres;
        let idle = shared.then_some(SHARED_STORE_LOOK);
        let Ok(open) = self.open().await else { return Some(OWN_TROUBLE) };
        if open.ready.is_empty() && open.asking.is_empty() && open.sending.is_none() {
            return idle;
        }
        let Some(lease) = self.hold().await else {
            return Some(self.rtp.config.lease / 4);
        };
        let now = self.platform.clock().machine().0;
        if let Some(left) = open.sending.filter(|one| one.due + LEFT_BEHIND_MICROS < now) {
            let news = News::Silent { attempt: left.attempt };
            record(&self.platform, Record { key: left.key, news, message: None }).await;
        }
        let next_ask = self.ask(open.asking, lease, now);
        let next_send = self.send(open.ready, lease).await;
        [idle, next_ask, next_send, Some(Duration::from_secs(5))].into_iter().flatten().min()
    }
    async fn open(&self) -> Result<Open, contracts::Refusal> {
        let config = &self.rtp.config;
        let (batch, window) = (config.batch, 2 * config.window);
        self.platform
            .read(move |tx| {
                let ready = store::list_due(tx, State::Ready, batch)?;
                let mut asking = store::list_due(tx, State::Unknown, window)?;
                asking.extend(store::list_due(tx, State::Pending, window)?);
                let sending = store::list_due(tx, State::Sending, 1)?.pop();
                Ok(Open { ready, asking, sending })
            })
            .await
    }
    /// The lease, taken or renewed where it has less than half of its time left.
    async fn hold(&mut self) -> Option<Lease> {
        let length = micros(self.rtp.config.lease);
        let began = self.platform.monotonic().micros();
        if let Some(lease) = self.lease.filter(|lease| lease.until > began + length / 2) {
            return Some(lease);
        }
        let epoch = self.lease.map(|lease| lease.epoch);
        match self.platform.commit(Hold { epoch }).await {
            Ok(Some(epoch)) => {
                // Counted from before the commit: the stored time is never earlier than ours.
                self.lease = Some(Lease { epoch, until: began + length });
            }
            Ok(None) => {
                if self.lease.take().is_some() {
                    self.rtp.link.close();
                    self.rtp.link.wake.notify_one();
                }
            }
            Err(_) => return None,
        }
        self.lease
    }
    /// Asks about what is due; until when nothing more is.
    fn ask(&self, open: Vec<Instruction>, lease: Lease, now: i64) -> Option<Duration> {
        let link = &self.rtp.link;
        let mut next: Option<i64> = None;
        for instruction in open {
            let key = instruction.key;
            if link.asking.lock().contains(&key) {
                continue;
            }
            let wait = match instruction.due - now {
                wait if wait > 0 => wait,
                _ => match self.may_send() {
                    Err(wait) => i64::try_from(wait).unwrap_or(i64::MAX),
                    Ok(permit) => {
                        link.asking.lock().insert(key);
                        let sent = Sent::new(&self.rtp, &self.platform, lease, permit);
                        tokio::spawn(ask_one(sent, instruction));
                        continue;
                    }
                },
            };
            next = Some(next.map_or(wait, |next| next.min(wait)));
        }
        next.map(|next| Duration::from_micros(u64::try_from(next).unwrap_or(0).max(1_000)))
    }
    /// A place for one message, or how many microseconds there is none (a place that comes free
    /// wakes the worker).
    fn may_send(&self) -> Result<OwnedSemaphorePermit, u64> {
        const LONG: u64 = 5_000_000;
        let (link, now) = (&self.rtp.link, self.platform.monotonic().micros());
        let mut circuit = link.circuit.lock();
        let allowed = circuit.allows(now);
        if let Allowed::Nothing { until } = allowed {
            return Err(until - now);
        }
        let permit = Arc::clone(&link.slots).try_acquire_owned().map_err(|_| {
            link.starved.store(true, Ordering::SeqCst);
            LONG
        })?;
        if allowed == Allowed::Probe {
            circuit.probe(now + micros(self.rtp.config.answer_within));
        }
        Ok(permit)
    }
    /// Reveals, claims and sends a batch; how long nothing more can be sent.
    async fn send(&mut self, ready: Vec<Instruction>, lease: Lease) -> Option<Duration> {
        let full = ready.len() == self.rtp.config.batch;
        let mut places = Vec::with_capacity(ready.len());
        let mut wait = None;
        for instruction in ready {
            match self.may_send() {
                Ok(permit) => places.push((instruction, permit)),
                Err(micros) => {
                    wait = Some(Duration::from_micros(micros));
                    break;
                }
            }
        }
        if places.is_empty() {
            return wait;
        }
        let methods = reveal(&self.platform, places.iter().map(|(one, _)| one)).await;
        let Some(methods) = methods else { return Some(OWN_TROUBLE) };
        let mut claims = Vec::with_capacity(places.len());
        let mut messages = BTreeMap::new();
        for (instruction, permit) in places {
            let created = self.platform.clock().now();
            let method = methods.get(&(instruction.method, instruction.version));
            match self.message(&instruction, method, created) {
                Ok((message, receiver)) => {
                    claims.push(OneClaim { key: instruction.key, created, receiver });
                    messages.insert(instruction.key, (message, permit));
                }
                Err(failure) => {
                    let news = News::Unsendable { failure };
                    let unsent = Record { key: instruction.key, news, message: None };
                    record(&self.platform, unsent).await;
                }
            }
        }
        match self.claim(claims, lease).await {
            Err(pause) => Some(pause),
            Ok((claimed, lease)) => {
                for instruction in claimed {
                    let Some((message, permit)) = messages.remove(&instruction.key) else {
                        continue;
                    };
                    let sent = Sent::new(&self.rtp, &self.platform, lease, permit);
                    tokio::spawn(send_one(sent, instruction, message));
                }
                if full { Some(Duration::ZERO) } else { wait }
            }
        }
    }
    /// The message of an instruction and its receiver, or the failure code of why there is none.
    fn message(
        &self,
        instruction: &Instruction,
        method: Option<&RevealedMethod>,
        created: Timestamp,
    ) -> Result<(Vec<u8>, String), &'static str> {
        let method = method.filter(|method| !method.revoked).ok_or("other")?;
        let payer = self.platform.access().account(instruction.source);
        let payer = payer.map_or(String::new(), |payer| payer.display_name.clone());
        match self.rtp.config.us.credit_transfer(instruction, &payer, method, created) {
            Ok(message) => Ok((message, method.routing_number.clone())),
            Err(why) => {
                let transfer = instruction.key.transfer;
                tracing::error!(%transfer, why, "rtp: a payment that cannot be written");
                Err("invalid-field")
            }
        }
    }
    /// Commits the claims; also renews the lease.
    async fn claim(
        &mut self,
        claims: Vec<OneClaim>,
        lease: Lease,
    ) -> Result<(Vec<Instruction>, Lease), Duration> {
        if claims.is_empty() {
            return Ok((Vec::new(), lease));
        }
        let began = self.platform.monotonic().micros();
        match self.platform.commit(Claim { epoch: lease.epoch, claims }).await {
            Ok(Some(claimed)) => {
                let until = began + micros(self.rtp.config.lease);
                let renewed = Lease { until, ..lease };
                self.lease = Some(renewed);
                Ok((claimed, renewed))
            }
            Ok(None) => {
                self.lease = None;
                self.rtp.link.close();
                Err(Duration::ZERO)
            }
            Err(_) => Err(OWN_TROUBLE),
        }
    }
}

type Methods = BTreeMap<(contracts::ids::PaymentMethodId, i64), RevealedMethod>;

/// The opened payment methods of these instructions, in one question; `None` where there is no answer.
async fn reveal<'a>(
    platform: &Platform,
    of: impl Iterator<Item = &'a Instruction>,
) -> Option<Methods> {
    let wanted: std::collections::BTreeSet<_> = of.map(|one| (one.method, one.version)).collect();
    let names: Vec<String> = wanted.iter().map(|(id, version)| format!("{id}:{version}")).collect();
    let path = format!("/internal/payment-methods/reveal?methods={}", names.join(","));
    match platform.call::<Reveal>("rtp", &path).await {
        Ok(called) => {
            let methods = called.reply.methods.into_iter();
            Some(
                methods
                    .map(|method| ((method.payment_method_id, method.version), method))
                    .collect(),
            )
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "rtp: payment methods cannot be opened now");
            None
        }
    }
}

/// What a message on its way holds.
struct Sent {
    rtp: Arc<Rtp>,
    platform: Platform,
    lease: Lease,
    permit: Option<OwnedSemaphorePermit>,
}

impl Sent {
    fn new(
        rtp: &Arc<Rtp>,
        platform: &Platform,
        lease: Lease,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (rtp, platform) = (Arc::clone(rtp), platform.clone());
        Self { rtp, platform, lease, permit: Some(permit) }
    }
    /// Posts, if the lease still covers the first byte, and measures.
    async fn post(&self, name: &'static str, message: Vec<u8>) -> (Posted, Recorded) {
        let config = &self.rtp.config;
        let (at, bytes) = (self.platform.clock().machine(), message.len());
        let began = self.platform.monotonic().micros();
        let posted = if began + micros(config.connect_within) >= self.lease.until {
            self.rtp.link.close();
            Posted::NotSent("the lease on the connection ran out".to_owned())
        } else {
            let posted = self.rtp.link.post(message, config.answer_within).await;
            self.note(&posted, at);
            posted
        };
        if !matches!(posted, Posted::NotSent(_)) {
            self.platform.observed_rail("rtp", "rtp-participant", name);
        }
        let micros = self.platform.monotonic().micros() - began;
        let (answer_bytes, outcome) = match &posted {
            Posted::Answered { status, body } => (Some(body.len()), format!("HTTP {status}")),
            Posted::NotSent(why) | Posted::Silent(why) => (None, why.clone()),
        };
        (posted, Recorded { name, at, bytes, micros, answer_bytes, outcome })
    }
    fn note(&self, posted: &Posted, at: Timestamp) {
        let now = self.platform.monotonic().micros();
        let spread = at.0.unsigned_abs();
        let mut circuit = self.rtp.link.circuit.lock();
        let was_open = circuit.is_open_until().is_some();
        match posted {
            Posted::Answered { .. } => circuit.answered(),
            Posted::NotSent(_) => circuit.refused(now, spread),
            Posted::Silent(_) => circuit.silent(now, spread),
        }
        let is_open = circuit.is_open_until().is_some();
        if was_open != is_open {
            tracing::warn!(is_open, "rtp: the circuit to the network");
            self.rtp.link.wake.notify_one();
        }
    }
    /// What an answer means for this payment; `None` where it is no answer.
    fn heard(
        &self,
        instruction: &Instruction,
        posted: &Posted,
        recorded: &mut Recorded,
    ) -> Option<Result<Word, ()>> {
        let Posted::Answered { status, body } = posted else { return None };
        let is_enquiry = recorded.name == "pacs.028";
        match *status {
            202 | 204 if body.is_empty() => return None,
            200..=299 => {}
            500.. => return None,
            _ => return Some(Err(())),
        }
        let word = wire::report(body).and_then(|report| {
            recorded.outcome = said(&report);
            self.rtp.config.us.word(instruction, &report, is_enquiry)
        });
        Some(word.map_err(|why| {
            let transfer = instruction.key.transfer;
            tracing::error!(%transfer, why, "rtp: an answer that is not believed");
            recorded.outcome = format!("{}: not believed: {why}", recorded.outcome);
        }))
    }
    /// Gives the place back, and wakes the worker where it may wait for places.
    fn finish(mut self) {
        drop(self.permit.take());
        let link = &self.rtp.link;
        // A batch's worth of places, so that claims stay batches.
        let enough = link.slots.available_permits() >= self.rtp.config.batch;
        if enough && link.starved.swap(false, Ordering::SeqCst) {
            link.wake.notify_one();
        }
    }
}

async fn send_one(sent: Sent, instruction: Instruction, message: Vec<u8>) {
    let (posted, mut message) = sent.post("pacs.008", message).await;
    let attempt = instruction.attempt;
    let news = match (&posted, sent.heard(&instruction, &posted, &mut message)) {
        (Posted::NotSent(_), _) => News::NotSent { attempt },
        (_, None) => News::Silent { attempt },
        (_, Some(Err(()))) => News::Garbage,
        (_, Some(Ok(word))) => News::Said(word),
    };
    let message = Some(message);
    record(&sent.platform, Record { key: instruction.key, news, message }).await;
    sent.finish();
}

/// Takes a payment out of the list of those being asked about, however the asking ends.
struct Asking(Arc<Rtp>, Key);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.link.asking.lock().remove(&self.1);
        self.0.link.wake.notify_one();
    }
}

async fn ask_one(sent: Sent, instruction: Instruction) {
    let asking = Asking(Arc::clone(&sent.rtp), instruction.key);
    let asked = sent.platform.clock().machine().0;
    let request = sent.rtp.config.us.status_request(&instruction, sent.platform.clock().now());
    let (news, message) = match request {
        Err(why) => {
            tracing::error!(transfer = %instruction.key.transfer, why, "rtp: no enquiry can be made");
            (News::NotTold { garbage: false }, None)
        }
        Ok(request) => {
            let (posted, mut message) = sent.post("pacs.028", request).await;
            let news = match sent.heard(&instruction, &posted, &mut message) {
                None => News::NotTold { garbage: false },
                Some(Err(())) => News::NotTold { garbage: true },
                Some(Ok(word)) => News::Told { asked, word },
            };
            (news, Some(message))
        }
    };
    record(&sent.platform, Record { key: instruction.key, news, message }).await;
    sent.finish();
    drop(asking);
}

/// Records until it is durable. What cannot be recorded stays claimed: the next start asks.
async fn record(platform: &Platform, record: Record) {
    let transfer = record.key.transfer;
    platform.commit_until_durable(record, transfer).await;
}
