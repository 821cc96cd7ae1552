//! The settlement files: what the host pays out and takes in, told apart from its messages.
//!
//! # The file
//!
//! `settlement-NNNNNN.csv` in `DIR/sandbox/card-settlement/`, complete when it has its name (written
//! under another, synced, renamed). ASCII lines, commas between fields:
//!
//! | line | fields |
//! |---|---|
//! | `H`, the first | `1`; from and until: the approvals of this stretch of the business clock are in the file |
//! | `D`, settled | retrieval reference (37), trace number (11), transmission time (7), terminal (41), processing code (3), amount in minor units, currency (49), reference (63) |
//! | `R`, taken back after it was in an earlier file | the same |
//! | `T`, the last | how many `D`, their sum, how many `R`, their sum |
//!
//! The first file goes back to 1970, and each begins where the one before ended, at least one
//! settlement ([`crate::Timings::settlement`]) later. What was approved and reversed before its
//! settlement is in none. Where nothing happened there is no file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::booking::{Booking, Standing};

/// Between two looks at what is due.
const LOOK: Duration = Duration::from_millis(250);

/// What is to be in files, by business time.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Approvals, by when they came.
    approved: BTreeSet<(i64, u128)>,
    /// Approvals that were taken back, by when that was.
    taken_back: BTreeSet<(i64, u128)>,
}

impl Due {
    /// A line of the journal.
    pub(super) fn note(&mut self, booking: &Booking) {
        let key = booking.trace.key();
        match (booking.standing, booking.reversed_at) {
            (Standing::Approved, _) => self.approved.insert((booking.at, key)),
            (Standing::Reversed, Some(at)) => self.taken_back.insert((at, key)),
            _ => false,
        };
    }
    /// Takes out what came before these times, in order: approvals, and what was taken back.
    pub(super) fn take(&mut self, approved: i64, taken_back: i64) -> [BTreeSet<(i64, u128)>; 2] {
        let take = |set: &mut BTreeSet<(i64, u128)>, until: i64| {
            let later = set.split_off(&(until, 0));
            std::mem::replace(set, later)
        };
        [take(&mut self.approved, approved), take(&mut self.taken_back, taken_back)]
    }
}

/// The number of the last file, and until when it goes.
type Last = (u32, i64);

/// Writes files until the host stops.
pub(super) async fn run(shared: Arc<Shared>, folder: PathBuf) {
    let mut stop = shared.stop.subscribe();
    let mut known = None;
    loop {
        let (of, into) = (Arc::clone(&shared), folder.clone());
        let next = move || match known {
            None => last(&into),
            Some(last) => write(&of, &into, last),
        };
        let written = tokio::task::spawn_blocking(next).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(last) => known = Some(last),
            Err(error) => {
                // What is due is found again in the journal at the next start.
                tracing::error!(%error, "no settlement file is written any more");
                return;
            }
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Writes the next file, if anything is in it; the last one then.
fn write(shared: &Shared, folder: &Path, (number, from): Last) -> io::Result<Last> {
    let settlement = i64::try_from(shared.timings.settlement.as_micros()).unwrap_or(i64::MAX);
    // File times have milliseconds.
    let until = shared.now().saturating_sub(settlement) / 1_000 * 1_000;
    if until < from.saturating_add(settlement) {
        return Ok((number, from));
    }
    let [approved, taken_back] = shared.desk.take_due(until, until + settlement);
    let read = |key| shared.desk.find(key).ok_or_else(|| io::Error::other("the books are broken"));
    let (mut lines, mut totals) = (String::new(), [(0_u64, 0_i64); 2]);
    let mut add = |kind: usize, booking: &Booking| {
        lines += &line(['D', 'R'][kind], booking);
        totals[kind] = (totals[kind].0 + 1, totals[kind].1 + booking.amount);
    };
    // After a start the journal tells also of what earlier files had.
    for (at, key) in approved {
        let booking = read(key)?;
        if at >= from && booking.standing == Standing::Approved {
            add(0, &booking);
        }
    }
    for (at, key) in taken_back {
        let booking = read(key)?;
        if at >= from + settlement && booking.at < from {
            add(1, &booking);
        }
    }
    let [(settled, sum), (back, back_sum)] = totals;
    if lines.is_empty() {
        return Ok((number, from));
    }
    let text =
        format!("H,1,{},{}\n{lines}T,{settled},{sum},{back},{back_sum}\n", time(from), time(until));
    let name = folder.join(format!("settlement-{:06}.csv", number + 1));
    let part = name.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, &name)?;
    File::open(folder)?.sync_all()?;
    Ok((number + 1, until))
}

fn time(micros: i64) -> String {
    iso20022::DateTime::from_unix_micros(micros).to_string()
}

fn line(kind: char, of: &Booking) -> String {
    let [stan, transmitted, terminal] = of.trace.parts();
    format!(
        "{kind},{},{stan},{transmitted},{terminal},{},{},{},{}\n",
        of.retrieval_reference, of.processing, of.amount, of.currency, of.reference
    )
}

/// The last file of an earlier start.
fn last(folder: &Path) -> io::Result<Last> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("settlement-")?.strip_suffix(".csv")?.parse().ok());
        newest = newest.max(number);
    }
    let Some(number) = newest else { return Ok((0, 0)) };
    let path = folder.join(format!("settlement-{number:06}.csv"));
    let text = std::fs::read_to_string(&path)?;
    let until = text.lines().next().and_then(|first| first.split(',').nth(3));
    let until = until.and_then(|text| iso20022::DateTime::parse(text).ok());
    let until = until.ok_or_else(|| io::Error::other(format!("{} has no end", path.display())))?;
    Ok((number, until.unix_micros()))
}
