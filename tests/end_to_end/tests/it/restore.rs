//! A backup is put back, as `docs/operating/backup.md` says, on the topics that were there before.

use end_to_end::{Backup, Process};

const KINDS: [&str; 3] = ["moov-wallet", "rtp-credit", "ach-credit-standard"];
/// Those that go on by themselves: the bank has a file of the next number already, and a person must
/// look.
const GOES_ON: [&str; 2] = ["moov-wallet", "rtp-credit"];

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_put_back_on_the_old_topics() {
    let _alone = crate::MACHINE.lock().await;
    let Some(mut process) = Process::start_several_by_kafka().await else { return };
    let api = process.api();
    let mut kept = Vec::new();
    for kind in KINDS {
        kept.push(api.transfer(api.wallet(), api.method(0, kind), 100).await);
        assert_eq!(api.settled(kept.last().unwrap()).await["status"], "completed", "{kind}");
    }
    let backup = Backup::of(&process);
    let mut lost = Vec::new();
    for kind in KINDS.into_iter().cycle().take(30) {
        lost.push(api.transfer(api.wallet(), api.method(0, kind), 100).await);
    }
    for id in &lost {
        assert_eq!(api.settled(id).await["status"], "completed");
    }
    process.kill();
    backup.put_back();
    process.again().await;
    // More than were lost: each number of a lost event is given again.
    let mut new = Vec::new();
    for kind in GOES_ON.into_iter().cycle().take(60) {
        new.push(api.transfer(api.wallet(), api.method(0, kind), 100).await);
    }
    for id in kept.iter().chain(&new) {
        assert_eq!(api.settled(id).await["status"], "completed");
    }
    let account = api.account();
    for id in &lost {
        let gone = api.get(&format!("/accounts/{account}/transfers/{id}")).await;
        assert_eq!(gone.status, 404, "{gone:?}");
    }
    assert!(process.log().contains("events of another life: left alone"), "the topics had some");
    assert!(!process.log().contains("migrate --restored"), "no consumer was ahead");
    process.verify();
    assert!(process.stop().success());
}
