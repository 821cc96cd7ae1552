//! All SQL of the ledger: tables, statements, and the reads of its endpoints.
//!
//! `ledger_account` is what an account is, `ledger_balance` its counters, `ledger_posting` the
//! journal (a row moves one amount from a debit to a credit account), `ledger_hold` the money that
//! waits for a rail, `ledger_mark` the decisions that made no posting, `ledger_seal` the hash chain
//! of each shard. A posting's time is its seal's.

mod accounts;
mod books;
mod chain;
mod holds;
mod index;
mod journal;
mod verify;
mod wallets;

pub use books::{Books, Hold, NewWallet, Origin};
pub use journal::{balances_at, balances_now, heads, load_journal, load_transactions};
pub use verify::{Checked, verify};
pub use wallets::{list_wallets, load_wallet};

use store::{Insert, Kind, Migration, OnConflict, Select, Update, late::LateSpec, late_tables};

/// The wallet's account number, the posting's bucket.
pub const BY_ACCOUNT: LateSpec = LateSpec::new("ledger_by_account", 8).payload(1);

/// The tables, for the map of the platform.
pub static TABLES: &[&str] = &[
    "ledger_account",
    "ledger_balance",
    "ledger_posting",
    "ledger_hold",
    "ledger_mark",
    "ledger_seal",
    "ledger_late",
    "ledger_by_account_tree",
    "ledger_by_account_mark",
];

/// How the tables are made.
pub static MIGRATIONS: &[Migration] = &[
    Migration {
        owner: "ledger",
        version: 1,
        name: "books",
        sqlite: "CREATE TABLE ledger_account (id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL,
              shard INTEGER NOT NULL, currency TEXT NOT NULL, name TEXT, wallet BLOB UNIQUE,
              owner BLOB, kind TEXT NOT NULL, label TEXT NOT NULL, description TEXT,
              metadata TEXT NOT NULL, created INTEGER NOT NULL, UNIQUE (shard, currency, name));
            CREATE INDEX ledger_account_owner ON ledger_account (owner) WHERE owner IS NOT NULL;
            CREATE TABLE ledger_balance (account INTEGER PRIMARY KEY, bucket INTEGER NOT NULL,
              debits_posted INTEGER NOT NULL, credits_posted INTEGER NOT NULL,
              debits_held INTEGER NOT NULL, credits_held INTEGER NOT NULL,
              debits_released INTEGER NOT NULL, credits_released INTEGER NOT NULL,
              entries INTEGER NOT NULL);
            CREATE TABLE ledger_posting (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
              bucket INTEGER NOT NULL, debit INTEGER NOT NULL, credit INTEGER NOT NULL,
              effect INTEGER NOT NULL, amount INTEGER NOT NULL, debit_balance INTEGER NOT NULL,
              credit_balance INTEGER NOT NULL, seal INTEGER NOT NULL);
            CREATE TABLE ledger_hold (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
              bucket INTEGER NOT NULL, wallet BLOB NOT NULL, rail TEXT NOT NULL,
              currency TEXT NOT NULL, amount INTEGER NOT NULL, state INTEGER NOT NULL);
            CREATE TABLE ledger_mark (id INTEGER PRIMARY KEY, tail INTEGER NOT NULL,
              bucket INTEGER NOT NULL, verdict INTEGER NOT NULL);
            CREATE TABLE ledger_seal (shard INTEGER NOT NULL, sequence INTEGER NOT NULL,
              count INTEGER NOT NULL, at INTEGER NOT NULL, hash BLOB NOT NULL,
              PRIMARY KEY (shard, sequence)) WITHOUT ROWID;
            CREATE TABLE ledger_late (entry INTEGER PRIMARY KEY, account INTEGER NOT NULL,
              posting INTEGER NOT NULL, bucket INTEGER NOT NULL);",
        postgres: "CREATE TABLE ledger_account (id BIGINT PRIMARY KEY, bucket BIGINT NOT NULL,
              shard BIGINT NOT NULL, currency TEXT NOT NULL, name TEXT, wallet BYTEA UNIQUE,
              owner BYTEA, kind TEXT NOT NULL, label TEXT NOT NULL, description TEXT,
              metadata TEXT NOT NULL, created BIGINT NOT NULL, UNIQUE (shard, currency, name));
            CREATE INDEX ledger_account_owner ON ledger_account (owner) WHERE owner IS NOT NULL;
            CREATE TABLE ledger_balance (account BIGINT NOT NULL, bucket BIGINT NOT NULL,
              debits_posted BIGINT NOT NULL, credits_posted BIGINT NOT NULL,
              debits_held BIGINT NOT NULL, credits_held BIGINT NOT NULL,
              debits_released BIGINT NOT NULL, credits_released BIGINT NOT NULL,
              entries BIGINT NOT NULL, PRIMARY KEY (bucket, account)) WITH (fillfactor = 50);
            CREATE TABLE ledger_posting (id BIGINT NOT NULL, tail BIGINT NOT NULL,
              bucket BIGINT NOT NULL, debit BIGINT NOT NULL, credit BIGINT NOT NULL,
              effect BIGINT NOT NULL, amount BIGINT NOT NULL, debit_balance BIGINT NOT NULL,
              credit_balance BIGINT NOT NULL, seal BIGINT NOT NULL,
              PRIMARY KEY (bucket, id, tail));
            CREATE TABLE ledger_hold (id BIGINT NOT NULL, tail BIGINT NOT NULL,
              bucket BIGINT NOT NULL, wallet BYTEA NOT NULL, rail TEXT NOT NULL,
              currency TEXT NOT NULL, amount BIGINT NOT NULL, state BIGINT NOT NULL,
              PRIMARY KEY (bucket, id, tail));
            CREATE TABLE ledger_mark (id BIGINT NOT NULL, tail BIGINT NOT NULL,
              bucket BIGINT NOT NULL, verdict BIGINT NOT NULL, PRIMARY KEY (bucket, id, tail));
            CREATE TABLE ledger_seal (shard BIGINT NOT NULL, sequence BIGINT NOT NULL,
              count BIGINT NOT NULL, at BIGINT NOT NULL, hash BYTEA NOT NULL,
              PRIMARY KEY (shard, sequence));
            CREATE TABLE ledger_late (entry BIGINT PRIMARY KEY, account BIGINT NOT NULL,
              posting BIGINT NOT NULL, bucket BIGINT NOT NULL);",
    },
    Migration {
        owner: "ledger",
        version: 2,
        name: "by_account",
        sqlite: late_tables!(sqlite, many, "ledger_by_account"),
        postgres: late_tables!(postgres, many, "ledger_by_account"),
    },
    Migration {
        owner: "ledger",
        version: 3,
        name: "inbound",
        sqlite: "ALTER TABLE ledger_hold ADD COLUMN inbound INTEGER NOT NULL DEFAULT 0;",
        postgres: "ALTER TABLE ledger_hold ADD COLUMN inbound BIGINT NOT NULL DEFAULT 0;",
    },
    Migration {
        owner: "ledger",
        version: 4,
        name: "two_legs",
        sqlite: "ALTER TABLE ledger_hold ADD COLUMN plan BLOB;",
        postgres: "ALTER TABLE ledger_hold ADD COLUMN plan BYTEA;",
    },
];

static NEW_ACCOUNT: Insert<12> = Insert::new(
    "ledger_account",
    [
        ("id", Kind::Int),
        ("bucket", Kind::Int),
        ("shard", Kind::Int),
        ("currency", Kind::Text),
        ("name", Kind::Text),
        ("wallet", Kind::Blob),
        ("owner", Kind::Blob),
        ("kind", Kind::Text),
        ("label", Kind::Text),
        ("description", Kind::Text),
        ("metadata", Kind::Text),
        ("created", Kind::Int),
    ],
    OnConflict::None,
);
static NEW_BALANCE: Insert<9> = Insert::new(
    "ledger_balance",
    [
        ("account", Kind::Int),
        ("bucket", Kind::Int),
        ("debits_posted", Kind::Int),
        ("credits_posted", Kind::Int),
        ("debits_held", Kind::Int),
        ("credits_held", Kind::Int),
        ("debits_released", Kind::Int),
        ("credits_released", Kind::Int),
        ("entries", Kind::Int),
    ],
    OnConflict::None,
);
/// The number of entries that is expected is the compare-and-set.
static BALANCE: Update<3, 7> = Update::new(
    "ledger_balance",
    [("bucket", Kind::Int), ("account", Kind::Int), ("entries", Kind::Int)],
    [
        ("debits_posted", Kind::Int),
        ("credits_posted", Kind::Int),
        ("debits_held", Kind::Int),
        ("credits_held", Kind::Int),
        ("debits_released", Kind::Int),
        ("credits_released", Kind::Int),
        ("entries", Kind::Int),
    ],
);
const COUNTERS: &[&str] = &[
    "account",
    "debits_posted",
    "credits_posted",
    "debits_held",
    "credits_held",
    "debits_released",
    "credits_released",
    "entries",
];
static BALANCES: Select<2> =
    Select::new("ledger_balance", COUNTERS, [("bucket", Kind::Int), ("account", Kind::Int)]);
const ACCOUNT: &[&str] = &["id", "bucket", "shard", "currency", "name", "wallet"];
static BY_WALLET: Select<1> = Select::new("ledger_account", ACCOUNT, [("wallet", Kind::Blob)]);
static BY_NAME: Select<3> = Select::new(
    "ledger_account",
    ACCOUNT,
    [("shard", Kind::Int), ("currency", Kind::Text), ("name", Kind::Text)],
);
static NEW_POSTING: Insert<10> = Insert::new(
    "ledger_posting",
    [
        ("id", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("debit", Kind::Int),
        ("credit", Kind::Int),
        ("effect", Kind::Int),
        ("amount", Kind::Int),
        ("debit_balance", Kind::Int),
        ("credit_balance", Kind::Int),
        ("seal", Kind::Int),
    ],
    OnConflict::None,
);
const THREE: [(&str, Kind); 3] = [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int)];
static MOVED: Select<3> = Select::new("ledger_posting", &["id", "tail", "debit", "amount"], THREE);
static MARKED: Select<3> = Select::new("ledger_mark", &["id", "tail"], THREE);
static NEW_MARK: Insert<4> = Insert::new(
    "ledger_mark",
    [("id", Kind::Int), ("tail", Kind::Int), ("bucket", Kind::Int), ("verdict", Kind::Int)],
    OnConflict::None,
);
static NEW_HOLD: Insert<10> = Insert::new(
    "ledger_hold",
    [
        ("id", Kind::Int),
        ("tail", Kind::Int),
        ("bucket", Kind::Int),
        ("wallet", Kind::Blob),
        ("rail", Kind::Text),
        ("currency", Kind::Text),
        ("amount", Kind::Int),
        ("state", Kind::Int),
        ("inbound", Kind::Int),
        ("plan", Kind::Blob),
    ],
    OnConflict::None,
);
const HOLD: &[&str] =
    &["id", "tail", "wallet", "rail", "currency", "amount", "state", "inbound", "plan"];
static HOLDS: Select<3> = Select::new("ledger_hold", HOLD, THREE);
static HOLD_STATE: Update<4, 1> = Update::new(
    "ledger_hold",
    [("bucket", Kind::Int), ("id", Kind::Int), ("tail", Kind::Int), ("state", Kind::Int)],
    [("state", Kind::Int)],
);
static NEW_SEAL: Insert<5> = Insert::new(
    "ledger_seal",
    [
        ("shard", Kind::Int),
        ("sequence", Kind::Int),
        ("count", Kind::Int),
        ("at", Kind::Int),
        ("hash", Kind::Blob),
    ],
    OnConflict::None,
);
static NEW_LATE: Insert<4> = Insert::new(
    "ledger_late",
    [("entry", Kind::Int), ("account", Kind::Int), ("posting", Kind::Int), ("bucket", Kind::Int)],
    OnConflict::None,
);
static LATE: Select<1> = Select::new("ledger_late", &["entry", "posting"], [("entry", Kind::Int)]);

/// A corrupt row, by what is wrong with it.
fn corrupt(what: &str) -> store::Error {
    store::Error::Other(format!("the ledger's tables hold {what}"))
}
