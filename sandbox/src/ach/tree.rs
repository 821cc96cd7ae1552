//! The bank's folders, as a client sees them: `/outbound` takes its files, `/ack` and `/returned` have
//! what the bank says. Nothing outside them can be named.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

pub(super) const OUTBOUND: &str = "outbound";
pub(super) const ACK: &str = "ack";
pub(super) const RETURNED: &str = "returned";
const FOLDERS: [&str; 3] = [ACK, OUTBOUND, RETURNED];

/// Most characters of a name, as file systems have it.
const NAME_MOST: usize = 255;

/// The folders.
pub(super) struct Tree {
    root: PathBuf,
    /// Where files are written before they are seen.
    unseen: PathBuf,
    /// One rename at a time, so that none is onto a file that just came to be.
    renames: Mutex<()>,
}

/// Why a request fails.
#[derive(Debug)]
pub(super) enum Refusal {
    NoSuchFile,
    Denied(&'static str),
    Failed(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NoSuchFile,
            io::ErrorKind::PermissionDenied => Self::Denied("permission denied"),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spot {
    Root,
    Folder(&'static str),
    /// A file of a folder, which may or may not exist.
    File(&'static str, String),
}

/// What is known of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) folder: bool,
    pub(super) size: u64,
    pub(super) modified_seconds: u32,
}

impl Spot {
    /// Reads a path, absolute or from the root. `..` above the root is the root.
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                name if name.contains('\0') || name.len() > NAME_MOST => {
                    return Err(Refusal::NoSuchFile);
                }
                name => parts.push(name),
            }
        }
        let folder = |name: &str| {
            let found = FOLDERS.iter().find(|folder| **folder == name);
            found.copied().ok_or(Refusal::NoSuchFile)
        };
        match parts.as_slice() {
            [] => Ok(Self::Root),
            [name] => Ok(Self::Folder(folder(name)?)),
            [name, file] => Ok(Self::File(folder(name)?, (*file).to_owned())),
            _ => Err(Refusal::NoSuchFile),
        }
    }

    /// The path without dots and doubled slashes.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Root => "/".to_owned(),
            Self::Folder(folder) => format!("/{folder}"),
            Self::File(folder, name) => format!("/{folder}/{name}"),
        }
    }
}

impl Attributes {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            folder: metadata.is_dir(),
            size: metadata.len(),
            modified_seconds: u32::try_from(metadata.mtime()).unwrap_or(0),
        }
    }
}

impl Tree {
    pub(super) fn open(root: PathBuf, unseen: PathBuf) -> io::Result<Self> {
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::create_dir_all(&unseen)?;
        Ok(Self { root, unseen, renames: Mutex::new(()) })
    }

    fn place(&self, spot: &Spot) -> PathBuf {
        match spot {
            Spot::Root => self.root.clone(),
            Spot::Folder(folder) => self.root.join(folder),
            Spot::File(folder, name) => self.root.join(folder).join(name),
        }
    }

    pub(super) fn attributes(&self, spot: &Spot) -> Result<Attributes, Refusal> {
        Ok(Attributes::of(&fs::symlink_metadata(self.place(spot))?))
    }

    /// The names in a folder, in their order.
    pub(super) fn list(&self, spot: &Spot) -> Result<Vec<(String, Attributes)>, Refusal> {
        if matches!(spot, Spot::File(..)) {
            return Err(Refusal::NoSuchFile);
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(self.place(spot))? {
            let entry = entry?;
            // A file that is removed meanwhile is left out.
            if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) {
                found.push((name, Attributes::of(&metadata)));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    pub(super) fn open_to_read(&self, spot: &Spot) -> Result<File, Refusal> {
        match spot {
            Spot::File(..) => Ok(File::open(self.place(spot))?),
            _ => Err(Refusal::Failed("a folder is no file".to_owned())),
        }
    }

    /// Opens a file of `/outbound` to be written, as these options say.
    pub(super) fn open_to_write(
        &self,
        spot: &Spot,
        options: &mut OpenOptions,
    ) -> Result<File, Refusal> {
        match spot {
            Spot::File(OUTBOUND, name) if !is_final(name) => {
                Ok(options.mode(0o644).open(self.place(spot))?)
            }
            Spot::File(OUTBOUND, _) => {
                Err(Refusal::Denied("a file is written as NAME.part, then renamed to NAME.ach"))
            }
            _ => Err(Refusal::Denied("only /outbound can be written")),
        }
    }

    pub(super) fn remove(&self, spot: &Spot) -> Result<(), Refusal> {
        match spot {
            Spot::File(folder, _) => {
                fs::remove_file(self.place(spot))?;
                Ok(File::open(self.root.join(folder))?.sync_all()?)
            }
            _ => Err(Refusal::Denied("a folder cannot be removed")),
        }
    }

    /// Renames a file of `/outbound`; durable when it returns. Says the new name where that hands the
    /// file over to the bank. Onto an existing file it fails, as version 3 of SFTP has it.
    pub(super) fn rename(&self, from: &Spot, to: &Spot) -> Result<Option<String>, Refusal> {
        let (Spot::File(OUTBOUND, _), Spot::File(OUTBOUND, name)) = (from, to) else {
            return Err(Refusal::Denied("only files of /outbound can be renamed"));
        };
        let _one = self.renames.lock();
        let (source, target) = (self.place(from), self.place(to));
        File::open(&source)?.sync_all()?;
        if target.try_exists()? {
            return Err(Refusal::Failed("the target exists".to_owned()));
        }
        fs::rename(source, target)?;
        File::open(self.root.join(OUTBOUND))?.sync_all()?;
        Ok(is_final(name).then(|| name.clone()))
    }

    /// An uploaded file's bytes.
    pub(super) fn uploaded(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.root.join(OUTBOUND).join(name);
        if fs::metadata(&path)?.len() > nacha::MAX_BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 64 MiB"));
        }
        fs::read(path)
    }

    /// The names of all uploaded files.
    pub(super) fn all_uploaded(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(OUTBOUND))? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| is_final(name)));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Puts a whole file into a folder at once: nobody sees half of it.
    pub(super) fn put(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unseen = self.unseen.join(name);
        write_durably(&unseen, bytes)?;
        fs::rename(unseen, self.root.join(folder).join(name))?;
        File::open(self.root.join(folder))?.sync_all()
    }
}

/// Writes a file anew and syncs it.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether a name hands a file over.
fn is_final(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "ach")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_root() {
        for (path, expected) in [
            ("", "/"),
            (".", "/"),
            ("/", "/"),
            ("../../..", "/"),
            ("/outbound/", "/outbound"),
            ("outbound/./a.part", "/outbound/a.part"),
            ("/ack/../outbound//a.part", "/outbound/a.part"),
            ("/../../returned/x.ach", "/returned/x.ach"),
        ] {
            assert_eq!(Spot::parse(path).unwrap().path(), expected, "{path}");
        }
        for bad in ["/etc", "/etc/passwd", "/outbound/a/b", "../etc/passwd", "/ack/a\0b"] {
            assert!(matches!(Spot::parse(bad), Err(Refusal::NoSuchFile)), "{bad}");
        }
        assert!(Spot::parse(&format!("/ack/{}", "x".repeat(256))).is_err());
    }
}
