//! The key with which we log in at the bank: Ed25519, made at the first start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use russh::keys::{
    PrivateKey,
    ssh_key::{LineEnding, private::Ed25519Keypair},
};
use zeroize::Zeroizing;

/// A private key; it shows nothing of itself but its public half.
#[derive(Clone)]
pub struct ClientKey(Arc<PrivateKey>);

impl ClientKey {
    /// The key of a seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(Arc::new(PrivateKey::from(Ed25519Keypair::from_seed(seed))))
    }
    /// Reads the key of an installation (OpenSSH's format), or makes it at its first start. Called by
    /// the one process that holds the lock on the directory. A file that others may read is refused.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Self::load(path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(refused(path, &format!("cannot be opened: {error}"))),
        }
    }
    /// The half that the bank is given, as OpenSSH writes it.
    pub fn public(&self) -> String {
        let written = self.0.public_key().to_openssh();
        written.expect("an Ed25519 key has a form")
    }
    pub(super) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.0)
    }
    fn load(path: &Path, mut file: File) -> io::Result<Self> {
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(refused(path, "may be read by others: chmod 600 it"));
        }
        let mut text = Zeroizing::new(String::new());
        Read::by_ref(&mut file).take(64 * 1024).read_to_string(&mut text)?;
        let key = PrivateKey::from_openssh(text.as_bytes())
            .map_err(|error| refused(path, &format!("is no private key of OpenSSH: {error}")))?;
        Ok(Self(Arc::new(key)))
    }
    fn create(path: &Path) -> io::Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        runtime::Ids::system(0).secret(&mut *seed);
        let key = Self::new(&seed);
        let text = key.0.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        // Written beside and renamed, so that a crash leaves no half a key under the name.
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        Ok(key)
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ach.key");
        let made = ClientKey::load_or_create(&path).unwrap();
        assert!(made.public().starts_with("ssh-ed25519 "));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ClientKey::load_or_create(&path).unwrap().public(), made.public());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = ClientKey::load_or_create(&path).err().unwrap().to_string();
        assert!(refused.contains("may be read by others"), "{refused}");
        fs::remove_file(&path).unwrap();
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        let refused = ClientKey::load_or_create(&path).err().unwrap().to_string();
        assert!(refused.contains("is no private key"), "{refused}");
    }
}
