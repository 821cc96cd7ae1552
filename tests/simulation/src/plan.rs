//! What happens in a run, drawn from its seed before it begins: the workload, and how each life of the
//! process ends.

use std::collections::VecDeque;

use crate::random::Random;

/// Clients, each with one request under way.
const CLIENTS: usize = 3;
/// Shards of an installation; one of them is drawn.
pub const SHARDS: [u32; 3] = [1, 4, 64];
/// Wallets with money, the platform's not counted.
pub const WALLETS: usize = 4;
/// What each has at the beginning, in cents: so little that some transfers are refused.
pub const FUNDS: i64 = 10_000;

/// A transfer that some client asks for, once or more often, always with the same key.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Its idempotency key.
    pub key: String,
    pub from: usize,
    pub to: usize,
    /// In cents.
    pub amount: i64,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// For a transfer of the plan; waits for its end where that is said.
    Create { transfer: usize, waits: bool },
    /// With the key of one that was answered, for another amount: never taken.
    Misuse { transfer: usize },
    /// How one is that was answered.
    Get { transfer: usize },
}

/// One request, and how long the client waits before it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub pause_micros: u64,
    pub ask: Ask,
}

/// Where in a commit a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Nothing of it was written.
    Before,
    /// Power is lost while it is written: of its sectors some are on the disk, and some are not.
    Within,
    /// It is durable, and nobody knows.
    After,
}

/// A jump of the machine's clock in a life, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    pub life: usize,
    pub after_micros: u64,
    pub by_micros: i64,
}

/// How a life of the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At this commit since it was opened.
    Commit { number: u64, at: At },
    /// When so many turns were given to tasks after this request began.
    Turn { request: u64, turns: u64 },
    /// At this moment.
    Moment { micros: u64 },
    /// When all was asked, in an orderly way.
    Stop,
}

/// All that is drawn.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    pub shards: u32,
    pub transfers: Vec<Transfer>,
    pub clients: Vec<VecDeque<Step>>,
    /// How each life ends but the last.
    pub ends: VecDeque<End>,
    /// In each life there is no room for these commits, from this one on so many.
    pub full: Option<(u64, u64)>,
    /// The machine's clock jumps: after so many microseconds of a life, by so many.
    pub jumps: Vec<Jump>,
    /// What the log may have before it is put into the database, in bytes.
    pub log_limit: u64,
}

impl Plan {
    /// The same plan, but that the first life ends so and the second is the last.
    pub fn ends_so(mut self, end: End) -> Self {
        self.ends = VecDeque::from([end]);
        self
    }
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::of(seed, "plan");
        let shards = SHARDS[random.index(SHARDS.len())];
        let count = 10 + random.index(30);
        let transfers: Vec<Transfer> = (0..count).map(|_| transfer(&mut random)).collect();
        let mut clients = vec![VecDeque::new(); CLIENTS];
        let mut pause = || -> u64 { [0, 300, 5_000, 80_000][random.index(4)] };
        let pauses: Vec<u64> = (0..8 * count).map(|_| pause()).collect();
        let mut pauses = pauses.into_iter();
        let mut step = |ask| Step { pause_micros: pauses.next().unwrap_or(0), ask };
        for transfer in 0..count {
            let waits = random.percent(20);
            clients[random.index(CLIENTS)].push_back(step(Ask::Create { transfer, waits }));
            if random.percent(30) {
                let again = Ask::Create { transfer, waits: random.percent(10) };
                clients[random.index(CLIENTS)].push_back(step(again));
            }
            let earlier = random.index(transfer + 1);
            if random.percent(30) {
                clients[random.index(CLIENTS)].push_back(step(Ask::Get { transfer: earlier }));
            }
            if random.percent(10) {
                clients[random.index(CLIENTS)].push_back(step(Ask::Misuse { transfer: earlier }));
            }
        }
        let ends = (0..random.index(4)).map(|_| end(&mut random, count as u64)).collect();
        let log_limit = if random.percent(30) { 256 << 10 } else { 64 << 20 };
        let full = (1 + random.below(count as u64), 1 + random.below(6));
        let full = random.percent(25).then_some(full);
        let jumps = (0..random.index(3)).map(|life| jump(&mut random, life)).collect();
        Self { seed, shards, transfers, clients, ends, full, jumps, log_limit }
    }
}

fn transfer(random: &mut Random) -> Transfer {
    let mut key = [0; 16];
    random.fill(&mut key);
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let from = random.index(WALLETS);
    let to = (from + 1 + random.index(WALLETS - 1)) % WALLETS;
    // About half of a wallet at most: three in a row may be refused.
    let amount = 1 + i64::try_from(random.below(5_000)).expect("few cents");
    Transfer { key: hex, from, to, amount }
}

fn jump(random: &mut Random, life: usize) -> Jump {
    // A second, an hour and a day, back or ahead.
    let far = [1_000_000, 3_600_000_000, 86_400_000_000][random.index(3)];
    let by_micros = if random.percent(50) { far } else { -far };
    Jump { life, after_micros: random.below(500_000), by_micros }
}

fn end(random: &mut Random, transfers: u64) -> End {
    match random.below(10) {
        0..=4 => {
            let at = [At::Before, At::Within, At::After][random.index(3)];
            End::Commit { number: 1 + random.below(transfers), at }
        }
        5..=7 => End::Turn { request: 1 + random.below(transfers), turns: random.below(60) },
        8 => End::Moment { micros: random.below(1_000_000) },
        _ => End::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan_and_another_seed_another() {
        let text = |seed| format!("{:?}", Plan::of(seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }
}
