//! `scripts/cluster`: up, used, status, down.

use std::{
    path::Path,
    process::{Command, Output},
};

use end_to_end::{Api, Servers, binary};

fn cluster(action: &str, folder: &Path) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/cluster");
    Command::new(script)
        .arg(action)
        .arg(folder.join("cluster"))
        .env("SWITCHYARD_BINARY", binary())
        .env("TMPDIR", folder)
        .output()
        .unwrap()
}

/// Stops what runs, whatever became of the case.
struct Down<'f>(&'f Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        cluster("down", self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_starts_thirteen_processes_and_stops_them() {
    if !Servers::can_start() {
        return;
    }
    let _alone = crate::MACHINE.lock().await;
    let folder = tempfile::Builder::new().permissions(world_readable()).tempdir().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let up = cluster("up", folder.path());
    let down = Down(folder.path());
    assert!(up.status.success(), "{}{}", text(&up.stdout), text(&up.stderr));
    let again = cluster("up", folder.path());
    assert_eq!(again.status.code(), Some(3), "it runs already: {}", text(&again.stderr));
    let status = cluster("status", folder.path());
    assert_eq!((status.status.code(), text(&status.stdout).lines().count()), (Some(0), 13));
    let file = std::fs::read(folder.path().join("cluster/data/credentials.json")).unwrap();
    let credentials: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let base = credentials["baseURL"].as_str().unwrap().to_owned();
    let api = Api::new(&base, credentials);
    for kind in ["moov-wallet", "rtp-credit"] {
        let id = api.transfer(api.wallet(), api.method(0, kind), 100).await;
        assert_eq!(api.settled(&id).await["status"], "completed");
    }
    drop(down);
    let status = cluster("status", folder.path());
    assert_eq!(status.status.code(), Some(3), "nothing is left: {}", text(&status.stdout));
}

/// The database's own user must reach its directory in it.
fn world_readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}
