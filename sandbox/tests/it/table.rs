//! Every row of the table of amounts, in both dialects where they differ.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use iso20022::Dialect::{FedNow, Tch};
use iso20022::{Envelope, Message, Wrapper, parse};
use sandbox::State;

use crate::World;
use crate::http::{Client, post, try_post};
use crate::messages::{pacs008, pacs028, report, status, transfer};

const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn anything_else_is_accepted() {
    let world = World::new().await;
    for (number, dialect, expected) in [(1, Tch, "ACTC"), (2, FedNow, "ACSC")] {
        let payment = transfer(dialect, number, 12_345, world.now());
        let answer = post(world.address(), &pacs008(dialect, &payment, world.now())).await.unwrap();
        assert_eq!((answer.status, status(&answer.body).as_str()), (200, expected));
        let envelope = parse(&answer.body).unwrap();
        let wrapper = if dialect == Tch { Wrapper::Tch } else { Wrapper::FedNowOutgoing };
        assert_eq!(envelope.wrapper, wrapper);
        let told = report(&answer.body);
        assert_eq!(told.original.message_id, payment.message_id);
        assert_eq!(told.original.uetr, payment.uetr);
        assert_eq!(told.amount, Some(payment.amount));
        let asked = post(world.address(), &pacs028(dialect, &payment, world.now())).await.unwrap();
        assert_eq!(status(&asked.body), expected);
    }
    let books = world.sandbox.books().await.unwrap();
    let json = serde_json::to_value(&books[0]).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "rail": "rtp", "transferID": "00000000-0000-0000-0000-000000000001",
            "reference": "00000000-0000-4000-8000-000000000001",
            "amount": 12_345, "currency": "USD", "state": "accepted"
        })
    );
    assert_eq!(books.len(), 2);
}

#[tokio::test]
async fn row_9500_is_booked_and_never_acknowledged() {
    let world = World::new().await;
    let payment = transfer(Tch, 1, 779_500, world.now());
    let message = pacs008(Tch, &payment, world.now());
    assert!(try_post(world.address(), &message, SOON).await.is_none());
    assert_eq!(world.sandbox.books().await.unwrap()[0].state, State::Accepted);
    let asked = post(world.address(), &pacs028(Tch, &payment, world.now())).await.unwrap();
    assert_eq!(status(&asked.body), "ACTC");
    assert_eq!(world.sandbox.books().await.unwrap().len(), 1);
}

#[tokio::test]
async fn row_9501_never_arrived_and_is_stale_later() {
    let world = World::new().await;
    for (number, dialect, reason) in [(1, Tch, "RJCT NOAT"), (2, FedNow, "RJCT NOOR")] {
        let payment = transfer(dialect, number, 779_501, world.now());
        let message = pacs008(dialect, &payment, world.now());
        assert!(try_post(world.address(), &message, SOON).await.is_none());
        let question = pacs028(dialect, &payment, world.now());
        let asked = post(world.address(), &question).await.unwrap();
        assert_eq!(status(&asked.body), reason);
        assert!(report(&asked.body).says_never_arrived());
        assert!(world.sandbox.books().await.unwrap().is_empty());
        // The same enquiry has the same answer.
        assert_eq!(post(world.address(), &question).await.unwrap().body, asked.body);
    }
    let payment = transfer(Tch, 1, 779_501, world.now());
    let message = pacs008(Tch, &payment, world.now());
    world.clock.fetch_add(3_000_001, Ordering::Relaxed);
    assert_eq!(status(&post(world.address(), &message).await.unwrap().body), "RJCT TM01");
    assert_eq!(world.sandbox.books().await.unwrap()[0].state, State::Rejected);
}

#[tokio::test]
async fn row_9502_is_final_later_by_callback_and_enquiry() {
    let world = World::new().await;
    world.callback.answer_with(&[503, 500]);
    for (count, dialect, expected) in [(3, Tch, "ACTC"), (4, FedNow, "ACSC")] {
        let payment = transfer(dialect, count, 779_502, world.now());
        let message = pacs008(dialect, &payment, world.now());
        let question = pacs028(dialect, &payment, world.now());
        let answer = post(world.address(), &message).await.unwrap();
        assert_eq!(status(&answer.body), "ACWP");
        assert_eq!(status(&post(world.address(), &question).await.unwrap().body), "ACWP");
        assert_eq!(world.sandbox.books().await.unwrap().last().unwrap().state, State::Pending);
        // The first is taken at the third attempt.
        let callbacks = world.callback.wait_for(usize::try_from(count).unwrap()).await;
        let last = callbacks.last().unwrap();
        assert_eq!(status(last), expected);
        assert_eq!(report(last).original.message_id, payment.message_id);
        assert_eq!(post(world.address(), &question).await.unwrap().body, *last);
        assert_eq!(post(world.address(), &message).await.unwrap().body, *last);
        assert_eq!(world.sandbox.books().await.unwrap().last().unwrap().state, State::Accepted);
    }
    let callbacks = world.callback.bodies();
    assert_eq!(callbacks.len(), 4);
    assert!(callbacks[0] == callbacks[1] && callbacks[1] == callbacks[2]);
}

#[tokio::test]
async fn rows_9511_to_9521_are_rejected_with_their_reasons() {
    let world = World::new().await;
    let reasons =
        ["AC03", "AC04", "AC06", "AC14", "AG01", "AG03", "AM02", "AM04", "AM09", "BE04", "MD07"];
    for (row, reason) in (0_i64..).zip(reasons) {
        for (offset, dialect) in [(0, Tch), (100, FedNow)] {
            let number = u64::try_from(row).unwrap() + offset;
            let payment = transfer(dialect, number, 5_779_511 + row, world.now());
            let message = pacs008(dialect, &payment, world.now());
            let answer = post(world.address(), &message).await.unwrap();
            assert_eq!(status(&answer.body), format!("RJCT {reason}"));
            assert!(!report(&answer.body).says_never_arrived());
            let asked = post(world.address(), &pacs028(dialect, &payment, world.now())).await;
            assert_eq!(asked.unwrap().body, answer.body);
        }
    }
    let books = world.sandbox.books().await.unwrap();
    assert_eq!(books.len(), 22);
    assert!(books.iter().all(|payment| payment.state == State::Rejected));
}

#[tokio::test]
async fn row_9600_is_answered_and_then_connections_are_refused() {
    let world = World::new().await;
    let mut idle = Client::connect(world.address()).await.unwrap();
    let first = pacs008(Tch, &transfer(Tch, 1, 100, world.now()), world.now());
    assert_eq!(idle.post(&first).await.unwrap().status, 200);
    let away = pacs008(Tch, &transfer(Tch, 2, 779_600, world.now()), world.now());
    let begin = tokio::time::Instant::now();
    let answer = post(world.address(), &away).await.unwrap();
    assert!(status(&answer.body) == "ACTC" && answer.close);
    assert!(idle.closed(SOON).await, "connections that are open are closed");
    let next = pacs008(Tch, &transfer(Tch, 3, 100, world.now()), world.now());
    let mut refused = 0;
    let answer = loop {
        match post(world.address(), &next).await {
            Ok(answer) => break answer,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "no byte may leave");
                refused += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(refused > 5 && begin.elapsed() >= Duration::from_millis(600));
    assert_eq!(status(&answer.body), "ACTC");
    assert_eq!(world.sandbox.books().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_older_than_the_window_is_stale() {
    let world = World::new().await;
    let at_the_edge = transfer(Tch, 1, 100, world.now() - 3_000_000);
    let message = pacs008(Tch, &at_the_edge, world.now());
    assert_eq!(status(&post(world.address(), &message).await.unwrap().body), "ACTC");
    let beyond = transfer(Tch, 2, 100, world.now() - 3_001_000);
    let message = pacs008(Tch, &beyond, world.now());
    let answer = post(world.address(), &message).await.unwrap();
    assert_eq!(status(&answer.body), "RJCT TM01");
    let asked = post(world.address(), &pacs028(Tch, &beyond, world.now())).await.unwrap();
    assert_eq!(asked.body, answer.body);
    // Known before it was stale: not stale.
    world.clock.fetch_add(60_000_000, Ordering::Relaxed);
    let message = pacs008(Tch, &at_the_edge, world.now());
    assert_eq!(status(&post(world.address(), &message).await.unwrap().body), "ACTC");
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_kept() {
    let world = World::new().await;
    let good = pacs008(Tch, &transfer(Tch, 1, 100, world.now()), world.now());
    let text = String::from_utf8(good).unwrap();
    let status = |body: String| async move {
        let answer = post(world.address(), body.as_bytes()).await.unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap(), world)
    };
    let (code, errors, world) = status("\u{0}<<<not XML".to_owned()).await;
    assert_eq!(code, 400, "{errors}");
    for (from, to, said) in [
        ("<Message", "<!DOCTYPE x><Message", "DOCTYPE"),
        ("pacs.008.001.08\">", "pacs.008.001.12\">", "pacs.008.001.12"),
        (">1.00<", ">1e2<", "IntrBkSttlmAmt"),
    ] {
        let answer = post(world.address(), text.replace(from, to).as_bytes()).await.unwrap();
        let errors = String::from_utf8(answer.body).unwrap();
        assert!(answer.status == 400 && errors.contains(said), "{errors}");
    }
    let accepted = post(world.address(), text.as_bytes()).await.unwrap();
    assert_eq!(post(world.address(), &accepted.body).await.unwrap().status, 400);
    let message = Message::CreditTransfer(transfer(Tch, 9, 100, world.now()));
    let bare = Envelope { wrapper: Wrapper::Document, header: None, message };
    assert_eq!(post(world.address(), &bare.write().unwrap()).await.unwrap().status, 400);
    assert_eq!(post(world.address(), &vec![b'x'; 70_000]).await.unwrap().status, 413);
    assert_eq!(world.sandbox.unmatched(), 7);
    let kept = std::fs::read_to_string(world.dir.path().join("sandbox/rtp-unmatched.jsonl"));
    assert_eq!(kept.unwrap().lines().count(), 7);
    assert_eq!(world.sandbox.books().await.unwrap().len(), 1);
}
