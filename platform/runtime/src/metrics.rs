//! Counters of the process in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use contracts::Timestamp;
use parking_lot::Mutex;

use crate::{clock::Clock, topology::EdgeKind};

/// From, to, kind and name of an edge.
pub(crate) type EdgeName = (&'static str, &'static str, EdgeKind, &'static str);

/// A minute is remembered in slots of ten seconds, the one that goes on included.
const SLOTS: usize = 7;
const SLOT_MICROS: i64 = 10_000_000;

/// How often an edge was used.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub count: u64,
    pub last: Timestamp,
    /// How often in the last minute, give or take ten seconds at its far end.
    pub minute: u64,
}

struct Traffic {
    count: u64,
    last: Timestamp,
    /// The number of each slot's ten seconds, and what was counted in them.
    slots: [(i64, u64); SLOTS],
}

impl Traffic {
    fn add(&mut self, now: Timestamp, count: u64) {
        let slot = now.0.div_euclid(SLOT_MICROS);
        let at = &mut self.slots[usize::try_from(slot.rem_euclid(SLOTS as i64)).unwrap_or(0)];
        if at.0 != slot {
            *at = (slot, 0);
        }
        at.1 += count;
        (self.count, self.last) = (self.count + count, now);
    }
    fn minute(&self, now: Timestamp) -> u64 {
        let slot = now.0.div_euclid(SLOT_MICROS);
        let fresh = |(number, _): &&(i64, u64)| (slot - 6..=slot).contains(number);
        self.slots.iter().filter(fresh).map(|(_, count)| count).sum()
    }
}

/// How far a consumer is behind in a topic.
#[derive(Clone, Copy, Default)]
pub(crate) struct Behind {
    /// How old the oldest event is that it has not applied.
    pub lag: Duration,
    /// Keys, such as transfers, that stand still behind a dead letter.
    pub parked: usize,
}

/// What this process has to do with a broker.
pub(crate) struct Carrying {
    pub works: bool,
    /// By topic, where the relay here is the active one: events that were not yet acknowledged.
    pub unsent: Vec<(&'static str, i64)>,
}

/// What is counted. Writers add once per batch, so that a count costs nothing per item.
pub(crate) struct Metrics {
    clock: Clock,
    appended: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    edges: Mutex<BTreeMap<EdgeName, Traffic>>,
    consumers: Mutex<BTreeMap<(&'static str, &'static str), Behind>>,
    pub commands: AtomicU64,
}

impl Metrics {
    /// Nothing counted yet; rates are by machine time.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            appended: Mutex::default(),
            edges: Mutex::default(),
            consumers: Mutex::default(),
            commands: AtomicU64::new(0),
        }
    }
    /// So many events of one kind were appended by a service.
    pub fn appended(&self, service: &'static str, event: &'static str, count: u64) {
        *self.appended.lock().entry((service, event)).or_default() += count;
    }
    /// An edge was used so many times.
    pub fn edge(
        &self,
        from: &'static str,
        to: &'static str,
        kind: EdgeKind,
        name: &'static str,
        count: u64,
    ) {
        let now = self.clock.machine();
        let new = || Traffic { count: 0, last: now, slots: [(0, 0); SLOTS] };
        self.edges.lock().entry((from, to, kind, name)).or_insert_with(new).add(now, count);
    }
    /// How far a consumer is behind in a topic.
    pub fn consumer(&self, consumer: &'static str, topic: &'static str, behind: Behind) {
        self.consumers.lock().insert((consumer, topic), behind);
    }
    /// The edges seen so far.
    pub fn edges(&self) -> Vec<(EdgeName, Seen)> {
        let now = self.clock.machine();
        let seen = |of: &Traffic| Seen { count: of.count, last: of.last, minute: of.minute(now) };
        self.edges.lock().iter().map(|(edge, traffic)| (*edge, seen(traffic))).collect()
    }
    /// By consumer and topic: how old the oldest event is that was not applied.
    pub fn lags(&self) -> Vec<((&'static str, &'static str), Duration)> {
        self.consumers.lock().iter().map(|(of, behind)| (*of, behind.lag)).collect()
    }
    /// How far each consumer is behind, in all topics together.
    pub fn behind(&self) -> BTreeMap<&'static str, Behind> {
        let mut behind = BTreeMap::<&str, Behind>::new();
        for ((consumer, _), of) in self.consumers.lock().iter() {
            let all = behind.entry(consumer).or_default();
            (all.lag, all.parked) = (all.lag.max(of.lag), all.parked + of.parked);
        }
        behind
    }
    /// Prometheus' text format 0.0.4.
    pub fn text(
        &self,
        counters: &store::Counters,
        refused: u64,
        carrying: Option<&Carrying>,
    ) -> String {
        let mut text = String::new();
        let mut line = |name: &str, kind: &str, rows: Vec<(String, String)>| {
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let appended = self.appended.lock();
        let rows = appended.iter().map(|((service, event), count)| {
            (format!("{{service=\"{service}\",event=\"{event}\"}}"), count.to_string())
        });
        line("switchyard_events_appended_total", "counter", rows.collect());
        let of = |consumer: &str| format!("{{consumer=\"{consumer}\"}}");
        let behind = self.behind();
        let lags = behind.iter().map(|(who, at)| (of(who), format!("{:.6}", at.lag.as_secs_f64())));
        line("switchyard_unconsumed_age_seconds", "gauge", lags.collect());
        let parked = behind.iter().map(|(who, at)| (of(who), at.parked.to_string()));
        line("switchyard_parked_keys", "gauge", parked.collect());
        if let Some(Carrying { works, unsent }) = carrying {
            let works = u8::from(*works).to_string();
            line("switchyard_broker_up", "gauge", vec![(String::new(), works)]);
            let unsent = unsent.iter();
            let unsent =
                unsent.map(|(topic, count)| (format!("{{topic=\"{topic}\"}}"), count.to_string()));
            line("switchyard_relay_unsent_events", "gauge", unsent.collect());
        }
        for (name, count) in [
            ("switchyard_commits_total", counters.commits),
            ("switchyard_checkpoints_total", counters.checkpoints),
            ("switchyard_commands_total", self.commands.load(Ordering::Relaxed)),
            ("switchyard_refused_busy_total", refused),
        ] {
            line(name, "counter", vec![(String::new(), count.to_string())]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicI64};

    use super::*;

    #[test]
    fn a_minute_is_what_was_seen_in_the_last_sixty_seconds() {
        let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let clock = Clock::from_micros({
            let now = Arc::clone(&now);
            Arc::new(move || now.load(Ordering::Relaxed))
        });
        let metrics = Metrics::new(clock);
        let minute = || metrics.edges()[0].1.minute;
        metrics.edge("a", "b", EdgeKind::Event, "made", 5);
        assert_eq!(minute(), 5);
        now.fetch_add(30_000_000, Ordering::Relaxed);
        metrics.edge("a", "b", EdgeKind::Event, "made", 2);
        assert_eq!(minute(), 7);
        now.fetch_add(45_000_000, Ordering::Relaxed);
        assert_eq!(minute(), 2);
        now.fetch_add(3_600_000_000, Ordering::Relaxed);
        assert_eq!(minute(), 0);
        assert_eq!(metrics.edges()[0].1.count, 7, "the sum stays");
    }

    #[test]
    fn consumers_and_the_broker_are_told_as_prometheus_reads_it() {
        let metrics = Metrics::new(Clock::system());
        let lag = Duration::from_millis;
        metrics.consumer("ledger", "transfers", Behind { lag: lag(1_500), parked: 2 });
        metrics.consumer("ledger", "rtp", Behind { lag: lag(20), parked: 1 });
        let text = |carrying| metrics.text(&store::Counters::default(), 0, carrying);
        let alone = text(None);
        assert!(
            alone.contains("\nswitchyard_unconsumed_age_seconds{consumer=\"ledger\"} 1.500000\n")
        );
        assert!(alone.contains("\nswitchyard_parked_keys{consumer=\"ledger\"} 3\n"), "{alone}");
        assert!(!alone.contains("broker") && !alone.contains("relay"), "{alone}");
        let carried = text(Some(&Carrying { works: false, unsent: vec![("ledger", 7)] }));
        assert!(carried.contains("\nswitchyard_broker_up 0\n"), "{carried}");
        assert!(carried.contains("\nswitchyard_relay_unsent_events{topic=\"ledger\"} 7\n"));
    }
}
