//! Answers that come later: posted to the sender, again and again until it says 2xx.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::booking::Booking;
use crate::books::State;
use crate::wire::Direction;

/// First and longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Where later answers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// `127.0.0.1:8080`, for the connection and the Host header.
    authority: String,
    path: String,
}

impl Target {
    /// `http://HOST[:PORT][/PATH]`; nothing else is spoken here.
    pub(super) fn parse(url: &str) -> io::Result<Self> {
        let error = || {
            let message = format!("the callback must be http://HOST:PORT/PATH, not {url}");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        };
        let rest = url.strip_prefix("http://").ok_or_else(error)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || authority.contains('@') || !plain(authority) || !plain(path) {
            return Err(error());
        }
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(Self { authority, path })
    }

    /// One attempt; `Ok` with the status code of the answer.
    async fn post(&self, body: &[u8]) -> io::Result<u16> {
        let mut stream = TcpStream::connect(&self.authority).await?;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/xml\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.path,
            self.authority,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let mut answer = Vec::with_capacity(256);
        while !answer.contains(&b'\n') && answer.len() < 1024 {
            if stream.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        let error = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
        let line = std::str::from_utf8(answer.split(|byte| *byte == b'\r').next().unwrap_or(&[]));
        let code = line.ok().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
        code.ok_or_else(error)
    }
}

/// Posts a message until a 2xx comes or the participant stops; `true` if it was taken.
pub(super) async fn tell(shared: &Shared, body: &[u8]) -> bool {
    let Some(target) = &shared.callback else { return false };
    let mut stop = shared.stop.subscribe();
    let mut pause = PAUSES.0;
    loop {
        if *stop.borrow_and_update() {
            return false;
        }
        shared.kept(Direction::Sent, body);
        match tokio::time::timeout(shared.timings.callback, target.post(body)).await {
            Ok(Ok(200..=299)) => return true,
            Ok(Ok(code)) => tracing::info!(code, "a later answer was not taken"),
            Ok(Err(error)) => tracing::info!(%error, "a later answer was not delivered"),
            Err(_) => tracing::info!("a later answer was not taken in time"),
        }
        tokio::select! {
            biased;
            _ = stop.changed() => return false,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES.1),
        }
    }
}

/// Sends a message once more, in a task of its own.
pub(super) fn tell_later(shared: &Arc<Shared>, body: Vec<u8>) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move { tell(&shared, &body).await });
}

/// Finishes a pending payment after its time, and tells the sender; a task of its own. Of a payment
/// that is finished only the telling is left.
pub(super) fn finish_later(shared: &Arc<Shared>, booking: Booking) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let mut booking = booking;
        if booking.state == State::Pending {
            let mut stop = shared.stop.subscribe();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(shared.timings.final_after) => {}
            }
            booking = booking.finished(shared.now());
            if shared.desk.rebook(&booking).await.is_err() {
                return;
            }
        }
        let Ok(report) = booking.report() else { return };
        if tell(&shared, &report).await {
            let told = Booking { owed: false, ..booking };
            if shared.desk.rebook(&told).await.is_err() {
                tracing::warn!(message_id = told.message_id, "told, and not noted");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target = Target::parse("http://127.0.0.1:8080/rails/rtp/messages").unwrap();
        assert_eq!(target.authority, "127.0.0.1:8080");
        assert_eq!(target.path, "/rails/rtp/messages");
        assert_eq!(Target::parse("http://host").unwrap().authority, "host:80");
        for bad in ["https://a/", "http:///x", "a", "http://a b/", "http://u@h/", "http://a/\r\nx"]
        {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
