//! The rows of cards.

use contracts::{
    Timestamp,
    ids::{AccountId, CardId},
    payment_methods::{CardAddress, CardVerification},
};
use store::{Insert, Kind, Migration, OnConflict, Result, Row, Select, Sql, Tx, Update, Value};

use super::{account_id, bad};
use crate::domain::{
    cards::{Brand, Card, CardType, Details, Expiry},
    sealing::Sealed,
};

/// A cold table. The number is sealed in `sealed`; a CVV has no column.
pub const CARDS: Migration = Migration {
    owner: "payment-methods",
    version: 3,
    name: "cards",
    sqlite: "CREATE TABLE payment_methods_card (id BLOB PRIMARY KEY, account BLOB NOT NULL,
          fingerprint BLOB NOT NULL, brand TEXT NOT NULL, card_type TEXT NOT NULL,
          bin TEXT NOT NULL, last_four TEXT NOT NULL, expires TEXT NOT NULL, holder_name TEXT,
          address_line1 TEXT, address_line2 TEXT, city TEXT, region TEXT,
          postal_code TEXT NOT NULL, country TEXT, cvv_check TEXT NOT NULL,
          line1_check TEXT NOT NULL, postal_check TEXT NOT NULL, on_file INTEGER NOT NULL,
          merchant BLOB, key_version INTEGER NOT NULL, sealed BLOB NOT NULL, disabled INTEGER,
          created INTEGER NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX payment_methods_card_of ON payment_methods_card (account, id);
        CREATE UNIQUE INDEX payment_methods_card_once
          ON payment_methods_card (account, fingerprint) WHERE disabled IS NULL;
        ALTER TABLE payment_methods_method ADD COLUMN card BLOB;",
    postgres: "CREATE TABLE payment_methods_card (id BYTEA PRIMARY KEY, account BYTEA NOT NULL,
          fingerprint BYTEA NOT NULL, brand TEXT NOT NULL, card_type TEXT NOT NULL,
          bin TEXT NOT NULL, last_four TEXT NOT NULL, expires TEXT NOT NULL, holder_name TEXT,
          address_line1 TEXT, address_line2 TEXT, city TEXT, region TEXT,
          postal_code TEXT NOT NULL, country TEXT, cvv_check TEXT NOT NULL,
          line1_check TEXT NOT NULL, postal_check TEXT NOT NULL, on_file BIGINT NOT NULL,
          merchant BYTEA, key_version BIGINT NOT NULL, sealed BYTEA NOT NULL, disabled BIGINT,
          created BIGINT NOT NULL, updated BIGINT NOT NULL);
        CREATE INDEX payment_methods_card_of ON payment_methods_card (account, id);
        CREATE UNIQUE INDEX payment_methods_card_once
          ON payment_methods_card (account, fingerprint) WHERE disabled IS NULL;
        ALTER TABLE payment_methods_method ADD COLUMN card BYTEA;",
};

static NEW_CARD: Insert<24> = Insert::new(
    "payment_methods_card",
    [
        ("id", Kind::Blob),
        ("account", Kind::Blob),
        ("fingerprint", Kind::Blob),
        ("brand", Kind::Text),
        ("card_type", Kind::Text),
        ("bin", Kind::Text),
        ("last_four", Kind::Text),
        ("key_version", Kind::Int),
        ("sealed", Kind::Blob),
        ("created", Kind::Int),
        ("updated", Kind::Int),
        ("expires", Kind::Text),
        ("holder_name", Kind::Text),
        ("address_line1", Kind::Text),
        ("address_line2", Kind::Text),
        ("city", Kind::Text),
        ("region", Kind::Text),
        ("postal_code", Kind::Text),
        ("country", Kind::Text),
        ("cvv_check", Kind::Text),
        ("line1_check", Kind::Text),
        ("postal_check", Kind::Text),
        ("on_file", Kind::Int),
        ("merchant", Kind::Blob),
    ],
    OnConflict::None,
);
static SAVE_CARD: Update<1, 15> = Update::new(
    "payment_methods_card",
    [("id", Kind::Blob)],
    [
        ("disabled", Kind::Int),
        ("updated", Kind::Int),
        ("expires", Kind::Text),
        ("holder_name", Kind::Text),
        ("address_line1", Kind::Text),
        ("address_line2", Kind::Text),
        ("city", Kind::Text),
        ("region", Kind::Text),
        ("postal_code", Kind::Text),
        ("country", Kind::Text),
        ("cvv_check", Kind::Text),
        ("line1_check", Kind::Text),
        ("postal_check", Kind::Text),
        ("on_file", Kind::Int),
        ("merchant", Kind::Blob),
    ],
);
static CARDS_BY_ID: Select<1> = Select::new(
    "payment_methods_card",
    &[
        "id",
        "account",
        "fingerprint",
        "brand",
        "card_type",
        "bin",
        "last_four",
        "key_version",
        "sealed",
        "disabled",
        "created",
        "updated",
        "expires",
        "holder_name",
        "address_line1",
        "address_line2",
        "city",
        "region",
        "postal_code",
        "country",
        "cvv_check",
        "line1_check",
        "postal_check",
        "on_file",
        "merchant",
    ],
    [("id", Kind::Blob)],
);
static CARDS_OF: Sql = Sql::new(
    "SELECT id, account, fingerprint, brand, card_type, bin, last_four, key_version, sealed, \
     disabled, created, updated, expires, holder_name, address_line1, address_line2, city, region, \
     postal_code, country, cvv_check, line1_check, postal_check, on_file, merchant \
     FROM payment_methods_card WHERE account = $1 AND disabled IS NULL ORDER BY id",
);
static LINKED: Sql = Sql::new(
    "SELECT 1 FROM payment_methods_card \
     WHERE account = $1 AND fingerprint = $2 AND disabled IS NULL",
);

fn text(row: &Row<'_>, column: usize) -> Result<String> {
    Ok(row.text(column)?.to_owned())
}

fn opt_text(row: &Row<'_>, column: usize) -> Result<Option<String>> {
    Ok(row.opt_text(column)?.map(str::to_owned))
}

fn card(row: &Row<'_>) -> Result<Card> {
    let (brand, card_type) = (row.text(3)?, row.text(4)?);
    let brand = Brand::ALL.into_iter().find(|known| known.text() == brand);
    let card_type = CardType::ALL.into_iter().find(|known| known.text() == card_type);
    Ok(Card {
        id: CardId::from_slice(row.blob(0)?).ok_or_else(|| bad("a card's id has 16 bytes"))?,
        account: account_id(row, 1)?,
        fingerprint: row.bytes::<32>(2)?,
        brand: brand.ok_or_else(|| bad("no brand"))?,
        card_type: card_type.ok_or_else(|| bad("no type of card"))?,
        bin: text(row, 5)?,
        last_four: text(row, 6)?,
        sealed: Sealed { key_version: row.int(7)?, bytes: row.blob(8)?.to_vec() },
        details: details(row)?,
        disabled: row.opt_int(9)?.map(Timestamp),
        created: Timestamp(row.int(10)?),
        updated: Timestamp(row.int(11)?),
    })
}

fn details(row: &Row<'_>) -> Result<Details> {
    Ok(Details {
        expires: Expiry(text(row, 12)?),
        holder_name: opt_text(row, 13)?,
        address: CardAddress {
            address_line1: opt_text(row, 14)?,
            address_line2: opt_text(row, 15)?,
            city: opt_text(row, 16)?,
            state_or_province: opt_text(row, 17)?,
            postal_code: text(row, 18)?,
            country: opt_text(row, 19)?,
        },
        verification: CardVerification {
            cvv: text(row, 20)?,
            address_line1: text(row, 21)?,
            postal_code: text(row, 22)?,
        },
        on_file: row.bool(23)?,
        merchant: row.opt_blob(24)?.and_then(AccountId::from_slice),
    })
}

fn optional(text: &Option<String>) -> Value<'_> {
    text.as_deref().map_or(Value::Null, Value::Text)
}

fn of_details(details: &Details) -> [Value<'_>; 13] {
    let (address, verification) = (&details.address, &details.verification);
    [
        Value::Text(&details.expires.0),
        optional(&details.holder_name),
        optional(&address.address_line1),
        optional(&address.address_line2),
        optional(&address.city),
        optional(&address.state_or_province),
        Value::Text(&address.postal_code),
        optional(&address.country),
        Value::Text(&verification.cvv),
        Value::Text(&verification.address_line1),
        Value::Text(&verification.postal_code),
        details.on_file.into(),
        details.merchant.as_ref().map_or(Value::Null, |id| Value::Blob(id.as_bytes())),
    ]
}

/// Adds cards.
pub fn insert_cards(tx: &mut Tx<'_>, cards: &[Card]) -> Result<()> {
    tx.insert_many(&NEW_CARD, cards, |card| {
        let own = [
            Value::Blob(card.id.as_bytes()),
            Value::Blob(card.account.as_bytes()),
            Value::Blob(&card.fingerprint),
            Value::Text(card.brand.text()),
            Value::Text(card.card_type.text()),
            Value::Text(&card.bin),
            Value::Text(&card.last_four),
            Value::Int(card.sealed.key_version),
            Value::Blob(&card.sealed.bytes),
            Value::Int(card.created.0),
            Value::Int(card.updated.0),
        ];
        joined(own, of_details(&card.details))
    })?;
    Ok(())
}

fn joined<'v, const A: usize, const B: usize, const N: usize>(
    first: [Value<'v>; A],
    then: [Value<'v>; B],
) -> [Value<'v>; N] {
    let mut all = first.into_iter().chain(then);
    std::array::from_fn(|_| all.next().unwrap_or(Value::Null))
}

/// Those of these cards that there are, disabled ones too.
pub fn load_cards(tx: &mut Tx<'_>, ids: &[CardId]) -> Result<Vec<Card>> {
    tx.select_many(&CARDS_BY_ID, ids, |id| [Value::Blob(id.as_bytes())], card)
}

/// The cards of an account that were not disabled, oldest first.
pub fn list_cards(tx: &mut Tx<'_>, account: AccountId) -> Result<Vec<Card>> {
    tx.query(&CARDS_OF, &[Value::Blob(account.as_bytes())], card)
}

/// Whether an account has linked this card already.
pub fn is_card_linked(tx: &mut Tx<'_>, account: AccountId, fingerprint: &[u8; 32]) -> Result<bool> {
    let values = [Value::Blob(account.as_bytes()), Value::Blob(fingerprint)];
    Ok(tx.query_one(&LINKED, &values, |_| Ok(()))?.is_some())
}

/// Saves what can change of these cards.
pub fn update_cards(tx: &mut Tx<'_>, cards: &[Card]) -> Result<()> {
    let hits = tx.update_many(&SAVE_CARD, cards, |card| {
        let own = [card.disabled.map(|at| at.0).into(), Value::Int(card.updated.0)];
        ([Value::Blob(card.id.as_bytes())], joined(own, of_details(&card.details)))
    })?;
    assert_eq!(hits, cards.len() as u64, "cards are never deleted");
    Ok(())
}
