//! The ACH rail: NACHA files by SFTP.
//!
//! *Owns*: entries, the files they go with, the counters of trace numbers and file names, which of the
//! bank's files were taken in, what of them fits nothing, the lease on the bank's folders.
//! *Answers*: why an entry waits; an operator's questions, cut-offs and decisions.
//! *Handles*: `ledger.reserved` for this rail, `transfer.cancel_requested`.
//! *Emits*: `rail.outcome`.
//! *Never*: puts an entry into a second file, sends a file again that may have been handed over, keeps
//! an account number, applies a part of a file whose sums do not hold.

mod domain;
mod events;
mod http;
mod jobs;
mod link;
mod store;
mod wire;

use std::sync::Arc;

use contracts::{
    ledger::LedgerReserved,
    payment_methods::{CorrectBankAccount, Reveal},
    rails::{
        CutOffAch, DecideAchFile, GetAchWaiting, ListAchExceptions, ListAchFiles, RailOutcome,
    },
    transfers::TransferCancelRequested,
};
use runtime::{Service, Tier};

pub use link::{ClientKey, Config};
pub use store::{Instructed, MIGRATIONS, Standing, exchanges, verify};
pub use wire::Us;

/// The rail's state: settings, and what its tasks share.
pub struct Ach {
    config: Config,
    link: Arc<link::Link>,
}

/// The service; an error says what is wrong with the settings.
pub fn service(config: Config) -> Result<Service<Ach>, String> {
    config.check()?;
    let link = Arc::new(link::Link::new());
    let ach = Arc::new(Ach { config, link });
    Ok(Service::new("ach", Tier::Rail, ach)
        .tables(store::TABLES, MIGRATIONS)
        .answers::<GetAchWaiting>()
        .answers::<CutOffAch>()
        .answers::<ListAchFiles>()
        .answers::<ListAchExceptions>()
        .answers::<DecideAchFile>()
        .commits::<http::Hold>()
        .commits::<http::Allocate>()
        .commits::<http::Claim>()
        .commits::<http::Tell>()
        .commits::<http::Defer>()
        .commits::<http::Force>()
        .commits::<http::Advance>()
        .commits::<http::Release>()
        .commits::<http::TakeIn>()
        .handles::<LedgerReserved>()
        .handles::<TransferCancelRequested>()
        .emits::<RailOutcome>()
        .calls::<Reveal>()
        .calls::<CorrectBankAccount>()
        .talks_to("bank", "NACHA file")
        .hears_from("bank", "ack")
        .hears_from("bank", "return")
        .hears_from("bank", "change")
        .shows(exchanges)
        .connects()
        .starts(|_, tx| store::free_lease(tx).map_err(Into::into))
        .runs(jobs::run))
}
