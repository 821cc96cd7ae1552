//! How micro-deposits end: refused by the ledger, or not taken by the account.

use std::collections::BTreeMap;

use contracts::{ids::TransferId, ledger::LedgerRefused};
use runtime::{Delivered, Fault, Handle, Work};

use super::change_bank;
use crate::{
    PaymentMethods,
    domain::{Input, micro_deposits::Deposit},
    store::{self, Known},
};

/// The platform's wallet cannot pay a deposit: it may be asked for again.
impl Handle<LedgerRefused> for PaymentMethods {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<LedgerRefused>],
    ) -> Result<(), Fault> {
        for deposit in ended(work, batch.iter().map(|event| event.data.transfer_id))?.values() {
            end(work, &self.known, deposit, Some(Input::DepositUnsent))?;
        }
        Ok(())
    }
}

/// The deposits that these transfers pay.
pub(super) fn ended(
    work: &mut Work<'_, '_>,
    transfers: impl Iterator<Item = TransferId>,
) -> Result<BTreeMap<TransferId, Deposit>, Fault> {
    let transfers: Vec<TransferId> = transfers.collect();
    let deposits = store::load_deposits(work.tx, &transfers)?;
    Ok(deposits.into_iter().map(|deposit| (deposit.transfer, deposit)).collect())
}

/// What a deposit's end does to its bank account.
pub(super) fn end(
    work: &mut Work<'_, '_>,
    known: &Known,
    deposit: &Deposit,
    input: Option<Input>,
) -> Result<(), Fault> {
    let Some(input) = input else { return Ok(()) };
    if matches!(input, Input::DepositUnsent) {
        // Of an earlier pair: the account got another since, which counts.
        let newest = store::newest_deposits(work.tx, deposit.bank_account)?;
        if newest.first().is_some_and(|newest| newest.round != deposit.round) {
            return Ok(());
        }
    }
    change_bank(work, known, deposit.bank_account, input)
}
