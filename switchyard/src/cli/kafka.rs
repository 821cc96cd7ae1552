//! The flags that say how brokers are reached.

use clap::Args;

/// The brokers that carry events between processes; without them the database itself does.
#[derive(Args, Debug, Clone)]
pub struct Kafka {
    /// Carry events by Apache Kafka: some of its brokers
    #[arg(long = "kafka", env = "SWITCHYARD_KAFKA", value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// What the names of topics and consumer groups begin with
    #[arg(
        long = "kafka-prefix",
        env = "SWITCHYARD_KAFKA_PREFIX",
        default_value = "switchyard.",
        value_name = "PREFIX"
    )]
    pub prefix: String,
    /// One copy of each partition instead of three: a broker that is lost takes its topics along
    #[arg(long, env = "SWITCHYARD_DEV")]
    pub dev: bool,
}
