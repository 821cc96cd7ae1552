//! Handlers of events: one kind at a time, or several kinds together, in the order of the log.

use std::{marker::PhantomData, sync::Arc};

use contracts::{Event, exchanges::EventPlace};
use eventlog::Stored;

use crate::work::{Delivered, Fault, Work};

/// Handles one kind of event: for the batch load, decide in order, save, emit.
///
/// Pure: no I/O but the transaction, no clock but `work.now`, ids that are not derived come from
/// `work`. Delivered exactly once in effect, in order for each key.
pub trait Handle<E: Event>: Send + Sync + 'static {
    /// Applies the batch inside one transaction.
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Delivered<E>]) -> Result<(), Fault>;
}

/// Handles several kinds of events as one: a batch holds all of them, in their order.
pub trait HandleTogether<M: Together>: Send + Sync + 'static {
    /// Applies the batch inside one transaction.
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Delivered<M>]) -> Result<(), Fault>;
}

/// What one handler needs of several kinds of events.
pub trait Together: Sized + 'static {
    /// The kinds, each with how it is read.
    const KINDS: &'static [OneOf<Self>];
}

/// One kind among several.
pub struct OneOf<M> {
    pub(crate) kind: i64,
    pub(crate) version: u16,
    pub(crate) name: &'static str,
    pub(crate) emitters: &'static [&'static str],
    read: fn(&[u8]) -> Result<M, Fault>,
}

impl<M> OneOf<M> {
    /// Reads this kind by `From`.
    pub const fn of<E: Event>() -> Self
    where
        M: From<E>,
    {
        Self {
            kind: E::KIND,
            version: E::VERSION,
            name: E::NAME,
            emitters: E::EMITTERS,
            read: |payload| Ok(read::<E>(payload)?.into()),
        }
    }
}

fn read<E: Event>(payload: &[u8]) -> Result<E, Fault> {
    E::from_compact(payload)
        .map_err(|error| Fault::Poison(format!("{} cannot be read: {error}", E::NAME)))
}

fn known(stored: &Stored, name: &str, version: u16) -> Result<(), Fault> {
    match eventlog::version_of(stored.kind) {
        found if found == version => Ok(()),
        found => Err(Fault::UnknownVersion(format!("{name} version {found}"))),
    }
}

fn delivered<D>(stored: &Stored, data: D) -> Delivered<D> {
    Delivered {
        place: EventPlace { shard: stored.shard, place: stored.place },
        sequence: stored.sequence,
        key: stored.key,
        at: stored.at,
        trace: stored.trace,
        data,
    }
}

/// Handles stored events.
pub(crate) trait AnyHandler: Send + Sync {
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Arc<Stored>]) -> Result<(), Fault>;
}

/// A handler with the kind that it takes, and where events of that kind come from.
pub(crate) struct HandlerOf {
    pub kind: i64,
    /// Kinds of the same number are handled together.
    pub together: i64,
    pub topics: &'static [&'static str],
    pub handler: Arc<dyn AnyHandler>,
}

struct Single<S, E>(Arc<S>, PhantomData<fn() -> E>);

/// The handler of one kind.
pub(crate) fn single<S: Handle<E>, E: Event>(state: Arc<S>) -> HandlerOf {
    let handler = Arc::new(Single::<S, E>(state, PhantomData));
    HandlerOf { kind: E::KIND, together: E::KIND, topics: E::EMITTERS, handler }
}

impl<S: Handle<E>, E: Event> AnyHandler for Single<S, E> {
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Arc<Stored>]) -> Result<(), Fault> {
        let mut all = Vec::with_capacity(batch.len());
        for stored in batch {
            known(stored, E::NAME, E::VERSION)?;
            all.push(delivered(stored, read::<E>(&stored.payload)?));
        }
        self.0.handle(work, &all)
    }
}

struct Several<S, M>(Arc<S>, PhantomData<fn() -> M>);

/// The handlers of several kinds, which are one.
pub(crate) fn several<S, M>(state: Arc<S>) -> impl Iterator<Item = HandlerOf>
where
    S: HandleTogether<M>,
    M: Together,
{
    let handler: Arc<dyn AnyHandler> = Arc::new(Several::<S, M>(state, PhantomData));
    let together = M::KINDS.first().map_or(0, |one| one.kind);
    M::KINDS.iter().map(move |one| HandlerOf {
        kind: one.kind,
        together,
        topics: one.emitters,
        handler: Arc::clone(&handler),
    })
}

impl<S: HandleTogether<M>, M: Together> AnyHandler for Several<S, M> {
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Arc<Stored>]) -> Result<(), Fault> {
        let mut all = Vec::with_capacity(batch.len());
        for stored in batch {
            let kind = eventlog::kind_of(stored.kind);
            let one = M::KINDS.iter().find(|one| one.kind == kind);
            let one = one.ok_or_else(|| Fault::Poison(format!("kind {kind} is not handled")))?;
            known(stored, one.name, one.version)?;
            all.push(delivered(stored, (one.read)(&stored.payload)?));
        }
        self.0.handle(work, &all)
    }
}
