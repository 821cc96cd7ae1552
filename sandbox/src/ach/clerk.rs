//! The bank's clerk: takes the files that were uploaded, one after the other, acknowledges them, and
//! does what is due: settles, returns, notifies.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nacha::{Code, File, Totals};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::desk::{self, Done, Step, Taken};
use super::table::{Outcome, outcome};
use super::tree::{self, ACK, RETURNED};
use super::{Shared, answers};
use crate::fault::Fault;
use crate::wire::Direction;

/// How often the business clock is looked at while something is due: it can be moved.
const LOOK: Duration = Duration::from_millis(50);
/// After a failure of the disk.
const AGAIN: Duration = Duration::from_secs(1);
/// Errors of a file that an acknowledgement tells.
const TOLD: usize = 20;
/// No NACHA file, as `garbage` delivers one.
const GARBAGE: &[u8] = b"101 not a file \x00\xff of any bank\n6226\n";

/// What an acknowledgement says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledgement<'a> {
    file: &'a str,
    sha256: &'a str,
    accepted: bool,
    reason: Option<&'a str>,
    entry_count: u64,
    total_debit: u64,
    total_credit: u64,
}

/// Works until the bank stops.
pub(super) async fn work(shared: Arc<Shared>, mut uploads: mpsc::Receiver<String>) {
    let mut stop = shared.stop.subscribe();
    loop {
        let due = shared.desk.next_due();
        let next = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Next::Stop,
            name = uploads.recv() => name.map_or(Next::Stop, Next::Upload),
            () = shared.until(due) => Next::Due,
        };
        match next {
            Next::Stop => return,
            Next::Upload(name) => {
                if let Err(error) = shared.take(&name).await {
                    tracing::error!(%error, name, "a file could not be taken");
                }
            }
            Next::Due => {
                if let Err(error) = shared.do_what_is_due().await {
                    tracing::error!(%error, "what is due could not be done");
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

/// What the clerk waits for.
enum Next {
    Stop,
    Upload(String),
    Due,
}

impl Shared {
    /// Waits until a moment of the business clock; for ever, if there is none.
    async fn until(&self, due: Option<i64>) {
        let Some(due) = due else { return std::future::pending().await };
        loop {
            let left = due.saturating_sub(self.now());
            let Ok(left) = u64::try_from(left) else { return };
            if left == 0 {
                return;
            }
            sleep(Duration::from_micros(left).min(LOOK)).await;
        }
    }

    /// After a start: acknowledgements that were booked and not seen, files that were uploaded and
    /// not judged. One that cannot be made up does not hold up the others.
    pub(super) async fn make_up(self: &Arc<Self>) {
        for number in self.desk.unacknowledged() {
            if let Err(error) = self.acknowledge(number).await {
                tracing::error!(%error, number, "an acknowledgement could not be made up");
            }
        }
        let names = self.tree.all_uploaded().unwrap_or_else(|error| {
            tracing::error!(%error, "the uploaded files could not be listed");
            Vec::new()
        });
        for name in names {
            let taken = match self.tree.uploaded(&name) {
                Ok(bytes) if self.desk.knows(&name, &hex(&Sha256::digest(&bytes))) => Ok(()),
                Ok(_) => self.take(&name).await,
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                tracing::error!(%error, name, "a file could not be taken");
            }
        }
    }

    /// Judges an uploaded file, books it, and acknowledges it.
    async fn take(self: &Arc<Self>, name: &str) -> io::Result<()> {
        let bytes = self.tree.uploaded(name)?;
        // A file is kept whole under a name of its own: it needs no time beside it.
        self.wire.keep(String::new, Direction::Received, &bytes);
        let sha256 = hex(&Sha256::digest(&bytes));
        let original = self.originals.join(format!("{sha256}.ach"));
        // Large files take their time: not on a thread that serves others.
        let parsed = tokio::task::spawn_blocking(move || {
            let parsed = nacha::parse(&bytes);
            if parsed.is_ok() {
                tree::write_durably(&original, &bytes)?;
            }
            io::Result::Ok(parsed)
        });
        let parsed = parsed.await.map_err(io::Error::other)??;
        let (taken, away) = self.judge(name, sha256, parsed);
        let number = self.desk.take(&taken).await?;
        tracing::info!(name, accepted = taken.accepted, reason = taken.reason, "an ACH file");
        if self.faults.take(|fault| fault == Fault::Garbage).is_some() {
            self.put(RETURNED, format!("garbage-{number:06}.ach"), GARBAGE.to_vec()).await?;
        }
        if self.faults.take(|fault| fault == Fault::LateReply).is_some() {
            self.acknowledge_late(number);
        } else {
            self.acknowledge(number).await?;
        }
        if away {
            self.gate.close_for(self.timings.refuse_for);
        }
        Ok(())
    }

    /// Whether a file is taken, and whether the bank is away for a while then (9600).
    fn judge(
        &self,
        name: &str,
        sha256: String,
        parsed: Result<File, Vec<nacha::Error>>,
    ) -> (Taken, bool) {
        let now = self.now();
        let mut taken = Taken {
            file: name.to_owned(),
            sha256,
            file_id: None,
            accepted: false,
            reason: None,
            entry_count: 0,
            total_debit: 0,
            total_credit: 0,
            at: now,
            batches: Vec::new(),
        };
        let file = match parsed {
            Ok(file) => file,
            Err(errors) => {
                taken.reason = Some(reason(&errors));
                return (taken, false);
            }
        };
        let totals = Totals::of_file(&file);
        taken.entry_count = file.batches.iter().map(|batch| batch.entries.len() as u64).sum();
        (taken.total_debit, taken.total_credit) = (totals.debit_cents, totals.credit_cents);
        let header = &file.header;
        let id = format!("{} {} {}", header.immediate_origin, header.created, header.modifier);
        let nobody = |batch: &nacha::Batch| batch.header.odfi.routing_number().is_none();
        taken.reason = match self.desk.duplicate(&id, &taken.sha256) {
            Some(duplicate) => Some(duplicate.to_owned()),
            None if file.batches.iter().any(nobody) => {
                Some("a batch whose ODFI is no bank could not be returned".to_owned())
            }
            None => None,
        };
        taken.file_id = Some(id);
        taken.accepted = taken.reason.is_none();
        if taken.accepted {
            taken.batches = desk::batches(&file, now, &self.timings);
        }
        let mut entries = file.batches.iter().flat_map(|batch| &batch.entries);
        let away = entries.any(|entry| {
            let cents = i64::try_from(entry.amount.cents()).unwrap_or(0);
            outcome(cents) == Outcome::SettlesThenAway
        });
        let away = away && taken.accepted;
        (taken, away)
    }

    async fn acknowledge(self: &Arc<Self>, number: usize) -> io::Result<()> {
        let taken = self.desk.taken(number)?;
        let acknowledgement = Acknowledgement {
            file: &taken.file,
            sha256: &taken.sha256,
            accepted: taken.accepted,
            reason: taken.reason.as_deref(),
            entry_count: taken.entry_count,
            total_debit: taken.total_debit,
            total_credit: taken.total_credit,
        };
        let mut text = serde_json::to_vec(&acknowledgement)?;
        text.push(b'\n');
        let stem = taken.file.strip_suffix(".ach").unwrap_or(&taken.file);
        self.put(ACK, format!("{stem}.ack"), text).await?;
        self.desk.acknowledged(number).await
    }

    /// If the bank stops meanwhile, the next start acknowledges.
    fn acknowledge_late(self: &Arc<Self>, number: usize) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let mut stop = shared.stop.subscribe();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(shared.timings.late) => {}
            }
            if let Err(error) = shared.acknowledge(number).await {
                tracing::error!(%error, "a late acknowledgement could not be written");
            }
        });
    }

    /// Steps that are due, and files of answers that were booked and not seen.
    async fn do_what_is_due(self: &Arc<Self>) -> io::Result<()> {
        loop {
            for done in self.desk.undelivered() {
                self.deliver(&done).await?;
            }
            if self.desk.step(self.now()).await?.is_none() {
                return Ok(());
            }
        }
    }

    /// Puts a file into a folder, on a thread that nobody else needs.
    async fn put(
        self: &Arc<Self>,
        folder: &'static str,
        name: String,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        let shared = Arc::clone(self);
        let put = tokio::task::spawn_blocking(move || shared.tree.put(folder, &name, &bytes));
        put.await.map_err(io::Error::other)?
    }

    /// Puts the file of answers of a step into `/returned`.
    async fn deliver(self: &Arc<Self>, done: &Done) -> io::Result<()> {
        let Some(issue) = done.issue() else { return Ok(()) };
        let (taken, codes) = (self.desk.taken(done.number)?, self.desk.codes(done)?);
        let original = std::fs::read(self.originals.join(format!("{}.ach", taken.sha256)))?;
        let parsed = nacha::parse(&original).map_err(|errors| io::Error::other(reason(&errors)))?;
        let file = answers::file(&parsed, done.batch, &codes, issue);
        let bytes = file.write().map_err(|errors| io::Error::other(reason(&errors)))?;
        let kind = if done.step == Step::Change { "change" } else { "return" };
        self.put(RETURNED, format!("{kind}-{:06}.ach", issue.number), bytes.clone()).await?;
        self.wire.keep(String::new, Direction::Sent, &bytes);
        if self.faults.take(|fault| fault == Fault::DuplicateReply).is_some() {
            let again = format!("{kind}-{:06}-again.ach", issue.number);
            self.put(RETURNED, again, bytes).await?;
        }
        self.desk.delivered(issue.number).await
    }
}

fn reason(errors: &[nacha::Error]) -> String {
    let told = errors.iter().take(TOLD).map(ToString::to_string);
    let mut told: Vec<String> = told.collect();
    if errors.len() > TOLD || errors.iter().any(|error| error.code == Code::TooMany) {
        told.push("and more".to_owned());
    }
    told.join("; ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the files that were taken are kept, whatever their client does with its own.
pub(super) fn originals(dir: &std::path::Path) -> io::Result<PathBuf> {
    let originals = dir.join("ach-files");
    std::fs::create_dir_all(&originals)?;
    Ok(originals)
}
