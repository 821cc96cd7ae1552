//! Two endpoints on virtual time, over a network that loses, delays, doubles, reorders, cuts and
//! garbles, by seeds: every message that was taken ends in exactly one way.

use std::collections::{BTreeMap, BTreeSet};

use iso8583::connection::{Config, Connection, Event, Refused};
use iso8583::network::{self, Information};
use iso8583::{Class, Frames, Message, Spec, authorisation, frame, parse, write};

use crate::random::Random;
use crate::{SECOND, UTC, number, request};

const SEEDS: u64 = 2_000;
const MESSAGES: u32 = 40;
const WINDOW: usize = 8;
/// Long after the last deadline.
const END: i64 = 600 * SECOND;

/// What befalls one life of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Good,
    Refused,
    SignOnRefused,
    SignOnUnanswered,
    /// From some time on nothing arrives on either side.
    HalfOpen,
    /// Reset at some time.
    Reset,
    /// The host sends noise, or half a frame and then a reset.
    Noise,
    CutFrame,
    /// The socket takes no more bytes.
    Stalled,
    /// It takes some now and then.
    Sluggish,
    HostSignsOff,
}

const FATES: [Fate; 11] = [
    Fate::Good,
    Fate::Refused,
    Fate::SignOnRefused,
    Fate::SignOnUnanswered,
    Fate::HalfOpen,
    Fate::Reset,
    Fate::Noise,
    Fate::CutFrame,
    Fate::Stalled,
    Fate::Sluggish,
    Fate::HostSignsOff,
];

/// One TCP connection: bytes under way, in order.
struct Life {
    fate: Fate,
    /// When the fate strikes.
    strikes_at: i64,
    struck: bool,
    to_host: Vec<(i64, Vec<u8>)>,
    /// Frames under way to the client, each with its time; a reset is `None`.
    to_client: Vec<(i64, Option<Vec<u8>>)>,
    host: Frames,
    /// Every byte that the client's socket took.
    taken: Vec<u8>,
    sent: usize,
}

struct World {
    random: Random,
    spec: Spec,
    connection: Connection,
    life: Option<Life>,
    now: i64,
    waiting: Vec<u32>,
    accepted: BTreeSet<u64>,
    ended: BTreeMap<u64, &'static str>,
    sent: BTreeSet<u64>,
    /// What reached the host whole.
    reached: BTreeSet<u64>,
    unmatched: usize,
    fates: BTreeSet<Fate>,
    connected_at: Vec<i64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = Config {
            in_flight_most: WINDOW,
            echo_after: 3 * SECOND,
            network_answer_within: SECOND,
            stalled_after: 2 * SECOND,
            ..Config::default()
        };
        Self {
            random: Random(seed),
            spec: Spec::ascii87(),
            connection: Connection::new(config, 0),
            life: None,
            now: 0,
            waiting: (1..=MESSAGES).rev().collect(),
            accepted: BTreeSet::new(),
            ended: BTreeMap::new(),
            sent: BTreeSet::new(),
            reached: BTreeSet::new(),
            unmatched: 0,
            fates: BTreeSet::new(),
            connected_at: Vec::new(),
        }
    }

    fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.random.below(usize::try_from(bound).unwrap())).unwrap()
    }

    fn connect(&mut self) {
        self.connected_at.push(self.now);
        let fate = match self.random.below(3) {
            0 => Fate::Good,
            _ => FATES[self.random.below(FATES.len())],
        };
        self.fates.insert(fate);
        if fate == Fate::Refused {
            let jitter = self.random.next();
            return self.connection.disconnected(self.now, jitter);
        }
        let strikes_at = self.now + self.below(6 * SECOND);
        self.life = Some(Life {
            fate,
            strikes_at,
            struck: false,
            to_host: Vec::new(),
            to_client: Vec::new(),
            host: Frames::new(4096),
            taken: Vec::new(),
            sent: 0,
        });
        self.connection.connected(self.now, UTC + self.now);
    }

    /// The next moment at which anything happens.
    fn next(&self) -> i64 {
        let life = self.life.as_ref();
        let host = life.and_then(|life| life.to_host.first()).map(|(at, _)| *at);
        let client = life.and_then(|life| life.to_client.first()).map(|(at, _)| *at);
        let strike = life.filter(|life| !life.struck).map(|life| life.strikes_at);
        let connect = self.connection.reconnect_at();
        let tick = (!self.waiting.is_empty()).then_some(self.now + SECOND / 20);
        let times = [host, client, strike, connect, tick, self.connection.next_timeout()];
        times.into_iter().flatten().min().unwrap_or(END).max(self.now)
    }

    fn step(&mut self) {
        self.now = self.next();
        if self.connection.reconnect_at().is_some_and(|at| at <= self.now) {
            self.connect();
        }
        self.strike();
        self.deliver_to_host();
        self.deliver_to_client();
        if self.connection.next_timeout().is_some_and(|at| at <= self.now) {
            self.connection.timeout(self.now);
            let later = self.connection.next_timeout().is_none_or(|at| at > self.now);
            assert!(later, "a timeout does what is due");
        }
        self.events();
        self.enqueue();
        self.write();
        self.events();
        assert!(self.connection.in_flight() <= WINDOW);
    }

    fn enqueue(&mut self) {
        for _ in 0..self.random.below(4) {
            let Some(number) = self.waiting.pop() else { return };
            let deadline = self.now + SECOND / 10 + self.below(8 * SECOND);
            let message = request(number).message();
            match self.connection.enqueue(self.now, u64::from(number), &message, deadline) {
                Ok(()) => assert!(self.accepted.insert(u64::from(number))),
                Err(Refused::NotSignedOn | Refused::Full) => return self.waiting.push(number),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    /// The socket takes as much as it likes.
    fn write(&mut self) {
        let delay = self.below(SECOND / 2);
        let Some(life) = &mut self.life else { return };
        let bytes = self.connection.transmit();
        assert!(bytes.len() <= 64 * 1024 + 4096);
        let stalled = match life.fate {
            Fate::Stalled => life.struck,
            Fate::Sluggish => life.struck && self.random.below(25) > 0,
            _ => false,
        };
        if bytes.is_empty() || stalled {
            return;
        }
        let count = match self.random.below(3) {
            0 => 1 + self.random.below(bytes.len()),
            _ => bytes.len(),
        };
        let bytes = bytes[..count].to_vec();
        life.taken.extend_from_slice(&bytes);
        let after = life.to_host.last().map_or(0, |(at, _)| *at);
        life.to_host.push(((self.now + delay).max(after), bytes));
        self.connection.written(self.now, count);
    }

    fn strike(&mut self) {
        let noise: Vec<u8> =
            (0..1 + self.random.below(40)).map(|_| self.random.next().to_le_bytes()[0]).collect();
        let answer = request(MESSAGES + 1).response("00", None).message();
        let answer = frame(&write(&answer, &self.spec).unwrap());
        let cut = self.random.below(answer.len());
        let Some(life) = &mut self.life else { return };
        if life.struck || life.strikes_at > self.now {
            return;
        }
        life.struck = true;
        let at = life.to_client.last().map_or(self.now, |(at, _)| *at).max(self.now);
        match life.fate {
            Fate::HalfOpen => {
                life.to_client.clear();
                life.to_host.clear();
            }
            Fate::Reset => life.to_client.push((at, None)),
            Fate::Noise => life.to_client.push((at, Some(noise))),
            Fate::CutFrame => {
                life.to_client.push((at, Some(answer[..cut].to_vec())));
                life.to_client.push((at, None));
            }
            Fate::HostSignsOff => {
                let request = network::Request {
                    transmitted: iso8583::Moment::from_unix_micros(UTC + self.now),
                    stan: iso8583::Stan::FIRST,
                    information: Information::SignOff,
                };
                let bytes = frame(&write(&request.message(), &self.spec).unwrap());
                life.to_client.push((at, Some(bytes)));
            }
            _ => {}
        }
    }

    fn deliver_to_host(&mut self) {
        let Some(life) = &mut self.life else { return };
        if life.fate == Fate::HalfOpen && life.struck {
            return life.to_host.clear();
        }
        let mut messages = Vec::new();
        while let Some((at, bytes)) = life.to_host.first()
            && *at <= self.now
        {
            life.host.push(bytes);
            life.to_host.remove(0);
            while let Some(next) = life.host.poll() {
                messages.push(parse(&next.unwrap(), &self.spec).unwrap());
            }
        }
        for message in messages {
            self.host(&message);
        }
    }

    /// The host: answers, late, twice, out of order or never.
    fn host(&mut self, message: &Message) {
        let fate = self.life.as_ref().unwrap().fate;
        if message.mti.class == Class::NetworkManagement {
            let Ok(question) = network::Request::read(message) else { return };
            let code = match (question.information, fate) {
                (Information::SignOn, Fate::SignOnRefused) => "91",
                (Information::SignOn, Fate::SignOnUnanswered) => return,
                // An echo now and then is not answered.
                (Information::Echo, _) if self.random.below(4) == 0 => return,
                _ => network::DONE,
            };
            let delay = self.below(SECOND / 4);
            return self.answer(&question.response(code).message(), delay);
        }
        let request = authorisation::Request::read(message).unwrap();
        assert!(self.reached.insert(number(message)), "a message is sent once");
        let answer = request.response("00", Some("000001")).message();
        match self.random.below(8) {
            0 => {}
            1 => {
                let (first, second) = (self.below(SECOND), self.below(9 * SECOND));
                self.answer(&answer, first);
                self.answer(&answer, second);
            }
            2 => {
                let delay = self.below(12 * SECOND);
                self.answer(&answer, delay);
            }
            3 => {
                // To nothing that was asked.
                let stan = request.stan.next();
                let other = authorisation::Request { stan, terminal: "OTHER".into(), ..request };
                self.answer(&other.response("00", None).message(), 0);
            }
            _ => {
                let delay = self.below(SECOND / 2);
                self.answer(&answer, delay);
            }
        }
    }

    fn answer(&mut self, message: &Message, delay: i64) {
        let at = self.now + delay;
        let bytes = frame(&write(message, &self.spec).unwrap());
        let life = self.life.as_mut().unwrap();
        let place = life.to_client.partition_point(|(other, _)| *other <= at);
        life.to_client.insert(place, (at, Some(bytes)));
    }

    fn deliver_to_client(&mut self) {
        loop {
            let Some(life) = &mut self.life else { return };
            match life.to_client.first() {
                Some((at, _)) if *at <= self.now => {}
                _ => return,
            }
            match life.to_client.remove(0).1 {
                None => return self.lost(),
                Some(_) if life.fate == Fate::HalfOpen && life.struck => {}
                Some(bytes) => {
                    // Frames are cut into any pieces, and glued to the next by what is due.
                    let size = 1 + self.random.below(bytes.len().max(1));
                    for piece in bytes.chunks(size) {
                        self.connection.received(self.now, piece);
                    }
                }
            }
        }
    }

    /// The connection is over: what the socket took must be what was said to be sent.
    fn lost(&mut self) {
        self.events_of_life();
        let jitter = self.random.next();
        self.connection.disconnected(self.now, jitter);
        let life = self.life.take().unwrap();
        let mut frames = Frames::new(4096);
        frames.push(&life.taken);
        let mut business = 0;
        let mut length = 0;
        while let Some(next) = frames.poll() {
            let bytes = next.unwrap();
            length += bytes.len() + 2;
            business += usize::from(&bytes[..2] == b"01");
        }
        let rest = &life.taken[length..];
        // Of a frame that was begun the class may not be known yet.
        let unknown =
            usize::from(!rest.is_empty() && rest.get(2..4).is_none_or(|class| class != b"08"));
        assert!((business..=business + unknown).contains(&life.sent), "{business} {}", life.sent);
    }

    fn events(&mut self) {
        if self.events_of_life() {
            self.lost();
            self.events_of_life();
        }
    }

    /// Takes all events; whether one of them says to close.
    fn events_of_life(&mut self) -> bool {
        let mut close = false;
        while let Some(event) = self.connection.poll_event() {
            let ended = match event {
                Event::SignedOn => continue,
                Event::Sent { key } => {
                    assert!(self.sent.insert(key), "{key} is sent once");
                    assert!(!self.ended.contains_key(&key));
                    self.life.as_mut().unwrap().sent += 1;
                    continue;
                }
                Event::Answer { key, message } => {
                    assert_eq!(number(&message), key);
                    assert!(self.sent.contains(&key) && self.reached.contains(&key));
                    (key, "answer")
                }
                Event::Silent { key } => {
                    assert!(self.sent.contains(&key));
                    (key, "silent")
                }
                Event::NotSent { key } => {
                    assert!(!self.sent.contains(&key));
                    (key, "not sent")
                }
                Event::Unmatched { message, key } => {
                    if let Some(key) = key {
                        assert_eq!(number(&message), key);
                        assert!(self.ended.contains_key(&key));
                    }
                    self.unmatched += 1;
                    continue;
                }
                Event::Close { .. } => {
                    assert!(!close, "once");
                    close = true;
                    continue;
                }
            };
            let before = self.ended.insert(ended.0, ended.1);
            assert_eq!(before, None, "{} ended twice, now as {}", ended.0, ended.1);
            assert!(self.accepted.contains(&ended.0));
        }
        close
    }
}

#[test]
fn every_message_ends_in_exactly_one_way() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut fates = BTreeSet::new();
    let (mut unmatched, mut lives) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut steps = 0;
        while !world.waiting.is_empty() || world.connection.in_flight() > 0 {
            world.step();
            steps += 1;
            assert!(steps < 20_000 && world.now < END, "seed {seed} does not end");
        }
        // Late answers may still come.
        for _ in 0..20 {
            world.step();
        }
        assert_eq!(world.accepted.len(), world.ended.len(), "seed {seed}");
        assert_eq!(world.ended.len(), usize::try_from(MESSAGES).unwrap(), "seed {seed}");
        for key in &world.reached {
            assert_ne!(world.ended[key], "not sent", "seed {seed}: {key} reached the host");
        }
        for pair in world.connected_at.windows(2) {
            assert!(pair[1] - pair[0] >= SECOND, "seed {seed}: two attempts within a second");
        }
        for ended in world.ended.values() {
            *counts.entry(ended).or_default() += 1;
        }
        fates.extend(world.fates);
        unmatched += world.unmatched;
        lives += world.connected_at.len();
    }
    println!("pair: {SEEDS} seeds, {lives} connections, {counts:?}, {unmatched} unmatched");
    assert_eq!(fates.len(), FATES.len());
    for way in ["answer", "silent", "not sent"] {
        assert!(counts.get(way).is_some_and(|count| *count > 500), "{way}: {counts:?}");
    }
}
