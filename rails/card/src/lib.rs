//! The card rail: ISO 8583 over one long-lived TCP connection.
//!
//! *Owns*: instructions with their reversals, the counter of trace numbers, their messages, what the
//! host said unasked, its settlement files, the lease on the connection.
//! *Answers*: why an instruction waits, what of the host's files and messages is for a person.
//! *Handles*: `ledger.reserved` for this rail, `transfer.cancel_requested`.
//! *Emits*: `rail.outcome`.
//! *Never*: sends without a durable claim, sends again what may have left, takes silence or garbage
//! for an answer, gives up on a reversal, keeps a card number.

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
    rails::{GetCardWaiting, ListCardExceptions, RailOutcome},
    transfers::TransferCancelRequested,
};
use runtime::{Service, Tier};

pub use link::Config;
pub use store::{Instructed, MIGRATIONS, Standing, exchanges, verify};
pub use wire::Us;

/// The rail's state: settings, and the connection.
pub struct Card {
    config: Config,
    link: Arc<link::Link>,
}

/// The service; an error says what is wrong with the settings.
pub fn service(config: Config) -> Result<Service<Card>, String> {
    let link = Arc::new(link::Link::new(&config)?);
    let card = Arc::new(Card { config, link });
    Ok(Service::new("card", Tier::Rail, card)
        .tables(store::TABLES, MIGRATIONS)
        .answers::<GetCardWaiting>()
        .answers::<ListCardExceptions>()
        .commits::<http::Hold>()
        .commits::<http::Claim>()
        .commits::<http::ClaimReversals>()
        .commits::<http::Record>()
        .commits::<http::Release>()
        .commits::<http::Keep>()
        .commits::<http::TakeIn>()
        .handles::<LedgerReserved>()
        .handles::<TransferCancelRequested>()
        .emits::<RailOutcome>()
        .calls::<Reveal>()
        .talks_to("card-host", "0100")
        .talks_to("card-host", "0400")
        .talks_to("card-host", "0401")
        .hears_from("card-host", "0110")
        .hears_from("card-host", "0410")
        .hears_from("card-host", "settlement file")
        .shows(exchanges)
        .connects()
        .starts(|_, tx| store::free_lease(tx).map_err(Into::into))
        .runs(jobs::run))
}
