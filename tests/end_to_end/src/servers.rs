//! A PostgreSQL and a Kafka of a case's own, which it may break.

use std::{path::PathBuf, process::Command};

/// Both servers; they end with it.
pub struct Servers {
    /// The URL of the database.
    pub database: String,
    /// `HOST:PORT` of the broker.
    pub brokers: String,
    variables: Vec<(String, String)>,
}

pub(crate) fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)
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
        let mut servers =
            Self { database: String::new(), brokers: String::new(), variables: Vec::new() };
        for name in ["postgres", "kafka"] {
            let started = Command::new(script(name)).arg("start").output();
            let started = started.expect("the script runs");
            assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
            let text = String::from_utf8_lossy(&started.stdout).into_owned();
            let set = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
            servers.variables.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let value = |name: &str| {
            let found = servers.variables.iter().find(|(found, _)| found == name);
            found.expect("the script says it").1.clone()
        };
        (servers.database, servers.brokers) =
            (value("SWITCHYARD_TEST_POSTGRES"), value("SWITCHYARD_TEST_KAFKA"));
        Some(servers)
    }
    fn run(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(script(name));
        let done = command.args(arguments).envs(self.variables.clone()).output();
        let done = done.expect("the script runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{name} {arguments:?}: {said}");
    }
    /// The database ends at once, as by a power cut, and starts again.
    pub fn crash_database(&self) {
        self.run("postgres", &["crash"]);
    }
    /// kill -9 of the broker.
    pub fn kill_broker(&self) {
        self.run("kafka", &["kill"]);
    }
    /// The broker starts again on what it has on disk.
    pub fn resume_broker(&self) {
        self.run("kafka", &["resume"]);
    }
    /// Deletes a topic, with all that it holds.
    pub fn delete_topic(&self, name: &str) {
        self.run("kafka", &["delete", name]);
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for name in ["postgres", "kafka"] {
            let mut command = Command::new(script(name));
            // What is left is in the temporary folder.
            let _ = command.arg("stop").envs(self.variables.clone()).output();
        }
    }
}
