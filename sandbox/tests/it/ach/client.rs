//! A small SFTP client that knows the bank's host key, as a rail would.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::Handle;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh_sftp::client::SftpSession;
use russh_sftp::protocol::OpenFlags;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::{World, key};

pub struct Client {
    pub sftp: SftpSession,
    _session: Handle<Pinned>,
}

/// Accepts one host key.
pub struct Pinned(String);

impl russh::client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        Ok(key.fingerprint(HashAlg::Sha256).to_string() == self.0)
    }
}

impl Client {
    pub async fn connect(world: &World) -> io::Result<Self> {
        Self::connect_with(world, key()).await
    }

    pub async fn connect_with(world: &World, key: PrivateKey) -> io::Result<Self> {
        Self::connect_to(world.address(), world.sandbox.ach_host_key.clone().unwrap(), key).await
    }

    pub async fn connect_to(
        address: SocketAddr,
        fingerprint: String,
        key: PrivateKey,
    ) -> io::Result<Self> {
        let config = Arc::new(russh::client::Config::default());
        let connecting = russh::client::connect(config, address, Pinned(fingerprint));
        let connected = tokio::time::timeout(Duration::from_secs(2), connecting).await?;
        let mut session = connected.map_err(io::Error::other)?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let accepted =
            session.authenticate_publickey("switchyard", key).await.map_err(io::Error::other)?;
        if !accepted.success() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let channel = session.channel_open_session().await.map_err(io::Error::other)?;
        channel.request_subsystem(true, "sftp").await.map_err(io::Error::other)?;
        let sftp = SftpSession::new(channel.into_stream()).await.map_err(io::Error::other)?;
        sftp.set_timeout(2);
        Ok(Self { sftp, _session: session })
    }

    /// Writes `NAME.part` and renames it to `NAME.ach`.
    pub async fn upload(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write_part(name, bytes).await?;
        self.rename(name).await
    }

    pub async fn write_part(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        let path = format!("/outbound/{name}.part");
        let opened = self.sftp.open_with_flags(path, flags).await;
        let mut file = opened.map_err(io::Error::other)?;
        file.write_all(bytes).await?;
        file.flush().await?;
        file.sync_all().await.map_err(io::Error::other)?;
        file.close().await
    }

    pub async fn rename(&self, name: &str) -> io::Result<()> {
        let (from, to) = (format!("/outbound/{name}.part"), format!("/outbound/{name}.ach"));
        self.sftp.rename(from, to).await.map_err(io::Error::other)
    }

    pub async fn names(&self, folder: &str) -> Vec<String> {
        self.sftp.read_dir(folder).await.unwrap().map(|entry| entry.file_name()).collect()
    }

    pub async fn size(&self, path: &str) -> Option<u64> {
        self.sftp.metadata(path).await.ok()?.size
    }

    /// The acknowledgement of a file, when it is there.
    pub async fn acknowledgement(&self, name: &str) -> Value {
        let bytes = self.read_when(&format!("/ack/{name}.ack")).await;
        serde_json::from_slice(&bytes).unwrap()
    }

    /// A file, when it is there.
    pub async fn read_when(&self, path: &str) -> Vec<u8> {
        let begin = Instant::now();
        loop {
            if let Ok(bytes) = self.sftp.read(path).await {
                return bytes;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "no {path}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}
