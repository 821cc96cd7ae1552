//! What rails say of held legs: posted, released, brought back; and, between outside and outside, what
//! follows for the other legs.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    ids::{TransferId, default_wallet},
    ledger::{LedgerPosted, LedgerReserved, PostedState},
    rails::{Direction, RailOutcome},
    transfers::TransferCancelRequested,
};
use runtime::{Delivered, Fault, Handle, Work};

use super::{alarm, fault};
use crate::{
    Ledger,
    domain::{
        Ask, Decision, Follow, HoldState, Movement, Place, Places, Resolution, Role, Slot, decide,
        follow, resolve, undone,
    },
    store::{Books, Hold, Origin},
};

/// The three legs that a transfer can have; the third gives the first one back.
const LEGS: [u8; 3] = [0, 1, 2];

type HoldKey = (u8, i64, i64);

fn hold_key(transfer: TransferId, leg: u8) -> HoldKey {
    (transfer.bucket(), Movement::Hold.key(transfer.row(), leg), transfer.tail())
}

/// The holds of a batch, with the state in which each is stored; none for one that is new.
#[derive(Default)]
struct Holds(BTreeMap<HoldKey, (Option<HoldState>, Hold)>);

impl Holds {
    /// Those of these legs; where one is of a transfer between outside and outside, its other legs too.
    fn load(
        work: &mut Work<'_, '_>,
        books: &Books,
        legs: &[(TransferId, u8)],
    ) -> Result<Self, Fault> {
        let mut keys: BTreeSet<HoldKey> =
            legs.iter().map(|(transfer, leg)| hold_key(*transfer, *leg)).collect();
        let mut found = books.load_holds(work.tx, &keys)?;
        let through =
            |key: &HoldKey| found.get(&(key.1, key.2)).is_some_and(|hold| hold.wallet.is_none());
        let others: BTreeSet<HoldKey> = legs
            .iter()
            .filter(|(transfer, leg)| through(&hold_key(*transfer, *leg)))
            .flat_map(|(transfer, _)| LEGS.map(|leg| hold_key(*transfer, leg)))
            .filter(|key| !keys.contains(key))
            .collect();
        if !others.is_empty() {
            found.extend(books.load_holds(work.tx, &others)?);
            keys.extend(others);
        }
        let there = keys.into_iter().filter_map(|key| {
            let hold = found.remove(&(key.1, key.2))?;
            Some((key, (Some(hold.state), hold)))
        });
        Ok(Self(there.collect()))
    }
    fn get(&self, transfer: TransferId, leg: u8) -> Option<&Hold> {
        self.0.get(&hold_key(transfer, leg)).map(|(_, hold)| hold)
    }
    fn state(&self, transfer: TransferId, leg: u8) -> HoldState {
        self.get(transfer, leg).map_or(HoldState::Dropped, |hold| hold.state)
    }
    fn set(&mut self, transfer: TransferId, leg: u8, state: HoldState) {
        if let Some((_, hold)) = self.0.get_mut(&hold_key(transfer, leg)) {
            hold.state = state;
        }
    }
    fn save(self, work: &mut Work<'_, '_>, books: &Books) -> Result<(), Fault> {
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for (key, (stored, hold)) in self.0 {
            match stored {
                None => new.push((key, hold)),
                Some(stored) if stored != hold.state => changed.push((key, stored, hold.state)),
                Some(_) => {}
            }
        }
        books.insert_holds(work.tx, &new).map_err(fault)?;
        books.update_holds(work.tx, &changed).map_err(fault)
    }
}

/// The event that a leg is final.
pub(super) fn posted(transfer_id: TransferId, leg: u8, state: PostedState) -> LedgerPosted {
    LedgerPosted { transfer_id, leg, state, undone: None }
}

impl Handle<TransferCancelRequested> for Ledger {
    /// Between wallets the money moved with the event before this one: it is too late, always. A leg
    /// by a rail is that rail's to cancel. Only a second leg that waits for the first is ours: it
    /// will not begin, and the first is given back where its money comes.
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<TransferCancelRequested>],
    ) -> Result<(), Fault> {
        let through = batch.iter().filter(|event| event.data.destination_rail.is_some());
        let legs: Vec<(TransferId, u8)> =
            through.map(|event| (event.data.transfer_id, 1)).collect();
        if legs.is_empty() {
            return Ok(());
        }
        let books = self.books.lock();
        let mut holds = Holds::load(work, &books, &legs)?;
        for (transfer, leg) in legs {
            if holds.state(transfer, leg) == HoldState::Waiting {
                holds.set(transfer, leg, HoldState::Dropped);
            }
        }
        holds.save(work, &books)
    }
}

impl Handle<RailOutcome> for Ledger {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<RailOutcome>],
    ) -> Result<(), Fault> {
        let mut books = self.books.lock();
        let legs: Vec<(TransferId, u8)> =
            batch.iter().map(|event| (event.data.transfer_id, event.data.leg)).collect();
        let mut holds = Holds::load(work, &books, &legs)?;
        let wallets: BTreeSet<_> = holds
            .0
            .values()
            .filter_map(|(_, hold)| {
                let owner =
                    || hold.plan.as_ref().map(|plan| default_wallet(plan.source_account_id));
                hold.wallet.or_else(owner)
            })
            .collect();
        books.load_many(work.tx, wallets.into_iter())?;
        for event in batch {
            one(work, &mut books, &mut holds, event)?;
        }
        holds.save(work, &books)?;
        books.save(work.tx, work.now).map_err(fault)
    }
}

/// Applies one outcome to its leg, and what follows from it to the others.
fn one(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    holds: &mut Holds,
    event: &Delivered<RailOutcome>,
) -> Result<(), Fault> {
    let (transfer, leg) = (event.data.transfer_id, event.data.leg);
    let hold = holds.get(transfer, leg).cloned();
    let hold =
        hold.ok_or_else(|| Fault::Poison(format!("{transfer} has an outcome but no hold")))?;
    if event.data.rail != hold.rail {
        return Err(Fault::Poison(format!("{transfer} was held for {}", hold.rail)));
    }
    match resolve(hold.state, hold.direction, event.data.state) {
        Resolution::AlreadyDone => return Ok(()),
        Resolution::Contradiction => {
            alarm("a rail took back its final word", transfer);
            return Ok(());
        }
        Resolution::Done(state, movement) => {
            let leg = Leg { transfer, number: leg, hold: &hold };
            leg.post(work, books, movement)?;
            holds.set(transfer, leg.number, state);
            leg.tell(work, movement, holds, event.trace);
            if hold.wallet.is_some() {
                return Ok(());
            }
            let [first, second] = [0, 1].map(|leg| holds.state(transfer, leg));
            match follow(leg.number, state, first, second) {
                Follow::Nothing => {}
                Follow::Begin => begin(work, books, holds, transfer, event.trace)?,
                Follow::Drop => holds.set(transfer, 1, HoldState::Dropped),
                Follow::GiveBack => give_back(work, books, holds, transfer, event.trace)?,
                Follow::ToWallet => {
                    leg.post(work, books, Movement::GiveBack)?;
                    if leg.number == 1 {
                        let mut told = posted(transfer, 2, PostedState::Voided);
                        told.undone = Some(undone(second));
                        emit(work, transfer, &told, event.trace);
                    }
                }
            }
        }
    }
    Ok(())
}

/// A leg of a transfer with its hold.
#[derive(Clone, Copy)]
struct Leg<'h> {
    transfer: TransferId,
    number: u8,
    hold: &'h Hold,
}

impl Leg<'_> {
    /// Makes the postings of a movement of this leg's money.
    fn post(
        &self,
        work: &mut Work<'_, '_>,
        books: &mut Books,
        movement: Movement,
    ) -> Result<(), Fault> {
        let hold = self.hold;
        let shard = work.shard_of(self.transfer.bucket());
        let origin = Origin::new(self.transfer, self.number, self.transfer.bucket(), shard);
        let mut own = |role| books.system(work.tx, shard, hold.currency, role).map_err(fault);
        let places = Places::default()
            .with(Place::Settlement, own(Role::Settlement(hold.rail))?)
            .with(Place::Out, own(Role::Out(hold.rail))?)
            .with(Place::In, own(Role::In(hold.rail))?);
        let transit: Option<Slot> = match hold.wallet {
            Some(_) => None,
            None => Some(own(Role::Transit)?),
        };
        let owner = || hold.plan.as_ref().map(|plan| default_wallet(plan.source_account_id));
        let wallet = hold.wallet.or_else(owner);
        let wallet = wallet.map_or(crate::domain::NOWHERE, |wallet| books.wallet(wallet));
        let here = transit.unwrap_or(wallet);
        let places = match movement {
            // What is taken back after it went through, and what no rail takes, is who paid's.
            Movement::ReturnIn => places.with(Place::Destination, wallet),
            Movement::GiveBack => places.with(Place::Source, here).with(Place::Destination, wallet),
            _ => places.with(Place::Source, here).with(Place::Destination, here),
        };
        let ask = Ask { movement, places, amount: hold.amount, currency: hold.currency };
        match decide(books.accounts(), &ask, None) {
            Decision::Done(plan) => {
                books.record(&origin, &plan);
                Ok(())
            }
            _ => Err(Fault::Poison(format!("the hold of {} cannot be resolved", self.transfer))),
        }
    }
    /// Tells that the leg is final, or was taken back.
    fn tell(
        &self,
        work: &mut Work<'_, '_>,
        movement: Movement,
        holds: &Holds,
        trace: Option<[u8; 24]>,
    ) {
        let state = match movement {
            Movement::Settle | Movement::SettleIn => PostedState::Posted,
            Movement::Return | Movement::ReturnIn => PostedState::Reversed,
            _ => PostedState::Voided,
        };
        let mut told = posted(self.transfer, self.number, state);
        if self.number == 2 {
            told.undone = Some(undone(holds.state(self.transfer, 1)));
        }
        emit(work, self.transfer, &told, trace);
    }
}

fn emit<E: contracts::Event>(
    work: &mut Work<'_, '_>,
    transfer: TransferId,
    event: &E,
    trace: Option<[u8; 24]>,
) {
    let shard = work.shard_of(transfer.bucket());
    work.emit_traced(transfer.row(), shard, event, trace);
}

/// The first leg's money is in transit: the second is held, and its rail may send it.
fn begin(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    holds: &mut Holds,
    transfer: TransferId,
    trace: Option<[u8; 24]>,
) -> Result<(), Fault> {
    let hold = holds.get(transfer, 1).cloned();
    let hold = hold.ok_or_else(|| Fault::Poison(format!("{transfer} has no second leg")))?;
    Leg { transfer, number: 1, hold: &hold }.post(work, books, Movement::Hold)?;
    holds.set(transfer, 1, HoldState::Open);
    let plan = hold.plan.ok_or_else(|| Fault::Poison(format!("{transfer} has no plan")))?;
    emit(work, transfer, &plan, trace);
    Ok(())
}

/// The first leg is given back by its own rail, to where it came from.
fn give_back(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    holds: &mut Holds,
    transfer: TransferId,
    trace: Option<[u8; 24]>,
) -> Result<(), Fault> {
    let first = holds.get(transfer, 0).cloned();
    let first = first.ok_or_else(|| Fault::Poison(format!("{transfer} has no first leg")))?;
    let plan = first.plan.clone();
    let plan = plan.ok_or_else(|| Fault::Poison(format!("{transfer} has no plan")))?;
    let plan = LedgerReserved { leg: 2, direction: Direction::Out, ..plan };
    let hold = Hold {
        direction: Direction::Out,
        state: HoldState::Open,
        plan: Some(plan.clone()),
        ..first
    };
    Leg { transfer, number: 2, hold: &hold }.post(work, books, Movement::Hold)?;
    holds.0.insert(hold_key(transfer, 2), (None, hold));
    emit(work, transfer, &plan, trace);
    Ok(())
}
