//! Who may do what: keys and accounts as events of `accounts`, kept as a projection in memory.
//!
//! Nothing is asked synchronously on the way of a write: the projection is part of the commit that
//! made the key or account, and is readable once that commit is durable.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    Code, Refusal,
    accounts::{AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked},
    ids::{AccountId, KeyId},
};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use store::{Insert, Kind, Migration, OnConflict, Sql, Tx, Value};

use crate::{
    handlers::Handle,
    work::{Delivered, Fault, Work},
};

/// The projection's name among consumers.
pub(crate) const CONSUMER: &str = "access";

pub(crate) static MIGRATIONS: &[Migration] = &[Migration {
    owner: "access",
    version: 1,
    name: "keys_and_accounts",
    sqlite: "CREATE TABLE access_key (hash BLOB PRIMARY KEY, key BLOB NOT NULL,
          account BLOB NOT NULL, scopes TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE access_account (account BLOB PRIMARY KEY, facilitator BLOB NOT NULL,
          name TEXT NOT NULL, email TEXT, capabilities TEXT NOT NULL) WITHOUT ROWID;",
    postgres: "CREATE TABLE access_key (hash BYTEA PRIMARY KEY, key BYTEA NOT NULL,
          account BYTEA NOT NULL, scopes TEXT NOT NULL);
        CREATE TABLE access_account (account BYTEA PRIMARY KEY, facilitator BYTEA NOT NULL,
          name TEXT NOT NULL, email TEXT, capabilities TEXT NOT NULL);",
}];

static NEW_KEY: Insert<4> = Insert::new(
    "access_key",
    [("hash", Kind::Blob), ("key", Kind::Blob), ("account", Kind::Blob), ("scopes", Kind::Text)],
    OnConflict::Nothing,
);
static NEW_ACCOUNT: Insert<5> = Insert::new(
    "access_account",
    [
        ("account", Kind::Blob),
        ("facilitator", Kind::Blob),
        ("name", Kind::Text),
        ("email", Kind::Text),
        ("capabilities", Kind::Text),
    ],
    OnConflict::Nothing,
);
static DROP_KEY: Sql = Sql::new("DELETE FROM access_key WHERE hash = $1");
static CAPABILITIES: Sql =
    Sql::new("UPDATE access_account SET capabilities = $1 WHERE account = $2");
static ALL_KEYS: Sql = Sql::new("SELECT hash, key, account, scopes FROM access_key");
static ALL_ACCOUNTS: Sql =
    Sql::new("SELECT account, facilitator, name, email, capabilities FROM access_account");
static ONE_ACCOUNT: Sql = Sql::new("SELECT capabilities FROM access_account WHERE account = $1");

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's account; `None` for another service or for nobody.
    pub account: Option<AccountId>,
    /// The key may use the operations API.
    pub operator: bool,
    scopes: Arc<[String]>,
}

impl Caller {
    pub(crate) fn nobody() -> Self {
        Self { account: None, operator: false, scopes: Arc::new([]) }
    }
    pub(crate) fn service() -> Self {
        Self { account: None, operator: true, scopes: Arc::new([]) }
    }
    /// The key's account; refused where there is none.
    pub fn account(&self) -> Result<AccountId, Refusal> {
        self.account.ok_or_else(|| Refusal::new(Code::Unauthenticated, "an API key is needed"))
    }
}

/// What the platform knows of an account without asking.
#[derive(Clone, Debug)]
pub struct KnownAccount {
    /// The platform account it is connected to; itself for the platform's own.
    pub facilitator: AccountId,
    pub display_name: String,
    pub email: Option<String>,
    pub capabilities: Vec<String>,
}

struct KnownKey {
    id: KeyId,
    account: AccountId,
    scopes: Arc<[String]>,
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// The projection of keys and accounts.
#[derive(Default)]
pub struct Access {
    keys: RwLock<Map<[u8; 32], KnownKey>>,
    accounts: RwLock<Map<AccountId, Arc<KnownAccount>>>,
}

impl Access {
    /// The caller that these headers name; 401 where they name none.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let refused = || Refusal::new(Code::Unauthenticated, "no valid API key");
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let basic = value.and_then(|value| value.strip_prefix("Basic ")).ok_or_else(refused)?;
        let pair = STANDARD.decode(basic.trim()).map_err(|_| refused())?;
        let hash: [u8; 32] = Sha256::digest(&pair).into();
        let keys = self.keys.read();
        let key = keys.get(&hash).ok_or_else(refused)?;
        let operator = key.scopes.iter().any(|scope| scope == "operator");
        Ok(Caller { account: Some(key.account), operator, scopes: Arc::clone(&key.scopes) })
    }
    /// Whether a caller may use an account with a scope: 404 where the account is not its own or
    /// connected to it, 403 where the key lacks the scope.
    pub(crate) fn allows(
        &self,
        caller: &Caller,
        account: AccountId,
        scope: &str,
    ) -> Result<(), Refusal> {
        let own = caller.account()?;
        let known = self.account(account).ok_or_else(|| Refusal::not_found("account"))?;
        if account != own && known.facilitator != own {
            return Err(Refusal::not_found("account"));
        }
        let all = caller.scopes.is_empty() || caller.operator;
        if all || caller.scopes.iter().any(|held| held == scope) {
            Ok(())
        } else {
            Err(Refusal::new(Code::Forbidden, format!("the key lacks the scope {scope}")))
        }
    }
    /// What is known of an account.
    pub fn account(&self, account: AccountId) -> Option<Arc<KnownAccount>> {
        self.accounts.read().get(&account).cloned()
    }
    pub(crate) fn load(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let bad = || store::Error::Other("an id has 16 bytes".to_owned());
        let keys = tx.query(&ALL_KEYS, &[], |row| {
            let hash = row.bytes::<32>(0)?;
            let id = KeyId::from_slice(row.blob(1)?).ok_or_else(bad)?;
            let account = AccountId::from_slice(row.blob(2)?).ok_or_else(bad)?;
            Ok((hash, KnownKey { id, account, scopes: split(row.text(3)?).into() }))
        })?;
        let accounts = tx.query(&ALL_ACCOUNTS, &[], |row| {
            let id = AccountId::from_slice(row.blob(0)?).ok_or_else(bad)?;
            let facilitator = AccountId::from_slice(row.blob(1)?).ok_or_else(bad)?;
            let known = KnownAccount {
                facilitator,
                display_name: row.text(2)?.to_string(),
                email: row.opt_text(3)?.map(str::to_owned),
                capabilities: split(row.text(4)?),
            };
            Ok((id, Arc::new(known)))
        })?;
        *self.keys.write() = keys.into_iter().collect();
        *self.accounts.write() = accounts.into_iter().collect();
        Ok(())
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The projection's consumer. Where several processes share a database, the one that runs accounts
/// keeps the tables, and each keeps its own memory; else both are one.
pub(crate) struct Projection {
    pub access: Arc<Access>,
    pub tables: bool,
    pub memory: bool,
}

impl Projection {
    /// Changes memory once the commit is durable.
    fn remember(&self, work: &mut Work<'_, '_>, change: impl FnOnce(&Access) + Send + 'static) {
        if self.memory {
            let access = Arc::clone(&self.access);
            work.after_commit(move || change(&access));
        }
    }
}

impl Handle<KeyCreated> for Projection {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<KeyCreated>],
    ) -> Result<(), Fault> {
        for event in batch {
            let key = &event.data;
            let hash: [u8; 32] = key
                .hash
                .as_slice()
                .try_into()
                .map_err(|_| Fault::Poison("a key's hash has 32 bytes".to_owned()))?;
            if self.tables {
                let scopes = key.scopes.join(" ");
                work.tx.insert_many(&NEW_KEY, &[(key, hash, scopes)], |(key, hash, scopes)| {
                    [
                        Value::Blob(hash),
                        Value::Blob(key.key_id.as_bytes()),
                        Value::Blob(key.account_id.as_bytes()),
                        Value::Text(scopes),
                    ]
                })?;
            }
            let scopes: Arc<[String]> = key.scopes.clone().into();
            let known = KnownKey { id: key.key_id, account: key.account_id, scopes };
            self.remember(work, move |access| {
                access.keys.write().insert(hash, known);
            });
        }
        Ok(())
    }
}

impl Handle<KeyRevoked> for Projection {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<KeyRevoked>],
    ) -> Result<(), Fault> {
        for event in batch {
            if self.tables {
                work.tx.execute(&DROP_KEY, &[Value::Blob(&event.data.hash)])?;
            }
            let id = event.data.key_id;
            self.remember(work, move |access| access.keys.write().retain(|_, key| key.id != id));
        }
        Ok(())
    }
}

impl Handle<AccountCreated> for Projection {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<AccountCreated>],
    ) -> Result<(), Fault> {
        if self.tables {
            work.tx.insert_many(&NEW_ACCOUNT, batch, |event| {
                [
                    Value::Blob(event.data.account_id.as_bytes()),
                    Value::Blob(event.data.facilitator_id.as_bytes()),
                    Value::Text(&event.data.display_name),
                    event.data.email.as_deref().map_or(Value::Null, Value::Text),
                    Value::Text(""),
                ]
            })?;
        }
        for event in batch {
            let known = Arc::new(KnownAccount {
                facilitator: event.data.facilitator_id,
                display_name: event.data.display_name.clone(),
                email: event.data.email.clone(),
                capabilities: Vec::new(),
            });
            let id = event.data.account_id;
            self.remember(work, move |access| {
                access.accounts.write().insert(id, known);
            });
        }
        Ok(())
    }
}

impl Handle<CapabilityUpdated> for Projection {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<CapabilityUpdated>],
    ) -> Result<(), Fault> {
        for event in batch {
            let change = event.data.clone();
            if self.tables {
                let account = [Value::Blob(change.account_id.as_bytes())];
                let held =
                    work.tx.query_one(&ONE_ACCOUNT, &account, |row| Ok(split(row.text(0)?)))?;
                let held = changed(held.unwrap_or_default(), &change).join(" ");
                work.tx.execute(&CAPABILITIES, &[Value::Text(&held), account[0]])?;
            }
            self.remember(work, move |access| {
                if let Some(known) = access.accounts.write().get_mut(&change.account_id) {
                    let known = Arc::make_mut(known);
                    known.capabilities = changed(std::mem::take(&mut known.capabilities), &change);
                }
            });
        }
        Ok(())
    }
}

fn changed(mut held: Vec<String>, change: &CapabilityUpdated) -> Vec<String> {
    held.retain(|name| *name != change.capability);
    if change.enabled {
        held.push(change.capability.clone());
    }
    held
}
