//! Consumers' positions: read and moved by compare-and-set, in the transaction of the effects.
//!
//! The embedded engine keeps one row a consumer and topic, for one process writes it. PostgreSQL
//! keeps one a shard, so that several processes of a consumer move those of their own shards.

use store::{Engine, Kind, Select, Sql, Tx, Update, Value};

use crate::{
    Cursor, Error, Log,
    rules::{self, Rule},
};

static CAS: Sql = Sql::new(
    "UPDATE position SET last = $1, total = $2, sequences = $3 \
     WHERE consumer = $4 AND topic = $5 AND last = $6 AND total = $7",
);
static NEW_POSITION: Sql = Sql::new(
    "INSERT INTO position (consumer, topic, last, total, sequences) VALUES ($1, $2, 0, 0, $3) \
     ON CONFLICT (consumer, topic) DO NOTHING",
);
static POSITION: Sql =
    Sql::new("SELECT last, sequences FROM position WHERE consumer = $1 AND topic = $2");
static POSITIONS: Sql = Sql::new("SELECT consumer, topic, last, sequences FROM position");

static NEW_OF_SHARDS: Sql = Sql::new(
    "INSERT INTO shard_position (consumer, topic, shard, last) \
     SELECT $1, $2, shard, 0 FROM generate_series(0, $3::bigint - 1) AS shard \
     ON CONFLICT (consumer, topic, shard) DO NOTHING",
);
static OF_SHARDS: Select<2> = Select::new(
    "shard_position",
    &["shard", "last", "next"],
    [("consumer", Kind::Text), ("topic", Kind::Text)],
);
static ALL_OF_SHARDS: Sql =
    Sql::new("SELECT consumer, topic, shard, last FROM shard_position ORDER BY consumer, topic");
static CAS_OF_SHARD: Update<4, 2> = Update::new(
    "shard_position",
    [("consumer", Kind::Text), ("topic", Kind::Text), ("shard", Kind::Int), ("last", Kind::Int)],
    [("last", Kind::Int), ("next", Kind::Int)],
);

impl Log {
    /// A consumer's position, made where it is new.
    pub fn position(&self, tx: &mut Tx<'_>, group: &str, topic: &str) -> Result<Cursor, Error> {
        let mut cursor = Cursor::start(self.shards());
        let key = [Value::Text(group), Value::Text(topic)];
        if tx.engine() == Engine::Sqlite {
            let start = cursor.to_bytes();
            let new = [Value::Text(group), Value::Text(topic), Value::Blob(&start)];
            tx.execute(&NEW_POSITION, &new)?;
            let found = tx.query_one(&POSITION, &key, |row| {
                Ok(Cursor::from_row(row.int(0)?, row.blob(1)?, self.shards()))
            })?;
            return Ok(found.unwrap_or(cursor));
        }
        let mut found = of_shards(tx, &key)?;
        if found.len() < cursor.sequences.len() {
            let shards = Value::Int(i64::from(self.shards()));
            tx.execute(&NEW_OF_SHARDS, &[key[0], key[1], shards])?;
            found = of_shards(tx, &key)?;
        }
        if found.iter().any(|(_, _, next)| *next > 0) {
            cursor.next = vec![0; cursor.sequences.len()];
        }
        for (shard, last, next) in found {
            place(&mut cursor.sequences, shard, last);
            place(&mut cursor.next, shard, next);
        }
        Ok(cursor)
    }
    /// Moves positions, each only from where the consumer believes it is.
    pub fn cas_positions(
        &self,
        tx: &mut Tx<'_>,
        moves: &[(&str, &str, &Cursor, &Cursor)],
    ) -> Result<(), Error> {
        for (group, topic, old, new) in moves {
            let fenced = if tx.engine() == Engine::Sqlite {
                let sequences = new.to_bytes();
                let values = [
                    Value::Int(new.offset),
                    Value::Int(new.total()),
                    Value::Blob(&sequences),
                    Value::Text(group),
                    Value::Text(topic),
                    Value::Int(old.offset),
                    Value::Int(old.total()),
                ];
                tx.execute(&CAS, &values)? != 1
            } else {
                let pairs = (0u32..).zip(old.sequences.iter().zip(&new.sequences));
                let next = |shard: u32| new.next.get(shard as usize).copied().unwrap_or(0);
                let moved: Vec<(u32, i64, i64)> = pairs
                    .filter(|(_, (old, new))| old != new)
                    .map(|(shard, (old, new))| (shard, *old, *new))
                    .collect();
                let hit = tx.update_many(&CAS_OF_SHARD, &moved, |(shard, old, new)| {
                    let key = [
                        Value::Text(group),
                        Value::Text(topic),
                        Value::from(*shard),
                        Value::Int(*old),
                    ];
                    (key, [Value::Int(*new), Value::Int(next(*shard))])
                })?;
                hit != moved.len() as u64
            };
            if fenced && rules::hold(Rule::CompareAndSet) {
                let (group, topic) = ((*group).to_owned(), (*topic).to_owned());
                return Err(Error::Fenced { group, topic });
            }
        }
        Ok(())
    }
}

fn of_shards(tx: &mut Tx<'_>, key: &[Value<'_>; 2]) -> Result<Vec<(i64, i64, i64)>, store::Error> {
    tx.select_many(&OF_SHARDS, [()], |()| *key, |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)))
}

fn place(all: &mut [i64], shard: i64, value: i64) {
    if let Some(at) = usize::try_from(shard).ok().and_then(|shard| all.get_mut(shard)) {
        *at = value;
    }
}

/// Every consumer's position in each topic.
pub(crate) fn all(tx: &mut Tx<'_>, shards: u32) -> store::Result<Vec<(String, String, Cursor)>> {
    if tx.engine() == Engine::Sqlite {
        return tx.query(&POSITIONS, &[], |row| {
            let cursor = Cursor::from_row(row.int(2)?, row.blob(3)?, shards);
            Ok((row.text(0)?.to_string(), row.text(1)?.to_string(), cursor))
        });
    }
    let rows = tx.query(&ALL_OF_SHARDS, &[], |row| {
        Ok((row.text(0)?.to_string(), row.text(1)?.to_string(), row.int(2)?, row.int(3)?))
    })?;
    let mut all: Vec<(String, String, Cursor)> = Vec::new();
    for (consumer, topic, shard, last) in rows {
        match all.last_mut() {
            Some(of) if of.0 == consumer && of.1 == topic => {
                place(&mut of.2.sequences, shard, last)
            }
            _ => {
                let mut cursor = Cursor::start(shards);
                place(&mut cursor.sequences, shard, last);
                all.push((consumer, topic, cursor));
            }
        }
    }
    Ok(all)
}
