//! A wire between the rail and a bank that is cut where a test says: before what the rail sends goes on,
//! or after, when the bank's answer is lost.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Where the next connection is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// At which piece of what the rail sends, from 0.
    pub at: usize,
    /// The piece is still delivered, its answer is not.
    pub after: bool,
    /// Instead of being cut it falls silent.
    pub silent: bool,
}

/// How long the bank may work on what was delivered before it is cut off.
const LAST: Duration = Duration::from_millis(60);

struct Wire {
    bank: SocketAddr,
    cut: Mutex<Option<Cut>>,
    /// Pieces of the latest connection.
    pieces: Mutex<usize>,
    /// The cut happened.
    done: watch::Sender<bool>,
    /// Raised to end every connection.
    ended: watch::Sender<u64>,
}

pub struct Proxy {
    pub address: SocketAddr,
    wire: Arc<Wire>,
}

impl Proxy {
    pub fn start(runtime: &tokio::runtime::Handle, bank: SocketAddr) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            bank,
            cut: Mutex::new(None),
            pieces: Mutex::new(0),
            done: watch::Sender::new(false),
            ended: watch::Sender::new(0),
        });
        let shared = Arc::clone(&wire);
        runtime.spawn(async move {
            loop {
                let Ok((rail, _)) = listener.accept().await else { return };
                tokio::spawn(serve(Arc::clone(&shared), rail));
            }
        });
        Self { address, wire }
    }
    /// Ends all connections; the next one is cut so.
    pub fn next(&self, cut: Option<Cut>) {
        *self.wire.cut.lock() = cut;
        self.wire.done.send_replace(false);
        self.wire.ended.send_modify(|count| *count += 1);
    }
    /// Pieces that the rail sent on the latest connection.
    pub fn pieces(&self) -> usize {
        *self.wire.pieces.lock()
    }
    /// Whether the cut happened.
    pub fn was_cut(&self) -> bool {
        *self.wire.done.borrow()
    }
}

async fn serve(wire: Arc<Wire>, mut rail: TcpStream) {
    let mut ended = wire.ended.subscribe();
    ended.mark_unchanged();
    let cut = wire.cut.lock().take();
    *wire.pieces.lock() = 0;
    let Ok(mut bank) = TcpStream::connect(wire.bank).await else { return };
    let (mut up, mut down) = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
    loop {
        tokio::select! {
            biased;
            _ = ended.changed() => return,
            read = rail.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                let piece = {
                    let mut pieces = wire.pieces.lock();
                    *pieces += 1;
                    *pieces - 1
                };
                let here = cut.filter(|cut| cut.at == piece);
                if here.is_none_or(|cut| cut.after) && bank.write_all(&up[..count]).await.is_err() {
                    return;
                }
                if let Some(cut) = here {
                    // What the bank answers is read, and lost.
                    let lost = async { while !matches!(bank.read(&mut down).await, Ok(0) | Err(_)) {} };
                    if cut.after {
                        let _ = tokio::time::timeout(LAST, lost).await;
                    }
                    wire.done.send_replace(true);
                    if cut.silent {
                        let _ = ended.changed().await;
                    }
                    return;
                }
            }
            read = bank.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if rail.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
