//! Flags, environment and file: a flag wins over `SWITCHYARD_*`, that over `switchyard.toml`.
//!
//! The file has one name a flag (`data = "/var/lib/switchyard"`), and a table a command for what
//! only that command is to see (`[up]`). It is found by `--config`, else in the working directory.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Command, CommandFactory, FromArgMatches};

use crate::cli::Cli;

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "switchyard.toml";

/// Parses the command line over environment and file. `Err` is the exit code after help, version
/// or a usage error was printed.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = arguments.collect();
    let command = match file_of(&arguments).map(read).transpose() {
        Ok(Some(table)) => with_file(Cli::command(), &table),
        Ok(None) => Cli::command(),
        Err(text) => {
            eprintln!("error: {text}");
            return Err(ExitCode::from(2));
        }
    };
    let parsed =
        command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

/// The file that the arguments or the environment name, or the default one where it is there.
fn file_of(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(value) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(value));
        }
    }
    if let Some(named) = std::env::var_os("SWITCHYARD_CONFIG") {
        return Some(PathBuf::from(named));
    }
    Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists())
}

fn read(path: PathBuf) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    text.parse::<toml::Table>()
        .map_err(|error| error.to_string())
        .and_then(|table| check(&Cli::command(), &table).map(|()| table))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether each name is that of a flag, of any command or of the table's own, with a value that can
/// be given to one.
fn check(command: &Command, file: &toml::Table) -> Result<(), String> {
    for (name, value) in file {
        match (command.find_subcommand(name), value) {
            (Some(own), toml::Value::Table(table)) => {
                for (inner, value) in table {
                    check_one(own, inner, value).map_err(|error| {
                        format!("[{name}] {error}: see `switchyard {name} --help`")
                    })?;
                }
            }
            _ => check_one(command, name, value)
                .map_err(|error| format!("{error}: see `switchyard help COMMAND`"))?,
        }
    }
    Ok(())
}

fn check_one(command: &Command, name: &str, value: &toml::Value) -> Result<(), String> {
    if !has_flag(command, &name.replace('_', "-")) {
        return Err(format!("`{name}` is the name of no flag"));
    }
    match text_of(value) {
        Some(_) => Ok(()),
        None => Err(format!("`{name}` is of type {}, where one value belongs", value.type_str())),
    }
}

fn has_flag(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(name))
        || command.get_subcommands().any(|sub| has_flag(sub, name))
}

/// The command with the file's values as defaults, so that flags and variables win.
fn with_file(command: Command, file: &toml::Table) -> Command {
    let command = command.mut_args(|argument| with_value(argument, file));
    command.mut_subcommands(|sub| {
        let own = file.get(sub.get_name()).and_then(toml::Value::as_table).cloned();
        sub.mut_args(|argument| {
            let argument = with_value(argument, file);
            match &own {
                Some(own) => with_value(argument, own),
                None => argument,
            }
        })
    })
}

fn with_value(argument: clap::Arg, table: &toml::Table) -> clap::Arg {
    let named = |name: &str| table.get(name).or_else(|| table.get(&name.replace('-', "_")));
    match argument.get_long().and_then(named).and_then(text_of) {
        Some(text) => argument.default_value(text),
        None => argument,
    }
}

/// A value as it would stand on the command line.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use crate::cli::{Cli, Command};

    fn parsed(file: &str, arguments: &[&str]) -> Cli {
        let command = super::with_file(Cli::command(), &file.parse().unwrap());
        Cli::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_a_commands_table_over_the_top() {
        let file = "data = \"/a\"\nsandbox = true\n[up]\nlisten = \"127.0.0.1:9\"\n";
        let Command::Up(up) = parsed(file, &["switchyard", "up", "--data", "/b"]).command else {
            panic!("up was asked for")
        };
        assert_eq!(up.data.to_str(), Some("/b"));
        assert_eq!(up.listen.to_string(), "127.0.0.1:9");
        assert!(up.run.sandbox);
    }

    #[test]
    fn a_name_that_is_no_flag_is_an_error() {
        let check = |file: &str| super::check(&Cli::command(), &file.parse().unwrap());
        check("data = \"/a\"\nkafka_prefix = \"a\"\n[up]\nlisten = \"127.0.0.1:9\"\n").unwrap();
        for (file, error) in [
            ("dat = \"/a\"", "`dat` is the name of no flag: see `switchyard help COMMAND`"),
            ("[up]\nkeep = true", "[up] `keep` is the name of no flag: see `switchyard up --help`"),
            ("[upp]\ndata = \"/a\"", "`upp` is the name of no flag: see `switchyard help COMMAND`"),
            (
                "data = [\"/a\"]",
                "`data` is of type array, where one value belongs: see `switchyard help COMMAND`",
            ),
        ] {
            assert_eq!(check(file).unwrap_err(), error);
        }
    }
}
