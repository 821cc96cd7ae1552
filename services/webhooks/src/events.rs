//! Every public event goes into the feeds of the accounts that may see it.

use std::collections::BTreeSet;

use contracts::ids::AccountId;
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Webhooks,
    domain::{EVERYTHING, Public, Seen, number},
    store,
};

impl<E: Public> Handle<E> for Webhooks {
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Delivered<E>]) -> Result<(), Fault> {
        let topic = *E::EMITTERS.first().expect("public events have one emitter");
        let seen: Vec<Seen> = batch
            .iter()
            .map(|event| {
                let mut accounts = event.data.accounts();
                accounts.push(EVERYTHING);
                let mut met = BTreeSet::new();
                accounts.retain(|account| met.insert(*account));
                let (shard, place) = (event.place.shard, event.place.place);
                Seen { accounts, topic, shard, place }
            })
            .collect();
        let accounts: BTreeSet<AccountId> =
            seen.iter().flat_map(|event| event.accounts.iter().copied()).collect();
        let accounts: Vec<AccountId> = accounts.into_iter().collect();
        let last = store::load_counters(work.tx, &accounts)?;
        let (entries, last) = number(&seen, last);
        store::insert_entries(work.tx, &entries, &last)?;
        Ok(())
    }
}
