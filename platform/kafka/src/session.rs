//! A producer: idempotent, acknowledged by all replicas in sync, nothing given up silently.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use eventlog::broker::{BrokerError, Record, Session};
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};

use crate::{Settings, client, failed};

/// How long a record may take to be acknowledged: then the session is given up.
const ACKNOWLEDGED_WITHIN: &str = "8000";

/// The client polls for the whole of the time that it is given, also once something has come.
const TICK: Duration = Duration::from_millis(1);

/// What deliveries came to.
#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failed: Mutex<Option<String>>,
}

#[derive(Clone, Default)]
struct Context(Arc<Deliveries>);

impl ClientContext for Context {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "producer");
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = &error as &dyn std::error::Error, reason, "producer");
    }
}
impl ProducerContext for Context {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.acknowledged.fetch_add(1, Ordering::AcqRel);
            }
            Err((error, message)) => {
                let partition = message.partition();
                let said = || format!("partition {partition} did not take a record: {error}");
                self.0.failed.lock().get_or_insert_with(said);
            }
        }
    }
}

/// A producer.
pub(crate) struct Producer {
    producer: BaseProducer<Context>,
    deliveries: Arc<Deliveries>,
    prefix: String,
    sent: u64,
}

impl Producer {
    pub fn new(settings: &Settings) -> Result<Self, BrokerError> {
        let context = Context::default();
        let deliveries = Arc::clone(&context.0);
        let producer = client(settings)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            .set("message.timeout.ms", ACKNOWLEDGED_WITHIN)
            .set("linger.ms", "1")
            .set("queue.buffering.max.messages", "100000")
            .create_with_context(context)
            .map_err(failed)?;
        Ok(Self { producer, deliveries, prefix: settings.prefix.clone(), sent: 0 })
    }
    fn enqueue(&mut self, topic: &str, record: &Record) -> Result<(), BrokerError> {
        let partition = i32::try_from(record.shard).expect("few shards");
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut next = BaseRecord::to(topic)
            .partition(partition)
            .key(&record.key)
            .payload(&record.body)
            .headers(headers);
        loop {
            match self.producer.send(next) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    next = again;
                    self.producer.poll(TICK);
                    self.healthy()?;
                }
                Err((error, _)) => return Err(failed(error)),
            }
        }
    }
    fn healthy(&self) -> Result<(), BrokerError> {
        self.deliveries.failed.lock().take().map_or(Ok(()), |error| Err(BrokerError(error)))
    }
}

impl Session for Producer {
    fn send(&mut self, topic: &str, records: &[Record]) -> Result<(), BrokerError> {
        let topic = format!("{}{topic}", self.prefix);
        for record in records {
            self.enqueue(&topic, record)?;
        }
        // Each record is acknowledged or failed within its time: this ends.
        while self.deliveries.acknowledged.load(Ordering::Acquire) < self.sent {
            self.producer.poll(TICK);
            self.healthy()?;
        }
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // What was not acknowledged goes again in the next session.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let _ = self.producer.flush(Duration::from_millis(100));
    }
}
