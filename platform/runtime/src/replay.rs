//! Ending dead letters: an operator's word on its way to the writer, which applies the event again
//! in the consumer's own order, or gives it up.
//!
//! One event a commit, with the row that says how it ended: whatever dies, an event has its effects
//! once. Those parked behind it follow by themselves, until the key is free again.

use std::{collections::VecDeque, sync::Arc};

use contracts::{
    Code, Refusal,
    ids::AccountId,
    operations::{DeadLetterEnded, DeadLetterId},
};
use eventlog::Log;
use parking_lot::Mutex;
use store::Tx;
use tokio::sync::oneshot;

use crate::{
    consumers::Consumer,
    dead_letters::{self, End, Letter},
    desk::Desk,
    queues::{internal, unavailable},
    work::Fault,
    writer::Writing,
};

/// Letters that may wait for the writer; an operator's tool asks for one after the other.
const WAITING_MOST: usize = 64;
/// Events that one turn of the writer applies: what is written meanwhile waits so long.
const EVENTS_MOST: usize = 8;

/// What is to become of a letter.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Its event is applied now.
    Replay,
    /// It never is, for this reason.
    Drop { reason: String },
}

/// A letter that is being ended.
pub(crate) struct Asked {
    id: DeadLetterId,
    deed: Deed,
    by: Option<AccountId>,
    /// The letter itself has ended; those behind it follow.
    key: Option<i64>,
    applied: u64,
    answer: oneshot::Sender<Result<DeadLetterEnded, Refusal>>,
}

impl Asked {
    fn state(&self) -> &'static str {
        match self.deed {
            Deed::Replay => "replayed",
            Deed::Drop { .. } => "dropped",
        }
    }
    fn ended(&self, next: Option<DeadLetterId>) -> DeadLetterEnded {
        DeadLetterEnded {
            dead_letter_id: self.id.clone(),
            state: self.state().to_owned(),
            applied: self.applied,
            next_id: next,
        }
    }
}

/// Letters that wait to be ended.
#[derive(Default)]
pub(crate) struct Repairs(Mutex<VecDeque<Asked>>);

impl Repairs {
    /// Asks the writer; the answer comes once it is durable.
    pub fn ask(
        &self,
        id: DeadLetterId,
        deed: Deed,
        by: Option<AccountId>,
    ) -> Result<oneshot::Receiver<Result<DeadLetterEnded, Refusal>>, Refusal> {
        let mut waiting = self.0.lock();
        if waiting.len() >= WAITING_MOST {
            let many = "many dead letters are being ended";
            return Err(Refusal::new(Code::Busy, many).retry_after(1));
        }
        let (answer, answered) = oneshot::channel();
        waiting.push_back(Asked { id, deed, by, key: None, applied: 0, answer });
        Ok(answered)
    }
    /// Whether the writer has to act.
    pub fn is_waiting(&self) -> bool {
        !self.0.lock().is_empty()
    }
    /// Nobody will act any more: whoever waits is told.
    pub fn close(&self) {
        self.0.lock().clear();
    }
    fn take(&self) -> Option<Asked> {
        self.0.lock().pop_front()
    }
    fn put_back(&self, asked: Asked) {
        self.0.lock().push_front(asked);
    }
}

/// What one commit did for a letter.
enum Step {
    /// All is done.
    Ended(DeadLetterEnded),
    /// An event is done, others follow.
    Goes,
}

/// Why a step changed nothing.
enum Stopped {
    Refused(Box<Refusal>),
    /// This event cannot be applied, for this reason.
    Failed(Box<(DeadLetterId, Fault)>),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<store::Error> for Stopped {
    fn from(error: store::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a dead letter cannot be ended");
        unavailable().into()
    }
}

impl Writing {
    /// Ends letters that wait, a few events at a time.
    pub(crate) fn repair(&mut self, repairs: &Arc<Repairs>) {
        for _ in 0..EVENTS_MOST {
            let Some(mut asked) = repairs.take() else { return };
            match self.repair_once(&mut asked) {
                Ok(Step::Goes) => repairs.put_back(asked),
                // Whoever went away finds the letter ended.
                Ok(Step::Ended(ended)) => drop(asked.answer.send(Ok(ended))),
                Err(refusal) => drop(asked.answer.send(Err(refusal))),
            }
        }
    }
    fn repair_once(&mut self, asked: &mut Asked) -> Result<Step, Refusal> {
        let first = asked.id.clone();
        let done =
            self.commit_alone(first, |consumer, desk, tx| consumer.end_next(desk, tx, asked));
        let (id, error) = match done {
            Ok(step) => return Ok(step),
            Err(Stopped::Refused(refusal)) => return Err(*refusal),
            Err(Stopped::Failed(failed)) if failed.1.is_transient() => return Err(unavailable()),
            Err(Stopped::Failed(failed)) => (failed.0, failed.1.chain()),
        };
        tracing::warn!(%id, error, "a dead letter cannot be applied yet");
        let said =
            self.commit_alone(id.clone(), |_, _, tx| Ok(dead_letters::failed(tx, &id, &error)?));
        match said {
            Ok(()) if asked.key.is_some() => Ok(Step::Ended(asked.ended(Some(id)))),
            Ok(()) => {
                let text = format!("it still cannot be applied: {error}");
                Err(Refusal::new(Code::Conflict, text))
            }
            Err(Stopped::Refused(refusal)) => Err(*refusal),
            Err(Stopped::Failed(_)) => Err(internal()),
        }
    }
    /// Runs `apply` for a letter's consumer in a commit of its own.
    fn commit_alone<T>(
        &mut self,
        id: DeadLetterId,
        apply: impl FnOnce(&mut Consumer, &mut Desk, &mut Tx<'_>) -> Result<T, Stopped>,
    ) -> Result<T, Stopped> {
        let done = self.alone(|consumers, desk, tx| {
            let of = (id.consumer.as_str(), id.topic.as_str());
            let consumer = consumers.iter_mut().find(|c| c.of() == of && !c.in_memory());
            let consumer = consumer.ok_or_else(|| Refusal::not_found("dead letter"))?;
            apply(consumer, desk, tx)
        });
        match done {
            Ok(done) => done,
            Err(fault) => {
                tracing::error!(error = &fault as &dyn std::error::Error, "a commit failed");
                Err(unavailable().into())
            }
        }
    }
}

impl Consumer {
    /// Ends the letter asked for, or, once that has ended, the next of its key.
    fn end_next(
        &mut self,
        desk: &mut Desk,
        tx: &mut Tx<'_>,
        asked: &mut Asked,
    ) -> Result<Step, Stopped> {
        let of = self.of();
        let letter = match asked.key {
            None => match self.asked_for(tx, asked)? {
                Ok(letter) => letter,
                Err(before) => return Ok(Step::Ended(before)),
            },
            Some(key) => match dead_letters::first(tx, of, key)? {
                Some(next) => next,
                None => return Ok(Step::Ended(asked.ended(None))),
            },
        };
        let at = desk.clock.machine();
        let reason = match (&asked.deed, asked.key) {
            (Deed::Drop { reason }, None) => Some(reason.clone()),
            _ => None,
        };
        let applies = reason.is_none();
        if applies {
            self.apply_again(desk, tx, &letter)?;
        }
        dead_letters::end(tx, &letter, &End { at, by: asked.by, reason })?;
        (asked.key, asked.applied) = (Some(letter.key), asked.applied + u64::from(applies));
        match dead_letters::first(tx, of, letter.key)? {
            Some(next) if self.gathers() => Ok(Step::Ended(asked.ended(Some(next.id)))),
            Some(_) => Ok(Step::Goes),
            None => {
                self.free(letter.key);
                Ok(Step::Ended(asked.ended(None)))
            }
        }
    }
    /// The letter asked for, where it may be ended now; what became of it, where it ended before.
    fn asked_for(
        &self,
        tx: &mut Tx<'_>,
        asked: &Asked,
    ) -> Result<Result<Letter, DeadLetterEnded>, Stopped> {
        let Some(letter) = dead_letters::load(tx, &asked.id)? else {
            let Some((_, end)) = dead_letters::end_of(tx, &asked.id)? else {
                return Err(Refusal::not_found("dead letter").into());
            };
            if end.state() == asked.state() {
                return Ok(Err(asked.ended(None)));
            }
            let text = format!("it was {} before", end.state());
            return Err(Refusal::new(Code::Conflict, text).into());
        };
        let first = dead_letters::first(tx, self.of(), letter.key)?;
        if let Some(first) = first.filter(|first| first.id != letter.id) {
            let text = format!("{} of the same key comes first", first.id);
            return Err(Refusal::new(Code::Conflict, text).into());
        }
        if self.gathers() && matches!(asked.deed, Deed::Replay) {
            let text = format!(
                "{} writes what it gathers by marks and takes no event that is older; it can only \
                 be dropped",
                self.of().0
            );
            return Err(Refusal::new(Code::Conflict, text).into());
        }
        Ok(Ok(letter))
    }
    fn apply_again(
        &mut self,
        desk: &mut Desk,
        tx: &mut Tx<'_>,
        letter: &Letter,
    ) -> Result<(), Stopped> {
        let topic = self.of().1;
        let failed = |fault| Stopped::Failed(Box::new((letter.id.clone(), fault)));
        let found = Log::one(tx, topic, letter.event());
        let event = found.map_err(Fault::from).map_err(failed)?;
        let lost = || Fault::Poison("the log does not hold this event any more".to_owned());
        let event = event.ok_or_else(lost).map_err(failed)?;
        self.apply_one(desk, tx, &Arc::new(event)).map_err(failed)
    }
}
