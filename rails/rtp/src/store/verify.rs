//! V10, this rail's part: no instruction left twice, and what each of them is, to be compared with
//! the network's own books.

use contracts::{Amount, ids::TransferId};
use store::{Engine, Result, Sql, Tx, Value};

use super::{Instruction, Key, State, columns, id_of, instruction};

/// Rows read at once.
const PAGE: i64 = 5_000;
/// Faults named at most.
const FAULTS_MOST: usize = 100;

static PAGE_SQLITE: Sql = Sql::new(concat!(columns!(), "WHERE id > $1 ORDER BY id LIMIT $2"));
static PAGE_POSTGRES: Sql = Sql::new(concat!(
    columns!(),
    "WHERE (bucket, id, tail) > ($1, $2, $3) ORDER BY bucket, id, tail LIMIT $4"
));
// Without a connection, or without the lease, no byte left; everything else may have arrived. What was
// recorded once more, because nobody knew how its COMMIT ended, left at the same moment.
static SENT_TWICE: Sql = Sql::new(
    "SELECT id, tail, COUNT(DISTINCT at) FROM rtp_message \
     WHERE name = $1 AND outcome NOT LIKE $2 AND outcome NOT LIKE $3 \
     GROUP BY id, tail HAVING COUNT(DISTINCT at) > 1",
);

/// How an instruction stands, as far as the network's books can contradict it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing final is known.
    Open,
    /// The network paid it.
    Paid,
    /// The network did not, and will not.
    Unpaid,
}

/// One instruction of one transfer.
#[derive(Clone, Copy, Debug)]
pub struct Instructed {
    pub transfer: TransferId,
    pub leg: u8,
    pub amount: Amount,
    pub standing: Standing,
}

/// Every instruction, with what is wrong in this rail's own rows.
pub fn verify(tx: &mut Tx<'_>) -> Result<(Vec<Instructed>, Vec<String>)> {
    let named = ["pacs.008", "no connection%", "the lease on the connection%"].map(Value::Text);
    let twice = tx.query(&SENT_TWICE, &named, |row| {
        let transfer = TransferId::from_parts(row.int(0)?.div_euclid(4), row.int(1)?);
        Ok(format!("{transfer}: its payment left {} times", row.int(2)?))
    })?;
    let mut faults: Vec<String> = twice.into_iter().take(FAULTS_MOST).collect();
    let mut all = Vec::new();
    let mut last: Option<Key> = None;
    loop {
        let page = page(tx, last)?;
        let Some(end) = page.last() else { return Ok((all, faults)) };
        last = Some(end.key);
        for one in &page {
            // One that was cancelled before it came knows no amount.
            if one.attempt > 0 && one.amount.value <= 0 && faults.len() < FAULTS_MOST {
                faults.push(format!("{}: instructs {}", one.key.transfer, one.amount));
            }
        }
        let known = page.iter().filter(|one| one.state != State::Tombstone);
        all.extend(known.map(|one| Instructed {
            transfer: one.key.transfer,
            leg: one.key.leg,
            amount: one.amount,
            standing: match one.state {
                State::Accepted => Standing::Paid,
                State::Rejected | State::Canceled | State::Tombstone => Standing::Unpaid,
                State::Ready | State::Sending | State::Unknown | State::Pending => Standing::Open,
            },
        }));
    }
}

fn page(tx: &mut Tx<'_>, last: Option<Key>) -> Result<Vec<Instruction>> {
    let id = last.map_or(-1, |key| id_of(key.transfer.row(), key.leg));
    match tx.engine() {
        Engine::Sqlite => tx.query(&PAGE_SQLITE, &[Value::Int(id), Value::Int(PAGE)], instruction),
        Engine::Postgres => {
            let bucket = last.map_or(-1, |key| i64::from(key.transfer.bucket()));
            let tail = last.map_or(0, |key| key.transfer.tail());
            let after = [bucket, id, tail, PAGE].map(Value::Int);
            tx.query(&PAGE_POSTGRES, &after, instruction)
        }
    }
}

#[cfg(test)]
mod tests {
    use store::{Location, Options, Store};

    use super::*;

    static ROW: Sql = Sql::new(
        "INSERT INTO rtp_message (id, number, tail, bucket, name, at, bytes, micros, outcome) \
         VALUES (4, $1, 0, 0, $2, $3, 1, 1, 'HTTP 200')",
    );

    #[test]
    fn what_was_recorded_twice_left_once() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Directory(folder.path().to_owned());
        let (store, mut writer) = Store::open(location, Options::default()).unwrap();
        writer.migrate(super::super::MIGRATIONS).unwrap();
        let mut recorded = |number, at| {
            let mut tx = writer.begin().unwrap();
            let values = [Value::Int(number), Value::Text("pacs.008"), Value::Int(at)];
            tx.execute(&ROW, &values).unwrap();
            tx.commit().unwrap();
            store.read(verify).unwrap().1.len()
        };
        assert_eq!([recorded(0, 7), recorded(1, 7), recorded(2, 8)], [0, 0, 1]);
    }
}
