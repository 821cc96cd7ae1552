//! A producer: idempotent, acknowledged by all replicas in sync, nothing given up silently.

use std::{sync::Arc, time::Duration};

use eventlog::broker::{BrokerError, Record, Session};
use parking_lot::{Condvar, Mutex};
use rdkafka::{
    ClientContext, Message,
    error::KafkaError,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};

use crate::{Settings, client, failed};

/// How long a record may take to be acknowledged: then the session is given up.
const ACKNOWLEDGED_WITHIN: &str = "8000";
/// Longer than that, for which nothing at all is heard of.
const SILENT: Duration = Duration::from_secs(12);
/// How long one call serves deliveries. The client polls for the whole of the time that it is given,
/// also once something has come, and spins through the last millisecond of it: so a thread does it, in
/// long turns.
const TURN: Duration = Duration::from_secs(1);

/// What deliveries came to.
#[derive(Default)]
struct Deliveries {
    known: Mutex<Known>,
    changed: Condvar,
}
#[derive(Default)]
struct Known {
    acknowledged: u64,
    failed: Option<String>,
    /// Who waits is woken when so many are acknowledged.
    awaited: u64,
}
impl Deliveries {
    /// Waits until so many are acknowledged, or one failed.
    fn wait(&self, awaited: u64) -> Result<(), BrokerError> {
        let mut known = self.known.lock();
        known.awaited = awaited;
        let waits = |known: &mut Known| known.failed.is_none() && known.acknowledged < awaited;
        if self.changed.wait_while_for(&mut known, waits, SILENT).timed_out() {
            return Err(BrokerError("the broker says nothing of what was sent".to_owned()));
        }
        known.failed.take().map_or(Ok(()), |error| Err(BrokerError(error)))
    }
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
                let mut known = self.0.known.lock();
                known.acknowledged += 1;
                if known.acknowledged == known.awaited {
                    self.0.changed.notify_one();
                }
            }
            Err((error, message)) => {
                let partition = message.partition();
                let said = || format!("partition {partition} did not take a record: {error}");
                self.0.known.lock().failed.get_or_insert_with(said);
                self.0.changed.notify_one();
            }
        }
    }
}

/// A producer.
pub(crate) struct Producer {
    producer: Arc<BaseProducer<Context>>,
    deliveries: Arc<Deliveries>,
    prefix: String,
    sent: u64,
}

impl Producer {
    pub fn new(settings: &Settings) -> Result<Self, BrokerError> {
        let context = Context::default();
        let deliveries = Arc::clone(&context.0);
        let producer: BaseProducer<Context> = client(settings)?
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            .set("message.timeout.ms", ACKNOWLEDGED_WITHIN)
            .set("linger.ms", "1")
            .set("queue.buffering.max.messages", "100000")
            .create_with_context(context)
            .map_err(failed)?;
        let producer = Arc::new(producer);
        let served = Arc::downgrade(&producer);
        let serve = move || {
            while let Some(producer) = served.upgrade() {
                producer.poll(TURN);
            }
        };
        let thread = std::thread::Builder::new().name("deliveries".to_owned());
        thread.spawn(serve).map_err(|error| BrokerError(format!("no thread: {error}")))?;
        Ok(Self { producer, deliveries, prefix: settings.prefix.clone(), sent: 0 })
    }
    fn enqueue(&mut self, topic: &str, record: &Record) -> Result<(), BrokerError> {
        let partition = i32::try_from(record.shard).expect("few shards");
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let record = BaseRecord::to(topic)
            .partition(partition)
            .key(&record.key)
            .payload(&record.body)
            .headers(headers);
        // The client's queue holds many times what is sent at once.
        self.producer.send(record).map_err(|(error, _)| failed(error))?;
        self.sent += 1;
        Ok(())
    }
}

impl Session for Producer {
    fn send(&mut self, topic: &str, records: &[Record]) -> Result<(), BrokerError> {
        let topic = format!("{}{topic}", self.prefix);
        for record in records {
            self.enqueue(&topic, record)?;
        }
        // Each record is acknowledged or failed within its time: this ends.
        self.deliveries.wait(self.sent)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // What was not acknowledged goes again in the next session.
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}
