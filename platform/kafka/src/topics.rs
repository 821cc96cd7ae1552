//! Topics: made with the settings they must have, and refused with others (rule 8).

use eventlog::broker::BrokerError;
use rdkafka::{
    admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::Consumer,
};

use crate::{ANSWER_MOST, Kafka, Settings, failed};

/// How long records are kept at least: a consumer that was away longer reads from the outbox.
const KEPT_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Makes a topic that is missing: true where it was. Checks one that is there.
pub(crate) fn ensure(of: &Kafka, name: &str, shards: u32) -> Result<bool, BrokerError> {
    let metadata = of.asks.fetch_metadata(Some(name), ANSWER_MOST);
    let metadata = metadata.map_err(|error| of.unanswered(&error))?;
    let found = metadata.topics().iter().find(|topic| topic.name() == name);
    let Some(found) = found.filter(|topic| !topic.partitions().is_empty()) else {
        make(of, name, shards)?;
        return Ok(true);
    };
    let wrong = |what: String| {
        Err(BrokerError(format!("topic {name} {what}; mend it with kafka-topics/kafka-configs")))
    };
    let partitions = found.partitions().len();
    if partitions != shards as usize {
        return wrong(format!("has {partitions} partitions where {shards} are needed"));
    }
    let copies = found.partitions().iter().map(|one| one.replicas().len()).min().unwrap_or(0);
    if copies < usize::from(of.settings.replication) {
        let wanted = of.settings.replication;
        return wrong(format!("has {copies} copies of a partition where {wanted} are needed"));
    }
    match refused(of, name)? {
        Some(what) => wrong(what),
        None => Ok(false),
    }
}

/// Copies in sync without which nothing is acknowledged.
fn in_sync(settings: &Settings) -> u16 {
    settings.replication.saturating_sub(1).max(1)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ANSWER_MOST)).request_timeout(Some(ANSWER_MOST))
}

/// Waits for an answer that comes from a thread of the client's own.
fn wait<T>(answer: impl Future<Output = T>) -> Result<T, BrokerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Ok(runtime.map_err(|error| BrokerError(error.to_string()))?.block_on(answer))
}

fn make(of: &Kafka, name: &str, shards: u32) -> Result<(), BrokerError> {
    let (kept, in_sync) = (KEPT_MILLIS.to_string(), in_sync(&of.settings).to_string());
    let partitions = i32::try_from(shards).expect("few shards");
    let copies = TopicReplication::Fixed(i32::from(of.settings.replication));
    let topic = NewTopic::new(name, partitions, copies)
        .set("cleanup.policy", "delete")
        .set("retention.ms", &kept)
        .set("min.insync.replicas", &in_sync)
        .set("unclean.leader.election.enable", "false");
    let made = wait(of.admin.create_topics([&topic], &options()))?.map_err(failed)?;
    match made.into_iter().next() {
        Some(Err((_, code))) if code != rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists => {
            Err(BrokerError(format!("topic {name} cannot be made: {code}")))
        }
        _ => Ok(()),
    }
}

/// What of a topic's settings loses events.
fn refused(of: &Kafka, name: &str) -> Result<Option<String>, BrokerError> {
    let asked = [ResourceSpecifier::Topic(name)];
    let told = wait(of.admin.describe_configs(&asked, &options()))?.map_err(failed)?;
    let told =
        told.into_iter().next().ok_or_else(|| BrokerError(format!("{name}: no settings")))?;
    let told = told.map_err(|code| BrokerError(format!("settings of {name}: {code}")))?;
    let value = |name: &str| told.get(name).and_then(|entry| entry.value.clone());
    let number = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    let kept = number("retention.ms").unwrap_or(0);
    let (least, needed) = (number("min.insync.replicas").unwrap_or(0), in_sync(&of.settings));
    Ok(if value("cleanup.policy").as_deref() != Some("delete") {
        Some("has another cleanup.policy than delete".to_owned())
    } else if value("unclean.leader.election.enable").as_deref() == Some("true") {
        Some("allows unclean.leader.election".to_owned())
    } else if (0..KEPT_MILLIS).contains(&kept) {
        Some(format!("keeps records for {kept} ms where {KEPT_MILLIS} are needed"))
    } else if least < i64::from(needed) {
        Some(format!("has min.insync.replicas {least} where {needed} are needed"))
    } else {
        None
    })
}
