//! Commands: what an HTTP write asks of the one writer, in batches of one kind.

use contracts::Refusal;

use crate::work::{Fault, Work};

/// A write of one service, made by a handler after everything that needs no order was done.
pub trait Command: Send + Sync + 'static {
    /// The service that commits it.
    const SERVICE: &'static str;
    /// Its name in metrics and dead ends.
    const NAME: &'static str;
    /// What the caller learns once it is durable.
    type Done: Send + 'static;
}

/// Commits commands of one kind: load, decide, save, emit, for the batch.
///
/// One result per command, in order. A refusal changes nothing and fails nobody else; a fault rolls
/// the whole commit back, and its commands are tried again one by one.
pub trait Commit<C: Command>: Send + Sync + 'static {
    /// Applies the batch inside one transaction.
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[C],
    ) -> Result<Vec<Result<C::Done, Refusal>>, Fault>;
}
