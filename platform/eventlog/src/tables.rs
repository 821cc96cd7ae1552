//! The log's tables: one per topic, and the consumers' positions.

use store::{Grant, Migration, Sql};

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A statement with a topic's table in it. It lives as long as the process: a few per topic.
pub(crate) fn declared(text: String) -> &'static Sql {
    Box::leak(Box::new(Sql::new(leak(text))))
}

/// The table of a topic.
pub(crate) fn table(topic: &str) -> &'static str {
    leak(format!("event_{}", topic.replace('-', "_")))
}

/// Migrations for these topics. Called once at start: the texts live as long as the process.
///
/// SQLite: appended by offset, shard and number are plain columns, so that 64 shards cost what one
/// costs. PostgreSQL: keyed by (shard, number), so that each shard is a range of its own.
pub fn migrations(topics: &[&'static str]) -> Vec<Migration> {
    let mut all = common();
    for topic in topics {
        let table = table(topic);
        all.push(Migration {
            owner: leak(format!("eventlog_{}", topic.replace('-', "_"))),
            version: 1,
            name: "events",
            sqlite: leak(format!(
                "CREATE TABLE {table} (place INTEGER PRIMARY KEY, shard INTEGER NOT NULL,
                 sequence INTEGER NOT NULL, key INTEGER NOT NULL, kind INTEGER NOT NULL,
                 at INTEGER NOT NULL, trace BLOB, payload BLOB NOT NULL);"
            )),
            postgres: leak(format!(
                "CREATE TABLE {table} (shard BIGINT NOT NULL, sequence BIGINT NOT NULL,
                 place BIGINT NOT NULL, key BIGINT NOT NULL, kind BIGINT NOT NULL,
                 at BIGINT NOT NULL, trace BYTEA, payload BYTEA NOT NULL,
                 PRIMARY KEY (shard, sequence));"
            )),
        });
    }
    all
}

/// What all topics share.
fn common() -> Vec<Migration> {
    vec![Migration {
        owner: "eventlog",
        version: 1,
        name: "positions",
        sqlite: "CREATE TABLE position (
            consumer TEXT NOT NULL, topic TEXT NOT NULL, last INTEGER NOT NULL, total INTEGER NOT NULL,
            sequences BLOB NOT NULL, PRIMARY KEY (consumer, topic)) WITHOUT ROWID;
          CREATE TABLE installation (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;",
        postgres: "CREATE TABLE position (
            consumer TEXT NOT NULL, topic TEXT NOT NULL, last BIGINT NOT NULL, total BIGINT NOT NULL,
            sequences BYTEA NOT NULL, PRIMARY KEY (consumer, topic));
          CREATE TABLE installation (name TEXT PRIMARY KEY, value BIGINT NOT NULL);",
    }, Migration {
        owner: "eventlog",
        version: 2,
        name: "several_processes",
        sqlite: "-- A data directory has one process.
          SELECT 1;",
        postgres: "CREATE TABLE head (topic TEXT PRIMARY KEY, sequences BYTEA NOT NULL,
            writer BIGINT NOT NULL) WITH (fillfactor = 20);
          CREATE TABLE shard_position (consumer TEXT NOT NULL, topic TEXT NOT NULL,
            shard BIGINT NOT NULL, last BIGINT NOT NULL,
            PRIMARY KEY (consumer, topic, shard)) WITH (fillfactor = 20);
          INSERT INTO shard_position SELECT consumer, topic, shard,
            ('x' || encode(substr(sequences, (shard * 8 + 1)::int, 8), 'hex'))::bit(64)::bigint
            FROM position, generate_series(0, length(sequences) / 8 - 1) AS shard;
          DROP TABLE position;
          CREATE TABLE member (service TEXT NOT NULL, process BIGINT NOT NULL,
            until TIMESTAMPTZ NOT NULL, PRIMARY KEY (service, process));
          CREATE SEQUENCE process_number;",
    }, Migration {
        owner: "eventlog",
        version: 3,
        name: "broker",
        sqlite: "-- In one process the outbox is the log.
          SELECT 1;",
        postgres: "ALTER TABLE shard_position ADD COLUMN next BIGINT NOT NULL DEFAULT 0;
          CREATE TABLE relay (topic TEXT PRIMARY KEY, sequences BYTEA NOT NULL,
            epoch BIGINT NOT NULL, holder BIGINT NOT NULL, until TIMESTAMPTZ NOT NULL)
            WITH (fillfactor = 20);
          CREATE TABLE replay (consumer TEXT NOT NULL, topic TEXT NOT NULL, shard BIGINT NOT NULL,
            sequence BIGINT NOT NULL, PRIMARY KEY (consumer, topic, shard));",
    }, Migration {
        owner: "eventlog",
        version: 4,
        name: "lives",
        sqlite: "-- In one process no broker outlives the log.
          SELECT 1;",
        postgres: "CREATE TABLE life (topic TEXT NOT NULL, epoch BIGINT NOT NULL,
            server TEXT NOT NULL, sequences BYTEA NOT NULL, PRIMARY KEY (topic, epoch));",
    }]
}

/// What a service may do with the log's tables on PostgreSQL: it reads all events and adds to its
/// own topic; of the others each service writes rows of its own.
pub fn rights(topics: &[&'static str], service: &str) -> Vec<Grant> {
    let mut grants: Vec<Grant> = ["head", "shard_position", "member", "relay", "replay"]
        .map(|table| Grant::Table(table.to_owned(), "SELECT, INSERT, UPDATE, DELETE"))
        .into();
    grants.push(Grant::Table("installation".to_owned(), "SELECT, INSERT, UPDATE"));
    grants.push(Grant::Table("life".to_owned(), "SELECT, INSERT"));
    grants.push(Grant::Table("process_number".to_owned(), "USAGE"));
    for topic in topics {
        let rights = if *topic == service { "SELECT, INSERT" } else { "SELECT" };
        grants.push(Grant::Table(table(topic).to_owned(), rights));
    }
    grants
}
