//! What one service may know of another: ids, money, time, endpoints, events, refusal codes.
//!
//! A type enters this crate only when it crosses a process boundary. A service never names another
//! service: they meet here or not at all. One file per owner; JSON names are Moov's.

pub mod accounts;
pub mod endpoint;
pub mod event;
pub mod exchanges;
pub mod ids;
pub mod ledger;
pub mod money;
pub mod operations;
pub mod payment_methods;
pub mod rails;
pub mod refusal;
pub mod registry;
pub mod time;
pub mod transfers;
pub mod webhooks;

pub use endpoint::{Access, Body, Endpoint, Method, NoBody, NoPath, NoQuery};
pub use event::Event;
pub use money::{Amount, Currency};
pub use refusal::{Code, Refusal};
pub use time::Timestamp;
