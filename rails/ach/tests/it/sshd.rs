//! OpenSSH's server, started by whoever runs the tests, in a folder of its own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::world::key;

pub struct Sshd {
    child: Child,
    pub address: SocketAddr,
    pub host_key: String,
    pub user: String,
    pub root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // A server's folder is not always in a user's path.
    let beside = folders.iter().filter_map(|folder| Some(folder.parent()?.join("sbin")));
    folders.extend(beside.collect::<Vec<_>>());
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn spawn(server: &Path, folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(server);
    command.args(["-D", "-e", "-f"]).arg(folder.join("config"));
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

impl Sshd {
    /// `None`, with the reason said, where there is no server to start.
    pub fn start() -> Option<Self> {
        let Some(server) = program("sshd") else {
            println!("SKIPPED: ach: no sshd to bring files to (openssh-server)");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["outbound", "ack", "returned"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(at("host")));
        let shown = run(Command::new("ssh-keygen").arg("-lf").arg(at("host")));
        let host_key = shown.split(' ').nth(1).unwrap().to_owned();
        std::fs::write(at("authorized"), key().public()).unwrap();
        let user = run(Command::new("id").arg("-un")).trim().to_owned();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n\
             PasswordAuthentication no\nMaxStartups 100\nSubsystem sftp internal-sftp\n",
            at("host").display(),
            at("authorized").display()
        );
        std::fs::write(at("config"), config).unwrap();
        let child = spawn(&server, dir.path());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let root = dir.path().to_owned();
        let mut started = Self { child, address, host_key, user, root, _dir: dir };
        if started.answers() {
            return Some(started);
        }
        // Of an administrator it wants a folder, which it names and does not make.
        let folder = started.log();
        let folder = folder.trim().rsplit_once("separation directory: ").map(|(_, path)| path);
        if folder.is_some_and(|folder| std::fs::create_dir_all(folder).is_ok()) {
            started.child = spawn(&server, &started.root);
            if started.answers() {
                return Some(started);
            }
        }
        println!("SKIPPED: ach: sshd does not start here: {}", started.log().trim());
        None
    }
    fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }
    fn answers(&mut self) -> bool {
        let began = tokio::time::Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().unwrap().is_some();
            if ended || began.elapsed() > Duration::from_secs(5) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
    pub fn path(&self, name: &str) -> String {
        Path::new(&self.root).join(name).display().to_string()
    }
}
