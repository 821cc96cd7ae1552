//! Micro-deposits: payment-methods says which, the platform's wallet pays them as it pays any credit.

use std::borrow::Cow;

use contracts::{
    ids::TransferId,
    payment_methods::{MicroDeposit, MicroDepositsInitiated},
    rails::Purpose,
    transfers::Party,
};
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Transfers,
    domain::{MethodType, Parties, Side},
    http::{NewTransfer, accept, hash},
    store,
};

impl Handle<MicroDepositsInitiated> for Transfers {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<MicroDepositsInitiated>],
    ) -> Result<(), Fault> {
        let mut asked = Vec::new();
        for event in batch {
            for deposit in &event.data.deposits {
                asked.push((deposit.transfer_id, deposited(event, deposit)?));
            }
        }
        let key = |(_, new): &(TransferId, NewTransfer)| (new.key_hash, new.fingerprint);
        self.once_per_key(work, &asked, key, |work, (id, new)| {
            Ok((accept(work, *id, new), Cow::Borrowed(&new.encoded)))
        })?;
        Ok(())
    }
}

/// From the platform's wallet to the bank account. Whose account that is does not stand in the
/// transfer: its accounts see it, and the amount is what that one is to tell.
fn parties(event: &MicroDepositsInitiated) -> Result<Parties, Fault> {
    let kind = MethodType::from_name(&event.payment_method_type)
        .filter(|kind| kind.is_destination())
        .and_then(|kind| Some((kind, kind.rail()?)));
    let Some((kind, rail)) = kind else {
        return Err(Fault::Poison(format!("{} takes no money", event.payment_method_type)));
    };
    let account_id = event.facilitator_id;
    let source = Side {
        party: Party::Wallet { account_id, wallet_id: event.wallet_id },
        method: event.wallet_method_id,
        kind: MethodType::MoovWallet,
    };
    let (payment_method_id, version) = (event.payment_method_id, event.version);
    let party = Party::External { account_id, payment_method_id, version, rail };
    Ok(Parties { source, destination: Side { party, method: payment_method_id, kind } })
}

/// The transfer of a deposit. Its key is no client's: those are hashed behind their facilitator's id.
fn deposited(
    event: &Delivered<MicroDepositsInitiated>,
    deposit: &MicroDeposit,
) -> Result<NewTransfer, Fault> {
    let id = deposit.transfer_id;
    let parties = parties(&event.data)?;
    if parties.bucket() != id.bucket() {
        return Err(Fault::Poison(format!("{id}: a transfer's home is that of its wallet")));
    }
    let key_hash = hash(&[b"micro-deposit", id.as_bytes()]);
    Ok(NewTransfer {
        facilitator: event.data.facilitator_id,
        encoded: (store::encode(&parties), None),
        parties,
        amount: deposit.amount,
        key_hash,
        fingerprint: key_hash,
        received: event.at,
        hop_micros: 0,
        request_bytes: 0,
        trace: event.trace,
        refund_of: None,
        purpose: Some(Purpose::AccountVerification),
    })
}
