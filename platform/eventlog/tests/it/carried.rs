//! A topic carried by a broker: what consumers get is what the outbox holds, once and in order,
//! whatever the broker loses or repeats. The cases without faults run on a real Kafka too.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use eventlog::{
    Cursor, Error, Feed, Relay, RelayError, Share, Stored, Turn, ask,
    broker::{Broker, Reader},
    envelope::Wants,
};
use store::{Bell, Engine, Sql};

use crate::{
    bed::{Bed, Open, TOPIC, numbers},
    fake::Fake,
};

/// How often it is tried to get what is on its way.
const TRIES: usize = 200;
/// The consumer of the cases.
const GROUP: &str = "reader";

struct Way {
    bed: Bed,
    broker: Arc<dyn Broker>,
    open: Open,
}

/// A relay of the topic with its connection.
struct Carrier {
    relay: Relay,
    bell: Bell,
    now: u64,
}

impl Carrier {
    /// A turn, a second after the one before.
    fn turn(&mut self, broker: &dyn Broker) -> Result<Turn, RelayError> {
        self.now += 1_000_000;
        self.relay.turn(&mut self.bell, broker, self.now)
    }
}

impl Way {
    fn new(shards: u32, broker: Arc<dyn Broker>) -> Option<Self> {
        let bed = Bed::new(Engine::Postgres, shards)?;
        let mut open = bed.open();
        let mut tx = open.writer.begin().unwrap();
        // Only those that take part are looked after.
        eventlog::join(&mut tx, 77, &[GROUP], 600_000).unwrap();
        tx.commit().unwrap();
        Some(Self { bed, broker, open })
    }
    /// So many events in each shard.
    fn append(&mut self, rounds: u32) {
        let shards: Vec<u32> = (0..self.bed.shards).collect();
        for _ in 0..rounds {
            self.open.commit(&shards);
        }
    }
    fn carrier(&self, process: i64) -> Carrier {
        let mut bell = Bell::deaf(&self.bed.open().store).unwrap().unwrap();
        let mut tx = bell.begin().unwrap();
        let relay = Relay::open(&mut tx, TOPIC, process).unwrap();
        tx.commit().unwrap();
        Carrier { relay, bell, now: 0 }
    }
    /// Carries until nothing is left, past errors; how many failed.
    fn carry(&self, carrier: &mut Carrier) -> usize {
        let mut failed = 0;
        for _ in 0..TRIES {
            match carrier.turn(&*self.broker) {
                Ok(Turn::Sent(0)) if carrier.relay.behind() == 0 => return failed,
                Ok(_) => {}
                Err(_) => failed += 1,
            }
        }
        panic!("it is not carried in {TRIES} turns");
    }
    fn consumer(&self) -> Consumer {
        let mut open = self.bed.open();
        let mut tx = open.writer.begin().unwrap();
        let cursor = open.log.position(&mut tx, GROUP, TOPIC).unwrap();
        tx.commit().unwrap();
        let wants = Wants { kinds: BTreeSet::from([7]), rail: None };
        let feed = Feed::new(&open.log, TOPIC, wants);
        feed.starts(Share::WHOLE, &cursor);
        let reader = self.broker.reader(GROUP, &[TOPIC]).unwrap();
        Consumer { open, feed, reader, cursor, got: Vec::new() }
    }
    /// A relay that has carried five events of each shard, and a consumer that had three when there
    /// were no more.
    fn has_three_of_five(&mut self) -> (Carrier, Consumer) {
        let (mut carrier, mut consumer) = (self.carrier(1), self.consumer());
        self.append(3);
        self.carry(&mut carrier);
        consumer.gets(3 * self.bed.shards as usize);
        self.append(2);
        self.carry(&mut carrier);
        (carrier, consumer)
    }
    /// What the outbox holds.
    fn all(&self) -> Vec<Stored> {
        self.bed.open().read_all(&mut Cursor::start(self.bed.shards), 1_000)
    }
    fn execute(&mut self, text: &'static str) {
        let mut tx = self.open.writer.begin().unwrap();
        tx.execute(&Sql::new(text), &[]).unwrap();
        tx.commit().unwrap();
    }
}

struct Consumer {
    open: Open,
    feed: Arc<Feed>,
    reader: Box<dyn Reader>,
    cursor: Cursor,
    got: Vec<Stored>,
}

impl Consumer {
    /// Reads once.
    fn peek(&mut self) -> Vec<Stored> {
        if self.feed.has_moved() {
            self.reader.assign(&self.feed.parts()).unwrap();
        }
        self.feed.take(&self.reader.poll(Duration::from_millis(50)).unwrap_or_default());
        let events = self.feed.read(&mut self.cursor, 1_000);
        events.iter().map(|event| Stored::clone(event)).collect()
    }
    /// Reads once and applies what came, in one transaction with the position.
    fn step(&mut self) -> Result<usize, Error> {
        let old = self.cursor.clone();
        let events = self.peek();
        let mut tx = self.open.writer.begin().unwrap();
        let moves = [(GROUP, TOPIC, &old, &self.cursor)];
        if let Err(error) = self.open.log.cas_positions(&mut tx, &moves) {
            tx.rollback().unwrap();
            return Err(error);
        }
        tx.commit().unwrap();
        self.feed.passed(&self.cursor);
        let count = events.len();
        self.got.extend(events);
        Ok(count)
    }
    /// Until it has so many in all, and a moment longer.
    fn gets(&mut self, count: usize) {
        for _ in 0..TRIES {
            if self.got.len() >= count {
                break;
            }
            self.step().unwrap();
        }
        self.step().unwrap();
        assert_eq!(self.got.len(), count);
    }
}

/// The database is put back to when each shard had three events.
const PUT_BACK: [&str; 3] = [
    "DELETE FROM event_ledger WHERE sequence > 3",
    "UPDATE head SET sequences = decode(repeat('0000000000000003', length(sequences) / 8), 'hex') \
     WHERE topic = 'ledger'",
    "UPDATE relay SET sequences = decode(repeat('0000000000000003', length(sequences) / 8), 'hex'), \
     until = now()",
];

/// Each shard's events as the outbox has them.
fn assert_same(got: &[Stored], wanted: &[Stored], shards: u32) {
    assert_eq!(numbers(got, shards), numbers(wanted, shards));
    for event in got {
        assert!(wanted.contains(event), "{event:?}");
    }
}

/// Runs a case on the broker in memory and, where there is one, on Kafka.
fn on_both(case: impl Fn(&mut Way)) {
    for shards in [1, 4, 64] {
        if let Some(mut way) = Way::new(shards, Arc::new(Fake::default())) {
            case(&mut way);
        }
        let Ok(brokers) = std::env::var("SWITCHYARD_TEST_KAFKA") else {
            eprintln!("\n!!! SKIPPED on Kafka: set SWITCHYARD_TEST_KAFKA to HOST:PORT !!!\n");
            continue;
        };
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let prefix = format!("carried-{}-{number}.", std::process::id());
        let settings = kafka::Settings {
            brokers,
            prefix,
            replication: 1,
            security: kafka::Security::default(),
        };
        if let Some(mut way) = Way::new(shards, Arc::new(kafka::Kafka::new(settings).unwrap())) {
            case(&mut way);
        }
    }
}

fn on_fake(case: impl Fn(&mut Way, &Fake)) {
    for shards in [1, 4] {
        let fake = Fake::default();
        if let Some(mut way) = Way::new(shards, Arc::new(fake.clone())) {
            case(&mut way, &fake);
        }
    }
}

#[test]
fn what_is_carried_is_what_the_outbox_holds() {
    on_both(|way| {
        let mut carrier = way.carrier(1);
        way.append(5);
        assert_eq!(way.carry(&mut carrier), 0);
        let mut consumer = way.consumer();
        consumer.gets(5 * way.bed.shards as usize);
        // It goes on where it is, also after a restart.
        way.append(3);
        way.carry(&mut carrier);
        let mut again = way.consumer();
        again.gets(3 * way.bed.shards as usize);
        consumer.got.append(&mut again.got);
        assert_same(&consumer.got, &way.all(), way.bed.shards);
    });
}

#[test]
fn what_is_carried_twice_is_had_once() {
    on_both(|way| {
        way.append(4);
        way.carry(&mut way.carrier(1));
        let mut consumer = way.consumer();
        consumer.gets(4 * way.bed.shards as usize);
        // The checkpoint was lost with its relay.
        way.execute("UPDATE relay SET sequences = '', holder = 0, until = now() - interval '1 s'");
        way.append(1);
        way.carry(&mut way.carrier(2));
        consumer.gets(5 * way.bed.shards as usize);
        assert_same(&consumer.got, &way.all(), way.bed.shards);
    });
}

#[test]
fn an_error_goes_back_to_what_was_acknowledged() {
    on_fake(|way, fake| {
        let mut carrier = way.carrier(1);
        let mut consumer = way.consumer();
        let mut sent = 0;
        for (after, kept) in [(0, false), (0, true), (3, false), (2, true)] {
            way.append(3);
            fake.fails_after(after, kept);
            sent += 3 * way.bed.shards as usize;
            let failed = way.carry(&mut carrier);
            assert!(failed == 1 || after >= 3 * way.bed.shards as usize, "{failed} failed");
            consumer.gets(sent);
        }
        assert_same(&consumer.got, &way.all(), way.bed.shards);
    });
}

#[test]
fn one_relay_is_active_and_another_takes_over() {
    on_fake(|way, fake| {
        let (mut one, mut other) = (way.carrier(1), way.carrier(2));
        way.append(2);
        way.carry(&mut one);
        let turn = |of: &mut Carrier| of.turn(&*way.broker);
        assert!(matches!(turn(&mut other), Ok(Turn::Standby)));
        way.execute("UPDATE relay SET until = now() - interval '1 s'");
        way.append(2);
        let turn = |of: &mut Carrier| of.turn(&*way.broker);
        assert!(matches!(turn(&mut other), Ok(Turn::Sent(sent)) if sent > 0));
        assert!(matches!(turn(&mut one), Ok(Turn::Standby)), "who was asleep finds out");
        assert_eq!(fake.sent(), 4 * way.bed.shards as usize, "nothing went twice");
        other.relay.leave(&mut other.bell).unwrap();
        assert!(matches!(turn(&mut one), Ok(Turn::Sent(0))), "a lease that is given back is free");
    });
}

#[test]
fn a_relay_that_lost_its_lease_moves_nothing() {
    on_fake(|way, _| {
        let mut one = way.carrier(1);
        way.append(1);
        way.carry(&mut one);
        // Another one took over and went back while this one slept.
        way.execute(
            "UPDATE relay SET epoch = epoch + 5, holder = 2, until = now() + interval '1 h'",
        );
        way.append(1);
        let turn = one.turn(&*way.broker);
        assert!(matches!(turn, Ok(Turn::Standby)), "{turn:?}");
        one.relay.answer_asks(&mut one.bell).unwrap();
        one.relay.reconcile(&mut one.bell, &*way.broker).unwrap();
        way.execute("UPDATE relay SET until = now() - interval '1 s' WHERE epoch = 6");
        let turn = one.turn(&*way.broker);
        assert!(matches!(turn, Ok(Turn::Sent(_))), "{turn:?}: the epoch was left alone");
    });
}

#[test]
fn a_gap_stops_and_what_is_missing_comes_once_more() {
    on_fake(|way, fake| {
        let (mut carrier, mut consumer) = way.has_three_of_five();
        let shards = way.bed.shards as usize;
        fake.forgets(TOPIC, 2);
        way.append(2);
        way.carry(&mut carrier);
        consumer.gets(3 * shards);
        let gaps = consumer.feed.gaps(false);
        assert_eq!(gaps.len(), shards);
        assert!(gaps.iter().all(|(_, missing)| *missing == 4), "{gaps:?}");
        assert!(consumer.feed.gaps(false).is_empty(), "asked for once");
        assert_eq!(consumer.feed.gaps(true), gaps, "or again, after a while");
        let mut tx = way.open.writer.begin().unwrap();
        for (shard, missing) in gaps {
            ask(&mut tx, (GROUP, TOPIC), (shard, missing)).unwrap();
        }
        tx.commit().unwrap();
        carrier.relay.answer_asks(&mut carrier.bell).unwrap();
        way.carry(&mut carrier);
        consumer.gets(7 * shards);
        assert!(consumer.feed.gaps(true).is_empty());
        assert_same(&consumer.got, &way.all(), way.bed.shards);
    });
}

#[test]
fn what_the_broker_lost_silently_is_found_out() {
    let ways: [fn(&Fake); 3] =
        [|fake| fake.forgets(TOPIC, 2), |fake| fake.empties(TOPIC), |fake| fake.deletes(TOPIC)];
    for lose in ways {
        on_fake(|way, fake| {
            let (mut carrier, mut consumer) = way.has_three_of_five();
            let shards = way.bed.shards as usize;
            lose(fake);
            // The first look learns where the consumer is, the second that it stands still.
            for _ in 0..2 {
                carrier.relay.reconcile(&mut carrier.bell, &*way.broker).unwrap();
            }
            way.carry(&mut carrier);
            consumer.gets(5 * shards);
            // All is had: nothing goes back any more.
            let sent = fake.sent();
            for _ in 0..3 {
                carrier.relay.reconcile(&mut carrier.bell, &*way.broker).unwrap();
                way.carry(&mut carrier);
            }
            assert_eq!(fake.sent(), sent);
            assert_same(&consumer.got, &way.all(), way.bed.shards);
        });
    }
}

/// A topic holds two events of each shard that the database, put back, never emitted: it gives their
/// numbers again.
#[test]
fn what_was_emitted_in_another_life_is_left_alone() {
    on_both(|way| {
        let (mut carrier, consumer) = way.has_three_of_five();
        carrier.relay.leave(&mut carrier.bell).unwrap();
        drop((carrier, consumer));
        PUT_BACK.into_iter().for_each(|text| way.execute(text));
        // Who does not know of it takes them for what comes next.
        let mut unaware = way.consumer();
        while unaware.got.len() < 2 * way.bed.shards as usize {
            let events = unaware.peek();
            unaware.got.extend(events);
        }
        assert!(unaware.got.iter().all(|event| event.sequence > 3));
        drop(unaware);
        let mut tx = way.open.writer.begin().unwrap();
        assert_eq!(eventlog::restored(&mut tx).unwrap(), 2, "topics");
        tx.commit().unwrap();
        way.open = way.bed.open();
        way.append(2);
        way.execute("UPDATE event_ledger SET at = 9000 WHERE sequence > 3");
        let (mut carrier, mut consumer) = (way.carrier(2), way.consumer());
        way.carry(&mut carrier);
        consumer.gets(2 * way.bed.shards as usize);
        let wanted: Vec<Stored> =
            way.all().into_iter().filter(|event| event.sequence > 3).collect();
        assert!(wanted.iter().all(|event| event.at.0 == 9000));
        assert_same(&consumer.got, &wanted, way.bed.shards);
    });
}

#[test]
fn a_consumer_that_was_overtaken_is_fenced() {
    on_fake(|way, _| {
        way.append(2);
        way.carry(&mut way.carrier(1));
        let (mut one, mut other) = (way.consumer(), way.consumer());
        one.gets(2 * way.bed.shards as usize);
        assert!(matches!(other.step(), Err(Error::Fenced { .. })));
    });
}

#[test]
fn an_unreachable_broker_is_an_error_that_ends() {
    let settings = kafka::Settings {
        brokers: "127.0.0.1:9".to_owned(),
        prefix: "nowhere.".to_owned(),
        replication: 1,
        security: kafka::Security::default(),
    };
    let Some(mut way) = Way::new(1, Arc::new(kafka::Kafka::new(settings).unwrap())) else { return };
    way.append(1);
    let mut carrier = way.carrier(1);
    let turn = carrier.turn(&*way.broker);
    assert!(matches!(turn, Err(RelayError::Broker(_))), "{turn:?}");
}

#[test]
fn a_reader_that_brings_nothing_is_noticed_and_another_goes_on() {
    on_both(|way| {
        let shards = way.bed.shards;
        let (_, mut consumer) = way.has_three_of_five();
        // It does not read: no error, no gap.
        let look = |consumer: &mut Consumer| {
            let mut tx = consumer.open.writer.begin().unwrap();
            let ends = eventlog::ends(&mut tx, shards).unwrap();
            tx.rollback().unwrap();
            let (_, end) = ends.iter().find(|(topic, _)| topic == TOPIC).unwrap();
            assert_eq!(end.sequences, vec![5; shards as usize]);
            consumer.feed.look(end);
            consumer.feed.has_stalled()
        };
        let noticed = (0..10).position(|_| look(&mut consumer));
        assert_eq!(noticed, Some(3), "the first look knows nothing, three find it still");
        consumer.reader.renew();
        consumer.gets(5 * shards as usize);
        assert_same(&consumer.got, &way.all(), shards);
        assert!((0..10).all(|_| !look(&mut consumer)), "it has all there is");
    });
}
