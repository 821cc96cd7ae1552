//! `serve`: everything in one process on PostgreSQL.

use store::Location;

use crate::{
    cli::{Role, Serve},
    exit::{Failure, Outcome},
    site::{Options, Site},
};

/// Runs until a signal asks to stop.
pub fn run(arguments: Serve) -> Outcome {
    if !arguments.roles.contains(&Role::All) {
        return Err(Failure::Usage(
            "the counterparties run beside `all`: serve all sandbox".into(),
        ));
    }
    let mut run = arguments.run;
    run.sandbox |= arguments.roles.contains(&Role::Sandbox);
    let site = Site::start(Options {
        location: Location::Postgres(arguments.database),
        data: arguments.data,
        listen: arguments.listen,
        run,
        shards: 1,
    })?;
    super::print(&super::up::welcome(&site.credentials, &site.data));
    site.wait();
    site.stop();
    Ok(())
}
