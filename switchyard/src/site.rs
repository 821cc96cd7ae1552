//! A running site: store, services, counterparties and listener in one process, from start to stop.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use runtime::{Clock, Running};
use store::Location;
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

use crate::{
    cli, compose,
    counterparties::Counterparties,
    exit::{Context, Outcome},
    first_start::{self, Credentials},
    listen, open_files,
    routes::Routes,
};

/// How a site runs.
pub struct Options {
    pub location: Location,
    /// Where the process's own files are; the data directory on the embedded engine.
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub run: cli::Run,
    /// S of a new installation.
    pub shards: u32,
}

/// A running site.
pub struct Site {
    tokio: Runtime,
    running: Option<Running>,
    counterparties: Option<Arc<Counterparties>>,
    listener: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
    pub credentials: Credentials,
    pub data: PathBuf,
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
        let counterparties = if options.run.sandbox {
            let callback = format!("{url}/rails/rtp/messages");
            let start = Counterparties::start(&options.data, &options.run, &clock, callback);
            Some(Arc::new(tokio.block_on(start)?))
        } else {
            None
        };
        let plan = compose::Plan {
            directory: options.data.clone(),
            sandbox: options.run.sandbox,
            fast: options.run.pace == cli::Pace::Fast,
            send_micro_deposits: options.run.send_micro_deposits,
            shards: options.shards,
            rtp_participant: counterparties.as_ref().map(|theirs| theirs.rtp_url()),
            card_host: counterparties.as_ref().map(|theirs| theirs.card_address()),
            card_settlements: counterparties.as_ref().map(|theirs| theirs.card_settlements()),
            ach: counterparties.as_ref().and_then(|theirs| theirs.bank()),
            clock: clock.clone(),
        };
        let running = {
            let _context = tokio.enter();
            compose::start(opened, &plan)?
        };
        let (stop, stopping) = tokio.block_on(async { listen::stop_on_signal() })?;
        let mut site = Self {
            credentials: tokio.block_on(first_start::ensure(
                &running.platform,
                &running.public,
                &options.data,
                &url,
                !options.run.send_micro_deposits,
            ))?,
            tokio,
            counterparties,
            listener: None,
            stop,
            stopping,
            data: options.data,
            running: None,
        };
        site.listen(bound, running, clock.machine().0.cast_unsigned());
        Ok(site)
    }

    fn listen(&mut self, bound: listen::Bound, running: Running, process: u64) {
        let routes = Routes::new(
            running.platform.clone(),
            running.public.clone(),
            self.counterparties.clone(),
            process,
        );
        let serving = listen::serve(bound, Arc::new(routes), self.stopping.clone());
        // All that wait are accepted at once: one that the kernel drops comes back a second later.
        self.listener = Some(self.tokio.spawn(tokio::task::unconstrained(serving)));
        self.running = Some(running);
    }

    /// The runtime in which the site runs.
    pub fn tokio(&self) -> &Runtime {
        &self.tokio
    }

    /// Waits until a signal asks to stop.
    pub fn wait(&self) {
        let mut stopping = self.stopping.clone();
        self.tokio.block_on(async {
            let _ = stopping.wait_for(|stop| *stop).await;
        });
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
        self.tokio.shutdown_timeout(std::time::Duration::from_secs(5));
    }
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
