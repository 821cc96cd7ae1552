//! kill -9 under load: nothing acknowledged is lost, nothing is doubled, books are equal.

use std::time::Duration;

use end_to_end::{Load, Process, Servers};

/// How often the process is killed.
const KILLS: usize = 20;
/// How long it may take to be ready again.
const READY_MOST: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_and_double_nothing() {
    let mut process = Process::start().await;
    let load = Load::start(&process).await;
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(120 + 37 * (kill as u64 % 7))).await;
        process.kill();
        slowest = slowest.max(process.again().await);
    }
    let transfers = load.audit().await;
    println!("{transfers} transfers, {KILLS} kills, ready again in {slowest:?} at most");
    assert!(slowest <= READY_MOST, "ready again after {slowest:?}");
    process.verify();
    assert!(process.stop().success());
}

/// Each of many processes dies in its turn, under load, while all others go on.
#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_each_process_loses_and_doubles_nothing() {
    let _alone = crate::MACHINE.lock().await;
    let Some(mut process) = Process::start_several().await else { return };
    let load = Load::start(&process).await;
    for number in 0..process.roles().len() {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        process.kill_one(number).await;
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    process.is_ready().await;
    let transfers = load.audit().await;
    println!("{transfers} transfers, {} processes killed", process.roles().len());
    process.verify();
    assert!(process.stop().success());
}

/// How far apart faults are.
const BETWEEN: Duration = Duration::from_secs(3);
/// Longer than a process takes part without being heard of.
const ASLEEP: Duration = Duration::from_secs(7);

/// Under one load: kill -9 of every role in turn, the broker gone and back, a crash of the database,
/// processes asleep past their part and their lease, a topic deleted.
#[tokio::test(flavor = "multi_thread")]
async fn rolling_faults_by_kafka_lose_and_double_nothing() {
    let _alone = crate::MACHINE.lock().await;
    let Some(servers) = Servers::start() else { return };
    let mut process = Process::start_several_on(&servers).await;
    let mut load = Load::start_steady(&process).await;
    for number in 0..process.roles().len() {
        tokio::time::sleep(BETWEEN).await;
        process.kill_one(number).await;
    }
    tokio::time::sleep(BETWEEN).await;
    servers.kill_broker(0);
    tokio::time::sleep(BETWEEN).await;
    servers.resume_broker(0);
    tokio::time::sleep(BETWEEN).await;
    servers.crash_database();
    // Both of transfers, whose relay another takes over, one of ledger, the only one of rtp.
    for number in [3, 4, 6, 11] {
        tokio::time::sleep(BETWEEN).await;
        process.pause_one(number, true);
        tokio::time::sleep(ASLEEP).await;
        process.pause_one(number, false);
    }
    tokio::time::sleep(BETWEEN).await;
    servers.delete_topic("switchyard.ledger");
    let drained = tokio::select! {
        biased;
        drained = load.drained() => drained,
        () = process.is_watched() => unreachable!("it never ends"),
    };
    process.is_ready().await;
    let transfers = load.audit().await;
    println!("{transfers} transfers, drained {drained:?} after the last fault");
    process.verify();
    assert!(process.stop().success());
}
