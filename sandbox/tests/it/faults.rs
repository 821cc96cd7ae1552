//! Every fault, for a count and for a time.

use std::io::ErrorKind;
use std::time::Duration;

use iso20022::Dialect::Tch;
use sandbox::{ActiveFault, Fault, Limit, Rail};
use tokio::time::Instant;

use crate::World;
use crate::http::{Client, post, try_post};
use crate::messages::{pacs008, pacs028, status, transfer};

const SOON: Duration = Duration::from_millis(300);

/// A world with a fault of the next message, and that message.
async fn faulty(fault: Fault) -> (World, Vec<u8>, Vec<u8>) {
    let world = World::new().await;
    world.sandbox.fault(Rail::Rtp, fault, Limit::Count(1)).unwrap();
    let payment = transfer(Tch, 1, 100, world.now());
    let message = pacs008(Tch, &payment, world.now());
    let question = pacs028(Tch, &payment, world.now());
    (world, message, question)
}

/// What an enquiry says after the fault, and how many payments are in the books.
async fn after(world: &World, question: &[u8]) -> (String, usize) {
    assert!(world.sandbox.faults().is_empty(), "one message was to be affected");
    let answer = post(world.address(), question).await.unwrap();
    (status(&answer.body), world.sandbox.books().await.unwrap().len())
}

#[tokio::test]
async fn hang_is_not_processed() {
    let (world, message, question) = faulty(Fault::Hang).await;
    assert!(try_post(world.address(), &message, SOON).await.is_none());
    assert_eq!(after(&world, &question).await, ("RJCT NOAT".to_owned(), 0));
}

#[tokio::test]
async fn half_open_is_not_even_read() {
    let (world, message, question) = faulty(Fault::HalfOpen).await;
    let mut client = Client::connect(world.address()).await.unwrap();
    assert!(tokio::time::timeout(SOON, client.post(&message)).await.is_err());
    assert!(!client.closed(SOON).await);
    assert_eq!(after(&world, &question).await, ("RJCT NOAT".to_owned(), 0));
}

#[tokio::test]
async fn half_open_on_a_connection_that_is_open() {
    let world = World::new().await;
    let mut client = Client::connect(world.address()).await.unwrap();
    let first = pacs008(Tch, &transfer(Tch, 1, 100, world.now()), world.now());
    client.post(&first).await.unwrap();
    world.sandbox.fault(Rail::Rtp, Fault::HalfOpen, Limit::Count(1)).unwrap();
    let second = transfer(Tch, 2, 100, world.now());
    let message = pacs008(Tch, &second, world.now());
    assert!(tokio::time::timeout(SOON, client.post(&message)).await.is_err());
    let question = pacs028(Tch, &second, world.now());
    assert_eq!(after(&world, &question).await, ("RJCT NOAT".to_owned(), 1));
}

#[tokio::test]
async fn drop_reply_books_and_closes() {
    let (world, message, question) = faulty(Fault::DropReply).await;
    let error = post(world.address(), &message).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
}

#[tokio::test]
async fn late_reply_to_one_who_waits() {
    let (world, message, question) = faulty(Fault::LateReply).await;
    let begin = Instant::now();
    let answer = post(world.address(), &message).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!(status(&answer.body), "ACTC");
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
    assert!(world.callback.bodies().is_empty());
}

#[tokio::test]
async fn late_reply_to_one_who_gave_up_is_posted() {
    let (world, message, question) = faulty(Fault::LateReply).await;
    assert!(try_post(world.address(), &message, Duration::from_millis(100)).await.is_none());
    let callbacks = world.callback.wait_for(1).await;
    assert_eq!(status(&callbacks[0]), "ACTC");
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
}

#[tokio::test]
async fn duplicate_reply_comes_twice() {
    let (world, message, question) = faulty(Fault::DuplicateReply).await;
    let answer = post(world.address(), &message).await.unwrap();
    assert_eq!(world.callback.wait_for(1).await, [answer.body]);
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
}

#[tokio::test]
async fn garbage_is_no_message() {
    let (world, message, question) = faulty(Fault::Garbage).await;
    let answer = post(world.address(), &message).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(iso20022::parse(&answer.body).is_err());
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
}

#[tokio::test]
async fn close_mid_message_sends_half() {
    let (world, message, question) = faulty(Fault::CloseMidMessage).await;
    let error = post(world.address(), &message).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
}

#[tokio::test]
async fn slow_arrives_whole() {
    let (world, message, question) = faulty(Fault::Slow).await;
    let begin = Instant::now();
    let answer = post(world.address(), &message).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!(status(&answer.body), "ACTC");
    assert_eq!(after(&world, &question).await, ("ACTC".to_owned(), 1));
}

#[tokio::test]
async fn refuse_counted_resets_connections() {
    let (world, message, question) = faulty(Fault::Refuse).await;
    let error = post(world.address(), &message).await.unwrap_err();
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert_eq!(after(&world, &question).await, ("RJCT NOAT".to_owned(), 0));
}

#[tokio::test]
async fn refuse_for_a_time_has_nobody_listen() {
    let world = World::new().await;
    let payment = transfer(Tch, 1, 100, world.now());
    let message = pacs008(Tch, &payment, world.now());
    world.sandbox.fault(Rail::Rtp, Fault::Refuse, Limit::For(Duration::from_secs(60))).unwrap();
    let closed = async {
        while Client::connect(world.address()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, closed).await.expect("the door closes");
    assert_eq!(
        post(world.address(), &message).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    let [ActiveFault { rail: Rail::Rtp, fault: Fault::Refuse, left: Limit::For(left) }] =
        world.sandbox.faults()[..]
    else {
        panic!("{:?}", world.sandbox.faults())
    };
    assert!(left > Duration::from_secs(50));
    // Ended by the operator before its time.
    world.sandbox.fault(Rail::Rtp, Fault::Refuse, Limit::Count(0)).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&post(world.address(), &message).await.unwrap().body), "ACTC");
    assert!(world.sandbox.faults().is_empty());
}

#[tokio::test]
async fn counts_and_times_run_out() {
    let world = World::new().await;
    world.sandbox.fault(Rail::Rtp, Fault::Garbage, Limit::Count(2)).unwrap();
    assert_eq!(
        serde_json::to_value(world.sandbox.faults()).unwrap(),
        serde_json::json!([{ "rail": "rtp", "fault": "garbage", "count": 2 }])
    );
    for (number, garbage) in [(1, true), (2, true), (3, false)] {
        let message = pacs008(Tch, &transfer(Tch, number, 100, world.now()), world.now());
        let answer = post(world.address(), &message).await.unwrap();
        assert_eq!(iso20022::parse(&answer.body).is_err(), garbage);
    }
    let time = Limit::For(Duration::from_millis(300));
    world.sandbox.fault(Rail::Rtp, Fault::DropReply, time).unwrap();
    for _ in 0..3 {
        let message = pacs008(Tch, &transfer(Tch, 4, 100, world.now()), world.now());
        assert!(post(world.address(), &message).await.is_err());
    }
    tokio::time::sleep(Duration::from_millis(320)).await;
    let message = pacs008(Tch, &transfer(Tch, 4, 100, world.now()), world.now());
    assert_eq!(status(&post(world.address(), &message).await.unwrap().body), "ACTC");
    assert_eq!(world.sandbox.books().await.unwrap().len(), 4);
}

#[test]
fn names() {
    assert_eq!("rtp".parse(), Ok(Rail::Rtp));
    assert_eq!("card".parse(), Ok(Rail::Card));
    assert!("wire".parse::<Rail>().is_err());
    assert_eq!("close-mid-message".parse(), Ok(Fault::CloseMidMessage));
    assert_eq!("half-open".parse::<Fault>().unwrap().name(), "half-open");
    assert!("burn".parse::<Fault>().is_err());
}
