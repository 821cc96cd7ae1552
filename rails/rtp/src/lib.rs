//! The RTP rail: ISO 20022 over HTTP.
//!
//! *Owns*: instructions, their messages, unmatched reports, the lease on the connection.
//! *Answers*: messages that the network posts to us; why an instruction waits.
//! *Handles*: `ledger.reserved` for this rail, `transfer.cancel_requested`.
//! *Emits*: `rail.outcome`.
//! *Never*: sends without a durable claim, sends twice what may have left, takes silence, garbage or
//! a stranger's post for an answer, keeps an account number.

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
    payment_methods::Reveal,
    rails::{GetRtpWaiting, RailOutcome, ReceiveRtpMessage},
    transfers::TransferCancelRequested,
};
use runtime::{Service, Tier};

pub use iso20022::Dialect;
pub use link::Config;
pub use store::{Instructed, MIGRATIONS, Standing, exchanges, verify};
pub use wire::{Ids, Us};

/// The rail's state: settings, and the connection.
pub struct Rtp {
    config: Config,
    link: Arc<link::Link>,
}

/// The service; an error says what is wrong with the settings.
pub fn service(config: Config) -> Result<Service<Rtp>, String> {
    let link = Arc::new(link::Link::new(&config)?);
    let rtp = Arc::new(Rtp { config, link });
    Ok(Service::new("rtp", Tier::Rail, rtp)
        .tables(store::TABLES, MIGRATIONS)
        .answers::<ReceiveRtpMessage>()
        .answers::<GetRtpWaiting>()
        .commits::<http::Hold>()
        .commits::<http::Record>()
        .commits::<http::Claim>()
        .commits::<http::Receive>()
        .handles::<LedgerReserved>()
        .handles::<TransferCancelRequested>()
        .emits::<RailOutcome>()
        .calls::<Reveal>()
        .talks_to("rtp-participant", "pacs.008")
        .talks_to("rtp-participant", "pacs.028")
        .hears_from("rtp-participant", "pacs.002")
        .shows(exchanges)
        .connects()
        .starts(|_, tx| store::free_lease(tx).map_err(Into::into))
        .runs(jobs::run))
}
