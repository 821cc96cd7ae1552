//! A check that cannot fail is worthless: one row is corrupted, and the invariants name it.

use crate::{doubles::TOO_MUCH, harness::Harness};

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_row_is_named() {
    let last = "id = (SELECT max(id) FROM transfers_transfer)";
    let set = |what: &str| format!("UPDATE transfers_transfer SET {what} WHERE {last}");
    for (statement, found) in [
        (set("status = 4"), "is pending where its events say completed"),
        (set("status = 6"), "is failed, its last event says completed"),
        (set("completed = -1"), "is completed without a time"),
        (set("amount = 0"), "moves 0.00 USD"),
        (set("trail = x'0100ff7f'"), "an event of its trail is missing"),
        (set("trail = x'020001'"), "does not begin with its creation"),
        (set("key_hash = (SELECT key_hash FROM transfers_transfer LIMIT 1)"), "made 2 transfers"),
        ("DELETE FROM event_ledger WHERE place = 2".to_owned(), "an event of its trail is missing"),
    ] {
        let harness = Harness::new().await;
        harness.make(1, 2, TOO_MUCH).await;
        harness.make(1, 3, 7).await;
        let statement: &'static str = Box::leak(statement.into_boxed_str());
        let faults = harness.corrupted(statement).await;
        assert!(faults.iter().any(|fault| fault.contains(found)), "{statement}: {faults:#?}");
    }
}
