//! The flags that say how brokers are reached.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kafka::{Login, Mechanism, Security, Tls};

use crate::exit::{Context, Failure, Outcome};

/// The brokers that carry events between processes; without them the database itself does.
#[derive(Args, Debug, Clone)]
pub struct Kafka {
    /// Carry events by Apache Kafka: some of its brokers
    #[arg(long = "kafka", env = "SWITCHYARD_KAFKA", value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// What the names of topics and consumer groups begin with
    #[arg(
        long = "kafka-prefix",
        env = "SWITCHYARD_KAFKA_PREFIX",
        default_value = "switchyard.",
        value_name = "PREFIX"
    )]
    pub prefix: String,
    /// Speak TLS with the brokers
    #[arg(long = "kafka-tls", env = "SWITCHYARD_KAFKA_TLS")]
    pub tls: bool,
    /// PEM: who may sign the brokers' certificates [default: whom this system trusts]
    #[arg(long = "kafka-ca", env = "SWITCHYARD_KAFKA_CA", value_name = "FILE")]
    pub authorities: Option<PathBuf>,
    /// PEM: the certificate that brokers are shown
    #[arg(long = "kafka-cert", env = "SWITCHYARD_KAFKA_CERT", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// PEM: the key of that certificate
    #[arg(long = "kafka-cert-key", env = "SWITCHYARD_KAFKA_CERT_KEY", value_name = "FILE")]
    pub certificate_key: Option<PathBuf>,
    /// Log in at the brokers by SASL
    #[arg(long = "kafka-sasl", env = "SWITCHYARD_KAFKA_SASL", value_name = "MECHANISM")]
    pub sasl: Option<Sasl>,
    /// Who logs in
    #[arg(long = "kafka-user", env = "SWITCHYARD_KAFKA_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// A file with the password
    #[arg(
        long = "kafka-password-file",
        env = "SWITCHYARD_KAFKA_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub password_file: Option<PathBuf>,
    /// One copy of each partition instead of three: a broker that is lost takes its topics along
    #[arg(long, env = "SWITCHYARD_DEV")]
    pub dev: bool,
}

/// How a password is shown to brokers.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sasl {
    /// As it is; needs --kafka-tls
    Plain,
    #[value(name = "scram-sha-256")]
    ScramSha256,
    #[value(name = "scram-sha-512")]
    ScramSha512,
}

impl Kafka {
    /// How brokers are known, and shown who this is; reads the password. What does not go together is
    /// refused here, for it may stand in the file of settings.
    pub fn security(&self) -> Outcome<Security> {
        let certificate = self.certificate.clone().zip(self.certificate_key.clone());
        let of_tls = self.authorities.is_some() || self.certificate.is_some();
        let of_login = self.user.is_some() || self.password_file.is_some();
        let wrong = [
            (
                self.brokers.is_none() && (self.tls || self.sasl.is_some()),
                "--kafka-tls and --kafka-sasl need --kafka",
            ),
            (of_tls && !self.tls, "--kafka-ca and --kafka-cert need --kafka-tls"),
            (
                self.certificate.is_some() != self.certificate_key.is_some(),
                "--kafka-cert and --kafka-cert-key need each other",
            ),
            (
                of_login && self.sasl.is_none(),
                "--kafka-user and --kafka-password-file need --kafka-sasl",
            ),
            (
                self.sasl.is_some() && (self.user.is_none() || self.password_file.is_none()),
                "--kafka-sasl needs --kafka-user and --kafka-password-file",
            ),
            (
                self.sasl == Some(Sasl::Plain) && !self.tls,
                "--kafka-sasl plain needs --kafka-tls: it sends the password as it is",
            ),
        ];
        if let Some((_, what)) = wrong.iter().find(|(is_so, _)| *is_so) {
            return Err(Failure::Usage((*what).to_owned()));
        }
        let tls = Tls { authorities: self.authorities.clone(), certificate };
        Ok(Security { tls: self.tls.then_some(tls), login: self.login()? })
    }
    fn login(&self) -> Outcome<Option<Login>> {
        let (Some(sasl), Some(user), Some(file)) = (self.sasl, &self.user, &self.password_file)
        else {
            return Ok(None);
        };
        let mechanism = match sasl {
            Sasl::Plain => Mechanism::Plain,
            Sasl::ScramSha256 => Mechanism::ScramSha256,
            Sasl::ScramSha512 => Mechanism::ScramSha512,
        };
        let text = std::fs::read_to_string(file).context(file.display())?;
        let password = text.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            return Err(Failure::CouldNotRun(format!("{}: holds no password", file.display())));
        }
        Ok(Some(Login { mechanism, user: user.clone(), password }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Kafka, Mechanism};
    use crate::exit::Failure;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        kafka: Kafka,
    }

    fn parsed(line: &str) -> Kafka {
        Only::parse_from(["it"].into_iter().chain(line.split_whitespace())).kafka
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (line, flag) in [
            ("--kafka-tls", "--kafka"),
            ("--kafka b:1 --kafka-ca a.pem", "--kafka-tls"),
            ("--kafka b:1 --kafka-tls --kafka-cert a.pem", "--kafka-cert-key"),
            ("--kafka b:1 --kafka-tls --kafka-cert-key a.pem", "--kafka-cert"),
            ("--kafka b:1 --kafka-user u", "--kafka-sasl"),
            ("--kafka b:1 --kafka-sasl scram-sha-512 --kafka-user u", "--kafka-password-file"),
            (
                "--kafka b:1 --kafka-sasl plain --kafka-user u --kafka-password-file f",
                "--kafka-tls",
            ),
        ] {
            let refused = parsed(line).security();
            let Err(Failure::Usage(text)) = refused else { panic!("{line}: {refused:?}") };
            assert!(text.contains(flag), "{line}: {text}");
        }
    }
    #[test]
    fn the_password_stands_in_a_file_and_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "very secret\n").unwrap();
        let line = format!(
            "--kafka b:1 --kafka-sasl scram-sha-256 --kafka-user u --kafka-password-file {}",
            file.path().display()
        );
        let security = parsed(&line).security().unwrap();
        assert!(!format!("{security:?}").contains("secret"));
        let login = security.login.unwrap();
        assert_eq!((login.mechanism, &login.password[..]), (Mechanism::ScramSha256, "very secret"));
        std::fs::write(file.path(), "\n").unwrap();
        assert!(matches!(parsed(&line).security(), Err(Failure::CouldNotRun(_))));
    }
}
