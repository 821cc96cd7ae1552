//! How brokers are known to be the brokers, and how they are shown who this is.

use std::{fmt, path::PathBuf, sync::Arc};

use eventlog::broker::BrokerError;
use parking_lot::Mutex;
use rdkafka::{ClientConfig, ClientContext, consumer::ConsumerContext, error::KafkaError};

/// Over what connections go, and who logs in.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `None`: in the clear.
    pub tls: Option<Tls>,
    /// `None`: brokers ask for no name.
    pub login: Option<Login>,
}

/// TLS 1.2 or later; a broker's certificate must be for the name by which it is reached.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A PEM file of who may sign brokers' certificates; `None`: whom this system trusts.
    pub authorities: Option<PathBuf>,
    /// PEM files of the certificate that brokers are shown, and of its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// SASL (RFC 4422).
#[derive(Clone)]
pub struct Login {
    pub mechanism: Mechanism,
    pub user: String,
    pub password: String,
}

/// How a password is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// As it is (RFC 4616): over TLS alone.
    Plain,
    /// Proven without being sent (RFC 5802, RFC 7677).
    ScramSha256,
    ScramSha512,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, user, password: _ } = self;
        f.debug_struct("Login").field("mechanism", mechanism).field("user", user).finish()
    }
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    /// Sets it for a client, where this build can do it.
    pub(crate) fn set(&self, config: &mut ClientConfig) -> Result<(), BrokerError> {
        let protocol = match (&self.tls, &self.login) {
            (None, None) => return Ok(()),
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        if !cfg!(feature = "tls") {
            let what = "this program was built without TLS and SASL to brokers: build it with \
                        `cargo build --release --features kafka-tls`, which needs OpenSSL's headers \
                        (Debian: libssl-dev, pkg-config)";
            return Err(BrokerError(what.to_owned()));
        }
        config.set("security.protocol", protocol);
        if let Some(Tls { authorities, certificate }) = &self.tls {
            let certificate = certificate.as_ref();
            let files = [
                ("ssl.ca.location", authorities.as_ref()),
                ("ssl.certificate.location", certificate.map(|(certificate, _)| certificate)),
                ("ssl.key.location", certificate.map(|(_, key)| key)),
            ];
            for (name, file) in files {
                let Some(file) = file else { continue };
                config.set(name, file.to_string_lossy());
            }
        }
        if let Some(Login { mechanism, user, password }) = &self.login {
            config
                .set("sasl.mechanism", mechanism.name())
                .set("sasl.username", user)
                .set("sasl.password", password);
        }
        Ok(())
    }
}

/// Keeps what a client said last: that it was not let in is said nowhere else.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Option<String>>>);

impl Said {
    /// An error, with what was said before it.
    pub fn of(&self, error: &KafkaError) -> BrokerError {
        match self.0.lock().take() {
            Some(said) => BrokerError(format!("{error}: {said}")),
            None => BrokerError(error.to_string()),
        }
    }
}

impl ClientContext for Said {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "client");
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = &error as &dyn std::error::Error, reason, "client");
        // "All brokers are down" says less than what came before it.
        let mut said = self.0.lock();
        if said.is_none() || !reason.contains("brokers are down") {
            *said = Some(reason.to_owned());
        }
    }
}
impl ConsumerContext for Said {}
