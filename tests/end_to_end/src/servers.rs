//! A PostgreSQL and a Kafka of a case's own, which it may break.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::network::Host;

/// The servers; they end with it.
pub struct Servers {
    /// The URL of the database.
    pub database: String,
    /// `HOST:PORT` of the brokers.
    pub brokers: String,
    postgres: Server,
    kafka: Vec<Server>,
}

/// One that a script started, with the variables by which the script knows it.
struct Server {
    script: &'static str,
    host: Option<Host>,
    variables: Vec<(String, String)>,
}

pub(crate) fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)
}

impl Server {
    fn new(script: &'static str, host: Option<Host>) -> Self {
        Self { script, host, variables: Vec::new() }
    }
    fn command(&self, arguments: &[&str]) -> Command {
        let script = script(self.script);
        let mut command = match &self.host {
            Some(host) => host.command(script),
            None => Command::new(script),
        };
        command.args(arguments).envs(self.variables.clone());
        command
    }
    /// Starts all at once: brokers that make up one cluster wait for each other.
    fn start(servers: &mut [&mut Self], arguments: &[Vec<&str>]) {
        let begin = |(server, arguments): (&&mut Self, &Vec<&str>)| {
            let mut command = server.command(&[&["start"], &arguments[..]].concat());
            let begun = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            begun.expect("the script runs")
        };
        let begun: Vec<_> = servers.iter().zip(arguments).map(begin).collect();
        for (server, begun) in servers.iter_mut().zip(begun) {
            let started = begun.wait_with_output().expect("the script runs");
            assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
            let text = String::from_utf8_lossy(&started.stdout).into_owned();
            let set = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
            server.variables =
                set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        }
    }
    fn value(&self, name: &str) -> String {
        let found = self.variables.iter().find(|(found, _)| found == name);
        found.expect("the script says it").1.clone()
    }
    fn run(&self, arguments: &[&str]) {
        let done = self.command(arguments).output().expect("the script runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{} {arguments:?}: {said}", self.script);
    }
}

impl Servers {
    /// Whether both are installed here; said loudly where one is not.
    pub fn can_start() -> bool {
        let needed = ["SWITCHYARD_TEST_POSTGRES", "SWITCHYARD_TEST_KAFKA"];
        let missing = needed.into_iter().find(|name| std::env::var_os(name).is_none());
        if let Some(missing) = missing {
            eprintln!("\n!!! SKIPPED with servers of its own: set {missing} !!!\n");
        }
        missing.is_none()
    }
    /// Starts both; `None` (said loudly) where one of them is not installed here.
    pub fn start() -> Option<Self> {
        if !Self::can_start() {
            return None;
        }
        let (mut postgres, mut kafka) = (Server::new("postgres", None), Server::new("kafka", None));
        Server::start(&mut [&mut postgres, &mut kafka], &[vec![], vec![]]);
        Some(Self::of(postgres, vec![kafka]))
    }
    /// Starts a PostgreSQL and brokers that make up one cluster, each on a host of its own.
    pub fn start_on(postgres: &Host, brokers: &[Host]) -> Self {
        let address = |host: &Host| host.address.to_string();
        let (at, all) =
            (address(postgres), brokers.iter().map(address).collect::<Vec<_>>().join(","));
        let numbers: Vec<String> = (1..=brokers.len()).map(|number| number.to_string()).collect();
        let mut postgres = Server::new("postgres", Some(postgres.clone()));
        let on = |host: &Host| Server::new("kafka", Some(host.clone()));
        let mut kafka: Vec<Server> = brokers.iter().map(on).collect();
        Server::start(&mut [&mut postgres], &[vec!["--at", &at]]);
        let arguments: Vec<_> = numbers.iter().map(|number| vec!["--of", &all, number]).collect();
        Server::start(&mut kafka.iter_mut().collect::<Vec<_>>(), &arguments);
        Self::of(postgres, kafka)
    }
    fn of(postgres: Server, kafka: Vec<Server>) -> Self {
        let database = postgres.value("SWITCHYARD_TEST_POSTGRES");
        let brokers: Vec<_> = kafka.iter().map(|one| one.value("SWITCHYARD_TEST_KAFKA")).collect();
        Self { database, brokers: brokers.join(","), postgres, kafka }
    }
    /// The database ends at once, as by a power cut, and starts again.
    pub fn crash_database(&self) {
        self.postgres.run(&["crash"]);
    }
    /// kill -9 of a broker.
    pub fn kill_broker(&self, number: usize) {
        self.kafka[number].run(&["kill"]);
    }
    /// A broker that was killed loses all that it had on disk.
    pub fn wipe_broker(&self, number: usize) {
        self.kafka[number].run(&["wipe"]);
    }
    /// A broker starts again on what it has on disk.
    pub fn resume_broker(&self, number: usize) {
        self.kafka[number].run(&["resume"]);
    }
    /// Deletes a topic, with all that it holds.
    pub fn delete_topic(&self, name: &str) {
        self.kafka[0].run(&["delete", name]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is left is in the temporary folder.
        let _ = self.command(&["stop"]).output();
    }
}
