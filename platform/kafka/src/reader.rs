//! Reads chosen partitions of a consumer's topics. Which are its own is dealt out in the consumer's database.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread::{self, JoinHandle},
    time::Duration,
};

use eventlog::broker::{Arrived, BrokerError, Part, Reader};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};

use crate::{Settings, client, failed};

/// Records taken at once at most.
const RECORDS_MOST: usize = 2_000;
/// Clients that are being closed at most.
const CLOSING_MOST: usize = 4;
/// One that is dropped waits for its client so many times so long, two seconds in all: positions are in
/// the database, so nothing depends on it.
const CLOSE_LOOKS: u32 = 400;
const CLOSE_LOOK: Duration = Duration::from_millis(5);
const OPEN: &str = "a client until the reader is dropped";

/// A reader of topics.
pub(crate) struct Partitions {
    /// There until this is dropped.
    consumer: Option<BaseConsumer>,
    config: ClientConfig,
    prefix: String,
    topics: Vec<&'static str>,
    /// The offset at which each partition goes on.
    at: BTreeMap<(&'static str, u32), i64>,
    /// The topics of which nothing is taken for a while.
    paused: BTreeSet<&'static str>,
    /// What is to be read was not said yet.
    unsaid: bool,
    /// A topic was gone, or nothing comes: what this client knows is of no more use.
    lost: bool,
    /// Clients of before that are not closed yet.
    closing: Vec<JoinHandle<()>>,
}

impl Partitions {
    pub fn new(
        settings: &Settings,
        consumer: &str,
        topics: &[&'static str],
    ) -> Result<Self, BrokerError> {
        let mut config = client(settings)?;
        config
            .set("group.id", format!("{}{consumer}", settings.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // What lies before the oldest record is asked of the outbox.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "500")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", "16384");
        let consumer = Some(config.create().map_err(failed)?);
        let (prefix, topics) = (settings.prefix.clone(), topics.to_vec());
        Ok(Self {
            consumer,
            config,
            prefix,
            topics,
            at: BTreeMap::new(),
            paused: BTreeSet::new(),
            unsaid: false,
            lost: false,
            closing: Vec::new(),
        })
    }
    fn list(
        &self,
        offsets: impl Iterator<Item = (&'static str, u32, i64)>,
    ) -> Result<TopicPartitionList, BrokerError> {
        let mut list = TopicPartitionList::new();
        for (topic, shard, offset) in offsets {
            let (topic, offset) = (format!("{}{topic}", self.prefix), Offset::Offset(offset));
            let partition = i32::try_from(shard).expect("few shards");
            list.add_partition_offset(&topic, partition, offset).map_err(failed)?;
        }
        Ok(list)
    }
    fn say_what_is_read(&mut self) -> Result<(), BrokerError> {
        if self.lost {
            self.begin_anew()?;
            self.lost = false;
        }
        let list = self.list(self.at.iter().map(|((topic, shard), at)| (*topic, *shard, *at)))?;
        self.consumer().assign(&list).map_err(failed)?;
        let paused = self.parts(|topic| self.paused.contains(topic))?;
        self.consumer().pause(&paused).map_err(failed)?;
        self.unsaid = false;
        Ok(())
    }
    /// Another client asks the brokers at once where the partitions are now.
    ///
    /// Where many of before are not closed yet, the present client goes on: it asks by itself, in its
    /// own time.
    fn begin_anew(&mut self) -> Result<(), BrokerError> {
        self.closing.retain(|thread| !thread.is_finished());
        if self.closing.len() >= CLOSING_MOST {
            return Ok(());
        }
        let old = self.consumer.replace(self.config.create().map_err(failed)?);
        self.closing.push(close(old)?);
        Ok(())
    }
    fn consumer(&self) -> &BaseConsumer {
        self.consumer.as_ref().expect(OPEN)
    }
    /// What is read of some topics.
    fn parts(&self, of: impl Fn(&str) -> bool) -> Result<TopicPartitionList, BrokerError> {
        let parts = self.at.keys().filter(|(topic, _)| of(topic));
        self.list(parts.map(|(topic, shard)| (*topic, *shard, 0)))
    }
}

/// Closes a client elsewhere: that waits, with no end of its own, for answers that a topic which is
/// gone may never give.
fn close(client: Option<BaseConsumer>) -> Result<JoinHandle<()>, BrokerError> {
    let thread = thread::Builder::new().name("closes a reader".to_owned());
    thread.spawn(move || drop(client)).map_err(|error| BrokerError(error.to_string()))
}

impl Drop for Partitions {
    fn drop(&mut self) {
        let Ok(closing) = close(self.consumer.take()) else { return };
        for _ in 0..CLOSE_LOOKS {
            if closing.is_finished() {
                return;
            }
            thread::park_timeout(CLOSE_LOOK);
        }
    }
}

fn arrived(
    message: &BorrowedMessage<'_>,
    prefix: &str,
    topics: &[&'static str],
) -> Option<Arrived> {
    let topic = message.topic().strip_prefix(prefix)?;
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let value = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
        headers.iter().map(|header| (header.key.to_owned(), value(header.value))).collect()
    });
    Some(Arrived {
        topic: topics.iter().copied().find(|known| *known == topic)?,
        shard: u32::try_from(message.partition()).ok()?,
        offset: message.offset(),
        headers,
        body: message.payload().unwrap_or_default().to_vec(),
    })
}

impl Reader for Partitions {
    fn assign(&mut self, parts: &[Part]) -> Result<(), BrokerError> {
        // A partition that is paused stays so, also where it is given away and comes back.
        let all = self.parts(|_| true)?;
        self.consumer().resume(&all).map_err(failed)?;
        self.paused.clear();
        self.unsaid = true;
        let at = |part: &Part| {
            let key = (part.topic, part.shard);
            let goes_on = self.at.get(&key).copied().unwrap_or(0);
            (key, part.from.unwrap_or(goes_on))
        };
        self.at = parts.iter().map(at).collect();
        self.say_what_is_read()
    }
    fn poll(&mut self, most: Duration) -> Result<Vec<Arrived>, BrokerError> {
        if self.lost || self.unsaid {
            self.say_what_is_read()?;
        }
        let mut all = Vec::new();
        let mut wait = most;
        while all.len() < RECORDS_MOST {
            let consumer = self.consumer.as_ref().expect(OPEN);
            let Some(polled) = consumer.poll(wait) else { break };
            wait = Duration::ZERO;
            match polled {
                Ok(message) => all.extend(arrived(&message, &self.prefix, &self.topics)),
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition,
                )) => {
                    self.lost = true;
                    break;
                }
                Err(error) if all.is_empty() => return Err(failed(error)),
                Err(_) => break,
            }
        }
        for one in &all {
            self.at.insert((one.topic, one.shard), one.offset + 1);
        }
        if self.lost && all.is_empty() {
            return Err(BrokerError("a topic is gone".to_owned()));
        }
        Ok(all)
    }
    fn pause(&mut self, topic: &'static str, paused: bool) -> Result<(), BrokerError> {
        if paused {
            self.paused.insert(topic);
        } else {
            self.paused.remove(topic);
        }
        let list = self.parts(|of| of == topic)?;
        let done =
            if paused { self.consumer().pause(&list) } else { self.consumer().resume(&list) };
        done.map_err(failed)
    }
    fn renew(&mut self) {
        self.lost = true;
    }
    fn note(&mut self, topic: &'static str, offsets: &[(u32, i64)]) {
        if offsets.is_empty() {
            return;
        }
        let offsets = offsets.iter().map(|(shard, offset)| (topic, *shard, *offset));
        let noted = self
            .list(offsets)
            .and_then(|list| self.consumer().commit(&list, CommitMode::Async).map_err(failed));
        if let Err(error) = noted {
            tracing::debug!(error = &error as &dyn std::error::Error, "a lag is not drawn");
        }
    }
}
