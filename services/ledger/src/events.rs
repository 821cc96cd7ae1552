//! What the ledger does with events: for each batch load, decide in order, record, save, emit.

mod legs;

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    accounts::CapabilityUpdated,
    ids::{AccountId, PaymentMethodId, WalletId, default_wallet},
    ledger::{
        HopStep, LedgerHop, LedgerRefused, LedgerReserved, PostedState, RefusedReason,
        WalletCreated,
    },
    rails::{Direction, Rail},
    transfers::{Party, TransferCreated},
};
use runtime::{Delivered, Fault, Handle, Work};

use legs::posted;

use crate::{
    Ledger,
    domain::{Ask, Decision, HoldState, Known, Movement, Place, Places, Role, decide},
    store::{Books, Hold, NewWallet, Origin},
};

/// A hop that ended well leaves this mark; refusals leave their reason's number, which is below.
const CREDITED: i64 = 100;

/// A store's fault; a key that is there already is an alarm, since decisions are made before it.
pub(crate) fn fault(error: store::Error) -> Fault {
    if error.is_conflict() {
        tracing::error!(error = &error as &dyn std::error::Error, "ALARM: a key is there already");
        return Fault::Poison(format!("a key of the books is there already: {error}"));
    }
    Fault::Store(error)
}

fn alarm(what: &str, transfer: contracts::ids::TransferId) {
    tracing::error!(%transfer, "ALARM: {what}; nothing is written");
}

impl Handle<CapabilityUpdated> for Ledger {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<CapabilityUpdated>],
    ) -> Result<(), Fault> {
        let mut books = self.books.lock();
        let granted: BTreeSet<AccountId> = batch
            .iter()
            .filter(|event| event.data.capability == "wallet" && event.data.enabled)
            .map(|event| event.data.account_id)
            .collect();
        books.load_many(work.tx, granted.iter().map(|account| default_wallet(*account)))?;
        for account in granted {
            let id = default_wallet(account);
            if books.wallet(id) != crate::domain::NOWHERE {
                continue;
            }
            let new = NewWallet {
                id,
                owner: account,
                shard: work.shard_of(id.bucket()),
                currency: contracts::Currency::USD,
                kind: "default",
                label: "Default wallet",
                description: None,
                metadata: "{}",
                created: work.now,
            };
            books.insert_wallet(work.tx, &new).map_err(fault)?;
            announce(work, &new);
        }
        Ok(())
    }
}

/// Tells the others of a wallet, on the shard of its account.
pub(crate) fn announce(work: &mut Work<'_, '_>, new: &NewWallet<'_>) {
    let shard = work.shard_of(new.owner.bucket());
    let event = WalletCreated { wallet_id: new.id, account_id: new.owner, currency: new.currency };
    work.emit(new.owner.row(), shard, &event);
}

/// How a transfer's money goes.
enum Road {
    /// To a wallet of the same shard.
    Near(WalletId),
    /// To a wallet of that shard.
    Far(u32),
    /// Out of the wallet by a rail, or into it.
    ByRail(Direction, Outside),
    /// In by one rail, then out by one.
    Through(Outside, Outside),
}

/// A method outside, as the transfer froze it.
#[derive(Clone, Copy)]
struct Outside {
    rail: Rail,
    method: PaymentMethodId,
    version: i64,
}

impl Road {
    fn movement(&self) -> Movement {
        match self {
            Self::Near(_) => Movement::WalletToWallet,
            Self::Far(_) => Movement::HopOut,
            Self::ByRail(Direction::Out, _) => Movement::Hold,
            Self::ByRail(Direction::In, _) | Self::Through(..) => Movement::HoldIn,
        }
    }
}

/// A transfer as the books see it.
struct Request {
    /// The wallet that pays, or is paid by a rail; between outside and outside that of the source's
    /// owner, through which no money goes: the home.
    wallet: WalletId,
    road: Road,
    origin: Origin,
}

fn outside(party: &Party) -> Option<Outside> {
    match party {
        Party::Wallet { .. } => None,
        Party::External { payment_method_id, version, rail, .. } => {
            Some(Outside { rail: *rail, method: *payment_method_id, version: *version })
        }
    }
}

impl Request {
    fn read(event: &TransferCreated, work: &Work<'_, '_>) -> Result<Self, Fault> {
        let poison = |what: &str| Fault::Poison(format!("{}: {what}", event.transfer_id));
        if event.amount.value <= 0 {
            return Err(poison("an amount is above zero"));
        }
        let (source, destination) = (&event.source, &event.destination);
        let wallet = source.wallet_id().or(destination.wallet_id());
        let wallet = wallet.unwrap_or_else(|| default_wallet(source.account_id()));
        let shard = work.shard_of(wallet.bucket());
        if work.shard_of(event.transfer_id.bucket()) != shard {
            return Err(poison("a transfer's home is the shard of its wallet"));
        }
        let road = match (outside(source), outside(destination), destination.wallet_id()) {
            (Some(first), Some(second), _) => Road::Through(first, second),
            (Some(first), None, _) => Road::ByRail(Direction::In, first),
            (None, Some(second), _) => Road::ByRail(Direction::Out, second),
            (None, None, Some(to)) => match work.shard_of(to.bucket()) {
                same if same == shard => Road::Near(to),
                other => Road::Far(other),
            },
            (None, None, None) => return Err(poison("it leads nowhere")),
        };
        let origin = Origin::new(event.transfer_id, 0, event.transfer_id.bucket(), shard);
        Ok(Self { wallet, road, origin })
    }
    /// The reservation of a leg.
    fn reserved(
        &self,
        data: &TransferCreated,
        leg: u8,
        direction: Direction,
        by: Outside,
    ) -> LedgerReserved {
        LedgerReserved {
            transfer_id: data.transfer_id,
            leg,
            rail: by.rail,
            amount: data.amount,
            payment_method_id: by.method,
            version: by.version,
            source_account_id: data.source.account_id(),
            direction,
            destination_account_id: Some(data.destination.account_id()),
            purpose: data.purpose,
        }
    }
    /// The holds that it begins with.
    fn holds(&self, data: &TransferCreated) -> Vec<Hold> {
        let (amount, currency) = (data.amount.value, data.amount.currency);
        let hold = |wallet, direction, by: Outside, state, plan| {
            let rail = by.rail;
            Hold { wallet, direction, rail, currency, amount, state, plan }
        };
        match self.road {
            Road::Near(_) | Road::Far(_) => Vec::new(),
            Road::ByRail(direction, by) => {
                vec![hold(Some(self.wallet), direction, by, HoldState::Open, None)]
            }
            Road::Through(first, second) => [
                (0, Direction::In, first, HoldState::Open),
                (1, Direction::Out, second, HoldState::Waiting),
            ]
            .map(|(leg, direction, by, state)| {
                let plan = Some(self.reserved(data, leg, direction, by));
                hold(None, direction, by, state, plan)
            })
            .into(),
        }
    }
}

/// What was done under the keys of a batch: read where it may have been before, and kept up as the
/// batch goes on.
struct Seen {
    known: BTreeMap<(i64, i64), Known>,
    /// Nothing of this batch was done before and all differ: nothing has to be kept.
    fresh: bool,
}

impl Seen {
    fn load(
        work: &mut Work<'_, '_>,
        books: &mut Books,
        requests: &[Request],
    ) -> Result<Self, Fault> {
        let mut keys = Vec::new();
        for request in requests {
            let origin = &request.origin;
            if !books.is_fresh(origin.shard, origin.row) {
                let id = request.road.movement().key(origin.row, origin.leg);
                keys.push((origin.bucket, id, origin.tail));
            }
        }
        let known = books.load_known(work.tx, &keys)?;
        Ok(Self { known, fresh: keys.is_empty() })
    }
    fn get(&self, id: i64, tail: i64) -> Option<Known> {
        if self.fresh { None } else { self.known.get(&(id, tail)).copied() }
    }
    fn note(&mut self, books: &Books, id: i64, tail: i64, ask: &Ask, done: bool) {
        if self.fresh {
            return;
        }
        let known = if done {
            let debit = ask.places.at(ask.movement.rows()[0].debit);
            let debit = books.accounts()[debit as usize].number;
            Known::Moved { debit, amount: ask.amount }
        } else {
            Known::Marked
        };
        self.known.insert((id, tail), known);
    }
}

impl Handle<TransferCreated> for Ledger {
    fn handle(
        &self,
        work: &mut Work<'_, '_>,
        batch: &[Delivered<TransferCreated>],
    ) -> Result<(), Fault> {
        let mut books = self.books.lock();
        let requests = batch
            .iter()
            .map(|event| Request::read(&event.data, work))
            .collect::<Result<Vec<_>, _>>()?;
        let wallets = requests.iter().flat_map(|request| {
            let destination = match request.road {
                Road::Near(wallet) => Some(wallet),
                Road::Far(_) | Road::ByRail(..) | Road::Through(..) => None,
            };
            std::iter::once(request.wallet).chain(destination)
        });
        books.load_many(work.tx, wallets)?;
        let mut seen = Seen::load(work, &mut books, &requests)?;
        let mut holds = Vec::new();
        for (event, request) in batch.iter().zip(&requests) {
            create(work, &mut books, &mut seen, event, request, &mut holds)?;
        }
        books.insert_holds(work.tx, &holds).map_err(fault)?;
        books.save(work.tx, work.now).map_err(fault)
    }
}

type NewHolds = Vec<((u8, i64, i64), Hold)>;

fn create(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    seen: &mut Seen,
    event: &Delivered<TransferCreated>,
    request: &Request,
    holds: &mut NewHolds,
) -> Result<(), Fault> {
    let (data, origin) = (&event.data, &request.origin);
    let (amount, currency) = (data.amount.value, data.amount.currency);
    let wallet = books.wallet(request.wallet);
    let pays = Places::default().with(Place::Source, wallet);
    let places = match request.road {
        Road::Near(wallet) => pays.with(Place::Destination, books.wallet(wallet)),
        Road::Far(shard) => {
            let xout = books.system(work.tx, origin.shard, currency, Role::Xout(shard));
            pays.with(Place::Xout, xout.map_err(fault)?)
        }
        Road::ByRail(Direction::Out, by) => {
            let out = books.system(work.tx, origin.shard, currency, Role::Out(by.rail));
            pays.with(Place::Out, out.map_err(fault)?)
        }
        Road::ByRail(Direction::In, by) => {
            let into = books.system(work.tx, origin.shard, currency, Role::In(by.rail));
            Places::default().with(Place::Destination, wallet).with(Place::In, into.map_err(fault)?)
        }
        Road::Through(first, _) => {
            let mut own = |role| books.system(work.tx, origin.shard, currency, role).map_err(fault);
            let places = Places::default().with(Place::In, own(Role::In(first.rail))?);
            places.with(Place::Destination, own(Role::Transit)?)
        }
    };
    let ask = Ask { movement: request.road.movement(), places, amount, currency };
    let id = ask.movement.key(origin.row, origin.leg);
    match decide(books.accounts(), &ask, seen.get(id, origin.tail)) {
        Decision::Done(plan) => {
            books.record(origin, &plan);
            seen.note(books, id, origin.tail, &ask, true);
            for (hold, leg) in request.holds(data).into_iter().zip(0..) {
                let key = Movement::Hold.key(origin.row, leg);
                holds.push(((origin.bucket, key, origin.tail), hold));
            }
            say_moved(work, event, request);
        }
        Decision::Refused(reason) => {
            books.mark(origin, id, reason as i64);
            seen.note(books, id, origin.tail, &ask, false);
            let refused = LedgerRefused { transfer_id: data.transfer_id, leg: 0, reason };
            work.emit_traced(origin.row, origin.shard, &refused, event.trace);
        }
        Decision::AlreadyDone => {}
        Decision::Contradiction => alarm("a transfer came again as another", data.transfer_id),
    }
    Ok(())
}

fn say_moved(work: &mut Work<'_, '_>, event: &Delivered<TransferCreated>, request: &Request) {
    let (data, row, home) = (&event.data, request.origin.row, request.origin.shard);
    match &request.road {
        Road::Near(_) => {
            let posted = posted(data.transfer_id, 0, PostedState::Posted);
            work.emit_traced(row, home, &posted, event.trace);
        }
        Road::Far(shard) => {
            let destination = data.destination.wallet_id().expect("a far road ends in a wallet");
            let hop = LedgerHop {
                transfer_id: data.transfer_id,
                source: request.wallet,
                destination,
                amount: data.amount,
                step: HopStep::Credit,
                reason: None,
            };
            work.emit_traced(row, *shard, &hop, event.trace);
        }
        Road::ByRail(direction, by) => {
            let reserved = request.reserved(data, 0, *direction, *by);
            work.emit_traced(row, home, &reserved, event.trace);
        }
        Road::Through(first, _) => {
            let reserved = request.reserved(data, 0, Direction::In, *first);
            work.emit_traced(row, home, &reserved, event.trace);
        }
    }
}

impl Handle<LedgerHop> for Ledger {
    fn handle(&self, work: &mut Work<'_, '_>, batch: &[Delivered<LedgerHop>]) -> Result<(), Fault> {
        let mut books = self.books.lock();
        let wallets = batch.iter().map(|event| match event.data.step {
            HopStep::Credit => event.data.destination,
            HopStep::Credited | HopStep::Refused => event.data.source,
        });
        books.load_many(work.tx, wallets)?;
        let keys: Vec<_> = batch.iter().map(|event| hop_key(&event.data)).collect();
        let known = books.load_known(work.tx, &keys)?;
        let mut seen = Seen { known, fresh: false };
        for event in batch {
            match event.data.step {
                HopStep::Credit => hop_in(work, &mut books, &mut seen, event)?,
                HopStep::Credited => hop_done(work, &mut books, &mut seen, event),
                HopStep::Refused => hop_back(work, &mut books, &mut seen, event)?,
            }
        }
        books.save(work.tx, work.now).map_err(fault)
    }
}

/// The key under which a hop is done, with the transfer's bucket at home; the end of a hop is noted beside the posting that began it.
fn hop_key(hop: &LedgerHop) -> (u8, i64, i64) {
    let (row, tail) = (hop.transfer_id.row(), hop.transfer_id.tail());
    let home = hop.transfer_id.bucket();
    let (bucket, movement) = match hop.step {
        HopStep::Credit => (hop.destination.bucket(), Movement::HopIn),
        HopStep::Credited => (home, Movement::HopOut),
        HopStep::Refused => (home, Movement::HopBack),
    };
    // The line after the posting that began it is its credit's, which no posting has as its key.
    let line = i64::from(hop.step == HopStep::Credited);
    (bucket, movement.key(row, 0) + line, tail)
}

/// Hop 2: into the wallet that is paid, or the word that this cannot be.
fn hop_in(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    seen: &mut Seen,
    event: &Delivered<LedgerHop>,
) -> Result<(), Fault> {
    let hop = &event.data;
    let (bucket, id, tail) = hop_key(hop);
    let (home, shard) = (work.shard_of(hop.source.bucket()), work.shard_of(bucket));
    let origin = Origin::new(hop.transfer_id, 0, bucket, shard);
    let xin = books.system(work.tx, shard, hop.amount.currency, Role::Xin(home)).map_err(fault)?;
    let places = Places::default()
        .with(Place::Xin, xin)
        .with(Place::Destination, books.wallet(hop.destination));
    let (amount, currency) = (hop.amount.value, hop.amount.currency);
    let ask = Ask { movement: Movement::HopIn, places, amount, currency };
    let mut back = hop.clone();
    match decide(books.accounts(), &ask, seen.get(id, tail)) {
        Decision::Done(plan) => {
            books.record(&origin, &plan);
            seen.note(books, id, tail, &ask, true);
            back.step = HopStep::Credited;
        }
        Decision::Refused(reason) => {
            books.mark(&origin, id, reason as i64);
            seen.note(books, id, tail, &ask, false);
            (back.step, back.reason) = (HopStep::Refused, Some(reason));
        }
        Decision::AlreadyDone => return Ok(()),
        Decision::Contradiction => {
            alarm("a hop came again as another", hop.transfer_id);
            return Ok(());
        }
    }
    work.emit_traced(origin.row, home, &back, event.trace);
    Ok(())
}

/// The other shard credited it: the transfer is done.
fn hop_done(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    seen: &mut Seen,
    event: &Delivered<LedgerHop>,
) {
    let hop = &event.data;
    let (bucket, id, tail) = hop_key(hop);
    if seen.get(id, tail).is_some() {
        return;
    }
    let home = work.shard_of(bucket);
    let origin = Origin::new(hop.transfer_id, 0, bucket, home);
    books.mark(&origin, id, CREDITED);
    seen.known.insert((id, tail), Known::Marked);
    let posted = posted(hop.transfer_id, 0, PostedState::Posted);
    work.emit_traced(origin.row, home, &posted, event.trace);
}

/// Hop 3: the other shard refused it, the money goes back to the wallet that paid.
fn hop_back(
    work: &mut Work<'_, '_>,
    books: &mut Books,
    seen: &mut Seen,
    event: &Delivered<LedgerHop>,
) -> Result<(), Fault> {
    let hop = &event.data;
    let (bucket, id, tail) = hop_key(hop);
    let (home, other) = (work.shard_of(bucket), work.shard_of(hop.destination.bucket()));
    let origin = Origin::new(hop.transfer_id, 0, bucket, home);
    let (amount, currency) = (hop.amount.value, hop.amount.currency);
    let xout = books.system(work.tx, home, currency, Role::Xout(other)).map_err(fault)?;
    let places =
        Places::default().with(Place::Xout, xout).with(Place::Source, books.wallet(hop.source));
    let ask = Ask { movement: Movement::HopBack, places, amount, currency };
    match decide(books.accounts(), &ask, seen.get(id, tail)) {
        Decision::Done(plan) => {
            books.record(&origin, &plan);
            seen.note(books, id, tail, &ask, true);
        }
        Decision::AlreadyDone => return Ok(()),
        Decision::Contradiction => {
            alarm("a hop came back as another", hop.transfer_id);
            return Ok(());
        }
        Decision::Refused(_) => {
            let what = "the money of a refused hop has no way back";
            return Err(Fault::Poison(format!("{}: {what}", hop.transfer_id)));
        }
    }
    let reason = hop.reason.unwrap_or(RefusedReason::NoSuchWallet);
    let refused = LedgerRefused { transfer_id: hop.transfer_id, leg: 0, reason };
    work.emit_traced(origin.row, home, &refused, event.trace);
    Ok(())
}
