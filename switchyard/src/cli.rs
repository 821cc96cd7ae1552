//! The command line: every command with its flags, defaults and an example.

mod kafka;
mod migrate;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use kafka::Kafka;
pub use migrate::Migrate;

/// Where `up` keeps its data unless told otherwise.
const DATA: &str = "./switchyard-data";
/// Where `up` listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8080";

/// Moves money: a platform of small services in one binary.
#[derive(Parser, Debug)]
#[command(
    name = "switchyard",
    version,
    after_help = "Examples:
  switchyard demo --exit           two transfers and their sequence diagrams, from nothing
  switchyard up --sandbox          the whole platform with its counterparties
  switchyard verify                the invariants over ./switchyard-data

Every flag is also an environment variable SWITCHYARD_<FLAG> and a name in switchyard.toml.
Exit codes: 0 done, 1 the thing checked is wrong, 2 usage, 3 could not run."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub logging: Logging,
    /// The file of settings [default: switchyard.toml where it is there]
    #[arg(long, global = true, env = "SWITCHYARD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where logs go and how much is logged.
#[derive(Args, Debug, Clone)]
pub struct Logging {
    /// The form of logs on stderr
    #[arg(long, global = true, env = "SWITCHYARD_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged: a level, or `target=level` with commas between
    #[arg(
        long,
        global = true,
        env = "SWITCHYARD_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,
}

/// The form of logs.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Shows it: two transfers from nothing, each with its sequence diagram
    Demo(Demo),
    /// The whole platform in one process on one data directory
    Up(Up),
    /// Everything in one process on PostgreSQL
    Serve(Serve),
    /// Creates or upgrades the schema of a PostgreSQL database
    Migrate(Migrate),
    /// The declared edges between services, and those seen in traffic
    Topology(Topology),
    /// A transfer's own sequence diagram
    Timeline(Timeline),
    /// Checks the invariants of everything that is stored
    Verify(Verify),
    /// Measures a fresh platform over real HTTP on a real disk
    Bench(Bench),
    /// The sandbox: its clock and its counterparties' faults
    Sandbox(Sandbox),
    /// Events that a service could not apply, on a running platform
    DeadLetters(DeadLetters),
    /// API keys of a running platform
    Keys(Keys),
}

/// How the counterparties of the sandbox keep time.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Windows and settlements of seconds.
    Fast,
    /// The true windows and banking days, moved by the sandbox clock.
    Real,
}

/// How a platform runs, whatever its engine.
#[derive(Args, Debug, Clone)]
pub struct Run {
    /// Also run the counterparties, and make accounts with money on the first start
    #[arg(long, env = "SWITCHYARD_SANDBOX")]
    pub sandbox: bool,
    /// How the counterparties keep time (sandbox only)
    #[arg(long, env = "SWITCHYARD_PACE", default_value = "fast")]
    pub pace: Pace,
    /// The counterparties keep every byte they received and sent in DIR/sandbox (sandbox only)
    #[arg(long, env = "SWITCHYARD_KEEP_WIRE")]
    pub keep_wire: bool,
    /// Send true micro-deposits, from the platform's wallet by ACH, instead of 0 and 0; the first
    /// start verifies no bank account then (sandbox only)
    #[arg(long, env = "SWITCHYARD_SEND_MICRO_DEPOSITS")]
    pub send_micro_deposits: bool,
    /// Threads that serve HTTP
    #[arg(long, env = "SWITCHYARD_WORKERS", default_value_t = 1, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
}

/// Arguments of `up`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard up --sandbox --data ./switchyard-data --listen 127.0.0.1:8080")]
pub struct Up {
    /// The data directory; made where it is not there
    #[arg(long, env = "SWITCHYARD_DATA", default_value = DATA, value_name = "DIR")]
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "SWITCHYARD_LISTEN", default_value = LISTEN, value_name = "ADDR")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub run: Run,
    /// S of a new installation, a power of two; an old one keeps its own
    #[arg(long, env = "SWITCHYARD_SHARDS", default_value_t = 1, value_name = "S",
        value_parser = shards)]
    pub shards: u32,
}

/// Arguments of `serve`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard migrate --database postgres://switchyard@localhost/switchyard
  switchyard serve all --database postgres://switchyard@localhost/switchyard
  switchyard serve ledger --database URL --listen 127.0.0.1:8081 --peer-key FILE")]
pub struct Serve {
    /// Which services: `all` is everything in one process, `gateway` passes on to all
    #[arg(required = true, value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// The PostgreSQL database, with sslmode and sslrootcert as libpq takes them
    #[arg(long, env = "SWITCHYARD_DATABASE", value_name = "URL")]
    pub database: String,
    /// Where the sealing key and the first credentials are
    #[arg(long, env = "SWITCHYARD_DATA", default_value = DATA, value_name = "DIR")]
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "SWITCHYARD_LISTEN", default_value = LISTEN, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where the services of other processes are, one flag each, or with commas between
    #[arg(
        long = "peer",
        env = "SWITCHYARD_PEER",
        value_delimiter = ',',
        value_name = "ROLE=URL",
        value_parser = peer
    )]
    pub peers: Vec<(String, String)>,
    /// A file with the key that services of different processes show each other, 16 characters or more
    #[arg(long, env = "SWITCHYARD_PEER_KEY", value_name = "FILE")]
    pub peer_key: Option<PathBuf>,
    /// The address under which clients reach the platform [default: this process's own]
    #[arg(long, env = "SWITCHYARD_BASE_URL", value_name = "URL")]
    pub base_url: Option<String>,
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub run: Run,
}

/// What one process of `serve` runs.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Every service and rail.
    All,
    /// Passes each public path on to its service.
    Gateway,
    Accounts,
    PaymentMethods,
    Transfers,
    Ledger,
    Webhooks,
    Dashboard,
    Ach,
    Card,
    Rtp,
    /// The counterparties, as `--sandbox`.
    Sandbox,
}

impl Role {
    /// The name of the service, where the role is one.
    pub fn service(self) -> Option<String> {
        let none = matches!(self, Self::All | Self::Gateway | Self::Sandbox);
        let value = self.to_possible_value().filter(|_| !none)?;
        Some(value.get_name().to_owned())
    }
}

/// `ROLE=URL`
fn peer(text: &str) -> Result<(String, String), String> {
    let (role, url) =
        text.split_once('=').ok_or("ROLE=URL, such as ledger=http://127.0.0.1:8081")?;
    let known = Role::from_str(role, false)?;
    if known == Role::All {
        return Err("`all` is no peer: name each role".to_owned());
    }
    if !url.starts_with("http://") {
        return Err(format!("{url} is none of http://HOST:PORT"));
    }
    Ok((role.to_owned(), url.trim_end_matches('/').to_owned()))
}

/// Arguments of `demo`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard demo --exit")]
pub struct Demo {
    /// Stop after the transfers; code 0 only if all of them completed
    #[arg(long, env = "SWITCHYARD_EXIT")]
    pub exit: bool,
    /// The form of the diagrams
    #[arg(long, env = "SWITCHYARD_FORMAT", default_value = "text")]
    pub format: DiagramFormat,
}

/// The forms of a transfer's diagram.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagramFormat {
    /// Lifelines and arrows for a terminal.
    Text,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// A picture.
    Svg,
    /// The recorded exchanges.
    Json,
}

/// Which running platform, and with which key.
#[derive(Args, Debug, Clone)]
pub struct Target {
    /// The platform's address [default: the one in DIR/credentials.json]
    #[arg(long, global = true, env = "SWITCHYARD_URL", value_name = "URL")]
    pub url: Option<String>,
    /// The key, PUBLIC:SECRET [default: the one in DIR/credentials.json]
    #[arg(long, global = true, env = "SWITCHYARD_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// The data directory whose credentials are used
    #[arg(long, global = true, env = "SWITCHYARD_DATA", default_value = DATA, value_name = "DIR")]
    pub data: PathBuf,
}

/// Arguments of `timeline`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard timeline 019a8f3e-1c40-7000-8000-0000000000aa --format mermaid")]
pub struct Timeline {
    /// The transfer's id
    pub transfer: String,
    /// The account whose transfer it is [default: the key's own]
    #[arg(long, env = "SWITCHYARD_ACCOUNT", value_name = "ID")]
    pub account: Option<String>,
    #[arg(long, env = "SWITCHYARD_FORMAT", default_value = "text")]
    pub format: DiagramFormat,
    #[command(flatten)]
    pub target: Target,
}

/// Arguments of `topology`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard topology --format mermaid
  switchyard topology --observed http://127.0.0.1:8080")]
pub struct Topology {
    #[arg(long, env = "SWITCHYARD_FORMAT", default_value = "text")]
    pub format: TopologyFormat,
    /// Beside the edges seen in this platform's traffic; code 1 if one was seen that is not declared
    #[arg(long, env = "SWITCHYARD_OBSERVED", value_name = "URL")]
    pub observed: Option<String>,
    /// The key, PUBLIC:SECRET [default: the one in DIR/credentials.json]
    #[arg(long, env = "SWITCHYARD_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// The data directory whose credentials are used
    #[arg(long, env = "SWITCHYARD_DATA", default_value = DATA, value_name = "DIR")]
    pub data: PathBuf,
}

/// The forms of the graph.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyFormat {
    /// A table for a terminal.
    Text,
    /// The graph as data.
    Json,
    /// A Mermaid flow chart.
    Mermaid,
    /// A page of documentation.
    Markdown,
    /// A picture.
    Svg,
}

/// Arguments of `verify`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard verify --data ./switchyard-data --json")]
pub struct Verify {
    /// The data directory; opened read-only, also beside a running server
    #[arg(long, env = "SWITCHYARD_DATA", default_value = DATA, value_name = "DIR")]
    pub data: PathBuf,
    /// The PostgreSQL database instead, with sslmode and sslrootcert as libpq takes them
    #[arg(long, env = "SWITCHYARD_DATABASE", value_name = "URL")]
    pub database: Option<String>,
    /// What a client was told, one JSON line an answer: completes V7
    #[arg(long, env = "SWITCHYARD_JOURNAL", value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// The counterparties' own books (URL/sandbox/books): completes V10
    #[arg(long, env = "SWITCHYARD_BOOKS", value_name = "URL")]
    pub books: Option<String>,
    /// The key for the books, PUBLIC:SECRET [default: the one in DIR/credentials.json]
    #[arg(long, env = "SWITCHYARD_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// One JSON array instead of lines
    #[arg(long, env = "SWITCHYARD_JSON")]
    pub json: bool,
}

/// Which transfers `bench` makes.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Wallet to wallet.
    Wallet,
    /// Wallet to bank account by RTP.
    Rtp,
    /// Wallet to debit card.
    Card,
    /// Wallet to bank account by ACH.
    Ach,
    /// One after the other.
    All,
}

/// Arguments of `bench`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard bench --transfers 100000 --concurrency 64
  switchyard bench --open-loop 60000 --for 10
  switchyard bench --outage 60")]
pub struct Bench {
    /// How many transfers
    #[arg(long, env = "SWITCHYARD_TRANSFERS", default_value_t = 100_000, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub transfers: u64,
    /// How many connections, each with one request under way
    #[arg(long, env = "SWITCHYARD_CONCURRENCY", default_value_t = 64, value_name = "C",
        value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub concurrency: u32,
    /// Which transfers
    #[arg(long, env = "SWITCHYARD_MIX", default_value = "wallet")]
    pub mix: Mix,
    /// One wallet pays all
    #[arg(long, env = "SWITCHYARD_HOT")]
    pub hot: bool,
    /// How many wallets
    #[arg(long, env = "SWITCHYARD_WALLETS", default_value_t = 1_000, value_name = "W",
        value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub wallets: u32,
    /// The seed of pairs, amounts and keys
    #[arg(long, env = "SWITCHYARD_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Measure on this PostgreSQL database (an empty one) instead of a data directory
    #[arg(long, env = "SWITCHYARD_DATABASE", value_name = "URL")]
    pub database: Option<String>,
    /// Measure the cluster that `scripts/cluster up DIR` started, and leave it as it is
    #[arg(long, env = "SWITCHYARD_CLUSTER", value_name = "DIR",
        conflicts_with_all = ["database", "folder", "keep", "outage"])]
    pub cluster: Option<PathBuf>,
    /// The folder on a real disk in which the platform is made [default: the temporary folder, or
    /// the working directory where that is in memory]
    #[arg(long, env = "SWITCHYARD_FOLDER", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Keep the data directory
    #[arg(long, env = "SWITCHYARD_KEEP")]
    pub keep: bool,
    /// So many transfers a second at fixed times, whether or not earlier ones were answered
    #[arg(long, env = "SWITCHYARD_OPEN_LOOP", value_name = "RATE",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub open_loop: Option<u32>,
    /// How long the open loop lasts, in seconds
    #[arg(long = "for", env = "SWITCHYARD_FOR", default_value_t = 10, value_name = "SECONDS",
        requires = "open_loop", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Instead: what wallets and RTP notice while the card host hangs and the bank's SFTP server is
    /// gone for so many seconds
    #[arg(long, env = "SWITCHYARD_OUTAGE", value_name = "SECONDS",
        conflicts_with_all = ["open_loop", "hot"],
        value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub outage: Option<u32>,
    /// Do not end with `verify`
    #[arg(long, env = "SWITCHYARD_NO_VERIFY")]
    pub no_verify: bool,
    /// One JSON object instead of text
    #[arg(long, env = "SWITCHYARD_JSON")]
    pub json: bool,
}

/// Arguments of `sandbox`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard sandbox advance 2d
  switchyard sandbox advance to 2026-12-01T00:00Z
  switchyard sandbox fault rtp drop-reply --count 1")]
pub struct Sandbox {
    #[command(subcommand)]
    pub action: SandboxAction,
    #[command(flatten)]
    pub target: Target,
    /// JSON instead of text
    #[arg(long, env = "SWITCHYARD_JSON", global = true)]
    pub json: bool,
}

/// What to do with the sandbox.
#[derive(Subcommand, Debug, Clone)]
pub enum SandboxAction {
    /// The business time and how far it is ahead
    Clock,
    /// Moves business time ahead: `2d`, `36h`, or `to 2026-12-01T00:00Z`
    Advance {
        /// A duration, or `to` and a moment
        #[arg(required = true, num_args = 1..=2, value_name = "DURATION")]
        by: Vec<String>,
    },
    /// Makes a counterparty misbehave
    Fault {
        /// The rail whose counterparty it is
        rail: String,
        /// What it does
        fault: String,
        /// To so many requests [default: 1]
        #[arg(long, value_name = "N", conflicts_with = "duration")]
        count: Option<u64>,
        /// For so long
        #[arg(long = "for", value_name = "DURATION")]
        duration: Option<String>,
    },
    /// The faults in force
    Faults,
}

/// Arguments of `keys`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard keys create --account 019a8f3e-1c40-7000-8000-0000000000aa --scope transfers.read")]
pub struct Keys {
    #[command(subcommand)]
    pub action: KeysAction,
    #[command(flatten)]
    pub target: Target,
    /// JSON instead of text
    #[arg(long, env = "SWITCHYARD_JSON", global = true)]
    pub json: bool,
}

/// What to do with keys.
#[derive(Subcommand, Debug, Clone)]
pub enum KeysAction {
    /// Makes a key; its secret is shown this once
    Create {
        /// The account it is for
        #[arg(long, value_name = "ID")]
        account: String,
        /// What it may do, `transfers.read`; all of the account's where none is given
        #[arg(long = "scope", value_name = "SCOPE", num_args = 1..)]
        scopes: Vec<String>,
    },
    /// All keys, without secrets
    List,
    /// Revokes a key for good
    Revoke {
        /// The key's id
        #[arg(value_name = "KEY")]
        id: String,
    },
}

/// Arguments of `dead-letters`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard dead-letters list
  switchyard dead-letters replay --all
  switchyard dead-letters drop rtp:ledger:0:17 --reason 'paid by hand, ticket 4711'")]
pub struct DeadLetters {
    #[command(subcommand)]
    pub action: DeadLettersAction,
    #[command(flatten)]
    pub target: Target,
    /// JSON instead of text
    #[arg(long, env = "SWITCHYARD_JSON", global = true)]
    pub json: bool,
}

/// What to do with dead letters.
#[derive(Subcommand, Debug, Clone)]
pub enum DeadLettersAction {
    /// All that wait: those that could not be applied, and those parked behind them
    List,
    /// One with its event, also one that was replayed or dropped
    Show {
        /// CONSUMER:TOPIC:SHARD:NUMBER, as `list` prints it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Applies them again, and those behind them in their order; code 1 if one still cannot be
    Replay {
        /// CONSUMER:TOPIC:SHARD:NUMBER, as `list` prints it
        #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// Every one that could not be applied
        #[arg(long)]
        all: bool,
    },
    /// Gives one up for good; those behind it follow
    Drop {
        /// CONSUMER:TOPIC:SHARD:NUMBER, as `list` prints it
        #[arg(value_name = "ID")]
        id: String,
        /// Why; kept for those who come after
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

fn shards(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(shards) if shards.is_power_of_two() && shards <= 256 => Ok(shards),
        _ => Err("a power of two from 1 to 256".to_owned()),
    }
}

#[cfg(test)]
mod compose_file;
#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command, SandboxAction};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_errors_are_seen() {
        for wrong in [
            &["switchyard"][..],
            &["switchyard", "up", "--shards", "3"],
            &["switchyard", "serve", "all"],
            &["switchyard", "bench", "--for", "3"],
            &["switchyard", "timeline"],
            &["switchyard", "dead-letters", "replay"],
            &["switchyard", "dead-letters", "replay", "--all", "a:b:0:1"],
            &["switchyard", "dead-letters", "drop", "a:b:0:1"],
            &["switchyard", "frobnicate"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?} is no usage");
        }
    }

    #[test]
    fn a_moment_to_advance_to_is_two_words() {
        let words = ["switchyard", "sandbox", "advance", "to", "2026-12-01T00:00Z"];
        let Command::Sandbox(sandbox) = Cli::try_parse_from(words).unwrap().command else {
            panic!("sandbox was asked for")
        };
        let SandboxAction::Advance { by } = sandbox.action else { panic!("advance") };
        assert_eq!(by, ["to", "2026-12-01T00:00Z"]);
    }
}
