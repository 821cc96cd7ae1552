//! The ends of the streams where several processes write them (PostgreSQL): one row a topic.
//!
//! A process that writes for a service locks the row of its topic before anything else of a
//! transaction, and moves it with the events. So numbers follow the order of commits, no reader
//! ever sees a number whose predecessor may still come, and the process learns in the same round
//! trip whether another one has written since: then what it remembers of that service is void.

use std::{collections::BTreeSet, sync::Arc};

use store::{Engine, Sql, Tx, Value};

use crate::{
    Cursor, Error, Log, Stored,
    lives::{self, Lives},
    tables::declared,
};

static ALL: Sql = Sql::new("SELECT topic, sequences, writer FROM head ORDER BY topic");
static NEW: Sql = Sql::new(
    "INSERT INTO head (topic, sequences, writer) VALUES ($1, $2, 0) ON CONFLICT (topic) DO NOTHING",
);
static MOVE: Sql =
    Sql::new("UPDATE head SET sequences = $1, writer = $2 WHERE topic = $3 AND sequences = $4");
static END: Sql = Sql::new("SELECT sequences FROM head WHERE topic = $1");
static STAMP: Sql = Sql::new("UPDATE head SET writer = $1 WHERE topic = $2");

/// What this process knows of the rows.
#[derive(Default)]
pub(crate) struct Heads {
    /// This process among the writers; 0 before [`Log::writes`].
    process: i64,
    /// The topics that it writes.
    own: Vec<&'static str>,
    /// Locks the rows of those, reads all.
    lock: Option<&'static Sql>,
    /// The topics whose row says that this process wrote last, here and in what is durable.
    stamped: BTreeSet<&'static str>,
    durably: BTreeSet<&'static str>,
}

/// Where each stream ends, by the last commit.
pub fn ends(tx: &mut Tx<'_>, shards: u32) -> store::Result<Vec<(String, Cursor)>> {
    tx.query(&ALL, &[], |row| {
        Ok((row.text(0)?.to_string(), Cursor::from_row(0, row.blob(1)?, shards)))
    })
}

impl Heads {
    pub fn committed(&mut self) {
        self.durably.clone_from(&self.stamped);
    }
    pub fn rolled_back(&mut self) {
        self.stamped.clone_from(&self.durably);
    }
}

impl Log {
    /// Says under which number this process writes, and which topics; no other process may have
    /// that number.
    pub fn writes(&mut self, process: i64, topics: &[&'static str]) {
        let own: Vec<&'static str> =
            self.topics.keys().copied().filter(|topic| topics.contains(topic)).collect();
        let names: Vec<String> = own.iter().map(|topic| format!("'{topic}'")).collect();
        let lock = (!own.is_empty()).then(|| {
            let names = names.join(", ");
            declared(format!(
                "WITH locked AS (SELECT topic, sequences, writer FROM head \
                 WHERE topic IN ({names}) ORDER BY topic FOR UPDATE) \
                 SELECT topic, sequences, writer FROM locked UNION ALL \
                 SELECT topic, sequences, writer FROM head WHERE topic NOT IN ({names})"
            ))
        });
        self.heads = Heads { process, own, lock, ..Heads::default() };
    }
    /// The number under which this process writes.
    pub fn process(&self) -> i64 {
        self.heads.process
    }
    /// Begins a transaction that may write: locks the ends of this process's own streams until its
    /// end, and learns where all others are. The topics among its own that another process wrote
    /// since this one did are returned: what is remembered of those services is void.
    pub fn begin(&mut self, tx: &mut Tx<'_>) -> Result<Vec<&'static str>, Error> {
        let Some(lock) = self.heads.lock.filter(|_| tx.engine() == Engine::Postgres) else {
            self.look(tx)?;
            return Ok(Vec::new());
        };
        self.refresh(tx, lock)?;
        let heads = &mut self.heads;
        let others: Vec<&'static str> =
            heads.own.iter().copied().filter(|topic| !heads.stamped.contains(topic)).collect();
        Ok(others)
    }
    /// Says that this process wrote its own streams last, where no event of the transaction said so.
    /// To be called at the end of one that [`Log::begin`] began: without it what is remembered is void
    /// once more.
    pub fn stamp(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let heads = &mut self.heads;
        if heads.lock.is_none() || tx.engine() != Engine::Postgres {
            return Ok(());
        }
        for topic in heads.own.iter().filter(|topic| !heads.stamped.contains(*topic)) {
            tx.execute(&STAMP, &[Value::Int(heads.process), Value::Text(topic)])?;
        }
        heads.stamped.extend(&heads.own);
        Ok(())
    }
    /// Learns where all streams end now; which ones others have written since. To be called before
    /// anything is numbered in a transaction.
    pub fn look(&mut self, tx: &mut Tx<'_>) -> Result<Vec<&'static str>, Error> {
        if tx.engine() == Engine::Postgres { self.refresh(tx, &ALL) } else { Ok(Vec::new()) }
    }
    fn refresh(&mut self, tx: &mut Tx<'_>, sql: &Sql) -> Result<Vec<&'static str>, Error> {
        let shards = self.shards();
        let mut moved = Vec::new();
        let rows = tx.query(sql, &[], |row| {
            let cursor = Cursor::from_row(0, row.blob(1)?, shards);
            Ok((row.text(0)?.to_string(), cursor, row.int(2)?))
        })?;
        for (name, end, writer) in rows {
            let found = self.topics.iter_mut().find(|(known, _)| **known == name);
            let Some((name, topic)) = found else { continue };
            // Also where it says that this process wrote last: a COMMIT whose answer was lost, or a
            // standby that was promoted and has less.
            if writer != self.heads.process || topic.head != end {
                self.heads.stamped.remove(name);
                self.heads.durably.remove(name);
            }
            if topic.head != end {
                // What lies between was written by others: memory has a hole there.
                topic.tail.clear();
                topic.head.clone_from(&end);
                topic.saved.clone_from(&end);
                topic.committed = end;
                moved.push(*name);
            }
        }
        Ok(moved)
    }
    /// Refuses events of which a broker brought numbers that are not given yet: where what is known
    /// here ends before them, by what the database says now.
    pub fn refuse_ahead(
        &self,
        tx: &mut Tx<'_>,
        topic: &str,
        events: &[Arc<Stored>],
    ) -> Result<(), Error> {
        let after = |end: &Cursor| {
            let last = |event: &Stored| end.sequences[event.shard as usize];
            events.iter().find(|event| event.sequence > last(event)).cloned()
        };
        if after(self.end(topic, true)).is_none() {
            return Ok(());
        }
        let shards = self.shards();
        let now = tx.query_one(&END, &[Value::Text(topic)], |row| {
            Ok(Cursor::from_row(0, row.blob(0)?, shards))
        })?;
        let now = now.unwrap_or_else(|| Cursor::start(shards));
        after(&now).map_or(Ok(()), |event| {
            Err(Error::Ahead {
                topic: topic.to_owned(),
                shard: event.shard,
                end: now.sequences[event.shard as usize],
                found: event.sequence,
            })
        })
    }
    pub(crate) fn open_heads(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        if tx.engine() != Engine::Postgres {
            return Ok(());
        }
        for (name, topic) in &self.topics {
            let sequences = topic.head.to_bytes();
            tx.execute(&NEW, &[Value::Text(name), Value::Blob(&sequences)])?;
        }
        self.look(tx)?;
        lives::begin(tx, false)?;
        let shards = self.shards();
        for (name, topic) in &mut self.topics {
            topic.lives = Arc::new(Lives::of(tx, name, shards)?);
        }
        Ok(())
    }
    /// Moves the row of a topic to the numbers given in this transaction.
    pub(crate) fn save_head(&mut self, tx: &mut Tx<'_>, topic: &str) -> Result<(), Error> {
        if tx.engine() != Engine::Postgres {
            return Ok(());
        }
        let process = self.heads.process;
        let ends = self.topics.get_mut(topic).expect("the wiring opened every topic that it names");
        let (new, old) = (ends.head.to_bytes(), ends.saved.to_bytes());
        let values =
            [Value::Blob(&new), Value::Int(process), Value::Text(topic), Value::Blob(&old)];
        if tx.execute(&MOVE, &values)? != 1 {
            return Err(Error::Overtaken { topic: topic.to_owned() });
        }
        ends.saved.clone_from(&ends.head);
        let own = self.heads.own.iter().find(|own| **own == topic);
        self.heads.stamped.extend(own);
        Ok(())
    }
}
