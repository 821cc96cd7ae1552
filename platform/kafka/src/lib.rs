//! Apache Kafka as the broker between processes: the seam of [`eventlog::broker`] over librdkafka.
//!
//! Kafka's transactions and consumer groups are not used: positions stand in the consumer's database
//! and fence by compare-and-set, shards are dealt out there too, and the offsets of groups are
//! written for lag graphs alone.

mod reader;
mod security;
mod session;
mod topics;

use std::time::Duration;

use eventlog::broker::{Broker, BrokerError, Ends, Reader, Session};
use rdkafka::{
    ClientConfig,
    admin::AdminClient,
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

pub use security::{Login, Mechanism, Security, Tls};

/// How long metadata and topics are waited for.
const ANSWER_MOST: Duration = Duration::from_secs(10);

/// What a client says of its connections is heard out up to so many.
const SAID_MOST: u32 = 64;

/// How the brokers are reached, and what topics must be like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `HOST:PORT,...`: some brokers of the cluster.
    pub brokers: String,
    /// What names of topics and groups begin with.
    pub prefix: String,
    /// Copies of each partition: 3, or 1 where nothing is to be survived (`--dev`).
    pub replication: u16,
    pub security: Security,
}

/// A Kafka cluster.
pub struct Kafka {
    settings: Settings,
    /// Asks for metadata and offsets; it reads nothing.
    asks: BaseConsumer<security::Said>,
    said: security::Said,
    /// Makes topics, and asks for their settings.
    admin: AdminClient<DefaultClientContext>,
}

impl Kafka {
    /// Knows the cluster; connects when first needed. An error where this build cannot do what the
    /// settings demand, or files that they name cannot be used.
    pub fn new(settings: Settings) -> Result<Self, BrokerError> {
        let said = security::Said::default();
        let asks = client(&settings)?.create_with_context(said.clone()).map_err(failed)?;
        let admin = client(&settings)?.create().map_err(failed)?;
        Ok(Self { settings, asks, said, admin })
    }
    /// Why a question was not answered, with what the client said before.
    fn unanswered(&self, error: &KafkaError) -> BrokerError {
        // What it has to say waits until it is polled.
        (0..SAID_MOST).for_each(|_| drop(self.asks.poll(Duration::ZERO)));
        self.said.of(error)
    }
    fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.settings.prefix)
    }
}

/// What all clients have in common.
fn client(settings: &Settings) -> Result<ClientConfig, BrokerError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "switchyard")
        .set("allow.auto.create.topics", "false")
        // A request for each partition: without this each waits 40 ms for an acknowledgement of TCP's.
        .set("socket.nagle.disable", "true")
        // Brokers come and go: what is wrong is said by what cannot be done.
        .set("log.connection.close", "false")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.fast.interval.ms", "100");
    settings.security.set(&mut config)?;
    Ok(config)
}

fn failed(error: KafkaError) -> BrokerError {
    BrokerError(error.to_string())
}

impl Broker for Kafka {
    fn session(&self) -> Result<Box<dyn Session>, BrokerError> {
        Ok(Box::new(session::Producer::new(&self.settings)?))
    }
    fn reader(
        &self,
        consumer: &str,
        topics: &[&'static str],
    ) -> Result<Box<dyn Reader>, BrokerError> {
        Ok(Box::new(reader::Partitions::new(&self.settings, consumer, topics)?))
    }
    fn ends(&self, topic: &str, shards: u32) -> Result<Vec<Ends>, BrokerError> {
        let name = self.name(topic);
        let ends = |shard: u32| {
            let partition = i32::try_from(shard).expect("few shards");
            let ends = self.asks.fetch_watermarks(&name, partition, ANSWER_MOST);
            ends.map(|(low, high)| Ends { low, high }).map_err(|error| self.unanswered(&error))
        };
        (0..shards).map(ends).collect()
    }
    fn ensure(&self, topic: &str, shards: u32) -> Result<bool, BrokerError> {
        topics::ensure(self, &self.name(topic), shards)
    }
}
