//! What payment-methods learns from events, and what it tells. Events of one account share key and
//! shard, so they stay in order.

mod micro_deposits;

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Event,
    ids::{AccountId, BankAccountId, PaymentMethodId},
    ledger::WalletCreated,
    payment_methods::{
        BankAccountCreated, BankAccountUpdated, CardCreated, CardUpdated, PaymentMethodDisabled,
        PaymentMethodEnabled,
    },
    rails::RailOutcome,
};
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    PaymentMethods,
    domain::{self, BankAccount, Decision, Input, Method, Methods, Source, cards::Card},
    store::{self, Known},
};

/// A wallet can be paid from and to as soon as it is there.
impl Handle<WalletCreated> for PaymentMethods {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<WalletCreated>],
    ) -> Result<(), Fault> {
        let now = work.now;
        let mut new: BTreeMap<PaymentMethodId, Method> = BTreeMap::new();
        for WalletCreated { wallet_id, account_id, currency } in batch.iter().map(|e| &e.data) {
            let method = Method::of_wallet(*wallet_id, *account_id, *currency, now);
            new.insert(method.id, method);
        }
        let ids: Vec<PaymentMethodId> = new.keys().copied().collect();
        for known in store::load_methods(work.tx, &ids)? {
            new.remove(&known.id);
        }
        let new: Vec<Method> = new.into_values().collect();
        add_methods(work, &self.known, &new)
    }
}

/// A hard refusal or return by a rail ends the bank account and its methods, and so every version of them
/// that a waiting transfer has frozen; the end of a micro-deposit is one of the verification too.
impl Handle<RailOutcome> for PaymentMethods {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<RailOutcome>],
    ) -> Result<(), Fault> {
        // Most outcomes say nothing of an account, and are looked up nowhere.
        let telling = batch.iter().map(|event| &event.data).filter(|said| domain::may_tell(said));
        let telling: Vec<&RailOutcome> = telling.collect();
        let deposits = micro_deposits::ended(work, telling.iter().map(|one| one.transfer_id))?;
        let ids: BTreeSet<PaymentMethodId> =
            telling.iter().filter_map(|outcome| outcome.payment_method_id).collect();
        let methods = store::load_methods(work.tx, &Vec::from_iter(ids))?;
        let methods: BTreeMap<PaymentMethodId, &Method> =
            methods.iter().map(|method| (method.id, method)).collect();
        // In the order told, each on the state that the one before left.
        for outcome in telling {
            if let Some(deposit) = deposits.get(&outcome.transfer_id) {
                micro_deposits::end(work, &self.known, deposit, domain::deposit_outcome(outcome))?;
                continue;
            }
            let method = outcome.payment_method_id.and_then(|id| methods.get(&id));
            let Some((method, bank)) = method.and_then(|one| Some((one, one.bank_account()?)))
            else {
                continue;
            };
            let Some(input) = domain::hard_refusal(outcome, method.kind.is_debit()) else {
                continue;
            };
            change_bank(work, &self.known, bank, input)?;
        }
        Ok(())
    }
}

/// Something happens to a bank account, where there is one.
fn change_bank(
    work: &mut Work<'_, '_>,
    known: &Known,
    id: BankAccountId,
    input: Input,
) -> Result<(), Fault> {
    if let Some(bank) = store::load_banks(work.tx, &[id])?.pop() {
        let decision = domain::decide(&bank, input, work.now);
        apply(work, known, decision)?;
    }
    Ok(())
}

fn emit<E: Event>(work: &mut Work<'_, '_>, account: AccountId, event: &E) {
    let shard = work.shard_of(account.bucket());
    work.emit(account.row(), shard, event);
}

/// Adds a bank account with its methods.
pub fn add_bank(work: &mut Work<'_, '_>, known: &Known, bank: &BankAccount) -> Result<(), Fault> {
    store::insert_banks(work.tx, std::slice::from_ref(bank))?;
    let event = BankAccountCreated {
        bank_account_id: bank.id,
        account_id: bank.account,
        status: bank.status.text().to_owned(),
    };
    emit(work, bank.account, &event);
    add_methods(work, known, &Method::of_bank_account(bank))
}

fn add_methods(work: &mut Work<'_, '_>, known: &Known, methods: &[Method]) -> Result<(), Fault> {
    store::insert_methods(work.tx, known, methods)?;
    for method in methods {
        let event = PaymentMethodEnabled {
            payment_method_id: method.id,
            account_id: method.account,
            payment_method_type: method.kind.text().to_owned(),
        };
        emit(work, method.account, &event);
    }
    Ok(())
}

/// Saves and tells what a decision changed; the bank account as it is now, where it did.
pub fn apply(
    work: &mut Work<'_, '_>,
    known: &Known,
    decision: Decision,
) -> Result<Option<Box<BankAccount>>, Fault> {
    let Decision::Done { bank, methods, announce } = decision else {
        return Ok(None);
    };
    store::update_banks(work.tx, std::slice::from_ref(&bank))?;
    match methods {
        Methods::Stay => {}
        Methods::Grow => grow_methods(work, known, &bank)?,
        Methods::End => end_methods(work, known, bank.account, Source::Bank(bank.id))?,
    }
    if let Some(status) = announce {
        let event = BankAccountUpdated {
            bank_account_id: bank.id,
            account_id: bank.account,
            status: status.to_owned(),
            status_reason: bank.reason.map(|reason| reason.text().to_owned()),
        };
        emit(work, bank.account, &event);
    }
    Ok(Some(bank))
}

fn grow_methods(work: &mut Work<'_, '_>, known: &Known, bank: &BankAccount) -> Result<(), Fault> {
    let mut methods = Method::of_bank_account(bank);
    let ids: Vec<PaymentMethodId> = methods.iter().map(|method| method.id).collect();
    for there in store::load_methods(work.tx, &ids)? {
        methods.retain(|method| method.id != there.id);
    }
    add_methods(work, known, &methods)
}

/// The enabled methods of a source.
fn methods_of(
    work: &mut Work<'_, '_>,
    account: AccountId,
    source: Source,
) -> Result<Vec<Method>, Fault> {
    let mut methods = store::list_methods(work.tx, account)?;
    methods.retain(|method| method.source == source);
    Ok(methods)
}

fn end_methods(
    work: &mut Work<'_, '_>,
    known: &Known,
    account: AccountId,
    source: Source,
) -> Result<(), Fault> {
    let methods = methods_of(work, account, source)?;
    disable(work, known, &methods)
}

fn disable(work: &mut Work<'_, '_>, known: &Known, methods: &[Method]) -> Result<(), Fault> {
    let ended: Vec<Method> =
        methods.iter().filter_map(|method| method.disabled(work.now)).collect();
    store::update_methods(work.tx, known, &ended)?;
    for method in &ended {
        let event = PaymentMethodDisabled {
            payment_method_id: method.id,
            account_id: method.account,
            payment_method_type: method.kind.text().to_owned(),
        };
        emit(work, method.account, &event);
    }
    Ok(())
}

/// What is behind them was corrected: a transfer that freezes them from now on says so.
fn raise(work: &mut Work<'_, '_>, known: &Known, methods: &[Method]) -> Result<(), Fault> {
    let raised: Vec<Method> = methods.iter().map(|method| method.raised(work.now)).collect();
    Ok(store::update_methods(work.tx, known, &raised)?)
}

/// Saves and tells what a bank corrected. RTP may reach the account no longer, or from now on.
pub fn correct_bank(
    work: &mut Work<'_, '_>,
    known: &Known,
    bank: &BankAccount,
) -> Result<(), Fault> {
    store::correct_bank(work.tx, bank)?;
    let due: BTreeSet<PaymentMethodId> =
        Method::of_bank_account(bank).iter().map(|method| method.id).collect();
    let methods = methods_of(work, bank.account, Source::Bank(bank.id))?;
    let (kept, ended): (Vec<Method>, Vec<Method>) =
        methods.into_iter().partition(|method| due.contains(&method.id));
    raise(work, known, &kept)?;
    disable(work, known, &ended)?;
    // Methods that a rail's refusal ended are rows still, and so are not made again.
    grow_methods(work, known, bank)?;
    let status = if bank.disabled.is_some() { "disabled" } else { bank.status.text() };
    let event = BankAccountUpdated {
        bank_account_id: bank.id,
        account_id: bank.account,
        status: status.to_owned(),
        status_reason: bank.reason.map(|reason| reason.text().to_owned()),
    };
    emit(work, bank.account, &event);
    Ok(())
}

/// Adds a card with its methods.
pub fn add_card(work: &mut Work<'_, '_>, known: &Known, card: &Card) -> Result<(), Fault> {
    store::insert_cards(work.tx, std::slice::from_ref(card))?;
    emit(work, card.account, &CardCreated { card_id: card.id, account_id: card.account });
    add_methods(work, known, &Method::of_card(card))
}

/// Saves and tells that a card was changed or disabled.
pub fn change_card(work: &mut Work<'_, '_>, known: &Known, card: &Card) -> Result<(), Fault> {
    store::update_cards(work.tx, std::slice::from_ref(card))?;
    let (account, source) = (card.account, Source::Card(card.id));
    let status = if card.disabled.is_some() {
        end_methods(work, known, account, source)?;
        "disabled"
    } else {
        let methods = methods_of(work, account, source)?;
        raise(work, known, &methods)?;
        "updated"
    };
    let event = CardUpdated { card_id: card.id, account_id: account, status: status.to_owned() };
    emit(work, account, &event);
    Ok(())
}
