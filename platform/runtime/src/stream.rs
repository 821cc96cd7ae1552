//! Server-sent events: a body that goes on until its sender ends it or its reader goes away.

use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use http_body_util::channel::{Channel, Sender};

/// Events that may wait for a slow reader; then its sender waits.
const WAITING_MOST: usize = 4;
/// How long a reader may take nothing before it is given up.
const READ_MOST: Duration = Duration::from_secs(30);

/// Where events go. Dropped, the body ends.
pub struct EventSender(Sender<Bytes, std::convert::Infallible>);

/// A body of `text/event-stream`, and where its events go.
pub fn event_stream() -> (EventSender, HttpBody) {
    let (sender, body) = Channel::new(WAITING_MOST);
    (EventSender(sender), HttpBody::new(body))
}

impl EventSender {
    /// Sends an event; false where the reader is gone or takes nothing.
    pub async fn send(&mut self, name: &str, data: &str) -> bool {
        let mut text = format!("event: {name}\n");
        for line in data.lines() {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        self.bytes(text).await
    }
    /// Sends what a reader ignores: so a reader that went away is noticed.
    pub async fn keep_alive(&mut self) -> bool {
        self.bytes(": still here\n\n".to_owned()).await
    }
    async fn bytes(&mut self, text: String) -> bool {
        let sent = tokio::time::timeout(READ_MOST, self.0.send_data(Bytes::from(text))).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }
}

/// Reads a stream of events as it comes in: the other end of [`event_stream`].
pub struct EventReader {
    body: HttpBody,
    text: Vec<u8>,
}

/// The most bytes of one event.
const EVENT_BYTES_MOST: usize = 4 * 1024 * 1024;

impl EventReader {
    /// Reads this body.
    pub fn new(body: HttpBody) -> Self {
        Self { body, text: Vec::new() }
    }
    /// The next event's name and data; `None` where the stream has ended or is no such stream.
    pub async fn next(&mut self) -> Option<(String, String)> {
        use http_body_util::BodyExt;
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let one: Vec<u8> = self.text.drain(..end + 2).collect();
                match parsed(&String::from_utf8_lossy(&one)) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            if self.text.len() > EVENT_BYTES_MOST {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            self.text.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}

/// An event of these lines; `None` for a comment.
fn parsed(text: &str) -> Option<(String, String)> {
    let (mut name, mut data) = ("message".to_owned(), Vec::new());
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("event: ") {
            name = value.to_owned();
        } else if let Some(value) = line.strip_prefix("data: ") {
            data.push(value);
        }
    }
    (!data.is_empty()).then(|| (name, data.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_read() {
        let (mut sender, body) = event_stream();
        tokio::spawn(async move {
            assert!(sender.keep_alive().await);
            assert!(sender.send("change", "one\ntwo").await);
            assert!(sender.send("end", "3").await);
        });
        let mut reader = EventReader::new(body);
        assert_eq!(reader.next().await.unwrap(), ("change".to_owned(), "one\ntwo".to_owned()));
        assert_eq!(reader.next().await.unwrap(), ("end".to_owned(), "3".to_owned()));
        assert!(reader.next().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_noticed() {
        let (mut sender, body) = event_stream();
        drop(body);
        assert!(!sender.send("change", "1").await);
    }
}
