//! `serve`: chosen services in a process on PostgreSQL, as many processes as there are to be.

use std::path::Path;

use runtime::PeerKey;
use store::Location;

use crate::{
    cli::{Role, Serve},
    compose,
    exit::{Context, Failure, Outcome},
    site::{Options, Part, Site},
};

/// Runs until a signal asks to stop.
pub fn run(arguments: Serve) -> Outcome {
    let all = arguments.roles.contains(&Role::All);
    let counterparties = arguments.roles.contains(&Role::Sandbox);
    let mut run = arguments.run;
    let key = arguments.peer_key.as_deref().map(key_of).transpose()?;
    if !all && key.is_none() {
        return Err(Failure::Usage(
            "services in several processes need a key to show each other: --peer-key FILE".into(),
        ));
    }
    let named = arguments.roles.iter().filter_map(clap::ValueEnum::to_possible_value);
    let named: Vec<String> = named.map(|value| value.get_name().to_owned()).collect();
    let part = Part {
        only: (!all).then(|| arguments.roles.iter().filter_map(|role| role.service()).collect()),
        counterparties: counterparties || (all && run.sandbox),
        peers: arguments.peers,
        key,
        base_url: arguments.base_url,
        broker: compose::broker(&arguments.kafka)?,
    };
    run.sandbox |= counterparties;
    let roles = named.join(" ");
    let site = Site::start(Options {
        location: Location::Postgres(arguments.database),
        data: arguments.data,
        listen: arguments.listen,
        run,
        shards: 1,
        part,
    })?;
    match &site.credentials {
        Some(credentials) => super::print(&super::up::welcome(credentials, &site.data)),
        None => super::print(&format!("switchyard {roles} is ready at {}\n", site.url)),
    }
    let ended = site.wait();
    site.stop();
    ended
}

fn key_of(file: &Path) -> Outcome<PeerKey> {
    let text = std::fs::read_to_string(file).context(file.display())?;
    PeerKey::new(text.trim()).ok_or_else(|| {
        Failure::CouldNotRun(format!(
            "{} holds no key: 16 visible characters or more, without spaces",
            file.display()
        ))
    })
}
