//! What operators see of the rail: its session with the bank, its files, what waits and why.

use contracts::{
    Timestamp,
    operations::{RailCircuit, RailConnection, RailFile, RailQueue, RailWaiting},
};
use runtime::{Connects, Platform};
use store::Tx;

use crate::{
    Ach,
    domain::{Entry, State, files::FileState},
    link::Seen,
    store as tables,
};

/// Entries that are listed.
const LISTED_MOST: usize = 50;
/// Files that are listed, of ours and of the bank's each.
const FILES_MOST: i64 = 20;

impl Connects for Ach {
    fn connection(
        &self,
        platform: &Platform,
        tx: &mut Tx<'_>,
    ) -> Result<RailConnection, store::Error> {
        let held = tables::list_to_send(tx, FileState::Sent, LISTED_MOST)?;
        let held = held.into_iter().filter(|file| file.state == FileState::Held);
        let held: Vec<(i64, i64)> = held.map(|file| (file.number, file.entries)).collect();
        let unknown = held.iter().map(|(_, entries)| entries.unsigned_abs()).sum();
        let queue = RailQueue {
            ready: tables::count(tx, State::Ready)?,
            sending: tables::count(tx, State::Claimed)?.saturating_sub(unknown),
            unknown,
            pending: tables::count(tx, State::Originated)?,
        };
        let mut open = Vec::new();
        for state in [State::Claimed, State::Ready, State::Originated] {
            open.extend(tables::list_due(tx, state, LISTED_MOST - open.len())?);
        }
        let seen = self.link.seen();
        let waiting = open.iter().map(|one| {
            waiting(one, held.iter().any(|(file, _)| *file == one.file), seen.why.is_some())
        });
        let mut waiting: Vec<RailWaiting> = waiting.collect();
        waiting.sort_by_key(|one| one.since);
        let mut files: Vec<RailFile> =
            tables::list_newest_files(tx, FILES_MOST)?.into_iter().map(sent).collect();
        files.extend(tables::list_newest_inbound(tx, FILES_MOST)?.into_iter().map(received));
        files.sort_by_key(|file| std::cmp::Reverse(file.at));
        let (state, detail) = described(&seen);
        Ok(RailConnection {
            name: "ach".to_owned(),
            address: format!("{}@{}", self.config.user, self.config.bank),
            state: state.to_owned(),
            detail,
            circuit: self.circuit(platform, &seen),
            queue,
            waiting,
            last_sent_on: tables::last_sent(tx)?.map(Timestamp),
            last_looked_on: seen.looked,
            files,
        })
    }
}

impl Ach {
    fn circuit(&self, platform: &Platform, seen: &Seen) -> RailCircuit {
        let now = platform.monotonic().micros();
        let pause = self.link.retry_at().and_then(|at| i64::try_from(at.checked_sub(now)?).ok());
        let state = match pause {
            Some(_) => "open",
            None if seen.failures > 0 => "probing",
            None => "closed",
        };
        RailCircuit {
            state: state.to_owned(),
            failures: seen.failures,
            next_on: pause.map(|pause| platform.clock().machine().plus_micros(pause)),
        }
    }
}

fn described(seen: &Seen) -> (&'static str, String) {
    match &seen.why {
        Some(why) => ("unavailable", why.clone()),
        None if seen.connected => ("connected", "logged in at the bank by SFTP".to_owned()),
        None => ("idle", "there is nothing to bring to the bank or to await from it".to_owned()),
    }
}

fn waiting(one: &Entry, is_held: bool, is_away: bool) -> RailWaiting {
    let (state, reason) = match one.state {
        State::Ready => ("ready", "it is collected until its cut-off"),
        State::Claimed if is_held => ("unknown", "whether the bank has its file is for a person"),
        State::Claimed if is_away => ("sending", "its file waits until the bank is there"),
        State::Claimed => ("sending", "its file is on its way to the bank"),
        _ => ("pending", "the bank has it; its funds are released with the settlement"),
    };
    // One whose cut-off was made by hand no longer says when it came.
    let since = if one.queued < 0 { one.due } else { one.queued };
    RailWaiting {
        transfer_id: one.key.transfer,
        state: state.to_owned(),
        reason: reason.to_owned(),
        since: Timestamp(since),
    }
}

fn sent(file: tables::File) -> RailFile {
    // The last that is known of it.
    let at = [file.heard, file.at, file.created].into_iter().find(|at| *at > 0);
    RailFile {
        name: format!("{}.ach", file.name),
        direction: "sent".to_owned(),
        state: file.state.name().to_owned(),
        at: Timestamp(at.unwrap_or(0)),
        entries: file.entries.unsigned_abs(),
        reason: file.reason,
    }
}

fn received(file: tables::Inbound) -> RailFile {
    let state = if file.fault.is_some() { "set-aside" } else { "taken-in" };
    RailFile {
        name: file.name,
        direction: "received".to_owned(),
        state: state.to_owned(),
        at: file.at,
        entries: file.entries.unsigned_abs(),
        reason: file.fault,
    }
}
