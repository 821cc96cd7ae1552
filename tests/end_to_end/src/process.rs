//! A running switchyard: start, stop, kill, pause, start again on the same data.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::Value;
use store::{Location, Options, Sql, Store};
use tempfile::TempDir;

use crate::{api::Api, network::Host, servers::Servers};

/// How long a process may take to be ready; the figures themselves are measured elsewhere.
const READY_MOST: Duration = Duration::from_secs(20);

/// What the services of such a platform show each other.
const PEER_KEY: &str = "shown-from-service-to-service";
/// The shards of a platform of several processes.
const SHARDS: &str = "64";
/// What each process of such a platform runs; clients reach the first.
const ROLES: [&str; 13] = [
    "gateway",
    "accounts",
    "payment-methods",
    "transfers",
    "transfers",
    "ledger",
    "ledger",
    "webhooks",
    "dashboard",
    "ach",
    "card",
    "rtp",
    "sandbox",
];

/// A switchyard on one data directory, which goes with it: one process, or one for each role and two
/// for some.
pub struct Process {
    children: Vec<Child>,
    directory: TempDir,
    /// Of the process that clients reach, then of the others.
    addresses: Vec<String>,
    /// Where each runs, where that is not this machine.
    hosts: Vec<Host>,
    extra: Vec<String>,
    database: Option<String>,
    /// What says how events are carried between processes, where that is not the database.
    carried: Vec<String>,
}

/// The binary that the workspace built; built now where it was not.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has an executable");
    while path.pop() {
        let candidate = path.join("switchyard");
        if path.file_name().is_some_and(|name| name == "release" || name == "debug") {
            if !candidate.is_file() {
                let release = path.ends_with("release").then_some("--release");
                let built = Command::new(env!("CARGO"))
                    .args(["build", "-p", "switchyard"])
                    .args(release)
                    .status()
                    .expect("cargo runs");
                assert!(built.success(), "the binary builds");
            }
            return candidate;
        }
    }
    panic!("no target directory above the test")
}

/// An address that no other process of these tests is given, and that the system gives to no
/// connection: it has to be free again after a kill.
fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() % 10_000 * 613;
        let address = format!("127.0.0.1:{}", 10_000 + number % 10_000);
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

impl Process {
    /// `up --sandbox` on a fresh directory, ready; or another shape of the platform, where
    /// `SWITCHYARD_TEST_SHAPE` says so.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }
    /// The same with further flags.
    pub async fn start_with(extra: &[&str]) -> Self {
        if let Some(carried) = other_shape() {
            let url = test_database().expect("a database for this shape");
            let started =
                Self::start_on_database(extra, (ROLES.len(), Vec::new()), carried, url).await;
            return started.expect("the database is there");
        }
        Self::start_on_a_directory(extra).await
    }
    /// `up --sandbox` in whatever shape the suite runs, for a case of the data directory itself.
    pub async fn start_on_a_directory(extra: &[&str]) -> Self {
        let mut process = Self {
            children: Vec::new(),
            directory: tempfile::tempdir().expect("a temporary directory"),
            addresses: vec![free_address()],
            hosts: Vec::new(),
            extra: extra.iter().map(|flag| (*flag).to_owned()).collect(),
            database: None,
            carried: Vec::new(),
        };
        process.again().await;
        process
    }
    /// `serve all --sandbox` on a fresh schema of PostgreSQL; `None` (said loudly) where there is
    /// no PostgreSQL.
    pub async fn start_on_postgresql() -> Option<Self> {
        Self::start_on_postgresql_with(&[]).await
    }
    /// The same with further flags.
    pub async fn start_on_postgresql_with(extra: &[&str]) -> Option<Self> {
        Self::start_on_database(extra, (1, Vec::new()), Vec::new(), test_database()?).await
    }
    /// `serve` of every role in processes of their own, on a fresh schema of PostgreSQL.
    pub async fn start_several() -> Option<Self> {
        Self::start_several_by(Vec::new(), Vec::new(), test_database()?).await
    }
    /// The same, with events carried by Kafka in topics of its own.
    pub async fn start_several_by_kafka() -> Option<Self> {
        Self::start_several_by(Vec::new(), by_test_brokers()?, test_database()?).await
    }
    /// The same on servers of the case's own, where topics have the names that they have by default.
    pub async fn start_several_on(servers: &Servers) -> Self {
        let (by, database) = (by(&servers.brokers, "switchyard."), servers.database.clone());
        Self::start_several_by(Vec::new(), by, database).await.expect("the servers run")
    }
    /// Each on a host of its own, in the order of [`Process::hosts_needed`], with topics of its own.
    pub async fn start_several_at(hosts: Vec<Host>, servers: &Servers) -> Self {
        let by = by(&servers.brokers, &format!("{}.", crate::api::key()));
        let started = Self::start_several_by(hosts, by, servers.database.clone()).await;
        started.expect("the servers run")
    }
    /// On these hosts, or on this machine where there are none, with events carried so.
    async fn start_several_by(hosts: Vec<Host>, carried: Vec<String>, url: String) -> Option<Self> {
        Self::start_on_database(&[], (ROLES.len(), hosts), carried, url).await
    }
    /// Names of the hosts for all processes: what each runs, with a number from the second on.
    pub fn hosts_needed() -> Vec<String> {
        let name = |(number, role): (usize, &&str)| {
            let before = ROLES[..number].iter().filter(|one| *one == role).count();
            if before == 0 { (*role).to_owned() } else { format!("{role}-{}", before + 1) }
        };
        ROLES.iter().enumerate().map(name).collect()
    }
    async fn start_on_database(
        extra: &[&str],
        (processes, hosts): (usize, Vec<Host>),
        carried: Vec<String>,
        url: String,
    ) -> Option<Self> {
        let schema = format!("end_to_end_{}", crate::api::key().replace('-', "_"));
        let sign = if url.contains('?') { '&' } else { '?' };
        let own = format!("{url}{sign}options=-c%20search_path%3D{schema}");
        let make = format!("CREATE SCHEMA {schema}");
        execute(url.clone(), vec![make]).await;
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("peer.key"), PEER_KEY).expect("a key file");
        let shards = if processes == 1 { "1" } else { SHARDS };
        let mut migrate = vec!["migrate", "--database", &own, "--shards", shards];
        migrate.extend(carried.iter().map(String::as_str));
        migrate.extend((processes > 1).then_some("--roles"));
        let (code, out, errors) = run(&migrate, directory.path());
        assert_eq!(code, 0, "{out}{errors}");
        if processes > 1 {
            let log_in = |role: &&str| format!("ALTER ROLE {} LOGIN", database_role(&own, role));
            execute(url, ROLES.iter().map(log_in).collect()).await;
        }
        let addresses = match &hosts[..] {
            [] => (0..processes).map(|_| free_address()).collect(),
            hosts => hosts.iter().map(|host| format!("{}:8080", host.address)).collect(),
        };
        let extra = extra.iter().map(|flag| (*flag).to_owned()).collect();
        let (children, database) = (Vec::new(), Some(own));
        let mut process = Self { children, directory, addresses, hosts, extra, database, carried };
        process.again().await;
        Some(process)
    }
    /// Starts on the data that is there and waits until it is ready; how long that took.
    pub async fn again(&mut self) -> Duration {
        assert!(self.children.is_empty(), "it runs already");
        let begun = tokio::time::Instant::now();
        self.children = (0..self.addresses.len()).map(|number| self.spawn(number)).collect();
        self.is_ready().await;
        begun.elapsed()
    }
    /// Waits until each process is ready.
    pub async fn is_ready(&self) {
        let begun = tokio::time::Instant::now();
        let client = reqwest::Client::new();
        for (number, address) in self.addresses.iter().enumerate() {
            let url = format!("http://{address}/health/ready");
            loop {
                let said = match client.get(&url).send().await {
                    Ok(reply) if reply.status() == 200 => None,
                    Ok(reply) => Some(reply.text().await.unwrap_or_else(|error| error.to_string())),
                    Err(error) => Some(format!("{error:?}")),
                };
                if said.is_none() && self.data().join("credentials.json").is_file() {
                    break;
                }
                let late = begun.elapsed() > READY_MOST;
                let what = said.unwrap_or_else(|| "it wrote no credentials".to_owned());
                // What it says of itself comes last: a long output is cut from its middle.
                assert!(
                    !late,
                    "{}\nprocess {number} is not ready within {READY_MOST:?}: {what}",
                    self.log()
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    fn spawn(&self, number: usize) -> Child {
        let log = |name| {
            let path = self.directory.path().join(name);
            std::fs::File::options().append(true).create(true).open(path).expect("a log file")
        };
        let mut command = match self.hosts.get(number) {
            Some(host) => host.command(binary()),
            None => Command::new(binary()),
        };
        match &self.database {
            Some(url) if self.addresses.len() > 1 => {
                let key = self.directory.path().join("peer.key");
                let role = ROLES[number];
                let own = format!("{url}&user={}", database_role(url, role));
                command.args(["serve", role, "--database", &own, "--peer-key"]).arg(key);
                command.args(["--base-url", &self.base()]).args(&self.carried);
                for (role, address) in ROLES.iter().zip(&self.addresses).skip(1) {
                    command.args(["--peer", &format!("{role}=http://{address}")]);
                }
            }
            Some(url) => {
                command.args(["serve", "all", "--database", url]);
            }
            None => {
                command.arg("up");
            }
        }
        command
            .args(["--sandbox", "--listen", &self.addresses[number], "--data"])
            .arg(self.data())
            .args(&self.extra)
            .stdout(log("stdout.log"))
            .stderr(log("stderr.log"))
            .spawn()
            .expect("the binary starts")
    }
    /// kill -9 of one process of several, and its start again.
    pub async fn kill_one(&mut self, number: usize) {
        let child = &mut self.children[number];
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        self.start_one(number);
    }
    /// SIGTERM of one process of several, and how it ended.
    pub fn stop_one(&mut self, number: usize) -> std::process::ExitStatus {
        let child = &mut self.children[number];
        signal(child.id(), "TERM");
        child.wait().expect("it ends")
    }
    /// Starts one again that has ended.
    pub fn start_one(&mut self, number: usize) {
        self.children[number] = self.spawn(number);
    }
    /// Starts again what dies of a segmentation fault, as whoever watches over the processes of an
    /// installation does, and says so; never ends. librdkafka may die where a topic goes while it is
    /// read (its issue 5280). Any other death is a failure.
    pub async fn is_watched(&mut self) {
        loop {
            for (number, role) in self.roles().iter().enumerate() {
                let ended = self.children[number].try_wait().expect("its state is known");
                let Some(ended) = ended else { continue };
                let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
                assert_eq!(signal, Some(11), "{role} ended: {ended}\n{}", self.log());
                eprintln!("\n!!! {role} died of a segmentation fault, and is started again !!!\n");
                self.start_one(number);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    /// SIGSTOP and SIGCONT of one process of several.
    pub fn pause_one(&self, number: usize, pause: bool) {
        signal(self.children[number].id(), if pause { "STOP" } else { "CONT" });
    }
    /// What each process runs.
    pub fn roles(&self) -> &'static [&'static str] {
        &ROLES[..self.addresses.len()]
    }
    /// kill -9.
    pub fn kill(&mut self) {
        assert!(!self.children.is_empty(), "it runs");
        for mut child in self.children.drain(..) {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }
    /// Waits until something else has killed it, at most so long; kills it otherwise. Whether it was
    /// something else.
    pub async fn killed(&mut self, most: Duration) -> bool {
        let begun = tokio::time::Instant::now();
        let child = self.children.first_mut().expect("it runs");
        while child.try_wait().expect("its state is known").is_none() {
            if begun.elapsed() > most {
                self.kill();
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.children.clear();
        true
    }
    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        assert!(!self.children.is_empty(), "it runs");
        self.children.iter().for_each(|child| signal(child.id(), "TERM"));
        let ended = self.children.drain(..).map(|mut child| child.wait().expect("it ends"));
        let ended: Vec<_> = ended.collect();
        let failed = ended.iter().find(|status| !status.success());
        *failed.unwrap_or(&ended[0])
    }
    /// SIGSTOP and SIGCONT.
    pub fn pause(&self, pause: bool) {
        assert!(!self.children.is_empty(), "it runs");
        for child in &self.children {
            signal(child.id(), if pause { "STOP" } else { "CONT" });
        }
    }
    /// The process' number.
    pub fn id(&self) -> u32 {
        self.children.first().expect("it runs").id()
    }
    /// Its base URL.
    pub fn base(&self) -> String {
        format!("http://{}", self.addresses[0])
    }
    /// The base URL of each process; clients use the first.
    pub fn bases(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}")).collect()
    }
    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
    /// The database that it runs on, where it has one.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }
    /// The brokers that carry its events, and what the names of its topics begin with.
    pub fn topics(&self) -> Option<(&str, &str)> {
        let after = |flag: &str| {
            let at = self.carried.iter().position(|one| one == flag)?;
            self.carried.get(at + 1).map(String::as_str)
        };
        Some((after("--kafka")?, after("--kafka-prefix")?))
    }
    /// The folder of all that it writes: its data directory and its outputs.
    pub fn folder(&self) -> &Path {
        self.directory.path()
    }
    /// Every row of every table as PostgreSQL prints it, and the server's own directory; `None` on
    /// the embedded engine.
    pub async fn rows_and_server(&self) -> Option<(String, PathBuf)> {
        let url = self.database.clone()?;
        Some(tokio::task::spawn_blocking(move || print_rows(url)).await.expect("rows are printed"))
    }
    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr.log")).unwrap_or_default()
    }
    /// A client with the first key.
    pub fn api(&self) -> Api {
        let file = std::fs::read(self.data().join("credentials.json")).expect("credentials");
        let credentials: Value = serde_json::from_slice(&file).expect("they are JSON");
        Api::new(&self.base(), credentials)
    }
    /// Runs `verify` on what is stored, beside the process; every invariant must hold.
    pub fn verify(&self) {
        self.verify_with(&[]);
    }
    /// The same with what else there is to compare.
    pub fn verify_with(&self, flags: &[&str]) {
        let data = self.data();
        let place = match &self.database {
            Some(url) => ["verify", "--database", url],
            None => ["verify", "--data", data.to_str().expect("a plain path")],
        };
        let (code, out, errors) = self.command(&[&place, flags].concat());
        assert_eq!(code, 0, "{out}{errors}");
    }
    /// The same with the counterparties' own books.
    pub fn verify_with_books(&self, api: &Api) {
        let ((public, secret), books) = (api.key(), format!("{}/sandbox/books", self.base()));
        self.verify_with(&["--books", &books, "--key", &format!("{public}:{secret}")]);
    }
    /// Where everything is stored.
    pub fn location(&self) -> Location {
        let database = self.database.clone();
        database.map_or_else(|| Location::Directory(self.data()), Location::Postgres)
    }
    /// Runs a command of the binary; exit code, stdout, stderr.
    pub fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        run(arguments, self.directory.path())
    }
    /// Where the whole suite runs by Kafka, one broker would come to tens of thousands of partitions,
    /// and answer ever later.
    fn deletes_its_topics(&self) {
        let Some((_, prefix)) = self.topics().filter(|_| other_shape().is_some()) else { return };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/kafka");
        // What it says is of no use to a case that has ended.
        let _ = Command::new(script).args(["delete", &format!("{prefix}.*")]).output();
    }
}

/// The database for tests; `None` (said loudly) where there is none.
fn test_database() -> Option<String> {
    let url = std::env::var("SWITCHYARD_TEST_POSTGRES").ok();
    if url.is_none() {
        eprintln!("\n!!! SKIPPED on PostgreSQL: set SWITCHYARD_TEST_POSTGRES to a URL !!!\n");
    }
    url
}

/// What the whole suite runs on in place of one process: `cluster` is every role in processes of its
/// own on PostgreSQL, `kafka` the same with events carried by Kafka. How these carry events.
fn other_shape() -> Option<Vec<String>> {
    let shape = std::env::var("SWITCHYARD_TEST_SHAPE").ok()?;
    match shape.as_str() {
        "cluster" => Some(Vec::new()),
        "kafka" => Some(by_test_brokers().expect("a broker for this shape")),
        _ => panic!("SWITCHYARD_TEST_SHAPE={shape}: none of cluster, kafka"),
    }
}

/// Topics of its own on the broker for tests; `None` (said loudly) where there is none.
fn by_test_brokers() -> Option<Vec<String>> {
    let brokers = std::env::var("SWITCHYARD_TEST_KAFKA").ok();
    if brokers.is_none() {
        eprintln!("\n!!! SKIPPED by Kafka: set SWITCHYARD_TEST_KAFKA to HOST:PORT !!!\n");
    }
    Some(by(&brokers?, &format!("{}.", crate::api::key())))
}

/// The flags that have events carried by Kafka; one broker has no other to copy to.
fn by(brokers: &str, prefix: &str) -> Vec<String> {
    let flags = ["--kafka", brokers, "--kafka-prefix", prefix];
    let alone = (!brokers.contains(',')).then_some("--dev");
    flags.iter().chain(&alone).map(|flag| (*flag).to_owned()).collect()
}

/// The schema that the URL of a process's database names.
pub(crate) fn schema_of(url: &str) -> &str {
    url.rsplit("%3D").next().expect("a part")
}

/// The role of the database that a role of `serve` needs, on a database in a schema of its own.
fn database_role(url: &str, role: &str) -> String {
    format!("{}_{}", schema_of(url), role.replace('-', "_"))
}

/// As the tests' own user of the database.
async fn execute(url: String, texts: Vec<String>) {
    let done = tokio::task::spawn_blocking(move || {
        let opened = Store::open(Location::Postgres(url), Options::default());
        let (_store, mut writer) = opened.expect("PostgreSQL is there");
        let mut tx = writer.begin().expect("a transaction");
        for text in texts {
            tx.execute(&Sql::new(text.leak()), &[]).expect("it can be done");
        }
        tx.commit().expect("it is made");
    });
    done.await.expect("the thread ends");
}

/// On a thread that is not tokio's.
fn print_rows(url: String) -> (String, PathBuf) {
    static TABLES: Sql = Sql::new(
        "SELECT table_name::text FROM information_schema.tables \
         WHERE table_schema = ANY (current_schemas(false)) ORDER BY 1",
    );
    static DIRECTORY: Sql = Sql::new("SELECT current_setting('data_directory')");
    let opened = Store::open(Location::Postgres(url), Options::default());
    let (store, _writer) = opened.expect("PostgreSQL is there");
    let all = store.read(|tx| {
        let mut text = String::new();
        for table in tx.query(&TABLES, &[], |row| row.text(0).map(str::to_owned))? {
            let statement: &'static str = format!("SELECT t::text FROM {table} t").leak();
            for row in tx.query(&Sql::new(statement), &[], |row| row.text(0).map(str::to_owned))? {
                text.push_str(&format!("{table} {row}\n"));
            }
        }
        let directory = tx.query(&DIRECTORY, &[], |row| row.text(0).map(PathBuf::from))?;
        Ok((text, directory.into_iter().next().expect("a setting has a value")))
    });
    all.expect("all tables can be read")
}

/// Runs the binary in a directory; exit code, stdout, stderr.
pub fn run(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let output = Command::new(binary())
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal {name} was sent");
}

impl Drop for Process {
    fn drop(&mut self) {
        for mut child in self.children.drain(..) {
            // The test is over either way.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.deletes_its_topics();
        if std::thread::panicking() {
            eprintln!("--- log of the process ---\n{}", self.log());
        }
    }
}
