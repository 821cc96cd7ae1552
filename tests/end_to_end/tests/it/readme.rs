//! The first transfer of the README, as a newcomer types it.

use std::process::Command;

use end_to_end::binary;

/// The shell lines below a heading.
fn lines_below(page: &str, heading: &str) -> String {
    let (_, part) = page.split_once(heading).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let blocks = part.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_first_transfer_works_as_printed() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let page = std::fs::read_to_string(readme).unwrap();
    let script = lines_below(&page, "\n## A first transfer\n");
    assert!(script.contains("curl ") && script.contains(" timeline "), "{script}");
    let script = script
        .replace("cargo build --release\n", "")
        .replace("target/release/switchyard", binary().to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ended = Command::new("bash")
        .args(["-e", "-c", &format!("trap 'kill %1 && wait' EXIT\n{script}")])
        .current_dir(&folder)
        // The usual port may be taken.
        .env("SWITCHYARD_LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    for expected in ["\"status\":\"completed\"", "sequenceDiagram", "rtp->>rtp_participant"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let checked = said.lines().filter(|line| line.starts_with('V')).collect::<Vec<_>>();
    assert!(checked.len() >= 13 && checked.iter().all(|line| line.contains(" ok")), "{said}");
}
