//! The data directory: one owner, writable, with room left.

use crate::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A directory's lock, freed when this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Claim(File);

impl Drop for Claim {
    /// Frees the lock itself: closing alone leaves it for the moment in which a process that was just
    /// forked has the file too.
    fn drop(&mut self) {
        // If that fails, the end of the process frees it.
        let _ = self.0.unlock();
    }
}

/// The database's file in a directory.
pub(crate) fn database(directory: &Path) -> PathBuf {
    directory.join("switchyard.db")
}

fn refuse(path: &Path, detail: String) -> Error {
    Error::Directory { path: path.into(), detail }
}

/// Makes the directory if it is not there, locks it and checks that it can be used.
pub(crate) fn claim(directory: &Path, min_free: u64) -> Result<Claim> {
    std::fs::create_dir_all(directory).map_err(|e| {
        refuse(directory, format!("the data directory cannot be made ({e}); give another one"))
    })?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("lock"))
        .map_err(|e| match e.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => refuse(
                directory,
                format!(
                    "the data directory is not writable ({e}); give this user the right to write \
                     there, or mount it read-write, or choose another directory"
                ),
            ),
            _ => refuse(directory, format!("the file `lock` cannot be opened: {e}")),
        })?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(refuse(
                directory,
                "already in use by another switchyard; stop it first, or choose another directory"
                    .into(),
            ));
        }
        Err(TryLockError::Error(e)) => {
            return Err(refuse(
                directory,
                format!(
                    "cannot be locked ({e}); the directory must be on a local file system that \
                     has file locks"
                ),
            ));
        }
    }
    let claim = Claim(lock);
    let free = free_bytes(directory)?;
    if free < min_free {
        return Err(refuse(
            directory,
            format!(
                "only {} MiB are free on this disk, at least {} MiB are needed; make room and \
                 start again",
                free >> 20,
                min_free.div_ceil(1 << 20)
            ),
        ));
    }
    Ok(claim)
}

/// Bytes that this user may still write on the disk of `directory`.
pub(crate) fn free_bytes(directory: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(directory)
        .map_err(|e| refuse(directory, format!("the free space cannot be read: {e}")))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
