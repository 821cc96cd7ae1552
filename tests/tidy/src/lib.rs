//! The house rules as checks: each takes the tree of files, or the graph of crates, and names what
//! breaks its rule.
//!
//! A check is a function of its input alone, so that every one is seen failing on a made-up input;
//! `tests/it` runs them all on the repository.

pub mod code;
pub mod graph;
pub mod layout;
pub mod source;
pub mod tree;
pub mod words;

use std::fmt;

/// One place that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, by the name that `CONTRIBUTING.md` gives it.
    pub rule: &'static str,
    /// The file, from the root of the repository.
    pub file: String,
    /// The line, where one line is at fault.
    pub line: Option<usize>,
    /// What is wrong there, and what to do instead.
    pub message: String,
}

impl Finding {
    /// A finding about a whole file.
    pub fn file(rule: &'static str, file: &str, message: String) -> Self {
        Self { rule, file: file.to_owned(), line: None, message }
    }
    /// A finding about one line.
    pub fn line(rule: &'static str, file: &str, line: usize, message: String) -> Self {
        Self { rule, file: file.to_owned(), line: Some(line), message }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}: {}", self.file, self.rule, self.message),
            None => write!(f, "{}: {}: {}", self.file, self.rule, self.message),
        }
    }
}

/// A file that may break one rule, and why.
pub struct Exception {
    /// The rule.
    pub rule: &'static str,
    /// The file.
    pub file: &'static str,
    /// Why it must.
    pub reason: &'static str,
}

/// The exceptions in force. The list may only shrink: one that nothing needs is a failure too.
pub const EXCEPTIONS: &[Exception] = &[];

/// What is left of a rule's findings, as text: each one that no exception covers, and each
/// exception of the rule that covers none.
pub fn judge(rule: &str, findings: &[Finding], exceptions: &[Exception]) -> Vec<String> {
    let of_rule = || exceptions.iter().filter(|exception| exception.rule == rule);
    let mut left: Vec<String> = findings
        .iter()
        .filter(|finding| !of_rule().any(|exception| exception.file == finding.file))
        .map(Finding::to_string)
        .collect();
    for exception in of_rule() {
        if !findings.iter().any(|finding| finding.file == exception.file) {
            left.push(format!(
                "{}: {rule}: keeps the rule now; take it off the list of exceptions",
                exception.file
            ));
        }
    }
    left
}
