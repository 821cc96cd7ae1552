//! dashboard: pages for people, and the pictures on them.
//!
//! *Owns* no table. *Never* knows more than the public API and the operations API tell its visitor.

mod domain;

pub use domain::{Dress, graph, sequence};
