//! Runs services: wiring, the one writer, HTTP, access, exchanges, dead letters, clocks and ids.
//!
//! A service says what it answers, commits, handles, emits and calls; everything else about running
//! it is here, once. Nothing here knows a transfer.

mod access;
mod admission;
mod carried;
mod clock;
mod commands;
mod consumers;
mod dead_letters;
mod desk;
mod durable;
mod elsewhere;
mod exchanges;
mod handlers;
mod health;
mod http;
mod ids;
mod machine;
mod metrics;
mod operations;
mod pages;
mod peers;
mod platform;
mod processes;
mod queues;
mod remote;
mod replay;
mod schema;
mod service;
mod signal;
mod source;
mod stream;
mod topology;
mod turns;
mod work;
mod writer;

pub use axum::{Router, body::Body as HttpBody};

pub use access::{Access, Caller, KnownAccount};
pub use clock::{Clock, Monotonic};
pub use commands::{Command, Commit};
pub use dead_letters::list as dead_letters;
pub use eventlog::{Stored, rules};
pub use handlers::{Handle, HandleTogether, OneOf, Together};
pub use http::{Answer, Answered, Ask, refused, replied};
pub use ids::{Ids, Random};
pub use machine::Machine;
pub use pages::PageRequest;
pub use peers::{Called, OnBehalf, whole};
pub use platform::{Elsewhere, Platform, Running, Settings, start, start_beside, start_on};
pub use remote::{Peer, PeerKey};
pub use schema::{migrations, roles};
pub use service::{Connects, Service, Tier, Wiring};
pub use stream::{EventReader, EventSender, event_stream};
pub use topology::{Edge, EdgeKind, Node, Topology, declared};
pub use work::{Delivered, Fault, Work};
