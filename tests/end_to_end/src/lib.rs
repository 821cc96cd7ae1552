//! The harness of the end-to-end tests: it knows HTTP and a process, nothing of what is inside, so
//! that it runs on one process or on a cluster unchanged.

mod api;
mod backup;
mod canaries;
mod load;
mod network;
mod process;
mod servers;
mod traced;

pub use api::{Api, Reply, in_force, key};
pub use backup::Backup;
pub use canaries::{Canaries, Found, distinct};
pub use load::Load;
pub use network::{Host, network};
pub use process::{Process, binary, run};
pub use servers::Servers;
pub use traced::Traced;
