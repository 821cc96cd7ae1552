//! What is asked of the rail, and what it commits.

mod connection;
mod settlement;

use std::{collections::BTreeMap, sync::Arc};

use contracts::{
    Refusal, Timestamp,
    rails::{CardException, GetCardWaiting, ListCardExceptions},
    transfers::Waiting,
};
use iso8583::{Message, reversal};
use runtime::{
    Answer, Answered, Ask, Command, Commit, Fault, Work,
    rules::{self, Rule},
};

use crate::{
    Card,
    domain::{Claiming, Decision, Instruction, Key, News, State, Times},
    store::{self, Recorded, Unmatched},
    wire,
};

pub use settlement::{Part, TakeIn};

/// Takes the lease, or renews it under the epoch that is held. Done: the epoch, `None` where another
/// process holds the lease.
pub struct Hold {
    pub epoch: Option<i64>,
    pub micros: i64,
}
impl Command for Hold {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "hold";
    type Done = Option<i64>;
}

/// Claims instructions before their first byte is sent. Done: those that are claimed now, with their
/// numbers; `None` where the lease is lost.
pub struct Claim {
    pub epoch: i64,
    pub keys: Vec<Key>,
}
impl Command for Claim {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "claim";
    type Done = Option<Vec<Instruction>>;
}

/// Claims reversals: stored, with their numbers, before a byte of them is sent.
pub struct ClaimReversals {
    pub epoch: i64,
    pub keys: Vec<Key>,
}
impl Command for ClaimReversals {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "claim reversals";
    type Done = Option<Vec<Instruction>>;
}

/// Records news of an instruction with its outcome, in one commit.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: Key,
    pub news: News,
    pub message: Option<Recorded>,
}
impl Command for Record {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "record";
    type Done = ();
}

/// Releases the funds that are due. Done: when the next are, in business time.
pub struct Release;
impl Command for Release {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "release";
    type Done = Option<i64>;
}

/// Takes in a message for which nobody waits.
pub struct Keep(pub Message);
impl Command for Keep {
    const SERVICE: &'static str = "card";
    const NAME: &'static str = "keep";
    type Done = ();
}

/// Exceptions shown at most.
const SHOWN_MOST: i64 = 200;
/// Payments released in one commit.
const RELEASED_MOST: usize = 256;

pub(crate) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Card {
    fn times(&self, work: &Work<'_, '_>) -> Times {
        Times {
            now: work.machine.0,
            release: self.config.windows.release(work.now, 1).0,
            reverse_first: micros(self.config.reverse_first),
            reverse_most: micros(self.config.reverse_most),
        }
    }
    fn wakes(&self, work: &mut Work<'_, '_>) {
        let link = Arc::clone(&self.link);
        work.after_commit(move || link.wake.notify_one());
    }
    /// Saves what changed, and wakes the worker for what is open.
    fn save(
        &self,
        work: &mut Work<'_, '_>,
        before: BTreeMap<Key, Instruction>,
        mut after: BTreeMap<Key, Instruction>,
    ) -> Result<(), Fault> {
        let mut changed = Vec::with_capacity(after.len());
        for (key, old) in before {
            let Some(new) = after.remove(&key) else { continue };
            if new != old {
                changed.push((old.state, new));
            }
        }
        store::save_many(work.tx, &changed)?;
        if changed.iter().any(|(_, new)| !new.state.is_final()) {
            self.wakes(work);
        }
        Ok(())
    }
    /// Applies news to an instruction; what is to be kept apart, where it contradicts.
    fn hear(
        &self,
        work: &mut Work<'_, '_>,
        instruction: &mut Instruction,
        news: &News,
    ) -> Option<&'static str> {
        let times = self.times(work);
        match instruction.hear(news, times) {
            Decision::AlreadyDone => None,
            Decision::Done { outcome, alarm } => {
                if let Some(alarm) = alarm {
                    raise(work, instruction.key, alarm);
                }
                if let Some(outcome) = outcome {
                    self.emit(work, instruction, outcome);
                }
                None
            }
            Decision::Refused(why) => {
                raise(work, instruction.key, why);
                Some(why)
            }
        }
    }
}

/// Tells an operator, once the commit that found it is durable.
fn raise(work: &mut Work<'_, '_>, key: Key, alarm: &'static str) {
    work.after_commit(move || {
        tracing::error!(alarm, transfer = %key.transfer, leg = key.leg, "card: a person must look");
    });
}

impl Commit<Hold> for Card {
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
                None => store::take_lease(work.tx, expires, free_before, work.machine)?,
            };
            results.push(Ok(renewed));
        }
        Ok(results)
    }
}

type Claimed = Result<Vec<Result<Option<Vec<Instruction>>, Refusal>>, Fault>;

impl Card {
    /// Claims by the lease's epoch, with a number of its own for each.
    fn claim(
        &self,
        work: &mut Work<'_, '_>,
        epoch: i64,
        keys: &[Key],
        claim: fn(&mut Instruction, Claiming) -> bool,
    ) -> Result<Option<Vec<Instruction>>, Fault> {
        if !store::is_held(work.tx, epoch)? {
            return Ok(None);
        }
        let mut there = store::load_many(work.tx, keys.iter().copied())?;
        let mut number = store::take_numbers(work.tx, keys.len())?;
        let deadline = work.machine.plus_micros(micros(self.config.answer_within)).0;
        let mut claimed = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(mut instruction) = there.remove(key) else { continue };
            let before = instruction.state;
            let claiming = Claiming { epoch, number, created: work.now.0, deadline };
            if claim(&mut instruction, claiming) {
                claimed.push((before, instruction));
            }
            number += 1;
        }
        if rules::hold(Rule::ClaimBeforeSend) {
            store::save_many(work.tx, &claimed)?;
        }
        Ok(Some(claimed.into_iter().map(|(_, claimed)| claimed).collect()))
    }
}

impl Commit<Claim> for Card {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[Claim]) -> Claimed {
        let claim = Instruction::claim;
        batch.iter().map(|one| Ok(Ok(self.claim(work, one.epoch, &one.keys, claim)?))).collect()
    }
}

impl Commit<ClaimReversals> for Card {
    fn commit(&self, work: &mut Work<'_, '_>, batch: &[ClaimReversals]) -> Claimed {
        let claim = Instruction::claim_reversal;
        batch.iter().map(|one| Ok(Ok(self.claim(work, one.epoch, &one.keys, claim)?))).collect()
    }
}

impl Commit<Record> for Card {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Record],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        let keys: std::collections::BTreeSet<Key> = batch.iter().map(|record| record.key).collect();
        let mut there = store::load_many(work.tx, keys)?;
        let before = there.clone();
        let mut kept = Vec::new();
        for record in batch {
            let Some(instruction) = there.get_mut(&record.key) else { continue };
            if let Some(why) = self.hear(work, instruction, &record.news) {
                kept.push((record, wire::retrieval_reference(instruction.number), why));
            }
        }
        let messages: Vec<(Key, &Recorded)> = batch
            .iter()
            .filter_map(|record| record.message.as_ref().map(|message| (record.key, message)))
            .collect();
        store::insert_messages(work.tx, &mut there, &messages)?;
        let rows: Vec<Unmatched<'_>> = kept
            .iter()
            .map(|(record, reference, why)| {
                let message = record.message.as_ref();
                Unmatched {
                    at: work.machine,
                    name: message.and_then(|message| message.answered).unwrap_or("-"),
                    reference,
                    code: message.map_or("", |message| &message.outcome),
                    why,
                }
            })
            .collect();
        store::insert_unmatched(work.tx, &rows)?;
        self.save(work, before, there)?;
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

impl Commit<Release> for Card {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Release],
    ) -> Result<Vec<Result<Option<i64>, Refusal>>, Fault> {
        let due = store::list_due(work.tx, State::Confirmed, RELEASED_MOST)?;
        let next = due.iter().map(|one| one.due).find(|due| *due > work.now.0);
        let full = due.len() == RELEASED_MOST && next.is_none();
        let mut released = Vec::new();
        for mut instruction in due {
            if let Some(outcome) = instruction.release(work.now.0) {
                self.emit(work, &instruction, outcome);
                released.push((State::Confirmed, instruction));
            }
        }
        store::save_many(work.tx, &released)?;
        let next = if full { Some(work.now.0) } else { next };
        Ok(batch.iter().map(|_| Ok(next)).collect())
    }
}

impl Commit<Keep> for Card {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Keep],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        // Rare, and two may be about one payment: one after the other.
        batch.iter().map(|Keep(message)| Ok(Ok(self.keep(work, message)?))).collect()
    }
}

impl Card {
    /// A late answer, a second one, or one to nothing: kept, and applied where it still matters.
    fn keep(&self, work: &mut Work<'_, '_>, message: &Message) -> Result<(), Fault> {
        let mti = message.mti.to_string();
        let reference = message.field(63).unwrap_or_default().to_owned();
        let code = message.field(39).unwrap_or_default().to_owned();
        let row = |why| Unmatched {
            at: work.machine,
            name: &mti,
            reference: &reference,
            code: &code,
            why,
        };
        let found = match wire::key_of(&reference) {
            Some(key) => store::load_many(work.tx, [key])?.remove(&key),
            None => None,
        };
        let Some(old) = found else {
            let one = row("it names no payment of ours");
            return Ok(store::insert_unmatched(work.tx, &[one])?);
        };
        let mut new = old.clone();
        let read = self.late_news(&new, message);
        let (name, why) = match &read {
            Ok((name, news)) => {
                let why = self.hear(work, &mut new, news);
                (*name, why.unwrap_or("nobody waited for it any more"))
            }
            Err(why) => ("-", why.as_str()),
        };
        let one =
            Unmatched { at: work.machine, name: &mti, reference: &reference, code: &code, why };
        store::insert_unmatched(work.tx, &[one])?;
        let mut there = BTreeMap::from([(new.key, new)]);
        if name != "-" {
            let (at, outcome) = (work.machine, format!("{code}, when nobody waited for it"));
            let message = Recorded { name, at, micros: 0, answered: None, outcome };
            store::insert_messages(work.tx, &mut there, &[(old.key, &message)])?;
        }
        self.save(work, BTreeMap::from([(old.key, old)]), there)
    }
    /// What a message for which nobody waits says of this instruction.
    fn late_news(
        &self,
        of: &Instruction,
        message: &Message,
    ) -> Result<(&'static str, News), String> {
        let us = &self.config.us;
        if message.mti == reversal::RESPONSE {
            return us.reversal_word(of, message).map(|news| ("0410", news));
        }
        let word = us.word(of, message)?;
        Ok(("0110", News::Said { attempt: of.attempt, word: Ok(word) }))
    }
}

impl Answer<ListCardExceptions> for Card {
    async fn answer(
        &self,
        ask: Ask<ListCardExceptions>,
    ) -> Result<Answered<ListCardExceptions>, Refusal> {
        let apart = ask.platform.read(|tx| store::list_exceptions(tx, SHOWN_MOST)).await?;
        let apart = apart.into_iter().map(|one| CardException {
            at: one.at,
            about: one.about,
            reference: one.reference,
            code: one.code,
            amount: one.amount,
            why: one.why,
        });
        Ok(Answered::ok(&apart.collect::<Vec<_>>()))
    }
}

impl Answer<GetCardWaiting> for Card {
    async fn answer(&self, ask: Ask<GetCardWaiting>) -> Result<Answered<GetCardWaiting>, Refusal> {
        let transfer = ask.query.transfer;
        let found = ask.platform.read(move |tx| {
            let keys = [0, 1, 2].map(|leg| Key { transfer, leg });
            let there = store::load_many(tx, keys)?;
            let open = there.into_values().find(|instruction| !instruction.state.is_final());
            let Some(open) = open else { return Ok(None) };
            let before = match open.state {
                State::Ready => Some(store::count_before(tx, open.due)?),
                _ => None,
            };
            Ok(Some((open, before)))
        });
        let Some((open, position)) = found.await? else {
            return Err(Refusal::not_found("waiting instruction"));
        };
        let (machine, clock) = (ask.platform.clock().machine(), ask.platform.clock().now());
        let after = |micros: i64| Some(clock.plus_micros(micros.max(0)));
        let seen = self.link.seen();
        let config = &self.config;
        let (reason, expected_on) = match open.state {
            State::Confirmed => ("awaiting-settlement", Some(Timestamp(open.due))),
            State::Ready if self.link.is_silent().is_some() => {
                // The longest pause between two reversals, and the answer to one.
                ("rail-unavailable", after(micros(config.reverse_most + config.answer_within)))
            }
            // At the latest: as many as have places are answered or given up in each round.
            State::Ready if seen.state == "signed-on" => {
                let rounds = position.unwrap_or(0) / (config.window.max(1) as u64) + 1;
                let rounds = i64::try_from(rounds).unwrap_or(i64::MAX);
                ("queued", after(micros(config.answer_within).saturating_mul(rounds)))
            }
            State::Ready => {
                let now = ask.platform.monotonic().micros();
                // While a sign-on is under way, or the first connection, there is no next attempt yet.
                let pause = seen.retry.map_or(micros(config.echo_within), |at| {
                    i64::try_from(at.saturating_sub(now)).unwrap_or(i64::MAX)
                });
                ("rail-unavailable", after(pause))
            }
            _ => ("awaiting-answer", after(open.due - machine.0)),
        };
        Ok(Answered::ok(&Waiting { reason: reason.to_owned(), position, expected_on }))
    }
}
