//! The tables of accounts, and every statement on them.

use contracts::{
    Timestamp,
    ids::{AccountId, KeyId},
};
use store::{
    Error, Insert, Kind, Migration, OnConflict, Result, Row, Select, Sql, Tx, Update, Value,
};

use crate::domain::{Account, Capability, Key};

/// The tables that this service owns.
pub static TABLES: &[&str] = &["accounts_account", "accounts_capability", "accounts_key"];

/// How they are made.
pub static MIGRATIONS: &[Migration] = &[Migration {
    owner: "accounts",
    version: 1,
    name: "accounts_capabilities_keys",
    sqlite: "CREATE TABLE accounts_account (id BLOB PRIMARY KEY, facilitator BLOB NOT NULL,
          platform INTEGER, account_type TEXT NOT NULL, profile TEXT NOT NULL, foreign_id TEXT,
          metadata TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL)
          WITHOUT ROWID;
        CREATE INDEX accounts_account_facilitator ON accounts_account (facilitator, id);
        CREATE UNIQUE INDEX accounts_account_platform ON accounts_account (platform)
          WHERE platform = 1;
        CREATE TABLE accounts_capability (account BLOB NOT NULL, name TEXT NOT NULL,
          enabled INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
          PRIMARY KEY (account, name)) WITHOUT ROWID;
        CREATE TABLE accounts_key (id BLOB PRIMARY KEY, account BLOB NOT NULL,
          public TEXT NOT NULL UNIQUE, hash BLOB NOT NULL UNIQUE, scopes TEXT NOT NULL,
          created INTEGER NOT NULL, revoked INTEGER) WITHOUT ROWID;",
    postgres: "CREATE TABLE accounts_account (id BYTEA PRIMARY KEY, facilitator BYTEA NOT NULL,
          platform BIGINT, account_type TEXT NOT NULL, profile TEXT NOT NULL, foreign_id TEXT,
          metadata TEXT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL);
        CREATE INDEX accounts_account_facilitator ON accounts_account (facilitator, id);
        CREATE UNIQUE INDEX accounts_account_platform ON accounts_account (platform)
          WHERE platform = 1;
        CREATE TABLE accounts_capability (account BYTEA NOT NULL, name TEXT NOT NULL,
          enabled BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL,
          PRIMARY KEY (account, name));
        CREATE TABLE accounts_key (id BYTEA PRIMARY KEY, account BYTEA NOT NULL,
          public TEXT NOT NULL UNIQUE, hash BYTEA NOT NULL UNIQUE, scopes TEXT NOT NULL,
          created BIGINT NOT NULL, revoked BIGINT);",
}];

static NEW_ACCOUNT: Insert<9> = Insert::new(
    "accounts_account",
    [
        ("id", Kind::Blob),
        ("facilitator", Kind::Blob),
        ("platform", Kind::Int),
        ("account_type", Kind::Text),
        ("profile", Kind::Text),
        ("foreign_id", Kind::Text),
        ("metadata", Kind::Text),
        ("created", Kind::Int),
        ("updated", Kind::Int),
    ],
    OnConflict::None,
);
static ACCOUNTS: Select<1> = Select::new(
    "accounts_account",
    &[
        "id",
        "facilitator",
        "account_type",
        "profile",
        "foreign_id",
        "metadata",
        "created",
        "updated",
    ],
    [("id", Kind::Blob)],
);
static PLATFORM: Sql = Sql::new("SELECT id FROM accounts_account WHERE platform = 1");
static VISIBLE: Sql = Sql::new(
    "SELECT id, facilitator, account_type, profile, foreign_id, metadata, created, updated \
     FROM accounts_account WHERE facilitator = $1 OR id = $1 ORDER BY id LIMIT $2 OFFSET $3",
);
static SAVE_CAPABILITY: Insert<5> = Insert::new(
    "accounts_capability",
    [
        ("account", Kind::Blob),
        ("name", Kind::Text),
        ("enabled", Kind::Int),
        ("created", Kind::Int),
        ("updated", Kind::Int),
    ],
    OnConflict::Update { key: &["account", "name"], set: &["enabled", "updated"] },
);
static CAPABILITIES: Sql = Sql::new(
    "SELECT account, name, enabled, created, updated FROM accounts_capability \
     WHERE account = $1 ORDER BY name",
);
static NEW_KEY: Insert<6> = Insert::new(
    "accounts_key",
    [
        ("id", Kind::Blob),
        ("account", Kind::Blob),
        ("public", Kind::Text),
        ("hash", Kind::Blob),
        ("scopes", Kind::Text),
        ("created", Kind::Int),
    ],
    OnConflict::None,
);
static KEYS: Select<1> = Select::new(
    "accounts_key",
    &["id", "account", "public", "hash", "scopes", "created", "revoked"],
    [("id", Kind::Blob)],
);
static ALL_KEYS: Sql = Sql::new(
    "SELECT id, account, public, hash, scopes, created, revoked FROM accounts_key \
     ORDER BY id LIMIT $1 OFFSET $2",
);
static REVOKE_KEY: Update<1, 1> =
    Update::new("accounts_key", [("id", Kind::Blob)], [("revoked", Kind::Int)]);

fn account(row: &Row<'_>) -> Result<Account> {
    let bad = |error: serde_json::Error| Error::Other(format!("accounts_account: {error}"));
    Ok(Account {
        id: account_id(row, 0)?,
        facilitator: account_id(row, 1)?,
        account_type: row.text(2)?.to_owned(),
        profile: serde_json::from_str(row.text(3)?).map_err(bad)?,
        foreign_id: row.opt_text(4)?.map(str::to_owned),
        metadata: serde_json::from_str(row.text(5)?).map_err(bad)?,
        created: Timestamp(row.int(6)?),
        updated: Timestamp(row.int(7)?),
    })
}

fn account_id(row: &Row<'_>, column: usize) -> Result<AccountId> {
    AccountId::from_slice(row.blob(column)?)
        .ok_or_else(|| Error::Other("an account's id has 16 bytes".to_owned()))
}

fn key(row: &Row<'_>) -> Result<Key> {
    let id = KeyId::from_slice(row.blob(0)?)
        .ok_or_else(|| Error::Other("a key's id has 16 bytes".to_owned()))?;
    Ok(Key {
        id,
        account: account_id(row, 1)?,
        public: row.text(2)?.to_owned(),
        hash: row.bytes::<32>(3)?,
        scopes: row.text(4)?.split_whitespace().map(str::to_owned).collect(),
        created: Timestamp(row.int(5)?),
        revoked: row.opt_int(6)?.map(Timestamp),
    })
}

/// Adds accounts.
pub fn insert_accounts(tx: &mut Tx<'_>, accounts: &[Account]) -> Result<()> {
    let texts: Vec<(String, String)> = accounts
        .iter()
        .map(|account| {
            let profile = serde_json::to_string(&account.profile).expect("a profile is plain data");
            let metadata = serde_json::to_string(&account.metadata).expect("text to text");
            (profile, metadata)
        })
        .collect();
    tx.insert_many(&NEW_ACCOUNT, accounts.iter().zip(&texts), |(account, (profile, metadata))| {
        let platform = (account.id == account.facilitator).then_some(1i64);
        [
            Value::Blob(account.id.as_bytes()),
            Value::Blob(account.facilitator.as_bytes()),
            platform.into(),
            Value::Text(&account.account_type),
            Value::Text(profile),
            account.foreign_id.as_ref().into(),
            Value::Text(metadata),
            Value::Int(account.created.0),
            Value::Int(account.updated.0),
        ]
    })?;
    Ok(())
}

/// Those of these accounts that there are.
pub fn load_accounts(tx: &mut Tx<'_>, ids: &[AccountId]) -> Result<Vec<Account>> {
    tx.select_many(&ACCOUNTS, ids, |id| [Value::Blob(id.as_bytes())], account)
}

/// The platform's own account, once there is one.
pub fn load_platform(tx: &mut Tx<'_>) -> Result<Option<AccountId>> {
    tx.query_one(&PLATFORM, &[], |row| account_id(row, 0))
}

/// An account and those connected to it, oldest first.
pub fn list_accounts(
    tx: &mut Tx<'_>,
    own: AccountId,
    count: i64,
    skip: i64,
) -> Result<Vec<Account>> {
    let values = [Value::Blob(own.as_bytes()), Value::Int(count), Value::Int(skip)];
    tx.query(&VISIBLE, &values, account)
}

/// Adds or changes capabilities.
pub fn save_capabilities(tx: &mut Tx<'_>, changed: &[Capability]) -> Result<()> {
    tx.insert_many(&SAVE_CAPABILITY, changed, |capability| {
        [
            Value::Blob(capability.account.as_bytes()),
            Value::Text(&capability.name),
            capability.enabled.into(),
            Value::Int(capability.created.0),
            Value::Int(capability.updated.0),
        ]
    })?;
    Ok(())
}

/// The capabilities of an account, by name.
pub fn list_capabilities(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<Capability>> {
    tx.query(&CAPABILITIES, &[Value::Blob(account.as_bytes())], |row| {
        Ok(Capability {
            account: account_id(row, 0)?,
            name: row.text(1)?.to_owned(),
            enabled: row.bool(2)?,
            created: Timestamp(row.int(3)?),
            updated: Timestamp(row.int(4)?),
        })
    })
}

/// Adds keys.
pub fn insert_keys(tx: &mut Tx<'_>, keys: &[Key]) -> Result<()> {
    let scopes: Vec<String> = keys.iter().map(|key| key.scopes.join(" ")).collect();
    tx.insert_many(&NEW_KEY, keys.iter().zip(&scopes), |(key, scopes)| {
        [
            Value::Blob(key.id.as_bytes()),
            Value::Blob(key.account.as_bytes()),
            Value::Text(&key.public),
            Value::Blob(&key.hash),
            Value::Text(scopes),
            Value::Int(key.created.0),
        ]
    })?;
    Ok(())
}

/// Those of these keys that there are.
pub fn load_keys(tx: &mut Tx<'_>, ids: &[KeyId]) -> Result<Vec<Key>> {
    tx.select_many(&KEYS, ids, |id| [Value::Blob(id.as_bytes())], key)
}

/// All keys, oldest first.
pub fn list_keys(tx: &mut Tx<'_>, count: i64, skip: i64) -> Result<Vec<Key>> {
    tx.query(&ALL_KEYS, &[Value::Int(count), Value::Int(skip)], key)
}

/// Saves when these keys were revoked.
pub fn update_revoked(tx: &mut Tx<'_>, keys: &[Key]) -> Result<()> {
    let hits = tx.update_many(&REVOKE_KEY, keys, |key| {
        let revoked = key.revoked.map(|at| at.0);
        ([Value::Blob(key.id.as_bytes())], [revoked.into()])
    })?;
    assert_eq!(hits, keys.len() as u64, "keys are never deleted");
    Ok(())
}
