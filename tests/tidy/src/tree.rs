//! The files of the repository, read once.

use std::{fs, io, path::Path};

/// Folders that hold nothing written by hand.
const NOT_OURS: [&str; 3] = [".git", "target", "switchyard-data"];

/// One file: its path from the root with `/`, and its text.
pub struct File {
    /// `services/ledger/src/store.rs`
    pub path: String,
    /// All of it; bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl File {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
    /// Whether it is a test and nothing else: in a folder `tests`, or `tests.rs` beside what it
    /// tests.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.name() == "tests.rs"
    }
    /// `(tier, crate, path inside the crate)` where the file belongs to a service or a rail.
    pub fn in_service(&self) -> Option<(&str, &str, &str)> {
        let mut parts = self.path.splitn(3, '/');
        let (tier, name, inside) = (parts.next()?, parts.next()?, parts.next()?);
        matches!(tier, "services" | "rails").then_some((tier, name, inside))
    }
}

/// All files, in the order of their paths.
pub struct Tree {
    /// The files.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads every file under `root` but what the build and the program make.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        visit(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }
    /// A made-up tree.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self { files: files.iter().map(file).collect() }
    }
    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

fn visit(folder: &Path, inside: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            visit(&entry.path(), &path, files)?;
        } else if kind.is_file() && !name.ends_with(".log") {
            // A file that an editor or a build took away since it was listed is not ours either.
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            files.push(File { path, text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
    Ok(())
}
