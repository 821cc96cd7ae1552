//! One SFTP session. The only module that names russh with `link/key.rs`: its handlers change from
//! release to release.
//!
//! Every request has a deadline, and none is begun after the lease has run out. What a request came to
//! is one of three: done, refused by the bank in words, or not known.

use std::{future::Future, sync::Arc, time::Duration};

use contracts::Timestamp;
use parking_lot::Mutex;
use runtime::Platform;
use russh::{
    client::Handle,
    keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use russh_sftp::{
    client::{RawSftpSession, error::Error},
    protocol::{FileAttributes, OpenFlags, StatusCode},
};

use super::{Config, Link};

/// Bytes written or read by one request: what every server takes.
const CHUNK: usize = 32 * 1024;
/// Names of one folder that are looked at.
const NAMES_MOST: usize = 10_000;
/// An extension that OpenSSH's server has: a file is synced.
const FSYNC: &str = "fsync@openssh.com";

/// Why something was not done.
#[derive(Debug)]
pub enum Trouble {
    /// The bank said no; the session goes on.
    Refused(String),
    /// The bank shows a host key that is not pinned.
    WrongKey(String),
    /// The connection broke, or was silent: whether it was done is not known.
    Broken(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the bank refused: {why}"),
            Self::WrongKey(shown) => write!(f, "the bank shows another host key: {shown}"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Accepts the pinned host keys, before anything of ours is sent.
struct Pinned {
    keys: Vec<String>,
    wrong: Arc<Mutex<Option<String>>>,
}

impl russh::client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let shown = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                key.fingerprint(HashAlg::Sha256).to_string()
            }
            _ => "a certificate".to_owned(),
        };
        let pinned = self.keys.contains(&shown);
        if !pinned {
            *self.wrong.lock() = Some(shown);
        }
        Ok(pinned)
    }
}

/// A session that can be used.
pub struct Session {
    sftp: RawSftpSession,
    ssh: Handle<Pinned>,
    syncs: bool,
    within: Duration,
    link: Arc<Link>,
    platform: Platform,
}

impl Session {
    /// Connects, checks the host's key, logs in.
    pub async fn open(
        config: &Config,
        link: &Arc<Link>,
        platform: &Platform,
    ) -> Result<Self, Trouble> {
        let wrong = Arc::new(Mutex::new(None));
        let connecting = Self::connect(config, link, platform, Arc::clone(&wrong));
        let opened = match tokio::time::timeout(config.connect_within, connecting).await {
            Ok(opened) => opened,
            Err(_) => Err(Trouble::Broken("no session in time".to_owned())),
        };
        match wrong.lock().take() {
            Some(shown) => Err(Trouble::WrongKey(shown)),
            None => opened,
        }
    }
    async fn connect(
        config: &Config,
        link: &Arc<Link>,
        platform: &Platform,
        wrong: Arc<Mutex<Option<String>>>,
    ) -> Result<Self, Trouble> {
        let broken = |error: russh::Error| Trouble::Broken(format!("no session: {error}"));
        let ssh_config = Arc::new(russh::client::Config {
            nodelay: true,
            keepalive_interval: Some(config.answer_within.max(Duration::from_secs(5))),
            ..russh::client::Config::default()
        });
        let pinned = Pinned { keys: config.host_keys.clone(), wrong };
        let mut ssh = russh::client::connect(ssh_config, config.bank.as_str(), pinned)
            .await
            .map_err(broken)?;
        let key = PrivateKeyWithHashAlg::new(config.client_key.private(), None);
        let accepted =
            ssh.authenticate_publickey(config.user.as_str(), key).await.map_err(broken)?;
        if !accepted.success() {
            return Err(Trouble::Refused("it does not know our key".to_owned()));
        }
        let channel = ssh.channel_open_session().await.map_err(broken)?;
        channel.request_subsystem(true, "sftp").await.map_err(broken)?;
        let sftp = RawSftpSession::new(channel.into_stream());
        sftp.set_timeout(config.connect_within.as_secs().max(1));
        let version = sftp.init().await.map_err(said)?;
        let syncs = version.extensions.contains_key(FSYNC);
        let within = config.answer_within;
        let (link, platform) = (Arc::clone(link), platform.clone());
        sftp.set_timeout(within.as_secs() + 1);
        Ok(Self { sftp, ssh, syncs, within, link, platform })
    }
    /// Whether it can still be used, as far as anybody knows.
    pub fn is_open(&self) -> bool {
        !self.ssh.is_closed()
    }
    /// One request. The clock is read just before: a lease that ran out covers none.
    async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Trouble> {
        let now = self.platform.monotonic().micros();
        if self.link.lease().is_none_or(|lease| now >= lease.until) {
            return Err(Trouble::Broken("the lease on the bank's folders ran out".to_owned()));
        }
        match tokio::time::timeout(self.within, request).await {
            Ok(Ok(reply)) => Ok(Some(reply)),
            Ok(Err(Error::Status(status))) if status.status_code == StatusCode::NoSuchFile => {
                Ok(None)
            }
            Ok(Err(error)) => Err(said(error)),
            Err(_) => Err(Trouble::Broken("the bank did not answer in time".to_owned())),
        }
    }
    /// The same of what must be there.
    async fn must<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
        let found = self.ask(request).await?;
        found.ok_or_else(|| Trouble::Refused("no such file or folder".to_owned()))
    }
    /// A file's size, where there is one.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, Trouble> {
        let found = self.ask(self.sftp.stat(path)).await?;
        Ok(found.map(|found| found.attrs.size.unwrap_or(u64::MAX)))
    }
    /// Writes a file from its first byte, and has it synced where the bank can.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let opened = self.must(self.sftp.open(path, flags, FileAttributes::empty())).await?;
        let handle = opened.handle;
        let written = self.fill(&handle, bytes).await;
        // A session whose files stay open runs out of them.
        let closed = match &written {
            Err(Trouble::Broken(_)) => Ok(()),
            _ => self.must(self.sftp.close(handle.as_str())).await.map(|_| ()),
        };
        written.and(closed)
    }
    async fn fill(&self, handle: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let mut offset = 0;
        for chunk in bytes.chunks(CHUNK) {
            self.must(self.sftp.write(handle, offset, chunk.to_vec())).await?;
            offset += chunk.len() as u64;
        }
        if self.syncs {
            self.must(self.sftp.fsync(handle)).await?;
        }
        Ok(())
    }
    /// Renames a file; onto an existing one it fails.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), Trouble> {
        self.must(self.sftp.rename(from, to)).await.map(|_| ())
    }
    /// Removes a file; one that is not there is removed.
    pub async fn remove(&self, path: &str) -> Result<(), Trouble> {
        self.ask(self.sftp.remove(path)).await.map(|_| ())
    }
    /// The files of a folder with their sizes, in the order of their names.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, Trouble> {
        let handle = self.must(self.sftp.opendir(folder)).await?.handle;
        let listed = self.names(&handle).await;
        if !matches!(listed, Err(Trouble::Broken(_))) {
            self.must(self.sftp.close(handle.as_str())).await?;
        }
        let mut found = listed?;
        found.sort_unstable();
        Ok(found)
    }
    async fn names(&self, handle: &str) -> Result<Vec<(String, u64)>, Trouble> {
        let mut found = Vec::new();
        while found.len() < NAMES_MOST {
            let part = async {
                match self.sftp.readdir(handle).await {
                    Ok(part) => Ok(part.files),
                    Err(Error::Status(status)) if status.status_code == StatusCode::Eof => {
                        Ok(Vec::new())
                    }
                    Err(error) => Err(error),
                }
            };
            let part = self.must(part).await?;
            if part.is_empty() {
                break;
            }
            let files = part.into_iter().filter(|file| !file.attrs.is_dir());
            found.extend(files.map(|file| (file.filename, file.attrs.size.unwrap_or(u64::MAX))));
        }
        Ok(found)
    }
    /// A file's bytes, `None` where it is gone or has more than `most`.
    pub async fn read(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        let opened = self.sftp.open(path, OpenFlags::READ, FileAttributes::empty());
        let Some(opened) = self.ask(opened).await? else { return Ok(None) };
        let handle = opened.handle;
        let read = self.drain(&handle, most).await;
        if !matches!(read, Err(Trouble::Broken(_))) {
            self.must(self.sftp.close(handle.as_str())).await?;
        }
        read
    }
    async fn drain(&self, handle: &str, most: usize) -> Result<Option<Vec<u8>>, Trouble> {
        let mut bytes = Vec::new();
        loop {
            let offset = bytes.len() as u64;
            let part = async {
                match self.sftp.read(handle, offset, CHUNK as u32).await {
                    Ok(part) => Ok(part.data),
                    Err(Error::Status(status)) if status.status_code == StatusCode::Eof => {
                        Ok(Vec::new())
                    }
                    Err(error) => Err(error),
                }
            };
            let part = self.must(part).await?;
            if part.is_empty() {
                return Ok(Some(bytes));
            }
            bytes.extend_from_slice(&part);
            if bytes.len() > most {
                return Ok(None);
            }
        }
    }
    /// Business time.
    pub fn now(&self) -> Timestamp {
        self.platform.clock().now()
    }
}

fn said(error: Error) -> Trouble {
    match error {
        Error::Status(status) => {
            Trouble::Refused(format!("{}: {}", status.status_code, status.error_message))
        }
        other => Trouble::Broken(format!("the session broke: {other}")),
    }
}
