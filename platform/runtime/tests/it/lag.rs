//! How far a consumer is behind, in what is none of its business too.

use std::{sync::Arc, time::Duration};

use contracts::{
    Refusal,
    ids::TransferId,
    ledger::{LedgerRefused, RefusedReason, WalletCreated},
};
use runtime::{Clock, Command, Commit, Fault, Service, Settings, Tier, Work};
use store::{Options, Store};

use crate::{Watcher, directory};

/// Plays a ledger that refuses.
struct Refuser;
struct Refuse;
impl Command for Refuse {
    const SERVICE: &'static str = "ledger";
    const NAME: &'static str = "Refuse";
    type Done = ();
}
impl Commit<Refuse> for Refuser {
    fn commit(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Refuse],
    ) -> Result<Vec<Result<(), Refusal>>, Fault> {
        for _ in batch {
            let transfer_id = TransferId(work.fresh(0));
            let reason = RefusedReason::InsufficientFunds;
            work.emit(transfer_id.row(), 0, &LedgerRefused { transfer_id, leg: 0, reason });
        }
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}

/// An event of the past that no consumer wants once made a process not ready, and refuse writes, until
/// the next commit: where it was refused, for good.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_behind_in_events_that_nobody_wants() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut writer) = Store::open(directory(dir.path()), Options::default()).unwrap();
    let ledger = Service::new("ledger", Tier::Service, Arc::new(Refuser));
    let ledger = ledger.commits::<Refuse>().emits::<LedgerRefused>().emits::<WalletCreated>();
    // It reads what is durable alone: after the commit, so that it is behind for a moment.
    let watcher = Service::new("webhooks", Tier::Service, Arc::new(Watcher::default()));
    let watcher = watcher.committed_only().handles::<WalletCreated>();
    let services = vec![ledger.wire(), watcher.wire()];
    writer.migrate(&runtime::migrations(&services)).unwrap();
    let settings = Settings {
        shards: 1,
        waiting_most: 10_000,
        sandbox: true,
        directory: None,
        clock: Clock::system(),
    };
    let running = runtime::start(store, writer, services, settings).unwrap();
    running.platform.commit(Refuse).await.unwrap();
    let age = "switchyard_unconsumed_age_seconds{consumer=\"webhooks\"} 0.000000";
    let none = async {
        while !running.platform.metrics().contains(age) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let metrics = || running.platform.metrics();
    tokio::time::timeout(Duration::from_secs(10), none)
        .await
        .unwrap_or_else(|_| panic!("{}", metrics()));
    running.stop().await;
}
