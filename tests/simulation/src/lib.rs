//! The program under a simulated world: one thread, one seed, virtual time.
//!
//! A run draws a plan from its seed ([`plan`]): what clients ask, and how each life of the process
//! ends. The services run as they do in the binary, on a real SQLite file, on one thread of a runtime
//! whose time moves only when nothing is left to do ([`world`]). A life that ends in the middle of
//! something leaves what was durable to the next. In the end an [`auditor`] judges by what clients
//! were told, and by nothing else.
//!
//! Two runs of a seed are the same, byte for byte: [`Report::digest`].

pub mod auditor;
pub mod client;
mod death;
mod installation;
pub mod plan;
mod process;
pub mod random;
pub mod world;

pub use installation::Template;
pub use plan::Plan;
pub use world::{Report, Sums, run};
