//! What the pages are made of, pure: pictures, amounts, forms, sessions.

mod amount;
mod form;
mod graph;
mod picture;
mod sequence;
mod session;
#[cfg(test)]
mod tests;

pub use amount::cents;
pub use form::{Form, encoded};
pub use graph::{graph, rate};
pub use picture::{Dress, STYLE, duration};
pub use sequence::{cost, kind, sequence};
pub use session::{Secret, Session, Sessions, equal, hex, unhex};
