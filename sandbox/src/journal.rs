//! An append-only file of JSON lines. A line is durable when `append` returns; lines that wait at
//! the same time share one fsync.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

/// Most lines of one fsync.
const BATCH: usize = 1024;

/// A journal that is open for writing; one process at a time (file lock).
#[derive(Debug)]
pub(crate) struct Journal {
    sender: mpsc::Sender<Append>,
    thread: std::thread::JoinHandle<()>,
    reader: File,
    path: PathBuf,
}

/// Where a line stands, its line end not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u64,
    length: u32,
}

/// The journal could not be written; it takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwritable;

#[derive(Debug)]
struct Append {
    line: Vec<u8>,
    durable: oneshot::Sender<Place>,
}

impl Journal {
    /// Opens or creates the file, hands every line to `each` (which may say that it is damaged), and
    /// starts the writer. A last line that is torn (no line end, or damaged) is cut off; damage
    /// before it is an error.
    pub(crate) fn open(
        path: &Path,
        each: impl FnMut(Place, &[u8]) -> Result<(), String>,
    ) -> io::Result<Self> {
        let new = !path.exists();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|_| {
            let message = format!("{} is in use by another process", path.display());
            io::Error::new(io::ErrorKind::ResourceBusy, message)
        })?;
        if new && let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        let end = replay(path, &file, each)?;
        if file.metadata()?.len() > end {
            tracing::warn!(path = %path.display(), end, "cutting a torn last line");
            file.set_len(end)?;
            file.sync_all()?;
        }
        let reader = File::open(path)?;
        let (sender, receiver) = mpsc::channel(4 * BATCH);
        let thread =
            std::thread::Builder::new().name("sandbox-journal".to_owned()).spawn(move || {
                write_all(&file, end, receiver);
                // Closing does not free the file while a process that was just forked has it too.
                if let Err(error) = file.unlock() {
                    tracing::warn!(%error, "the books stay locked until this process ends");
                }
            })?;
        Ok(Self { sender, thread, reader, path: path.to_owned() })
    }

    /// Appends one line (without line end) and returns when it is on disk.
    pub(crate) async fn append(&self, line: Vec<u8>) -> Result<Place, Unwritable> {
        assert!(!line.contains(&b'\n'), "one line");
        let (durable, done) = oneshot::channel();
        self.sender.send(Append { line, durable }).await.map_err(|_| Unwritable)?;
        done.await.map_err(|_| Unwritable)
    }

    /// Reads a line that is durable.
    pub(crate) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut line = vec![0; place.length as usize];
        self.reader.read_exact_at(&mut line, place.offset)?;
        Ok(line)
    }

    /// Where the file is, for one who reads it from its begin.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the writer after what is under way.
    pub(crate) fn close(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            tracing::error!("the journal's thread panicked");
        }
    }
}

/// Hands over every whole line of a journal. What a writer is just appending may be left out.
pub(crate) fn read_lines(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let Some(whole) = line.strip_suffix(b"\n") else { break };
        each(whole);
        line.clear();
    }
    Ok(())
}

/// Reads all lines; returns where the last good one ends.
fn replay(
    path: &Path,
    file: &File,
    mut each: impl FnMut(Place, &[u8]) -> Result<(), String>,
) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    let mut end = 0;
    let mut damage: Option<String> = None;
    while reader.read_until(b'\n', &mut line)? > 0 {
        if let Some(damage) = damage {
            let message = format!("{}: damaged at byte {end}: {damage}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        match line.strip_suffix(b"\n") {
            None => damage = Some("no line end".to_owned()),
            Some(whole) => {
                let length = u32::try_from(whole.len()).map_err(io::Error::other)?;
                match each(Place { offset: end, length }, whole) {
                    Ok(()) => end += u64::from(length) + 1,
                    Err(message) => damage = Some(message),
                }
            }
        }
        line.clear();
    }
    Ok(end)
}

/// The writer: takes what waits, writes it, syncs once, tells all. An error ends it, and with it
/// every later append: what is on disk is then unknown.
fn write_all(file: &File, mut end: u64, mut receiver: mpsc::Receiver<Append>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = Vec::new();
    while receiver.blocking_recv_many(&mut batch, BATCH) > 0 {
        bytes.clear();
        let begin = end;
        let mut told = Vec::with_capacity(batch.len());
        for append in batch.drain(..) {
            let length =
                u32::try_from(append.line.len()).expect("lines come from bounded messages");
            told.push((append.durable, Place { offset: end, length }));
            bytes.extend_from_slice(&append.line);
            bytes.push(b'\n');
            end += u64::from(length) + 1;
        }
        if let Err(error) = file.write_all_at(&bytes, begin).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "the books cannot be written; nothing is taken any more");
            return;
        }
        for (durable, place) in told {
            // A client that went away does not want to know; its payment is booked all the same.
            let _ = durable.send(place);
        }
    }
}

/// A file of lines that need not be durable, of bounded size.
#[derive(Debug)]
pub(crate) struct Notes {
    file: File,
    room: u64,
}

impl Notes {
    /// Opens for appending; nothing more is written when the file has `limit` bytes.
    pub(crate) fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let room = limit.saturating_sub(file.metadata()?.len());
        Ok(Self { file, room })
    }

    pub(crate) fn append(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        let length = line.len() as u64;
        if length > self.room {
            return;
        }
        self.room -= length;
        if let Err(error) = self.file.write_all(&line) {
            tracing::warn!(%error, "a note was not written");
            self.room = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(path: &Path) -> io::Result<(Journal, Vec<String>)> {
        let mut lines = Vec::new();
        let journal = Journal::open(path, |_, line| {
            let text = String::from_utf8(line.to_vec()).map_err(|error| error.to_string())?;
            if text.starts_with('!') {
                return Err("marked".to_owned());
            }
            lines.push(text);
            Ok(())
        })?;
        Ok((journal, lines))
    }

    #[tokio::test]
    async fn lines_survive_and_a_torn_last_one_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let (journal, lines) = collect(&path).unwrap();
        assert!(lines.is_empty());
        let first = journal.append(b"one".to_vec()).await.unwrap();
        let second = journal.append(b"two".to_vec()).await.unwrap();
        assert_eq!(journal.read(first).unwrap(), b"one");
        assert_eq!(journal.read(second).unwrap(), b"two");
        assert_eq!(collect(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        journal.close();
        for torn in ["thr", "!three\n"] {
            OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(torn.as_bytes())
                .unwrap();
            let (journal, lines) = collect(&path).unwrap();
            assert_eq!(lines, ["one", "two"]);
            journal.close();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        }
        std::fs::write(&path, "one\n!bad\nthree\n").unwrap();
        assert_eq!(collect(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    /// Whoever starts a process lends it, from fork to exec, every file that is open here.
    #[test]
    fn a_closed_journal_is_free_while_processes_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        assert!(std::process::Command::new("true").status().unwrap().success());
                    }
                });
            }
            let opened =
                (0..2000).try_for_each(|_| collect(&path).map(|(journal, _)| journal.close()));
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            opened.unwrap();
        });
    }
}
