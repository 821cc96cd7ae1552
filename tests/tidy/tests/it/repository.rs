//! Every rule on the repository itself.

use std::path::{Path, PathBuf};

use tidy::{EXCEPTIONS, Exception, Finding, code, graph, judge, layout, tree::Tree, words};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate is two folders deep").to_owned()
}

fn keeps(rule: &str, findings: &[Finding]) {
    let left = judge(rule, findings, EXCEPTIONS);
    assert!(left.is_empty(), "{} places break a rule:\n{}", left.len(), left.join("\n"));
}

fn files_keep(rule: &str, check: fn(&Tree) -> Vec<Finding>) {
    let tree = Tree::read(&root()).expect("the repository can be read");
    assert!(tree.files.iter().any(|file| file.path == "Cargo.toml"), "the root was not found");
    keeps(rule, &check(&tree));
}

fn crates_keep(rule: &str, check: fn(&graph::Graph) -> Vec<Finding>) {
    let graph = graph::Graph::read(&root()).expect("cargo metadata can be read");
    assert!(graph.packages.iter().any(|package| package.name == "switchyard"), "no binary");
    keeps(rule, &check(&graph));
}

#[test]
fn dependency_direction() {
    crates_keep(graph::DIRECTION, graph::direction);
}

#[test]
fn graph_depth() {
    crates_keep(graph::DEPTH, graph::depth);
}

#[test]
fn outside_crate() {
    crates_keep(graph::OUTSIDE, graph::outside);
}

#[test]
fn module_doc() {
    files_keep(layout::MODULE_DOC, layout::module_doc);
}

#[test]
fn file_length() {
    files_keep(layout::FILE_LENGTH, layout::file_length);
}

#[test]
fn map_length() {
    files_keep(layout::MAP_LENGTH, layout::map_length);
}

#[test]
fn file_name() {
    files_keep(layout::FILE_NAME, layout::file_name);
}

#[test]
fn service_files() {
    files_keep(layout::SERVICE_FILES, layout::service_files);
}

#[test]
fn lints() {
    files_keep(layout::LINTS, layout::lints);
}

#[test]
fn unfinished() {
    files_keep(code::UNFINISHED, code::unfinished);
}

#[test]
fn sql_place() {
    files_keep(code::SQL_PLACE, code::sql_place);
}

#[test]
fn ambient() {
    files_keep(code::AMBIENT, code::ambient);
}

#[test]
fn random_order() {
    files_keep(code::RANDOM_ORDER, code::random_order);
}

#[test]
fn handler_place() {
    files_keep(code::HANDLER_PLACE, code::handler_place);
}

#[test]
fn pure() {
    files_keep(code::PURE, code::pure);
}

#[test]
fn float() {
    files_keep(code::FLOAT, code::float);
}

#[test]
fn machine() {
    files_keep(words::MACHINE, words::machine);
}

#[test]
fn named_path() {
    files_keep(words::NAMED_PATH, words::named_path);
}

#[test]
fn an_exception_covers_its_file_and_rule_alone() {
    let exceptions = [Exception { rule: "float", file: "a.rs", reason: "made up" }];
    let findings = ["a.rs", "b.rs"].map(|file| Finding::line("float", file, 1, "f64".to_owned()));
    assert_eq!(judge("float", &findings, &exceptions), ["b.rs:1: float: f64"]);
    assert_eq!(judge("pure", &findings, &exceptions).len(), 2);
}

#[test]
fn an_exception_that_nothing_needs_is_a_failure() {
    let exceptions = [Exception { rule: "float", file: "a.rs", reason: "made up" }];
    let left = judge("float", &[], &exceptions);
    assert_eq!(left.len(), 1);
    assert!(left[0].starts_with("a.rs: float: keeps the rule now"), "{left:?}");
}

#[test]
fn an_exception_names_a_reason() {
    for exception in EXCEPTIONS {
        assert!(!exception.reason.is_empty(), "{} {}", exception.rule, exception.file);
    }
}
