//! The bank's listener: who is let in, who is refused, and connections that are cut.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Shared, ssh};
use crate::fault::Fault;

const BACKLOG: u32 = 128;
/// Bytes on their way between a socket and SSH.
const BUFFER: usize = 256 * 1024;
/// How long the answers under way have to leave before an open connection is closed with the door.
const GRACE: Duration = Duration::from_millis(100);

/// Whether the door is open. While it is not, connections are refused.
pub(super) struct Gate(watch::Sender<Option<Instant>>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Refuses connections for a while from now, and closes those that are open.
    pub(super) fn close_for(&self, duration: Duration) {
        self.0.send_replace(Some(Instant::now() + duration));
    }

    /// Refuses them no longer.
    pub(super) fn open(&self) {
        self.0.send_replace(None);
    }
}

/// Takes an address without listening: who connects is refused.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Binds an address and listens.
pub(super) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

/// What the door waits for.
enum Next {
    Stop,
    Moved,
    Connection(io::Result<TcpStream>),
}

/// Lets clients in until the bank stops; then all connections are cut.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    let mut stop = shared.stop.subscribe();
    let mut closed = shared.gate.0.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    // A gate that was closed before this task ran is seen as a change.
    closed.mark_changed();
    while let Some(door) = listener.take() {
        while connections.try_join_next().is_some() {}
        let next = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Next::Stop,
            _ = closed.changed() => Next::Moved,
            accepted = door.accept() => Next::Connection(accepted.map(|(stream, _)| stream)),
        };
        match next {
            Next::Stop => break,
            Next::Moved if closed.borrow_and_update().is_some() => {
                drop(door);
                let socket = bind(address);
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => break,
                    () = until_open(&mut closed) => {}
                }
                listener = Some(reopen(address, socket).await);
                continue;
            }
            Next::Moved => {}
            Next::Connection(Ok(stream)) => {
                connections.spawn(serve(Arc::clone(&shared), stream));
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
async fn reopen(address: SocketAddr, socket: io::Result<TcpSocket>) -> TcpListener {
    let mut socket = socket;
    loop {
        match socket.and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => return listener,
            Err(error) => tracing::warn!(%error, %address, "listening again failed"),
        }
        sleep(Duration::from_millis(100)).await;
        socket = bind(address);
    }
}

/// One connection. SSH runs on one end of a pipe and the socket is at the other, so that a
/// connection can be cut between two bytes: what is in the pipe then is lost.
async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let at_the_door =
        |fault| matches!(fault, Fault::Refuse | Fault::HalfOpen | Fault::WrongHostKey);
    let fault = shared.faults.take(at_the_door);
    match fault {
        Some(Fault::Refuse) => {
            // A close with no lingering is a reset.
            if let Err(error) = stream.set_zero_linger() {
                tracing::warn!(%error, "a connection was closed, not reset");
            }
            return;
        }
        Some(Fault::HalfOpen) => return shared.hold().await,
        _ => {}
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (mut ours, theirs) = tokio::io::duplex(BUFFER);
    let cut = watch::Sender::new(false);
    let mut cut_now = cut.subscribe();
    let mut closed = shared.gate.0.subscribe();
    let wrong_key = fault == Some(Fault::WrongHostKey);
    let session = tokio::spawn(ssh::serve(Arc::clone(&shared), theirs, cut, wrong_key));
    tokio::select! {
        biased;
        _ = cut_now.wait_for(|cut| *cut) => {}
        _ = closing(&mut closed) => {}
        copied = tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut ours, BUFFER, BUFFER) => {
            if let Err(error) = copied {
                tracing::debug!(%error, "a connection ended");
            }
        }
    }
    // Who cut the connection goes on when it is gone.
    drop((stream, ours, cut_now));
    if session.await.is_err() {
        tracing::error!("a session panicked");
    }
}

/// Waits until the door closes, and the time after it that answers have to leave.
async fn closing(closed: &mut watch::Receiver<Option<Instant>>) {
    loop {
        if closed.changed().await.is_err() {
            return std::future::pending().await;
        }
        if closed.borrow_and_update().is_some_and(|until| until > Instant::now()) {
            return sleep(GRACE).await;
        }
    }
}
