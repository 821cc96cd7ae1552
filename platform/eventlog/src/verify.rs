//! V9: every stream is numbered without a gap, and no consumer is ahead of it or stuck behind it.

use std::collections::BTreeMap;

use store::{Engine, Result, Sql, Tx, Value};

use crate::{positions, tables};

static SHARDS: Sql = Sql::new("SELECT value FROM installation WHERE name = $1");
static TABLE_SQLITE: Sql =
    Sql::new("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1");

/// Checks the streams of these topics and all consumers' positions: how many events were counted,
/// and what is wrong.
pub fn verify(tx: &mut Tx<'_>, topics: &[&'static str]) -> Result<(u64, Vec<String>)> {
    let shards = tx.query_one(&SHARDS, &[Value::Text("shards")], |row| row.int(0))?;
    let Some(shards) = shards.and_then(|shards| u32::try_from(shards).ok()) else {
        return Ok((0, vec!["the installation does not say how many shards it has".to_owned()]));
    };
    let mut faults = Vec::new();
    let mut counted = 0;
    let mut ends: BTreeMap<&'static str, BTreeMap<u32, i64>> = BTreeMap::new();
    for topic in topics {
        if !there(tx, topic)? {
            faults.push(format!("the table of {topic}'s events is missing"));
            continue;
        }
        for [shard, first, last, count, distinct] in streams(tx, topic)? {
            counted += u64::try_from(count).unwrap_or(0);
            if first != 1 || last != count || distinct != count {
                faults.push(format!(
                    "{topic}/{shard}: {count} events with {distinct} numbers from {first} to {last}"
                ));
            }
            ends.entry(topic).or_default().insert(u32::try_from(shard).unwrap_or(u32::MAX), last);
        }
    }
    for (consumer, topic, cursor) in positions::all(tx, shards)? {
        let end = ends.get(topic.as_str());
        for (shard, at) in (0u32..).zip(&cursor.sequences) {
            let last = end.and_then(|end| end.get(&shard)).copied().unwrap_or(0);
            if *at > last {
                faults.push(format!(
                    "{consumer} is at {at} in {topic}/{shard}, which ends at {last}"
                ));
            }
        }
    }
    Ok((counted, faults))
}

fn there(tx: &mut Tx<'_>, topic: &str) -> Result<bool> {
    match tx.engine() {
        Engine::Sqlite => {
            let name = [Value::Text(tables::table(topic))];
            Ok(tx.query_one(&TABLE_SQLITE, &name, |row| row.int(0))?.unwrap_or(0) > 0)
        }
        // A missing table fails the statement, and with it the whole check: loud enough.
        Engine::Postgres => Ok(true),
    }
}

/// Per shard: first and last number, how many rows, how many numbers.
fn streams(tx: &mut Tx<'_>, topic: &str) -> Result<Vec<[i64; 5]>> {
    let sql = tables::declared(format!(
        "SELECT shard, MIN(sequence), MAX(sequence), COUNT(*), COUNT(DISTINCT sequence) FROM {} \
         GROUP BY shard ORDER BY shard",
        tables::table(topic)
    ));
    tx.query(sql, &[], |row| Ok([row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?, row.int(4)?]))
}
