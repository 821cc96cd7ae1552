//! What accounts tells the others. Events of one account share key and shard, so they stay in order.

use contracts::{
    Event,
    accounts::{AccountCreated, CapabilityUpdated, KeyCreated, KeyRevoked},
    ids::AccountId,
};
use runtime::Work;

use crate::domain::{Account, Capability, Key};

fn emit<E: Event>(work: &mut Work<'_, '_>, account: AccountId, event: &E) {
    let shard = work.shard_of(account.bucket());
    work.emit(account.row(), shard, event);
}

/// The account is there.
pub fn account_created(work: &mut Work<'_, '_>, account: &Account) {
    let event = AccountCreated {
        account_id: account.id,
        facilitator_id: account.facilitator,
        display_name: account.display_name(),
        email: account.email(),
        foreign_id: account.foreign_id.clone(),
    };
    emit(work, account.id, &event);
}

/// Each of these capabilities changed.
pub fn capabilities_updated(work: &mut Work<'_, '_>, changed: &[Capability]) {
    for capability in changed {
        let event = CapabilityUpdated {
            account_id: capability.account,
            capability: capability.name.clone(),
            enabled: capability.enabled,
        };
        emit(work, capability.account, &event);
    }
}

/// The key may be used from now on.
pub fn key_created(work: &mut Work<'_, '_>, key: &Key) {
    let event = KeyCreated {
        key_id: key.id,
        account_id: key.account,
        hash: key.hash.to_vec(),
        scopes: key.scopes.clone(),
    };
    emit(work, key.account, &event);
}

/// The key may no longer be used.
pub fn key_revoked(work: &mut Work<'_, '_>, key: &Key) {
    let event = KeyRevoked { key_id: key.id, hash: key.hash.to_vec() };
    emit(work, key.account, &event);
}
