//! An event as a record of a broker: CloudEvents 1.0 in binary mode, with the number of its stream
//! (rule 7). Nothing in it is drawn by chance or by the clock: sent twice, it is the same record.

use std::{collections::BTreeSet, sync::LazyLock};

use contracts::{Timestamp, registry};
use uuid::Uuid;

use crate::{
    Lives, Stored,
    broker::{Arrived, Record},
    kind_and_version, kind_of, version_of,
};

/// Ids of events are UUIDv5 under this name (that of `events.switchyard` in the DNS name space).
static NAME_SPACE: LazyLock<Uuid> =
    LazyLock::new(|| Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"events.switchyard"));

/// The kind of an event that is nothing to this consumer: no handler takes it.
const UNKNOWN: i64 = 0xffff;

/// Headers, by their names in the Kafka binding of CloudEvents.
const ID: &str = "ce_id";
const SOURCE: &str = "ce_source";
const TYPE: &str = "ce_type";
const TIME: &str = "ce_time";
/// The number in the stream, the CloudEvents extension `sequence`.
const SEQUENCE: &str = "ce_sequence";
/// Which life of the stream numbers it.
const EPOCH: &str = "ce_sourceepoch";
/// What order is kept for, the CloudEvents extension `partitionkey`.
const KEY: &str = "ce_partitionkey";
const TRACE: &str = "traceparent";
/// The rails that an event is for, with commas between, so that others need not look into it.
const RAIL: &str = "ce_rail";

/// The record of an event of a topic. What this build cannot turn into JSON goes as it is stored.
pub fn record(topic: &str, event: &Stored, lives: &Lives) -> Record {
    let epoch = lives.epoch(event.shard, event.sequence);
    let (kind, version) = (kind_of(event.kind), version_of(event.kind));
    let entry = registry::by_kind(kind).filter(|entry| entry.version == version);
    let json = entry.and_then(|entry| (entry.to_json)(&event.payload));
    let name = entry.map_or_else(|| format!("kind-{kind}"), |entry| entry.name.to_owned());
    let id = format!("{topic}/{epoch}/{}/{}", event.shard, event.sequence);
    let subject = json.as_ref().and_then(subject);
    let key = subject.unwrap_or_else(|| event.key.to_string());
    let mut headers = vec![
        ("ce_specversion", "1.0".to_owned()),
        (ID, Uuid::new_v5(&NAME_SPACE, id.as_bytes()).to_string()),
        (SOURCE, format!("/{topic}")),
        (TYPE, format!("{name}.v{version}")),
        ("ce_subject", key.clone()),
        (TIME, event.at.to_string()),
        ("ce_dataschema", format!("/events/schemas/{name}.v{version}.json")),
        (SEQUENCE, event.sequence.to_string()),
        (EPOCH, epoch.to_string()),
        (KEY, event.key.to_string()),
        ("content-type", "application/json".to_owned()),
    ];
    let rails = json.as_ref().map(rails).filter(|rails| !rails.is_empty());
    headers.extend(rails.map(|rails| (RAIL, rails.join(","))));
    headers.extend(event.trace.map(|trace| (TRACE, traceparent(&trace))));
    let body = json.map_or_else(|| event.payload.clone(), |json| json.to_string().into_bytes());
    Record { shard: event.shard, key, headers, body }
}

/// The rails that an event is for: of a transfer with two legs both.
fn rails(json: &serde_json::Value) -> Vec<&str> {
    ["rail", "destinationRail"].iter().filter_map(|name| json.get(name)?.as_str()).collect()
}

/// The id that an event is about, as its JSON names it.
fn subject(json: &serde_json::Value) -> Option<String> {
    const NAMES: [&str; 4] = ["transferID", "paymentMethodID", "walletID", "accountID"];
    NAMES.iter().find_map(|name| json.get(name)?.as_str()).map(str::to_owned)
}

/// What a consumer takes of a topic; the rest is skipped by its headers.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    pub kinds: BTreeSet<i64>,
    /// The rail that it is, where it is one.
    pub rail: Option<&'static str>,
}

/// The event of a record and the epoch of its life; `None` where it is none of this topic's. A body
/// that cannot be read is kept as it came: the consumer finds out, and makes a dead letter of it. What
/// the consumer does not want has its number, and nothing else that can be told.
pub fn event(topic: &str, arrived: &Arrived, wants: &Wants) -> Option<(i64, Stored)> {
    let header = |name: &str| {
        let found = arrived.headers.iter().find(|(found, _)| found == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    if header(SOURCE)?.strip_prefix('/')? != topic {
        return None;
    }
    let epoch: i64 = header(EPOCH)?.parse().ok()?;
    let (name, version) = header(TYPE)?.rsplit_once(".v")?;
    let version: u16 = version.parse().ok()?;
    let sequence: i64 = header(SEQUENCE)?.parse().ok().filter(|sequence| *sequence > 0)?;
    let entry = registry::EVENTS.iter().find(|entry| entry.name == name);
    let kind = entry.map_or_else(|| unnamed(name), |entry| entry.kind);
    let is_for = |own: &str| header(RAIL).is_none_or(|of| of.split(',').any(|rail| rail == own));
    let another_rail = wants.rail.is_some_and(|own| !is_for(own));
    let wanted = wants.kinds.contains(&kind) && !another_rail;
    let known = entry.filter(|entry| entry.version == version && wanted);
    let payload = known.and_then(|entry| (entry.from_json)(&arrived.body));
    let event = Stored {
        shard: arrived.shard,
        sequence,
        place: sequence,
        key: header(KEY)?.parse().ok()?,
        kind: kind_and_version(if wanted { kind } else { UNKNOWN }, version),
        at: header(TIME)?.parse().unwrap_or(Timestamp(0)),
        trace: header(TRACE).and_then(trace),
        payload: match payload {
            Some(payload) => payload,
            None if wanted => arrived.body.clone(),
            None => Vec::new(),
        },
    };
    Some((epoch, event))
}

/// The kind of a name that this build does not know, where the number is the name.
fn unnamed(name: &str) -> i64 {
    let number = name.strip_prefix("kind-").and_then(|number| number.parse().ok());
    number.filter(|kind| (0..UNKNOWN).contains(kind)).unwrap_or(UNKNOWN)
}

/// W3C Trace Context: version, trace id, parent id, flags; always sampled.
fn traceparent(trace: &[u8; 24]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("00-{}-{}-01", hex(&trace[..16]), hex(&trace[16..]))
}

fn trace(text: &str) -> Option<[u8; 24]> {
    let mut parts = text.split('-').skip(1);
    let digits = format!("{}{}", parts.next()?, parts.next()?);
    if digits.len() != 48 || !digits.is_ascii() {
        return None;
    }
    let mut trace = [0; 24];
    for (at, byte) in trace.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(trace)
}

#[cfg(test)]
mod tests {
    use contracts::{Event, accounts::KeyRevoked, ids::KeyId};

    use super::*;

    fn stored() -> Stored {
        let revoked = KeyRevoked { key_id: KeyId(Uuid::from_u128(7)), hash: vec![1, 2, 3] };
        Stored {
            shard: 3,
            sequence: 41,
            place: 41,
            key: -5,
            kind: kind_and_version(KeyRevoked::KIND, KeyRevoked::VERSION),
            at: Timestamp(1_000_000),
            trace: Some([0xab; 24]),
            payload: revoked.to_compact(),
        }
    }
    fn arrived(record: Record) -> Arrived {
        let headers = record.headers.into_iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let topic = "accounts";
        Arrived {
            topic,
            shard: record.shard,
            offset: 0,
            headers: headers.collect(),
            body: record.body,
        }
    }

    fn all() -> Wants {
        Wants { kinds: BTreeSet::from([KeyRevoked::KIND]), rail: Some("ach") }
    }

    #[test]
    fn what_is_not_wanted_has_its_number_alone() {
        let mut sent = arrived(record("accounts", &stored(), &Lives::first(4)));
        let (_, none) = event("accounts", &sent, &Wants::default()).expect("it is one of ours");
        assert_eq!((none.sequence, kind_of(none.kind), none.payload.len()), (41, UNKNOWN, 0));
        let own = KeyRevoked::KIND;
        for (rail, kind) in [("card", UNKNOWN), ("ach", own), ("card,ach", own)] {
            sent.headers.push((RAIL.to_owned(), rail.into()));
            let (_, event) = event("accounts", &sent, &all()).expect("it is one of ours");
            assert_eq!(kind_of(event.kind), kind, "for {rail}");
            sent.headers.pop();
        }
    }
    #[test]
    fn an_event_comes_out_as_it_went_in() {
        let sent = record("accounts", &stored(), &Lives::first(4));
        assert_eq!(sent, record("accounts", &stored(), &Lives::first(4)), "the same each time");
        assert_eq!(sent.headers[3].1, "key.revoked.v1");
        assert_eq!(event("accounts", &arrived(sent), &all()), Some((1, stored())));
    }
    #[test]
    fn what_is_no_event_of_the_topic_is_none() {
        let sent = arrived(record("accounts", &stored(), &Lives::first(4)));
        assert_eq!(event("ledger", &sent, &all()), None, "another topic's");
        for name in [SOURCE, EPOCH, TYPE, SEQUENCE, KEY] {
            let mut without = sent.clone();
            without.headers.retain(|(found, _)| found != name);
            assert_eq!(event("accounts", &without, &all()), None, "without {name}");
        }
    }
    #[test]
    fn a_body_that_cannot_be_read_is_kept() {
        let mut sent = arrived(record("accounts", &stored(), &Lives::first(4)));
        sent.body = b"garbage".to_vec();
        let (_, event) = event("accounts", &sent, &all()).expect("the headers are good");
        assert!(KeyRevoked::from_compact(&event.payload).is_err(), "it becomes a dead letter");
    }
    #[test]
    fn another_version_is_told_by_its_number() {
        let mut sent = arrived(record("accounts", &stored(), &Lives::first(4)));
        for (name, value) in &mut sent.headers {
            if name == TYPE {
                *value = b"key.revoked.v9".to_vec();
            }
        }
        let (_, event) = event("accounts", &sent, &all()).expect("the headers are good");
        assert_eq!((kind_of(event.kind), version_of(event.kind)), (KeyRevoked::KIND, 9));
    }
}
