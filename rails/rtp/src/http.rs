//! What is asked of the rail, and what it commits.

mod connection;

use std::{collections::BTreeMap, sync::Arc};

use contracts::{
    Code, Refusal, Timestamp,
    rails::{GetRtpWaiting, ReceiveRtpMessage, RtpReceived},
    transfers::Waiting,
};
use iso20022::pacs002::StatusReport;
use runtime::{
    Answer, Answered, Ask, Command, Commit, Fault, Work,
    rules::{self, Rule},
};

use crate::{
    Rtp,
    domain::{Decision, Instruction, Key, News, State, Windows},
    store::{self, Recorded, Unmatched},
    wire,
};

/// Takes the lease, or renews it under the epoch that is held. Done: the epoch, `None` where another
/// process holds the lease.
pub struct Hold {
    pub epoch: Option<i64>,
}
impl Command for Hold {
    const SERVICE: &'static str = "rtp";
    const NAME: &'static str = "hold";
    type Done = Option<i64>;
}

/// Claims instructions before their first byte is sent. Done: those that are claimed now; `None`
/// where the lease is lost.
pub struct Claim {
    pub epoch: i64,
    pub claims: Vec<OneClaim>,
}

/// One instruction to claim.
pub struct OneClaim {
    pub key: Key,
    /// Business time in the message.
    pub created: Timestamp,
    /// Routing number of the receiving bank.
    pub receiver: String,
}
impl Command for Claim {
    const SERVICE: &'static str = "rtp";
    const NAME: &'static str = "claim";
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
    const SERVICE: &'static str = "rtp";
    const NAME: &'static str = "record";
    type Done = ();
}

/// Takes in a report that somebody posted. Done: whether it fits a payment of ours.
pub struct Receive {
    pub report: Box<StatusReport>,
    pub bytes: usize,
}
impl Command for Receive {
    const SERVICE: &'static str = "rtp";
    const NAME: &'static str = "receive";
    type Done = bool;
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Rtp {
    pub(crate) fn windows(&self) -> Windows {
        Windows {
            // A quarter of a second for clocks that differ.
            acceptance: micros(self.config.acceptance_window) + 250_000,
            enquire_first: micros(self.config.enquire_first),
            enquire_most: micros(self.config.enquire_most),
        }
    }
    fn wakes(&self, work: &mut Work<'_, '_>) {
        let link = Arc::clone(&self.link);
        work.after_commit(move || link.wake.notify_one());
    }
}

impl Commit<Hold> for Rtp {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Hold],
    ) -> Result<Vec<Result<Option<i64>, Refusal>>, Fault> {
        let lease = micros(self.config.lease);
        let expires = work.machine.plus_micros(lease);
        // Clocks of two machines may differ: a lease is free a quarter later than it says.
        let free_before = work.machine.plus_micros(-lease / 4);
        let mut results = Vec::with_capacity(batch.len());
        for hold in batch {
            let renewed = match hold.epoch {
                Some(epoch) => store::renew_lease(work.tx, expires, epoch)?.then_some(epoch),
                None => store::take_lease(work.tx, expires, free_before, work.machine)?,
            };
            results.push(Ok(renewed));
        }
        Ok(results)
    }
}

impl Commit<Claim> for Rtp {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Claim],
    ) -> Result<Vec<Result<Option<Vec<Instruction>>, Refusal>>, Fault> {
        let (now, within) = (work.machine, micros(self.config.answer_within));
        let expires = now.plus_micros(micros(self.config.lease));
        let mut results = Vec::with_capacity(batch.len());
        for claim in batch {
            if !store::renew_lease(work.tx, expires, claim.epoch)? {
                results.push(Ok(None));
                continue;
            }
            let keys = claim.claims.iter().map(|one| one.key);
            let mut there = store::load_many(work.tx, keys)?;
            let mut claimed = Vec::with_capacity(claim.claims.len());
            for one in &claim.claims {
                let Some(mut instruction) = there.remove(&one.key) else { continue };
                if instruction.claim(claim.epoch, one.created, now, within) {
                    instruction.receiver.clone_from(&one.receiver);
                    claimed.push((State::Ready, instruction));
                }
            }
            if rules::hold(Rule::ClaimBeforeSend) {
                store::save_many(work.tx, &claimed)?;
            }
            results.push(Ok(Some(claimed.into_iter().map(|(_, claimed)| claimed).collect())));
        }
        Ok(results)
    }
}

impl Commit<Record> for Rtp {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Record],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        let windows = self.windows();
        let mut there = store::load_many(work.tx, distinct(batch.iter().map(|record| record.key)))?;
        let before: BTreeMap<Key, Instruction> = there.clone();
        let mut unmatched = Vec::new();
        for record in batch {
            let Some(instruction) = there.get_mut(&record.key) else { continue };
            let now = work.machine.0;
            match instruction.hear(&record.news, now, windows) {
                Decision::AlreadyDone => {}
                Decision::Done { outcome, alarm } => {
                    if let Some(alarm) = alarm {
                        raise(work, record.key, alarm);
                    }
                    if let Some(outcome) = outcome {
                        self.emit(work, instruction, outcome);
                    }
                }
                Decision::Refused(why) => {
                    raise(work, record.key, why);
                    unmatched.push((record, why));
                }
            }
        }
        let messages: Vec<(Key, &Recorded)> = batch
            .iter()
            .filter_map(|record| record.message.as_ref().map(|message| (record.key, message)))
            .collect();
        store::insert_messages(work.tx, &mut there, &messages)?;
        let rows: Vec<(String, &str)> = unmatched
            .iter()
            .map(|(record, why)| (self.config.us.ids(record.key).message, *why))
            .collect();
        let rows: Vec<Unmatched<'_>> = rows
            .iter()
            .zip(&unmatched)
            .map(|((reference, why), (record, _))| Unmatched {
                at: work.machine,
                reference,
                status: record.message.as_ref().map_or("", |message| &message.outcome),
                why,
            })
            .collect();
        store::insert_unmatched(work.tx, &rows)?;
        self.save(work, before, there)?;
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

impl Rtp {
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
}

fn distinct(keys: impl Iterator<Item = Key>) -> impl Iterator<Item = Key> {
    let all: std::collections::BTreeSet<Key> = keys.collect();
    all.into_iter()
}

/// Tells an operator, once the commit that found it is durable.
fn raise(work: &mut Work<'_, '_>, key: Key, alarm: &'static str) {
    work.after_commit(move || {
        tracing::error!(alarm, transfer = %key.transfer, leg = key.leg, "rtp: a person must look");
    });
}

impl Commit<Receive> for Rtp {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Receive],
    ) -> Result<Vec<Result<bool, Refusal>>, Fault> {
        // Rare, and two may be about one payment: one after the other.
        batch.iter().map(|received| Ok(Ok(self.receive(work, received)?))).collect()
    }
}

impl Rtp {
    fn receive(&self, work: &mut Work<'_, '_>, received: &Receive) -> Result<bool, Fault> {
        let report = &received.report;
        let place = report.original.instruction_id.as_deref().and_then(wire::place);
        let mut candidates = match place {
            Some(place) => store::list_at(work.tx, place)?,
            None => Vec::new(),
        };
        candidates.retain(|instruction| instruction.attempt > 0);
        let mut why = "it names no payment of ours";
        let us = &self.config.us;
        let found = candidates
            .into_iter()
            .find(|instruction| us.ids(instruction.key).message == report.original.message_id);
        let found = found.filter(|instruction| {
            let fits = us.fits(instruction, report).is_ok();
            if !fits {
                why = "it contradicts the payment's ids or amount";
                raise(work, instruction.key, why);
            }
            fits
        });
        let status = said(report);
        let reference = &report.original.message_id;
        let Some(old) = found else {
            let one = Unmatched { at: work.machine, reference, status: &status, why };
            store::insert_unmatched(work.tx, &[one])?;
            return Ok(false);
        };
        let word = us.word(&old, report, false);
        let contradicts = word.is_ok_and(|word| {
            let heard = old.clone().hear(&News::Said(word), work.machine.0, self.windows());
            matches!(heard, Decision::Refused(_))
        });
        let mut new = old.clone();
        let news = News::Hinted { contradicts };
        if let Decision::Refused(why) = new.hear(&news, work.machine.0, self.windows()) {
            raise(work, new.key, why);
            let one = Unmatched { at: work.machine, reference, status: &status, why };
            store::insert_unmatched(work.tx, &[one])?;
        }
        let message = Recorded {
            name: "pacs.002",
            at: work.machine,
            bytes: received.bytes,
            micros: 0,
            answer_bytes: None,
            outcome: status,
        };
        let key = new.key;
        let mut there = BTreeMap::from([(key, new)]);
        store::insert_messages(work.tx, &mut there, &[(key, &message)])?;
        self.save(work, BTreeMap::from([(key, old)]), there)?;
        Ok(true)
    }
}

/// What a report says, in short: `RJCT AC04`.
pub(crate) fn said(report: &StatusReport) -> String {
    match &report.reason {
        Some(reason) => format!("{} {}", report.status, reason.code),
        None => report.status.to_string(),
    }
}

impl Answer<ReceiveRtpMessage> for Rtp {
    async fn answer(
        &self,
        ask: Ask<ReceiveRtpMessage>,
    ) -> Result<Answered<ReceiveRtpMessage>, Refusal> {
        let bytes = ask.body.0.len();
        let report = wire::report(&ask.body.0).map_err(|why| {
            Refusal::new(Code::MalformedRequest, format!("no report that is understood: {why}"))
        })?;
        ask.platform.observed_rail("rtp-participant", "rtp", "pacs.002");
        let known = ask.platform.commit(Receive { report: Box::new(report), bytes }).await?;
        let message = if known { "known" } else { "kept" };
        Ok(Answered::json(202, &RtpReceived { message: message.to_owned() }))
    }
}

impl Answer<GetRtpWaiting> for Rtp {
    async fn answer(&self, ask: Ask<GetRtpWaiting>) -> Result<Answered<GetRtpWaiting>, Refusal> {
        let transfer = ask.query.transfer;
        let found = ask.platform.read(move |tx| {
            let keys = [0, 1].map(|leg| Key { transfer, leg });
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
        let closed_until = self.link.circuit.lock().is_open_until();
        let (reason, pause) = match (open.state, closed_until) {
            (State::Ready, None) => ("queued", None),
            (State::Ready, Some(until)) => {
                let pause = until.saturating_sub(ask.platform.monotonic().micros());
                ("rail-unavailable", i64::try_from(pause).ok())
            }
            _ => ("awaiting-answer", Some((open.due - machine.0).max(0))),
        };
        let expected_on = pause.map(|pause| clock.plus_micros(pause));
        Ok(Answered::ok(&Waiting { reason: reason.to_owned(), position, expected_on }))
    }
}
