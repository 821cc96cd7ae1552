//! Reads chosen partitions of one topic. The partitions are dealt out in the consumer's database.

use std::{collections::BTreeMap, time::Duration};

use eventlog::broker::{Arrived, BrokerError, Reader};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};

use crate::{Settings, client, failed};

/// Records taken at once at most.
const RECORDS_MOST: usize = 2_000;

/// A reader of one topic.
pub(crate) struct Partitions {
    consumer: BaseConsumer,
    topic: String,
    /// The offset at which each partition goes on.
    at: BTreeMap<u32, i64>,
    /// The broker forgot the topic for a while: what is read has to be said again.
    lost: bool,
}

impl Partitions {
    pub fn new(settings: &Settings, consumer: &str, topic: &str) -> Result<Self, BrokerError> {
        let consumer = client(settings)
            .set("group.id", format!("{}{consumer}", settings.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // What lies before the oldest record is asked of the outbox.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "500")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", "16384")
            .create()
            .map_err(failed)?;
        let (topic, at) = (topic.to_owned(), BTreeMap::new());
        Ok(Self { consumer, topic, at, lost: false })
    }
    fn list(&self, offsets: &[(u32, i64)]) -> Result<TopicPartitionList, BrokerError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (shard, offset) in offsets {
            let partition = i32::try_from(*shard).expect("few shards");
            let offset = Offset::Offset(*offset);
            list.add_partition_offset(&self.topic, partition, offset).map_err(failed)?;
        }
        Ok(list)
    }
    fn say_what_is_read(&mut self) -> Result<(), BrokerError> {
        let at: Vec<(u32, i64)> = self.at.iter().map(|(shard, at)| (*shard, *at)).collect();
        self.lost = false;
        let list = self.list(&at)?;
        self.consumer.assign(&list).map_err(failed)
    }
}

fn arrived(message: &BorrowedMessage<'_>) -> Option<Arrived> {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let value = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
        headers.iter().map(|header| (header.key.to_owned(), value(header.value))).collect()
    });
    Some(Arrived {
        shard: u32::try_from(message.partition()).ok()?,
        offset: message.offset(),
        headers,
        body: message.payload().unwrap_or_default().to_vec(),
    })
}

impl Reader for Partitions {
    fn assign(&mut self, partitions: &[(u32, Option<i64>)]) -> Result<(), BrokerError> {
        let at = |(shard, from): &(u32, Option<i64>)| {
            let goes_on = self.at.get(shard).copied().unwrap_or(0);
            (*shard, from.unwrap_or(goes_on))
        };
        self.at = partitions.iter().map(at).collect();
        self.say_what_is_read()
    }
    fn poll(&mut self, most: Duration) -> Result<Vec<Arrived>, BrokerError> {
        if self.lost {
            self.say_what_is_read()?;
        }
        let mut all = Vec::new();
        let mut wait = most;
        while all.len() < RECORDS_MOST {
            let Some(polled) = self.consumer.poll(wait) else { break };
            wait = Duration::ZERO;
            match polled {
                Ok(message) => all.extend(arrived(&message)),
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
            self.at.insert(one.shard, one.offset + 1);
        }
        if self.lost && all.is_empty() {
            return Err(BrokerError(format!("there is no topic {}", self.topic)));
        }
        Ok(all)
    }
    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        let list = self.consumer.assignment().map_err(failed)?;
        let done = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        done.map_err(failed)
    }
    fn note(&mut self, offsets: &[(u32, i64)]) {
        if offsets.is_empty() {
            return;
        }
        let noted = self
            .list(offsets)
            .and_then(|list| self.consumer.commit(&list, CommitMode::Async).map_err(failed));
        if let Err(error) = noted {
            tracing::debug!(error = &error as &dyn std::error::Error, "a lag is not drawn");
        }
    }
}
