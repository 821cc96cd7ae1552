//! What the host answers and books: every row of its tables, repeats, reversals, restarts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use iso8583::authorisation::{self, Processing, Request};
use iso8583::network::Information;
use iso8583::{Moment, Pan, Stan};
use sandbox::{Direction, State};
use tokio::time::Instant;

use super::{Client, books, request, reversal};
use crate::{START, World};

#[tokio::test]
async fn anything_else_is_approved_captured_and_settled() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let asked = request(1, 12_345);
    let answer = client.authorise(&asked).await;
    let approval = answer.approval.clone().unwrap();
    assert_eq!(approval.len(), 6);
    assert_eq!(answer, asked.response("00", Some(&approval)));
    let shown = serde_json::to_value(&books(&world).await[0]).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({
            "rail": "card", "transferID": "00000000-0000-0000-0000-000000000001",
            "reference": "R00000000001", "amount": 12_345, "currency": "USD", "state": "approved",
            "direction": "debit", "kind": "payment"
        })
    );
    world.clock.fetch_add(1_999_999, Ordering::Relaxed);
    assert_eq!(books(&world).await[0].state, State::Approved);
    world.clock.fetch_add(1, Ordering::Relaxed);
    assert_eq!(books(&world).await[0].state, State::Settled);
}

#[tokio::test]
async fn every_kind_has_its_direction() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let kinds = [
        (Processing::Payment, "payment", Direction::Debit),
        (Processing::Pull, "pull", Direction::Debit),
        (Processing::Refund, "refund", Direction::Credit),
        (Processing::Push, "push", Direction::Credit),
    ];
    for (number, (processing, _, _)) in (1..).zip(kinds) {
        let asked = Request { processing, ..request(number, 100) };
        assert_eq!(client.authorise(&asked).await.code, "00");
    }
    let booked = books(&world).await;
    for (payment, (_, kind, direction)) in booked.iter().zip(kinds) {
        assert_eq!((payment.kind, payment.direction), (Some(kind), Some(direction)));
    }
}

#[tokio::test]
async fn nothing_is_taken_before_the_sign_on_or_after_the_sign_off() {
    let world = World::new().await;
    let mut client = Client::connect(world.sandbox.card_address).await.unwrap();
    assert_eq!(client.authorise(&request(1, 100)).await.code, "91");
    assert_eq!(client.reverse(&reversal(&request(1, 100))).await.code, "91");
    assert_eq!(client.network(Information::Echo).await, "00");
    assert_eq!(client.network(Information::SignOn).await, "00");
    assert_eq!(client.network(Information::SignOff).await, "00");
    assert_eq!(client.authorise(&request(1, 100)).await.code, "91");
    assert_eq!(client.network(Information::SignOn).await, "00");
    assert!(books(&world).await.is_empty());
    assert_eq!(client.authorise(&request(1, 100)).await.code, "00");
}

#[tokio::test]
async fn known_cards_pass_and_wrong_check_digits_do_not() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    for (number, pan, code) in [
        (1, "4111111111111111", "00"),
        (2, "5555555555554444", "00"),
        (3, "6011111111111117", "00"),
        (4, "371111111111114", "00"),
        (5, "4111100010002000", "00"),
        (6, "4111111111111112", "14"),
    ] {
        let asked = Request { pan: Pan::parse(pan).unwrap(), ..request(number, 100) };
        assert_eq!(client.authorise(&asked).await.code, code, "{pan}");
    }
    assert_eq!(client.authorise(&request(7, 0)).await.code, "13");
    let states: Vec<State> = books(&world).await.iter().map(|payment| payment.state).collect();
    assert_eq!(states[..5], [State::Approved; 5]);
    assert_eq!(states[5..], [State::Rejected; 2]);
    // No number is in the books in the clear.
    let lines = std::fs::read_to_string(world.dir.path().join("sandbox/card-books.jsonl")).unwrap();
    assert!(lines.contains("411111******1111") && !lines.contains("4111111111111111"), "{lines}");
}

#[tokio::test]
async fn rows_of_declines() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    for code in 3..=99_u32 {
        let answer = client.authorise(&request(code, 779_700 + i64::from(code))).await;
        let approved = matches!(code, 8 | 10 | 11 | 16 | 32);
        let expected = if approved { "00".to_owned() } else { format!("{code:02}") };
        assert_eq!(answer.code, expected);
        assert_eq!(answer.approval.is_some(), approved);
    }
    let booked = books(&world).await;
    assert_eq!(booked.iter().filter(|payment| payment.state == State::Rejected).count(), 92);
    // There is nothing to take back of a decline.
    assert_eq!(client.reverse(&reversal(&request(51, 779_751))).await.code, "00");
    assert_eq!(books(&world).await, booked);
}

#[tokio::test]
async fn row_9700_is_booked_and_the_answer_lost() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let asked = request(1, 779_700);
    client.say(&asked.message()).await;
    assert!(client.hears_nothing().await);
    assert_eq!(books(&world).await[0].state, State::Approved);
    let answer = client.reverse(&reversal(&asked)).await;
    assert_eq!((answer.code.as_str(), answer.stan), ("00", Stan::new(500_001).unwrap()));
    assert_eq!(books(&world).await[0].state, State::Reversed);
    // Settlement does not touch what is reversed.
    world.clock.fetch_add(60_000_000, Ordering::Relaxed);
    assert_eq!(books(&world).await[0].state, State::Reversed);
}

#[tokio::test]
async fn row_9701_books_nothing_and_its_reversal_finds_nothing() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let asked = request(1, 779_701);
    client.say(&asked.message()).await;
    assert!(client.hears_nothing().await);
    assert!(books(&world).await.is_empty());
    let reversal = reversal(&asked);
    let answer = client.reverse(&reversal).await;
    assert_eq!((answer.code.as_str(), answer.original), ("25", Some(reversal.original)));
    assert!(books(&world).await.is_empty());
}

#[tokio::test]
async fn row_9702_is_answered_when_its_reversal_has_come() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let asked = request(1, 779_702);
    client.say(&asked.message()).await;
    assert!(client.hears_nothing().await);
    assert_eq!(books(&world).await[0].state, State::Approved);
    client.say(&reversal(&asked).message()).await;
    let late = authorisation::Response::read(&client.hear().await.unwrap()).unwrap();
    assert_eq!((late.code.as_str(), late.stan), ("00", asked.stan));
    let answer = reversal::Response::read(&client.hear().await.unwrap()).unwrap();
    assert_eq!(answer.code, "00");
    assert_eq!(books(&world).await[0].state, State::Reversed);
    assert!(client.hears_nothing().await, "it is answered once");
}

#[tokio::test]
async fn row_9702_comes_at_last_without_a_reversal() {
    let world = World::with(|timings| timings.hold = Duration::from_millis(500)).await;
    let mut client = Client::signed_on(&world).await;
    let begin = Instant::now();
    let answer = client.authorise(&request(1, 779_702)).await;
    assert_eq!(answer.code, "00");
    assert!(begin.elapsed() >= Duration::from_millis(450));
}

#[tokio::test]
async fn row_9600_is_answered_and_then_nobody_listens() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let mut other = Client::signed_on(&world).await;
    let begin = Instant::now();
    assert_eq!(client.authorise(&request(1, 779_600)).await.code, "00");
    let refused = Client::connect(world.sandbox.card_address).await.err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    for client in [&mut client, &mut other] {
        let ended = client.hear().await.unwrap_err();
        assert_eq!(ended.kind(), std::io::ErrorKind::UnexpectedEof);
    }
    let mut client = loop {
        match Client::connect(world.sandbox.card_address).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let away = begin.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&away), "{away:?}");
    client.network(Information::SignOn).await;
    assert_eq!(client.authorise(&request(2, 100)).await.code, "00");
    assert_eq!(books(&world).await.len(), 2);
}

#[tokio::test]
async fn a_repeat_is_answered_the_same_and_booked_once() {
    let world = World::new().await;
    let asked = request(1, 100);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut client = Client::signed_on(&world).await;
        let asked = asked.clone();
        tasks.spawn(async move { client.authorise(&asked).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers[0].code, "00");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(books(&world).await.len(), 1);
    // The same trace with other content is another request.
    let mut client = Client::signed_on(&world).await;
    assert_eq!(client.authorise(&Request { amount: 101, ..asked.clone() }).await.code, "94");
    // Another moment or terminal is another trace.
    let transmitted = Moment::from_unix_micros(START + 1_000_000);
    assert_eq!(client.authorise(&Request { transmitted, ..asked.clone() }).await.code, "00");
    let terminal = "SWITCH02".to_owned();
    assert_eq!(client.authorise(&Request { terminal, ..asked.clone() }).await.code, "00");
    assert_eq!(books(&world).await.len(), 3);
    let world = world.restarted().await;
    let mut client = Client::signed_on(&world).await;
    assert_eq!(client.authorise(&asked).await, answers[0], "also after a restart");
    assert_eq!(books(&world).await.len(), 3);
}

#[tokio::test]
async fn reversals_are_repeated_and_may_overtake() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let (first, second) = (request(1, 100), request(2, 200));
    client.authorise(&first).await;
    let reversal_1 = reversal(&first);
    let answer = client.reverse(&reversal_1).await;
    assert_eq!(answer.code, "00");
    assert_eq!(client.reverse(&reversal_1.repeated()).await, answer);
    // A repeat of the request does not revive it: its answer is what it was.
    assert_eq!(client.authorise(&first).await.code, "00");
    assert_eq!(books(&world).await[0].state, State::Reversed);
    // The second's reversal comes before it.
    let reversal_2 = reversal(&second);
    assert_eq!(client.reverse(&reversal_2).await.code, "25");
    let world = world.restarted().await;
    let mut client = Client::signed_on(&world).await;
    assert_eq!(client.authorise(&second).await.code, "21");
    assert_eq!(client.reverse(&reversal_2.repeated()).await.code, "25");
    assert_eq!(client.reverse(&reversal_1.repeated()).await.code, "00");
    assert_eq!(books(&world).await.len(), 1);
    // After its settlement too, but not of another amount.
    let third = request(3, 300);
    client.authorise(&third).await;
    world.clock.fetch_add(10_000_000, Ordering::Relaxed);
    assert_eq!(books(&world).await[1].state, State::Settled);
    let part = reversal(&Request { amount: 299, ..third.clone() });
    assert_eq!(client.reverse(&part).await.code, "64");
    assert_eq!(books(&world).await[1].state, State::Settled);
    assert_eq!(client.reverse(&reversal(&third)).await.code, "00");
    assert_eq!(books(&world).await[1].state, State::Reversed);
}

#[tokio::test]
async fn a_reversal_behind_its_request_finds_it() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    for number in 1..=100 {
        // Both in one write: they are worked on at the same time.
        let asked = request(number, 100);
        let both = [asked.message(), reversal(&asked).message()].map(|message| {
            iso8583::frame(&iso8583::write(&message, &iso8583::Spec::ascii87()).unwrap())
        });
        client.say_bytes(&both.concat()).await.unwrap();
        let codes = [client.hear().await.unwrap(), client.hear().await.unwrap()]
            .map(|message| message.field(39).unwrap().to_owned());
        assert_eq!(codes, ["00", "00"], "{number}");
    }
    assert!(books(&world).await.iter().all(|payment| payment.state == State::Reversed));
}

#[tokio::test]
async fn what_is_no_request_is_refused_or_noted() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    let mut lacking = request(1, 100).message();
    lacking.remove(18);
    client.say(&lacking).await;
    let answer = client.hear().await.unwrap();
    assert_eq!((answer.field(39), answer.field(11)), (Some("30"), Some("000001")));
    assert_eq!(answer.field(2), None);
    // An answer to nothing.
    client.say(&request(1, 100).response("00", None).message()).await;
    assert!(client.hears_nothing().await);
    assert_eq!(world.sandbox.unmatched(), 2);
    // Bytes that are no message: with a card number where a digit is wrong.
    client.say_bytes(&iso8583::frame(b"0100\x40\0\0\0\0\0\0\x00164111111111111x11")).await.unwrap();
    assert!(client.hear().await.is_err());
    let mut client = Client::signed_on(&world).await;
    client.say_bytes(&[0xff; 10]).await.unwrap();
    assert!(client.hear().await.is_err());
    assert_eq!(world.sandbox.unmatched(), 4);
    assert!(books(&world).await.is_empty());
    let notes = world.dir.path().join("sandbox/card-unmatched.jsonl");
    let notes = std::fs::read_to_string(notes).unwrap();
    assert!(notes.contains("field 2: wrong character") && !notes.contains("41111111"), "{notes}");
}

#[tokio::test]
async fn every_message_is_kept() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    client.authorise(&request(1, 100)).await;
    let dir = std::sync::Arc::clone(&world.dir);
    world.sandbox.shutdown().await;
    let path = dir.path().join("sandbox/card/messages.jsonl");
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let directions: Vec<&str> = lines.iter().map(|l| l["direction"].as_str().unwrap()).collect();
    assert_eq!(directions, ["received", "sent", "received", "sent"]);
    assert!(lines[0]["time"].as_str().unwrap().starts_with("2026-11-24T15:33:36"));
    // 0800, with its length: every byte.
    let sign_on =
        "0028303830308220000000000000040000000000000031313234313533333336303030303031303031";
    let hex = lines[0]["hex"].as_str().unwrap();
    assert_eq!(hex.len() / 2 - 2, usize::from_str_radix(&hex[..4], 16).unwrap());
    assert_eq!(hex[4..], sign_on[4..]);
}

/// The load shares the machine and the process with the host: the figure is a floor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_a_second() {
    const EACH: u32 = 500;
    const CLIENTS: u32 = 8;
    const WINDOW: u32 = 50;
    let world = World::new().await;
    let begin = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let mut connection = Client::signed_on(&world).await;
        clients.spawn(async move {
            for batch in 0..EACH / WINDOW {
                for number in 0..WINDOW {
                    let number = 1 + client * EACH + batch * WINDOW + number;
                    connection.say(&request(number, 100).message()).await;
                }
                for _ in 0..WINDOW {
                    let answer = connection.hear().await.unwrap();
                    assert_eq!(answer.field(39), Some("00"));
                }
            }
        });
    }
    clients.join_all().await;
    let millis = begin.elapsed().as_millis();
    let count = u128::from(CLIENTS * EACH);
    println!("card host: {} payments/s over {CLIENTS} connections", count * 1000 / millis.max(1));
    assert_eq!(books(&world).await.len() as u128, count);
    assert!(millis < 30_000, "{count} payments took {millis} ms");
}
