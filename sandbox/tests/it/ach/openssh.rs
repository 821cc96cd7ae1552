//! OpenSSH's own client against the bank, where it is installed.

use std::io::Write;
use std::process::{Command, Stdio};

use russh::keys::ssh_key::LineEnding;

use super::files::credits;
use super::{World, key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssh_uploads_lists_and_fetches() {
    if Command::new("sftp").arg("-V").output().is_err() {
        eprintln!("SKIPPED: sandbox: no sftp to try the bank with (openssh-client)");
        return;
    }
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    key().write_openssh_file(at("key"), LineEnding::LF).unwrap();
    let file = credits('A', &[5; 3000]).write().unwrap();
    std::fs::write(at("local.ach"), &file).unwrap();
    // The host key is shown by ssh-keyscan's format, from the bank's own file.
    let host = std::fs::read_to_string(world.dir.path().join("sandbox/ach-host-key")).unwrap();
    let host = russh::keys::PrivateKey::from_openssh(host).unwrap().public_key().to_openssh();
    let address = world.address();
    let known = format!("[{}]:{} {}\n", address.ip(), address.port(), host.unwrap());
    std::fs::write(at("known"), known).unwrap();
    let run = |commands: String| {
        let mut child = Command::new("sftp")
            .args(["-b", "-", "-f", "-P", &address.port().to_string()])
            .arg("-i")
            .arg(at("key"))
            .args(["-F", "none", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", at("known").display()))
            .arg(format!("switchyard@{}", address.ip()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), told)
    };
    let put = format!(
        "put {} /outbound/one.part\nrename /outbound/one.part /outbound/one.ach\nls -l /outbound\n",
        at("local.ach").display()
    );
    let (success, listed, told) = tokio::task::block_in_place(|| run(put));
    assert!(success, "{told}");
    assert!(listed.contains("one.ach") && listed.contains(&file.len().to_string()), "{listed}");
    assert_eq!(world.client().await.acknowledgement("one").await["entryCount"], 3000);
    let get = format!(
        "get /outbound/one.ach {}\nrm /ack/one.ack\n-mkdir /outbound/x\nls /ack\n",
        at("back.ach").display()
    );
    let (success, listed, told) = tokio::task::block_in_place(|| run(get));
    assert!(success, "{told}");
    let echoed = |line: &&str| line.starts_with("sftp>");
    assert!(!listed.lines().any(|line| !echoed(&line) && line.contains("one.ack")), "{listed}");
    assert!(told.contains("remote mkdir") || told.contains("Couldn't create"), "{told}");
    assert_eq!(std::fs::read(at("back.ach")).unwrap(), file);
    println!("openssh: {} bytes there and back", file.len());
}
