//! SSH: host keys, the one client that may log in, the SFTP subsystem. The only module, with the one
//! below it, that names russh: its handlers change from release to release.
//!
//! Of russh's two providers of ciphers, ring is built: aws-lc-rs takes longer than all the rest.

mod requests;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::io::DuplexStream;
use tokio::sync::watch;

use super::Shared;
use requests::Requests;

/// Most channels of one connection.
const CHANNELS: usize = 8;

/// The keys that the bank shows, and the one that it accepts.
pub(super) struct Keys {
    usual: Arc<russh::server::Config>,
    /// With another host key.
    wrong: Arc<russh::server::Config>,
    client: PublicKey,
    pub(super) fingerprint: String,
}

impl Keys {
    /// Reads the host key of a directory, or makes it of a seed.
    pub(super) fn open(path: &Path, seed: &[u8; 32], client: &str) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let client = PublicKey::from_openssh(client).map_err(invalid)?;
        let host = match std::fs::read_to_string(path) {
            Ok(text) => PrivateKey::from_openssh(text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let host = PrivateKey::from(Ed25519Keypair::from_seed(seed));
                write_secret(path, &host)?;
                host
            }
            Err(error) => return Err(error),
        };
        let fingerprint = host.fingerprint(HashAlg::Sha256).to_string();
        let wrong = other_key(&host)?;
        let (usual, wrong) = (Arc::new(config(host)), Arc::new(config(wrong)));
        Ok(Self { usual, wrong, client, fingerprint })
    }
}

fn write_secret(path: &Path, key: &PrivateKey) -> io::Result<()> {
    use std::io::Write;
    let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A key that is the host's no more than any other, and the same in each run.
fn other_key(host: &PrivateKey) -> io::Result<PrivateKey> {
    let KeypairData::Ed25519(pair) = host.key_data() else {
        return Err(io::Error::other("the host key is no Ed25519 key"));
    };
    let seed = pair.private.to_bytes().map(|byte| !byte);
    Ok(PrivateKey::from(Ed25519Keypair::from_seed(&seed)))
}

fn config(host: PrivateKey) -> russh::server::Config {
    russh::server::Config {
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        keys: vec![host],
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 6,
        inactivity_timeout: Some(Duration::from_secs(600)),
        ..russh::server::Config::default()
    }
}

/// One SSH connection, until it ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    stream: DuplexStream,
    cut: watch::Sender<bool>,
    wrong_key: bool,
) {
    let config = if wrong_key { &shared.keys.wrong } else { &shared.keys.usual };
    let config = Arc::clone(config);
    let client = Client { shared, cut: Arc::new(cut), channels: BTreeMap::new() };
    let ended = match russh::server::run_stream(config, stream, client).await {
        Ok(session) => session.await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an SSH connection ended");
    }
}

/// One client.
struct Client {
    shared: Arc<Shared>,
    /// Cuts the connection.
    cut: Arc<watch::Sender<bool>>,
    channels: BTreeMap<ChannelId, Channel<Msg>>,
}

impl russh::server::Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        if key.public_key.key_data() == self.shared.keys.client.key_data() {
            return Ok(Auth::Accept);
        }
        tracing::info!(user, "a key that is not the client's was refused");
        Ok(Auth::reject())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.channels.len() < CHANNELS {
            self.channels.insert(channel.id(), channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.close(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.channels.remove(&channel).filter(|_| name == "sftp") {
            Some(stream) => {
                session.channel_success(channel)?;
                let requests = Requests::new(Arc::clone(&self.shared), Arc::clone(&self.cut));
                russh_sftp::server::run(stream.into_stream(), requests).await;
                Ok(())
            }
            None => session.channel_failure(channel),
        }
    }
}
