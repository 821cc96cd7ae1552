//! Which services a process runs, and on which engine: the only place that knows all of them.
//!
//! Services stand in the order in which one commit applies them: what an earlier one emits, a later
//! one consumes in the same transaction.

use std::{path::PathBuf, sync::Arc, time::Duration};

use eventlog::broker::Broker;
use runtime::{Clock, Elsewhere, Peer, PeerKey, Running, Settings, Topology, Wiring};
use store::{Location, Options, Store, Writer};

use crate::{
    cli,
    exit::{Context, Failure, Outcome},
};

/// Commands that may wait for the writer; more are refused with 429.
const WAITING_MOST: usize = 4_096;
/// The key that account numbers are sealed under, in the data directory, outside the database.
const SEALING_KEY: &str = "sealing.key";

/// The service that seals and opens account numbers.
const SEALER: &str = "payment-methods";

/// The rail that micro-deposits take.
const ACH: &str = "ach";

/// The role of the counterparties.
const SANDBOX: &str = "sandbox";
/// The role that passes on what is for others.
const GATEWAY: &str = "gateway";

/// The discard port of this machine: nobody listens there.
const NO_PARTICIPANT: &str = "http://127.0.0.1:9/messages";
const NO_HOST: &str = "127.0.0.1:9";

/// How the services of a process are to run.
pub struct Plan {
    /// Where the sealing key is.
    pub directory: PathBuf,
    pub sandbox: bool,
    /// The sandbox's `fast` pace: windows of seconds.
    pub fast: bool,
    /// Micro-deposits are sent in the sandbox too, where they are 0 and 0 otherwise.
    pub send_micro_deposits: bool,
    /// S of a new installation.
    pub shards: u32,
    /// Where the RTP participant takes messages; without one the rail waits.
    pub rtp_participant: Option<String>,
    /// Where the card host listens; without one the rail waits.
    pub card_host: Option<String>,
    /// The folder where the card host leaves its settlement files.
    pub card_settlements: Option<PathBuf>,
    /// The bank that takes ACH files; without one the rail waits.
    pub ach: Option<AchPlan>,
    pub clock: Clock,
    /// The services of this process; all of them where it says none.
    pub only: Option<Vec<String>>,
    pub elsewhere: Elsewhere,
}

impl Plan {
    fn runs(&self, service: &str) -> bool {
        has(&self.only, service)
    }
}

/// Whether a service is among these; all are where nothing says which.
pub fn has(only: &Option<Vec<String>>, service: &str) -> bool {
    only.as_ref().is_none_or(|only| only.iter().any(|one| one == service))
}

/// How to reach the bank.
pub struct AchPlan {
    /// `HOST:PORT` of its SFTP server.
    pub address: String,
    /// The fingerprint of its host key: `SHA256:...`.
    pub host_key: String,
    pub client_key: ach::ClientKey,
}

/// An opened store with its one writer.
pub type Opened = (Store, Writer);

/// Opens the store for a server: claims the directory, or connects.
pub fn open(location: &Location) -> Outcome<Opened> {
    Store::open(location.clone(), Options::default()).context("the store cannot be opened")
}

/// Every service with its wiring, in the order of a commit.
fn services(
    store: &Store,
    plan: &Plan,
    sealing: payment_methods::SealingKey,
) -> Outcome<Vec<Wiring>> {
    let sandbox = plan.sandbox;
    Ok(vec![
        accounts::service(accounts::Config { sandbox }).wire(),
        ledger::service(store).wire(),
        payment_methods::service(payment_methods_settings(plan, sealing)).wire(),
        transfers::service(store).wire(),
        webhooks::service(store).wire(),
        ach::service(ach_settings(plan)).map_err(Failure::CouldNotRun)?.wire(),
        card::service(card_settings(plan)).map_err(Failure::CouldNotRun)?.wire(),
        rtp::service(rtp_settings(plan)).map_err(Failure::CouldNotRun)?.wire(),
        dashboard::service().wire(),
    ])
}

/// Without a bank there is nobody to send a micro-deposit to; where the rail runs in another process,
/// that one knows the bank.
fn payment_methods_settings(
    plan: &Plan,
    sealing_key: payment_methods::SealingKey,
) -> payment_methods::Config {
    use payment_methods::Deposits;
    let deposits = match (plan.sandbox && !plan.send_micro_deposits, &plan.ach) {
        (true, _) => Deposits::Simulated,
        (false, None) if plan.runs(ACH) => Deposits::Unavailable,
        (false, _) => Deposits::Sent,
    };
    payment_methods::Config { sandbox: plan.sandbox, deposits, sealing_key }
}

/// The ACH rail's settings. Without a bank nobody answers at its address, and what is for this rail
/// waits as `pending` with that reason.
fn ach_settings(plan: &Plan) -> ach::Config {
    let mut settings = match &plan.ach {
        Some(bank) => {
            let (host_key, client_key) = (bank.host_key.clone(), bank.client_key.clone());
            ach::Config::sandbox(bank.address.clone(), Some(host_key), client_key)
        }
        None => ach::Config::sandbox(NO_HOST.to_owned(), None, ach::ClientKey::new(&[0; 32])),
    };
    if !plan.fast {
        settings.at_true_pace();
    }
    settings
}

/// The card rail's settings. Without a host nobody answers at its address, and what is for this rail
/// waits as `pending` with that reason.
fn card_settings(plan: &Plan) -> card::Config {
    let host = plan.card_host.clone().unwrap_or_else(|| NO_HOST.to_owned());
    let mut settings = card::Config::sandbox(host);
    settings.settlements.clone_from(&plan.card_settlements);
    if !plan.fast {
        settings.answer_within = Duration::from_secs(30);
        settings.echo_after = Duration::from_secs(30);
        settings.echo_within = Duration::from_secs(5);
        settings.reverse_first = Duration::from_secs(5);
        settings.reverse_most = Duration::from_secs(60);
        settings.windows = calendar::Windows::default();
        settings.settlements_look = Duration::from_secs(60);
    }
    settings
}

/// The RTP rail's settings. Without a participant nobody answers at its address, and what is for
/// this rail waits as `pending` with that reason.
fn rtp_settings(plan: &Plan) -> rtp::Config {
    let participant = plan.rtp_participant.clone().unwrap_or_else(|| NO_PARTICIPANT.to_owned());
    let mut settings = rtp::Config::sandbox(participant, rtp::Dialect::Tch);
    if !plan.fast {
        settings.acceptance_window = Duration::from_secs(20);
        settings.answer_within = Duration::from_secs(5);
    }
    settings
}

/// Brings the embedded store's schema up to date (a database's must be), and starts the services.
/// In a tokio context, on a thread that is not tokio's.
pub fn start((store, mut writer): Opened, plan: &Plan) -> Outcome<Running> {
    let sealing = if plan.runs(SEALER) {
        let path = plan.directory.join(SEALING_KEY);
        payment_methods::SealingKey::load_or_create(&path).context("the sealing key")?
    } else {
        payment_methods::SealingKey::new(&[0; 32])
    };
    let mut services = services(&store, plan, sealing)?;
    let migrations = runtime::migrations(&services);
    match store.engine() {
        store::Engine::Sqlite => {
            writer.migrate(&migrations).context("the schema cannot be brought up to date")?;
        }
        store::Engine::Postgres => {
            let current = writer.schema_is_current(&migrations).context("the schema")?;
            if !current {
                return Err(Failure::could_not(
                    "the database's schema is not current: run `switchyard migrate --database URL`",
                ));
            }
        }
    }
    let settings = Settings {
        shards: plan.shards,
        waiting_most: WAITING_MOST,
        sandbox: plan.sandbox,
        directory: Some(plan.directory.clone()),
        clock: plan.clock.clone(),
    };
    services.retain(|service| plan.runs(service.name()));
    runtime::start_beside((store, writer), services, settings, &plan.elsewhere)
        .context("the services cannot start")
}

/// The services that other processes run, by `ROLE=URL`, each with the public paths that it answers.
pub fn elsewhere(
    store: &Store,
    peers: &[(String, String)],
    key: Option<PeerKey>,
) -> Outcome<Elsewhere> {
    if peers.is_empty() {
        return Ok(Elsewhere { key, ..Elsewhere::default() });
    }
    let urls = |role: &str| -> Vec<String> {
        peers.iter().filter(|(name, _)| name == role).map(|(_, url)| url.clone()).collect()
    };
    let all = unstarted(store)?;
    let mut elsewhere = Elsewhere { key, ..Elsewhere::default() };
    elsewhere.declared = Some(runtime::declared(&all));
    for service in &all {
        let (name, paths) = (service.name(), service.paths());
        let urls = urls(name);
        if !urls.is_empty() {
            elsewhere.rails.extend(service.is_rail().then_some(name));
            elsewhere.peers.push(Peer { service: name, urls, paths, outside: false });
        }
    }
    let urls = urls(SANDBOX);
    if !urls.is_empty() {
        let paths = crate::routes::OF_THE_SANDBOX.map(str::to_owned).to_vec();
        elsewhere.peers.push(Peer { service: SANDBOX, urls, paths, outside: true });
    }
    Ok(elsewhere)
}

/// Every service for its wiring alone: nothing is started, nothing sealed.
fn unstarted(store: &Store) -> Outcome<Vec<Wiring>> {
    let plan = Plan {
        directory: PathBuf::new(),
        sandbox: true,
        fast: true,
        send_micro_deposits: false,
        shards: 1,
        rtp_participant: None,
        card_host: None,
        card_settlements: None,
        ach: None,
        clock: Clock::system(),
        only: None,
        elsewhere: Elsewhere::default(),
    };
    services(store, &plan, payment_methods::SealingKey::new(&[0; 32]))
}

/// The declared graph. The wiring needs a store; an empty one in a temporary folder will do.
pub fn declared() -> Outcome<Topology> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let (store, writer) = open(&Location::Directory(folder.path().to_owned()))?;
    let topology = runtime::declared(&unstarted(&store)?);
    drop((store, writer));
    Ok(topology)
}

/// The services' names, each of which is a topic.
pub fn topics(store: &Store) -> Outcome<Vec<&'static str>> {
    Ok(topics_of(&unstarted(store)?))
}

fn topics_of(services: &[Wiring]) -> Vec<&'static str> {
    let graph = runtime::declared(services);
    graph.services.into_iter().map(|node| &*Box::leak(node.name.into_boxed_str())).collect()
}

/// Copies of each partition that survive the loss of a broker, and go on without it.
const COPIES: u16 = 3;

/// The brokers that carry events, where there are any.
pub fn broker(of: &cli::Kafka) -> Outcome<Option<Arc<dyn Broker>>> {
    let security = of.security()?;
    let Some(brokers) = of.brokers.clone() else { return Ok(None) };
    let replication = if of.dev { 1 } else { COPIES };
    let prefix = of.prefix.clone();
    let settings = kafka::Settings { brokers, prefix, replication, security };
    Ok(Some(Arc::new(kafka::Kafka::new(settings).context("--kafka")?)))
}

/// Makes the topics that are missing, and refuses those with settings that lose events; how many
/// were made.
pub fn make_topics(shards: u32, of: &cli::Kafka) -> Outcome<usize> {
    let Some(broker) = broker(of)? else { return Ok(0) };
    let mut made = 0;
    for topic in contracts::registry::emitters() {
        made += usize::from(broker.ensure(topic, shards).context("a topic")?);
    }
    Ok(made)
}

/// What `migrate` found or made.
pub struct Migrated {
    /// Steps that were applied.
    pub applied: usize,
    pub shards: u32,
    /// The database's roles for services, where they were asked for.
    pub roles: Vec<String>,
    /// Topics of which a new life was begun, because the database was put back.
    pub lives: u64,
}

/// Creates or upgrades a database's schema, fixes S, and makes the roles where they are asked for.
pub fn migrate(asked: &cli::Migrate) -> Outcome<Migrated> {
    let (store, mut writer) = open(&Location::Postgres(asked.database.clone()))?;
    let services = unstarted(&store)?;
    let migrations = runtime::migrations(&services);
    let applied = writer.migrate(&migrations).context("the schema cannot be brought up to date")?;
    let topics = topics_of(&services);
    let mut tx = writer.begin().context("the database")?;
    let log =
        eventlog::Log::open(&mut tx, &topics, asked.shards.unwrap_or(1)).context("the log")?;
    let shards = log.shards();
    let lives = if asked.restored { eventlog::restored(&mut tx).context("the log")? } else { 0 };
    tx.commit().context("the database")?;
    if let Some(asked) = asked.shards.filter(|asked| *asked != shards) {
        return Err(Failure::CouldNotRun(format!(
            "this installation has {shards} shards, which cannot be changed to {asked}"
        )));
    }
    let mut roles = Vec::new();
    if asked.roles {
        let all = runtime::roles(&services, &[GATEWAY, SANDBOX]);
        roles = writer.grant(&all).context("the database's roles")?;
    }
    Ok(Migrated { applied, shards, roles, lives })
}
