//! The load client: HTTP/1.1 with keep-alive, one request under way on each connection, requests
//! made from a prepared text, answers read no further than needed.
//!
//! It runs on one thread of its own, so that its CPU can be told from everything else.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::LocalSet,
    time::Instant,
};

use super::open;
use crate::exit::{Context, Failure, Outcome};

/// Who pays whom, and how.
pub struct Plan {
    pub address: SocketAddr,
    /// The account of the path: the platform's own.
    pub account: String,
    /// The value of `Authorization`.
    pub authorization: String,
    /// Payment methods of sources.
    pub sources: Vec<String>,
    /// Payment methods of destinations, of the same accounts in the same order.
    pub destinations: Vec<String>,
    /// The first source pays all.
    pub hot: bool,
    pub seed: u64,
    pub connections: u32,
    pub pace: Pace,
    /// Each so-manieth accepted transfer's id is kept, for a look at it afterwards.
    pub sample_every: u64,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many in all, each as soon as its connection has its answer.
    Closed { transfers: u64 },
    /// At fixed times, whether or not earlier ones were answered.
    Open { per_second: u32, seconds: u32 },
}

/// What the client saw.
#[derive(Default, Debug)]
pub struct Seen {
    /// Microseconds of each 2xx: from sending, or in an open loop from the intended time.
    pub accepted_micros: Vec<u32>,
    /// In an open loop: microseconds of each 2xx from sending, without the client's own lateness.
    pub answered_micros: Vec<u32>,
    /// In an open loop: how long after its intended time each request was sent, in microseconds.
    pub late_micros: Vec<u32>,
    /// Microseconds from sending of each 429 and 503.
    pub refused_micros: Vec<u32>,
    /// Any other status, with how often, and the first body of each.
    pub other: Vec<(u16, u64, String)>,
    /// Requests of which no answer came: the connection broke.
    pub broken: u64,
    /// Requests sent.
    pub sent: u64,
    /// From the first request to the last one sent.
    pub sending_seconds: f64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// In a closed loop: from the first request until each further tenth of them began.
    pub tenths_seconds: Vec<f64>,
    /// Ids of some accepted transfers.
    pub sample: Vec<String>,
}

/// SplitMix64: pairs, amounts and keys from a seed.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    /// A number below `most`.
    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).expect("below a usize")
    }
}

/// Runs the plan on a thread of its own; `progress` gets how many were answered, now and then.
pub async fn run(plan: Plan, progress: impl Fn(u64) + Send + 'static) -> Outcome<Seen> {
    let (done, seen) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("load".to_owned()).spawn(move || {
        let seen = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the load client has no runtime")
            .and_then(|runtime| LocalSet::new().block_on(&runtime, drive(plan, progress)));
        let _ = done.send(seen);
    });
    thread.context("the load client has no thread")?;
    seen.await.context("the load client broke off")?
}

pub(super) struct Shared {
    pub(super) plan: Plan,
    begin: Instant,
    next: Cell<u64>,
    answered: Cell<u64>,
    pub(super) seen: RefCell<Seen>,
}

async fn drive(plan: Plan, progress: impl Fn(u64) + Send + 'static) -> Outcome<Seen> {
    let mut streams = Vec::new();
    for _ in 0..plan.connections {
        let stream = TcpStream::connect(plan.address).await.context("the platform is not there")?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        streams.push(stream);
    }
    let begin = Instant::now();
    let shared = Rc::new(Shared {
        plan,
        begin,
        next: Cell::new(0),
        answered: Cell::new(0),
        seen: RefCell::default(),
    });
    let ended = Rc::new(Notify::new());
    let requests: Vec<_> = match shared.plan.pace {
        Pace::Closed { .. } => streams
            .into_iter()
            .zip(1u64..)
            .map(|(stream, number)| {
                tokio::task::spawn_local(one_connection(Rc::clone(&shared), stream, number))
            })
            .collect(),
        Pace::Open { per_second, seconds } => {
            let all = open::arrivals(Rc::clone(&shared), streams, per_second, seconds);
            vec![tokio::task::spawn_local(all)]
        }
    };
    let watched = {
        let (shared, ended) = (Rc::clone(&shared), Rc::clone(&ended));
        tokio::task::spawn_local(async move {
            let ended = ended.notified();
            let mut ended = std::pin::pin!(ended);
            while tokio::time::timeout(Duration::from_millis(100), ended.as_mut()).await.is_err() {
                progress(shared.answered.get());
            }
        })
    };
    for task in requests {
        task.await.context("a connection of the load client broke off")?;
    }
    ended.notify_one();
    watched.await.context("the progress of the load client broke off")?;
    let mut seen = shared.seen.take();
    seen.seconds = begin.elapsed().as_secs_f64();
    if seen.sending_seconds == 0.0 {
        seen.sending_seconds = seen.seconds;
    }
    if seen.accepted_micros.is_empty() {
        let why = seen.other.first().map_or("no answer came".to_owned(), |(status, _, body)| {
            format!("the first answer was {status}: {body}")
        });
        return Err(Failure::CouldNotRun(format!("no transfer was accepted: {why}")));
    }
    Ok(seen)
}

impl Shared {
    /// The next request's number in a closed loop; `None` once all are taken.
    fn take(&self) -> Option<u64> {
        let number = self.next.get();
        let Pace::Closed { transfers } = self.plan.pace else { return None };
        self.next.set(number + 1);
        if number > 0 && number.is_multiple_of(transfers / 10) {
            self.seen.borrow_mut().tenths_seconds.push(self.begin.elapsed().as_secs_f64());
        }
        (number < transfers).then_some(number)
    }
    /// Notes an answer; its latency is from the intended time in an open loop, else from sending.
    pub(super) fn note(&self, reply: &Reply<'_>, sent: Instant, intended: Option<Instant>) {
        let mut seen = self.seen.borrow_mut();
        let micros = |from: Instant| u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.answered.set(self.answered.get() + 1);
        match reply.status {
            200..=299 => {
                seen.accepted_micros.push(micros(intended.unwrap_or(sent)));
                if intended.is_some() {
                    seen.answered_micros.push(micros(sent));
                }
                let count = seen.accepted_micros.len() as u64;
                if count.is_multiple_of(self.plan.sample_every)
                    && let Some(id) = transfer_id(reply.body)
                {
                    seen.sample.push(id);
                }
            }
            429 | 503 => seen.refused_micros.push(micros(sent)),
            status => match seen.other.iter_mut().find(|other| other.0 == status) {
                Some(other) => other.1 += 1,
                None => {
                    let body = String::from_utf8_lossy(reply.body).into_owned();
                    seen.other.push((status, 1, body));
                }
            },
        }
    }
}

async fn one_connection(shared: Rc<Shared>, mut stream: TcpStream, number: u64) {
    let plan = &shared.plan;
    let mut random = Random(plan.seed.wrapping_mul(0x1_0000_0001).wrapping_add(number));
    let mut template = Template::new(plan);
    let mut buffer = Vec::with_capacity(8 * 1024);
    while let Some(request) = shared.take() {
        let bytes = template.fill(plan, &mut random, request);
        let sent = Instant::now();
        shared.seen.borrow_mut().sent += 1;
        match ask(&mut stream, bytes, &mut buffer).await {
            Some(reply) => shared.note(&reply, sent, None),
            None => {
                shared.seen.borrow_mut().broken += 1;
                match TcpStream::connect(plan.address).await {
                    Ok(fresh) => stream = fresh,
                    Err(_) => return,
                }
                let _ = stream.set_nodelay(true);
            }
        }
    }
}

/// A request as bytes, in which only keys, amount and payment methods change.
pub(super) struct Template {
    bytes: Vec<u8>,
    head: usize,
}

impl Template {
    pub(super) fn new(plan: &Plan) -> Self {
        let head = format!(
            "POST /accounts/{}/transfers HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\
             Content-Type: application/json\r\n",
            plan.account, plan.address, plan.authorization
        );
        let head = head.into_bytes();
        Self { head: head.len(), bytes: head }
    }
    /// The whole request. Amounts are 0.01 to 50.00, far from the sandbox's magic ones.
    pub(super) fn fill(&mut self, plan: &Plan, random: &mut Random, number: u64) -> &[u8] {
        let from = if plan.hot { 0 } else { random.below(plan.sources.len()) };
        let mut to = random.below(plan.destinations.len() - 1);
        if to >= from {
            to += 1;
        }
        let (source, destination) = (&plan.sources[from], &plan.destinations[to]);
        let amount = 1 + random.below(5_000);
        let (high, low) = (plan.seed ^ random.next(), random.next());
        self.bytes.truncate(self.head);
        let length = 107 + source.len() + destination.len() + digits(amount);
        use std::io::Write;
        let written = write!(
            self.bytes,
            "X-Idempotency-Key: {high:08x}{low:016x}{number:012x}\r\nContent-Length: {length}\r\n\r\n\
             {{\"source\":{{\"paymentMethodID\":\"{source}\"}},\
             \"destination\":{{\"paymentMethodID\":\"{destination}\"}},\
             \"amount\":{{\"currency\":\"USD\",\"value\":{amount}}}}}",
            high = high >> 32,
        );
        written.expect("writing to memory cannot fail");
        &self.bytes
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// An answer, in the connection's buffer.
pub(super) struct Reply<'a> {
    status: u16,
    body: &'a [u8],
}

/// Sends one request and reads its answer; `None` where the connection broke.
pub(super) async fn ask<'b>(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &'b mut Vec<u8>,
) -> Option<Reply<'b>> {
    stream.write_all(request).await.ok()?;
    buffer.clear();
    let mut whole = None;
    while whole.is_none_or(|(_, end)| buffer.len() < end) {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        if whole.is_none() {
            whole = extent(buffer);
        }
    }
    let (body, end) = whole?;
    let status = std::str::from_utf8(buffer.get(9..12)?).ok()?.parse().ok()?;
    Some(Reply { status, body: &buffer[body..end] })
}

/// Where an answer's body begins and ends; `None` while its head is not whole.
fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    const NAME: &[u8] = b"content-length:";
    let mut length = 0;
    let mut at = 0;
    loop {
        let line = bytes[at..].iter().position(|byte| *byte == b'\n')? + at;
        let text = &bytes[at..line];
        if text.len() <= 1 {
            return Some((line + 1, line + 1 + length));
        }
        if text.len() > NAME.len() && text[..NAME.len()].eq_ignore_ascii_case(NAME) {
            let value = std::str::from_utf8(&text[NAME.len()..]).ok()?;
            length = value.trim().parse().ok()?;
        }
        at = line + 1;
    }
}

/// The `transferID` of an answer.
fn transfer_id(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(value.get("transferID")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Pace, Plan, Random, Template, extent, transfer_id};

    fn plan() -> Plan {
        let id = |last: u8| format!("019a8f3e-1c40-7000-8000-0000000000{last:02x}");
        Plan {
            address: "127.0.0.1:8080".parse().unwrap(),
            account: id(1),
            authorization: "Basic eA==".to_owned(),
            sources: (0..9).map(id).collect(),
            destinations: (0..9).map(id).collect(),
            hot: false,
            seed: 7,
            connections: 1,
            pace: Pace::Closed { transfers: 1 },
            sample_every: 1,
        }
    }

    #[test]
    fn a_request_says_its_own_length_and_pays_somebody_else() {
        let plan = plan();
        let (mut template, mut random) = (Template::new(&plan), Random(3));
        let mut keys = std::collections::BTreeSet::new();
        for number in 0..1_000 {
            let text =
                String::from_utf8(template.fill(&plan, &mut random, number).to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}");
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_ne!(value["source"], value["destination"]);
            let key = head.lines().find_map(|l| l.strip_prefix("X-Idempotency-Key: ")).unwrap();
            assert_eq!(key.len(), 36);
            keys.insert(key.to_owned());
        }
        assert_eq!(keys.len(), 1_000, "keys are unique");
    }

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nx: y\r\n\r\n{\"transferID\":\"a-b\"}";
        assert_eq!(extent(&answer[..30]), None);
        let (body, end) = extent(answer).unwrap();
        assert_eq!(end, answer.len());
        assert_eq!(transfer_id(&answer[body..end]).as_deref(), Some("a-b"));
    }
}
