//! The steps of the schema over rows that an older version wrote.

use store::{Location, Options, Store};

use super::*;

static OLD: Sql = Sql::new(
    "INSERT INTO payment_methods_method (id, version, account, enabled, wallet, bank_account, \
     rail, currency, created, updated) VALUES ($1, 3, $2, 1, $3, $4, $5, 'USD', 7, 8)",
);

#[test]
fn methods_of_the_first_version_keep_what_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let place = Location::Directory(directory.path().to_owned());
    let (_store, mut writer) = Store::open(place, Options::default()).unwrap();
    writer.migrate(&MIGRATIONS[..1]).unwrap();
    let (account, wallet, bank) = ([2; 16], [7; 16], [8; 16]);
    let mut tx = writer.begin().unwrap();
    for (id, wallet, bank, rail) in
        [([1; 16], Some(&wallet), None, None), ([3; 16], None, Some(&bank), Some("rtp"))]
    {
        let values = [
            Value::Blob(&id),
            Value::Blob(&account),
            wallet.map_or(Value::Null, |bytes| Value::Blob(bytes)),
            bank.map_or(Value::Null, |bytes| Value::Blob(bytes)),
            rail.map_or(Value::Null, Value::Text),
        ];
        tx.execute(&OLD, &values).unwrap();
    }
    tx.commit().unwrap();
    writer.migrate(MIGRATIONS).unwrap();
    let mut tx = writer.begin().unwrap();
    let found = list_methods(&mut tx, AccountId::from_slice(&account).unwrap()).unwrap();
    let sources = [
        (Source::Wallet(WalletId::from_slice(&wallet).unwrap()), MethodKind::MoovWallet),
        (Source::Bank(BankAccountId::from_slice(&bank).unwrap()), MethodKind::RtpCredit),
    ];
    assert_eq!(found.iter().map(|one| (one.source, one.kind)).collect::<Vec<_>>(), sources);
    assert!(found.iter().all(|one| (one.version, one.created) == (3, Timestamp(7))));
}
