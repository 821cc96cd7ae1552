//! Turns: how many writes are worked on between two looks at the sockets. What was read and has no
//! turn yet waits here, where it is counted, and not unseen in a socket: so the next write can be
//! refused at once, however much is to be done for those before it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::clock::Monotonic;

/// Writes that get a turn in one round; a round is one pass over all that is ready to run.
const A_ROUND: usize = 16;
/// For so many refused in a round one more gets a turn: a round that is long for its refusals
/// would else leave no time for the work. A refusal costs a third of a write, so the work keeps a
/// quarter of the time at least, however fast those who were refused come again.
const REFUSED_FOR_ONE: usize = 8;
/// How long turns are counted for the rate of a line that does not empty.
const COUNTED_MICROS: u64 = 20_000;

/// The line in which writes wait for their turn, first come, first served.
pub(crate) struct Turns {
    line: Mutex<Line>,
    /// Turns given a second while the line does not empty; 0 where it does.
    rate: AtomicU64,
    monotonic: Monotonic,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<oneshot::Sender<()>>,
    /// Turns given in this round.
    given: usize,
    /// Writes refused in this round.
    refused: usize,
    /// Whether a task ends this round.
    goes_on: bool,
    /// Since when turns are counted, and how many were given since.
    since: u64,
    counted: usize,
}

impl Turns {
    /// An empty line.
    pub fn new(monotonic: Monotonic) -> Self {
        Self { line: Mutex::default(), rate: AtomicU64::new(0), monotonic }
    }
    /// How many turns a second are given, where so many wait that the line has not emptied lately.
    pub fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Relaxed)).filter(|rate| *rate > 0)
    }
    /// Waits for a turn; at once where few are worked on in this round.
    pub async fn take(self: &Arc<Self>) {
        let turn = {
            let mut line = self.line.lock();
            if !line.goes_on {
                line.goes_on = true;
                tokio::spawn(rounds(Arc::clone(self)));
            }
            if line.given < A_ROUND && line.waiting.is_empty() {
                line.given += 1;
                return;
            }
            let (give, turn) = oneshot::channel();
            line.waiting.push_back(give);
            turn
        };
        // A runtime that ends gives no more turns.
        let _ = turn.await;
    }
    /// One was refused and got no turn; where no round goes on there is nothing to make up for.
    pub fn refused(&self) {
        let mut line = self.line.lock();
        line.refused += usize::from(line.goes_on);
    }
    /// Begins a round; `false` where the last one had nothing to do.
    fn begin_round(&self) -> bool {
        let mut line = self.line.lock();
        let refused = std::mem::take(&mut line.refused);
        if line.given == 0 && line.waiting.is_empty() {
            line.goes_on = false;
            self.rate.store(0, Relaxed);
            return false;
        }
        line.counted += line.given;
        line.given = 0;
        let most = A_ROUND + refused / REFUSED_FOR_ONE;
        while line.given < most {
            let Some(next) = line.waiting.pop_front() else { break };
            // Whoever went away needs no turn.
            if next.send(()).is_ok() {
                line.given += 1;
            }
        }
        self.count(&mut line);
        true
    }
    fn count(&self, line: &mut Line) {
        let now = self.monotonic.micros();
        let passed = now.saturating_sub(line.since);
        let emptied = line.waiting.is_empty();
        if !emptied && passed < COUNTED_MICROS {
            return;
        }
        let rate = (line.counted as u64).saturating_mul(1_000_000) / passed.max(1);
        self.rate.store(if emptied { 0 } else { rate.max(1) }, Relaxed);
        (line.since, line.counted) = (now, 0);
    }
}

/// Begins a round after each look at the sockets: a task that yields goes on after the next one.
async fn rounds(turns: Arc<Turns>) {
    loop {
        tokio::task::yield_now().await;
        if !turns.begin_round() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn a_round_has_its_number_of_turns_in_order_and_the_line_ends() {
        let turns = Arc::new(Turns::new(Monotonic::system()));
        let (order, seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..5 * A_ROUND)
            .map(|number| {
                let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
                tokio::spawn(async move {
                    turns.take().await;
                    order.lock().push(number);
                })
            })
            .collect();
        let gone = tokio::spawn({
            let (turns, seen) = (Arc::clone(&turns), Arc::clone(&seen));
            async move {
                turns.take().await;
                seen.fetch_add(1, Relaxed);
            }
        });
        let mut most = 0;
        let mut before = 0;
        while order.lock().len() < 5 * A_ROUND {
            gone.abort();
            tokio::task::yield_now().await;
            let now = order.lock().len();
            most = most.max(now - before);
            before = now;
        }
        assert!(most <= 2 * A_ROUND, "{most} at once");
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), (0..5 * A_ROUND).collect::<Vec<_>>());
        assert_eq!(seen.load(Relaxed), 0, "who went away took no turn");
        while turns.line.lock().goes_on {
            tokio::task::yield_now().await;
        }
        // And begins again.
        turns.take().await;
        assert!(turns.line.lock().goes_on);
    }

    #[tokio::test]
    async fn a_round_of_many_refusals_gives_more_turns() {
        let turns = Arc::new(Turns::new(Monotonic::system()));
        // Refusals while nothing goes on, as of a full disk, are not made up for.
        (0..REFUSED_FOR_ONE * A_ROUND).for_each(|_| turns.refused());
        assert_eq!(turns.line.lock().refused, 0);
        let tasks: Vec<_> = (0..8 * A_ROUND)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take().await })
            })
            .collect();
        while turns.line.lock().waiting.len() < 7 * A_ROUND {
            tokio::task::yield_now().await;
        }
        (0..REFUSED_FOR_ONE * A_ROUND).for_each(|_| turns.refused());
        assert!(turns.begin_round());
        assert_eq!(turns.line.lock().waiting.len(), 5 * A_ROUND);
        assert!(turns.begin_round());
        assert_eq!(turns.line.lock().waiting.len(), 4 * A_ROUND);
        for task in tasks {
            task.await.unwrap();
        }
    }
}
