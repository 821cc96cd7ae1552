//! What other services and operators ask, and what operators decide.

use contracts::{
    Code, Refusal, Timestamp,
    rails::{
        AchCutOff, AchException, AchFile, CutOffAch, DecideAchFile, GetAchWaiting,
        ListAchExceptions, ListAchFiles,
    },
    transfers::Waiting,
};
use runtime::{Answer, Answered, Ask};

use super::{Advance, Force};
use crate::{
    Ach,
    domain::{
        Key, State,
        files::{FileState, Step},
    },
    store,
};

/// Files and exceptions shown at most.
const SHOWN_MOST: i64 = 200;

impl Answer<GetAchWaiting> for Ach {
    async fn answer(&self, ask: Ask<GetAchWaiting>) -> Result<Answered<GetAchWaiting>, Refusal> {
        let transfer = ask.query.transfer;
        let found = ask.platform.read(move |tx| {
            let there = store::load_many(tx, [0, 1, 2].map(|leg| Key { transfer, leg }))?;
            let Some(open) = there.into_values().find(|entry| entry.state.is_open()) else {
                return Ok(None);
            };
            let before = match open.state {
                State::Ready => Some(store::count_before(tx, open.due)?),
                _ => None,
            };
            let file = match open.state {
                State::Claimed => store::load_file(tx, open.file)?,
                _ => None,
            };
            Ok(Some((open, before, file)))
        });
        let Some((open, position, file)) = found.await? else {
            return Err(Refusal::not_found("waiting instruction"));
        };
        let held = file.is_some_and(|file| file.state == FileState::Held);
        let due = Some(Timestamp(open.due));
        let (reason, expected_on) = match open.state {
            State::Ready => ("awaiting-cutoff", due),
            State::Originated => ("awaiting-settlement", due),
            _ if held => ("awaiting-answer", None),
            _ => {
                let now = ask.platform.monotonic().micros();
                match self.link.retry_at() {
                    Some(at) => {
                        let pause = i64::try_from(at.saturating_sub(now)).unwrap_or(0);
                        let at = ask.platform.clock().now().plus_micros(pause);
                        ("rail-unavailable", Some(at))
                    }
                    None => ("queued", None),
                }
            }
        };
        Ok(Answered::ok(&Waiting { reason: reason.to_owned(), position, expected_on }))
    }
}

impl Answer<CutOffAch> for Ach {
    async fn answer(&self, ask: Ask<CutOffAch>) -> Result<Answered<CutOffAch>, Refusal> {
        let entries = ask.platform.commit(Force).await?;
        Ok(Answered::ok(&AchCutOff { entries }))
    }
}

impl Answer<ListAchFiles> for Ach {
    async fn answer(&self, ask: Ask<ListAchFiles>) -> Result<Answered<ListAchFiles>, Refusal> {
        let files = ask.platform.read(|tx| store::list_newest_files(tx, SHOWN_MOST)).await?;
        Ok(Answered::ok(&files.into_iter().map(shown).collect::<Vec<_>>()))
    }
}

impl Answer<ListAchExceptions> for Ach {
    async fn answer(
        &self,
        ask: Ask<ListAchExceptions>,
    ) -> Result<Answered<ListAchExceptions>, Refusal> {
        let apart = ask.platform.read(|tx| store::list_unmatched(tx, SHOWN_MOST)).await?;
        let apart = apart.into_iter().map(|one| AchException {
            at: one.at,
            file: one.file,
            trace_number: one.trace,
            code: one.code,
            amount: one.amount,
            why: one.why,
        });
        Ok(Answered::ok(&apart.collect::<Vec<_>>()))
    }
}

impl Answer<DecideAchFile> for Ach {
    async fn answer(&self, ask: Ask<DecideAchFile>) -> Result<Answered<DecideAchFile>, Refusal> {
        let number = ask.path.number;
        let known = ask.platform.read(move |tx| store::load_file(tx, number)).await?;
        let held = known.ok_or_else(|| Refusal::not_found("ACH file"))?.state == FileState::Held;
        let step = if ask.body.arrived { Step::Arrive } else { Step::Resend };
        let decided = match held {
            true => ask.platform.commit(Advance { epoch: None, number, step }).await?,
            false => None,
        };
        let file = decided.ok_or_else(|| {
            Refusal::new(Code::Conflict, "only a file that is held waits for a decision")
        })?;
        Ok(Answered::ok(&shown(file)))
    }
}

fn shown(file: store::File) -> AchFile {
    AchFile {
        number: file.number,
        name: format!("{}.ach", file.name),
        status: file.state.name().to_owned(),
        entries: file.entries,
        total_debit: file.debit,
        total_credit: file.credit,
        hash: file.hash,
        created_on: Timestamp(file.created),
        reason: file.reason,
    }
}
