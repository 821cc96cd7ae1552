//! The books: paid once, kept over restarts and `kill -9`, fast enough.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use iso20022::Dialect::Tch;
use sandbox::{Sandbox, State};
use tokio::time::Instant;

use crate::http::{Client, post};
use crate::messages::{pacs008, pacs028, report, status, transfer};
use crate::{START, World, config};

#[tokio::test]
async fn the_same_message_is_paid_once() {
    let world = World::new().await;
    let payment = transfer(Tch, 1, 100, world.now());
    let message = pacs008(Tch, &payment, world.now());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (address, message) = (world.address(), message.clone());
        tasks.spawn(async move { post(address, &message).await.unwrap().body });
    }
    let answers = tasks.join_all().await;
    assert_eq!(status(&answers[0]), "ACTC");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "the same bytes");
    assert_eq!(world.sandbox.books().await.unwrap().len(), 1);
    // Also when it says that it is a duplicate (another header, the same payment).
    let text = String::from_utf8(message).unwrap();
    let copy = text.replace("</AppHdr>", "<head:CpyDplct>DUPL</head:CpyDplct></AppHdr>");
    assert_eq!(post(world.address(), copy.as_bytes()).await.unwrap().body, answers[0]);
    // The same MsgId for another payment is refused, and does not touch the first.
    let mut other = payment.clone();
    other.creditor.account = "666".to_owned();
    let message = pacs008(Tch, &other, world.now());
    assert_eq!(status(&post(world.address(), &message).await.unwrap().body), "RJCT DUPL");
    let books = world.sandbox.books().await.unwrap();
    assert_eq!((books.len(), books[0].state), (1, State::Accepted));
}

#[tokio::test]
async fn books_and_debts_survive_a_restart() {
    let world = World::new().await;
    let accepted = transfer(Tch, 1, 100, world.now());
    let rejected = transfer(Tch, 2, 779_512, world.now());
    let pending = transfer(Tch, 3, 779_502, world.now());
    let mut answers = Vec::new();
    for payment in [&accepted, &rejected, &pending] {
        let message = pacs008(Tch, payment, world.now());
        answers.push(post(world.address(), &message).await.unwrap().body);
    }
    // A torn last line, as a crash may leave it.
    let books = world.dir.path().join("sandbox/rtp-books.jsonl");
    let world = world.restarted().await;
    assert_eq!(world.sandbox.books().await.unwrap().len(), 3);
    let asked = post(world.address(), &pacs028(Tch, &accepted, world.now())).await.unwrap();
    assert_eq!(asked.body, answers[0], "the same bytes after a restart");
    let repeated = pacs008(Tch, &rejected, world.now());
    assert_eq!(post(world.address(), &repeated).await.unwrap().body, answers[1]);
    let callbacks = world.callback.wait_for(1).await;
    assert_eq!(status(&callbacks[0]), "ACTC");
    assert_eq!(report(&callbacks[0]).original.message_id, pending.message_id);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let World { sandbox, dir, clock, callback } = world;
    sandbox.shutdown().await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&books).unwrap();
    file.write_all(b"{\"messageID\":\"M2026").unwrap();
    let sandbox = Sandbox::start(config(dir.path(), &clock, callback.address)).await.unwrap();
    assert_eq!(sandbox.books().await.unwrap().len(), 3);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(callback.bodies().len(), 1, "what was told is not told again");
    let other = Sandbox::start(config(dir.path(), &clock, callback.address)).await;
    assert_eq!(other.unwrap_err().kind(), std::io::ErrorKind::ResourceBusy);
}

#[tokio::test]
async fn a_callback_that_is_owed_is_posted_after_a_restart() {
    let world = World::new().await;
    world.callback.answer_with(&[500; 3]);
    let pending = transfer(Tch, 1, 779_502, world.now());
    post(world.address(), &pacs008(Tch, &pending, world.now())).await.unwrap();
    world.callback.wait_for(1).await;
    let world = world.restarted().await;
    let callbacks = world.callback.wait_for(4).await;
    assert!(callbacks.iter().all(|callback| *callback == callbacks[0]));
}

#[tokio::test]
async fn every_message_is_kept_byte_for_byte() {
    let world = World::new().await;
    let message = pacs008(Tch, &transfer(Tch, 1, 100, world.now()), world.now());
    let answer = post(world.address(), &message).await.unwrap().body;
    post(world.address(), b"nonsense").await.unwrap();
    let world = world.restarted().await;
    post(world.address(), b"more").await.unwrap();
    let dir = Arc::clone(&world.dir);
    world.sandbox.shutdown().await;
    let kept = |name: &str| std::fs::read(dir.path().join("sandbox/rtp").join(name)).unwrap();
    assert_eq!(kept("00000001-received.xml"), message);
    assert_eq!(kept("00000002-sent.xml"), answer);
    assert_eq!(kept("00000003-received.xml"), b"nonsense");
    assert_eq!(kept("00000004-received.xml"), b"more");
}

#[tokio::test]
async fn a_bad_callback_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(START));
    let mut config = config(dir.path(), &clock, "127.0.0.1:1".parse().unwrap());
    config.callback_url = Some("https://bank.example/".to_owned());
    assert_eq!(Sandbox::start(config).await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

/// Not a test by itself: the process that the tests of each rail kill.
#[test]
fn child_process() {
    let Some(dir) = std::env::var_os("SANDBOX_TEST_CHILD") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(AtomicI64::new(START));
        let mut config = config(dir.as_ref(), &clock, "127.0.0.1:1".parse().unwrap());
        config.keep_wire = false;
        let sandbox = Sandbox::start(config).await.unwrap();
        println!("\nlistening {}\ncards at {}", sandbox.rtp_address, sandbox.card_address);
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = 0;
    for round in 0..5_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["books::child_process", "--exact", "--nocapture"])
            .env("SANDBOX_TEST_CHILD", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().strip_prefix("listening ").map(str::to_owned))
            .unwrap()
            .parse()
            .unwrap();
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..8_u64 {
            clients.spawn(async move {
                let mut told = Vec::new();
                let Ok(mut connection) = Client::connect(address).await else { return told };
                for count in 0..100_000 {
                    let number = round << 40 | client << 20 | count;
                    let payment = transfer(Tch, number, 100, START);
                    match connection.post(&pacs008(Tch, &payment, START)).await {
                        Ok(answer) if answer.status == 200 => told.push(payment.uetr.unwrap()),
                        _ => break,
                    }
                }
                told
            });
        }
        tokio::time::sleep(Duration::from_millis(80 + 45 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let told: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
        let clock = Arc::new(AtomicI64::new(START));
        let config = config(dir.path(), &clock, "127.0.0.1:1".parse().unwrap());
        let sandbox = Sandbox::start(config).await.unwrap();
        let books = sandbox.books().await.unwrap();
        let mut references: Vec<_> = books.iter().map(|p| p.reference.as_str()).collect();
        references.sort_unstable();
        for uetr in &told {
            assert!(references.binary_search(&uetr.to_string().as_str()).is_ok(), "{uetr} is lost");
        }
        answered += told.len();
        assert!(!told.is_empty() && books.len() >= answered);
        sandbox.shutdown().await;
    }
    println!("kill -9: {answered} payments answered in 5 lives, none lost");
}

/// The load shares the machine and the process with the participant: the figure is a floor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_a_second() {
    const CLIENTS: u64 = 64;
    const EACH: u64 = 150;
    let world = World::new().await;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut config = config(dir.path(), &world.clock, world.callback.address);
    config.keep_wire = false;
    let sandbox = Sandbox::start(config).await.unwrap();
    let (address, now) = (sandbox.rtp_address, world.clock.load(Ordering::Relaxed));
    let messages: Vec<Vec<Vec<u8>>> = (0..CLIENTS)
        .map(|client| {
            let message = |count| {
                let number = client << 20 | count;
                pacs008(Tch, &transfer(Tch, number, 100, now), now)
            };
            (0..EACH).map(message).collect()
        })
        .collect();
    let begin = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for messages in messages {
        clients.spawn(async move {
            let mut connection = Client::connect(address).await.unwrap();
            for message in messages {
                assert_eq!(connection.post(&message).await.unwrap().status, 200);
            }
        });
    }
    clients.join_all().await;
    let seconds = begin.elapsed().as_secs_f64();
    let count = CLIENTS * EACH;
    println!(
        "rtp participant: {:.0} payments/s over {CLIENTS} connections",
        count as f64 / seconds
    );
    assert_eq!(sandbox.books().await.unwrap().len() as u64, count);
    assert!(seconds < 30.0, "{count} payments took {seconds} s");
}
