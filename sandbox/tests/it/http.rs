//! A small HTTP client and a small receiver of callbacks.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server said that it closes.
    pub close: bool,
}

/// One connection, kept open.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await? })
    }

    pub async fn post(&mut self, body: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "POST /messages HTTP/1.1\r\nhost: sandbox\r\ncontent-type: application/xml\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).await?;
        read(&mut self.stream).await
    }

    /// Whether the server closed (or reset) the connection within a while.
    pub async fn closed(&mut self, within: Duration) -> bool {
        let mut byte = [0; 1];
        matches!(timeout(within, self.stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }
}

/// One request on a connection of its own.
pub async fn post(address: SocketAddr, body: &[u8]) -> io::Result<Answer> {
    Client::connect(address).await?.post(body).await
}

/// As [`post`], given up after a while: `None`.
pub async fn try_post(address: SocketAddr, body: &[u8], within: Duration) -> Option<Answer> {
    timeout(within, post(address, body)).await.ok().map(|answer| answer.unwrap())
}

async fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(name))?;
        Some(line[name.len()..].trim_start_matches(':').trim().to_owned())
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head[9..12].parse().unwrap();
    Ok(Answer { status, body, close: header("connection").as_deref() == Some("close") })
}

/// Takes callbacks; answers with the scripted statuses, then 200.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    script: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            bodies: Arc::default(),
            script: Arc::default(),
        };
        let taking = receiver.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = request(&mut stream).await;
                taking.bodies.lock().unwrap().push(body);
                let status = taking.script.lock().unwrap().pop_front().unwrap_or(200);
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        receiver
    }

    pub fn answer_with(&self, statuses: &[u16]) {
        self.script.lock().unwrap().extend(statuses);
    }

    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap().clone()
    }

    /// Waits until so many callbacks came.
    pub async fn wait_for(&self, count: usize) -> Vec<Vec<u8>> {
        for _ in 0..500 {
            if self.bodies().len() >= count {
                return self.bodies();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} callbacks came, not {count}", self.bodies().len());
    }
}

async fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            assert!(head.starts_with("POST /rails/rtp/messages HTTP/1.1\r\n"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            while bytes.len() < at + 4 + length {
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
            }
            return bytes.split_off(at + 4);
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return bytes;
        }
    }
}
