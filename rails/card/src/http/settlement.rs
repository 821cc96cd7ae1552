//! Taking in the host's settlement files: each line once, in the commit of its effects.

use contracts::Refusal;
use runtime::{Command, Commit, Fault, Work};

use super::micros;
use crate::{
    Card,
    domain::{Key, Matching},
    store::{self, Exception, File},
    wire::Line,
};

/// Missed payments found in one commit.
const MISSED_MOST: usize = 500;

/// Applies the next part of a file. Done: how far it is applied then.
pub struct TakeIn {
    pub hash: String,
    pub name: String,
    pub from: i64,
    pub until: i64,
    pub part: Part,
}
impl Command for TakeIn {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "take in";
    type Done = File;
}

/// What of it.
pub enum Part {
    /// These lines, the first with this number from 0.
    Lines(i64, Vec<Line>),
    /// All lines are applied: what they should have had, and have not, is looked for.
    Rest,
    /// Nothing of it may be applied.
    Poison(String),
}

impl Commit<TakeIn> for Card {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[TakeIn],
    ) -> Result<Vec<Result<File, Refusal>>, Fault> {
        // Two may be about one payment: one after the other.
        batch.iter().map(|one| Ok(Ok(self.take_in(work, one)?))).collect()
    }
}

impl Card {
    fn take_in(&self, work: &mut Work<'_, '_>, taken: &TakeIn) -> Result<File, Fault> {
        let mut file = match store::find_file(work.tx, &taken.hash)? {
            Some(file) => file,
            None => {
                let new = met(work, taken);
                store::insert_file(work.tx, &new)?;
                new
            }
        };
        let before = file.applied;
        let apart = match &taken.part {
            _ if file.is_done => return Ok(file),
            // Another process, or this one before a crash, was here.
            Part::Lines(first, _) if *first != before => return Ok(file),
            Part::Lines(_, lines) => {
                file.applied += i64::try_from(lines.len()).expect("a part of some hundreds");
                self.match_lines(work, &file, lines)?
            }
            Part::Rest => {
                let (missed, all) = self.miss(work, &file)?;
                file.is_done = all;
                missed
            }
            Part::Poison(_) => return Ok(file),
        };
        file.apart += i64::try_from(apart.len()).expect("a part of some hundreds");
        for one in &apart {
            let (why, about) = (one.why.clone(), format!("{} {}", one.about, one.reference));
            work.after_commit(move || {
                tracing::error!(why, about, "card: a person must look at a settlement");
            });
        }
        store::insert_exceptions(work.tx, &apart)?;
        store::save_file(work.tx, before, &file)?;
        Ok(file)
    }
    /// Applies lines; what of them fits nothing.
    fn match_lines(
        &self,
        work: &mut Work<'_, '_>,
        file: &File,
        lines: &[Line],
    ) -> Result<Vec<Exception>, Fault> {
        let keys: std::collections::BTreeSet<Key> = lines.iter().filter_map(Line::key).collect();
        let mut there = store::load_many(work.tx, keys)?;
        let (before, times) = (there.clone(), self.times(work));
        let mut apart = Vec::new();
        for line in lines {
            let found = line.key().and_then(|key| there.get_mut(&key));
            let why = match found {
                None => Some("no payment of ours has this reference"),
                Some(of) => {
                    let fits = self.config.us.fits(of, line);
                    match of.settle(line.says, fits, times) {
                        Matching::UnderWay | Matching::Matched(None) => None,
                        Matching::Matched(Some(outcome)) => {
                            self.emit(work, of, outcome);
                            None
                        }
                        Matching::TakeBack(why) | Matching::Apart(why) => Some(why),
                    }
                }
            };
            if let Some(why) = why {
                apart.push(difference(work, file, line.reference.clone(), line.amount, why));
            }
        }
        self.save(work, before, there)?;
        Ok(apart)
    }
    /// Finds payments that the files until this one should have had; whether these are all.
    fn miss(&self, work: &mut Work<'_, '_>, file: &File) -> Result<(Vec<Exception>, bool), Fault> {
        // The host met a message at the latest when its answer was due.
        let slack = micros(self.config.answer_within);
        let (from, until) = (file.from.saturating_sub(slack), file.until.saturating_sub(slack));
        let missed = store::list_missed(work.tx, from, until, MISSED_MOST)?;
        let all = missed.len() < MISSED_MOST;
        let (mut apart, mut changed) = (Vec::new(), Vec::new());
        for mut one in missed {
            let before = one.state;
            if one.miss() {
                let why = "paid by the host's answer, and in no settlement file";
                let reference = crate::wire::reference(one.key);
                apart.push(difference(work, file, reference, one.amount.value, why));
                changed.push((before, one));
            }
        }
        store::save_many(work.tx, &changed)?;
        Ok((apart, all))
    }
}

/// What is kept of a file for a person.
fn difference(
    work: &Work<'_, '_>,
    file: &File,
    reference: String,
    amount: i64,
    why: &str,
) -> Exception {
    let (at, about, code) = (work.machine, file.name.clone(), String::new());
    Exception { at, about, reference, code, amount: Some(amount), why: why.to_owned() }
}

/// A file that is met for the first time.
fn met(work: &mut Work<'_, '_>, taken: &TakeIn) -> File {
    let fault = match &taken.part {
        Part::Poison(why) => Some(why.clone()),
        _ => None,
    };
    if let Some(why) = fault.clone() {
        let name = taken.name.clone();
        work.after_commit(move || {
            tracing::error!(why, name, "card: a settlement file is set aside: a person must look");
        });
    }
    File {
        hash: taken.hash.clone(),
        name: taken.name.clone(),
        at: work.machine,
        from: taken.from,
        until: taken.until,
        applied: 0,
        apart: 0,
        is_done: fault.is_some(),
        fault,
    }
}
