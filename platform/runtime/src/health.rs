//! Whether this process can do its work: each part, its state, and since when.

use std::{collections::BTreeMap, time::Duration};

use contracts::{
    Timestamp,
    operations::{Health, HealthPart},
};
use parking_lot::Mutex;

use crate::platform::Platform;

/// A consumer is behind once an event has waited for it so long.
const BEHIND: Duration = Duration::from_secs(10);

/// The part that says whether events are carried on.
const BROKER: &str = "broker";

/// The state of each part, and since when.
#[derive(Default)]
pub(crate) struct Since(Mutex<BTreeMap<String, (String, Timestamp)>>);

impl Since {
    /// The parts, each with the moment at which its state was first seen.
    fn parts(&self, states: Vec<(String, String)>, now: Timestamp) -> Vec<HealthPart> {
        let mut since = self.0.lock();
        let part = |(name, state): (String, String)| {
            let known = since.entry(name.clone()).or_insert_with(|| (state.clone(), now));
            if known.0 != state {
                *known = (state.clone(), now);
            }
            HealthPart { name, state, since: known.1 }
        };
        states.into_iter().map(part).collect()
    }
}

/// The health of a process: `ready` where every part is `ok`.
pub(crate) async fn health(platform: &Platform, since: &Since) -> Health {
    let parts = since.parts(states(platform).await, platform.clock().machine());
    // Writes are durable without the broker: what it does not carry waits.
    let ready = parts.iter().all(|part| part.state == "ok" || part.name == BROKER);
    Health { status: if ready { "ready" } else { "not-ready" }.to_owned(), parts }
}

async fn states(platform: &Platform) -> Vec<(String, String)> {
    let store = match platform.read(|_| Ok(())).await {
        Ok(()) => "ok".to_owned(),
        Err(refusal) => refusal.detail,
    };
    let process = if platform.is_stopping() { "stopping" } else { "ok" };
    let writer = if platform.is_writing() { "ok" } else { "ended: restart the process" };
    let mut states = vec![
        ("process".to_owned(), process.to_owned()),
        ("store".to_owned(), store),
        ("writer".to_owned(), writer.to_owned()),
    ];
    states.extend(platform.broker().map(|state| (BROKER.to_owned(), state)));
    for (consumer, behind) in platform.behind() {
        let late = "behind: its oldest event waits too long";
        let state = if behind.lag < BEHIND { "ok" } else { late };
        states.push((format!("consumer {consumer}"), state.to_owned()));
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_keeps_its_moment_until_its_state_changes() {
        let since = Since::default();
        let one = |state: &str, now| {
            let states = vec![("store".to_owned(), state.to_owned())];
            since.parts(states, Timestamp(now))[0].since.0
        };
        assert_eq!(
            [one("ok", 1), one("ok", 2), one("full", 3), one("full", 4), one("ok", 5)],
            [1, 1, 3, 3, 5]
        );
    }
}
