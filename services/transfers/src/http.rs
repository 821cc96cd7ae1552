//! The public transfers API: an answer per endpoint, and what the writer commits for them.

mod cancel;
mod create;
mod details;
mod follow;
mod refunds;
mod request;
mod show;
mod timeline;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contracts::{Refusal, ids::TransferId};
use parking_lot::Mutex;
use runtime::Platform;
use tokio::sync::oneshot;

use crate::{Transfers, domain::is_final, store, store::Record};

pub use cancel::Cancel;
pub use create::{NewTransfer, accept};
pub use follow::Followers;
pub use refunds::NewRefund;
pub use request::hash;

/// Requests that wait for a transfer's end. Cheap to clone.
#[derive(Clone, Default)]
pub struct Waiters(Arc<Mutex<BTreeMap<TransferId, Vec<oneshot::Sender<()>>>>>);

impl Waiters {
    fn register(&self, transfer: TransferId) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        self.0.lock().entry(transfer).or_default().push(wake);
        woken
    }
    /// Drops those of a transfer that nobody listens to any more.
    fn forget(&self, transfer: TransferId) {
        let mut waiting = self.0.lock();
        if let Some(of_one) = waiting.get_mut(&transfer) {
            of_one.retain(|wake| !wake.is_closed());
            if of_one.is_empty() {
                waiting.remove(&transfer);
            }
        }
    }
    /// Some transfers may have ended in another process: whoever waits looks.
    pub fn wake_all(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        for wake in all.into_values().flatten() {
            // Who went away needs no answer.
            let _ = wake.send(());
        }
    }
    /// These transfers have ended, durably.
    pub fn wake(&self, ended: &[TransferId]) {
        let mut waiting = self.0.lock();
        if waiting.is_empty() {
            return;
        }
        for transfer in ended {
            for wake in waiting.remove(transfer).into_iter().flatten() {
                // Who went away needs no answer.
                let _ = wake.send(());
            }
        }
    }
}

impl Transfers {
    /// A transfer that this account may see; 404 otherwise.
    async fn visible(
        &self,
        platform: &Platform,
        account: contracts::ids::AccountId,
        transfer: TransferId,
    ) -> Result<Record, Refusal> {
        let record = load(platform, transfer).await?;
        record
            .filter(|record| record.is_seen_by(account))
            .ok_or_else(|| Refusal::not_found("transfer"))
    }
    /// The transfer once it is final, or as it is when the time is over.
    async fn settled(
        &self,
        platform: &Platform,
        transfer: TransferId,
        most: Duration,
    ) -> Result<Record, Refusal> {
        let timer = tokio::time::sleep(most);
        tokio::pin!(timer);
        loop {
            // Registered before the look, so that no end falls between the two.
            let woken = self.waiters.register(transfer);
            let record = existing(platform, transfer).await?;
            if is_final(record.progress.status) {
                drop(woken);
                self.waiters.forget(transfer);
                return Ok(record);
            }
            tokio::select! {
                biased;
                _ = woken => {}
                () = &mut timer => {
                    self.waiters.forget(transfer);
                    return existing(platform, transfer).await;
                }
            }
        }
    }
}

async fn load(platform: &Platform, transfer: TransferId) -> Result<Option<Record>, Refusal> {
    platform.read(move |tx| store::load(tx, transfer)).await
}

async fn existing(platform: &Platform, transfer: TransferId) -> Result<Record, Refusal> {
    load(platform, transfer).await?.ok_or_else(|| Refusal::not_found("transfer"))
}
