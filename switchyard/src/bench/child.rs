//! The fresh platform that is measured: this same binary as a child process.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    client::Client,
    exit::{Context, Failure, Outcome},
    first_start::Credentials,
};

/// How long a start may take.
const START_SECONDS_MOST: u64 = 60;
/// How long a stop may take before it is forced.
const STOP_SECONDS_MOST: u64 = 30;

/// A running child; killed when dropped.
pub struct Platform {
    child: Child,
    pub data: PathBuf,
    pub credentials: Credentials,
}

impl Platform {
    /// Starts `up --sandbox` in `data`, or `serve all` on a database, and waits until it is ready.
    pub async fn start(data: PathBuf, database: Option<&str>) -> Outcome<Self> {
        let binary = std::env::current_exe().context("this program's own file")?;
        let mut command = Command::new(&binary);
        // Its environment is its own: variables meant for this command are not for the child.
        let own = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("SWITCHYARD_")));
        for (name, _) in own {
            command.env_remove(name);
        }
        if let Some(url) = database {
            let mut migrate = Command::new(&binary);
            let migrated =
                migrate.args(["migrate", "--database", url]).stdout(Stdio::null()).status();
            if !migrated.context("migrate")?.success() {
                return Err(Failure::could_not("the database could not be migrated"));
            }
            command.args(["serve", "all", "--database", url]);
        } else {
            command.arg("up");
        }
        command.args(["--sandbox", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]);
        command.arg(&data).stdout(Stdio::null()).stderr(Stdio::inherit()).stdin(Stdio::null());
        let child = command.spawn().context(binary.display())?;
        let mut started = Started(Some(child));
        let limit = Duration::from_secs(START_SECONDS_MOST);
        let credentials = tokio::time::timeout(limit, started.ready(&data))
            .await
            .map_err(|_| Failure::could_not("the platform was not ready in a minute"))??;
        let child = started.0.take().expect("it was just started");
        Ok(Self { child, data, credentials })
    }
    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
    /// A client with the operator's key.
    pub fn client(&self) -> Outcome<Client> {
        Client::new(&self.credentials.base_url, Some(&self.credentials.key()))
    }
    /// Stops it in order, and waits for that.
    pub async fn stop(mut self) -> Outcome {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).context("SIGTERM")?;
        for _ in 0..STOP_SECONDS_MOST * 100 {
            if self.child.try_wait().context("the platform's end")?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(Failure::could_not("the platform did not stop in 30 s and was killed"))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child that is killed unless it became ready.
struct Started(Option<Child>);

impl Started {
    async fn ready(&mut self, data: &Path) -> Outcome<Credentials> {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let child = self.0.as_mut().expect("taken only once ready");
            if let Some(status) = child.try_wait().context("the platform's end")? {
                return Err(Failure::CouldNotRun(format!("the platform ended: {status}")));
            }
            let Ok(credentials) = Credentials::read(data) else { continue };
            let mut client = Client::new(&credentials.base_url, None)?;
            if client.get("/health/ready").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(credentials);
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
