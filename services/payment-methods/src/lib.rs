//! payment-methods: bank accounts, cards, and the ways to pay from or to them or a wallet.
//!
//! *Owns*: bank accounts and cards with their sealed numbers, payment methods with their versions.
//! *Answers*: `/accounts/{accountID}/bank-accounts`, `.../cards` and `.../payment-methods`; for the
//! other services the look-up of a transfer's two methods (step 2 of the road), and `Reveal`, which
//! opens numbers for the rail that is about to claim; a rail's word that a bank corrected an account.
//! *Handles*: `wallet.created` (a wallet becomes a method), `rail.outcome` (a hard refusal ends a
//! bank account and its methods), it and `ledger.refused` for what becomes of micro-deposits.
//! *Emits*: `bankAccount.created`, `bankAccount.updated`, `card.created`, `card.updated`,
//! `paymentMethod.enabled`, `paymentMethod.disabled`, `microDeposits.initiated`.
//! *Never*: lets a number into a row, event, log or error unsealed, keeps a CVV, or knows a transfer.

mod domain;
mod events;
mod http;
mod jobs;
mod store;

use std::sync::Arc;

use contracts::{ledger, payment_methods as contract, rails::RailOutcome};
use runtime::{Service, Tier};

pub use domain::{Config, Deposits, sealing::SealingKey};

/// The service's state: its configuration, and the methods that are in use.
pub struct PaymentMethods {
    config: Config,
    known: store::Known,
    shared_read: store::SharedRead,
}

/// The service with its wiring.
pub fn service(config: Config) -> Service<PaymentMethods> {
    let state = PaymentMethods {
        config,
        known: store::Known::default(),
        shared_read: store::SharedRead::default(),
    };
    Service::new("payment-methods", Tier::Service, Arc::new(state))
        .tables(store::TABLES, store::MIGRATIONS)
        .remembers(|state| state.known.committed(), |state| state.known.rolled_back())
        .starts(|state, tx| store::check_sealing_key(tx, &state.config.sealing_key))
        .answers::<contract::LinkBankAccount>()
        .answers::<contract::ListBankAccounts>()
        .answers::<contract::GetBankAccount>()
        .answers::<contract::DisableBankAccount>()
        .answers::<contract::InitiateMicroDeposits>()
        .answers::<contract::CompleteMicroDeposits>()
        .answers::<contract::LinkCard>()
        .answers::<contract::ListCards>()
        .answers::<contract::GetCard>()
        .answers::<contract::UpdateCard>()
        .answers::<contract::DisableCard>()
        .answers::<contract::ListPaymentMethods>()
        .answers::<contract::GetPaymentMethod>()
        .answers::<contract::ResolvePaymentMethods>()
        .answers::<contract::Reveal>()
        .answers::<contract::CorrectBankAccount>()
        .commits::<http::NewBankAccount>()
        .commits::<http::EndBankAccount>()
        .commits::<http::StartDeposits>()
        .commits::<http::NameDeposits>()
        .commits::<http::ExpireDeposits>()
        .commits::<http::NewCard>()
        .commits::<http::ChangeCard>()
        .commits::<http::Correction>()
        .handles::<ledger::WalletCreated>()
        .handles::<RailOutcome>()
        .handles::<ledger::LedgerRefused>()
        .emits::<contract::BankAccountCreated>()
        .emits::<contract::BankAccountUpdated>()
        .emits::<contract::CardCreated>()
        .emits::<contract::CardUpdated>()
        .emits::<contract::PaymentMethodEnabled>()
        .emits::<contract::PaymentMethodDisabled>()
        .emits::<contract::MicroDepositsInitiated>()
        .runs(jobs::run)
}
