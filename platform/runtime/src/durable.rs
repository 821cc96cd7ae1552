//! What must be written though the store is away: news of the outside, which nobody will tell again.

use std::{fmt::Display, time::Duration};

use contracts::Code;

use crate::{Command, Platform};

/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a stopping process still tries.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How often it is tried where the store says that it can never be written.
const TRIES: u32 = 3;

impl Platform {
    /// Commits until it is durable; gives up only where the process stops, or where it can never be
    /// written, and says so in the log. What is not written then is found at the next start by what
    /// was claimed for it. `about` names it in the log.
    pub async fn commit_until_durable<C>(&self, command: C, about: impl Display)
    where
        C: Command<Done = ()> + Clone,
    {
        let service = C::SERVICE;
        let mut failures = 0;
        loop {
            let last = async {
                self.stopping().await;
                tokio::time::sleep(LAST_WORD).await;
            };
            let committed = tokio::select! {
                biased;
                committed = self.commit(command.clone()) => committed,
                () = last => return,
            };
            match committed {
                Ok(()) => return,
                Err(refusal) if self.is_stopping() => {
                    tracing::warn!(%refusal, service, %about, "left to the next start");
                    return;
                }
                Err(refusal) if refusal.code == Code::Internal => {
                    failures += 1;
                    if failures >= TRIES {
                        tracing::error!(%refusal, service, %about, "not recorded");
                        return;
                    }
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
