//! Logs: on stderr, as text or one JSON object a line. Results never go here.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::{LogFormat, Logging};

/// Starts logging for the whole process.
pub fn start(logging: &Logging) {
    let filter = EnvFilter::try_new(&logging.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match logging.log_format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    if let Err(error) = started {
        eprintln!("logging could not start: {error}");
    }
}
