//! Each fault, as a client meets it, and that the bank is well after it.

use std::io::ErrorKind;
use std::time::Duration;

use sandbox::{ActiveFault, Fault, Limit, Rail, State};
use tokio::time::{Instant, timeout};

use super::World;
use super::client::Client;
use super::files::credits;

const SOON: Duration = Duration::from_millis(300);

/// After a fault a file goes through, and the bank ends in order: a start on the same books would
/// fail if something still held them.
async fn assert_well(world: World) {
    assert!(world.sandbox.faults().is_empty(), "{:?}", world.sandbox.faults());
    assert_eq!(world.send("well", &credits('Z', &[1])).await["accepted"], true);
    let world = world.restarted(|_| {}).await;
    assert_eq!(world.send("well2", &credits('Y', &[1])).await["accepted"], true);
}

#[tokio::test]
async fn another_host_key_is_refused_before_a_login() {
    let world = World::new().await;
    world.fault(Fault::WrongHostKey);
    let refused = Client::connect(&world).await.err().unwrap();
    assert!(refused.to_string().contains("key"), "{refused}");
    assert_well(world).await;
}

#[tokio::test]
async fn refused_and_half_open_connections() {
    let world = World::new().await;
    world.fault(Fault::Refuse);
    assert!(Client::connect(&world).await.is_err());
    world.client().await;
    world.fault(Fault::HalfOpen);
    let dead = timeout(SOON, Client::connect(&world)).await;
    assert!(dead.is_err(), "nothing comes");
    assert_well(world).await;
}

#[tokio::test]
async fn refused_for_a_time() {
    let world = World::new().await;
    let open = world.client().await;
    let time = Limit::For(Duration::from_millis(500));
    world.sandbox.fault(Rail::Ach, Fault::Refuse, time).unwrap();
    let [ActiveFault { rail: Rail::Ach, fault: Fault::Refuse, left: Limit::For(_) }] =
        world.sandbox.faults()[..]
    else {
        panic!("{:?}", world.sandbox.faults())
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = tokio::net::TcpStream::connect(world.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(open.sftp.metadata("/").await.is_err(), "open connections are closed");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_well(world).await;
}

#[tokio::test]
async fn a_request_that_hangs_and_one_that_is_slow() {
    let world = World::new().await;
    let client = world.client().await;
    world.fault(Fault::Hang);
    assert!(timeout(SOON, client.sftp.metadata("/")).await.is_err());
    drop(client);
    let client = world.client().await;
    world.fault(Fault::Slow);
    let begin = Instant::now();
    client.sftp.metadata("/").await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
    assert_well(world).await;
}

#[tokio::test]
async fn an_upload_is_cut_in_its_middle() {
    let world = World::new().await;
    let bytes = credits('A', &[100]).write().unwrap();
    let client = world.client().await;
    world.fault(Fault::CloseMidMessage);
    assert!(client.write_part("one", &bytes).await.is_err());
    let client = world.client().await;
    let size = client.size("/outbound/one.part").await;
    assert_eq!(size, Some(bytes.len() as u64 / 2));
    // Written again from its begin, it is whole.
    client.upload("one", &bytes).await.unwrap();
    assert_eq!(client.acknowledgement("one").await["accepted"], true);
    world.books_when(&[State::Accepted]).await;
    assert_well(world).await;
}

#[tokio::test]
async fn a_rename_is_done_and_its_answer_lost() {
    let world = World::new().await;
    let client = world.client().await;
    let bytes = credits('A', &[100]).write().unwrap();
    client.write_part("one", &bytes).await.unwrap();
    world.fault(Fault::DropReply);
    assert!(client.rename("one").await.is_err());
    let client = world.client().await;
    assert_eq!(client.size("/outbound/one.ach").await, Some(bytes.len() as u64));
    assert_eq!(client.size("/outbound/one.part").await, None);
    assert_eq!(client.acknowledgement("one").await["accepted"], true);
    world.books_when(&[State::Accepted]).await;
    assert_well(world).await;
}

#[tokio::test]
async fn the_disk_is_full_and_a_rename_fails() {
    let world = World::new().await;
    let client = world.client().await;
    let bytes = credits('A', &[100]).write().unwrap();
    world.fault(Fault::DiskFull);
    let full = client.write_part("one", &bytes).await.unwrap_err();
    assert!(full.to_string().contains("No space left"), "{full}");
    client.write_part("one", &bytes).await.unwrap();
    world.fault(Fault::RenameFails);
    let failed = client.rename("one").await.unwrap_err();
    assert!(failed.to_string().contains("the rename failed"), "{failed}");
    assert_eq!(client.size("/outbound/one.part").await, Some(bytes.len() as u64));
    client.rename("one").await.unwrap();
    assert_eq!(client.acknowledgement("one").await["accepted"], true);
}

#[tokio::test]
async fn bytes_are_lost_that_were_acknowledged() {
    let world = World::new().await;
    let client = world.client().await;
    // More than one write.
    let bytes = credits('A', &[5; 2000]).write().unwrap();
    world.fault(Fault::PartialUpload);
    client.write_part("one", &bytes).await.unwrap();
    let size = client.size("/outbound/one.part").await.unwrap();
    assert!(size < bytes.len() as u64, "{size} of {}", bytes.len());
    // A client that does not look sends half a file, which the bank refuses.
    client.rename("one").await.unwrap();
    assert_eq!(client.acknowledgement("one").await["accepted"], false);
    world.books_when(&[]).await;
    assert_well(world).await;
}

#[tokio::test]
async fn garbage_late_and_twice() {
    let world = World::new().await;
    let client = world.client().await;
    world.fault(Fault::Garbage);
    world.fault(Fault::LateReply);
    world.fault(Fault::DuplicateReply);
    let begin = Instant::now();
    client.upload("one", &credits('A', &[779_901]).write().unwrap()).await.unwrap();
    let garbage = client.read_when("/returned/garbage-000000.ach").await;
    assert!(nacha::parse(&garbage).is_err());
    client.acknowledgement("one").await;
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
    world.advance(Duration::from_millis(500));
    let first = client.read_when("/returned/return-000001.ach").await;
    assert_eq!(client.read_when("/returned/return-000001-again.ach").await, first);
    assert_well(world).await;
}

#[tokio::test]
async fn away_after_a_file_of_9600() {
    let world = World::new().await;
    let client = world.client().await;
    client.upload("one", &credits('A', &[779_600]).write().unwrap()).await.unwrap();
    world.books_when(&[State::Accepted]).await;
    let begin = Instant::now();
    while tokio::net::TcpStream::connect(world.address()).await.is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(2), "nobody is away");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let client = world.client().await;
    assert_eq!(client.acknowledgement("one").await["accepted"], true);
    assert_well(world).await;
}

#[tokio::test]
async fn what_a_client_may_not_do() {
    let world = World::new().await;
    let client = world.client().await;
    let bytes = credits('A', &[100]).write().unwrap();
    let told = |result: Result<(), russh_sftp::client::error::Error>| {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(told(client.sftp.create_dir("/outbound/x").await).starts_with("Permission denied"));
    assert!(told(client.sftp.write("/outbound/x.ach", b"").await).starts_with("Permission"));
    for path in ["/ack/x", "/returned/x.part", "/../../etc/x", "/x"] {
        let created = client.sftp.create(path).await;
        assert!(created.is_err(), "{path}");
    }
    assert!(client.sftp.read("/../../../etc/passwd").await.is_err());
    assert_eq!(client.sftp.canonicalize("../..").await.unwrap(), "/");
    assert_eq!(client.sftp.canonicalize("outbound/../ack").await.unwrap(), "/ack");
    assert_eq!(client.names("/").await, ["ack", "outbound", "returned"]);
    // Onto an existing file no rename goes, and what was taken stays as it is.
    client.upload("one", &bytes).await.unwrap();
    client.write_part("one", b"other").await.unwrap();
    assert!(client.rename("one").await.unwrap_err().to_string().contains("exists"));
    assert_eq!(client.sftp.read("/outbound/one.ach").await.unwrap(), bytes);
    let out = client.sftp.rename("/outbound/one.part", "/ack/one.ack").await;
    assert!(told(out).starts_with("Permission denied"));
    client.sftp.remove_file("/outbound/one.part").await.unwrap();
    assert!(told(client.sftp.remove_file("/outbound/one.part").await).starts_with("No such file"));
}
