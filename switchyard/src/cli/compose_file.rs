//! What `compose.yaml` says to each container is what this binary takes, and reaches every role.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Parser, ValueEnum};
use serde::Deserialize;

use super::{Cli, Command, Role};

#[derive(Deserialize)]
struct File {
    services: BTreeMap<String, Container>,
}

#[derive(Deserialize)]
struct Container {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, serde_norway::Value>,
}

/// The command line that a container's command and environment amount to.
fn command(container: &Container) -> Command {
    let mut words = vec!["switchyard".to_owned()];
    words.extend(container.command.iter().cloned());
    let serves = container.command.first().is_some_and(|word| word == "serve");
    for (name, value) in &container.environment {
        let name = name.strip_prefix("SWITCHYARD_").expect("a setting of this binary");
        let value = value.as_str().expect("a text");
        let flag = format!("--{}", name.to_lowercase().replace('_', "-"));
        let of_all = ["--database", "--kafka", "--dev"].contains(&flag.as_str());
        match value {
            _ if !serves && !of_all => {}
            "true" => words.push(flag),
            _ => words.extend([flag, value.to_owned()]),
        }
    }
    let parsed = Cli::try_parse_from(&words);
    parsed.unwrap_or_else(|error| panic!("{words:?}: {error}")).command
}

#[test]
fn every_role_is_started_and_reached() {
    let text = std::fs::read_to_string("../compose.yaml").expect("the file is there");
    let mut value: serde_norway::Value = serde_norway::from_str(&text).expect("it is YAML");
    value.apply_merge().expect("its merges fit");
    let file: File = serde_norway::from_value(value).expect("it has services");
    let own =
        file.services.values().filter(|one| one.image == "switchyard" && !one.command.is_empty());
    let (mut started, mut told) = (BTreeSet::new(), BTreeSet::new());
    let mut migrated = false;
    for container in own {
        match command(container) {
            Command::Migrate(_) => migrated = true,
            Command::Serve(serve) => {
                let [role] = serve.roles[..] else { panic!("one role in each container") };
                let role = role.to_possible_value().expect("a role has a name");
                started.insert((role.get_name().to_owned(), serve.listen.port()));
                told.insert(serve.peers);
            }
            _ => panic!("{:?}: neither migrate nor serve", container.command),
        }
    }
    assert!(migrated, "the schema is made first");
    let roles: BTreeSet<&str> = started.iter().map(|(role, _)| role.as_str()).collect();
    for role in Role::value_variants().iter().filter(|role| **role != Role::All) {
        let role = role.to_possible_value().expect("a role has a name");
        assert!(roles.contains(role.get_name()), "{} is not started", role.get_name());
    }
    assert_eq!(told.len(), 1, "all are told the same");
    let told: BTreeSet<(String, u16)> = told
        .into_iter()
        .flatten()
        .map(|(role, url)| {
            let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
            (role, port.expect("a port"))
        })
        .collect();
    started.retain(|(role, _)| role != "gateway");
    assert_eq!(told, started, "each process is where the others look for it");
}
