//! The world of a run: the machine, the process, its lives and how they end.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    auditor,
    client::{self, Told},
    death::{Crashed, Death, dies_after, dies_in_turn, hears},
    installation::{Installation, Template, copied, door},
    plan::{At, End, Plan, Step},
    process::{MachineClock, checkpoints, open, runtime, start},
    random::Random,
};

/// When a run begins: 1 March 2027, 15:00 UTC, in microseconds.
pub(crate) const BEGIN: i64 = 1_803_913_200_000_000;
/// How long a dead process stays away at most.
const AWAY_MICROS_MOST: u64 = 3_000_000;
/// What a life takes at most, in virtual time; one that takes longer hangs.
const LIFE_MOST: Duration = Duration::from_secs(600);
/// A run takes some milliseconds of real time.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// The write-ahead log of the store.
const LOG: &str = "switchyard.db-wal";
/// Lines of the history that a failure shows, and how much of each.
const SHOWN: usize = 50;
const SHOWN_OF_EACH: usize = 160;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    /// Of everything that clients and the auditor were told, with the moment of each.
    pub digest: String,
    /// What must not be; empty where all is well.
    pub problems: Vec<String>,
    /// Everything that clients were told.
    pub history: Vec<String>,
    /// How each life was to end but the last, and whether it came to that: one that did not ended when
    /// all was asked.
    pub ends: Vec<(End, bool)>,
    pub completed: usize,
    pub failed: usize,
    pub virtual_micros: i64,
    /// Commits for which there was no room.
    pub full: u64,
    /// Jumps of the machine's clock.
    pub jumps: u64,
}

impl Report {
    /// What happened, and how often.
    fn happened(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let ends = self.ends.iter().map(|(end, came)| match (end, came) {
            (_, false) => "killed when idle",
            (End::Commit { at: At::Before, .. }, _) => "killed before a commit",
            (End::Commit { at: At::Within, .. }, _) => "power lost within a commit",
            (End::Commit { at: At::After, .. }, _) => "killed after a commit",
            (End::Turn { .. }, _) => "killed between two turns of tasks",
            (End::Moment { .. }, _) => "killed at a moment",
            (End::Stop, _) => "stopped in an orderly way",
        });
        let others = [("no room for a commit", self.full), ("clock jumped", self.jumps)];
        ends.map(|end| (end, 1)).chain(others)
    }
    /// What went wrong, after the last things that clients were told.
    pub fn told(&self) -> String {
        let from = self.history.len().saturating_sub(SHOWN);
        let mut lines = vec![format!("seed {}: {:?}", self.seed, self.ends)];
        let short = |line: &String| line.chars().take(SHOWN_OF_EACH).collect();
        lines.extend(self.history[from..].iter().map(short));
        lines.extend(self.problems.iter().map(|problem| format!("PROBLEM: {problem}")));
        lines.join("\n")
    }
}

/// What came of many runs.
#[derive(Default)]
pub struct Sums {
    pub runs: u64,
    pub completed: usize,
    pub failed: usize,
    pub virtual_micros: i64,
    /// What happened, and how often.
    pub happened: BTreeMap<&'static str, u64>,
}

impl Sums {
    /// Adds one.
    pub fn adds(&mut self, report: &Report) {
        self.runs += 1;
        self.completed += report.completed;
        self.failed += report.failed;
        self.virtual_micros += report.virtual_micros;
        for (what, count) in report.happened() {
            *self.happened.entry(what).or_default() += count;
        }
    }
    /// Whole minutes of virtual time.
    pub fn minutes(&self) -> i64 {
        self.virtual_micros / 60_000_000
    }
}

/// How a life ended.
enum Ended {
    /// As planned.
    Died,
    /// When all was asked.
    Idle,
    Judged(Option<(usize, usize)>),
}

/// One life of the process.
#[derive(Clone, Copy)]
struct Life {
    number: usize,
    /// The machine's time at its beginning.
    born: i64,
    end: Option<End>,
}

/// What outlives a process.
struct World<'t> {
    plan: Arc<Plan>,
    installation: &'t Installation,
    directory: TempDir,
    random: Arc<Mutex<Random>>,
    told: Arc<Mutex<Told>>,
    steps: Vec<Arc<Mutex<VecDeque<Step>>>>,
}

/// Runs a plan on a thread of its own, so that nothing of it is left to the next. An error says that it
/// broke off, or that it stands still: that much is to be done at one moment of its time.
pub fn run(plan: Plan, template: &Arc<Template>) -> Result<Report, String> {
    let (seed, template) = (plan.seed, Arc::clone(template));
    let (done, report) = mpsc::channel();
    // Whoever does not wait any more wants no report.
    std::thread::spawn(move || drop(done.send(runs(plan, &template))));
    report.recv_timeout(STANDS_STILL).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("seed {seed} stands still"),
        RecvTimeoutError::Disconnected => format!("seed {seed} broke off (see above)"),
    })
}

fn runs(plan: Plan, template: &Template) -> Report {
    let (seed, plan) = (plan.seed, Arc::new(plan));
    let installation = &template.installations[&plan.shards];
    let world = World {
        installation,
        directory: copied(installation.directory.path()),
        random: Arc::new(Mutex::new(Random::of(seed, "machine"))),
        told: Arc::default(),
        steps: plan.clients.iter().cloned().map(|steps| Arc::new(Mutex::new(steps))).collect(),
        plan,
    };
    let mut chance = Random::of(seed, "away");
    let (mut now, mut planned) = (BEGIN, world.plan.ends.clone());
    let (mut ends, mut lived, mut full, mut jumps) = (Vec::new(), 0, 0, 0);
    let (completed, failed) = loop {
        let (end, death) = (planned.pop_front(), Arc::new(Death::default()));
        let life = Life { number: ends.len(), born: now, end };
        let (ended, micros, at) = world.lives(life, &death);
        lived += micros;
        (full, jumps) = (full + death.full.load(Relaxed), jumps + death.jumps.load(Relaxed));
        death.tears(&world.directory.path().join(LOG), &mut chance);
        let came = matches!(ended, Ended::Died);
        ends.extend(end.map(|end| (end, came || end == End::Stop)));
        now = at + i64::try_from(chance.below(AWAY_MICROS_MOST)).expect("a few seconds");
        if let Ended::Judged(counts) = ended {
            break counts.unwrap_or_default();
        }
    };
    let told = std::mem::take(&mut *world.told.lock());
    let mut digest = Sha256::new();
    for line in told.history.iter().chain(&told.problems) {
        digest.update(line);
        digest.update("\n");
    }
    digest.update(lived.to_le_bytes());
    let digest = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Report {
        seed,
        digest,
        problems: told.problems,
        history: told.history,
        ends,
        completed,
        failed,
        virtual_micros: lived,
        full,
        jumps,
    }
}

impl World<'_> {
    /// Lives; how that ended, after how many microseconds, and what time it was.
    fn lives(&self, life: Life, death: &Arc<Death>) -> (Ended, i64, i64) {
        let runtime = runtime();
        let lives = || runtime.block_on(self.life(life, death));
        let ended = catch_unwind(AssertUnwindSafe(lives));
        drop(runtime);
        match ended {
            Ok(ended) => ended,
            // In a commit of the start itself.
            Err(thrown) if thrown.is::<Crashed>() => (Ended::Died, 0, life.born),
            Err(thrown) => resume_unwind(thrown),
        }
    }
    async fn life(
        &self,
        Life { number, born, end }: Life,
        death: &Arc<Death>,
    ) -> (Ended, i64, i64) {
        let clock = MachineClock::new(born);
        for jump in self.plan.jumps.iter().filter(|jump| jump.life == number) {
            tokio::spawn(clock.clone().jumps(*jump, Arc::clone(death)));
        }
        let directory = self.directory.path();
        let hears = hears(directory.join(LOG), (end, self.plan.full), death);
        let opened = open(directory, self.plan.log_limit, Some(hears));
        tokio::spawn(checkpoints(opened.0.clone(), Random::of(self.plan.seed, "checkpoints")));
        let running = start(opened, (directory, self.plan.shards), clock.clock(), &self.random);
        death.has_begun();
        let Installation { authorization, account, methods, .. } = self.installation;
        let of = (authorization.as_str(), account.as_str(), methods.as_slice());
        let door = Arc::new(door(&running, of, Arc::clone(&death.came)));
        let now = clock.clone();
        let now: client::Now = Arc::new(move || now.now());
        match end {
            Some(End::Turn { request, turns }) => {
                tokio::spawn(dies_in_turn(Arc::clone(&door), (request, turns), Arc::clone(death)));
            }
            Some(End::Moment { micros }) => {
                tokio::spawn(dies_after(Duration::from_micros(micros), Arc::clone(death)));
            }
            _ => {}
        }
        let clients: Vec<_> = self
            .steps
            .iter()
            .enumerate()
            .map(|(number, steps)| {
                let of = (Arc::clone(&door), Arc::clone(&self.plan));
                let told = (Arc::clone(&self.told), Arc::clone(&now));
                tokio::spawn(client::runs(number, Arc::clone(steps), of, told))
            })
            .collect();
        let whole = async {
            for client in clients {
                client.await.unwrap_or_else(|error| panic!("a client broke off: {error}"));
            }
            if end.is_some() {
                return None;
            }
            let books = (&*self.plan, &self.installation.books);
            Some(auditor::judge(&door, books, &self.told).await)
        };
        let ended = tokio::select! {
            biased;
            () = death.called.notified() => Ended::Died,
            ended = tokio::time::timeout(LIFE_MOST, whole) => match ended {
                Ok(Some(counts)) => Ended::Judged(counts),
                Ok(None) => Ended::Idle,
                Err(_) => {
                    let problem = format!("nothing ended within {LIFE_MOST:?}");
                    self.told.lock().problems.push(problem);
                    Ended::Judged(None)
                }
            },
        };
        if matches!(ended, Ended::Idle) && end == Some(End::Stop) {
            running.stop().await;
        } else {
            death.came.store(true, Relaxed);
            running.abandon();
        }
        (ended, clock.lived(), clock.now())
    }
}
