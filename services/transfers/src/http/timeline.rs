//! The timeline of a transfer: what this service recorded, and every other service's part.

use std::collections::BTreeMap;

use contracts::{
    Endpoint, Event, Refusal, Timestamp,
    exchanges::{Exchange, ExchangeKind, Exchanges, Timeline},
    ids::{EventId, derive},
    ledger::LedgerReserved,
    payment_methods::{MicroDepositsInitiated, ResolvePaymentMethods},
    rails::Rail,
    registry,
    transfers::{
        CreateRefund, CreateTransfer, CreatedRefund, CreatedTransfer, GetTimeline,
        ListTransferEvents, TransferCancelRequested, TransferEvent, TransferEvents,
    },
};
use runtime::{Answer, Answered, Ask, Platform, Stored};

use crate::{Transfers, domain::Mark, store::Record};

/// This service, in a timeline.
const SELF: &str = "transfers";

impl Answer<ListTransferEvents> for Transfers {
    async fn answer(
        &self,
        ask: Ask<ListTransferEvents>,
    ) -> Result<Answered<ListTransferEvents>, Refusal> {
        let record = self.visible(&ask.platform, ask.path.account, ask.path.transfer).await?;
        let mut events = Vec::new();
        for (mark, stored) in trail(&ask.platform, &record).await? {
            let known = registry::by_kind(kind_of(&stored));
            let stream = format!("{}/{}", mark.topic, stored.shard);
            let sequence = stored.sequence.to_be_bytes();
            let id = derive(uuid::Uuid::NAMESPACE_URL, &[stream.as_bytes(), &sequence], 0);
            events.push(TransferEvent {
                event_id: EventId(id),
                name: known.map_or("unknown", |entry| entry.name).to_owned(),
                from: mark.topic.to_owned(),
                stream,
                sequence: stored.sequence,
                at: stored.at,
                data: known.and_then(|entry| (entry.to_json)(&stored.payload)).unwrap_or_default(),
            });
        }
        events.sort_by_key(|event| event.at);
        Ok(Answered::ok(&TransferEvents { events }))
    }
}

/// The events of a transfer's trail, oldest first as this service met them.
async fn trail(platform: &Platform, record: &Record) -> Result<Vec<(Mark, Stored)>, Refusal> {
    let mut events = Vec::new();
    for mark in record.trail.marks() {
        if let Some(stored) = platform.event(mark.topic, mark.at).await? {
            events.push((mark, stored));
        }
    }
    Ok(events)
}

/// A stored kind holds the version above its low 16 bits.
fn kind_of(stored: &Stored) -> i64 {
    stored.kind & 0xffff
}

impl Answer<GetTimeline> for Transfers {
    async fn answer(&self, ask: Ask<GetTimeline>) -> Result<Answered<GetTimeline>, Refusal> {
        let record = self.visible(&ask.platform, ask.path.account, ask.path.transfer).await?;
        if ask.header("accept").is_some_and(|wanted| wanted.contains("text/event-stream")) {
            return Ok(Answered::events(self.followers.follow(&ask.platform, record.id)?));
        }
        Ok(Answered::ok(&of(&ask.platform, &record).await?))
    }
}

/// The timeline of a transfer as it is now.
pub async fn of(platform: &Platform, record: &Record) -> Result<Timeline, Refusal> {
    let events = trail(platform, record).await?;
    let named: Vec<String> = record.trail.marks().map(|mark| mark.named()).collect();
    let (mut told, mut complete) = ask_all(platform, record, &named.join(",")).await;
    told.retain(|exchange| !is_passed_over(exchange, &events));
    complete &= events.len() == named.len();
    Ok(Timeline {
        transfer_id: record.id,
        status: record.progress.status.as_str().to_owned(),
        complete,
        exchanges: assemble(record, &events, told),
    })
}

/// Every rail reads the reservations of all, and takes up its own: the others pass over it, which is
/// no exchange.
fn is_passed_over(exchange: &Exchange, events: &[(Mark, Stored)]) -> bool {
    let Ok(rail) = exchange.to.parse::<Rail>() else { return false };
    let is_it = |(mark, stored): &&(Mark, Stored)| {
        exchange.sequence == Some(stored.sequence)
            && exchange
                .stream
                .as_ref()
                .is_some_and(|stream| *stream == format!("{}/{}", mark.topic, stored.shard))
    };
    let Some((_, stored)) = events.iter().find(is_it) else { return false };
    match kind_of(stored) {
        LedgerReserved::KIND => LedgerReserved::from_compact(&stored.payload)
            .is_ok_and(|reserved| reserved.rail != rail),
        TransferCancelRequested::KIND => TransferCancelRequested::from_compact(&stored.payload)
            .is_ok_and(|asked| ![asked.rail, asked.destination_rail].contains(&Some(rail))),
        _ => false,
    }
}

/// Every service's part, and whether all of them answered.
async fn ask_all(platform: &Platform, record: &Record, events: &str) -> (Vec<Exchange>, bool) {
    let mut asking = tokio::task::JoinSet::new();
    for service in platform.services().iter().copied() {
        let path = format!("/internal/{service}/exchanges?transfer={}&events={events}", record.id);
        let platform = platform.clone();
        asking.spawn(async move { platform.fetch(service, &path).await });
    }
    let mut told = Vec::new();
    let mut complete = true;
    while let Some(answer) = asking.join_next().await {
        let part = answer.ok().and_then(Result::ok);
        let part = part.and_then(|(body, _)| serde_json::from_slice::<Exchanges>(&body).ok());
        match part {
            Some(part) => told.extend(part.exchanges),
            None => complete = false,
        }
    }
    (told, complete)
}

/// An exchange with the place of its cause in the same list.
struct Step {
    exchange: Exchange,
    cause: Option<usize>,
}

/// Puts all exchanges into one order, each after its cause, and numbers them.
fn assemble(record: &Record, events: &[(Mark, Stored)], told: Vec<Exchange>) -> Vec<Exchange> {
    let told = without_repeats(told);
    let mut steps = opening(record, &told);
    let opened = steps.len();
    let is_commit = |step: &Step| step.exchange.kind == ExchangeKind::Commit;
    let commit = steps.iter().position(is_commit).expect("an opening has its commit");
    let first = events.first().map(|(mark, stored)| (mark.topic, stored.sequence));
    for exchange in told {
        let is_first_commit = exchange.kind == ExchangeKind::Commit
            && exchange.from == SELF
            && steps[commit].exchange.at == exchange.at;
        if !is_first_commit {
            steps.push(Step { exchange, cause: None });
        }
    }
    let causes: Vec<Option<usize>> = (0..steps.len())
        .map(|index| cause(&steps, index, (commit, opened), first, events))
        .collect();
    for (step, cause) in steps.iter_mut().zip(causes) {
        step.cause = cause;
    }
    number(steps)
}

/// One commit may hold several of a service's events: it is one exchange all the same.
fn without_repeats(mut told: Vec<Exchange>) -> Vec<Exchange> {
    let order = |exchange: &Exchange| {
        (exchange.at, exchange.kind, exchange.from.clone(), exchange.to.clone(), exchange.sequence)
    };
    told.sort_by_key(order);
    told.dedup_by(|later, earlier| {
        let commits = earlier.kind == ExchangeKind::Commit && later.kind == ExchangeKind::Commit;
        *later == *earlier || (commits && later.from == earlier.from && later.at == earlier.at)
    });
    told
}

fn exchange(kind: ExchangeKind, name: &str, between: (&str, &str), at: Timestamp) -> Exchange {
    Exchange {
        number: 0,
        at,
        duration_micros: None,
        from: between.0.to_owned(),
        to: between.1.to_owned(),
        kind,
        name: name.to_owned(),
        synchronous: true,
        stream: None,
        sequence: None,
        bytes: None,
        cause: None,
        outcome: None,
    }
}

/// Steps 1 to 3: the request, the hop and its answer, the commit, the answer to the caller.
fn opening(record: &Record, told: &[Exchange]) -> Vec<Step> {
    let is_refund = record.refund_of().is_some();
    if record.request_bytes == 0 {
        return unrequested(record, told);
    }
    let path = if is_refund { CreateRefund::PATH } else { CreateTransfer::PATH };
    let name = format!("POST {path}");
    let mut request = exchange(ExchangeKind::Request, &name, ("client", SELF), record.received);
    request.bytes = u64::try_from(record.request_bytes).ok();
    let methods = ResolvePaymentMethods::SERVICE;
    let hop_name = ResolvePaymentMethods::NAME;
    let asked = exchange(ExchangeKind::Request, hop_name, (SELF, methods), record.received);
    let heard_at = record.received.plus_micros(record.hop_micros);
    let mut heard = exchange(ExchangeKind::Response, hop_name, (methods, SELF), heard_at);
    heard.duration_micros = u64::try_from(record.hop_micros).ok();
    heard.outcome = Some("200".to_owned());
    let commit = first_commit(record, told, heard_at);
    let micros = i64::try_from(commit.duration_micros.unwrap_or(0)).unwrap_or(0);
    let answered_at = commit.at.plus_micros(micros);
    let mut answer = exchange(ExchangeKind::Response, &name, (SELF, "client"), answered_at);
    let (id, created_on) = (record.id, record.created);
    let body = match is_refund {
        false => serde_json::to_vec(&CreatedTransfer { transfer_id: id, created_on }),
        true => {
            let amount = record.amount;
            serde_json::to_vec(&CreatedRefund { refund_id: id, created_on, amount })
        }
    };
    answer.bytes = body.ok().map(|body| body.len() as u64);
    answer.duration_micros = Some(answered_at.micros_since(record.received));
    answer.outcome = Some("200".to_owned());
    // A refund's sides are those of its original: it asks nobody.
    match is_refund {
        false => chained(vec![request, asked, heard, commit, answer]),
        true => chained(vec![request, commit, answer]),
    }
}

/// A micro-deposit begins with an event, which tells of two transfers and so is in no trail.
fn unrequested(record: &Record, told: &[Exchange]) -> Vec<Step> {
    let between = (MicroDepositsInitiated::EMITTERS[0], SELF);
    let name = MicroDepositsInitiated::NAME;
    let mut event = exchange(ExchangeKind::Event, name, between, record.received);
    event.synchronous = false;
    chained(vec![event, first_commit(record, told, record.received)])
}

/// The commit that made the transfer; where it was not recorded, one as late as it must have been.
fn first_commit(record: &Record, told: &[Exchange], after: Timestamp) -> Exchange {
    let first = told.iter().find(|e| e.kind == ExchangeKind::Commit && e.from == SELF);
    first.cloned().unwrap_or_else(|| {
        exchange(ExchangeKind::Commit, "commit", (SELF, SELF), record.created.max(after))
    })
}

/// Each brought about by the one before it.
fn chained(exchanges: Vec<Exchange>) -> Vec<Step> {
    let chain = exchanges.into_iter().enumerate();
    chain.map(|(index, exchange)| Step { exchange, cause: index.checked_sub(1) }).collect()
}

/// The place of what brought an exchange about.
fn cause(
    steps: &[Step],
    index: usize,
    (commit, opened): (usize, usize),
    first: Option<(&'static str, i64)>,
    events: &[(Mark, Stored)],
) -> Option<usize> {
    if index < opened {
        return steps[index].cause;
    }
    let this = &steps[index].exchange;
    let into = |service: &str, name: &str| {
        let arrivals = steps.iter().enumerate().skip(opened).filter(|(at, step)| {
            let event = &step.exchange;
            *at != index
                && event.kind == ExchangeKind::Event
                && event.to == service
                && event.from != service
                && event.at <= this.at
                && (name.is_empty() || event.name == name)
        });
        arrivals.max_by_key(|(_, step)| step.exchange.at).map(|(at, _)| at)
    };
    match this.kind {
        // The first event is in the commit of the request itself.
        ExchangeKind::Event if first == sequence_of(this) => Some(commit),
        ExchangeKind::Event if this.from == SELF => {
            before_in_trail(steps, this, events).or_else(|| into(SELF, "")).or(Some(commit))
        }
        ExchangeKind::Event if this.name == "ledger.posted" => {
            into("ledger", "rail.outcome").or_else(|| into("ledger", "")).or(Some(commit))
        }
        ExchangeKind::Event if this.name == "rail.outcome" => {
            message_before(steps, &this.from, index)
                .or_else(|| into(&this.from, ""))
                .or(Some(commit))
        }
        ExchangeKind::Rail => {
            let rail = own_end(steps, this);
            message_before(steps, rail, index).or_else(|| into(rail, "")).or(Some(commit))
        }
        _ => into(&this.from, "").or(Some(commit)),
    }
}

fn sequence_of(exchange: &Exchange) -> Option<(&'static str, i64)> {
    (exchange.from == SELF).then_some(())?;
    Some((SELF, exchange.sequence?))
}

/// For an event of this service: the event into it that its trail names just before.
fn before_in_trail(steps: &[Step], this: &Exchange, events: &[(Mark, Stored)]) -> Option<usize> {
    let at = events
        .iter()
        .position(|(mark, stored)| mark.is_own() && Some(stored.sequence) == this.sequence)?;
    let (mark, stored) = events[..at].iter().rev().find(|(mark, _)| !mark.is_own())?;
    steps.iter().position(|step| {
        let event = &step.exchange;
        event.kind == ExchangeKind::Event
            && event.to == SELF
            && event.from == mark.topic
            && event.sequence == Some(stored.sequence)
    })
}

/// The end of a rail's message that is a service: what receives events in this timeline.
fn own_end<'s>(steps: &'s [Step], message: &'s Exchange) -> &'s str {
    let consumes = |party: &str| {
        steps
            .iter()
            .any(|step| step.exchange.kind == ExchangeKind::Event && step.exchange.to == party)
    };
    if consumes(&message.from) { &message.from } else { &message.to }
}

/// The last message of this rail before an exchange.
fn message_before(steps: &[Step], rail: &str, index: usize) -> Option<usize> {
    let this = &steps[index].exchange;
    let earlier = steps.iter().enumerate().filter(|(at, step)| {
        let message = &step.exchange;
        message.kind == ExchangeKind::Rail
            && (message.from == rail || message.to == rail)
            && (message.at < this.at || (message.at == this.at && *at < index))
    });
    earlier.max_by_key(|(at, step)| (step.exchange.at, *at)).map(|(at, _)| at)
}

/// Orders by cause, then time, and numbers from 1.
fn number(steps: Vec<Step>) -> Vec<Exchange> {
    let mut ready: BTreeMap<(Timestamp, usize), ()> = BTreeMap::new();
    let mut effects: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        match step.cause {
            Some(cause) => effects.entry(cause).or_default().push(index),
            None => {
                ready.insert((step.exchange.at, index), ());
            }
        }
    }
    let mut numbers: BTreeMap<usize, u32> = BTreeMap::new();
    let mut ordered = Vec::with_capacity(steps.len());
    loop {
        let next = ready.pop_first().map(|((_, index), ())| index);
        // Equal times can make two exchanges each other's cause: the earlier one then goes first.
        let left = (0..steps.len()).filter(|index| !numbers.contains_key(index));
        let left = left.min_by_key(|index| steps[*index].exchange.at);
        let Some(index) = next.or(left) else { break };
        if numbers.contains_key(&index) {
            continue;
        }
        let number = u32::try_from(ordered.len() + 1).unwrap_or(u32::MAX);
        numbers.insert(index, number);
        let mut exchange = steps[index].exchange.clone();
        exchange.number = number;
        exchange.cause = steps[index].cause.and_then(|cause| numbers.get(&cause).copied());
        ordered.push(exchange);
        for effect in effects.remove(&index).into_iter().flatten() {
            ready.insert((steps[effect].exchange.at, effect), ());
        }
    }
    ordered
}
