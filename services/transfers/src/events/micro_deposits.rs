//! Micro-deposits: payment-methods says which, the platform's wallet pays them as it pays any credit.

use std::{borrow::Cow, collections::BTreeSet};

use contracts::{
    ids::TransferId,
    payment_methods::{MicroDeposit, MicroDepositsInitiated},
    rails::Purpose,
    transfers::{Party, TransferCreated},
};
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Transfers,
    domain::{Mark, MethodType, Parties, Progress, Side, Trail},
    store::{self, Record},
};

impl Handle<MicroDepositsInitiated> for Transfers {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<MicroDepositsInitiated>],
    ) -> Result<(), Fault> {
        let asked = || batch.iter().flat_map(|e| e.data.deposits.iter().map(move |one| (e, one)));
        let keys: Vec<[u8; 16]> = asked().map(|(_, one)| key_hash(one.transfer_id)).collect();
        let known = self.indexes.known(work.tx, &keys)?;
        let mut made: BTreeSet<TransferId> = known.into_iter().flatten().collect();
        let (mut records, mut encoded) = (Vec::new(), Vec::new());
        for (event, deposit) in asked() {
            if !made.insert(deposit.transfer_id) {
                continue;
            }
            let record = deposited(work, event, deposit)?;
            encoded.push(Cow::Owned((store::encode(&record.parties), None)));
            records.push(Box::new(record));
        }
        Ok(store::insert_many(work.tx, &self.indexes, &records, &encoded)?)
    }
}

/// No client's key: they are hashed behind their facilitator's id.
fn key_hash(transfer: TransferId) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"micro-deposit").update(transfer.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
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

/// The transfer of a deposit, and its first event.
fn deposited(
    work: &mut Work<'_, '_>,
    event: &Delivered<MicroDepositsInitiated>,
    deposit: &MicroDeposit,
) -> Result<Record, Fault> {
    let (id, facilitator) = (deposit.transfer_id, event.data.facilitator_id);
    let parties = parties(&event.data)?;
    if parties.bucket() != id.bucket() {
        return Err(Fault::Poison(format!("{id}: a transfer's home is that of its wallet")));
    }
    let created = TransferCreated {
        transfer_id: id,
        facilitator_id: facilitator,
        source: parties.source.party.clone(),
        destination: parties.destination.party.clone(),
        amount: deposit.amount,
        refund_of: None,
        purpose: Some(Purpose::AccountVerification),
    };
    let shard = work.shard_of(id.bucket());
    let place = work.emit_traced(id.row(), shard, &created, event.trace);
    let mut trail = Trail::with_room(true);
    trail.push(Mark::new("transfers", place));
    Ok(Record {
        id,
        facilitator,
        amount: deposit.amount,
        parties,
        extra: None,
        key_hash: key_hash(id),
        fingerprint: key_hash(id),
        created: work.now,
        received: event.at,
        hop_micros: 0,
        request_bytes: 0,
        progress: Progress::created(),
        trail,
    })
}
