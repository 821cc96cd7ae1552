//! Every SQL statement of transfers. A transfer is one row, appended once and overwritten in place.
//!
//! What changes keeps its length (`status` is the number + 2, `completed` is the negative creation
//! time until there is one, `trail` has room to grow), so that the embedded engine overwrites the
//! row where it stands instead of moving its neighbours.

mod indexes;
mod refunds;
mod verify;

use std::{borrow::Cow, collections::BTreeMap};

use contracts::{
    Amount, Currency, Timestamp,
    ids::{AccountId, CancellationId, TransferId},
    transfers::TransferStatus,
};
use store::{
    Insert, Kind, Migration, OnConflict, Result, Row, Select, Sql, Tx, Update, Value, late_tables,
};

use crate::domain::{Detail, Extra, Given, Parties, Progress, Trail};

pub use indexes::Indexes;
pub use refunds::{Refund, insert_refunds, refunding, refunds};
pub use verify::{Checked, count_unrequested, keys_unique, refunds_limited, trails_hold};

/// The tables of this service.
pub static TABLES: &[&str] = &["transfers_transfer", "transfers_cancellation", "transfers_refund"];

/// How they are made.
pub static MIGRATIONS: &[Migration] = &[
    Migration {
        owner: "transfers",
        version: 1,
        name: "transfers",
        sqlite: concat!(
            "CREATE TABLE transfers_transfer (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
          key_hash BLOB NOT NULL, fingerprint BLOB NOT NULL, bucket INTEGER NOT NULL,
          facilitator BLOB NOT NULL, currency TEXT NOT NULL, amount INTEGER NOT NULL,
          parties BLOB NOT NULL, extra BLOB, created INTEGER NOT NULL, received INTEGER NOT NULL,
          hop_micros INTEGER NOT NULL, request_bytes INTEGER NOT NULL, status INTEGER NOT NULL,
          completed INTEGER NOT NULL, detail BLOB, trail BLOB NOT NULL);
        CREATE TABLE transfers_cancellation (transfer BLOB NOT NULL, id BLOB NOT NULL,
          status INTEGER NOT NULL, created INTEGER NOT NULL,
          PRIMARY KEY (transfer, id)) WITHOUT ROWID; ",
            late_tables!(sqlite, unique, "transfers_key"),
            late_tables!(sqlite, many, "transfers_account"),
        ),
        postgres: concat!(
            "CREATE TABLE transfers_transfer (id BIGINT NOT NULL, tail BIGINT NOT NULL,
          key_hash BYTEA NOT NULL, fingerprint BYTEA NOT NULL, bucket BIGINT NOT NULL,
          facilitator BYTEA NOT NULL, currency TEXT NOT NULL, amount BIGINT NOT NULL,
          parties BYTEA NOT NULL, extra BYTEA, created BIGINT NOT NULL, received BIGINT NOT NULL,
          hop_micros BIGINT NOT NULL, request_bytes BIGINT NOT NULL, status BIGINT NOT NULL,
          completed BIGINT NOT NULL, detail BYTEA, trail BYTEA NOT NULL,
          PRIMARY KEY (bucket, id, tail));
        CREATE INDEX transfers_platform ON transfers_transfer (facilitator, id);
        CREATE TABLE transfers_cancellation (transfer BYTEA NOT NULL, id BYTEA NOT NULL,
          status BIGINT NOT NULL, created BIGINT NOT NULL, PRIMARY KEY (transfer, id)); ",
            late_tables!(postgres, unique, "transfers_key"),
            late_tables!(postgres, many, "transfers_account"),
        ),
    },
    refunds::MIGRATION,
];

static NEW: Insert<18> = Insert::new(
    "transfers_transfer",
    [
        ("id", Kind::Int),
        ("tail", Kind::Int),
        ("key_hash", Kind::Blob),
        ("fingerprint", Kind::Blob),
        ("bucket", Kind::Int),
        ("facilitator", Kind::Blob),
        ("currency", Kind::Text),
        ("amount", Kind::Int),
        ("parties", Kind::Blob),
        ("extra", Kind::Blob),
        ("created", Kind::Int),
        ("received", Kind::Int),
        ("hop_micros", Kind::Int),
        ("request_bytes", Kind::Int),
        ("status", Kind::Int),
        ("completed", Kind::Int),
        ("detail", Kind::Blob),
        ("trail", Kind::Blob),
    ],
    OnConflict::None,
);
static PROGRESS: Update<4, 4> = Update::new(
    "transfers_transfer",
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int), ("status", Kind::Int)],
    [
        ("status", Kind::Int),
        ("completed", Kind::Int),
        ("detail", Kind::Blob),
        ("trail", Kind::Blob),
    ],
);
static RECORDS: Select<3> = Select::new(
    "transfers_transfer",
    &[
        "id",
        "tail",
        "key_hash",
        "fingerprint",
        "facilitator",
        "currency",
        "amount",
        "parties",
        "extra",
        "created",
        "received",
        "hop_micros",
        "request_bytes",
        "status",
        "completed",
        "detail",
        "trail",
    ],
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int)],
);
static OF_PLATFORM: Sql = Sql::new(
    "SELECT id, tail FROM transfers_transfer WHERE facilitator = $1 AND id < $2 \
     ORDER BY id DESC LIMIT $3",
);
static NEW_CANCELLATION: Insert<4> = Insert::new(
    "transfers_cancellation",
    [("transfer", Kind::Blob), ("id", Kind::Blob), ("status", Kind::Int), ("created", Kind::Int)],
    OnConflict::None,
);
static CANCELLATIONS: Select<1> = Select::new(
    "transfers_cancellation",
    &["transfer", "id", "status", "created"],
    [("transfer", Kind::Blob)],
);
static RESOLVE: Update<2, 1> = Update::new(
    "transfers_cancellation",
    [("transfer", Kind::Blob), ("status", Kind::Int)],
    [("status", Kind::Int)],
);

/// A transfer as it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: TransferId,
    pub facilitator: AccountId,
    pub amount: Amount,
    pub parties: Parties,
    pub extra: Option<Extra>,
    /// Of facilitator and idempotency key.
    pub key_hash: [u8; 16],
    /// Of method, path and body.
    pub fingerprint: [u8; 16],
    pub created: Timestamp,
    /// Machine time at which the request was read.
    pub received: Timestamp,
    /// What the synchronous hop took.
    pub hop_micros: i64,
    pub request_bytes: i64,
    pub progress: Progress,
    pub trail: Trail,
}

impl Record {
    /// The transfer that it refunds.
    pub fn refund_of(&self) -> Option<TransferId> {
        self.extra.as_ref()?.refund_of
    }
    /// As the limit of what it refunds sees it.
    pub fn given(&self) -> Given {
        Given { amount: self.amount.value, status: self.progress.status }
    }
    /// Whether an account may see it.
    pub fn is_seen_by(&self, account: AccountId) -> bool {
        let (source, destination) = sides(&self.parties);
        [self.facilitator, source, destination].contains(&account)
    }
}

/// The accounts of both sides.
fn sides(parties: &Parties) -> (AccountId, AccountId) {
    (parties.source.party.account_id(), parties.destination.party.account_id())
}

/// How a cancellation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CancellationStatus {
    Pending,
    Completed,
    Failed,
}

impl CancellationStatus {
    /// Moov's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
    fn from_number(number: i64) -> Result<Self> {
        [Self::Pending, Self::Completed, Self::Failed]
            .into_iter()
            .find(|status| *status as i64 == number)
            .ok_or_else(|| corrupt("status of a cancellation"))
    }
}

/// A request to cancel, as stored.
#[derive(Clone, Debug)]
pub struct Cancellation {
    pub transfer: TransferId,
    pub id: CancellationId,
    pub status: CancellationStatus,
    pub created: Timestamp,
}

fn corrupt(what: &str) -> store::Error {
    store::Error::Other(format!("a transfer's row is damaged: {what}"))
}

/// The compact form of a column that holds a value of its own.
pub fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    minicbor::encode(value, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

fn decode<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8], what: &str) -> Result<T> {
    minicbor::decode(bytes).map_err(|_| corrupt(what))
}

fn status_number(status: TransferStatus) -> i64 {
    status.number() + 2
}

fn completed_number(completed: Option<Timestamp>, created: Timestamp) -> i64 {
    completed.map_or(-created.0, |at| at.0)
}

fn detail_bytes(detail: &Detail) -> Option<Vec<u8>> {
    (*detail != Detail::default()).then(|| encode(detail))
}

/// The compact forms of a transfer's parties and of what was added to it.
pub type Encoded = (Vec<u8>, Option<Vec<u8>>);

/// Appends transfers with their index entries.
pub fn insert_many(
    tx: &mut Tx<'_>,
    indexes: &Indexes,
    records: &[Box<Record>],
    encoded: &[Cow<'_, Encoded>],
) -> Result<()> {
    tx.insert_many(&NEW, records.iter().zip(encoded), |(record, encoded)| {
        let (parties, extra) = &**encoded;
        [
            Value::Int(record.id.row()),
            Value::Int(record.id.tail()),
            Value::Blob(&record.key_hash),
            Value::Blob(&record.fingerprint),
            Value::Int(i64::from(record.id.bucket())),
            Value::Blob(record.facilitator.as_bytes()),
            Value::Text(record.amount.currency.as_str()),
            Value::Int(record.amount.value),
            Value::Blob(parties),
            extra.as_deref().map_or(Value::Null, Value::Blob),
            Value::Int(record.created.0),
            Value::Int(record.received.0),
            Value::Int(record.hop_micros),
            Value::Int(record.request_bytes),
            Value::Int(status_number(record.progress.status)),
            Value::Int(completed_number(record.progress.completed, record.created)),
            Value::Null,
            Value::Blob(record.trail.as_bytes()),
        ]
    })?;
    indexes.insert(tx, records)
}

/// The transfers with these ids, those that exist.
pub fn load_many(
    tx: &mut Tx<'_>,
    ids: impl IntoIterator<Item = TransferId>,
) -> Result<BTreeMap<TransferId, Record>> {
    let key = |id: TransferId| {
        [Value::Int(i64::from(id.bucket())), Value::Int(id.row()), Value::Int(id.tail())]
    };
    let records = tx.select_many(&RECORDS, ids, key, record)?;
    Ok(records.into_iter().map(|record| (record.id, record)).collect())
}

/// One transfer.
pub fn load(tx: &mut Tx<'_>, id: TransferId) -> Result<Option<Record>> {
    Ok(load_many(tx, [id])?.remove(&id))
}

/// Overwrites what changed, each from the status that it had; how many rows were hit.
pub fn save_many(tx: &mut Tx<'_>, changed: &[(TransferStatus, Box<Record>)]) -> Result<u64> {
    let details: Vec<Option<Vec<u8>>> =
        changed.iter().map(|(_, record)| detail_bytes(&record.progress.detail)).collect();
    tx.update_many(&PROGRESS, changed.iter().zip(&details), |((before, record), detail)| {
        (
            [
                Value::Int(i64::from(record.id.bucket())),
                Value::Int(record.id.row()),
                Value::Int(record.id.tail()),
                Value::Int(status_number(*before)),
            ],
            [
                Value::Int(status_number(record.progress.status)),
                Value::Int(completed_number(record.progress.completed, record.created)),
                detail.as_deref().map_or(Value::Null, Value::Blob),
                Value::Blob(record.trail.as_bytes()),
            ],
        )
    })
}

fn record(row: &Row<'_>) -> Result<Record> {
    let currency = Currency::new(row.text(5)?).ok_or_else(|| corrupt("currency"))?;
    let status = TransferStatus::from_number(row.int(13)? - 2).ok_or_else(|| corrupt("status"))?;
    let completed = row.int(14)?;
    let detail = row.opt_blob(15)?.map(|bytes| decode(bytes, "detail")).transpose()?;
    Ok(Record {
        id: TransferId::from_parts(row.int(0)?, row.int(1)?),
        key_hash: row.bytes(2)?,
        fingerprint: row.bytes(3)?,
        facilitator: AccountId::from_slice(row.blob(4)?).ok_or_else(|| corrupt("facilitator"))?,
        amount: Amount::new(row.int(6)?, currency),
        parties: decode(row.blob(7)?, "parties")?,
        extra: row.opt_blob(8)?.map(|bytes| decode(bytes, "extra")).transpose()?,
        created: Timestamp(row.int(9)?),
        received: Timestamp(row.int(10)?),
        hop_micros: row.int(11)?,
        request_bytes: row.int(12)?,
        progress: Progress {
            status,
            completed: (completed >= 0).then_some(Timestamp(completed)),
            detail: detail.unwrap_or_default(),
        },
        trail: Trail::from_bytes(row.blob(16)?),
    })
}

/// Stores new requests to cancel.
pub fn insert_cancellations(tx: &mut Tx<'_>, cancellations: &[Cancellation]) -> Result<()> {
    tx.insert_many(&NEW_CANCELLATION, cancellations, |cancellation| {
        [
            Value::Blob(cancellation.transfer.as_bytes()),
            Value::Blob(cancellation.id.as_bytes()),
            Value::Int(cancellation.status as i64),
            Value::Int(cancellation.created.0),
        ]
    })?;
    Ok(())
}

/// Ends the pending cancellations of these transfers, each as given.
pub fn resolve_cancellations(
    tx: &mut Tx<'_>,
    ended: &[(TransferId, CancellationStatus)],
) -> Result<()> {
    tx.update_many(&RESOLVE, ended, |(transfer, status)| {
        (
            [Value::Blob(transfer.as_bytes()), Value::Int(CancellationStatus::Pending as i64)],
            [Value::Int(*status as i64)],
        )
    })?;
    Ok(())
}

/// The cancellations of these transfers, oldest first for each.
pub fn cancellations(
    tx: &mut Tx<'_>,
    transfers: &[TransferId],
) -> Result<BTreeMap<TransferId, Vec<Cancellation>>> {
    let key = |id: &'_ TransferId| [Value::Bytes16(*id.as_bytes())];
    let found = tx.select_many(&CANCELLATIONS, transfers, key, |row| {
        let transfer = TransferId::from_slice(row.blob(0)?);
        let id = CancellationId::from_slice(row.blob(1)?);
        Ok(Cancellation {
            transfer: transfer.ok_or_else(|| corrupt("transfer of a cancellation"))?,
            id: id.ok_or_else(|| corrupt("cancellation"))?,
            status: CancellationStatus::from_number(row.int(2)?)?,
            created: Timestamp(row.int(3)?),
        })
    })?;
    let mut all: BTreeMap<TransferId, Vec<Cancellation>> = BTreeMap::new();
    for cancellation in found {
        all.entry(cancellation.transfer).or_default().push(cancellation);
    }
    for of_one in all.values_mut() {
        of_one.sort_by_key(|cancellation| cancellation.id);
    }
    Ok(all)
}

/// What a list shows: the viewer's transfers that pass these filters, newest first.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Who looks: its own transfers only.
    pub viewer: AccountId,
    /// The viewer is a platform account: it sees what was made under it.
    pub platform: bool,
    /// One of these on a side; all where empty.
    pub accounts: Vec<AccountId>,
    pub status: Option<TransferStatus>,
    /// Inclusive.
    pub start: Option<Timestamp>,
    /// Exclusive.
    pub end: Option<Timestamp>,
    pub foreign_id: Option<String>,
    /// Whether it has refunds.
    pub refunded: Option<bool>,
    /// Rows at or above the first and below the second cannot pass.
    pub rows: (i64, Option<i64>),
    pub skip: usize,
    pub count: usize,
}

impl Filter {
    fn passes(&self, record: &Record) -> bool {
        let (source, destination) = sides(&record.parties);
        let foreign = record.extra.as_ref().and_then(|extra| extra.foreign_id.as_ref());
        record.is_seen_by(self.viewer)
            && (self.accounts.is_empty()
                || [source, destination].iter().any(|side| self.accounts.contains(side)))
            && self.status.is_none_or(|status| record.progress.status == status)
            && self.start.is_none_or(|start| record.created >= start)
            && self.end.is_none_or(|end| record.created < end)
            && (self.foreign_id.is_none() || self.foreign_id.as_ref() == foreign)
    }
}

/// The transfers made under a platform account below a row, newest first. It has nearly all of an
/// embedded store's rows, so that these are read backwards without an index; PostgreSQL has one.
fn of_platform(
    tx: &mut Tx<'_>,
    platform: AccountId,
    before: Option<i64>,
) -> Result<Vec<TransferId>> {
    let most = i64::try_from(LIST_STEP).expect("a small number");
    let before = before.unwrap_or(i64::MAX);
    let values = [Value::Blob(platform.as_bytes()), Value::Int(before), Value::Int(most)];
    tx.query(&OF_PLATFORM, &values, |row| Ok(TransferId::from_parts(row.int(0)?, row.int(1)?)))
}

/// Index entries read at a time.
const LIST_STEP: usize = 256;

/// A page of a list.
pub fn list(tx: &mut Tx<'_>, indexes: &Indexes, filter: &Filter) -> Result<Vec<Record>> {
    let all_of_platform = filter.platform && filter.accounts.is_empty();
    let keys = match filter.accounts.as_slice() {
        [] => vec![filter.viewer],
        accounts => accounts.to_vec(),
    };
    let (lowest, mut before) = filter.rows;
    let mut skip = filter.skip;
    let mut page = Vec::new();
    loop {
        let mut ids = Vec::new();
        // Below the oldest id of a full step that account may have more: they come next time.
        let mut horizon = None;
        for key in &keys {
            let step = match all_of_platform {
                true => of_platform(tx, *key, before)?,
                false => indexes.of_account(tx, *key, before, LIST_STEP)?,
            };
            if step.len() == LIST_STEP {
                horizon = horizon.max(step.last().map(TransferId::row));
            }
            ids.extend(step);
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        ids.retain(|id| id.row() >= horizon.unwrap_or(lowest).max(lowest));
        let mut records = load_many(tx, ids.iter().copied())?;
        if let Some(refunded) = filter.refunded {
            let given = refunds(tx, ids.iter().copied())?;
            records.retain(|id, _| given.contains_key(id) == refunded);
        }
        for id in &ids {
            let Some(record) = records.remove(id).filter(|record| filter.passes(record)) else {
                continue;
            };
            if skip > 0 {
                skip -= 1;
                continue;
            }
            page.push(record);
            if page.len() == filter.count {
                return Ok(page);
            }
        }
        match horizon {
            Some(horizon) if horizon > lowest => before = Some(horizon),
            _ => return Ok(page),
        }
    }
}
