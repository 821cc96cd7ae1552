//! What the pages are made of, pure: pictures.

mod graph;
mod picture;
mod sequence;
#[cfg(test)]
mod tests;

pub use graph::graph;
pub use picture::Dress;
pub use sequence::sequence;
