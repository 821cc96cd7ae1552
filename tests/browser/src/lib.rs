//! The harness of the browser tests: a real Chromium, driven by chromedriver, on a real process.

mod browser;
mod checks;

pub use browser::Browser;
pub use checks::{accessible, quiet, screenshot};
