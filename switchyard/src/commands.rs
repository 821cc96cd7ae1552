//! The commands, one file each.

mod bench;
mod dead_letters;
mod demo;
mod keys;
mod migrate;
mod sandbox;
mod serve;
mod timeline;
mod topology;
mod up;
mod verify;

use crate::{
    cli::Command,
    cli::Target,
    client::Client,
    exit::{Context, Outcome},
    first_start::Credentials,
};

/// Runs a command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::DeadLetters(arguments) => alone()?.block_on(dead_letters::run(&arguments)),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Keys(arguments) => alone()?.block_on(keys::run(&arguments)),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Sandbox(arguments) => alone()?.block_on(sandbox::run(&arguments)),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Timeline(arguments) => alone()?.block_on(timeline::run(&arguments)),
        Command::Topology(arguments) => topology::run(&arguments),
        Command::Up(arguments) => up::run(arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    }
}

/// A runtime on this thread, for a command that asks a running platform.
fn alone() -> Outcome<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.context("the process has no event loop")
}

/// A client of the platform that the arguments name, and its key's own account where it is known.
fn client(target: &Target) -> Outcome<(Client, Option<String>)> {
    if let (Some(url), Some(key)) = (&target.url, &target.key) {
        return Ok((Client::new(url, Some(key))?, None));
    }
    let known = Credentials::read(&target.data)?;
    let url = target.url.as_deref().unwrap_or(&known.base_url);
    let own = known.key();
    let key = target.key.as_deref().unwrap_or(&own);
    let account = target.key.is_none().then(|| known.account_id.to_string());
    Ok((Client::new(url, Some(key))?, account))
}

/// Prints a result on stdout. A reader that went away (`| head`) is no failure.
fn print(text: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
