//! The rail's two tasks. The clerk makes files at cut-offs and releases funds; the courier brings files
//! to the bank and looks for what it says. A bank that hangs holds up the courier alone. Both are woken
//! by commits, by a moved clock, and by the earliest time at which something is due.

mod clerk;
mod corrections;
mod courier;
mod looks;
mod uploads;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use contracts::{
    Refusal,
    ids::PaymentMethodId,
    payment_methods::{Reveal, RevealedMethod},
};
use runtime::{Command, Platform};

use crate::{Ach, domain::Entry};

/// The pause after something of our own was not there (the store, payment-methods).
const OWN_TROUBLE: Duration = Duration::from_millis(250);
/// Between two looks where another process may have queued something.
const SHARED_STORE_LOOK: Duration = Duration::from_millis(500);
/// Methods opened by one question, as many as it may have.
const REVEALED_MOST: usize = 256;

/// The rail's tasks.
pub async fn run(ach: Arc<Ach>, platform: Platform) {
    let clerk = clerk::Clerk::new(Arc::clone(&ach), platform.clone());
    let courier = courier::Courier::new(ach, platform);
    tokio::join!(clerk.run(), courier.run());
}

fn unsigned(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A pause until a business time from now; at once where that is over.
fn until(platform: &Platform, business: i64) -> Duration {
    let pause = business.saturating_sub(platform.clock().now().0);
    Duration::from_micros(u64::try_from(pause).unwrap_or(0))
}

type Methods = BTreeMap<(PaymentMethodId, i64), RevealedMethod>;

/// The opened payment methods of these entries; `None` where there is no answer. What was claimed
/// under a version is opened again also where it was revoked since.
async fn reveal(platform: &Platform, of: &[Entry], claimed: bool) -> Option<Methods> {
    let wanted: BTreeSet<_> = of.iter().map(|one| (one.method, one.version)).collect();
    let wanted: Vec<_> = wanted.into_iter().collect();
    let again = if claimed { "&revoked=true" } else { "" };
    let mut all = Methods::new();
    for part in wanted.chunks(REVEALED_MOST) {
        let names: Vec<String> =
            part.iter().map(|(id, version)| format!("{id}:{version}")).collect();
        let path = format!("/internal/payment-methods/reveal?methods={}{again}", names.join(","));
        match platform.call::<Reveal>("ach", &path).await {
            Ok(called) => {
                let methods = called.reply.methods.into_iter();
                all.extend(methods.map(|one| ((one.payment_method_id, one.version), one)));
            }
            Err(refusal) => {
                tracing::warn!(%refusal, "ach: payment methods cannot be opened now");
                return None;
            }
        }
    }
    Some(all)
}

/// Commits, and says in the log where that failed.
async fn commit<C: Command>(platform: &Platform, command: C) -> Result<C::Done, Refusal> {
    let name = C::NAME;
    platform.commit(command).await.inspect_err(|refusal| {
        tracing::warn!(%refusal, name, "ach: not committed");
    })
}
