//! TLS to PostgreSQL: a connection is encrypted, and the server is checked, as far as the URL asks
//! for it, with libpq's meanings.

mod url;

pub(crate) use url::take_out;

use crate::error::is_failed_handshake;
use crate::{Error, Result};
use postgres::config::{Host, SslMode, SslNegotiation};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::{Mode, Wish};

/// Connects. The files are read each time: new ones are taken up without a restart.
pub(crate) fn connect(mut config: Config, wish: &Wish) -> Result<Client> {
    if config.get_hosts().is_empty() {
        // The driver makes no TLS with an address alone; a certificate may be for one.
        for address in config.get_hostaddrs().to_vec() {
            config.host(&address.to_string());
        }
    }
    // A socket in the file system has no TLS, whatever the mode.
    let by_file = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    if wish.mode == Mode::Disable || by_file {
        return Ok(config.ssl_mode(SslMode::Disable).connect(NoTls)?);
    }
    let tls = MakeRustlsConnect::new(settings(wish)?);
    if wish.mode != Mode::Prefer {
        return Ok(config.ssl_mode(SslMode::Require).connect(tls)?);
    }
    match config.ssl_mode(SslMode::Prefer).connect(tls) {
        // One that has TLS, but not for us or not such as we take, is asked without.
        Err(e) if is_refusal(&config, &e) => {
            config.ssl_mode(SslMode::Disable).connect(NoTls).map_err(|_| e.into())
        }
        done => Ok(done?),
    }
}

fn is_refusal(config: &Config, e: &postgres::Error) -> bool {
    let no_entry = e.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    let negotiated = config.get_ssl_negotiation() == SslNegotiation::Postgres;
    negotiated && (no_entry || is_failed_handshake(e))
}

fn settings(wish: &Wish) -> Result<ClientConfig> {
    let provider = Arc::new(crypto::ring::default_provider());
    let checks = Checks {
        algorithms: provider.signature_verification_algorithms,
        roots: wish.roots.as_deref().map(roots).transpose()?,
        name: wish.mode == Mode::VerifyFull,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Other(format!("TLS: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(checks));
    let mut settings = match &wish.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificates = certificates("sslcert", certificate)?;
            let bytes = read("sslkey", key)?;
            let secret = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|_| unusable("sslkey", key, "holds no key in PEM without a password"))?;
            builder
                .with_client_auth_cert(certificates, secret)
                .map_err(|e| unusable("sslkey", key, &e.to_string()))?
        }
    };
    // A server that is asked for TLS from the first byte demands this name.
    settings.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(settings)
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // A system's file may hold one that this library cannot read; the others count.
    match roots.add_parsable_certificates(certificates("sslrootcert", file)?) {
        (0, _) => Err(unusable("sslrootcert", file, "holds no certificate that can be read")),
        _ => Ok(roots),
    }
}

fn certificates(name: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(name, file)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable(name, file, "holds no certificate in PEM")),
    }
}

fn read(name: &str, file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|e| unusable(name, file, &e.to_string()))
}

fn unusable(name: &str, file: &Path, why: &str) -> Error {
    Error::Url(format!("{name}={}: {why}", file.display()))
}

/// What the server's certificate must be. That the server holds the certificate's key is checked in
/// every mode: a password is bound to the certificate (SCRAM's channel binding).
#[derive(Debug)]
struct Checks {
    algorithms: WebPkiSupportedAlgorithms,
    /// As libpq has it, whatever the mode: where authorities are given, one of them must have signed.
    roots: Option<RootCertStore>,
    name: bool,
}

impl ServerCertVerifier for Checks {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let own = ParsedCertificate::try_from(own)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&own, roots, between, now, algorithms)?;
            if self.name {
                verify_server_name(&own, host)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
