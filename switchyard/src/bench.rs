//! The measuring side of `bench`: the load, the fresh platform it runs on, and the report.

pub mod child;
pub mod load;
pub mod money;
mod open;
pub mod report;
