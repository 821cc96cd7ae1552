//! How a command ends: 0 done, 1 the thing checked is wrong, 2 usage, 3 could not run.

use std::{fmt, process::ExitCode};

/// Why a command did not end with 0.
#[derive(Debug)]
pub enum Failure {
    /// The thing that was checked is wrong; what is wrong was printed as the result.
    Wrong,
    /// The command was asked for something that does not exist.
    Usage(String),
    /// The command could not run; the text says what to do about it.
    CouldNotRun(String),
}

/// What every command answers.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Could not run, with the reason and what to do.
    pub fn could_not(text: impl fmt::Display) -> Self {
        Self::CouldNotRun(text.to_string())
    }
    /// Prints the failure where a person looks for it, and gives its exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Wrong => ExitCode::from(1),
            Self::Usage(text) => {
                eprintln!("error: {text}\n\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Self::CouldNotRun(text) => {
                eprintln!("error: {text}");
                ExitCode::from(3)
            }
        }
    }
}

/// An error with its whole chain in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

/// Puts a context before an error's chain: could not run.
pub trait Context<T> {
    /// The value, or a failure that begins with `what`.
    fn context(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: std::error::Error> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::CouldNotRun(format!("{what}: {}", chain(&error))))
    }
}
