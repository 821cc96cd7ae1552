//! The acquirer's end of one long-lived connection, as a state machine without a socket or a clock.
//!
//! # How to drive it
//!
//! The owner has the socket and the time. Times are microseconds of a clock that never goes back;
//! only [`Connection::connected`] is also told what UTC is, for field 7 of the messages that the
//! machine writes itself.
//!
//! | the owner | calls |
//! |---|---|
//! | has a connection | [`Connection::connected`] |
//! | read bytes | [`Connection::received`] |
//! | may write | [`Connection::transmit`], one `write` of it, then [`Connection::written`] with what that took |
//! | has a message | [`Connection::enqueue`] |
//! | reached [`Connection::next_timeout`] | [`Connection::timeout`] |
//! | closed or lost the connection, or could not connect | [`Connection::disconnected`], then waits for [`Connection::reconnect_at`] |
//!
//! After each call it takes all events ([`Connection::poll_event`]).
//!
//! # What becomes of a message
//!
//! A message that was taken ends in exactly one of [`Event::Answer`], [`Event::Silent`] and
//! [`Event::NotSent`]. `NotSent` is a proof: no byte of it was handed to the socket. [`Event::Sent`]
//! says that the first byte was: from then on the outcome is unknown until it is answered, and what
//! ends in `Silent` must be asked about or reversed, never simply sent again.
//!
//! An answer belongs to the message with the same class, trace number (11), transmission time (7)
//! and terminal (41). One that belongs to none in flight is [`Event::Unmatched`].
//!
//! # What it sees to
//!
//! - No message before the sign-on is answered with 00; a sign-off when it is to end.
//! - At most [`Config::in_flight_most`] messages taken and not ended; more are refused, and stay in
//!   the owner's own queue.
//! - After [`Config::echo_after`] without a message from the host, and when a message was not answered
//!   in time, an echo is sent; after
//!   [`Config::echoes_missed_most`] without answer the connection is closed.
//! - Bytes that the socket does not take for [`Config::stalled_after`] close it, as do bytes that
//!   are no message. There is no way back into step.

mod backoff;
mod flights;
mod outbox;

use std::collections::VecDeque;

use crate::network::{self, Information};
use crate::{Class, Error, FrameError, Frames, Message, Moment, Spec, Stan, frame, parse, write};
use backoff::Backoff;
use flights::{Flights, Trace};
use outbox::Outbox;

const SECOND: i64 = 1_000_000;
/// Answers to the host's own questions that may wait for the socket.
const OWN_ANSWERS_MOST: usize = 16;

/// The limits of a connection. Times are microseconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// The dialect.
    pub spec: Spec,
    /// Most messages that are taken and not ended.
    pub in_flight_most: usize,
    /// How long the host may be silent before it is asked whether it is there.
    pub echo_after: i64,
    /// How long the host may take to answer a sign-on, an echo or a sign-off.
    pub network_answer_within: i64,
    /// So many echoes without answer end the connection.
    pub echoes_missed_most: u32,
    /// How long the socket may take no byte.
    pub stalled_after: i64,
    /// The pause before the first new attempt to connect; never under a second.
    pub reconnect_first: i64,
    /// The longest such pause, without the random part.
    pub reconnect_most: i64,
}

impl Default for Config {
    /// The dialect [`Spec::ascii87`], 256 in flight, an echo after 30 s, 5 s for its answer, three
    /// missed, 5 s of stall, pauses of 1 s to 5 s.
    fn default() -> Self {
        Self {
            spec: Spec::ascii87(),
            in_flight_most: 256,
            echo_after: 30 * SECOND,
            network_answer_within: 5 * SECOND,
            echoes_missed_most: 3,
            stalled_after: 5 * SECOND,
            reconnect_first: SECOND,
            reconnect_most: 5 * SECOND,
        }
    }
}

/// What the owner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The host takes messages from now on.
    SignedOn,
    /// The first byte of the message was handed to the socket.
    Sent {
        /// The owner's key.
        key: u64,
    },
    /// The host answered.
    Answer {
        /// The owner's key.
        key: u64,
        /// The answer.
        message: Message,
    },
    /// No byte of the message was handed to the socket, nor will be.
    NotSent {
        /// The owner's key.
        key: u64,
    },
    /// It was sent, and no answer came by its deadline or before the connection ended.
    Silent {
        /// The owner's key.
        key: u64,
    },
    /// A message that answers nothing in flight: late, a second time, or never asked for.
    Unmatched {
        /// The message.
        message: Message,
        /// The owner's key, if it answers one of the latest messages that have ended.
        key: Option<u64>,
    },
    /// The owner must close the socket, then call [`Connection::disconnected`].
    Close {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a connection must be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The sign-on was answered with this code of field 39.
    SignOnRefused(String),
    /// The sign-on was not answered in time.
    SignOnUnanswered,
    /// Too many echoes were not answered.
    EchoesMissed,
    /// The socket took no byte for too long.
    WriteStalled,
    /// Bytes that are no frame.
    BadFrame(FrameError),
    /// A frame that is no message.
    BadMessage(Error),
    /// Signed off, as the owner or the host wanted.
    SignedOff,
    /// The sign-off was not answered in time.
    SignOffUnanswered,
}

/// Why a message was not taken. It stays with the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no connection, or it is not signed on (any more).
    NotSignedOn,
    /// As many as may be are in flight.
    Full,
    /// The deadline has passed.
    DeadlinePassed,
    /// The owner's key is in flight.
    KeyInFlight,
    /// A message with the same class, trace number, transmission time and terminal is in flight.
    TraceInFlight,
    /// It is no request, or has no trace number and transmission time to match an answer by.
    Untraceable,
    /// The dialect cannot write it.
    Unwritable(Error),
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down {
        reconnect_at: i64,
    },
    SigningOn,
    SignedOn,
    /// Takes nothing more; signs off when nothing is in flight.
    Draining,
    SigningOff,
    /// The owner was told to close.
    Closing,
}

/// A question of our own that waits for its answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    request: network::Request,
    deadline: i64,
}

/// The connection. It outlives the sockets: after a loss it is connected again.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    state: State,
    frames: Frames,
    outbox: Outbox,
    flights: Flights,
    events: VecDeque<Event>,
    backoff: Backoff,
    asked: Option<Asked>,
    echoes_missed: u32,
    /// When the last message came.
    heard_at: i64,
    /// UTC minus the monotonic time.
    utc_offset: i64,
    stan: Stan,
}

impl Connection {
    /// A connection that is to be made at once.
    pub fn new(config: Config, now: i64) -> Self {
        Self {
            state: State::Down { reconnect_at: now },
            frames: Frames::new(config.spec.bytes_most),
            outbox: Outbox::default(),
            flights: Flights::default(),
            events: VecDeque::new(),
            backoff: Backoff::new(config.reconnect_first, config.reconnect_most),
            asked: None,
            echoes_missed: 0,
            heard_at: now,
            utc_offset: 0,
            stan: Stan::FIRST,
            config,
        }
    }

    /// The socket is connected; `utc` is microseconds since 1970. Signs on.
    pub fn connected(&mut self, now: i64, utc: i64) {
        self.end_flights();
        self.frames = Frames::new(self.config.spec.bytes_most);
        self.outbox.clear();
        self.echoes_missed = 0;
        self.heard_at = now;
        self.utc_offset = utc.saturating_sub(now);
        self.state = State::SigningOn;
        self.ask(now, Information::SignOn);
    }

    /// The socket is closed or lost, or connecting failed. `jitter` is any number: it spreads the
    /// next attempts of many connections.
    pub fn disconnected(&mut self, now: i64, jitter: u64) {
        self.end_flights();
        self.outbox.clear();
        self.asked = None;
        self.state = State::Down { reconnect_at: self.backoff.next(now, jitter) };
    }

    /// When to connect again, if there is no connection.
    pub fn reconnect_at(&self) -> Option<i64> {
        match self.state {
            State::Down { reconnect_at } => Some(reconnect_at),
            _ => None,
        }
    }

    /// Whether messages are taken.
    pub fn is_signed_on(&self) -> bool {
        self.state == State::SignedOn
    }

    /// Messages that are taken and not ended.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Takes a message to be sent, and an answer to it until `deadline`. `key` comes back in events.
    pub fn enqueue(
        &mut self,
        now: i64,
        key: u64,
        message: &Message,
        deadline: i64,
    ) -> Result<(), Refused> {
        if self.state != State::SignedOn {
            return Err(Refused::NotSignedOn);
        }
        if deadline <= now {
            return Err(Refused::DeadlinePassed);
        }
        if self.flights.len() >= self.config.in_flight_most {
            return Err(Refused::Full);
        }
        let request = !message.mti.is_response() && message.mti.class != Class::NetworkManagement;
        let trace = Trace::of(message).filter(|_| request).ok_or(Refused::Untraceable)?;
        if self.flights.has_key(key) {
            return Err(Refused::KeyInFlight);
        }
        if self.flights.has_trace(&trace) {
            return Err(Refused::TraceInFlight);
        }
        let bytes = write(message, &self.config.spec).map_err(Refused::Unwritable)?;
        self.outbox.push(now, frame(&bytes), Some(trace.clone()));
        self.flights.insert(trace, key, deadline);
        Ok(())
    }

    /// The bytes that wait for the socket; empty if none do. They are one `write`'s argument: what it
    /// took is told by [`Connection::written`] before anything else is called, and if it failed it
    /// took nothing.
    pub fn transmit(&mut self) -> &[u8] {
        self.outbox.waiting()
    }

    /// The socket took the first `count` bytes of [`Connection::transmit`].
    pub fn written(&mut self, now: i64, count: usize) {
        for trace in self.outbox.written(now, count) {
            if let Some(key) = self.flights.sent(&trace) {
                self.events.push_back(Event::Sent { key });
            }
        }
    }

    /// Bytes came.
    pub fn received(&mut self, now: i64, bytes: &[u8]) {
        if self.has_ended() {
            return;
        }
        self.frames.push(bytes);
        while let Some(next) = self.frames.poll() {
            let read = next.map_err(CloseReason::BadFrame).and_then(|bytes| {
                parse(&bytes, &self.config.spec).map_err(CloseReason::BadMessage)
            });
            match read {
                Ok(message) => self.hear(now, message),
                Err(reason) => self.close(reason),
            }
            if self.has_ended() {
                return;
            }
        }
        self.sign_off_if_drained(now);
    }

    /// No message is taken any more; when those in flight have ended, the host is told.
    pub fn sign_off(&mut self, now: i64) {
        match self.state {
            State::SignedOn => {
                self.state = State::Draining;
                self.sign_off_if_drained(now);
            }
            State::SigningOn => self.close(CloseReason::SignedOff),
            State::Down { .. } | State::Draining | State::SigningOff | State::Closing => {}
        }
    }

    /// The next moment at which [`Connection::timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<i64> {
        if self.has_ended() {
            return None;
        }
        let stalls = self.outbox.waiting_since().map(|since| since + self.config.stalled_after);
        let asked = self.asked.map(|asked| asked.deadline);
        let echo = self.is_echo_time().then_some(self.heard_at + self.config.echo_after);
        [self.flights.first_deadline(), stalls, asked, echo].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: i64) {
        if self.has_ended() {
            return;
        }
        let mut silent = false;
        for (trace, key, sent) in self.flights.expired(now) {
            if sent {
                silent = true;
                self.events.push_back(Event::Silent { key });
            } else {
                self.outbox.withdraw(&trace);
                self.events.push_back(Event::NotSent { key });
            }
        }
        if let Some(since) = self.outbox.waiting_since()
            && since + self.config.stalled_after <= now
        {
            return self.close(CloseReason::WriteStalled);
        }
        if let Some(asked) = self.asked.filter(|asked| asked.deadline <= now) {
            self.asked = None;
            match asked.request.information {
                Information::SignOn => return self.close(CloseReason::SignOnUnanswered),
                Information::SignOff => return self.close(CloseReason::SignOffUnanswered),
                Information::Echo => self.echoes_missed += 1,
            }
            if self.echoes_missed >= self.config.echoes_missed_most {
                return self.close(CloseReason::EchoesMissed);
            }
            self.ask(now, Information::Echo);
        }
        // A host that does not answer is asked at once whether it is there at all.
        if self.is_echo_time() && (silent || self.heard_at + self.config.echo_after <= now) {
            self.ask(now, Information::Echo);
        }
        self.sign_off_if_drained(now);
    }

    /// The next thing that the owner should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Down { .. } | State::Closing)
    }

    fn is_echo_time(&self) -> bool {
        self.asked.is_none() && matches!(self.state, State::SignedOn | State::Draining)
    }

    /// A message of the host.
    fn hear(&mut self, now: i64, message: Message) {
        self.heard_at = now;
        self.echoes_missed = 0;
        match (message.mti.class, message.mti.is_response()) {
            (Class::NetworkManagement, true) => self.hear_network_answer(now, message),
            (Class::NetworkManagement, false) => self.hear_network_question(now, message),
            (_, true) => {
                let trace = Trace::of(&message);
                match trace.as_ref().and_then(|trace| self.flights.answered(trace)) {
                    Some(key) => self.events.push_back(Event::Answer { key, message }),
                    None => {
                        let key = trace.and_then(|trace| self.flights.ended(&trace));
                        self.events.push_back(Event::Unmatched { message, key });
                    }
                }
            }
            (_, false) => self.events.push_back(Event::Unmatched { message, key: None }),
        }
    }

    fn hear_network_answer(&mut self, now: i64, message: Message) {
        let answers = |asked: &Asked| {
            let answer = network::Response::read(&message).ok()?;
            let same = answer.stan == asked.request.stan
                && answer.transmitted == asked.request.transmitted
                && answer.information == asked.request.information;
            same.then_some(answer)
        };
        let Some(answer) = self.asked.as_ref().and_then(answers) else {
            return self.events.push_back(Event::Unmatched { message, key: None });
        };
        self.asked = None;
        match answer.information {
            Information::SignOn if answer.code == network::DONE => {
                self.state = State::SignedOn;
                self.backoff.reset();
                self.events.push_back(Event::SignedOn);
            }
            Information::SignOn => self.close(CloseReason::SignOnRefused(answer.code)),
            Information::SignOff => self.close(CloseReason::SignedOff),
            Information::Echo => self.sign_off_if_drained(now),
        }
    }

    /// The host asks whether we are there, or wants to end.
    fn hear_network_question(&mut self, now: i64, message: Message) {
        let Ok(question) = network::Request::read(&message) else {
            return self.events.push_back(Event::Unmatched { message, key: None });
        };
        if self.outbox.len() < self.config.in_flight_most + OWN_ANSWERS_MOST {
            self.put(now, &question.response(network::DONE).message());
        }
        if question.information == Information::SignOff {
            self.sign_off(now);
        }
    }

    fn ask(&mut self, now: i64, information: Information) {
        self.stan = self.stan.next();
        let transmitted = Moment::from_unix_micros(now.saturating_add(self.utc_offset));
        let request = network::Request { transmitted, stan: self.stan, information };
        self.asked = Some(Asked { request, deadline: now + self.config.network_answer_within });
        self.put(now, &request.message());
    }

    fn put(&mut self, now: i64, message: &Message) {
        let written = write(message, &self.config.spec);
        let bytes = written.expect("network messages are of every dialect that signs on");
        self.outbox.push(now, frame(&bytes), None);
    }

    fn sign_off_if_drained(&mut self, now: i64) {
        if self.state == State::Draining && self.flights.len() == 0 {
            self.state = State::SigningOff;
            self.ask(now, Information::SignOff);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.end_flights();
        self.outbox.clear();
        self.asked = None;
        self.state = State::Closing;
        self.events.push_back(Event::Close { reason });
    }

    /// The connection is over: whatever was sent is unknown, the rest was not sent.
    fn end_flights(&mut self) {
        for (key, sent) in self.flights.end_all() {
            self.events.push_back(if sent {
                Event::Silent { key }
            } else {
                Event::NotSent { key }
            });
        }
    }
}
