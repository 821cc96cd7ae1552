//! TLS to PostgreSQL: who is let in and who is trusted, by the words of the URL.

use crate::bed::Bed;
use crate::engine::connection_lost;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;
use store::{Bell, Location, Options, Result, Sql, Store, Tx};

/// A server that takes roles as `scripts/postgres start --tls` says.
struct Server {
    port: String,
    directory: PathBuf,
}

impl Server {
    /// `None` (said loudly) when there is none.
    fn find() -> Option<Server> {
        let variable = |name: &str| std::env::var(name).ok();
        let url = variable("SWITCHYARD_TEST_POSTGRES_TLS");
        let (Some(url), Some(directory)) = (url, variable("SWITCHYARD_TEST_POSTGRES_TLS_DIR"))
        else {
            eprintln!("\n!!! SKIPPED by TLS: run eval \"$(scripts/postgres start --tls)\" !!!\n");
            return None;
        };
        let port: String =
            url.rsplit(':').next().unwrap().chars().take_while(char::is_ascii_digit).collect();
        Some(Server { port, directory: directory.into() })
    }

    /// `PORT` and `DIR` in a text stand for this server's.
    fn of(&self, text: &str) -> String {
        text.replace("PORT", &self.port).replace("DIR", self.directory.to_str().unwrap())
    }

    fn verified(&self) -> String {
        let words = "sslmode=verify-full&sslrootcert=DIR/ca.pem";
        self.of(&format!("postgres://postgres@localhost:PORT/postgres?{words}"))
    }
}

/// The version of TLS on the connection, or the whole error.
fn outcome(url: &str) -> String {
    let version = Sql::new("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let asked =
        |tx: &mut Tx<'_>| tx.query_one(&version, &[], |row| Ok(row.opt_text(0)?.map(Into::into)));
    let found = || -> Result<Option<Option<String>>> {
        let (store, mut writer) = Store::open(Location::Postgres(url.into()), Options::default())?;
        let written = asked(&mut writer.begin()?)?;
        assert_eq!(store.read(asked)?, written, "a reader's connection is another one");
        Ok(written)
    };
    match found() {
        Ok(version) => version.unwrap().unwrap_or_else(|| "no TLS".into()),
        Err(error) => {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hush"), "{text}");
            error.to_string()
        }
    }
}

const CASES: &str = "
    postgres://postgres@localhost:PORT/postgres                                                         | TLSv1.3
    postgres://postgres@localhost:PORT/postgres?sslmode=prefer                                          | TLSv1.3
    postgres://postgres@localhost:PORT/postgres?sslmode=require                                         | TLSv1.3
    postgres://postgres@localhost:PORT/postgres?sslmode=require&sslrootcert=DIR/ca.pem                  | TLSv1.3
    postgres://postgres@localhost:PORT/postgres?sslmode=verify-ca&sslrootcert=DIR/ca.pem                | TLSv1.3
    postgres://postgres@127.0.0.1:PORT/postgres?sslmode=verify-ca&sslrootcert=DIR/ca.pem                | TLSv1.3
    postgres://postgres@localhost:PORT/postgres?sslmode=verify-full&sslrootcert=DIR/ca.pem              | TLSv1.3
    host=localhost port=PORT user=postgres dbname=postgres sslmode=verify-full sslrootcert='DIR/ca.pem' | TLSv1.3
    hostaddr=127.0.0.1 port=PORT user=postgres dbname=postgres sslmode=require                          | TLSv1.3

    postgres://postgres:hush@localhost:PORT/postgres?sslmode=disable                                    | no encryption
    postgres://postgres:hush@127.0.0.1:PORT/postgres?sslmode=verify-full&sslrootcert=DIR/ca.pem         | not valid for name
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=verify-full&sslrootcert=DIR/other.pem      | UnknownIssuer
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=verify-ca&sslrootcert=DIR/other.pem        | UnknownIssuer
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=require&sslrootcert=DIR/other.pem          | UnknownIssuer
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=prefer&sslrootcert=DIR/other.pem           | UnknownIssuer
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=require&sslrootcert=DIR/none.pem           | sslrootcert=DIR/none.pem: No such file or directory
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=require&sslrootcert=DIR/ca.key             | sslrootcert=DIR/ca.key: holds no certificate in PEM
    postgres://postgres:hush@localhost:PORT/postgres?sslmode=always                                     | sslmode=always is none of disable, prefer, require, verify-ca, verify-full

    postgres://plain@localhost:PORT/postgres                                                            | no TLS
    postgres://plain@localhost:PORT/postgres?sslmode=require                                            | SSL encryption
    host=DIR port=PORT user=postgres dbname=postgres sslmode=verify-full sslrootcert=DIR/ca.pem         | [local]

    postgres://scram:hush@localhost:PORT/postgres?sslmode=require&channel_binding=require               | TLSv1.3
    postgres://certified@localhost:PORT/postgres?sslmode=require&sslcert=DIR/client.pem&sslkey=DIR/client.key | TLSv1.3
    postgres://certified:hush@localhost:PORT/postgres?sslmode=require                                   | valid client certificate
    postgres://certified:hush@localhost:PORT/postgres?sslcert=DIR/client.pem&sslkey=DIR/server.key      | sslkey=DIR/server.key: 
    postgres://certified:hush@localhost:PORT/postgres?sslcert=DIR/client.pem&sslkey=DIR/client.pem      | sslkey=DIR/client.pem: holds no key
";

#[test]
fn each_mode_lets_in_and_trusts_whom_it_says() {
    let Some(server) = Server::find() else { return };
    let (_store, mut writer) =
        Store::open(Location::Postgres(server.verified()), Options::default()).unwrap();
    for role in ["plain", "certified", "scram"] {
        let make = format!(
            "DO 'BEGIN CREATE ROLE {role} LOGIN PASSWORD ''hush'';
             EXCEPTION WHEN duplicate_object THEN NULL; END'"
        );
        let mut tx = writer.begin().unwrap();
        tx.execute(&Sql::new(Box::leak(make.into_boxed_str())), &[]).unwrap();
        tx.commit().unwrap();
    }
    for line in CASES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (url, expected) = line.split_once('|').unwrap();
        let found = outcome(&server.of(url.trim()));
        assert!(found.contains(&server.of(expected.trim())), "{url}\n{found}");
    }
}

#[test]
fn a_connection_with_tls_is_lost_as_any_other() {
    let Some(server) = Server::find() else { return };
    connection_lost(&Bed::on(&server.verified()));
}

#[test]
fn a_bell_is_heard_with_tls() {
    let Some(server) = Server::find() else { return };
    let (store, mut writer) =
        Store::open(Location::Postgres(server.verified()), Options::default()).unwrap();
    let mut bell = Bell::open(&store, "of_the_test").unwrap().unwrap();
    for payload in ["one", "two"] {
        writer.ring("of_the_test", payload).unwrap();
        assert_eq!(bell.wait(Duration::from_secs(10)).unwrap(), [payload]);
    }
    assert_eq!(bell.wait(Duration::from_millis(10)).unwrap(), [""; 0]);
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_demanded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It answers every wish for TLS with no.
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.read_exact(&mut [0; 8]).unwrap();
            socket.write_all(b"N").unwrap();
        }
    });
    let url = format!("postgres://postgres:hush@127.0.0.1:{port}/postgres?sslmode=require");
    assert!(outcome(&url).contains("server does not support TLS"), "{}", outcome(&url));
}
