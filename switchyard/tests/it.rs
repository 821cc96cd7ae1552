//! The command line from outside: help, usage, exit codes, the declared topology. What needs a
//! running platform is in `tests/end_to_end`.

use std::process::{Command, Output};

fn switchyard(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchyard"));
    let folder = std::env::temp_dir();
    command.args(arguments).current_dir(folder).env_remove("SWITCHYARD_DATA");
    command.output().expect("the binary was built")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("answers are UTF-8")
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "bench", "demo", "keys", "migrate", "sandbox", "serve", "timeline", "topology", "up",
        "verify",
    ] {
        let output = switchyard(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let text = stdout(&output);
        assert!(text.contains("Example:"), "{command}: {text}");
        assert!(text.contains("SWITCHYARD_"), "{command} has environment variables");
    }
}

#[test]
fn exit_codes() {
    assert_eq!(switchyard(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(switchyard(&["serve", "all"]).status.code(), Some(2), "the database is missing");
    let nowhere = switchyard(&["verify", "--data", "/nonexistent/switchyard"]);
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nonexistent/switchyard"));
    let nobody = switchyard(&["topology", "--observed", "http://127.0.0.1:1", "--key", "a:b"]);
    assert_eq!(nobody.status.code(), Some(3), "nobody listens there");
}

#[test]
fn the_declared_topology_needs_no_credential() {
    let text = stdout(&switchyard(&["topology"]));
    let created = text.lines().find(|line| line.contains("transfer.created")).unwrap();
    assert!(created.starts_with("  transfers"), "{created}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&switchyard(&["topology", "--format", "json"]))).unwrap();
    assert!(json["services"].as_array().unwrap().len() >= 4);
    assert!(json["edges"].as_array().unwrap().iter().all(|edge| edge["declared"] == true));
    let markdown = stdout(&switchyard(&["topology", "--format", "markdown"]));
    assert!(markdown.contains("```mermaid\nflowchart LR\n"));
}

#[test]
fn a_setting_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "data = \"/nonexistent/by-file\"\n").unwrap();
    let file = file.to_str().unwrap();
    let by_file = switchyard(&["verify", "--config", file]);
    assert!(String::from_utf8_lossy(&by_file.stderr).contains("/nonexistent/by-file"));
    let by_flag = switchyard(&["--config", file, "verify", "--data", "/nonexistent/by-flag"]);
    assert!(String::from_utf8_lossy(&by_flag.stderr).contains("/nonexistent/by-flag"));
}

#[test]
fn subcommands_know_where_the_platform_is() {
    let data = ["--data", "/nonexistent/sandbox"];
    for words in [&["sandbox", "advance", "2d"][..], &["sandbox", "faults"], &["keys", "list"]] {
        let output = switchyard(&[words, &data].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("/nonexistent/sandbox/credentials.json"), "{text}");
    }
}
