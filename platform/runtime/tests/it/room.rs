//! A database or a disk without room.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use store::Options;

use crate::{
    COUNT_MADE, COUNT_SEEN, Make, Seer, ask, count, directory, eventually, make_many, start_with,
};

/// A full disk is no event's fault: nothing becomes a dead letter, and all goes on once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_waits_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let fills = Arc::new(AtomicBool::new(false));
    let seer = Seer { poison: Arc::default(), fills: Arc::clone(&fills) };
    let location = directory(dir.path());
    let running = start_with(location, Options::default(), 1, seer, Arc::default());
    make_many(&running, 0..10).await;
    fills.store(true, Ordering::Relaxed);
    for number in 10..20 {
        running.platform.commit(Make(number)).await.unwrap();
    }
    assert_eq!(count(&running, &COUNT_MADE).await, 20, "POSTs go on so long as there is room");
    assert_eq!(count(&running, &COUNT_SEEN).await, 10);
    fills.store(false, Ordering::Relaxed);
    eventually(&running, &COUNT_SEEN, 20).await;
    let letters = running.platform.read(runtime::dead_letters).await.unwrap();
    assert!(letters.is_empty(), "{letters:?}");
    running.stop().await;
}

/// Writes are refused while the disk is nearly full, and taken again once it is not, with no restart.
#[tokio::test(flavor = "multi_thread")]
async fn writes_are_taken_again_once_there_is_room() {
    const HALF: u64 = 512 << 20;
    let dir = tempfile::tempdir().unwrap();
    let stat = rustix::fs::statvfs(dir.path()).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    assert!(free > 4 * HALF, "this test needs 2 GiB on the disk of {}", dir.path().display());
    let options = Options { low_free_bytes: free - HALF, ..Options::default() };
    let seer = Seer { poison: Arc::default(), fills: Arc::default() };
    let running = start_with(directory(dir.path()), options, 1, seer, Arc::default());
    make_many(&running, 0..10).await;
    let path = dir.path().join("a-copy-that-somebody-left");
    let file = std::fs::File::create(&path).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 2 * HALF).unwrap();
    // With no key: 401 once it is looked at, and before that 503 where nothing can be taken.
    let asked = || ask(&running, "nobody", "POST", "/1/replay", "");
    let mut number = 10;
    let refused = loop {
        // The writer looks when it has something to do.
        running.platform.commit(Make(number)).await.unwrap();
        let (status, said) = asked().await;
        if status != 401 {
            break (status, said["detail"].to_string());
        }
        number += 1;
        assert!(number < 1000, "never refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(refused, (503, "\"the disk is nearly full\"".to_owned()));
    std::fs::remove_file(path).unwrap();
    drop(file);
    // Nothing is asked of it meanwhile.
    let again = async {
        while asked().await.0 == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    assert_eq!(asked().await.0, 401);
    running.stop().await;
}
