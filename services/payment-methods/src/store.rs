//! The tables of payment-methods, and every statement on them.

mod cards;
mod corrections;
mod known;
mod micro_deposits;
mod shared_read;
#[cfg(test)]
mod tests;

use contracts::{
    Currency, Timestamp,
    ids::{AccountId, BankAccountId, CardId, PaymentMethodId, WalletId},
};
use runtime::Fault;
use store::{
    Error, Insert, Kind, Migration, OnConflict, Result, Row, Select, Sql, Tx, Update, Value,
};

use crate::domain::{
    BankAccount, Exception, Kind as MethodKind, Method, Reason, Source, Status,
    sealing::{Sealed, SealingKey},
};

pub use cards::{insert_cards, is_card_linked, list_cards, load_cards, update_cards};
pub use corrections::{correct_bank, insert_correction, is_corrected};
pub use known::{Found, Known};
pub use micro_deposits::{insert_deposits, list_expiring, load_deposits, newest_deposits};
pub use shared_read::SharedRead;

macro_rules! method_types {
    () => {
        "ALTER TABLE payment_methods_method ADD COLUMN kind TEXT NOT NULL DEFAULT 'moov-wallet';
         UPDATE payment_methods_method SET kind = 'rtp-credit' WHERE rail = 'rtp';
         ALTER TABLE payment_methods_method DROP COLUMN rail;"
    };
}

/// The tables that this service owns.
pub static TABLES: &[&str] = &[
    "payment_methods_sealing_key",
    "payment_methods_bank_account",
    "payment_methods_card",
    "payment_methods_correction",
    "payment_methods_deposit",
    "payment_methods_method",
];

/// How they are made. All are cold tables but for the look-up of a method by its id, one row of
/// about 120 bytes in the primary key itself.
pub static MIGRATIONS: &[Migration] =
    &[FIRST, METHOD_TYPES, cards::CARDS, corrections::CORRECTIONS, micro_deposits::DEPOSITS];

const FIRST: Migration = Migration {
    owner: "payment-methods",
    version: 1,
    name: "bank_accounts_and_methods",
    sqlite: "CREATE TABLE payment_methods_sealing_key (version INTEGER PRIMARY KEY,
          key_check BLOB NOT NULL);
        CREATE TABLE payment_methods_bank_account (id BLOB PRIMARY KEY, account BLOB NOT NULL,
          fingerprint BLOB NOT NULL, status TEXT NOT NULL, holder_name TEXT NOT NULL,
          holder_type TEXT NOT NULL, bank_account_type TEXT NOT NULL, routing_number TEXT NOT NULL,
          last_four TEXT NOT NULL, key_version INTEGER NOT NULL, sealed BLOB NOT NULL,
          attempts INTEGER NOT NULL, disabled INTEGER, created INTEGER NOT NULL,
          updated INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX payment_methods_bank_account_of ON payment_methods_bank_account (account, id);
        CREATE UNIQUE INDEX payment_methods_bank_account_once
          ON payment_methods_bank_account (account, fingerprint) WHERE disabled IS NULL;
        CREATE TABLE payment_methods_method (id BLOB PRIMARY KEY, version INTEGER NOT NULL,
          account BLOB NOT NULL, enabled INTEGER NOT NULL, wallet BLOB, bank_account BLOB,
          rail TEXT, currency TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL)
          WITHOUT ROWID;
        CREATE INDEX payment_methods_method_of ON payment_methods_method (account, id);",
    postgres: "CREATE TABLE payment_methods_sealing_key (version BIGINT PRIMARY KEY,
          key_check BYTEA NOT NULL);
        CREATE TABLE payment_methods_bank_account (id BYTEA PRIMARY KEY, account BYTEA NOT NULL,
          fingerprint BYTEA NOT NULL, status TEXT NOT NULL, holder_name TEXT NOT NULL,
          holder_type TEXT NOT NULL, bank_account_type TEXT NOT NULL, routing_number TEXT NOT NULL,
          last_four TEXT NOT NULL, key_version BIGINT NOT NULL, sealed BYTEA NOT NULL,
          attempts BIGINT NOT NULL, disabled BIGINT, created BIGINT NOT NULL,
          updated BIGINT NOT NULL);
        CREATE INDEX payment_methods_bank_account_of ON payment_methods_bank_account (account, id);
        CREATE UNIQUE INDEX payment_methods_bank_account_once
          ON payment_methods_bank_account (account, fingerprint) WHERE disabled IS NULL;
        CREATE TABLE payment_methods_method (id BYTEA PRIMARY KEY, version BIGINT NOT NULL,
          account BYTEA NOT NULL, enabled BIGINT NOT NULL, wallet BYTEA, bank_account BYTEA,
          rail TEXT, currency TEXT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL);
        CREATE INDEX payment_methods_method_of ON payment_methods_method (account, id);",
};

/// Several methods of one bank account share a rail, so that the type is stored and the rail
/// follows from it.
const METHOD_TYPES: Migration = Migration {
    owner: "payment-methods",
    version: 2,
    name: "method_types",
    sqlite: method_types!(),
    postgres: method_types!(),
};

static NEW_BANK: Insert<15> = Insert::new(
    "payment_methods_bank_account",
    [
        ("id", Kind::Blob),
        ("account", Kind::Blob),
        ("fingerprint", Kind::Blob),
        ("status", Kind::Text),
        ("holder_name", Kind::Text),
        ("holder_type", Kind::Text),
        ("bank_account_type", Kind::Text),
        ("routing_number", Kind::Text),
        ("last_four", Kind::Text),
        ("key_version", Kind::Int),
        ("sealed", Kind::Blob),
        ("attempts", Kind::Int),
        ("created", Kind::Int),
        ("updated", Kind::Int),
        ("reason", Kind::Text),
    ],
    OnConflict::None,
);
static BANKS: Select<1> = Select::new(
    "payment_methods_bank_account",
    &[
        "id",
        "account",
        "fingerprint",
        "status",
        "holder_name",
        "holder_type",
        "bank_account_type",
        "routing_number",
        "last_four",
        "key_version",
        "sealed",
        "attempts",
        "disabled",
        "created",
        "updated",
        "reason",
        "exception",
        "exception_meaning",
        "named_until",
    ],
    [("id", Kind::Blob)],
);
static BANKS_OF: Sql = Sql::new(
    "SELECT id, account, fingerprint, status, holder_name, holder_type, bank_account_type, \
     routing_number, last_four, key_version, sealed, attempts, disabled, created, updated, \
     reason, exception, exception_meaning, named_until FROM payment_methods_bank_account WHERE account = $1 AND disabled IS NULL ORDER BY id",
);
static SAVE_BANK: Update<1, 8> = Update::new(
    "payment_methods_bank_account",
    [("id", Kind::Blob)],
    [
        ("status", Kind::Text),
        ("attempts", Kind::Int),
        ("disabled", Kind::Int),
        ("updated", Kind::Int),
        ("reason", Kind::Text),
        ("exception", Kind::Text),
        ("exception_meaning", Kind::Text),
        ("named_until", Kind::Int),
    ],
);
static LINKED: Sql = Sql::new(
    "SELECT 1 FROM payment_methods_bank_account \
     WHERE account = $1 AND fingerprint = $2 AND disabled IS NULL",
);
static NEW_METHOD: Insert<11> = Insert::new(
    "payment_methods_method",
    [
        ("id", Kind::Blob),
        ("version", Kind::Int),
        ("account", Kind::Blob),
        ("enabled", Kind::Int),
        ("wallet", Kind::Blob),
        ("bank_account", Kind::Blob),
        ("card", Kind::Blob),
        ("kind", Kind::Text),
        ("currency", Kind::Text),
        ("created", Kind::Int),
        ("updated", Kind::Int),
    ],
    OnConflict::None,
);
static METHODS: Select<1> = Select::new(
    "payment_methods_method",
    &[
        "id",
        "version",
        "account",
        "enabled",
        "wallet",
        "bank_account",
        "card",
        "kind",
        "currency",
        "created",
        "updated",
    ],
    [("id", Kind::Blob)],
);
static METHODS_OF: Sql = Sql::new(
    "SELECT id, version, account, enabled, wallet, bank_account, card, kind, currency, created, \
     updated FROM payment_methods_method WHERE account = $1 AND enabled = 1 ORDER BY id",
);
static SAVE_METHOD: Update<2, 3> = Update::new(
    "payment_methods_method",
    [("id", Kind::Blob), ("enabled", Kind::Int)],
    [("enabled", Kind::Int), ("version", Kind::Int), ("updated", Kind::Int)],
);
static KEY_CHECK: Sql =
    Sql::new("SELECT key_check FROM payment_methods_sealing_key WHERE version = 1");
static NEW_KEY_CHECK: Sql =
    Sql::new("INSERT INTO payment_methods_sealing_key (version, key_check) VALUES (1, $1)");

fn bad(what: &str) -> Error {
    Error::Other(format!("payment-methods: {what}"))
}

fn account_id(row: &Row<'_>, column: usize) -> Result<AccountId> {
    AccountId::from_slice(row.blob(column)?).ok_or_else(|| bad("an account's id has 16 bytes"))
}

fn bank_id(bytes: &[u8]) -> Result<BankAccountId> {
    BankAccountId::from_slice(bytes).ok_or_else(|| bad("a bank account's id has 16 bytes"))
}

fn bank(row: &Row<'_>) -> Result<BankAccount> {
    let status = row.text(3)?;
    let status = Status::ALL.into_iter().find(|known| known.text() == status);
    Ok(BankAccount {
        id: bank_id(row.blob(0)?)?,
        account: account_id(row, 1)?,
        fingerprint: row.bytes::<32>(2)?,
        status: status.ok_or_else(|| bad("a status is one of five"))?,
        holder_name: row.text(4)?.to_owned(),
        holder_type: row.text(5)?.to_owned(),
        bank_account_type: row.text(6)?.to_owned(),
        routing_number: row.text(7)?.to_owned(),
        last_four: row.text(8)?.to_owned(),
        sealed: Sealed { key_version: row.int(9)?, bytes: row.blob(10)?.to_vec() },
        attempts: row.int(11)?,
        disabled: row.opt_int(12)?.map(Timestamp),
        created: Timestamp(row.int(13)?),
        updated: Timestamp(row.int(14)?),
        reason: row.opt_text(15)?.and_then(Reason::from_text),
        exception: match row.opt_text(16)? {
            Some(code) => {
                let meaning = row.opt_text(17)?.map(str::to_owned);
                Some(Exception { code: code.to_owned(), meaning })
            }
            None => None,
        },
        named_until: row.opt_int(18)?.map(Timestamp),
    })
}

fn method(row: &Row<'_>) -> Result<Method> {
    let id = PaymentMethodId::from_slice(row.blob(0)?);
    let kind = MethodKind::from_text(row.text(7)?);
    let source = match (row.opt_blob(4)?, row.opt_blob(5)?, row.opt_blob(6)?) {
        (Some(wallet), None, None) => WalletId::from_slice(wallet).map(Source::Wallet),
        (None, Some(bank), None) => Some(Source::Bank(bank_id(bank)?)),
        (None, None, Some(card)) => CardId::from_slice(card).map(Source::Card),
        _ => None,
    };
    let typed = source.zip(kind).filter(|(source, kind)| source.has(*kind));
    let (source, kind) = typed.ok_or_else(|| bad("a method has one source, and a type of it"))?;
    Ok(Method {
        id: id.ok_or_else(|| bad("a payment method's id has 16 bytes"))?,
        version: row.int(1)?,
        account: account_id(row, 2)?,
        enabled: row.bool(3)?,
        source,
        kind,
        currency: Currency::new(row.text(8)?).ok_or_else(|| bad("no currency"))?,
        created: Timestamp(row.int(9)?),
        updated: Timestamp(row.int(10)?),
    })
}

/// Refuses to start under another key than the one that sealed what is here; notes the first.
pub fn check_sealing_key(tx: &mut Tx<'_>, key: &SealingKey) -> Result<(), Fault> {
    match tx.query_one(&KEY_CHECK, &[], |row| row.bytes::<32>(0))? {
        Some(known) if known == *key.check() => Ok(()),
        Some(_) => Err(Fault::Poison(
            "the sealing key is not the one that sealed this database's account numbers: restore \
             the file sealing.key that belongs to it"
                .to_owned(),
        )),
        None => {
            tx.execute(&NEW_KEY_CHECK, &[Value::Blob(key.check())])?;
            Ok(())
        }
    }
}

/// Adds bank accounts.
pub fn insert_banks(tx: &mut Tx<'_>, banks: &[BankAccount]) -> Result<()> {
    tx.insert_many(&NEW_BANK, banks, |bank| {
        [
            Value::Blob(bank.id.as_bytes()),
            Value::Blob(bank.account.as_bytes()),
            Value::Blob(&bank.fingerprint),
            Value::Text(bank.status.text()),
            Value::Text(&bank.holder_name),
            Value::Text(&bank.holder_type),
            Value::Text(&bank.bank_account_type),
            Value::Text(&bank.routing_number),
            Value::Text(&bank.last_four),
            Value::Int(bank.sealed.key_version),
            Value::Blob(&bank.sealed.bytes),
            Value::Int(bank.attempts),
            Value::Int(bank.created.0),
            Value::Int(bank.updated.0),
            bank.reason.map(Reason::text).into(),
        ]
    })?;
    Ok(())
}

/// Those of these bank accounts that there are, disabled ones too.
pub fn load_banks(tx: &mut Tx<'_>, ids: &[BankAccountId]) -> Result<Vec<BankAccount>> {
    tx.select_many(&BANKS, ids, |id| [Value::Blob(id.as_bytes())], bank)
}

/// The bank accounts of an account that were not disabled, oldest first.
pub fn list_banks(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<BankAccount>> {
    tx.query(&BANKS_OF, &[Value::Blob(account.as_bytes())], bank)
}

/// Whether an account has linked this bank account already.
pub fn is_linked(tx: &mut Tx<'_>, account: AccountId, fingerprint: &[u8; 32]) -> Result<bool> {
    let values = [Value::Blob(account.as_bytes()), Value::Blob(fingerprint)];
    Ok(tx.query_one(&LINKED, &values, |_| Ok(()))?.is_some())
}

/// Saves what can change of these bank accounts.
pub fn update_banks(tx: &mut Tx<'_>, banks: &[BankAccount]) -> Result<()> {
    let hits = tx.update_many(&SAVE_BANK, banks, |bank| {
        let exception = bank.exception.as_ref();
        let sets = [
            Value::Text(bank.status.text()),
            Value::Int(bank.attempts),
            bank.disabled.map(|at| at.0).into(),
            Value::Int(bank.updated.0),
            bank.reason.map(Reason::text).into(),
            exception.map(|said| said.code.as_str()).into(),
            exception.and_then(|said| said.meaning.as_deref()).into(),
            bank.named_until.map(|at| at.0).into(),
        ];
        ([Value::Blob(bank.id.as_bytes())], sets)
    })?;
    assert_eq!(hits, banks.len() as u64, "bank accounts are never deleted");
    Ok(())
}

/// Adds payment methods.
pub fn insert_methods(tx: &mut Tx<'_>, known: &Known, methods: &[Method]) -> Result<()> {
    known.stage(methods);
    tx.insert_many(&NEW_METHOD, methods, |method| {
        let (mut wallet, mut bank, mut card) = (Value::Null, Value::Null, Value::Null);
        match &method.source {
            Source::Wallet(id) => wallet = Value::Blob(id.as_bytes()),
            Source::Bank(id) => bank = Value::Blob(id.as_bytes()),
            Source::Card(id) => card = Value::Blob(id.as_bytes()),
        }
        [
            Value::Blob(method.id.as_bytes()),
            Value::Int(method.version),
            Value::Blob(method.account.as_bytes()),
            method.enabled.into(),
            wallet,
            bank,
            card,
            Value::Text(method.kind.text()),
            Value::Text(method.currency.as_str()),
            Value::Int(method.created.0),
            Value::Int(method.updated.0),
        ]
    })?;
    Ok(())
}

/// Those of these payment methods that there are, in the order asked, disabled ones too.
pub fn load_methods(tx: &mut Tx<'_>, ids: &[PaymentMethodId]) -> Result<Vec<Method>> {
    tx.select_many(&METHODS, ids, |id| [Value::Blob(id.as_bytes())], method)
}

/// The enabled payment methods of an account.
pub fn list_methods(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<Method>> {
    tx.query(&METHODS_OF, &[Value::Blob(account.as_bytes())], method)
}

/// Saves payment methods that were enabled until now: disabled, or of a higher version.
pub fn update_methods(tx: &mut Tx<'_>, known: &Known, methods: &[Method]) -> Result<()> {
    known.stage(methods);
    let hits = tx.update_many(&SAVE_METHOD, methods, |method| {
        let keys = [Value::Blob(method.id.as_bytes()), Value::Int(1)];
        let sets =
            [method.enabled.into(), Value::Int(method.version), Value::Int(method.updated.0)];
        (keys, sets)
    })?;
    assert_eq!(hits, methods.len() as u64, "only enabled methods change, each once");
    Ok(())
}
