//! A running site: store, services, counterparties and listener in one process, from start to stop.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use runtime::{Clock, PeerKey, Running};
use store::Location;
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

use crate::{
    cli, compose,
    counterparties::{Addresses, Counterparties},
    exit::{Context, Failure, Outcome},
    first_start::{self, Credentials},
    listen, open_files,
    routes::Routes,
};

/// The service that knows the platform's own account.
const ACCOUNTS: &str = "accounts";
/// Those that talk to counterparties.
const RAILS: [&str; 3] = ["ach", "card", "rtp"];

/// How often it is looked whether this process can go on.
const LOOK: Duration = Duration::from_secs(1);

/// How a site runs.
pub struct Options {
    pub location: Location,
    /// Where the process's own files are; the data directory on the embedded engine.
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub run: cli::Run,
    /// S of a new installation.
    pub shards: u32,
    pub part: Part,
}

/// What of the platform this process is.
#[derive(Default)]
pub struct Part {
    /// Its services; all where it says none.
    pub only: Option<Vec<String>>,
    /// Whether the counterparties run here.
    pub counterparties: bool,
    /// Where the other roles are, by name.
    pub peers: Vec<(String, String)>,
    pub key: Option<PeerKey>,
    /// Where clients reach the platform, if not here.
    pub base_url: Option<String>,
    /// What carries events between processes, where that is not the database.
    pub broker: Option<Arc<dyn eventlog::broker::Broker>>,
}

impl Part {
    /// Everything, with the counterparties or without.
    pub fn whole(counterparties: bool) -> Self {
        Self { counterparties, ..Self::default() }
    }
    fn runs(&self, service: &str) -> bool {
        compose::has(&self.only, service)
    }
    /// Where another role is reached.
    fn peer(&self, role: &str) -> Option<&str> {
        self.peers.iter().find(|(name, _)| name == role).map(|(_, url)| url.as_str())
    }
}

/// A running site.
pub struct Site {
    tokio: Runtime,
    running: Option<Running>,
    counterparties: Option<Arc<Counterparties>>,
    listener: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
    /// Of the first start; where accounts run in another process, it knows them.
    pub credentials: Option<Credentials>,
    pub data: PathBuf,
    /// Where this process listens.
    pub url: String,
}

impl Site {
    /// Starts everything; returns once it answers. On a thread that is not tokio's.
    pub fn start(options: Options) -> Outcome<Self> {
        open_files::raise_limit();
        let clock = Clock::system();
        let tokio = threads(options.run.workers).context("the process has no threads")?;
        // The lock on the data comes first: nothing else is touched beside another server.
        let opened = compose::open(&options.location)?;
        std::fs::create_dir_all(&options.data).context(options.data.display())?;
        let bound = tokio.block_on(listen::bind(options.listen))?;
        let url = format!("http://{}", reachable(bound.address));
        let part = &options.part;
        let counterparties = if part.counterparties {
            let callback = format!("{}/rails/rtp/messages", part.peer("rtp").unwrap_or(&url));
            // Rails in other processes may be on other machines.
            let at = match part.only {
                Some(_) => reachable(bound.address).ip(),
                None => Ipv4Addr::LOCALHOST.into(),
            };
            let start = Counterparties::start(&options.data, &options.run, &clock, at, callback);
            Some(Arc::new(tokio.block_on(start)?))
        } else {
            None
        };
        let addresses = match &counterparties {
            Some(theirs) => Some(theirs.addresses()),
            None if options.run.sandbox && RAILS.iter().any(|rail| part.runs(rail)) => {
                Some(Addresses::wait_for(&options.data)?)
            }
            None => None,
        };
        if let (Some(addresses), true) = (&addresses, part.counterparties && part.only.is_some()) {
            addresses.save(&options.data)?;
        }
        let plan = plan(&options, addresses.as_ref(), (&opened.0, &clock))?;
        let running = {
            let _context = tokio.enter();
            compose::start(opened, &plan)?
        };
        let (stop, stopping) = tokio.block_on(async { listen::stop_on_signal() })?;
        let credentials = if part.runs(ACCOUNTS) {
            let base_url = part.base_url.as_deref().unwrap_or(&url);
            let verifies = !options.run.send_micro_deposits;
            let ensured = first_start::ensure(&running, &options.data, base_url, verifies);
            Some(tokio.block_on(ensured)?)
        } else {
            None
        };
        let routes = Routes::new(
            &running,
            counterparties.clone(),
            part.peer("sandbox").is_some(),
            (part.key.clone(), clock.machine().0.cast_unsigned()),
        );
        let mut site = Self {
            credentials,
            tokio,
            counterparties,
            listener: None,
            stop,
            stopping,
            data: options.data,
            running: Some(running),
            url,
        };
        site.listen(bound, routes);
        Ok(site)
    }

    fn listen(&mut self, bound: listen::Bound, routes: Routes) {
        let serving = listen::serve(bound, Arc::new(routes), self.stopping.clone());
        // All that wait are accepted at once: one that the kernel drops comes back a second later.
        self.listener = Some(self.tokio.spawn(tokio::task::unconstrained(serving)));
    }

    /// The runtime in which the site runs.
    pub fn tokio(&self) -> &Runtime {
        &self.tokio
    }

    /// Waits until a signal asks to stop, or until there is nothing more that this process can do:
    /// then it fails, for whoever watches over it to start it again.
    pub fn wait(&self) -> Outcome {
        let mut stopping = self.stopping.clone();
        self.tokio.block_on(async {
            loop {
                let stopped = stopping.wait_for(|stop| *stop);
                if tokio::time::timeout(LOOK, stopped).await.is_ok() {
                    return Ok(());
                }
                self.can_go_on()?;
            }
        })
    }

    fn can_go_on(&self) -> Outcome {
        let Some(running) = &self.running else { return Ok(()) };
        if running.platform.store().is_replaced() {
            return Err(Failure::could_not(store::Error::Replaced));
        }
        if !running.platform.is_writing() {
            return Err(Failure::could_not(
                "the writer ended, as the log says; start the process again",
            ));
        }
        Ok(())
    }

    /// Stops in order: no new connections, what is under way ends, then writer and counterparties.
    pub fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(running) = &self.running {
            running.drain();
        }
        if let Some(listener) = self.listener.take() {
            let _ = self.tokio.block_on(listener);
        }
        if let Some(running) = self.running.take() {
            self.tokio.block_on(running.stop());
        }
        if let Some(theirs) = self.counterparties.take().and_then(Arc::into_inner) {
            self.tokio.block_on(theirs.stop());
        }
        // Tasks that hold the store end with the runtime, on this thread, which is not tokio's.
        self.tokio.shutdown_timeout(Duration::from_secs(5));
    }
}

/// What is to run where, as it was asked for.
fn plan(
    options: &Options,
    addresses: Option<&Addresses>,
    (store, clock): (&store::Store, &Clock),
) -> Outcome<compose::Plan> {
    let part = &options.part;
    let ach = addresses.map(|theirs| theirs.bank(&options.data)).transpose()?.flatten();
    Ok(compose::Plan {
        directory: options.data.clone(),
        sandbox: options.run.sandbox,
        fast: options.run.pace == cli::Pace::Fast,
        send_micro_deposits: options.run.send_micro_deposits,
        shards: options.shards,
        rtp_participant: addresses.map(Addresses::rtp_url),
        card_host: addresses.map(|theirs| theirs.card.to_string()),
        card_settlements: addresses.map(|theirs| theirs.card_settlements.clone()),
        ach,
        clock: clock.clone(),
        only: part.only.clone(),
        elsewhere: runtime::Elsewhere {
            broker: part.broker.clone(),
            ..compose::elsewhere(store, &part.peers, part.key.clone())?
        },
    })
}

/// The runtime of HTTP and the counterparties. One thread keeps strict order of what is ready to
/// run; several keep 256 tasks each in order and let the rest wait for a pause, which under a burst
/// never comes.
fn threads(count: u16) -> std::io::Result<Runtime> {
    if count > 1 {
        let mut several = tokio::runtime::Builder::new_multi_thread();
        return several.worker_threads(usize::from(count)).enable_all().build();
    }
    let mut one = tokio::runtime::Builder::new_current_thread();
    // What the writer wakes comes from outside of the thread: answers get every third look.
    one.global_queue_interval(3).enable_all().build()
}

/// The address under which a listener on all interfaces is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: std::net::IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}
