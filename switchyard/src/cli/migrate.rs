//! The arguments of `migrate`.

use clap::Args;

use super::{Kafka, shards};

/// Arguments of `migrate`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Example:
  switchyard migrate --database postgres://switchyard@localhost/switchyard --shards 64
  switchyard migrate --roles
  switchyard migrate --restored

With --roles there is a role `switchyard_ROLE` for each role of `serve`, which may use its own
service's tables, read all events and add to its own. Let one log in, or make a user of several:
  ALTER ROLE switchyard_ledger LOGIN PASSWORD '...'
  CREATE ROLE rails LOGIN PASSWORD '...' IN ROLE switchyard_ach, switchyard_card, switchyard_rtp")]
pub struct Migrate {
    /// The PostgreSQL database, with sslmode and sslrootcert as libpq takes them
    #[arg(long, env = "SWITCHYARD_DATABASE", value_name = "URL")]
    pub database: String,
    /// S of a new installation, a power of two; fixed once made
    #[arg(long, env = "SWITCHYARD_SHARDS", value_name = "S", value_parser = shards)]
    pub shards: Option<u32>,
    /// Also make a role of the database for each service, with no more rights than it needs
    #[arg(long, env = "SWITCHYARD_ROLES")]
    pub roles: bool,
    /// Say that the database was put back from a copy of its files, while no process runs: events
    /// that a broker holds of a later state are left alone. A dump that was read back, a recovery to
    /// a point in time and a promoted standby are found out without it
    #[arg(long)]
    pub restored: bool,
    #[command(flatten)]
    pub kafka: Kafka,
}
