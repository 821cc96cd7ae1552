//! The ledger: a complete double-entry book in each shard.
//!
//! *Owns*: wallets, ledger accounts, balances, postings (the journal), holds, the hash chain.
//! *Answers*: wallets and their transactions, ledger accounts as of a moment, journal, proof;
//! funding of a wallet in the sandbox.
//! *Handles*: `capability.updated` (a default wallet), `transfer.created` (moves or holds money),
//! `transfer.cancel_requested` (only between wallets, where it is always too late),
//! `rail.outcome` (posts or voids a hold), `ledger.hop` (money between two shards).
//! *Emits*: `wallet.created`, `ledger.reserved`, `ledger.refused`, `ledger.posted`, `ledger.hop`.
//! *Never*: knows what a rail does or an account is called; moves money but by the rows of
//! `domain::Movement`; changes a posting; asks another service.

mod domain;
mod events;
mod http;
mod store;

use std::sync::Arc;

use ::store::{Store, late::LateIndex};
use contracts::{
    accounts::CapabilityUpdated,
    ledger::{
        CreateWallet, FundWallet, GetJournal, GetProof, GetWallet, LedgerHop, LedgerPosted,
        LedgerRefused, LedgerReserved, ListLedgerAccounts, ListWalletTransactions, ListWallets,
        WalletCreated,
    },
    rails::RailOutcome,
    transfers::{TransferCancelRequested, TransferCreated},
};
use parking_lot::Mutex;
use runtime::{Fault, Service, Tier};

pub use crate::store::{Checked, MIGRATIONS, verify};

/// The ledger's state: what its one writer keeps, and the index that readers share with it.
pub struct Ledger {
    books: Mutex<store::Books>,
    index: LateIndex,
}

/// The ledger on a store.
pub fn service(store: &Store) -> Service<Ledger> {
    let index = LateIndex::new(store, store::BY_ACCOUNT);
    let books = Mutex::new(store::Books::new(index.clone()));
    let state = Arc::new(Ledger { books, index });
    Service::new("ledger", Tier::Service, state)
        .tables(store::TABLES, MIGRATIONS)
        .starts(|ledger, tx| ledger.books.lock().load(tx).map_err(Fault::from))
        .merges(|ledger, tx, _| ledger.books.lock().merge_due(tx))
        .remembers(
            |ledger| ledger.books.lock().committed(),
            |ledger| ledger.books.lock().rolled_back(),
        )
        .forgets(|ledger| ledger.books.lock().forget())
        .answers::<ListWallets>()
        .answers::<CreateWallet>()
        .answers::<GetWallet>()
        .answers::<ListWalletTransactions>()
        .answers::<FundWallet>()
        .answers::<ListLedgerAccounts>()
        .answers::<GetJournal>()
        .answers::<GetProof>()
        .commits::<http::MakeWallet>()
        .commits::<http::Fund>()
        .handles::<CapabilityUpdated>()
        .handles::<TransferCreated>()
        .handles::<TransferCancelRequested>()
        .handles::<RailOutcome>()
        .handles::<LedgerHop>()
        .emits::<WalletCreated>()
        .emits::<LedgerReserved>()
        .emits::<LedgerRefused>()
        .emits::<LedgerPosted>()
        .emits::<LedgerHop>()
}
