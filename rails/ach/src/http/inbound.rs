//! Taking in the bank's files: each once, whole or not at all, in the commit of its effects.

use std::collections::{BTreeMap, BTreeSet};

use ::store::{Error, Tx};
use contracts::Refusal;
use runtime::{Command, Commit, Fault, Work};

use super::raise;
use crate::{
    Ach,
    domain::{Entry, Key, News, State, files::FileState},
    store::{self, Message, Unmatched},
    wire::{Acknowledgement, Answer, Said, Us},
};

/// Takes in a file of the bank. Done: whether it was new; `None` where the lease is lost.
#[derive(Clone, Debug)]
pub struct TakeIn {
    pub epoch: i64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub hash: String,
    pub name: String,
    pub content: Content,
}
impl Command for TakeIn {
    const SERVICE: &'static str = "ach";
    const NAME: &'static str = "take in";
    type Done = Option<bool>;
}

/// What is in it.
#[derive(Clone, Debug)]
pub enum Content {
    Acknowledgement(Acknowledgement),
    /// With why the bank account behind some of them, by their place, cannot be corrected.
    Answers(Vec<Answer>, BTreeMap<usize, String>),
    /// Nothing of it may be applied.
    Poison(String),
}

impl Commit<TakeIn> for Ach {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[TakeIn],
    ) -> Result<Vec<Result<Option<bool>, Refusal>>, Fault> {
        // Two may be about one entry: one after the other.
        batch.iter().map(|one| Ok(Ok(self.take_in(work, one)?))).collect()
    }
}

impl Ach {
    fn take_in(&self, work: &mut Work<'_, '_>, file: &TakeIn) -> Result<Option<bool>, Fault> {
        if !store::is_held(work.tx, file.epoch)? {
            return Ok(None);
        }
        let (count, fault) = match &file.content {
            Content::Acknowledgement(_) => (1, None),
            Content::Answers(answers, _) => (answers.len(), None),
            Content::Poison(why) => (0, Some(why.as_str())),
        };
        let counted = (count, 0, fault);
        if !store::insert_inbound(work.tx, &file.hash, &file.name, work.machine, counted)? {
            return Ok(Some(false));
        }
        let apart = match &file.content {
            Content::Acknowledgement(ack) => self.acknowledged(work, ack)?,
            Content::Answers(answers, uncorrected) => {
                self.answered(work, &file.name, (answers, uncorrected))?
            }
            Content::Poison(why) => vec![self.apart(work, &file.name, why.clone())],
        };
        for one in &apart {
            raise(work, one.why.clone(), &format!("{} {}", one.file, one.trace));
        }
        store::insert_unmatched(work.tx, &apart)?;
        Ok(Some(true))
    }
    fn apart(&self, work: &Work<'_, '_>, file: &str, why: String) -> Unmatched {
        let (trace, code) = (String::new(), String::new());
        Unmatched { at: work.machine, file: file.to_owned(), trace, code, amount: 0, why }
    }
    /// The bank's word on a file of ours; what of it fits nothing.
    fn acknowledged(
        &self,
        work: &mut Work<'_, '_>,
        ack: &Acknowledgement,
    ) -> Result<Vec<Unmatched>, Fault> {
        let name = ack.file.strip_suffix(".ach").unwrap_or(&ack.file);
        let Some(mut file) = store::load_files_named(work.tx, name)? else {
            return Ok(vec![self.apart(work, &ack.file, "no file of ours has this name".into())]);
        };
        if ack.sha256 != file.hash {
            let why = "the bank acknowledges other bytes than ours".to_owned();
            return Ok(vec![self.apart(work, &ack.file, why)]);
        }
        let before = file.state;
        if before >= FileState::Acknowledged {
            let why = "a second acknowledgement, with another content".to_owned();
            return Ok(vec![self.apart(work, &ack.file, why)]);
        }
        let taken = ack.accepted || ack.is_duplicate_of(&file.hash);
        file.heard = work.machine.0;
        if file.at == 0 {
            file.at = work.machine.0;
        }
        file.state = if taken { FileState::Acknowledged } else { FileState::Refused };
        file.reason = if taken { None } else { ack.reason.clone() };
        if !store::save_file(work.tx, before, &file)? {
            return Err(Fault::Store(::store::Error::Other(
                "another process changed a file meanwhile".to_owned(),
            )));
        }
        if taken {
            if before != FileState::Sent {
                self.originate(work, &file)?;
            }
            self.wakes(work);
            return Ok(Vec::new());
        }
        let why = ack.reason.clone().unwrap_or_else(|| "the bank refused the file".to_owned());
        raise(work, format!("the bank refused a file: {why}"), &file.name);
        let entries = store::list_of_file(work.tx, &file)?;
        let mut there: BTreeMap<Key, Entry> =
            entries.into_iter().map(|one| (one.key, one)).collect();
        let old = there.clone();
        let news = News::Refused { why };
        let mut apart = Vec::new();
        for entry in there.values_mut() {
            if let Some(why) = self.hear(work, entry, &news) {
                let trace = self.config.us.trace(entry.number).to_string();
                apart.push(Unmatched { trace, ..self.apart(work, &ack.file, why.to_owned()) });
            }
        }
        self.save(work, old, there)?;
        Ok(apart)
    }
    /// Returns and changes; what of them fits nothing.
    fn answered(
        &self,
        work: &mut Work<'_, '_>,
        name: &str,
        (answers, uncorrected): (&[Answer], &BTreeMap<usize, String>),
    ) -> Result<Vec<Unmatched>, Fault> {
        let us = &self.config.us;
        let about = About::load(work.tx, us, answers)?;
        let before = about.entries.clone();
        let mut there = before.clone();
        let until = self.release_until(work.now);
        let (mut apart, mut messages) = (Vec::new(), Vec::new());
        for (place, answer) in answers.iter().enumerate() {
            let why = match (about.key(us, answer), answer.news()) {
                (_, None) => Some("an entry that answers nothing"),
                (Err(why), _) => Some(why),
                (Ok(key), Some(news)) => {
                    let entry = there.get_mut(&key).expect("it was just found");
                    // What was due before it came had been released.
                    if let Some(outcome) = entry.release(until) {
                        self.emit(work, entry, outcome);
                    }
                    let outcome = match &answer.said {
                        Said::Returned(code) => code.title(),
                        Said::Changed(change) => change.code.title(),
                        Said::Nothing => "-",
                    };
                    let outcome = outcome.to_owned();
                    messages
                        .push((key, Message { name: answer.name(), at: work.machine, outcome }));
                    self.hear(work, entry, &news)
                }
            };
            for why in why.into_iter().chain(uncorrected.get(&place).map(String::as_str)) {
                apart.push(Unmatched {
                    at: work.machine,
                    file: name.to_owned(),
                    trace: answer.trace.to_string(),
                    code: answer.code(),
                    amount: answer.cents,
                    why: why.to_owned(),
                });
            }
        }
        store::insert_messages(work.tx, &mut there, &messages)?;
        self.save(work, before, there)?;
        Ok(apart)
    }
}

/// The entries that answers of the bank may be about.
pub(crate) struct About {
    pub entries: BTreeMap<Key, Entry>,
    keys: BTreeMap<i64, Key>,
    /// The last number given.
    last: i64,
}

impl About {
    pub fn load(tx: &mut Tx<'_>, us: &Us, answers: &[Answer]) -> Result<Self, Error> {
        let last = store::take_numbers(tx, |numbers| numbers)?.entry;
        let wanted: BTreeSet<i64> =
            answers.iter().flat_map(|answer| us.numbers(answer.trace, last)).collect();
        let found = store::load_numbered(tx, wanted)?;
        let keys = found.iter().map(|one| (one.number, one.key)).collect();
        let entries = found.into_iter().map(|one| (one.key, one)).collect();
        Ok(Self { entries, keys, last })
    }
    /// The entry that an answer is about, or why there is none.
    pub fn key(&self, us: &Us, answer: &Answer) -> Result<Key, &'static str> {
        let candidates = us.numbers(answer.trace, self.last);
        let keys: Vec<Key> =
            candidates.iter().filter_map(|number| self.keys.get(number)).copied().collect();
        let fitting = |key: &&Key| self.entries.get(key).is_some_and(|of| fits(of, answer));
        match keys.iter().find(fitting) {
            Some(key) => Ok(*key),
            None if keys.is_empty() => Err("no entry of ours has this trace number"),
            None => Err("another bank or amount than the entry's of this trace number"),
        }
    }
}

/// Whether an answer is about this entry.
fn fits(of: &Entry, answer: &Answer) -> bool {
    let amount = matches!(answer.said, Said::Changed(_)) || of.amount.value == answer.cents;
    of.state != State::Ready && of.rdfi == answer.rdfi && amount
}
