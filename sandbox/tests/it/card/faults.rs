//! Every fault of the card host, for a count and for a time.

use std::io::ErrorKind;
use std::time::Duration;

use iso8583::network::Information;
use sandbox::{Fault, Limit, Rail, State};
use tokio::time::Instant;

use super::{Client, SOON, books, request, reversal};
use crate::World;

/// A connection that is signed on, and a fault of the next request.
async fn faulty(fault: Fault) -> (World, Client) {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    world.sandbox.fault(Rail::Card, fault, Limit::Count(1)).unwrap();
    // It is no request, and does not count.
    assert_eq!(client.network(Information::Echo).await, "00");
    client.say(&request(1, 100).message()).await;
    (world, client)
}

/// What the reversal says after the fault: whether the request was booked.
async fn after(world: &World, booked: bool) {
    assert!(world.sandbox.faults().is_empty(), "one request was to be affected");
    assert_eq!(books(world).await.len(), usize::from(booked));
    let mut client = Client::signed_on(world).await;
    let code = client.reverse(&reversal(&request(1, 100))).await.code;
    assert_eq!(code, if booked { "00" } else { "25" });
    assert!(books(world).await.iter().all(|payment| payment.state == State::Reversed));
}

#[tokio::test]
async fn hang_is_not_processed_and_the_connection_stays() {
    let (world, mut client) = faulty(Fault::Hang).await;
    assert!(client.hears_nothing().await);
    assert_eq!(client.network(Information::Echo).await, "00");
    after(&world, false).await;
}

#[tokio::test]
async fn drop_reply_books_and_closes() {
    let (world, mut client) = faulty(Fault::DropReply).await;
    assert_eq!(client.hear().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    after(&world, true).await;
}

#[tokio::test]
async fn late_reply_comes_late() {
    let begin = Instant::now();
    let (world, mut client) = faulty(Fault::LateReply).await;
    assert_eq!(client.network(Information::Echo).await, "00");
    assert_eq!(client.hear().await.unwrap().field(39), Some("00"));
    assert!(begin.elapsed() >= Duration::from_millis(400));
    after(&world, true).await;
}

#[tokio::test]
async fn duplicate_reply_comes_twice() {
    let (world, mut client) = faulty(Fault::DuplicateReply).await;
    let answer = client.hear().await.unwrap();
    assert_eq!(client.hear().await.unwrap(), answer);
    assert!(client.hears_nothing().await);
    after(&world, true).await;
}

#[tokio::test]
async fn garbage_is_no_message() {
    let (world, mut client) = faulty(Fault::Garbage).await;
    let frame = client.hear_frame().await.unwrap();
    assert!(iso8583::parse(&frame, &iso8583::Spec::ascii87()).is_err());
    after(&world, true).await;
}

#[tokio::test]
async fn close_mid_message_sends_half() {
    let (world, mut client) = faulty(Fault::CloseMidMessage).await;
    assert_eq!(client.hear().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(client.frames.is_inside());
    after(&world, true).await;
}

#[tokio::test]
async fn slow_arrives_whole() {
    let begin = Instant::now();
    let (world, mut client) = faulty(Fault::Slow).await;
    assert_eq!(client.hear().await.unwrap().field(39), Some("00"));
    assert!(begin.elapsed() >= Duration::from_millis(400));
    after(&world, true).await;
}

#[tokio::test]
async fn refuse_closes_an_open_connection() {
    let (world, mut client) = faulty(Fault::Refuse).await;
    assert_eq!(client.hear().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    after(&world, false).await;
}

#[tokio::test]
async fn refuse_counted_resets_new_connections() {
    let world = World::new().await;
    world.sandbox.fault(Rail::Card, Fault::Refuse, Limit::Count(1)).unwrap();
    let mut client = Client::connect(world.sandbox.card_address).await.unwrap();
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
    assert!(kinds.contains(&client.hear().await.unwrap_err().kind()));
    after(&world, false).await;
}

#[tokio::test]
async fn half_open_kills_a_connection_silently() {
    let (world, mut client) = faulty(Fault::HalfOpen).await;
    assert!(client.hears_nothing().await);
    client.say(&request(2, 100).message()).await;
    assert!(client.hears_nothing().await);
    after(&world, false).await;
    // A new one likewise.
    world.sandbox.fault(Rail::Card, Fault::HalfOpen, Limit::Count(1)).unwrap();
    let mut client = Client::connect(world.sandbox.card_address).await.unwrap();
    client.say(&request(3, 100).message()).await;
    assert!(client.hears_nothing().await);
    assert_eq!(Client::signed_on(&world).await.authorise(&request(3, 100)).await.code, "00");
}

#[tokio::test]
async fn refuse_for_a_time_has_nobody_listen() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let address = world.sandbox.card_address;
    world.sandbox.fault(Rail::Card, Fault::Refuse, Limit::For(Duration::from_secs(60))).unwrap();
    let closed = async {
        while Client::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, closed).await.expect("the door closes");
    assert!(client.hear().await.is_err());
    let json = serde_json::to_value(world.sandbox.faults()).unwrap();
    assert_eq!((&json[0]["rail"], &json[0]["fault"]), (&"card".into(), &"refuse".into()));
    // The other rail is open.
    assert!(tokio::net::TcpStream::connect(world.address()).await.is_ok());
    // Ended by the operator before its time.
    world.sandbox.fault(Rail::Card, Fault::Refuse, Limit::Count(0)).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    after(&world, false).await;
}
