//! Queues: commands of one kind on their way from handlers to the writer.

use std::{
    any::{Any, TypeId},
    sync::Arc,
};

use contracts::{Code, Refusal};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    admission::Admission,
    commands::{Command, Commit},
    work::{Fault, Work},
};

/// A command and whom to answer.
pub(crate) struct Waiting<C: Command> {
    pub command: C,
    pub answer: oneshot::Sender<Result<C::Done, Refusal>>,
}

/// Commands of one kind that wait; bounded by the platform's limit over all kinds.
pub(crate) struct Inbox<C: Command>(Mutex<Vec<Waiting<C>>>);

impl<C: Command> Inbox<C> {
    /// Counted before the writer can take it: the count never falls below what waits.
    pub fn push(&self, waiting: Waiting<C>, admission: &Admission) {
        let mut inbox = self.0.lock();
        admission.enters();
        inbox.push(waiting);
    }
}

/// Commands of one kind, taken and not yet answered.
pub(crate) trait AnyQueue: Send {
    fn service(&self) -> &'static str;
    fn name(&self) -> &'static str;
    fn take(&mut self, most: usize) -> usize;
    fn len(&self) -> usize;
    fn commit(&mut self, work: &mut Work<'_, '_>, from: usize, to: usize) -> Result<(), Fault>;
    fn refuse(&mut self, index: usize, refusal: Refusal);
    fn answer(&mut self);
}

struct Queue<S, C: Command> {
    state: Arc<S>,
    inbox: Arc<Inbox<C>>,
    commands: Vec<C>,
    answers: Vec<oneshot::Sender<Result<C::Done, Refusal>>>,
    results: Vec<Option<Result<C::Done, Refusal>>>,
}

impl<S: Commit<C>, C: Command> AnyQueue for Queue<S, C> {
    fn service(&self) -> &'static str {
        C::SERVICE
    }
    fn name(&self) -> &'static str {
        C::NAME
    }
    fn take(&mut self, most: usize) -> usize {
        let mut inbox = self.inbox.0.lock();
        let count = inbox.len().min(most);
        for waiting in inbox.drain(..count) {
            self.commands.push(waiting.command);
            self.answers.push(waiting.answer);
            self.results.push(None);
        }
        count
    }
    fn len(&self) -> usize {
        self.commands.len()
    }
    fn commit(&mut self, work: &mut Work<'_, '_>, from: usize, to: usize) -> Result<(), Fault> {
        let batch = &self.commands[from..to];
        let results = self.state.commit(work, batch)?;
        assert_eq!(results.len(), batch.len(), "{} answers each command once", C::NAME);
        for (slot, result) in self.results[from..to].iter_mut().zip(results) {
            *slot = Some(result);
        }
        Ok(())
    }
    fn refuse(&mut self, index: usize, refusal: Refusal) {
        self.results[index] = Some(Err(refusal));
    }
    fn answer(&mut self) {
        self.commands.clear();
        let results = self.results.drain(..);
        for (answer, result) in self.answers.drain(..).zip(results) {
            // A caller that went away is no fault: the effect is durable, a repeat finds it.
            let _ = answer.send(result.unwrap_or_else(|| Err(internal())));
        }
    }
}

/// A command that can never be written.
pub(crate) fn internal() -> Refusal {
    Refusal::new(Code::Internal, "this could not be written; nothing was done")
}
/// Nothing can be written now.
pub(crate) fn unavailable() -> Refusal {
    Refusal::new(
        Code::Unavailable,
        "the store cannot be written now; a repeat with the same key is safe",
    )
    .retry_after(1)
}

/// A service's queue of one kind of command.
pub(crate) struct QueueOf {
    kind: TypeId,
    inbox: Arc<dyn Any + Send + Sync>,
    pub queue: Box<dyn AnyQueue>,
}

impl QueueOf {
    pub fn new<S: Commit<C>, C: Command>(state: Arc<S>) -> Self {
        let inbox = Arc::new(Inbox::<C>(Mutex::new(Vec::new())));
        let queue = Queue {
            state,
            inbox: Arc::clone(&inbox),
            commands: Vec::new(),
            answers: Vec::new(),
            results: Vec::new(),
        };
        Self { kind: TypeId::of::<C>(), inbox, queue: Box::new(queue) }
    }
    pub fn inbox(&self) -> (TypeId, Arc<dyn Any + Send + Sync>) {
        (self.kind, Arc::clone(&self.inbox))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Command for Nothing {
        const SERVICE: &'static str = "none";
        const NAME: &'static str = "nothing";
        type Done = ();
    }

    impl Commit<Nothing> for Nothing {
        fn commit(
            &self,
            _: &mut Work<'_, '_>,
            all: &[Nothing],
        ) -> Result<Vec<Result<(), Refusal>>, Fault> {
            Ok(all.iter().map(|_| Ok(())).collect())
        }
    }

    #[test]
    fn what_is_taken_at_once_was_counted_before() {
        const ALL: usize = 300_000;
        let (admission, mut queue) = (Admission::new(ALL), QueueOf::new(Arc::new(Nothing)));
        let inbox = queue.inbox().1.downcast::<Inbox<Nothing>>().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ALL {
                    let (answer, _) = oneshot::channel();
                    inbox.push(Waiting { command: Nothing, answer }, &admission);
                }
            });
            let mut taken = 0;
            while taken < ALL {
                let count = queue.queue.take(ALL);
                admission.taken(count);
                taken += count;
                assert!(admission.waiting() <= ALL - taken, "{}", admission.waiting());
            }
        });
        assert_eq!(admission.waiting(), 0);
    }
}
