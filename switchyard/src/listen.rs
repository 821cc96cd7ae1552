//! The public listener: HTTP/1.1 over TCP, bounded in connections, head size and time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, Semaphore, watch},
};

use crate::{
    exit::{Context, Outcome},
    routes::Routes,
};

/// Connections at once; more wait in the listen queue.
const CONNECTIONS_MOST: usize = 10_000;
/// Connections that may wait to be accepted, where the system allows as many (`somaxconn`). One too
/// many is silently dropped and tried again by its client a second later.
const BACKLOG: u32 = 8_192;
/// A head that takes longer is a slow attack; an idle connection is closed after it too.
const HEAD_SECONDS_MOST: u64 = 10;
/// The most bytes of a request's head.
const HEAD_BYTES_MOST: usize = 32 * 1024;
/// What is under way when a stop is asked for has this long.
const STOP_SECONDS_MOST: u64 = 10;

/// A bound socket that is not served yet.
pub struct Bound {
    listener: TcpListener,
    /// The address with its real port.
    pub address: SocketAddr,
}

/// Binds the address; the text says what to do where that fails.
pub async fn bind(address: SocketAddr) -> Outcome<Bound> {
    let listener = socket(address).context(format!(
        "cannot listen on {address} (choose another with --listen, port 0 takes a free one)"
    ))?;
    let address = listener.local_addr().context("the listener has no address")?;
    Ok(Bound { listener, address })
}

fn socket(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[derive(Default)]
struct Open {
    count: AtomicUsize,
    closed: Notify,
}

struct OpenConnection(Arc<Open>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}

/// Serves until `stop` turns true, then lets requests under way end, for ten seconds at most.
pub async fn serve(bound: Bound, routes: Arc<Routes>, mut stop: watch::Receiver<bool>) {
    let open = Arc::new(Open::default());
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MOST));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = bound.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, or a connection that died in the queue: neither is fatal.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        open.count.fetch_add(1, Ordering::AcqRel);
        let guard = (OpenConnection(Arc::clone(&open)), permit);
        tokio::spawn(connection(stream, Arc::clone(&routes), stop.clone(), guard));
    }
    drop(bound);
    let closed = async {
        loop {
            let closed = open.closed.notified();
            if open.count.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(STOP_SECONDS_MOST), closed).await.is_err() {
        let count = open.count.load(Ordering::Relaxed);
        tracing::warn!(count, "connections were cut off that did not end in time");
    }
}

async fn connection<G>(
    stream: TcpStream,
    routes: Arc<Routes>,
    mut stop: watch::Receiver<bool>,
    _guard: G,
) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { routes.answer(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MOST))
        .max_buf_size(HEAD_BYTES_MOST)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = stopped => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Turns the receiver true on SIGINT or SIGTERM.
pub fn stop_on_signal() -> Outcome<(watch::Sender<bool>, watch::Receiver<bool>)> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let stop = sender.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests under way are finished");
        let _ = stop.send(true);
    });
    Ok((sender, receiver))
}
