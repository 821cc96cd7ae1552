//! Backups of a platform's database, as its operators make them: by PostgreSQL's own programs.

use std::{path::PathBuf, process::Command};

use crate::{Process, process::schema_of, servers::script};

/// The server's programs, which are those of its version.
fn program(name: &str) -> Command {
    let found = Command::new(script("postgres")).arg("find").output().expect("the script runs");
    assert!(found.status.success(), "PostgreSQL is installed");
    let folder = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    Command::new(PathBuf::from(folder).join(name))
}

fn run(command: &mut Command) -> Vec<u8> {
    let done = command.output().expect("the program runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A dump of all schemas of one installation.
pub struct Backup {
    url: String,
    schema: String,
    dump: Vec<u8>,
}

impl Backup {
    /// Of what is committed now; processes may run.
    pub fn of(process: &Process) -> Self {
        let database = process.database().expect("it runs on PostgreSQL");
        let (url, _) = database.rsplit_once(['?', '&']).expect("it names its schema");
        let schema = schema_of(database).to_owned();
        let mut dump = program("pg_dump");
        dump.args(["--schema", &schema, "--schema", &format!("{schema}_*"), url]);
        Self { url: url.to_owned(), schema, dump: run(&mut dump) }
    }
    /// Puts it back in place of what is there; no process may run.
    pub fn put_back(&self) {
        let schema = &self.schema;
        let drop = format!(
            "DO $$ DECLARE one text; BEGIN FOR one IN SELECT nspname FROM pg_namespace \
             WHERE nspname = '{schema}' OR nspname LIKE '{schema}\\_%' \
             LOOP EXECUTE format('DROP SCHEMA %I CASCADE', one); END LOOP; END $$"
        );
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), &self.dump).expect("it can be written");
        let mut back = program("psql");
        back.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", &drop, "-f"]);
        run(back.arg(file.path()));
    }
}
