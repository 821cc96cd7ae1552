//! Ends verifications whose time is over, also where nobody asks after them.

use std::{sync::Arc, time::Duration};

use runtime::Platform;

use crate::{PaymentMethods, http::ExpireDeposits, store};

/// Between two looks: a verification that begins between them has days.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// After something of our own was not there.
const OWN_TROUBLE: Duration = Duration::from_secs(1);

/// The service's task.
pub async fn run(_: Arc<PaymentMethods>, platform: Platform) {
    let mut moved = platform.clock().moves();
    loop {
        moved.mark_unchanged();
        let pause = pass(&platform).await;
        tokio::select! {
            biased;
            () = platform.stopping() => return,
            _ = moved.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Ends those that are over; how long no other is.
async fn pass(platform: &Platform) -> Duration {
    loop {
        let next = platform.read(|tx| store::list_expiring(tx, 1)).await;
        let Ok(next) = next else { return OWN_TROUBLE };
        let Some((_, at)) = next.first() else { return LOOK };
        let now = platform.clock().now();
        if *at > now {
            return Duration::from_micros(at.micros_since(now)).min(LOOK);
        }
        if platform.commit(ExpireDeposits).await.is_err() {
            return OWN_TROUBLE;
        }
    }
}
