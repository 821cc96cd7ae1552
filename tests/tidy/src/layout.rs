//! Rules about files: how they begin, how long they are, what they are called.

use crate::{
    Finding,
    tree::{File, Tree},
};

/// Every Rust file begins with the sentence that says what it is for.
pub const MODULE_DOC: &str = "module-doc";
/// A file can be read in one sitting.
pub const FILE_LENGTH: &str = "file-length";
/// The map of a service fits on a page.
pub const MAP_LENGTH: &str = "map-length";
/// A name says what is inside.
pub const FILE_NAME: &str = "file-name";
/// A service has the files of every service and no others.
pub const SERVICE_FILES: &str = "service-files";
/// Every crate has the lints of the workspace.
pub const LINTS: &str = "lints";

const FILE_LINES_MAX: usize = 600;
const MAP_LINES_MAX: usize = 80;

/// Names that gather what has no home. The second part says where one is refused.
const NAMES_REFUSED: [(&str, Where); 13] = [
    ("common", Where::Anywhere),
    ("constants", Where::Anywhere),
    ("error", Where::InServices),
    ("errors", Where::InServices),
    ("helper", Where::Anywhere),
    ("helpers", Where::Anywhere),
    ("manager", Where::Anywhere),
    ("misc", Where::Anywhere),
    ("shared", Where::Anywhere),
    ("types", Where::Anywhere),
    ("util", Where::Anywhere),
    ("utils", Where::Anywhere),
    ("service", Where::InServices),
];

#[derive(Clone, Copy, PartialEq)]
enum Where {
    Anywhere,
    InServices,
}

/// The modules of a service, in reading order.
const SERVICE_MODULES: [&str; 6] = ["lib", "domain", "store", "http", "events", "jobs"];
/// What a rail has besides.
const RAIL_MODULES: [&str; 2] = ["wire", "link"];

/// The first line of every Rust file is `//!`.
pub fn module_doc(tree: &Tree) -> Vec<Finding> {
    let bare = tree.rust().filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|words| words.trim().is_empty())
    });
    bare.map(|file| {
        let message = "the first line must be `//!` and say what the file is for".to_owned();
        Finding::line(MODULE_DOC, &file.path, 1, message)
    })
    .collect()
}

/// No hand-written Rust file, tests apart, is over the limit.
pub fn file_length(tree: &Tree) -> Vec<Finding> {
    let lines = |file: &File| file.text.lines().count();
    let long = tree.rust().filter(|file| !file.is_test() && lines(file) > FILE_LINES_MAX);
    long.map(|file| {
        let message = format!("{} lines, at most {FILE_LINES_MAX}: make it a folder", lines(file));
        Finding::file(FILE_LENGTH, &file.path, message)
    })
    .collect()
}

/// No `lib.rs` of a service or a rail is over the limit.
pub fn map_length(tree: &Tree) -> Vec<Finding> {
    let map = |file: &&File| file.in_service().is_some_and(|(_, _, path)| path == "src/lib.rs");
    let lines = |file: &File| file.text.lines().count();
    let long = tree.rust().filter(map).filter(|file| lines(file) > MAP_LINES_MAX);
    long.map(|file| {
        let message = format!(
            "{} lines, at most {MAP_LINES_MAX}: lib.rs is the map, logic is elsewhere",
            lines(file)
        );
        Finding::file(MAP_LENGTH, &file.path, message)
    })
    .collect()
}

/// No folder and no Rust file has a name that says nothing; no module outside tests is a `mod.rs`.
pub fn file_name(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let mut parts: Vec<&str> = file.path.split('/').collect();
        let last = parts.pop().unwrap_or_default();
        if file.is_rust() {
            parts.push(last.trim_end_matches(".rs"));
        }
        let in_service = file.in_service().is_some();
        for (name, place) in NAMES_REFUSED {
            if parts.contains(&name) && (place == Where::Anywhere || in_service) {
                let message = format!("`{name}` says nothing: name it after what it holds");
                findings.push(Finding::file(FILE_NAME, &file.path, message));
            }
        }
        if last == "mod.rs" && !file.is_test() {
            let message = "write `name.rs` beside `name/`, so that tabs have names".to_owned();
            findings.push(Finding::file(FILE_NAME, &file.path, message));
        }
    }
    findings
}

/// A service has its manifest, the modules of every service (or folders of the same names),
/// migrations and tests; a rail has `wire` and `link` besides.
pub fn service_files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if let Some((tier, _, inside)) = file.in_service()
            && !belongs(tier, inside)
        {
            let message = format!(
                "a service has only {}{}, folders of these names, migrations and tests",
                SERVICE_MODULES.join(", "),
                if tier == "rails" { ", wire, link" } else { "" }
            );
            findings.push(Finding::file(SERVICE_FILES, &file.path, message));
        }
        if let Some((tier, name, "Cargo.toml")) = file.in_service() {
            let map = format!("{tier}/{name}/src/lib.rs");
            if !tree.files.iter().any(|file| file.path == map) {
                let message = "a service begins with its map".to_owned();
                findings.push(Finding::file(SERVICE_FILES, &map, message));
            }
        }
    }
    findings
}

fn belongs(tier: &str, inside: &str) -> bool {
    if inside == "Cargo.toml" || inside.starts_with("tests/") {
        return true;
    }
    if let Some(script) = inside.strip_prefix("migrations/") {
        return script.ends_with(".sql");
    }
    let Some(module) = inside.strip_prefix("src/") else { return false };
    let (module, is_file) = match module.split_once('/') {
        Some((folder, _)) => (folder, false),
        None => (module.trim_end_matches(".rs"), true),
    };
    let known =
        SERVICE_MODULES.contains(&module) || (tier == "rails" && RAIL_MODULES.contains(&module));
    known && (is_file && inside.ends_with(".rs") || !is_file && module != "lib")
}

/// Every crate's manifest takes the workspace's lints.
pub fn lints(tree: &Tree) -> Vec<Finding> {
    let manifest = |file: &&File| file.name() == "Cargo.toml" && file.path != "Cargo.toml";
    let bare = tree.files.iter().filter(manifest).filter(|file| {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"])
    });
    bare.map(|file| {
        let message = "write `[lints]` and under it `workspace = true`".to_owned();
        Finding::file(LINTS, &file.path, message)
    })
    .collect()
}
