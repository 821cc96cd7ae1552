//! What `scripts/faults` runs: the platform on hosts of its own, with three brokers, under load, while
//! brokers die, disks are lost, lines are cut, and processes come and go.

use std::{path::Path, time::Duration};

use clap::{Parser, ValueEnum};
use end_to_end::{Host, Load, Process, Servers, network, run};
use serde_json::{Value, json};

/// Between a fault's end and the next.
const BETWEEN: Duration = Duration::from_secs(1);
/// Lines are cut for so long in turn: shorter and longer than what waits for an answer.
const CUTS: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(4)];
/// A flapping line is cut and mended so often, so long each.
const FLAPS: u32 = 10;
const FLAP: Duration = Duration::from_millis(200);
/// A broker is gone for so long: longer than its session at the others.
const BROKER_GONE: Duration = Duration::from_secs(12);
/// A process is gone for so long: longer than its part is held for it.
const PROCESS_GONE: Duration = Duration::from_secs(6);
const BROKERS: usize = 3;

/// Breaks a platform of thirteen processes, each on a host of its own, under 100 transfers a second of
/// all kinds, and looks whether anything was lost or done twice
#[derive(Parser)]
#[command(
    name = "scripts/faults",
    after_help = "Example:
  scripts/faults broker-killed cut --times 1"
)]
struct Arguments {
    /// Which faults; all where none is named
    cases: Vec<Case>,
    /// How often each, on a fresh platform each time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Cut only lines between hosts whose names begin so, such as `kafka kafka` or `rtp postgres`
    #[arg(long, num_args = 2, value_name = "HOST")]
    between: Option<Vec<String>>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// kill -9 of each broker in turn
    BrokerKilled,
    /// The same, and it comes back with an empty disk
    BrokerWiped,
    /// No packet passes between two hosts; each pair that talks, in turn
    Cut,
    /// The same in one direction, then in the other
    OneWay,
    /// A line between two that is cut and mended all the while
    Flapping,
    /// Each process leaves in its turn (SIGTERM), and joins again
    Rebalance,
}

impl Case {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The platform, its servers, and the pairs of hosts that talk to each other.
struct Field {
    process: Process,
    servers: Servers,
    pairs: Vec<(Host, Host)>,
}

/// What a case did, and what came of it.
struct Outcome {
    faults: usize,
    transfers: usize,
    drained: Duration,
}

/// The pairs of hosts that talk: by the declared edges, and each process with the database and the
/// brokers, the gateway with each process, the brokers with each other.
fn pairs(hosts: &[Host], database: &Host, brokers: &[Host]) -> Vec<(Host, Host)> {
    let (code, edges, _) = run(&["topology", "--format", "json"], Path::new("."));
    assert_eq!(code, 0, "the topology is known");
    let edges: Value = serde_json::from_str(&edges).expect("it is JSON");
    let of = |role: &str| {
        let counterparty = ["bank", "card-host", "rtp-participant"].contains(&role);
        let role = if counterparty { "sandbox" } else { role }.to_owned();
        hosts.iter().filter(move |host| host.name.trim_end_matches("-2") == role)
    };
    let mut pairs: Vec<(Host, Host)> = Vec::new();
    let mut add = |one: &Host, other: &Host| {
        let known = |pair: &(Host, Host)| {
            (&pair.0, &pair.1) == (one, other) || (&pair.0, &pair.1) == (other, one)
        };
        if one != other && !pairs.iter().any(known) {
            pairs.push((one.clone(), other.clone()));
        }
    };
    for edge in edges["edges"].as_array().expect("edges").iter().filter(|e| e["kind"] != "event") {
        let end = |name: &str| edge[name].as_str().expect("a name").to_owned();
        for one in of(&end("from")) {
            of(&end("to")).for_each(|other| add(one, other));
        }
    }
    for host in hosts {
        of("gateway").for_each(|gateway| add(gateway, host));
        add(host, database);
        brokers.iter().for_each(|broker| add(host, broker));
    }
    for one in brokers {
        brokers.iter().for_each(|other| add(one, other));
    }
    pairs
}

impl Field {
    /// Does what the case is about; how many faults.
    async fn suffer(&mut self, case: Case) -> usize {
        match case {
            Case::BrokerKilled | Case::BrokerWiped => self.lose_brokers(case).await,
            Case::Cut | Case::OneWay | Case::Flapping => self.cut(case).await,
            Case::Rebalance => self.rebalance().await,
        }
    }
    async fn lose_brokers(&self, case: Case) -> usize {
        for number in 0..BROKERS {
            tokio::time::sleep(BETWEEN).await;
            say(&format!("{}: broker {}", case.name(), number + 1));
            self.servers.kill_broker(number);
            tokio::time::sleep(BROKER_GONE).await;
            if case == Case::BrokerWiped {
                self.servers.wipe_broker(number);
            }
            self.servers.resume_broker(number);
            // It has to have copies of everything before the next one may go.
            tokio::time::sleep(BROKER_GONE).await;
        }
        BROKERS
    }
    async fn cut(&self, case: Case) -> usize {
        let cuts = CUTS.iter().cycle();
        for ((one, other), length) in self.pairs.iter().zip(cuts) {
            tokio::time::sleep(BETWEEN).await;
            say(&format!("{}: {} - {}", case.name(), one.name, other.name));
            match case {
                Case::OneWay => {
                    for (from, to) in [(one, other), (other, one)] {
                        from.loses(to);
                        tokio::time::sleep(*length).await;
                        from.reaches(to);
                    }
                }
                Case::Flapping => {
                    for _ in 0..FLAPS {
                        both(one, other, Host::loses);
                        tokio::time::sleep(FLAP).await;
                        both(one, other, Host::reaches);
                        tokio::time::sleep(FLAP).await;
                    }
                }
                _ => {
                    both(one, other, Host::loses);
                    tokio::time::sleep(*length).await;
                    both(one, other, Host::reaches);
                }
            }
        }
        self.pairs.len()
    }
    async fn rebalance(&mut self) -> usize {
        let names = Process::hosts_needed();
        // Clients reach the first, and are not what this is about.
        for (number, name) in names.iter().enumerate().skip(1) {
            tokio::time::sleep(BETWEEN).await;
            say(&format!("{name} leaves and joins"));
            let ended = self.process.stop_one(number);
            assert!(ended.success(), "{name} ended: {ended}");
            tokio::time::sleep(PROCESS_GONE).await;
            self.process.start_one(number);
            tokio::time::sleep(PROCESS_GONE).await;
        }
        names.len() - 1
    }
    /// Everything of it under load, and what clients were told against what there is.
    async fn play(mut self, case: Case) -> Outcome {
        let mut load = Load::start_steady(&self.process).await;
        let faults = self.suffer(case).await;
        let drained = load.drained().await;
        self.process.is_ready().await;
        let transfers = load.audit().await;
        self.process.verify();
        assert!(self.process.stop().success(), "every process ends as it should");
        Outcome { faults, transfers, drained }
    }
}

fn both(one: &Host, other: &Host, does: impl Fn(&Host, &Host)) {
    does(one, other);
    does(other, one);
}

fn say(what: &str) {
    eprintln!("  {what}");
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    // The first process of a namespace is not ended by a signal that it does not wait for.
    tokio::select! {
        () = play_all(arguments) => {}
        _ = tokio::signal::ctrl_c() => {
            eprintln!("interrupted: nothing is left running");
            std::process::exit(130);
        }
    }
}

/// Each case as often as it is asked for; a panic where something was lost or doubled.
async fn play_all(Arguments { mut cases, times, between, json }: Arguments) {
    if cases.is_empty() {
        cases = Case::value_variants().to_vec();
    }
    let mut names = Process::hosts_needed();
    let processes = names.len();
    names.push("postgres".to_owned());
    names.extend((1..=BROKERS).map(|number| format!("kafka-{number}")));
    let all = network(&names);
    let (hosts, servers) = all.split_at(processes);
    let (database, brokers) = (&servers[0], &servers[1..]);
    let mut pairs = pairs(hosts, database, brokers);
    if let Some(between) = &between {
        let joins = |one: &Host, other: &Host| {
            one.name.starts_with(&between[0]) && other.name.starts_with(&between[1])
        };
        pairs.retain(|(one, other)| joins(one, other) || joins(other, one));
    }
    for case in cases {
        for time in 1..=times {
            eprintln!("{} ({time} of {times})", case.name());
            let servers = Servers::start_on(database, brokers);
            let process = Process::start_several_at(hosts.to_vec(), &servers).await;
            let field = Field { process, servers, pairs: pairs.clone() };
            let Outcome { faults, transfers, drained } = field.play(case).await;
            let (name, drained) = (case.name(), drained.as_secs_f64());
            if json {
                let figures = json!({"case": name, "time": time, "faults": faults,
                    "transfers": transfers, "lost": 0, "doubled": 0, "drainedSeconds": drained});
                println!("{figures}");
            } else {
                println!(
                    "{name}: {faults} faults, {transfers} transfers, none lost, none doubled, \
                     drained {drained:.1} s after the last"
                );
            }
        }
    }
}
