//! What is asked of the rail, and what it commits about its own entries and files.

mod connection;
mod inbound;
mod questions;

use std::{collections::BTreeMap, sync::Arc};

use calendar::{Cutoff, Day};
use contracts::{Refusal, Timestamp, rails::Direction};
use runtime::{Command, Commit, Fault, Work};

use crate::{
    Ach,
    domain::{
        Decision, Entry, Key, News, Place, State,
        files::{self, FileState, Step},
    },
    store::{self, Numbers},
    wire::{self, Class},
};

pub(crate) use inbound::About;
pub use inbound::{Content, TakeIn};

/// Takes the lease, or renews it under the epoch that is held. Done: the epoch, `None` where another
/// process holds the lease.
pub struct Hold {
    pub epoch: Option<i64>,
    pub micros: i64,
}
impl Command for Hold {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "hold";
    type Done = Option<i64>;
}

/// Gives a file its number, its place in the day and numbers for its entries; none was ever given
/// before. Done: `None` where the lease is lost.
pub struct Allocate {
    pub epoch: i64,
    pub entries: usize,
}
impl Command for Allocate {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "allocate";
    type Done = Option<Allocated>;
}

/// What a new file is called.
#[derive(Clone, Copy, Debug)]
pub enum Allocated {
    File {
        number: i64,
        first: i64,
        day: i64,
        slot: i64,
        created: i64,
    },
    /// The day has no name left.
    Exhausted,
}

/// Puts entries into a file whose bytes are fixed with it: all of them, or none where one is no longer
/// collected. Done: whether it was done; `None` where the lease is lost.
pub struct Claim {
    pub epoch: i64,
    pub file: store::File,
    pub batches: Vec<store::Batch>,
    pub places: Vec<(Key, Place)>,
}
impl Command for Claim {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "claim";
    type Done = Option<bool>;
}

/// Applies news of our own making.
#[derive(Clone)]
pub struct Tell(pub Vec<(Key, News)>);
impl Command for Tell {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "tell";
    type Done = ();
}

/// Leaves entries to a later cut-off, each with its business time.
pub struct Defer(pub Vec<(Key, i64)>);
impl Command for Defer {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "defer";
    type Done = ();
}

/// Makes the cut-off of everything collected now. Done: how many that are.
pub struct Force;
impl Command for Force {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "force";
    type Done = u64;
}

/// Takes a file a step further. Done: the file then; `None` where the lease is lost, or the step may
/// not follow.
#[derive(Clone)]
pub struct Advance {
    /// `None` where a person decides.
    pub epoch: Option<i64>,
    pub number: i64,
    pub step: Step,
}
impl Command for Advance {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "advance";
    type Done = Option<store::File>;
}

/// Releases the funds that are due. Done: when the next are, in business time.
pub struct Release;
impl Command for Release {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "release";
    type Done = Option<i64>;
}

/// Entries released in one commit.
const RELEASED_MOST: usize = 1_024;
/// Banking days that the money of a debit is held.
const HOLD_DAYS: u16 = 2;

pub(crate) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Ach {
    /// Until which business time entries may be released: not beyond what the bank's folders were
    /// looked at for, since a return may lie there.
    fn release_until(&self, now: Timestamp) -> i64 {
        let seen = self.link.seen_until();
        seen.saturating_add(micros(self.config.unseen_most)).min(now.0)
    }
    fn wakes(&self, work: &mut Work<'_, '_>) {
        let link = Arc::clone(&self.link);
        work.after_commit(move || {
            link.clerk.notify_one();
            link.courier.notify_one();
        });
    }
    /// Applies news to an entry; what contradicts, where it does.
    fn hear(
        &self,
        work: &mut Work<'_, '_>,
        entry: &mut Entry,
        news: &News,
    ) -> Option<&'static str> {
        match entry.hear(news) {
            Decision::AlreadyDone => None,
            Decision::Done(outcome) => {
                self.emit(work, entry, outcome);
                None
            }
            Decision::Refused(why) => Some(why),
        }
    }
    /// Saves what changed.
    fn save(
        &self,
        work: &mut Work<'_, '_>,
        before: BTreeMap<Key, Entry>,
        mut after: BTreeMap<Key, Entry>,
    ) -> Result<(), Fault> {
        let mut changed = Vec::with_capacity(after.len());
        for (key, old) in before {
            let Some(new) = after.remove(&key) else { continue };
            if new != old {
                changed.push((old.state, new));
            }
        }
        store::save_many(work.tx, &changed)?;
        if changed.iter().any(|(_, new)| new.state.is_open()) {
            self.wakes(work);
        }
        Ok(())
    }
    /// The bank has a file: its entries are originated.
    fn originate(&self, work: &mut Work<'_, '_>, file: &store::File) -> Result<(), Fault> {
        let windows = &self.config.windows;
        let mut release = BTreeMap::new();
        for batch in store::list_batches(work.tx, file.number)? {
            let class = Class::from_number(batch.class)
                .ok_or_else(|| Fault::Poison(format!("{}: no class {}", file.name, batch.class)))?;
            let settles_at = Timestamp(batch.settles);
            let settlement_day = Day::of(settles_at);
            let cutoff = Cutoff { at: Timestamp(batch.cutoff), settles_at, settlement_day };
            let settles = windows.settles(&cutoff, work.now, class.kind);
            let released = match class.direction() {
                Direction::Out => settles,
                Direction::In => windows.release(settles, HOLD_DAYS),
            };
            release.insert(batch.number, released.0);
        }
        let entries = store::list_of_file(work.tx, file)?;
        let mut changed = Vec::with_capacity(entries.len());
        for mut entry in entries {
            let before = entry.state;
            let release = release.get(&entry.batch).copied().unwrap_or(work.now.0);
            if let Some(why) = self.hear(work, &mut entry, &News::Originated { release }) {
                raise(work, why, &file.name);
            }
            if entry.state != before {
                changed.push((before, entry));
            }
        }
        store::save_many(work.tx, &changed)?;
        Ok(())
    }
}

/// Tells an operator, once the commit that found it is durable.
fn raise(work: &mut Work<'_, '_>, alarm: impl Into<String>, about: &str) {
    let (alarm, about) = (alarm.into(), about.to_owned());
    work.after_commit(move || {
        tracing::error!(alarm, about, "ach: a person must look");
    });
}

impl Commit<Hold> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Hold],
    ) -> Result<Vec<Result<Option<i64>, Refusal>>, Fault> {
        let mut results = Vec::with_capacity(batch.len());
        for hold in batch {
            let expires = work.machine.plus_micros(hold.micros);
            // Clocks of two machines may differ: a lease is free a quarter later than it says.
            let free_before = work.machine.plus_micros(-micros(self.config.lease) / 4);
            let renewed = match hold.epoch {
                Some(epoch) => store::renew_lease(work.tx, expires, epoch)?.then_some(epoch),
                None => store::take_lease(work.tx, expires, free_before)?,
            };
            results.push(Ok(renewed));
        }
        Ok(results)
    }
}

impl Commit<Allocate> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Allocate],
    ) -> Result<Vec<Result<Option<Allocated>, Refusal>>, Fault> {
        batch.iter().map(|one| Ok(Ok(self.allocate(work, one)?))).collect()
    }
}

impl Ach {
    fn allocate(
        &self,
        work: &mut Work<'_, '_>,
        wanted: &Allocate,
    ) -> Result<Option<Allocated>, Fault> {
        if !store::is_held(work.tx, wanted.epoch)? {
            return Ok(None);
        }
        let day = wire::day_number(Day::of(work.now));
        let slot = store::last_slot(work.tx, day)?.map_or(0, |last| last + 1);
        if slot >= self.config.us.slots() {
            return Ok(Some(Allocated::Exhausted));
        }
        let count = i64::try_from(wanted.entries).expect("a file has some thousands");
        let mut first = 0;
        let before = store::take_numbers(work.tx, |last| {
            first = wire::first_number(last.entry, count);
            Numbers { entry: first + count - 1, file: last.file + 1, ..last }
        })?;
        let number = before.file + 1;
        Ok(Some(Allocated::File { number, first, day, slot, created: work.now.0 }))
    }
    fn claim(&self, work: &mut Work<'_, '_>, claim: &Claim) -> Result<Option<bool>, Fault> {
        if !store::is_held(work.tx, claim.epoch)? {
            return Ok(None);
        }
        let mut there = store::load_many(work.tx, claim.places.iter().map(|(key, _)| *key))?;
        let mut claimed = Vec::with_capacity(claim.places.len());
        for (key, place) in &claim.places {
            let Some(mut entry) = there.remove(key) else { return Ok(Some(false)) };
            let before = entry.state;
            if !entry.claim(*place) {
                return Ok(Some(false));
            }
            claimed.push((before, entry));
        }
        store::save_many(work.tx, &claimed)?;
        store::insert_file(work.tx, &claim.file, &claim.batches)?;
        self.wakes(work);
        Ok(Some(true))
    }
}

impl Commit<Claim> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Claim],
    ) -> Result<Vec<Result<Option<bool>, Refusal>>, Fault> {
        batch.iter().map(|one| Ok(Ok(self.claim(work, one)?))).collect()
    }
}

impl Commit<Tell> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Tell],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        let keys = batch.iter().flat_map(|tell| tell.0.iter().map(|(key, _)| *key));
        let keys: std::collections::BTreeSet<Key> = keys.collect();
        let mut there = store::load_many(work.tx, keys)?;
        let before = there.clone();
        for (key, news) in batch.iter().flat_map(|tell| &tell.0) {
            if let Some(entry) = there.get_mut(key)
                && let Some(why) = self.hear(work, entry, news)
            {
                raise(work, why, &key.transfer.to_string());
            }
        }
        self.save(work, before, there)?;
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

impl Commit<Defer> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Defer],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        let later: BTreeMap<Key, i64> = batch.iter().flat_map(|one| one.0.clone()).collect();
        let there = store::load_many(work.tx, later.keys().copied())?;
        let ready = there.into_values().filter(|entry| entry.state == State::Ready);
        let changed: Vec<(State, Entry)> = ready
            .filter_map(|entry| {
                let due = *later.get(&entry.key)?;
                Some((entry.state, Entry { due, ..entry }))
            })
            .collect();
        store::save_many(work.tx, &changed)?;
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

impl Commit<Force> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Force],
    ) -> Result<Vec<Result<u64, Refusal>>, Fault> {
        let forced = store::force(work.tx, work.now.0)?;
        self.wakes(work);
        Ok(batch.iter().map(|_| Ok(forced)).collect())
    }
}

impl Commit<Advance> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Advance],
    ) -> Result<Vec<Result<Option<store::File>, Refusal>>, Fault> {
        batch.iter().map(|one| Ok(Ok(self.advance(work, one)?))).collect()
    }
}

impl Ach {
    fn advance(
        &self,
        work: &mut Work<'_, '_>,
        wanted: &Advance,
    ) -> Result<Option<store::File>, Fault> {
        if let Some(epoch) = wanted.epoch
            && !store::is_held(work.tx, epoch)?
        {
            return Ok(None);
        }
        let Some(mut file) = store::load_file(work.tx, wanted.number)? else { return Ok(None) };
        let before = file.state;
        let Some(next) = files::advance(before, &wanted.step) else { return Ok(None) };
        file.state = next;
        match &wanted.step {
            Step::Fix { hash, size } => {
                file.hash.clone_from(hash);
                file.size = *size;
            }
            Step::Begin => {
                file.attempts += 1;
                file.at = work.machine.0;
            }
            Step::Hold { why } => {
                file.reason = Some(why.clone());
                raise(work, why.clone(), &file.name);
            }
            Step::Arrive => {
                if file.at == 0 {
                    file.at = work.machine.0;
                }
                file.micros = (work.machine.0 - file.at).max(1);
                file.reason = None;
            }
            Step::Rename | Step::Resend => file.reason = None,
        }
        if !store::save_file(work.tx, before, &file)? {
            return Ok(None);
        }
        if next == FileState::Sent {
            self.originate(work, &file)?;
        }
        self.wakes(work);
        Ok(Some(file))
    }
}

impl Commit<Release> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Release],
    ) -> Result<Vec<Result<Option<i64>, Refusal>>, Fault> {
        let due = store::list_due(work.tx, State::Originated, RELEASED_MOST)?;
        let until = self.release_until(work.now);
        let next = due.iter().map(|one| one.due).find(|due| *due > until);
        let full = due.len() == RELEASED_MOST && next.is_none();
        let mut released = Vec::new();
        for mut entry in due {
            if let Some(outcome) = entry.release(until) {
                self.emit(work, &entry, outcome);
                released.push((State::Originated, entry));
            }
        }
        store::save_many(work.tx, &released)?;
        let next = if full { Some(until) } else { next };
        Ok(batch.iter().map(|_| Ok(next)).collect())
    }
}
