//! `--keep-wire`: every message received and sent, byte for byte: a file each, or a line each.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc;

/// Keeps messages of one rail; does nothing if it was made without a directory.
#[derive(Debug)]
pub(crate) struct Wire {
    sender: Option<mpsc::SyncSender<Kept>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// One message.
#[derive(Debug)]
struct Kept {
    time: String,
    direction: Direction,
    bytes: Vec<u8>,
}

/// As the counterparty sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Received,
    Sent,
}

impl Wire {
    pub(crate) fn off() -> Self {
        Self { sender: None, thread: None }
    }

    /// Writes `dir/00000001-received.xml` and so on, after the files that are there.
    pub(crate) fn into(dir: &Path, extension: &'static str) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut number = 0;
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.split('-').next());
            number = number.max(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0));
        }
        let dir = dir.to_owned();
        Self::start(move |receiver| keep_files(&dir, extension, number, &receiver))
    }

    /// Appends `{"time", "direction", "hex"}` to a file, a line a message.
    pub(crate) fn lines(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Self::start(move |receiver| keep_lines(file, &receiver))
    }

    fn start(work: impl FnOnce(mpsc::Receiver<Kept>) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(1024);
        let thread = std::thread::Builder::new()
            .name("sandbox-wire".to_owned())
            .spawn(move || work(receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Keeps one message of a time. Waits if the disk does not keep up.
    pub(crate) fn keep(&self, time: impl FnOnce() -> String, direction: Direction, bytes: &[u8]) {
        let Some(sender) = &self.sender else { return };
        let kept = Kept { time: time(), direction, bytes: bytes.to_vec() };
        if sender.send(kept).is_err() {
            tracing::warn!("a message was not kept: the writer ended");
        }
    }

    pub(crate) fn close(mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the wire's thread panicked");
        }
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Sent => "sent",
        }
    }
}

fn keep_files(dir: &Path, extension: &str, mut number: u64, receiver: &mpsc::Receiver<Kept>) {
    while let Ok(Kept { direction, bytes, .. }) = receiver.recv() {
        number += 1;
        let path = dir.join(format!("{number:08}-{}.{extension}", direction.name()));
        if let Err(error) = std::fs::write(&path, bytes) {
            tracing::warn!(%error, path = %path.display(), "a message was not kept");
        }
    }
}

fn keep_lines(mut file: File, receiver: &mpsc::Receiver<Kept>) {
    while let Ok(Kept { time, direction, bytes }) = receiver.recv() {
        let mut hex = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(hex, "{byte:02x}").expect("a String takes everything");
        }
        let direction = direction.name();
        let line = serde_json::json!({ "time": time, "direction": direction, "hex": hex });
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "a message was not kept");
        }
    }
}
