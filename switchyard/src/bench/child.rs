//! The platform that is measured: this same binary as a child process, or a cluster that runs.

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

/// A process of the platform: what it runs, its id and where it listens.
pub struct Part {
    pub name: String,
    pub id: u32,
    pub url: String,
}

/// A running child, killed when dropped, or a cluster, which is left alone.
pub struct Platform {
    child: Option<Child>,
    pub parts: Vec<Part>,
    /// The database of a cluster.
    pub database: Option<String>,
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
        let (name, url) = ("all".to_owned(), credentials.base_url.clone());
        let parts = vec![Part { name, id: child.id(), url }];
        Ok(Self { child: Some(child), parts, database: None, data, credentials })
    }
    /// The cluster that `scripts/cluster up DIR` started.
    pub fn of_cluster(folder: &Path) -> Outcome<Self> {
        let data = folder.join("data");
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path).context(path.display())?;
            Ok::<_, Failure>(text.trim().to_owned())
        };
        let mut parts = Vec::new();
        let pids = folder.join("pid");
        for entry in std::fs::read_dir(&pids).context(pids.display())? {
            let name = entry.context(pids.display())?.file_name().to_string_lossy().into_owned();
            let id = read(&pids.join(&name))?.parse().context("a process's id")?;
            let url = format!("http://{}", read(&folder.join("address").join(&name))?);
            parts.push(Part { name, id, url });
        }
        parts.sort_by(|one, other| one.name.cmp(&other.name));
        let credentials = Credentials::read(&data)?;
        let database = Some(read(&folder.join("database"))?);
        Ok(Self { child: None, parts, database, data, credentials })
    }
    /// The metrics of all its processes, one text after the other.
    pub async fn metrics(&self) -> Outcome<String> {
        let mut all = String::new();
        for part in &self.parts {
            let mut client = Client::new(&part.url, Some(&self.credentials.key()))?;
            all += &String::from_utf8_lossy(&client.get("/metrics").await?.body);
        }
        Ok(all)
    }
    /// A client with the operator's key.
    pub fn client(&self) -> Outcome<Client> {
        Client::new(&self.credentials.base_url, Some(&self.credentials.key()))
    }
    /// Stops it in order, and waits for that.
    pub async fn stop(mut self) -> Outcome {
        let Some(child) = &mut self.child else { return Ok(()) };
        let process = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).context("SIGTERM")?;
        for _ in 0..STOP_SECONDS_MOST * 100 {
            if child.try_wait().context("the platform's end")?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(Failure::could_not("the platform did not stop in 30 s and was killed"))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
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
