//! Payment methods with what is behind them, read together.

use std::collections::{BTreeMap, BTreeSet};

use contracts::ids::{BankAccountId, CardId, PaymentMethodId};
use store::{Error, Tx};

use crate::{
    domain::{BankAccount, Behind, Method, cards::Card},
    store as tables,
};

/// The bank accounts and cards behind some payment methods.
pub(super) struct Sources {
    banks: BTreeMap<BankAccountId, BankAccount>,
    cards: BTreeMap<CardId, Card>,
}

impl Sources {
    /// Those of these methods.
    pub fn load(tx: &mut Tx<'_>, methods: &[Method]) -> Result<Self, Error> {
        let banks: BTreeSet<_> = methods.iter().filter_map(Method::bank_account).collect();
        let banks = tables::load_banks(tx, &Vec::from_iter(banks))?;
        let cards: BTreeSet<_> = methods.iter().filter_map(Method::card).collect();
        let cards = tables::load_cards(tx, &Vec::from_iter(cards))?;
        Ok(Self {
            banks: banks.into_iter().map(|bank| (bank.id, bank)).collect(),
            cards: cards.into_iter().map(|card| (card.id, card)).collect(),
        })
    }
    /// What is behind this one.
    pub fn of(&self, method: &Method) -> Behind<'_> {
        Behind {
            bank: method.bank_account().and_then(|id| self.banks.get(&id)),
            card: method.card().and_then(|id| self.cards.get(&id)),
        }
    }
}

/// Those of these methods that there are, with what is behind them.
pub(super) fn load_with_sources(
    tx: &mut Tx<'_>,
    ids: &[PaymentMethodId],
) -> Result<(Vec<Method>, Sources), Error> {
    let methods = tables::load_methods(tx, ids)?;
    let sources = Sources::load(tx, &methods)?;
    Ok((methods, sources))
}
