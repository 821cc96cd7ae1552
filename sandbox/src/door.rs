//! The door of a counterparty: who may connect, and when nobody listens.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const BACKLOG: u32 = 1024;

/// Whether the door is open. While it is not, connections are refused. Clones are the same door.
#[derive(Clone)]
pub(crate) struct Gate {
    closed_until: watch::Sender<Option<Instant>>,
    /// Counts closings: open connections end then, after the answer that they wait for.
    closings: watch::Sender<u64>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { closed_until: watch::Sender::new(None), closings: watch::Sender::new(0) }
    }

    /// Refuses connections for a while from now.
    pub(crate) fn close_for(&self, duration: Duration) {
        self.closed_until.send_replace(Some(Instant::now() + duration));
    }

    /// As [`Gate::close_for`], and returns when nobody listens any more (or after a second).
    pub(crate) async fn closed_for(&self, duration: Duration) {
        let mut closings = self.closings.subscribe();
        let was_closed = self.closed_until.borrow().is_some_and(|until| until > Instant::now());
        self.close_for(duration);
        if !was_closed
            && tokio::time::timeout(Duration::from_secs(1), closings.changed()).await.is_err()
        {
            tracing::warn!("the door is slow to close");
        }
    }

    /// Refuses them no longer.
    pub(crate) fn open(&self) {
        self.closed_until.send_replace(None);
    }

    /// Tells an open connection when the door closes.
    pub(crate) fn closings(&self) -> watch::Receiver<u64> {
        self.closings.subscribe()
    }

    /// Accepts connections and serves each in a task of its own, until `stop` says true. The door
    /// is watched from the call on, so that no fault is missed that is set before the first poll.
    pub(crate) fn keep<S, F>(
        self,
        listener: TcpListener,
        stop: watch::Receiver<bool>,
        serve: S,
    ) -> impl Future<Output = ()> + Send
    where
        S: Fn(TcpStream) -> F + Send,
        F: Future<Output = ()> + Send + 'static,
    {
        let closed = self.closed_until.subscribe();
        accept(self, listener, closed, stop, serve)
    }
}

/// Binds an address and listens.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

/// Takes an address without listening: who connects is refused.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// What the accepting task waits for.
enum Next {
    Stop,
    DoorMoved,
    Connection(io::Result<TcpStream>),
}

async fn accept<S, F>(
    gate: Gate,
    listener: TcpListener,
    mut closed: watch::Receiver<Option<Instant>>,
    mut stop: watch::Receiver<bool>,
    serve: S,
) where
    S: Fn(TcpStream) -> F + Send,
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(address) = listener.local_addr() else { return };
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    while let Some(door) = listener.take() {
        // Connections that ended are let go.
        while connections.try_join_next().is_some() {}
        let next = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Next::Stop,
            _ = closed.changed() => Next::DoorMoved,
            accepted = door.accept() => Next::Connection(accepted.map(|(stream, _)| stream)),
        };
        match next {
            Next::Stop => break,
            Next::DoorMoved if closed.borrow_and_update().is_some() => {
                // Who connected before the door closed is served.
                while let Ok(Ok((stream, _))) =
                    tokio::time::timeout(Duration::ZERO, door.accept()).await
                {
                    connections.spawn(serve(stream));
                }
                drop(door);
                let socket = bind(address);
                gate.closings.send_modify(|count| *count += 1);
                let stopped = tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => true,
                    () = until_open(&mut closed) => false,
                };
                if !stopped {
                    listener = reopen(address, socket).await;
                }
                continue;
            }
            Next::DoorMoved => {}
            Next::Connection(Ok(stream)) => {
                connections.spawn(serve(stream));
            }
            Next::Connection(Err(error)) => {
                // Out of descriptors, most likely: wait for some to be free.
                tracing::warn!(%error, "accepting a connection failed");
                sleep(Duration::from_millis(50)).await;
            }
        }
        listener = Some(door);
    }
    connections.shutdown().await;
}

/// Waits until the time to which the door is closed, which may be moved meanwhile.
async fn until_open(closed: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let Some(until) = *closed.borrow_and_update() else { return };
        tokio::select! {
            biased;
            changed = closed.changed() => if changed.is_err() { return },
            () = sleep_until(until) => return,
        }
    }
}

/// Listens on the socket that kept the address, or on a new one as soon as it can be had.
async fn reopen(address: SocketAddr, socket: io::Result<TcpSocket>) -> Option<TcpListener> {
    let mut socket = socket;
    loop {
        match socket.and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::warn!(%error, %address, "listening again failed"),
        }
        sleep(Duration::from_millis(100)).await;
        socket = bind(address);
    }
}
