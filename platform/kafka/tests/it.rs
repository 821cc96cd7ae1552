//! Who is let in by brokers that demand TLS and a name, and which brokers are trusted.

use kafka::{Kafka, Login, Mechanism, Security, Settings, Tls};

fn settings(brokers: &str, prefix: &str, security: Security) -> Settings {
    let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
    Settings { brokers, prefix, replication: 1, security }
}

fn login(mechanism: Mechanism, password: &str) -> Option<Login> {
    Some(Login { mechanism, user: "switchyard".to_owned(), password: password.to_owned() })
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_says_so_and_what_to_do() {
    for security in [
        Security { tls: Some(Tls::default()), login: None },
        Security { tls: None, login: login(Mechanism::ScramSha512, "hush") },
    ] {
        let refused = Kafka::new(settings("localhost:9", "x.", security)).err().unwrap();
        assert!(refused.0.contains("--features kafka-tls"), "{refused}");
    }
    eprintln!("\n!!! SKIPPED: brokers that demand TLS: built without the feature `tls` !!!\n");
}

#[cfg(feature = "tls")]
mod demanded {
    use std::{path::PathBuf, time::Duration};

    use eventlog::broker::{Broker as _, BrokerError, Part, Record};

    use super::*;

    /// A broker that `scripts/kafka start --tls` started.
    struct Server {
        sasl: String,
        certified: String,
        directory: PathBuf,
    }

    impl Server {
        /// `None` (said loudly) where there is none.
        fn find() -> Option<Self> {
            let variable = |name: &str| std::env::var(name).ok();
            let found = (
                variable("SWITCHYARD_TEST_KAFKA_TLS"),
                variable("SWITCHYARD_TEST_KAFKA_CERTIFIED"),
                variable("SWITCHYARD_TEST_KAFKA_TLS_DIR"),
            );
            let (Some(sasl), Some(certified), Some(directory)) = found else {
                eprintln!("\n!!! SKIPPED by TLS: run eval \"$(scripts/kafka start --tls)\" !!!\n");
                return None;
            };
            Some(Self { sasl, certified, directory: directory.into() })
        }
        fn trusts(&self, authority: &str) -> Tls {
            Tls { authorities: Some(self.directory.join(authority)), certificate: None }
        }
        fn password(&self) -> String {
            std::fs::read_to_string(self.directory.join("password"))
                .expect("it is there")
                .trim()
                .to_owned()
        }
        /// By SASL and TLS, with a password.
        fn with(&self, mechanism: Mechanism, password: &str) -> Security {
            Security { tls: Some(self.trusts("ca.pem")), login: login(mechanism, password) }
        }
    }

    /// Makes a topic, sends a record, reads it, and looks where the partition ends.
    fn goes(brokers: &str, prefix: &str, security: Security) -> Result<(), BrokerError> {
        let kafka = Kafka::new(settings(brokers, prefix, security))?;
        assert!(kafka.ensure("transfers", 1)?, "it is made");
        let body = b"{}".to_vec();
        let record = Record { shard: 0, key: "k".to_owned(), headers: Vec::new(), body };
        kafka.session()?.send("transfers", std::slice::from_ref(&record))?;
        let mut reader = kafka.reader("ledger", &["transfers"])?;
        reader.assign(&[Part { topic: "transfers", shard: 0, from: Some(0) }])?;
        let polls = (0..100).map(|_| reader.poll(Duration::from_millis(100)));
        let arrived = polls.filter_map(Result::ok).find(|arrived| !arrived.is_empty());
        assert_eq!(arrived.expect("it comes within 10 s")[0].body, record.body);
        assert_eq!(kafka.ends("transfers", 1)?[0].high, 1);
        Ok(())
    }

    /// What is said where nobody is let in.
    fn refused(brokers: &str, security: Security) -> String {
        let text = goes(brokers, "refused.", security).expect_err("nobody is let in").to_string();
        assert!(!text.contains("hush"), "{text}");
        text.to_lowercase()
    }

    #[test]
    fn each_mechanism_lets_in_who_has_the_password() {
        let Some(server) = Server::find() else { return };
        for (mechanism, prefix) in [
            (Mechanism::Plain, "plain."),
            (Mechanism::ScramSha256, "scram256."),
            (Mechanism::ScramSha512, "scram512."),
        ] {
            goes(&server.sasl, prefix, server.with(mechanism, &server.password())).unwrap();
            let text = refused(&server.sasl, server.with(mechanism, "hush"));
            assert!(text.contains("authentication"), "{mechanism:?}: {text}");
        }
    }
    #[test]
    fn a_certificate_lets_in_who_has_its_key() {
        let Some(server) = Server::find() else { return };
        let files = ["client.pem", "client.key"].map(|name| server.directory.join(name));
        let certificate = Some((files[0].clone(), files[1].clone()));
        let tls = Tls { certificate, ..server.trusts("ca.pem") };
        goes(&server.certified, "certified.", Security { tls: Some(tls), login: None }).unwrap();
        let without = Security { tls: Some(server.trusts("ca.pem")), login: None };
        refused(&server.certified, without);
    }
    #[test]
    fn a_broker_is_trusted_for_its_certificate_alone() {
        let Some(server) = Server::find() else { return };
        let of = |tls| Security { tls: Some(tls), login: login(Mechanism::ScramSha512, "hush") };
        let text = refused(&server.sasl, of(server.trusts("other.pem")));
        assert!(text.contains("certificate"), "{text}");
        // The certificate is for localhost.
        let elsewhere = server.sasl.replace("localhost", "127.0.0.1");
        let text = refused(&elsewhere, of(server.trusts("ca.pem")));
        assert!(text.contains("certificate"), "{text}");
    }
    #[test]
    fn nobody_comes_in_in_the_clear() {
        let Some(server) = Server::find() else { return };
        refused(&server.sasl, Security::default());
    }
}
