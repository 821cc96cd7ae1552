//! Rules about crates: who may use whom, how deep the graph is, who may use which outside crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, io,
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::Finding;

/// Who may use whom.
pub const DIRECTION: &str = "dependency-direction";
/// How many crates deep.
pub const DEPTH: &str = "graph-depth";
/// Outside crates that few may use.
pub const OUTSIDE: &str = "outside-crate";

const DEPTH_MAX: usize = 5;
/// Where the longest path is counted from.
const TOP: &str = "switchyard";

/// The crates of `platform/`, each with those of the same folder that it may use.
const PLATFORM: [(&str, &[&str]); 5] = [
    ("calendar", &[]),
    ("store", &[]),
    ("eventlog", &["store"]),
    ("kafka", &["eventlog"]),
    ("runtime", &["store", "eventlog", "calendar"]),
];

/// Outside crates with few users: names of crates, or of tiers with a `/` after them.
const OUTSIDE_USERS: [(&[&str], &[&str]); 9] = [
    (&["rusqlite", "libsqlite3-sys", "postgres", "tokio-postgres", "refinery"], &["store"]),
    (&["rustls", "tokio-postgres-rustls"], &["store"]),
    (&["sea-query"], &["store", "services/", "rails/"]),
    (&["rdkafka"], &["kafka"]),
    (&["axum"], &["runtime", "sandbox", "switchyard", "tests/"]),
    (
        &["hyper", "hyper-util", "reqwest"],
        &["runtime", "rtp", "webhooks", "switchyard", "sandbox", "tests/"],
    ),
    (&["russh", "russh-sftp"], &["ach", "sandbox"]),
    (&["aes-gcm"], &["payment-methods"]),
    (&["quick-xml"], &["iso20022"]),
];

/// What a dependency is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// In the program, or in its build.
    Normal,
    /// In tests only.
    Dev,
}

/// A dependency as a manifest declares it.
pub struct Dependency {
    /// The crate's own name, whatever it is called here.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Whether it is a crate of this repository.
    pub ours: bool,
}

/// A crate of this repository.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest, from the root.
    pub manifest: String,
    /// What it uses.
    pub uses: Vec<Dependency>,
}

impl Package {
    /// The top folder.
    pub fn tier(&self) -> &str {
        self.manifest.split('/').next().unwrap_or_default()
    }
}

/// The crates of this repository.
pub struct Graph {
    /// In the order of their manifests.
    pub packages: Vec<Package>,
}

impl Graph {
    /// Asks cargo; needs no network.
    pub fn read(root: &Path) -> io::Result<Self> {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
            .current_dir(root)
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Self::parse(&serde_json::from_slice(&output.stdout)?)
    }
    /// Reads what `cargo metadata --no-deps` prints.
    pub fn parse(metadata: &Value) -> io::Result<Self> {
        let root = text(&metadata["workspace_root"])?;
        let mut packages = Vec::new();
        for package in list(&metadata["packages"])? {
            let manifest = text(&package["manifest_path"])?;
            let inside = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
            let uses = list(&package["dependencies"])?.iter().map(dependency);
            packages.push(Package {
                name: text(&package["name"])?.to_owned(),
                manifest: inside.to_owned(),
                uses: uses.collect::<io::Result<_>>()?,
            });
        }
        packages.sort_by(|a, b| a.manifest.cmp(&b.manifest));
        Ok(Self { packages })
    }
    fn find(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

fn dependency(dependency: &Value) -> io::Result<Dependency> {
    let dev = dependency["kind"].as_str() == Some("dev");
    Ok(Dependency {
        name: text(&dependency["name"])?.to_owned(),
        kind: if dev { Kind::Dev } else { Kind::Normal },
        ours: dependency["path"].is_string(),
    })
}

fn text(value: &Value) -> io::Result<&str> {
    value.as_str().ok_or_else(|| io::Error::other(format!("a text was expected, not {value}")))
}

fn list(value: &Value) -> io::Result<&Vec<Value>> {
    value.as_array().ok_or_else(|| io::Error::other(format!("a list was expected, not {value}")))
}

/// The table "uses" of the architecture.
pub fn direction(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for user in &graph.packages {
        if let Some(message) = unknown(user) {
            findings.push(Finding::file(DIRECTION, &user.manifest, message));
        }
        for used in user.uses.iter().filter(|used| used.ours) {
            let allowed = match graph.find(&used.name) {
                Some(package) if used.kind == Kind::Normal => may_use(user, package),
                Some(package) => may_use(user, package) || may_test_with(user, package),
                None => false,
            };
            if !allowed {
                let how = if used.kind == Kind::Dev { "even in tests" } else { "at all" };
                let message = format!("`{}` may not use `{}` {how}", user.name, used.name);
                findings.push(Finding::file(DIRECTION, &user.manifest, message));
            }
        }
    }
    findings
}

/// A crate that has no place in the table.
fn unknown(package: &Package) -> Option<String> {
    let tiers =
        ["contracts", "formats", "platform", "services", "rails", "sandbox", "switchyard", "tests"];
    if !tiers.contains(&package.tier()) {
        return Some(format!("`{}` is in no folder of the architecture", package.name));
    }
    let placed = PLATFORM.iter().any(|(name, _)| *name == package.name);
    (package.tier() == "platform" && !placed)
        .then(|| format!("`{}` has no place in the chain of platform/", package.name))
}

fn may_use(user: &Package, used: &Package) -> bool {
    let tier = used.tier();
    match user.tier() {
        "platform" => {
            let below = PLATFORM.iter().find(|(name, _)| *name == user.name);
            tier == "contracts"
                || (tier == "platform"
                    && below.is_some_and(|(_, names)| names.contains(&used.name.as_str())))
        }
        "services" => matches!(tier, "contracts" | "platform"),
        "rails" => matches!(tier, "contracts" | "platform" | "formats"),
        "sandbox" => tier == "formats",
        "switchyard" => tier != "tests",
        "tests" => true,
        _ => false,
    }
}

/// What a crate may use in its own tests besides: anything but a service, a rail or the binary.
/// Contracts and formats stand alone there too.
fn may_test_with(user: &Package, used: &Package) -> bool {
    !matches!(user.tier(), "contracts" | "formats")
        && !matches!(used.tier(), "services" | "rails" | "switchyard" | "tests")
}

/// The longest path from the binary, tests aside.
pub fn depth(graph: &Graph) -> Vec<Finding> {
    let mut longest = BTreeMap::new();
    let path = longest_path(graph, TOP, &mut longest, &mut BTreeSet::new());
    let (edges, manifest) =
        (path.len().saturating_sub(1), graph.find(TOP).map(|top| &top.manifest));
    match manifest {
        Some(manifest) if edges > DEPTH_MAX => {
            let message =
                format!("the graph is {edges} deep, at most {DEPTH_MAX}: {}", path.join(" > "));
            vec![Finding::file(DEPTH, manifest, message)]
        }
        _ => Vec::new(),
    }
}

fn longest_path(
    graph: &Graph,
    name: &str,
    known: &mut BTreeMap<String, Vec<String>>,
    open: &mut BTreeSet<String>,
) -> Vec<String> {
    if let Some(path) = known.get(name) {
        return path.clone();
    }
    // Cargo refuses a cycle; a made-up graph must not hang the check.
    if !open.insert(name.to_owned()) {
        return Vec::new();
    }
    let mut below = Vec::new();
    let uses = graph.find(name).map_or(&[][..], |package| &package.uses);
    for used in uses.iter().filter(|used| used.ours && used.kind == Kind::Normal) {
        let path = longest_path(graph, &used.name, known, open);
        if path.len() > below.len() {
            below = path;
        }
    }
    open.remove(name);
    let mut path = vec![name.to_owned()];
    path.append(&mut below);
    known.insert(name.to_owned(), path.clone());
    path
}

/// What a suite may name that its crate may not: a test asks a router as HTTP would.
const IN_TESTS: &str = "axum";

/// Outside crates that only their permitted users name; in tests too, but for [`IN_TESTS`].
pub fn outside(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for user in &graph.packages {
        for used in user.uses.iter().filter(|used| !used.ours) {
            if used.kind == Kind::Dev && used.name == IN_TESTS {
                continue;
            }
            let entry = OUTSIDE_USERS.iter().find(|(names, _)| names.contains(&used.name.as_str()));
            let Some((_, users)) = entry else { continue };
            let tier = format!("{}/", user.tier());
            if !users.contains(&user.name.as_str()) && !users.contains(&tier.as_str()) {
                let message = format!("`{}` may be used only by {}", used.name, users.join(", "));
                findings.push(Finding::file(OUTSIDE, &user.manifest, message));
            }
        }
    }
    findings
}
