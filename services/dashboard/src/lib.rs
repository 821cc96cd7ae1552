//! dashboard: pages for people, drawn on the server, and the pictures on them.
//!
//! *Owns*: no table; sessions in memory, which a restart ends.
//! *Answers*: `/dashboard` and what is below it, to browsers; every page works without scripts.
//! *Handles*, *Emits*: nothing.
//! *Never*: knows more than the public API and the operations API tell its visitor's own key, loads
//! anything from the network, or keeps a key anywhere but in a session.

mod domain;
mod http;

use std::sync::Arc;

use contracts::{
    accounts::ListAccounts,
    operations::{
        DropDeadLetter, GetDeadLetter, GetHealth, GetTopology, ListDeadLetters,
        ListRailConnections, ReplayDeadLetter,
    },
    payment_methods::ListPaymentMethods,
    transfers::{CreateTransfer, GetTimeline, GetTransfer, ListTransfers},
};
use parking_lot::Mutex;
use runtime::{Ids, Service, Tier};

pub use domain::{Dress, graph, sequence};

/// Where the pages are.
pub(crate) const ROOT: &str = "/dashboard";

/// Who is signed in, and the randomness of their secrets.
pub struct Dashboard {
    sessions: Mutex<domain::Sessions>,
    secrets: Mutex<Ids>,
}

/// The service with its wiring.
pub fn service() -> Service<Dashboard> {
    let state = Dashboard { sessions: Mutex::default(), secrets: Mutex::new(Ids::system(0)) };
    Service::new("dashboard", Tier::Service, Arc::new(state))
        .pages(ROOT, http::answer)
        .calls::<ListAccounts>()
        .calls::<ListPaymentMethods>()
        .calls::<CreateTransfer>()
        .calls::<GetTransfer>()
        .calls::<ListTransfers>()
        .calls::<GetTimeline>()
        .calls::<GetTopology>()
        .calls::<GetHealth>()
        .calls::<ListRailConnections>()
        .calls::<ListDeadLetters>()
        .calls::<GetDeadLetter>()
        .calls::<ReplayDeadLetter>()
        .calls::<DropDeadLetter>()
}
