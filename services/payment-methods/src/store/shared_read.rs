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
        loop {
            let turn = tokio::select! {
                biased;
                found = &mut answered => return found.map_err(|_| unreadable()),
                turn = self.turn.lock() => turn,
            };
            self.read(platform).await?;
            drop(turn);
        }
    }
    /// Has what waits now answered; where the read fails, all of it fails.
    async fn read(&self, platform: &Platform) -> Result<(), Refusal> {
        let asked: Vec<Asked> = {
            let mut waiting = self.waiting.lock();
            let count = waiting.len().min(MOST);
            waiting.drain(..count).collect()
        };
        if asked.is_empty() {
            return Ok(());
        }
        // A task of its own: whose turn it is may give up, and the others still get their answers.
        let platform = platform.clone();
        let read = tokio::spawn(async move { answer_all(&platform, asked).await });
        read.await.unwrap_or_else(|_| Err(unreadable()))
    }
}

async fn answer_all(platform: &Platform, asked: Vec<Asked>) -> Result<(), Refusal> {
    let mut ids: Vec<PaymentMethodId> =
        asked.iter().flat_map(|asked| asked.ids.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = platform.read_once(move |tx| load_methods(tx, &ids)).await?;
    let found: BTreeMap<PaymentMethodId, Method> =
        found.into_iter().map(|method| (method.id, method)).collect();
    for Asked { ids, answer } in asked {
        // Who went away needs no answer.
        let _ = answer.send(ids.iter().filter_map(|id| found.get(id).cloned()).collect());
    }
    Ok(())
}

fn unreadable() -> Refusal {
    Refusal::new(Code::Unavailable, "the store cannot be read now").retry_after(1)
}
