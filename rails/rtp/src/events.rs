//! What the rail does with the books' reservations and with requests to cancel.

use std::{collections::BTreeMap, sync::Arc};

use contracts::{
    Amount, Currency,
    ids::{AccountId, PaymentMethodId},
    ledger::LedgerReserved,
    rails::{Rail, RailOutcome, RailState},
    transfers::TransferCancelRequested,
};
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Rtp,
    domain::{self, Cancel, Instruction, Key, Outcome, Reserve, State},
    store,
};

impl Rtp {
    /// Tells the others what became of an instruction.
    pub(crate) fn emit(&self, work: &mut Work<'_, '_>, of: &Instruction, outcome: Outcome) {
        let transfer = of.key.transfer;
        let event = RailOutcome {
            transfer_id: transfer,
            leg: of.key.leg,
            rail: Rail::Rtp,
            state: outcome.state,
            network_code: outcome.code,
            failure_code: outcome.failure.map(str::to_owned),
            reference: Some(self.config.us.ids(of.key).uetr.to_string()),
            payment_method_id: Some(of.method),
            stage: None,
            reason: None,
        };
        let shard = work.shard_of(transfer.bucket());
        work.emit_traced(transfer.row(), shard, &event, of.trace);
    }
    fn cancel(&self, work: &mut Work<'_, '_>, instruction: &mut Instruction) {
        instruction.state = State::Canceled;
        let outcome = Outcome { state: RailState::Canceled, code: None, failure: None };
        self.emit(work, instruction, outcome);
    }
}

/// An instruction as a reservation asks for it.
fn queued(event: &Delivered<LedgerReserved>, key: Key, now: i64) -> Instruction {
    let data = &event.data;
    Instruction {
        key,
        state: State::Ready,
        queued: now,
        due: now,
        attempt: 0,
        epoch: 0,
        asked: 0,
        messages: 0,
        amount: data.amount,
        method: data.payment_method_id,
        version: data.version,
        source: data.source_account_id,
        created: 0,
        sent: 0,
        receiver: String::new(),
        code: None,
        trace: event.trace,
    }
}

/// What stands in the place of an instruction that is not to come into being.
fn tombstone(key: Key, now: i64) -> Instruction {
    Instruction {
        key,
        state: State::Tombstone,
        queued: now,
        due: now,
        attempt: 0,
        epoch: 0,
        asked: 0,
        messages: 0,
        amount: Amount::new(0, Currency::USD),
        method: PaymentMethodId::from_parts(0, 0),
        version: 0,
        source: AccountId::from_parts(0, 0),
        created: 0,
        sent: 0,
        receiver: String::new(),
        code: None,
        trace: None,
    }
}

/// New and changed instructions of one batch.
#[derive(Default)]
struct Changes {
    there: BTreeMap<Key, Instruction>,
    /// The state in which each changed one was stored.
    before: BTreeMap<Key, State>,
    new: BTreeMap<Key, Instruction>,
}

impl Changes {
    fn state(&self, key: Key) -> Option<State> {
        self.new.get(&key).or_else(|| self.there.get(&key)).map(|found| found.state)
    }
    fn change(&mut self, key: Key) -> &mut Instruction {
        if let Some(new) = self.new.get_mut(&key) {
            return new;
        }
        let there = self.there.get_mut(&key).expect("its state was just read");
        self.before.entry(key).or_insert(there.state);
        there
    }
    fn save(self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        let changed: Vec<(State, Instruction)> = self
            .before
            .iter()
            .filter_map(|(key, state)| self.there.get(key).map(|now| (*state, now.clone())))
            .collect();
        store::save_many(work.tx, &changed)?;
        let new: Vec<Instruction> = self.new.into_values().collect();
        store::insert_many(work.tx, &new)?;
        Ok(())
    }
}

impl Handle<LedgerReserved> for Rtp {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<LedgerReserved>],
    ) -> Result<(), Fault> {
        let ours = || batch.iter().filter(|event| event.data.rail == Rail::Rtp);
        let key = |event: &Delivered<LedgerReserved>| Key {
            transfer: event.data.transfer_id,
            leg: event.data.leg,
        };
        if ours().next().is_none() {
            return Ok(());
        }
        let there = store::load_many(work.tx, ours().map(key))?;
        let mut changes = Changes { there, ..Changes::default() };
        for event in ours() {
            let (key, now) = (key(event), work.machine.0);
            match domain::reserve(changes.state(key)) {
                Reserve::AlreadyDone => {}
                Reserve::Queue => {
                    changes.new.insert(key, queued(event, key, now));
                }
                Reserve::Cancel => {
                    let buried = changes.change(key);
                    let mut canceled = queued(event, key, now);
                    self.cancel(work, &mut canceled);
                    buried.state = canceled.state;
                }
            }
        }
        changes.save(work)?;
        let link = Arc::clone(&self.link);
        work.after_commit(move || link.wake.notify_one());
        Ok(())
    }
}

impl Handle<TransferCancelRequested> for Rtp {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<TransferCancelRequested>],
    ) -> Result<(), Fault> {
        // A second leg that did not begin is the ledger's to drop; one that did is ours while it waits.
        let ours = || {
            batch.iter().flat_map(|event| {
                let data = &event.data;
                let leg = |leg| Key { transfer: data.transfer_id, leg };
                let first = (data.rail == Some(Rail::Rtp)).then(|| leg(0));
                let second = (data.destination_rail == Some(Rail::Rtp)).then(|| leg(1));
                first.into_iter().chain(second)
            })
        };
        let there = store::load_many(work.tx, ours())?;
        let mut changes = Changes { there, ..Changes::default() };
        for key in ours() {
            match domain::cancel(changes.state(key)) {
                Cancel::Late => {}
                Cancel::Bury => {
                    changes.new.insert(key, tombstone(key, work.machine.0));
                }
                Cancel::Wins => self.cancel(work, changes.change(key)),
            }
        }
        changes.save(work)
    }
}
