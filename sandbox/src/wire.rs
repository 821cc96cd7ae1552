//! `--keep-wire`: every message received and sent, a file each, byte for byte.

use std::io;
use std::path::Path;
use std::sync::mpsc;

/// Keeps messages of one rail; does nothing if it was made without a directory.
#[derive(Debug)]
pub(crate) struct Wire {
    sender: Option<mpsc::SyncSender<(Direction, Vec<u8>)>>,
    thread: Option<std::thread::JoinHandle<()>>,
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
        let (sender, receiver) = mpsc::sync_channel(1024);
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("sandbox-wire".to_owned())
            .spawn(move || keep(&dir, extension, number, &receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Keeps one message. Waits if the disk does not keep up.
    pub(crate) fn keep(&self, direction: Direction, bytes: &[u8]) {
        if let Some(sender) = &self.sender
            && sender.send((direction, bytes.to_vec())).is_err()
        {
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

fn keep(
    dir: &Path,
    extension: &str,
    mut number: u64,
    receiver: &mpsc::Receiver<(Direction, Vec<u8>)>,
) {
    while let Ok((direction, bytes)) = receiver.recv() {
        number += 1;
        let direction = match direction {
            Direction::Received => "received",
            Direction::Sent => "sent",
        };
        let path = dir.join(format!("{number:08}-{direction}.{extension}"));
        if let Err(error) = std::fs::write(&path, bytes) {
            tracing::warn!(%error, path = %path.display(), "a message was not kept");
        }
    }
}
