//! Every SQL statement of webhooks.

use std::collections::BTreeMap;

use contracts::{exchanges::EventPlace, ids::AccountId};
use store::{Error, Insert, Kind, Migration, OnConflict, Result, Select, Sql, Tx, Value};

use crate::domain::{RUN_MOST, Run, Taken};

/// A row is a run of events that follow one another in one feed; `last` is the number of its last.
pub static MIGRATIONS: &[Migration] = &[Migration {
    owner: "webhooks",
    version: 1,
    name: "feed",
    sqlite: "CREATE TABLE webhooks_feed (account BLOB NOT NULL, last INTEGER NOT NULL,
          topic TEXT NOT NULL, places BLOB NOT NULL,
          PRIMARY KEY (account, last)) WITHOUT ROWID;
        CREATE TABLE webhooks_mark (slice INTEGER NOT NULL, topic TEXT NOT NULL,
          place INTEGER NOT NULL, PRIMARY KEY (slice, topic)) WITHOUT ROWID;",
    postgres: "CREATE TABLE webhooks_feed (account BYTEA NOT NULL, last BIGINT NOT NULL,
          topic TEXT NOT NULL, places BYTEA NOT NULL,
          PRIMARY KEY (account, last));
        CREATE TABLE webhooks_mark (slice BIGINT NOT NULL, topic TEXT NOT NULL,
          place BIGINT NOT NULL, PRIMARY KEY (slice, topic));",
}];

static FEED: Insert<4> = Insert::new(
    "webhooks_feed",
    [("account", Kind::Blob), ("last", Kind::Int), ("topic", Kind::Text), ("places", Kind::Blob)],
    OnConflict::None,
);
static LAST: Select<1> =
    Select::new("webhooks_feed", &["account", "last"], [("account", Kind::Blob)]).newest_by("last");
static PAGE: Sql = Sql::new(
    "SELECT last, topic, places FROM webhooks_feed \
     WHERE account = $1 AND last > $2 ORDER BY last LIMIT $3",
);
static ALL: Sql = Sql::new(
    "SELECT account, last, places FROM webhooks_feed \
     WHERE (account, last) > ($1, $2) ORDER BY account, last LIMIT $3",
);

static MARK: Insert<3> = Insert::new(
    "webhooks_mark",
    [("slice", Kind::Int), ("topic", Kind::Text), ("place", Kind::Int)],
    OnConflict::Update { key: &["slice", "topic"], set: &["place"] },
);
static MARKS: Sql = Sql::new("SELECT slice, topic, place FROM webhooks_mark");

fn bad(what: &str) -> Error {
    Error::Other(format!("webhooks: {what}"))
}

fn account(row: &store::Row<'_>, column: usize) -> Result<AccountId> {
    AccountId::from_slice(row.blob(column)?).ok_or_else(|| bad("an account id has 16 bytes"))
}

/// CBOR: shard, place, shard, place, ... of a run, without a head.
fn packed(places: &[EventPlace]) -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(Vec::with_capacity(places.len() * 8));
    for at in places {
        encoder
            .u32(at.shard)
            .and_then(|encoder| encoder.i64(at.place))
            .expect("writing to memory cannot fail");
    }
    encoder.into_writer()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<EventPlace>> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let mut places = Vec::new();
    while decoder.position() < bytes.len() && places.len() < RUN_MOST {
        let shard = decoder.u32().map_err(|_| bad("a run without a shard"))?;
        let place = decoder.i64().map_err(|_| bad("a run without a place"))?;
        places.push(EventPlace { shard, place });
    }
    Ok(places)
}

/// The last number of each of these accounts; those without a feed are left out.
pub fn load_last<'a>(
    tx: &mut Tx<'_>,
    accounts: impl Iterator<Item = &'a AccountId>,
) -> Result<BTreeMap<AccountId, i64>> {
    let rows = tx.select_many(
        &LAST,
        accounts,
        |account| [Value::Blob(account.as_bytes())],
        |row| Ok((account(row, 0)?, row.int(1)?)),
    )?;
    Ok(rows.into_iter().collect())
}

/// Writes runs, sorted.
pub fn insert_runs(tx: &mut Tx<'_>, runs: &[Run]) -> Result<()> {
    let packed: Vec<Vec<u8>> = runs.iter().map(|run| packed(&run.places)).collect();
    tx.insert_many(&FEED, runs.iter().zip(&packed), |(run, places)| {
        [
            Value::Blob(run.account.as_bytes()),
            Value::Int(run.last),
            Value::Text(run.topic),
            Value::Blob(places),
        ]
    })?;
    Ok(())
}

/// Notes up to which place of each topic a slice is written.
pub fn save_marks(tx: &mut Tx<'_>, taken: &Taken<'_>) -> Result<()> {
    tx.insert_many(&MARK, taken.mark, |(topic, place)| {
        [Value::from(taken.slice), Value::Text(topic), Value::Int(*place)]
    })?;
    Ok(())
}

/// Up to which place of each topic each slice is written.
pub fn load_marks(tx: &mut Tx<'_>) -> Result<Vec<(u8, String, i64)>> {
    tx.query(&MARKS, &[], |row| {
        let slice = u8::try_from(row.int(0)?).map_err(|_| bad("a mark of no slice"))?;
        Ok((slice, row.text(1)?.to_owned(), row.int(2)?))
    })
}

/// An event of a page: number, topic, where it is.
pub type Listed = (i64, String, EventPlace);

/// A page of one feed after a number.
pub fn list(tx: &mut Tx<'_>, of: AccountId, after: i64, count: usize) -> Result<Vec<Listed>> {
    let mut page = Vec::new();
    let mut from = after;
    while page.len() < count {
        // A run has one event at least: so many runs are enough, and mostly far too many.
        let most = i64::try_from((count - page.len()).min(16)).expect("a small number");
        let key = [Value::Blob(of.as_bytes()), Value::Int(from), Value::Int(most)];
        let runs = tx.query(&PAGE, &key, |row| {
            Ok((row.int(0)?, row.text(1)?.to_owned(), unpacked(row.blob(2)?)?))
        })?;
        let Some(end) = runs.last().map(|(last, _, _)| *last) else { break };
        from = end;
        for (last, topic, places) in runs {
            let numbers = first_of(last, &places)..=last;
            let new = numbers.zip(places).filter(|(number, _)| *number > after);
            page.extend(new.map(|(number, place)| (number, topic.clone(), place)));
        }
    }
    page.truncate(count);
    Ok(page)
}

fn first_of(last: i64, places: &[EventPlace]) -> i64 {
    last + 1 - i64::try_from(places.len()).expect("a run is short")
}

/// Runs that are read at once.
const RUNS: i64 = 4_096;

/// Each feed is gapless: runs join, from 1 on. Returns how many feeds were seen and the faults.
pub fn verify(tx: &mut Tx<'_>) -> Result<(u64, Vec<String>)> {
    let (mut feeds, mut faults) = (0, Vec::new());
    let mut before: Option<(AccountId, i64)> = None;
    loop {
        let (of, last) =
            before.map_or((Vec::new(), 0), |(of, last)| (of.as_bytes().to_vec(), last));
        let after = [Value::Blob(&of), Value::Int(last), Value::Int(RUNS)];
        let page = tx.query(&ALL, &after, |row| {
            Ok((account(row, 0)?, row.int(1)?, unpacked(row.blob(2)?)?))
        })?;
        if page.is_empty() {
            return Ok((feeds, faults));
        }
        for (of, last, places) in page {
            let same = before.filter(|(known, _)| *known == of);
            feeds += u64::from(same.is_none());
            let expected = same.map_or(1, |(_, last)| last + 1);
            let first = first_of(last, &places);
            if first != expected {
                faults.push(format!("feed of {of}: {first} follows where {expected} is next"));
            }
            before = Some((of, last));
        }
    }
}
