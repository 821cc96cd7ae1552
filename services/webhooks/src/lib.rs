//! webhooks: the public event feed.
//!
//! *Owns* the feed of each account, a gapless sequence, and of the whole platform.
//! *Answers* `ListEvents`.
//! *Handles* every public event.
//! *Emits* nothing. *Never* is asked anything on the way of a write; it is about a second behind.

mod domain;
mod events;
mod http;
mod store;

use std::sync::Arc;

use ::store::{Engine, Store};
use contracts::{registry, webhooks::ListEvents};
use parking_lot::Mutex;
use runtime::{Service, Tier};

pub use crate::store::verify;

/// The service's state: what is on its way into feeds.
pub struct Webhooks {
    engine: Engine,
    gathering: Mutex<domain::Gathering>,
}

/// The service with its wiring.
pub fn service(store: &Store) -> Service<Webhooks> {
    let state = Webhooks { engine: store.engine(), gathering: Mutex::default() };
    Service::new("webhooks", Tier::Service, Arc::new(state))
        .tables(&["webhooks_feed", "webhooks_mark"], crate::store::MIGRATIONS)
        .starts(|state, tx| {
            let mut gathering = state.gathering.lock();
            for (slice, topic, place) in crate::store::load_marks(tx)? {
                let mut emitters = registry::EVENTS.iter().flat_map(|event| event.emitters);
                if let Some(topic) = emitters.find(|emitter| **emitter == topic) {
                    gathering.set_mark(slice, topic, place);
                }
            }
            Ok(())
        })
        .committed_only()
        .lazily(domain::GATHER)
        .gathers(|state, topic| match state.engine {
            Engine::Sqlite => Some(state.gathering.lock().floor(topic)),
            Engine::Postgres => None,
        })
        .merges(Webhooks::write_gathered)
        .merges_within(|state, now| state.gathering.lock().due(now))
        .remembers(
            |state| state.gathering.lock().committed(),
            |state| state.gathering.lock().rolled_back(),
        )
        .answers::<ListEvents>()
        .handles_together::<domain::Public>()
}
