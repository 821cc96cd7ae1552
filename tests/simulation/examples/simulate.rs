//! What `scripts/simulate` runs: many seeds, or one with all that was told.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde_json::json;
use simulation::{Plan, Report, Sums, Template, run};

/// Runs the program under simulated worlds, one for each seed, and judges what came of it
#[derive(Parser)]
#[command(
    name = "scripts/simulate",
    after_help = "Example:
  scripts/simulate --seeds 2000
  scripts/simulate --seed 42

Exit codes: 0 all was well, 1 a seed failed, 2 usage, 3 could not run."
)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 300, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// This one alone, with all that clients were told
    #[arg(long)]
    seed: Option<u64>,
    /// Threads, each with one seed at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// What came of all seeds, and what failing ones have to say.
#[derive(Default)]
struct All {
    sums: Sums,
    failures: Vec<String>,
}

/// So many failing seeds are told of; more say nothing new.
const FAILURES_MOST: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let template = Arc::<Template>::default();
    if let Some(seed) = arguments.seed {
        return one(seed, &template);
    }
    let until = arguments.from.saturating_add(arguments.seeds);
    let (next, all) = (AtomicU64::new(arguments.from), Mutex::new(All::default()));
    let bar = ProgressBar::new(arguments.seeds);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough = all.lock().failures.len() >= FAILURES_MOST;
                    if enough || seed >= until {
                        return;
                    }
                    let report = run(Plan::of(seed), &template);
                    all.lock().adds(report);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let all = all.into_inner();
    all.says(arguments.json);
    if all.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One seed with its history.
fn one(seed: u64, template: &Arc<Template>) -> ExitCode {
    match run(Plan::of(seed), template) {
        Ok(report) => {
            report.history.iter().for_each(|line| println!("{line}"));
            println!("ends: {:?}", report.ends);
            println!("digest: {}", report.digest);
            report.problems.iter().for_each(|problem| println!("PROBLEM: {problem}"));
            if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(broke) => {
            println!("PROBLEM: {broke}");
            ExitCode::FAILURE
        }
    }
}

impl All {
    fn adds(&mut self, report: Result<Report, String>) {
        match report {
            Ok(report) => {
                self.sums.adds(&report);
                if !report.problems.is_empty() {
                    self.failures.push(report.told());
                }
            }
            Err(broke) => {
                self.sums.runs += 1;
                self.failures.push(broke);
            }
        }
    }
    fn says(&self, as_json: bool) {
        let minutes = self.sums.minutes();
        let Sums { runs, completed, failed, happened, .. } = &self.sums;
        if as_json {
            let figures = json!({
                "seeds": runs, "failures": self.failures, "completed": completed,
                "refused": failed, "virtualMinutes": minutes, "happened": happened,
            });
            println!("{figures:#}");
            return;
        }
        println!(
            "{runs} seeds, {minutes} virtual minutes: {completed} transfers completed, {failed} refused \
             for money"
        );
        for (what, count) in happened {
            println!("{count:>8} times {what}");
        }
        self.failures.iter().for_each(|failure| println!("\n{failure}"));
        println!("{} seeds failed", self.failures.len());
        if let Some(first) = self.failures.first() {
            let seed = first.split([' ', ':']).nth(1).unwrap_or_default();
            println!("to see one again: scripts/simulate --seed {seed}");
        }
    }
}
