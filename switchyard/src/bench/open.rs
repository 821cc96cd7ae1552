//! The open loop: requests at fixed times, whether or not earlier ones were answered. Each takes an
//! idle connection, or opens one more.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::{net::TcpStream, task::JoinSet, time::Instant};

use super::load::{Random, Shared, Template, ask};

/// Connections at most; beyond, a request waits for one, and that wait counts as its latency.
const CONNECTIONS_MOST: usize = 8_192;
/// How long a connection is kept with nothing to do: the platform closes it after 10 s.
const IDLE_MOST: Duration = Duration::from_secs(5);
/// Requests sent without looking at answers in between.
const BURST: u64 = 32;

/// A kept connection with its buffers.
struct Kept {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    /// Since when it has nothing to do.
    since: Instant,
}

#[derive(Default)]
struct Idle {
    kept: RefCell<Vec<Kept>>,
    freed: tokio::sync::Notify,
}

/// Sends so many requests a second for so long; returns once all were answered.
pub(super) async fn arrivals(
    shared: Rc<Shared>,
    streams: Vec<TcpStream>,
    per_second: u32,
    seconds: u32,
) {
    let idle = Rc::new(Idle::default());
    idle.kept.borrow_mut().extend(streams.into_iter().map(Kept::new));
    let mut template = Template::new(&shared.plan);
    let mut random = Random(shared.plan.seed);
    let mut under_way = JoinSet::new();
    let begin = Instant::now();
    for number in 0..u64::from(per_second) * u64::from(seconds) {
        let micros = number.saturating_mul(1_000_000) / u64::from(per_second);
        let intended = begin + Duration::from_micros(micros);
        if Instant::now() < intended {
            tokio::time::sleep_until(intended).await;
        } else if number.is_multiple_of(BURST) {
            tokio::task::yield_now().await;
        }
        while under_way.try_join_next().is_some() {}
        while under_way.len() >= CONNECTIONS_MOST && idle.kept.borrow().is_empty() {
            idle.freed.notified().await;
            while under_way.try_join_next().is_some() {}
        }
        let kept = idle.newest();
        let bytes = template.fill(&shared.plan, &mut random, number).to_vec();
        let one = one(Rc::clone(&shared), Rc::clone(&idle), kept, bytes, intended);
        under_way.spawn_local(one);
    }
    shared.seen.borrow_mut().sending_seconds = begin.elapsed().as_secs_f64();
    while under_way.join_next().await.is_some() {}
}

impl Idle {
    /// The connection that was used last; where that is long ago, all were.
    fn newest(&self) -> Option<Kept> {
        let mut kept = self.kept.borrow_mut();
        if kept.last().is_some_and(|last| last.since.elapsed() > IDLE_MOST) {
            kept.clear();
        }
        kept.pop()
    }
}

impl Kept {
    fn new(stream: TcpStream) -> Self {
        let answer = Vec::with_capacity(8 * 1024);
        Self { stream, request: Vec::new(), answer, since: Instant::now() }
    }
}

async fn one(
    shared: Rc<Shared>,
    idle: Rc<Idle>,
    kept: Option<Kept>,
    bytes: Vec<u8>,
    intended: Instant,
) {
    let sent = Instant::now();
    {
        let mut seen = shared.seen.borrow_mut();
        seen.sent += 1;
        let late = u32::try_from((sent - intended).as_micros()).unwrap_or(u32::MAX);
        seen.late_micros.push(late);
    }
    let connection = match kept {
        Some(kept) => Some(kept),
        None => TcpStream::connect(shared.plan.address).await.ok().map(Kept::new),
    };
    let answered = match connection {
        Some(mut kept) => {
            kept.request = bytes;
            let _ = kept.stream.set_nodelay(true);
            let reply = ask(&mut kept.stream, &kept.request, &mut kept.answer).await;
            let answered = reply.map(|reply| shared.note(&reply, sent, Some(intended))).is_some();
            if answered {
                kept.since = Instant::now();
                idle.kept.borrow_mut().push(kept);
            }
            answered
        }
        None => false,
    };
    if !answered {
        shared.seen.borrow_mut().broken += 1;
    }
    idle.freed.notify_one();
}
