//! Counters of the process in Prometheus' text format.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::topology::EdgeKind;

type Seen = (&'static str, &'static str, EdgeKind, &'static str);

/// What is counted. Writers add once per batch, so that a count costs nothing per item.
#[derive(Default)]
pub(crate) struct Metrics {
    appended: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    edges: Mutex<BTreeMap<Seen, u64>>,
    lag: Mutex<BTreeMap<(&'static str, &'static str), Duration>>,
    pub commands: AtomicU64,
}

impl Metrics {
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
        *self.edges.lock().entry((from, to, kind, name)).or_default() += count;
    }
    /// How old the oldest event of a topic is that a consumer has not applied.
    pub fn lag(&self, consumer: &'static str, topic: &'static str, lag: Duration) {
        self.lag.lock().insert((consumer, topic), lag);
    }
    /// The edges seen so far.
    pub fn edges(&self) -> Vec<(Seen, u64)> {
        self.edges.lock().iter().map(|(edge, count)| (*edge, *count)).collect()
    }
    /// Prometheus' text format 0.0.4.
    pub fn text(&self, counters: &store::Counters, refused: u64) -> String {
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
        let mut lags = BTreeMap::<&str, Duration>::new();
        for ((consumer, _), lag) in self.lag.lock().iter() {
            let most = lags.entry(consumer).or_default();
            *most = (*most).max(*lag);
        }
        let rows = lags.iter().map(|(consumer, lag)| {
            (format!("{{consumer=\"{consumer}\"}}"), format!("{:.6}", lag.as_secs_f64()))
        });
        line("switchyard_unconsumed_age_seconds", "gauge", rows.collect());
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
