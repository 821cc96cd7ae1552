//! The lives of a stream (rule 7). A database that is put back from a backup, or a standby that was
//! promoted, counts on from what it has; a broker may still hold what was emitted after that before.
//! Those events have the numbers of others now. So each life of the database has an epoch, which
//! goes with every event: a number belongs to the last life that began before it.

use store::{Sql, Tx, Value};

use crate::{Cursor, Error};

/// One more life of the topics whose last one was on another server; the first one of all topics
/// that have none. A server that does not tell which one it is begins no other life.
static BEGIN: Sql = Sql::new(
    "INSERT INTO life (topic, epoch, server, sequences) \
     SELECT head.topic, coalesce(last.epoch, 0) + 1, $1, \
     CASE WHEN last.epoch IS NULL THEN ''::bytea ELSE head.sequences END \
     FROM head LEFT JOIN LATERAL (SELECT epoch, server FROM life WHERE life.topic = head.topic \
     ORDER BY epoch DESC LIMIT 1) AS last ON true \
     WHERE last.epoch IS NULL OR $2 <> 0 OR \
     ($1 <> '' AND last.server <> '' AND last.server <> $1) ON CONFLICT DO NOTHING",
);
static OF: Sql = Sql::new("SELECT epoch, sequences FROM life WHERE topic = $1 ORDER BY epoch");
/// The tables are others too where a dump was read back.
static TABLES: Sql = Sql::new("SELECT 'head'::regclass::oid::bigint");

/// The lives of one topic, the oldest first, each with the last numbers before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lives(Vec<(i64, Cursor)>);

impl Lives {
    /// One life, in which everything was emitted.
    pub fn first(shards: u32) -> Self {
        Self(vec![(1, Cursor::start(shards))])
    }
    /// The lives of a topic (PostgreSQL).
    pub(crate) fn of(tx: &mut Tx<'_>, topic: &str, shards: u32) -> Result<Self, Error> {
        let lives = tx.query(&OF, &[Value::Text(topic)], |row| {
            Ok((row.int(0)?, Cursor::from_row(0, row.blob(1)?, shards)))
        })?;
        Ok(if lives.is_empty() { Self::first(shards) } else { Self(lives) })
    }
    /// In which life a number of a shard is given: its epoch.
    pub fn epoch(&self, shard: u32, sequence: i64) -> i64 {
        let began = |since: &Cursor| since.sequences.get(shard as usize).copied().unwrap_or(0);
        let lives = self.0.iter().rev();
        let mut of = lives.filter(|(_, since)| began(since) < sequence);
        of.next().map_or(1, |(epoch, _)| *epoch)
    }
}

/// Begins the next life of all streams where the database is not the one that it was (PostgreSQL), or
/// where `restored` says so; of how many topics.
pub(crate) fn begin(tx: &mut Tx<'_>, restored: bool) -> Result<u64, Error> {
    let tables = tx.query_one(&TABLES, &[], |row| row.int(0))?.unwrap_or(0);
    let server = match tx.server() {
        "" => String::new(),
        server => format!("{server}/{tables}"),
    };
    let begun = tx.execute(&BEGIN, &[Value::Text(&server), Value::from(restored)])?;
    Ok(begun)
}

/// Begins a life of all streams, also where nothing shows that one begins: the database was put
/// back from a copy of its files.
pub fn restored(tx: &mut Tx<'_>) -> Result<u64, Error> {
    begin(tx, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_the_last_life_that_began_before_it() {
        let since =
            |sequences: [i64; 2]| Cursor { sequences: sequences.to_vec(), ..Cursor::start(2) };
        // The third life began with a backup from before the second.
        let lives = Lives(vec![(1, since([0, 0])), (2, since([10, 4])), (3, since([7, 4]))]);
        let table = [(0, 1, 1), (0, 7, 1), (0, 8, 3), (0, 11, 3), (1, 4, 1), (1, 5, 3)];
        for (shard, sequence, epoch) in table {
            assert_eq!(lives.epoch(shard, sequence), epoch, "{shard}/{sequence}");
        }
        assert_eq!(Lives::first(4).epoch(3, 9), 1);
    }
}
