//! What the rail does with the books' reservations and with requests to cancel.

use std::{collections::BTreeMap, sync::Arc};

use calendar::Kind;
use contracts::{
    Amount, Currency, Timestamp,
    ids::PaymentMethodId,
    ledger::LedgerReserved,
    rails::{Direction, Purpose, Rail, RailOutcome, RailState},
    transfers::TransferCancelRequested,
};
use runtime::{Delivered, Fault, Handle, Work};

use crate::{
    Ach,
    domain::{self, Cancel, Entry, Key, Outcome, Reserve, State},
    store,
};

impl Ach {
    /// Tells the others what became of an entry.
    pub(crate) fn emit(&self, work: &mut Work<'_, '_>, of: &Entry, outcome: Outcome) {
        let transfer = of.key.transfer;
        let event = RailOutcome {
            transfer_id: transfer,
            leg: of.key.leg,
            rail: Rail::Ach,
            state: outcome.state,
            network_code: outcome.code,
            failure_code: outcome.failure.map(str::to_owned),
            reference: (of.number > 0).then(|| self.config.us.trace(of.number).to_string()),
            payment_method_id: Some(of.method),
            stage: Some(outcome.stage.to_owned()),
            reason: outcome.reason,
        };
        let shard = work.shard_of(transfer.bucket());
        work.emit_traced(transfer.row(), shard, &event, of.trace);
    }
    fn cancel(&self, work: &mut Work<'_, '_>, entry: &mut Entry) {
        entry.state = State::Canceled;
        let (state, stage) = (RailState::Canceled, "canceled");
        let outcome = Outcome { state, code: None, failure: None, stage, reason: None };
        self.emit(work, entry, outcome);
    }
    /// The first cut-off at which an entry may go. Its method's type, which is known when it is
    /// opened, says whether that is its own.
    fn first_cutoff(&self, direction: Direction, now: Timestamp) -> i64 {
        let windows = &self.config.windows;
        match direction {
            Direction::In => windows.next_cutoff(now, Kind::StandardDebit).at.0,
            Direction::Out => {
                let kinds = [Kind::SameDay, Kind::StandardCredit];
                let at = kinds.map(|kind| windows.next_cutoff(now, kind).at.0);
                at[0].min(at[1])
            }
        }
    }
    /// An entry as a reservation asks for it.
    fn collected(&self, event: &Delivered<LedgerReserved>, key: Key, now: Timestamp) -> Entry {
        let data = &event.data;
        Entry {
            due: self.first_cutoff(data.direction, now),
            direction: data.direction,
            amount: data.amount,
            method: data.payment_method_id,
            version: data.version,
            trace: event.trace,
            verifies: data.purpose == Some(Purpose::AccountVerification),
            ..blank(key, State::Ready, now.0)
        }
    }
}

/// An entry as nothing has happened to it.
fn blank(key: Key, state: State, now: i64) -> Entry {
    Entry {
        key,
        state,
        queued: now,
        due: now,
        direction: Direction::Out,
        amount: Amount::new(0, Currency::USD),
        method: PaymentMethodId::from_parts(0, 0),
        version: 0,
        file: 0,
        batch: 0,
        number: 0,
        rdfi: 0,
        messages: 0,
        code: None,
        trace: None,
        verifies: false,
    }
}

/// New and changed entries of one batch.
#[derive(Default)]
struct Changes {
    there: BTreeMap<Key, Entry>,
    /// The state in which each changed one was stored.
    before: BTreeMap<Key, State>,
    new: BTreeMap<Key, Entry>,
}

impl Changes {
    fn state(&self, key: Key) -> Option<State> {
        self.new.get(&key).or_else(|| self.there.get(&key)).map(|found| found.state)
    }
    fn change(&mut self, key: Key) -> &mut Entry {
        if let Some(new) = self.new.get_mut(&key) {
            return new;
        }
        let there = self.there.get_mut(&key).expect("its state was just read");
        self.before.entry(key).or_insert(there.state);
        there
    }
    fn save(self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        let changed: Vec<(State, Entry)> = self
            .before
            .iter()
            .filter_map(|(key, state)| self.there.get(key).map(|now| (*state, now.clone())))
            .collect();
        store::save_many(work.tx, &changed)?;
        let new: Vec<Entry> = self.new.into_values().collect();
        store::insert_many(work.tx, &new)?;
        Ok(())
    }
}

impl Handle<LedgerReserved> for Ach {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<LedgerReserved>],
    ) -> Result<(), Fault> {
        let ours = || batch.iter().filter(|event| event.data.rail == Rail::Ach);
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
            let (key, now) = (key(event), work.now);
            match domain::reserve(changes.state(key)) {
                Reserve::AlreadyDone => {}
                Reserve::Queue => {
                    changes.new.insert(key, self.collected(event, key, now));
                }
                Reserve::Cancel => {
                    let mut canceled = self.collected(event, key, now);
                    self.cancel(work, &mut canceled);
                    changes.change(key).state = canceled.state;
                }
            }
        }
        changes.save(work)?;
        let link = Arc::clone(&self.link);
        work.after_commit(move || link.clerk.notify_one());
        Ok(())
    }
}

impl Handle<TransferCancelRequested> for Ach {
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
                let first = (data.rail == Some(Rail::Ach)).then(|| leg(0));
                let second = (data.destination_rail == Some(Rail::Ach)).then(|| leg(1));
                first.into_iter().chain(second)
            })
        };
        let there = store::load_many(work.tx, ours())?;
        let mut changes = Changes { there, ..Changes::default() };
        for key in ours() {
            match domain::cancel(changes.state(key)) {
                Cancel::Late => {}
                Cancel::Bury => {
                    changes.new.insert(key, blank(key, State::Tombstone, work.now.0));
                }
                Cancel::Wins => self.cancel(work, changes.change(key)),
            }
        }
        changes.save(work)
    }
}
