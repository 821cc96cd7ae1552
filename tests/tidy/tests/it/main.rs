//! The house rules on this repository, and each rule seen failing on a made-up one.

mod code;
mod graph;
mod layout;
mod repository;
mod source;
mod words;

use tidy::{Finding, tree::Tree};

/// A rule finds these places, and no others, in a made-up tree.
fn check(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = rule(&Tree::of(files)).iter().map(Finding::to_string).collect();
    assert_eq!(found.len(), expected.len(), "found {found:#?}, expected {expected:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "found {found:?}, expected {expected:?}");
    }
}
