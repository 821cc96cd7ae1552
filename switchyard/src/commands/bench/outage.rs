//! `bench --outage`: what wallets and RTP notice while the card host hangs and the bank's SFTP server
//! is gone.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{drained, plan, sampled};
use crate::{
    bench::{
        child::Platform,
        load::{self, Pace, Plan},
        money::Wallets,
        report::{self, Percentiles},
    },
    cli::{Bench, Mix},
    client::Client,
    exit::{Failure, Outcome},
};

/// The same load at all times: transfers a second of each kind.
const LOAD: [(Mix, u32); 4] =
    [(Mix::Wallet, 200), (Mix::Rtp, 100), (Mix::Card, 25), (Mix::Ach, 25)];
/// What is not measured: the platform has just made its wallets.
const WARM_SECONDS: u32 = 5;
/// Between two measurements of the disk beside the load.
const PROBE_PAUSE: Duration = Duration::from_millis(25);

/// The figures of an outage, in the shape that scripts rely on (additions only).
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    outage_seconds: u32,
    before: Phase,
    during: Phase,
    after: Phase,
    /// From the last request until everything was final, the whole queue of the outage with it.
    drain_millis: f64,
    /// How all transfers ended: kind, status, count.
    ended: BTreeMap<String, u64>,
    /// Absent where it was not asked for.
    pub verified: Option<bool>,
}

/// The figures of one phase.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Phase {
    kinds: BTreeMap<String, Kind>,
    /// The disk's own fdatasync of 4 KiB in the same time: what of the figures is not ours.
    fdatasync_millis: Percentiles,
}

/// What one kind of transfer took in one phase.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Kind {
    accepted: u64,
    refused: u64,
    /// From the intended time to the answer.
    post_millis: Percentiles,
    /// From created to completed; of wallets and RTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_millis: Option<Percentiles>,
}

/// The same load before, during and after the outage; returns once nothing is on its way.
pub async fn measure(
    arguments: &Bench,
    seconds: u32,
    platform: &Platform,
    wallets: &Wallets,
) -> Outcome<Report> {
    let mut client = platform.client()?;
    let mut seed = arguments.seed;
    let mut phase = |name: &'static str, seconds: u32| {
        // The kinds differ in its last bits: keys never repeat.
        seed += 16;
        eprintln!("{name}: {seconds} s");
        let folder = platform.data.parent().unwrap_or(&platform.data).to_owned();
        let plans = LOAD.map(|(mix, per_second)| {
            let made = plan(&Bench { seed, ..arguments.clone() }, mix, platform, wallets)?;
            let pace = Pace::Open { per_second, seconds };
            Ok::<_, Failure>(Plan { pace, connections: 4, sample_every: 1, hot: false, ..made })
        });
        run(plans, folder)
    };
    phase("warm-up", WARM_SECONDS).await?;
    let before = phase("before", seconds).await?;
    for (rail, fault) in [("card", "hang"), ("ach", "refuse")] {
        let fault = json!({ "rail": rail, "fault": fault, "duration": format!("{seconds}s") });
        client.post("/sandbox/faults", &[], &fault).await?.ok()?;
    }
    let during = phase("the card host hangs, the bank is gone", seconds).await?;
    let after = phase("after", seconds).await?;
    let drain = drained(&mut client, platform, 0).await?;
    let mut ended = BTreeMap::new();
    let mut phases = Vec::new();
    for (seen, fdatasync_millis) in [before, during, after] {
        let mut kinds = BTreeMap::new();
        for (mix, seen) in seen {
            let name = format!("{mix:?}").to_lowercase();
            let waits = matches!(mix, Mix::Card | Mix::Ach);
            let mut kind = Kind {
                accepted: seen.accepted_micros.len() as u64,
                refused: seen.refused_micros.len() as u64,
                post_millis: Percentiles::of(seen.accepted_micros.clone()),
                completed_millis: None,
            };
            if !waits {
                kind.completed_millis = Some(sampled(&mut client, platform, &seen).await?);
            }
            count(&mut client, platform, &seen.sample, &name, &mut ended).await?;
            kinds.insert(name, kind);
        }
        phases.push(Phase { kinds, fdatasync_millis });
    }
    let [before, during, after] = phases.try_into().expect("three phases");
    let drain_millis = drain.as_secs_f64() * 1e3;
    let verified = None;
    let outage_seconds = seconds;
    Ok(Report { outage_seconds, before, during, after, drain_millis, ended, verified })
}

/// All kinds at once, each from a thread of its own, and the disk beside them.
async fn run(
    plans: [Outcome<Plan>; 4],
    folder: PathBuf,
) -> Outcome<(Vec<(Mix, load::Seen)>, Percentiles)> {
    let ended = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&ended);
    let disk = tokio::task::spawn_blocking(move || {
        report::probe_until(&folder, PROBE_PAUSE, || until.load(Ordering::Relaxed))
    });
    let mut running = Vec::new();
    for ((mix, _), plan) in LOAD.into_iter().zip(plans) {
        running.push((mix, tokio::spawn(load::run(plan?, |_| {}))));
    }
    let mut seen = Vec::new();
    for (mix, one) in running {
        seen.push((mix, one.await.map_err(Failure::could_not)??));
    }
    ended.store(true, Ordering::Relaxed);
    Ok((seen, Percentiles::of(disk.await.map_err(Failure::could_not)??)))
}

/// Counts how these transfers ended.
async fn count(
    client: &mut Client,
    platform: &Platform,
    transfers: &[String],
    kind: &str,
    ended: &mut BTreeMap<String, u64>,
) -> Outcome {
    for id in transfers {
        let path = format!("/accounts/{}/transfers/{id}", platform.credentials.account_id);
        let transfer = client.get(&path).await?.ok()?;
        let status = transfer.get("status").and_then(Value::as_str).unwrap_or("unknown");
        *ended.entry(format!("{kind} {status}")).or_default() += 1;
    }
    Ok(())
}

impl Report {
    /// The figures for a person.
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("the card host hangs and the bank is gone for {} s", self.outage_seconds),
            format!("{:28}{:>10}{:>10}{:>10}{:>12}", "p99", "before", "during", "after", "change"),
        ];
        let phases = [&self.before, &self.during, &self.after];
        for name in ["wallet", "rtp"] {
            let of = |phase: &Phase, completed: bool| {
                let kind = phase.kinds.get(name)?;
                Some(if completed { kind.completed_millis?.p99 } else { kind.post_millis.p99 })
            };
            for (what, completed) in [("POST answered", false), ("created to completed", true)] {
                let of = phases.map(|phase| of(phase, completed).unwrap_or_default());
                lines.push(row(&format!("{name}, {what}"), of));
            }
        }
        lines
            .push(row("fdatasync, the disk's own", phases.map(|phase| phase.fdatasync_millis.p99)));
        lines.push(format!("everything is final {:.1} s after the last", self.drain_millis / 1e3));
        for (what, count) in &self.ended {
            lines.push(format!("{what:28}{count:>10}"));
        }
        match self.verified {
            Some(true) => lines.push("verified: every invariant holds".to_owned()),
            Some(false) => lines.push("verified: NO, an invariant is broken".to_owned()),
            None => {}
        }
        lines.join("\n") + "\n"
    }
}

fn row(what: &str, [before, during, after]: [f64; 3]) -> String {
    let change = (during / before - 1.0) * 100.0;
    format!("{what:28}{before:>7.2} ms{during:>7.2} ms{after:>7.2} ms{change:>+10.0} %")
}
