//! Notifications of change: what the receiving bank says of an account goes to the service that keeps
//! it. That is a call and not an event, since an account number may be in no event.

use std::collections::BTreeMap;

use contracts::{
    Code, Refusal,
    payment_methods::{CorrectBankAccount, CorrectBankAccountRequest},
};

use super::courier::Courier;
use crate::{
    domain::Entry,
    http::About,
    wire::{self, Answer, Said},
};

impl Courier {
    /// Corrects the bank accounts that the notifications of a file are about. Done: those refused for
    /// good, by their place in the file, with why; `None` where it is to be tried again later, all of
    /// it: a notice that comes twice changes nothing the second time.
    pub(super) async fn correct(
        &self,
        hash: &str,
        answers: &[Answer],
    ) -> Option<BTreeMap<usize, String>> {
        let mut refused = BTreeMap::new();
        if !answers.iter().any(|answer| matches!(answer.said, Said::Changed(_))) {
            return Some(refused);
        }
        let (ach, of) = (self.ach.clone(), answers.to_vec());
        let about = self.platform.read(move |tx| About::load(tx, &ach.config.us, &of));
        let about = about.await.ok()?;
        for (place, answer) in answers.iter().enumerate() {
            let Said::Changed(change) = &answer.said else { continue };
            // One that fits no entry, or one that was returned, is set aside when it is taken in.
            let entry = about.key(&self.ach.config.us, answer).ok();
            let entry = entry.and_then(|key| about.entries.get(&key));
            let Some(entry) = entry.filter(|entry| entry.is_at_bank()) else { continue };
            match self.notify(entry, change, format!("{hash}:{place}")).await {
                Ok(()) => {}
                Err(refusal) if is_for_good(&refusal) => {
                    refused.insert(place, format!("the bank account stays: {}", refusal.detail));
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "ach: a bank account cannot be corrected now");
                    return None;
                }
            }
        }
        Some(refused)
    }
    async fn notify(
        &self,
        entry: &Entry,
        change: &nacha::Change,
        cause: String,
    ) -> Result<(), Refusal> {
        let corrected = wire::corrected(change)
            .map_err(|error| Refusal::new(Code::InvalidField, error.to_string()))?;
        let Some(corrected) = corrected else { return Ok(()) };
        let notice = CorrectBankAccountRequest {
            payment_method_id: entry.method,
            version: entry.version,
            change_code: change.code.to_string(),
            corrected,
            cause,
        };
        self.platform.send::<CorrectBankAccount>("ach", &notice).await.map(|_| ())
    }
}

/// Whether another try would be refused as well.
fn is_for_good(refusal: &Refusal) -> bool {
    refusal.code.status() < 500 && refusal.code != Code::Busy
}
