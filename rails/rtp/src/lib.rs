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

use std::{sync::Arc, time::Duration};

use contracts::{
    ledger::LedgerReserved,
    payment_methods::Reveal,
    rails::{GetRtpWaiting, RailOutcome, ReceiveRtpMessage},
    transfers::TransferCancelRequested,
};
use runtime::{Service, Tier};

pub use iso20022::Dialect;
pub use store::{Instructed, MIGRATIONS, Standing, exchanges, verify};
pub use wire::{Ids, Us};

/// All settings and limits of the rail. [`Config::sandbox`] has the defaults of the fast pace.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the network takes messages: `http://HOST:PORT/messages`.
    pub participant: String,
    pub us: Us,
    /// How long an answer is waited for; then the payment is unknown and the network is asked.
    pub answer_within: Duration,
    /// How long a connection may take; below `answer_within`.
    pub connect_within: Duration,
    /// How old a message may be when it arrives: later the network refuses it as stale.
    pub acceptance_window: Duration,
    /// The pause before the second enquiry, doubled for each further one.
    pub enquire_first: Duration,
    /// The longest pause between enquiries about one payment.
    pub enquire_most: Duration,
    /// Payments claimed in one commit at most.
    pub batch: usize,
    /// Messages without an answer at most.
    pub window: usize,
    /// How long the lease on the connection lasts without being renewed.
    pub lease: Duration,
    /// The longest pause while the network refuses connections.
    pub refused_most: Duration,
}

impl Config {
    /// The sandbox's participant at this URL, at the fast pace.
    pub fn sandbox(participant: String, dialect: Dialect) -> Self {
        Self {
            participant,
            us: Us::sandbox(dialect),
            answer_within: Duration::from_millis(2_000),
            connect_within: Duration::from_millis(1_000),
            acceptance_window: Duration::from_secs(3),
            enquire_first: Duration::from_millis(500),
            enquire_most: Duration::from_secs(10),
            batch: 64,
            window: 256,
            lease: Duration::from_secs(10),
            refused_most: Duration::from_secs(2),
        }
    }
}

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
        .shows(exchanges)
        .starts(|_, tx| store::free_lease(tx).map_err(Into::into))
        .runs(jobs::run))
}
