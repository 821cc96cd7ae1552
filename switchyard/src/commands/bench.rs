//! `bench`: a fresh platform as a child process on a real disk, measured over real HTTP.

mod outage;

use std::{collections::BTreeMap, io::IsTerminal, path::PathBuf, process::Stdio, time::Duration};

use contracts::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    bench::{
        child::{Part, Platform},
        load::{self, Pace, Plan, Random, Seen},
        money::{self, Wallets},
        report::{self, OpenLoop, Percentiles, Report},
    },
    cli::{Bench, Mix},
    client::{self, Client},
    exit::{Context, Failure, Outcome},
    open_files, process,
};

/// Transfers that are looked at afterwards for the time from created to completed.
const SAMPLE: u64 = 1_000;
/// How often the disk's own fdatasync is measured.
const PROBES: usize = 300;
/// Every kind of transfer.
const ALL: &[Mix] = &[Mix::Wallet, Mix::Rtp, Mix::Card, Mix::Ach];
/// How long everything accepted may take to become final.
const DRAIN_SECONDS_MOST: u64 = 300;

/// Measures, prints, and fails where an invariant is broken afterwards.
pub fn run(arguments: &Bench) -> Outcome {
    open_files::raise_limit();
    let folder = folder(arguments)?;
    let disk = report::probe(folder.path(), PROBES)?;
    let tokio = super::alone()?;
    let data = folder.path().join("data");
    let mixes: &[Mix] = match arguments.mix {
        _ if arguments.outage.is_some() => ALL,
        Mix::All => ALL,
        Mix::Wallet => &[Mix::Wallet],
        Mix::Rtp => &[Mix::Rtp],
        Mix::Card => &[Mix::Card],
        Mix::Ach => &[Mix::Ach],
    };
    let database = arguments.database.as_deref();
    let (mut measured, platform) = tokio.block_on(async {
        let platform = match &arguments.cluster {
            Some(folder) => Platform::of_cluster(folder)?,
            None => Platform::start(data, database).await?,
        };
        let bar = progress(u64::from(arguments.wallets), "wallets");
        let step = |done| bar.set_position(done);
        let wallets = money::wallets(&platform.credentials, arguments.wallets, mixes, step).await?;
        bar.finish_and_clear();
        let measured = match arguments.outage {
            Some(seconds) => {
                Measured::Outage(outage::measure(arguments, seconds, &platform, &wallets).await?)
            }
            None => {
                let mut reports = Vec::new();
                for mix in mixes {
                    reports.push(measure(arguments, *mix, &platform, &wallets, disk).await?);
                }
                Measured::Mixes(reports)
            }
        };
        Ok::<_, Failure>((measured, platform))
    })?;
    let data = platform.data.clone();
    let database = arguments.database.clone().or_else(|| platform.database.clone());
    tokio.block_on(platform.stop())?;
    let verified = if arguments.no_verify { None } else { Some(verify(database, &data)?) };
    if arguments.keep {
        eprintln!("kept: {}", folder.keep().display());
    }
    match &mut measured {
        Measured::Outage(report) => {
            report.verified = verified;
            print(arguments, report, outage::Report::text);
        }
        Measured::Mixes(reports) => {
            for report in reports {
                report.verified = verified;
                print(arguments, report, Report::text);
            }
        }
    }
    if verified == Some(false) { Err(Failure::Wrong) } else { Ok(()) }
}

/// What was measured.
enum Measured {
    Mixes(Vec<Report>),
    Outage(outage::Report),
}

fn print<R: serde::Serialize>(arguments: &Bench, report: &R, text: fn(&R) -> String) {
    let text = if arguments.json {
        serde_json::to_string(report).expect("a report is plain data") + "\n"
    } else {
        text(report)
    };
    super::print(&text);
}

/// A new folder on a real disk.
fn folder(arguments: &Bench) -> Outcome<tempfile::TempDir> {
    let parent = match &arguments.folder {
        Some(named) if process::is_in_memory(named)? => {
            return Err(Failure::CouldNotRun(format!(
                "{} is in memory, where an fsync costs nothing: name a folder on a disk",
                named.display()
            )));
        }
        Some(named) => named.clone(),
        None => {
            let candidates = [std::env::temp_dir(), PathBuf::from(".")];
            let real = candidates
                .into_iter()
                .find(|folder| process::is_in_memory(folder).is_ok_and(|in_memory| !in_memory));
            real.ok_or_else(|| {
                Failure::could_not("no folder on a real disk: name one with --folder")
            })?
        }
    };
    let made = tempfile::Builder::new().prefix("switchyard-bench-").tempdir_in(&parent);
    made.context(parent.display())
}

fn progress(length: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {per_sec}");
    let bar = ProgressBar::new(length).with_message(what);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What the platform had used at one moment.
struct Used {
    server_cpu: BTreeMap<String, f64>,
    load_cpu: f64,
    commits: u64,
    checkpoints: u64,
    updated: u64,
    bytes: u64,
}

async fn used(platform: &Platform) -> Outcome<Used> {
    let metrics = platform.metrics().await?;
    let cpu = |part: &Part| Ok::<_, Failure>((part.name.clone(), process::cpu_seconds(part.id)?));
    Ok(Used {
        server_cpu: platform.parts.iter().map(cpu).collect::<Outcome<_>>()?,
        load_cpu: process::cpu_seconds(std::process::id())?,
        commits: metric(&metrics, "switchyard_commits_total"),
        checkpoints: metric(&metrics, "switchyard_checkpoints_total"),
        updated: metric(&metrics, UPDATED),
        bytes: process::bytes_of(&platform.data),
    })
}

/// Counts a transfer's changes of status.
const UPDATED: &str =
    "switchyard_events_appended_total{service=\"transfers\",event=\"transfer.updated\"}";

/// The sum over all processes.
fn metric(text: &str, name: &str) -> u64 {
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.filter_map(|value| value.trim().parse::<f64>().ok()).map(|value| value as u64).sum()
}

fn plan(arguments: &Bench, mix: Mix, platform: &Platform, wallets: &Wallets) -> Outcome<Plan> {
    let credentials = &platform.credentials;
    let address = credentials.base_url.trim_start_matches("http://").parse();
    let pace = match arguments.open_loop {
        None => Pace::Closed { transfers: arguments.transfers },
        Some(per_second) => Pace::Open { per_second, seconds: arguments.seconds },
    };
    let expected = match pace {
        Pace::Closed { transfers } => transfers,
        Pace::Open { per_second, seconds } => u64::from(per_second) * u64::from(seconds),
    };
    let destinations = match mix {
        Mix::Rtp => wallets.rtp_methods.clone(),
        Mix::Card => wallets.card_methods.clone(),
        Mix::Ach => wallets.ach_methods.clone(),
        _ => wallets.wallet_methods.clone(),
    };
    Ok(Plan {
        address: address.context("the platform's address")?,
        account: credentials.account_id.to_string(),
        authorization: client::basic(&credentials.key()),
        sources: wallets.wallet_methods.clone(),
        destinations,
        hot: arguments.hot,
        seed: Random(arguments.seed ^ mix as u64).next(),
        connections: arguments.concurrency,
        pace,
        sample_every: (expected / SAMPLE).max(1),
    })
}

async fn measure(
    arguments: &Bench,
    mix: Mix,
    platform: &Platform,
    wallets: &Wallets,
    disk: report::Disk,
) -> Outcome<Report> {
    let mut client = platform.client()?;
    let plan = plan(arguments, mix, platform, wallets)?;
    let in_files = arguments.database.is_none() && arguments.cluster.is_none();
    let before = used(platform).await?;
    let bar = progress(arguments.transfers, "transfers");
    let shown = bar.clone();
    let seen = load::run(plan, move |done| shown.set_position(done)).await?;
    bar.finish_and_clear();
    let filed = match mix {
        Mix::Ach => Some(filed(&mut client, seen.accepted_micros.len() as u64).await?),
        _ => None,
    };
    let drain = filed.unwrap_or_default()
        + drained(&mut client, platform, before.updated + seen.accepted_micros.len() as u64)
            .await?;
    let whole = seen.seconds + drain.as_secs_f64();
    let after = used(platform).await?;
    let completed_millis = sampled(&mut client, platform, &seen).await?;
    let accepted = seen.accepted_micros.len() as u64;
    let per_1000 = |value: f64| value / accepted as f64 * 1e3;
    let syncs = (after.commits - before.commits) + (after.checkpoints - before.checkpoints);
    let cpu: BTreeMap<String, f64> = after
        .server_cpu
        .iter()
        .map(|(name, cpu)| (name.clone(), per_1000(cpu - before.server_cpu[name])))
        .collect();
    let growth = after.bytes.saturating_sub(before.bytes) as f64 / accepted as f64;
    let memory = platform.parts.iter().map(|part| process::anonymous_mebibytes(part.id));
    let memory = memory.sum::<Outcome<f64>>()?;
    let others: u64 = seen.other.iter().map(|other| other.1).sum();
    for (status, count, body) in &seen.other {
        eprintln!("{count} answers with status {status}, the first: {body}");
    }
    let open_loop = arguments.open_loop.map(|wanted_per_second| OpenLoop {
        wanted_per_second,
        offered_per_second: seen.sent as f64 / seen.sending_seconds,
        accepted,
        refused: seen.refused_micros.len() as u64,
        refused_millis: Percentiles::of(seen.refused_micros.clone()),
        answered_millis: Percentiles::of(seen.answered_micros.clone()),
        late_millis: Percentiles::of(seen.late_micros.clone()),
    });
    Ok(Report {
        transfers: accepted,
        connections: arguments.concurrency,
        mix: format!("{mix:?}").to_lowercase(),
        hot: arguments.hot,
        accepted_per_second: accepted as f64 / seen.seconds,
        completed_per_second: accepted as f64 / whole,
        tenths_per_second: tenths(&seen, arguments.transfers),
        filed_per_second: filed.map(|wait| accepted as f64 / (seen.seconds + wait.as_secs_f64())),
        drain_millis: drain.as_secs_f64() * 1e3,
        post_millis: Percentiles::of(seen.accepted_micros),
        completed_millis,
        cpu_seconds_per_1000: cpu.values().sum(),
        cpu_seconds_per_1000_of: (cpu.len() > 1).then_some(cpu),
        load_cpu_seconds_per_1000: per_1000(after.load_cpu - before.load_cpu),
        fsyncs_per_1000: per_1000(syncs as f64),
        bytes_per_transfer: in_files.then_some(growth),
        fdatasync_micros: disk,
        rss_mebibytes: memory,
        other_answers: others + seen.broken,
        open_loop,
        verified: None,
    })
}

/// How many were accepted a second in the first and the last tenth of a closed loop.
fn tenths(seen: &load::Seen, transfers: u64) -> Option<[f64; 2]> {
    let (first, last) = (seen.tenths_seconds.first()?, seen.seconds - seen.tenths_seconds.get(8)?);
    let of_one = (transfers / 10) as f64;
    (transfers >= 10_000).then_some([of_one / first, of_one / last])
}

/// Waits until so many entries are in files that the bank has: the wait for the last cut-off is in it.
async fn filed(client: &mut Client, entries: u64) -> Outcome<Duration> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(DRAIN_SECONDS_MOST) {
        let files = client.get("/operations/ach/files").await?.ok()?;
        let files = files.as_array().map(Vec::as_slice).unwrap_or_default();
        let there = files.iter().filter(|file| file["status"] == "acknowledged");
        if there.filter_map(|file| file["entries"].as_u64()).sum::<u64>() >= entries {
            return Ok(begin.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = format!("entries are still in no file {DRAIN_SECONDS_MOST} s later");
    Err(Failure::CouldNotRun(text))
}

/// Waits until nothing is on its way: first by the cheap count of changes, then by asking.
async fn drained(client: &mut Client, platform: &Platform, updated: u64) -> Outcome<Duration> {
    let begin = Instant::now();
    let limit = Duration::from_secs(DRAIN_SECONDS_MOST);
    while metric(&platform.metrics().await?, UPDATED) < updated && begin.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The question below reads every transfer: its own time is not theirs.
    let mut took = begin.elapsed();
    loop {
        let mut open = 0;
        for status in ["created", "pending"] {
            let account = &platform.credentials.account_id;
            let path = format!("/accounts/{account}/transfers?status={status}&count=1");
            open += client.get(&path).await?.ok()?.as_array().map_or(0, Vec::len);
        }
        if open == 0 {
            return Ok(took);
        }
        took = begin.elapsed();
        if took > limit {
            let text = format!("transfers are still on their way {DRAIN_SECONDS_MOST} s later");
            return Err(Failure::CouldNotRun(text));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// From created to completed, of the sample.
async fn sampled(client: &mut Client, platform: &Platform, seen: &Seen) -> Outcome<Percentiles> {
    let mut micros = Vec::new();
    for id in &seen.sample {
        let path = format!("/accounts/{}/transfers/{id}", platform.credentials.account_id);
        let transfer = client.get(&path).await?.ok()?;
        let at = |name: &str| transfer.get(name).and_then(Value::as_str)?.parse::<Timestamp>().ok();
        if let (Some(created), Some(completed)) = (at("createdOn"), at("completedOn")) {
            micros.push(u32::try_from(completed.micros_since(created)).unwrap_or(u32::MAX));
        }
    }
    Ok(Percentiles::of(micros))
}

/// Runs `verify` as a process of its own over what was left.
fn verify(database: Option<String>, data: &std::path::Path) -> Outcome<bool> {
    let binary = std::env::current_exe().context("this program's own file")?;
    let mut command = std::process::Command::new(binary);
    command.arg("verify").stdout(Stdio::piped()).stderr(Stdio::inherit());
    match &database {
        Some(url) => command.args(["--database", url]),
        None => command.arg("--data").arg(data),
    };
    let output = command.output().context("verify")?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
    }
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(Failure::could_not("verify could not run")),
    }
}
