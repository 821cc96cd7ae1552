//! V10, this rail's part: no entry stands in two files or twice in one, each file's sums are those of
//! its entries, and what each entry is, to be compared with the bank's own books.

use contracts::{Amount, ids::TransferId};
use store::{Engine, Result, Sql, Tx, Value};

use super::{Entry, Key, State, columns, entry, id_of};

/// Rows read at once.
const PAGE: i64 = 5_000;
/// Faults named at most.
const FAULTS_MOST: usize = 100;

static PAGE_SQLITE: Sql = Sql::new(concat!(columns!(), "WHERE id > $1 ORDER BY id LIMIT $2"));
static PAGE_POSTGRES: Sql = Sql::new(concat!(
    columns!(),
    "WHERE (bucket, id, tail) > ($1, $2, $3) ORDER BY bucket, id, tail LIMIT $4"
));
// An entry that was rejected before its claim is in no file, so that each file counts its own.
static SUMS: Sql = Sql::new(
    "SELECT f.name, f.entries, f.debit + f.credit, COUNT(e.number), \
       CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) \
     FROM ach_file f LEFT JOIN ach_entry e ON e.file = f.number AND e.number > 0 \
     WHERE f.number > $1 GROUP BY f.number, f.name, f.entries, f.debit, f.credit \
     HAVING COUNT(e.number) <> f.entries OR COALESCE(SUM(e.amount), 0) <> f.debit + f.credit",
);

/// How an entry stands, as far as the bank's books can contradict it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing final is known.
    Open,
    /// It settled, and was not returned.
    Paid,
    /// It is not paid, or was brought back.
    Unpaid,
}

/// One entry of one transfer.
#[derive(Clone, Copy, Debug)]
pub struct Instructed {
    pub transfer: TransferId,
    pub leg: u8,
    pub amount: Amount,
    pub standing: Standing,
    /// It had been paid before it was brought back: its transfer is `reversed`, not `failed`.
    pub returned: bool,
}

/// Every entry, with what is wrong in this rail's own rows.
pub fn verify(tx: &mut Tx<'_>) -> Result<(Vec<Instructed>, Vec<String>)> {
    let sums = tx.query(&SUMS, &[Value::Int(0)], |row| {
        let (name, entries, cents) = (row.text(0)?.to_owned(), row.int(1)?, row.int(2)?);
        let (found, sum) = (row.int(3)?, row.int(4)?);
        Ok(format!("{name}: {entries} entries of {cents} cents went, {found} of {sum} are kept"))
    })?;
    let mut faults: Vec<String> = sums.into_iter().take(FAULTS_MOST).collect();
    let mut all = Vec::new();
    let mut last: Option<Key> = None;
    loop {
        let page = page(tx, last)?;
        let Some(end) = page.last() else { return Ok((all, faults)) };
        last = Some(end.key);
        for one in &page {
            let in_file = one.number > 0;
            let must = !matches!(
                one.state,
                State::Ready | State::Canceled | State::Tombstone | State::Rejected
            );
            if ((must && !in_file) || (in_file && one.amount.value <= 0))
                && faults.len() < FAULTS_MOST
            {
                faults.push(format!("{}: {:?} in file {}", one.key.transfer, one.state, one.file));
            }
        }
        let known = page.iter().filter(|one| one.state != State::Tombstone);
        all.extend(known.map(|one| Instructed {
            transfer: one.key.transfer,
            leg: one.key.leg,
            amount: one.amount,
            standing: match one.state {
                State::Accepted => Standing::Paid,
                State::Rejected | State::Canceled | State::Tombstone | State::Returned => {
                    Standing::Unpaid
                }
                State::Ready | State::Claimed | State::Originated => Standing::Open,
            },
            returned: one.state == State::Returned,
        }));
    }
}

fn page(tx: &mut Tx<'_>, last: Option<Key>) -> Result<Vec<Entry>> {
    let id = last.map_or(-1, |key| id_of(key.transfer.row(), key.leg));
    match tx.engine() {
        Engine::Sqlite => tx.query(&PAGE_SQLITE, &[Value::Int(id), Value::Int(PAGE)], entry),
        Engine::Postgres => {
            let bucket = last.map_or(-1, |key| i64::from(key.transfer.bucket()));
            let tail = last.map_or(0, |key| key.transfer.tail());
            let after = [bucket, id, tail, PAGE].map(Value::Int);
            tx.query(&PAGE_POSTGRES, &after, entry)
        }
    }
}
