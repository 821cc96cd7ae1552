//! Look-ups that share a read: those that come while one is under way are answered together by the
//! next. Each is answered from a state read after it came, so none is stale, and a database is
//! asked once for many.

use std::collections::BTreeMap;

use contracts::{Code, Refusal, ids::PaymentMethodId};
use parking_lot::Mutex;
use runtime::Platform;
use tokio::sync::oneshot;

use super::load_methods;
use crate::domain::Method;

/// Look-ups that one read answers at most.
const MOST: usize = 256;

struct Asked {
    ids: Vec<PaymentMethodId>,
    answer: oneshot::Sender<Vec<Method>>,
}

/// The look-ups that wait, and the turn to read for all of them.
#[derive(Default)]
pub struct SharedRead {
    waiting: Mutex<Vec<Asked>>,
    turn: tokio::sync::Mutex<()>,
}

impl SharedRead {
    /// Those of these methods that there are, in the order asked.
    pub async fn methods(
        &self,
        platform: &Platform,
        ids: Vec<PaymentMethodId>,
    ) -> Result<Vec<Method>, Refusal> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.lock().push(Asked { ids, answer });
        let broken = || Refusal::new(Code::Unavailable, "the store cannot be read now");
        loop {
            let turn = tokio::select! {
                biased;
                found = &mut answered => return found.map_err(|_| broken().retry_after(1)),
                turn = self.turn.lock() => turn,
            };
            self.read(platform).await?;
            drop(turn);
        }
    }
    /// Answers what waits now; where the read fails, all of them fail.
    async fn read(&self, platform: &Platform) -> Result<(), Refusal> {
        let asked: Vec<Asked> = {
            let mut waiting = self.waiting.lock();
            let count = waiting.len().min(MOST);
            waiting.drain(..count).collect()
        };
        let mut ids: Vec<PaymentMethodId> =
            asked.iter().flat_map(|asked| asked.ids.iter().copied()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        ids.sort_unstable();
        ids.dedup();
        let found = platform.read(move |tx| load_methods(tx, &ids)).await?;
        let found: BTreeMap<PaymentMethodId, Method> =
            found.into_iter().map(|method| (method.id, method)).collect();
        for Asked { ids, answer } in asked {
            // Who went away needs no answer.
            let _ = answer.send(ids.iter().filter_map(|id| found.get(id).cloned()).collect());
        }
        Ok(())
    }
}
