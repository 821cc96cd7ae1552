//! The format's connection against the host, over a real socket: what a rail sees of the faults.

use std::io::ErrorKind;
use std::time::Duration;

use iso8583::connection::{CloseReason, Config, Connection, Event};
use iso8583::{Message, authorisation};
use sandbox::{Fault, Limit, Rail, State};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::{books, request, reversal};
use crate::{START, World};

/// A thin driver: the socket and the time.
struct Line<'a> {
    world: &'a World,
    connection: Connection,
    stream: Option<TcpStream>,
    begin: Instant,
    events: Vec<Event>,
}

impl<'a> Line<'a> {
    async fn signed_on(world: &'a World) -> Self {
        let connection = Connection::new(Config::default(), 0);
        let mut line =
            Self { world, connection, stream: None, begin: Instant::now(), events: Vec::new() };
        line.until(|events| events.contains(&Event::SignedOn)).await;
        line.events.clear();
        line
    }

    fn now(&self) -> i64 {
        i64::try_from(self.begin.elapsed().as_micros()).unwrap()
    }

    fn at(&self, time: i64) -> Instant {
        self.begin + Duration::from_micros(time.try_into().unwrap())
    }

    fn enqueue(&mut self, key: u64, message: &Message, millis: i64) {
        let now = self.now();
        self.connection.enqueue(now, key, message, now + millis * 1000).unwrap();
    }

    /// Runs until the events so far are what is waited for.
    async fn until(&mut self, enough: impl Fn(&[Event]) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            while let Some(event) = self.connection.poll_event() {
                if matches!(event, Event::Close { .. }) {
                    self.stream = None;
                    self.connection.disconnected(self.now(), 0);
                }
                self.events.push(event);
            }
            if enough(&self.events) {
                return;
            }
            assert!(Instant::now() < end, "{:?}", self.events);
            match &self.stream {
                None => self.connect().await,
                Some(_) => self.turn().await,
            }
        }
    }

    async fn connect(&mut self) {
        sleep_until(self.at(self.connection.reconnect_at().unwrap())).await;
        match TcpStream::connect(self.world.sandbox.card_address).await {
            Ok(stream) => {
                self.stream = Some(stream);
                let now = self.now();
                self.connection.connected(now, START + now);
            }
            Err(_) => self.connection.disconnected(self.now(), 0),
        }
    }

    async fn turn(&mut self) {
        let timeout = self.at(self.connection.next_timeout().unwrap());
        let stream = self.stream.as_ref().unwrap();
        let mut buffer = [0; 4096];
        let done = if self.connection.transmit().is_empty() {
            tokio::select! {
                biased;
                ready = stream.readable() => ready.and_then(|()| stream.try_read(&mut buffer)),
                () = sleep_until(timeout) => Err(ErrorKind::WouldBlock.into()),
            }
        } else {
            let written = stream.try_write(self.connection.transmit());
            if let Ok(count) = written {
                let now = self.now();
                self.connection.written(now, count);
            }
            written.and(Err(ErrorKind::WouldBlock.into()))
        };
        let now = self.now();
        match done {
            Ok(count @ 1..) => self.connection.received(now, &buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.connection.timeout(now),
            Ok(0) | Err(_) => {
                self.stream = None;
                self.connection.disconnected(now, 0);
            }
        }
    }
}

fn ended(key: u64) -> impl Fn(&[Event]) -> bool {
    move |events| {
        events.iter().any(|event| match event {
            Event::Answer { key: other, .. }
            | Event::Silent { key: other }
            | Event::NotSent { key: other } => *other == key,
            _ => false,
        })
    }
}

#[tokio::test]
async fn many_in_flight_are_answered() {
    let world = World::new().await;
    let mut line = Line::signed_on(&world).await;
    for number in 1..=100 {
        line.enqueue(u64::from(number), &request(number, 100).message(), 3000);
    }
    let answers = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::Answer { .. })).count()
    };
    line.until(|events| answers(events) == 100).await;
    for event in &line.events {
        if let Event::Answer { key, message } = event {
            let answer = authorisation::Response::read(message).unwrap();
            assert_eq!((u64::from(answer.stan.number()), answer.code.as_str()), (*key, "00"));
        }
    }
    line.connection.sign_off(line.now());
    let closed = Event::Close { reason: CloseReason::SignedOff };
    line.until(|events| events.contains(&closed)).await;
    assert_eq!(books(&world).await.len(), 100);
}

#[tokio::test]
async fn silence_is_reversed_and_the_late_answer_belongs_to_nothing() {
    let world = World::new().await;
    let mut line = Line::signed_on(&world).await;
    let asked = request(1, 779_702);
    line.enqueue(1, &asked.message(), 200);
    line.until(ended(1)).await;
    assert_eq!(line.events, [Event::Sent { key: 1 }, Event::Silent { key: 1 }]);
    line.enqueue(2, &reversal(&asked).message(), 3000);
    line.until(ended(2)).await;
    let late = line.events.iter().find_map(|event| match event {
        Event::Unmatched { message, key } => Some((message.field(39).unwrap(), *key)),
        _ => None,
    });
    assert_eq!(late, Some(("00", Some(1))));
    assert!(matches!(line.events.last(), Some(Event::Answer { key: 2, .. })));
    assert_eq!(books(&world).await[0].state, State::Reversed);
}

#[tokio::test]
async fn after_a_fault_it_signs_on_again() {
    for (fault, booked) in [
        (Fault::Garbage, true),
        (Fault::DropReply, true),
        (Fault::CloseMidMessage, true),
        (Fault::Refuse, false),
    ] {
        let world = World::new().await;
        let mut line = Line::signed_on(&world).await;
        world.sandbox.fault(Rail::Card, fault, Limit::Count(1)).unwrap();
        line.enqueue(1, &request(1, 100).message(), 3000);
        line.until(ended(1)).await;
        assert_eq!(line.events[..2], [Event::Sent { key: 1 }, Event::Silent { key: 1 }]);
        line.until(|events| events.contains(&Event::SignedOn)).await;
        line.enqueue(2, &reversal(&request(1, 100)).message(), 3000);
        line.until(ended(2)).await;
        let Some(Event::Answer { key: 2, message }) = line.events.last() else {
            panic!("{fault:?}: {:?}", line.events)
        };
        assert_eq!(message.field(39), Some(if booked { "00" } else { "25" }), "{fault:?}");
    }
}

#[tokio::test]
async fn it_waits_out_refused_connections() {
    let world = World::new().await;
    let mut line = Line::signed_on(&world).await;
    line.enqueue(1, &request(1, 779_600).message(), 3000);
    line.until(ended(1)).await;
    assert!(matches!(line.events.last(), Some(Event::Answer { key: 1, .. })));
    line.until(|events| events.contains(&Event::SignedOn)).await;
    line.enqueue(2, &request(2, 100).message(), 3000);
    line.until(ended(2)).await;
    assert!(matches!(line.events.last(), Some(Event::Answer { key: 2, .. })));
}
