//! One rule a test: a scripted host, no network between.

use iso8583::connection::{CloseReason, Config, Connection, Event, Refused};
use iso8583::network::{self, Information};
use iso8583::reversal::{self, Reason};
use iso8583::{Class, FrameError, Frames, Message, Moment, Spec, Stan, frame, parse, write};

use crate::{SECOND, UTC, number, request};

/// A connection, and the host's end of its bytes.
struct World {
    connection: Connection,
    heard: Frames,
    now: i64,
}

impl World {
    /// Connected, and the sign-on not answered.
    fn connected(config: Config) -> Self {
        let mut connection = Connection::new(config, 0);
        assert_eq!(connection.reconnect_at(), Some(0));
        connection.connected(0, UTC);
        assert_eq!(connection.reconnect_at(), None);
        Self { connection, heard: Frames::new(4096), now: 0 }
    }

    fn signed_on() -> Self {
        Self::signed_on_with(Config { in_flight_most: 3, ..Config::default() })
    }

    fn signed_on_with(config: Config) -> Self {
        let mut world = Self::connected(config);
        world.answer_network(Information::SignOn, "00");
        assert_eq!(world.events(), [Event::SignedOn]);
        world
    }

    /// Takes all that waits to be written.
    fn heard(&mut self) -> Vec<Message> {
        let bytes = self.connection.transmit().to_vec();
        self.connection.written(self.now, bytes.len());
        self.heard.push(&bytes);
        let mut messages = Vec::new();
        while let Some(next) = self.heard.poll() {
            messages.push(parse(&next.unwrap(), &Spec::ascii87()).unwrap());
        }
        messages
    }

    fn say(&mut self, message: &Message) {
        let bytes = frame(&write(message, &Spec::ascii87()).unwrap());
        self.connection.received(self.now, &bytes);
    }

    fn answer_network(&mut self, information: Information, code: &str) {
        let heard = self.heard();
        let [question] = &heard[..] else { panic!("one question, not {heard:?}") };
        let question = network::Request::read(question).unwrap();
        assert_eq!(question.information, information);
        self.say(&question.response(code).message());
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.poll_event()).collect()
    }

    fn enqueue(&mut self, number: u32) -> Result<(), Refused> {
        let message = request(number).message();
        let deadline = self.now + 10 * SECOND;
        self.connection.enqueue(self.now, u64::from(number), &message, deadline)
    }

    /// Goes to the next timeout.
    fn wait(&mut self) -> i64 {
        self.now = self.connection.next_timeout().unwrap();
        self.connection.timeout(self.now);
        self.now
    }
}

fn answer(number: u32) -> Message {
    request(number).response("00", Some("000001")).message()
}

fn closed(reason: CloseReason) -> Event {
    Event::Close { reason }
}

#[test]
fn nothing_before_the_sign_on_is_answered() {
    let mut world = World::connected(Config::default());
    assert_eq!(world.enqueue(1), Err(Refused::NotSignedOn));
    let heard = world.heard();
    assert_eq!(heard.len(), 1);
    let sign_on = network::Request::read(&heard[0]).unwrap();
    assert_eq!(sign_on.transmitted, Moment::from_unix_micros(UTC));
    // An answer to another question is none.
    let stan = sign_on.stan.next();
    let other = network::Request { stan, ..sign_on }.response("00").message();
    world.say(&other);
    assert_eq!(world.events(), [Event::Unmatched { message: other, key: None }]);
    assert_eq!(world.enqueue(1), Err(Refused::NotSignedOn));
    world.say(&sign_on.response("00").message());
    assert_eq!(world.events(), [Event::SignedOn]);
    assert_eq!(world.enqueue(1), Ok(()));
}

#[test]
fn a_sign_on_that_is_refused_or_not_answered_ends_the_connection() {
    let mut world = World::connected(Config::default());
    world.answer_network(Information::SignOn, "91");
    assert_eq!(world.events(), [closed(CloseReason::SignOnRefused("91".to_owned()))]);
    assert_eq!((world.connection.next_timeout(), world.connection.transmit()), (None, &[][..]));
    let mut world = World::connected(Config::default());
    world.heard();
    assert_eq!(world.wait(), 5 * SECOND);
    assert_eq!(world.events(), [closed(CloseReason::SignOnUnanswered)]);
}

#[test]
fn answers_find_their_messages_in_any_order() {
    let mut world = World::signed_on();
    for number in [1, 2, 3] {
        world.enqueue(number).unwrap();
    }
    assert_eq!(world.events(), []);
    let heard = world.heard();
    assert_eq!(heard.iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.events(), [1, 2, 3].map(|key| Event::Sent { key }));
    for key in [3, 1, 2] {
        let message = answer(u32::try_from(key).unwrap());
        world.say(&message);
        assert_eq!(world.events(), [Event::Answer { key, message: message.clone() }]);
        // The same once more.
        world.say(&message);
        assert_eq!(world.events(), [Event::Unmatched { message, key: Some(key) }]);
    }
    assert_eq!(world.connection.in_flight(), 0);
}

#[test]
fn an_answer_must_have_class_number_time_and_terminal_of_the_message() {
    let mut world = World::signed_on();
    world.enqueue(1).unwrap();
    world.heard();
    world.events();
    let reversal = reversal::Request::of(
        &request(1),
        Stan::new(1).unwrap(),
        request(1).transmitted,
        Reason::TimeOut,
    );
    let mut others = vec![reversal.response("00").message()];
    for (field, text) in [(7, "1124153337"), (11, "000002"), (41, "SWITCH02")] {
        others.push(answer(1).with(field, text));
    }
    for field in [7, 11, 41] {
        let mut message = answer(1);
        message.remove(field);
        others.push(message);
    }
    others.push(request(1).message());
    for message in others {
        world.say(&message);
        assert_eq!(world.events(), [Event::Unmatched { message, key: None }]);
    }
    world.say(&answer(1));
    assert_eq!(world.events(), [Event::Answer { key: 1, message: answer(1) }]);
}

#[test]
fn silence_ends_a_message_and_its_late_answer_is_recognised() {
    let mut world = World::signed_on();
    world.enqueue(1).unwrap();
    world.heard();
    assert_eq!(world.events(), [Event::Sent { key: 1 }]);
    assert_eq!(world.wait(), 10 * SECOND);
    assert_eq!(world.events(), [Event::Silent { key: 1 }]);
    world.say(&answer(1));
    assert_eq!(world.events(), [Event::Unmatched { message: answer(1), key: Some(1) }]);
    // Also after the connection was lost and made again.
    world.connection.disconnected(world.now, 0);
    world.now = world.connection.reconnect_at().unwrap();
    world.connection.connected(world.now, UTC);
    world.say(&answer(1));
    assert_eq!(world.events(), [Event::Unmatched { message: answer(1), key: Some(1) }]);
}

#[test]
fn what_was_not_written_was_not_sent() {
    let mut world = World::signed_on();
    for number in [1, 2, 3] {
        world.enqueue(number).unwrap();
    }
    // All of the first and one byte of the second.
    let first = frame(&write(&request(1).message(), &Spec::ascii87()).unwrap()).len();
    assert!(world.connection.transmit().len() > first + 1);
    world.connection.written(0, first + 1);
    assert_eq!(world.events(), [1, 2].map(|key| Event::Sent { key }));
    assert_eq!(world.connection.transmit()[0], request_frame(2)[1], "goes on where it stopped");
    // An answer to what was not sent is none.
    world.say(&answer(3));
    assert_eq!(world.events(), [Event::Unmatched { message: answer(3), key: None }]);
    world.connection.disconnected(SECOND, 0);
    let mut events = world.events();
    events.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(
        events,
        [Event::NotSent { key: 3 }, Event::Silent { key: 1 }, Event::Silent { key: 2 }]
    );
    assert_eq!(world.connection.transmit(), &[][..]);
}

fn request_frame(number: u32) -> Vec<u8> {
    frame(&write(&request(number).message(), &Spec::ascii87()).unwrap())
}

#[test]
fn a_deadline_takes_back_what_was_not_written() {
    let config = Config { stalled_after: 60 * SECOND, ..Config::default() };
    let mut world = World::signed_on_with(config);
    world.enqueue(1).unwrap();
    world.enqueue(2).unwrap();
    world.connection.transmit();
    world.connection.written(0, 10);
    assert_eq!(world.events(), [Event::Sent { key: 1 }]);
    assert_eq!(world.wait(), 10 * SECOND);
    assert_eq!(world.events(), [Event::Silent { key: 1 }, Event::NotSent { key: 2 }]);
    // The frame that was begun is ended: the stream stays in step. After it the silent host is asked
    // whether it is there.
    let rest = &request_frame(1)[10..];
    let echo = world.connection.transmit().strip_prefix(rest).expect("the rest goes first");
    let echo = parse(&echo[2..], &Spec::ascii87()).unwrap();
    assert_eq!(network::Request::read(&echo).unwrap().information, Information::Echo);
}

#[test]
fn refusals_leave_the_message_with_the_caller() {
    let mut world = World::signed_on();
    world.enqueue(1).unwrap();
    assert_eq!(world.enqueue(1), Err(Refused::KeyInFlight));
    let same = request(1).message();
    let refused = |world: &mut World, message: &Message, deadline| {
        world.connection.enqueue(world.now, 9, message, deadline).unwrap_err()
    };
    assert_eq!(refused(&mut world, &same, SECOND), Refused::TraceInFlight);
    assert_eq!(refused(&mut world, &request(2).message(), 0), Refused::DeadlinePassed);
    assert_eq!(refused(&mut world, &answer(2), SECOND), Refused::Untraceable);
    let mut untraceable = request(2).message();
    untraceable.remove(11);
    assert_eq!(refused(&mut world, &untraceable, SECOND), Refused::Untraceable);
    let unwritable = request(2).message().with(4, "12");
    assert!(matches!(refused(&mut world, &unwritable, SECOND), Refused::Unwritable(_)));
    // The reversal of a message may have its number: it is of another class.
    let reversal = reversal::Request::of(
        &request(1),
        Stan::new(1).unwrap(),
        request(1).transmitted,
        Reason::TimeOut,
    );
    assert_eq!(reversal.message().mti.class, Class::Reversal);
    world.connection.enqueue(0, 9, &reversal.message(), SECOND).unwrap();
    world.enqueue(2).unwrap();
    assert_eq!(world.enqueue(3), Err(Refused::Full));
    assert_eq!(world.heard().len(), 3);
    world.say(&answer(1));
    assert_eq!(world.enqueue(3), Ok(()), "there is room again");
    world.heard();
    world.say(&answer(3));
    assert_eq!(world.enqueue(1), Ok(()), "what has ended may come again, as repeats do");
}

#[test]
fn three_missed_echoes_end_the_connection() {
    let mut world = World::signed_on();
    assert_eq!(world.wait(), 30 * SECOND);
    world.answer_network(Information::Echo, "00");
    assert_eq!(world.events(), []);
    assert_eq!(world.wait(), 60 * SECOND);
    for missed in 1..=3 {
        let echo = &world.heard()[0];
        assert_eq!(network::Request::read(echo).unwrap().information, Information::Echo);
        assert_eq!(world.wait(), (60 + 5 * missed) * SECOND);
    }
    assert_eq!(world.events(), [closed(CloseReason::EchoesMissed)]);
}

#[test]
fn any_message_is_a_sign_of_life() {
    let mut world = World::signed_on();
    world.now = 29 * SECOND;
    world.say(&answer(7));
    assert_eq!(world.connection.next_timeout(), Some(59 * SECOND));
}

#[test]
fn a_stalled_socket_is_closed() {
    let mut world = World::signed_on();
    world.now = SECOND;
    world.enqueue(1).unwrap();
    world.enqueue(2).unwrap();
    world.connection.transmit();
    world.connection.written(2 * SECOND, 1);
    assert_eq!(world.wait(), 7 * SECOND);
    assert_eq!(
        world.events(),
        [
            Event::Sent { key: 1 },
            Event::Silent { key: 1 },
            Event::NotSent { key: 2 },
            closed(CloseReason::WriteStalled),
        ]
    );
}

#[test]
fn bytes_that_are_no_message_end_the_connection() {
    for (bytes, reason) in [
        (vec![0, 0], CloseReason::BadFrame(FrameError::Empty)),
        (
            vec![0xff, 0xff],
            CloseReason::BadFrame(FrameError::TooLarge { length: 65_535, limit: 4096 }),
        ),
        (
            frame(b"\xf0\xf1\xf1\xf0 EBCDIC"),
            CloseReason::BadMessage(
                parse(b"\xf0\xf1\xf1\xf0 EBCDIC", &Spec::ascii87()).unwrap_err(),
            ),
        ),
    ] {
        let mut world = World::signed_on();
        world.enqueue(1).unwrap();
        world.enqueue(2).unwrap();
        world.heard();
        world.events();
        // What is whole before it counts; what comes after does not.
        let good = |number| frame(&write(&answer(number), &Spec::ascii87()).unwrap());
        let stream = [good(1), bytes, good(2)].concat();
        for byte in stream {
            world.connection.received(0, &[byte]);
        }
        assert_eq!(
            world.events(),
            [
                Event::Answer { key: 1, message: answer(1) },
                Event::Silent { key: 2 },
                closed(reason),
            ]
        );
    }
}

#[test]
fn a_sign_off_waits_for_what_is_in_flight() {
    let mut world = World::signed_on();
    world.enqueue(1).unwrap();
    world.connection.sign_off(0);
    assert_eq!(world.enqueue(2), Err(Refused::NotSignedOn));
    assert_eq!(world.heard().len(), 1, "the message, no sign-off yet");
    world.say(&answer(1));
    world.answer_network(Information::SignOff, "00");
    assert_eq!(world.events()[2..], [closed(CloseReason::SignedOff)]);
    let mut world = World::signed_on();
    world.connection.sign_off(0);
    world.heard();
    world.wait();
    assert_eq!(world.events(), [closed(CloseReason::SignOffUnanswered)]);
}

#[test]
fn the_hosts_own_questions_are_answered() {
    let mut world = World::signed_on();
    let question = |information| network::Request {
        transmitted: Moment::from_unix_micros(UTC),
        stan: Stan::new(77).unwrap(),
        information,
    };
    let echo = question(Information::Echo);
    world.say(&echo.message());
    assert_eq!(world.heard(), [echo.response("00").message()]);
    // Who asks without reading the answers does not fill our memory.
    for _ in 0..1000 {
        world.say(&echo.message());
    }
    assert!(world.heard().len() < 32);
    world.say(&question(Information::SignOff).message());
    assert_eq!(world.enqueue(1), Err(Refused::NotSignedOn));
    let heard = world.heard();
    assert_eq!(heard[0], question(Information::SignOff).response("00").message());
    let own = network::Request::read(&heard[1]).unwrap();
    world.say(&own.response("00").message());
    assert_eq!(world.events(), [closed(CloseReason::SignedOff)]);
}

#[test]
fn attempts_to_connect_are_at_least_a_second_apart() {
    let mut connection = Connection::new(Config::default(), 0);
    let mut now = 0;
    for attempt in 0..20_u64 {
        connection.disconnected(now, attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let next = connection.reconnect_at().unwrap();
        assert!((now + SECOND..=now + 15 * SECOND / 2).contains(&next), "{attempt}: {now} {next}");
        now = next;
    }
}

#[test]
fn debug_texts_have_no_card_number() {
    let mut world = World::signed_on();
    world.enqueue(1).unwrap();
    world.connection.transmit();
    let text = format!("{:?}", world.connection);
    let pan = "4111111111111111";
    let bytes: Vec<String> = pan.bytes().map(|byte| byte.to_string()).collect();
    assert!(!text.contains(pan) && !text.contains(&bytes.join(", ")), "{text}");
}
