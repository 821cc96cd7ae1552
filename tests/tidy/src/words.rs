//! Rules about any text: nothing of the machine it was written on, and no path that leads nowhere.

use crate::{
    Finding,
    tree::{File, Tree},
};

/// A clone works on every machine.
pub const MACHINE: &str = "machine";
/// What a page says is there, is there.
pub const NAMED_PATH: &str = "named-path";

/// Folders of one machine. In pieces, so that this file keeps the rule.
const FOLDERS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Settings that send a package manager to a place of one network.
const REGISTRIES: [&str; 7] = [
    concat!("replace", "-with"),
    concat!("[regis", "tries"),
    concat!("CARGO_REGIS", "TRIES_"),
    concat!("index", "-url"),
    concat!("GOPR", "OXY="),
    concat!("<mir", "ror>"),
    concat!("art", "ifactory"),
];

/// The one place that `Cargo.lock` may name.
const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// Pages whose paths must exist.
const PAGES: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];

/// No file names a folder or a package registry of one machine.
pub fn machine(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let folder = FOLDERS.iter().find(|folder| names_folder(line, folder));
            let registry = REGISTRIES.iter().find(|registry| line.contains(*registry));
            if let Some(found) = folder.or(registry) {
                let message = format!("`{found}` belongs to one machine");
                findings.push(Finding::line(MACHINE, &file.path, number, message));
            }
            let source = file.name() == "Cargo.lock" && line.starts_with("source = ");
            if source && line != LOCK_SOURCE {
                let message = format!("`{line}` is not the public registry");
                findings.push(Finding::line(MACHINE, &file.path, number, message));
            }
        }
    }
    findings
}

/// Whether the folder is named from the root of the machine, not inside another path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(offset, _)| {
        let before = line[..offset].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.})*".contains(c))
    })
}

/// Every path in backticks on a page, if it begins with a folder of the repository, exists.
/// `{a,b}` in a path stands for each.
pub fn named_path(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in tree.files.iter().filter(|file| PAGES.contains(&file.path.as_str())) {
        for (number, line) in (1..).zip(page.text.lines()) {
            for path in line.split('`').skip(1).step_by(2).flat_map(each) {
                if is_path(tree, &path) && !exists(tree, &path) {
                    let message = format!("`{path}` does not exist");
                    findings.push(Finding::line(NAMED_PATH, &page.path, number, message));
                }
            }
        }
    }
    findings
}

fn each(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (names, after))) => {
            names.split(',').map(|name| format!("{before}{name}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// Whether a text in backticks is a path of this repository, not a command, a pattern or a route.
fn is_path(tree: &Tree, text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let Some((top, rest)) = text.split_once('/') else { return false };
    let inside = |file: &File| file.path.starts_with(&format!("{top}/"));
    !rest.is_empty() && text.chars().all(plain) && tree.files.iter().any(inside)
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}
