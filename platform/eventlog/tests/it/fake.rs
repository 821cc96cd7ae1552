//! A broker in memory that fails as it is told to: it loses, repeats and forgets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use eventlog::broker::{Arrived, Broker, BrokerError, Ends, Part, Reader, Record, Session};

/// One partition: the offset of its first record, and its records.
#[derive(Default)]
struct Partition {
    low: i64,
    records: Vec<Record>,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Vec<Partition>>,
    /// After so many more records a send fails; whether the one at which it fails is kept.
    fails: Option<(usize, bool)>,
    sends: usize,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// The next send takes so many records and then fails; the last may be kept all the same.
    pub fn fails_after(&self, records: usize, kept: bool) {
        self.0.lock().unwrap().fails = Some((records, kept));
    }
    /// Each partition loses its newest records, as after an unclean election.
    pub fn forgets(&self, topic: &str, records: usize) {
        for partition in self.0.lock().unwrap().topics.get_mut(topic).unwrap() {
            let left = partition.records.len().saturating_sub(records);
            partition.records.truncate(left);
        }
    }
    /// Each partition drops what it holds, and counts on.
    pub fn empties(&self, topic: &str) {
        for partition in self.0.lock().unwrap().topics.get_mut(topic).unwrap() {
            partition.low += i64::try_from(partition.records.len()).unwrap();
            partition.records.clear();
        }
    }
    pub fn deletes(&self, topic: &str) {
        self.0.lock().unwrap().topics.remove(topic);
    }
    /// How many records were taken in all.
    pub fn sent(&self) -> usize {
        self.0.lock().unwrap().sends
    }
}

fn error(what: &str) -> BrokerError {
    BrokerError(what.to_owned())
}

impl Broker for Fake {
    fn session(&self) -> Result<Box<dyn Session>, BrokerError> {
        Ok(Box::new(self.clone()))
    }
    fn reader(&self, _: &str, _: &[&'static str]) -> Result<Box<dyn Reader>, BrokerError> {
        Ok(Box::new(Reads { of: self.clone(), at: BTreeMap::new() }))
    }
    fn ends(&self, topic: &str, _: u32) -> Result<Vec<Ends>, BrokerError> {
        let state = self.0.lock().unwrap();
        let ends = |of: &Partition| {
            let high = of.low + i64::try_from(of.records.len()).unwrap();
            Ends { low: of.low, high }
        };
        let topic = state.topics.get(topic).ok_or_else(|| error("no such topic"))?;
        Ok(topic.iter().map(ends).collect())
    }
    fn ensure(&self, topic: &str, shards: u32) -> Result<bool, BrokerError> {
        let mut state = self.0.lock().unwrap();
        if state.topics.contains_key(topic) {
            return Ok(false);
        }
        let partitions = (0..shards).map(|_| Partition::default()).collect();
        state.topics.insert(topic.to_owned(), partitions);
        Ok(true)
    }
}

impl Session for Fake {
    fn send(&mut self, topic: &str, records: &[Record]) -> Result<(), BrokerError> {
        let mut state = self.0.lock().unwrap();
        for record in records {
            let failing = state.fails.is_some_and(|(left, _)| left == 0);
            let kept = state.fails.is_some_and(|(_, kept)| kept);
            if let Some((left, _)) = &mut state.fails {
                *left = left.saturating_sub(1);
            }
            if !failing || kept {
                let partitions =
                    state.topics.get_mut(topic).ok_or_else(|| error("no such topic"))?;
                partitions[record.shard as usize].records.push(record.clone());
                state.sends += 1;
            }
            if failing {
                state.fails = None;
                return Err(error("not acknowledged"));
            }
        }
        Ok(())
    }
}

struct Reads {
    of: Fake,
    at: BTreeMap<(&'static str, u32), i64>,
}

impl Reader for Reads {
    fn assign(&mut self, parts: &[Part]) -> Result<(), BrokerError> {
        let at = |part: &Part| {
            let key = (part.topic, part.shard);
            (key, part.from.unwrap_or_else(|| self.at.get(&key).copied().unwrap_or(0)))
        };
        self.at = parts.iter().map(at).collect();
        Ok(())
    }
    fn poll(&mut self, _: Duration) -> Result<Vec<Arrived>, BrokerError> {
        let state = self.of.0.lock().unwrap();
        let mut all = Vec::new();
        for ((topic, shard), at) in &mut self.at {
            let partitions = state.topics.get(*topic).ok_or_else(|| error("no such topic"))?;
            let of = &partitions[*shard as usize];
            let high = of.low + i64::try_from(of.records.len()).unwrap();
            if !(of.low..=high).contains(at) {
                // Out of range: the oldest there is.
                *at = of.low;
            }
            for record in of.records.iter().skip(usize::try_from(*at - of.low).unwrap()) {
                let headers = record.headers.iter();
                let header = |(name, value): &(&str, String)| {
                    ((*name).to_owned(), value.clone().into_bytes())
                };
                let (headers, body) = (headers.map(header).collect(), record.body.clone());
                all.push(Arrived { topic, shard: *shard, offset: *at, headers, body });
                *at += 1;
            }
        }
        Ok(all)
    }
    fn pause(&mut self, _: &'static str, _: bool) -> Result<(), BrokerError> {
        Ok(())
    }
    fn renew(&mut self) {}
    fn note(&mut self, _: &'static str, _: &[(u32, i64)]) {}
}
