//! The nouns of the books and their rules: accounts, counters, movements, holds. Pure.
//!
//! Every posting moves one amount from a debit account to a credit account, so that a movement
//! which does not balance cannot be written down. Each movement is rows of [`Movement::rows`];
//! a new kind of movement is a new list of rows and nothing else.

use contracts::{Currency, ids::WalletId, ledger::RefusedReason, rails::Rail};

mod holds;
#[cfg(test)]
mod tests;

pub use holds::{Follow, HoldState, Resolution, follow, resolve, undone};

/// What an account is for. Its name is [`Role::name`], its number is the store's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A customer's money; the only role with a limit: what is available is never below zero
    /// unless a forced entry took it there.
    Wallet(WalletId),
    /// Sent by a rail, not settled.
    Out(Rail),
    /// Expected from a rail, not settled.
    In(Rail),
    /// Our account at a rail's bank.
    Settlement(Rail),
    /// Between the two legs of transfers from outside to outside; never below zero.
    Transit,
    /// The counterpart of what is put in or taken out by hand.
    Adjustments,
    /// On its way to that shard.
    Xout(u32),
    /// Come from that shard.
    Xin(u32),
}

impl Role {
    /// `wallet:<id>`, `rtp:out`, `card:in`, `rtp:settlement`, `transit`, `adjustments`,
    /// `xout:<shard>`, `xin:<shard>`.
    pub fn name(self) -> String {
        match self {
            Self::Wallet(id) => format!("wallet:{id}"),
            Self::Out(rail) => format!("{rail}:out"),
            Self::In(rail) => format!("{rail}:in"),
            Self::Settlement(rail) => format!("{rail}:settlement"),
            Self::Transit => "transit".to_owned(),
            Self::Adjustments => "adjustments".to_owned(),
            Self::Xout(shard) => format!("xout:{shard}"),
            Self::Xin(shard) => format!("xin:{shard}"),
        }
    }
    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "transit" => return Some(Self::Transit),
            "adjustments" => return Some(Self::Adjustments),
            _ => {}
        }
        let (first, second) = name.split_once(':')?;
        match (first, second) {
            ("wallet", id) => id.parse().ok().map(Self::Wallet),
            ("xout", shard) => shard.parse().ok().map(Self::Xout),
            ("xin", shard) => shard.parse().ok().map(Self::Xin),
            (rail, "out") => rail.parse().ok().map(Self::Out),
            (rail, "in") => rail.parse().ok().map(Self::In),
            (rail, "settlement") => rail.parse().ok().map(Self::Settlement),
            _ => None,
        }
    }
    /// Whether its available balance may not fall below zero.
    pub fn is_limited(self) -> bool {
        matches!(self, Self::Wallet(_) | Self::Transit)
    }
}

/// Debit or credit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Debit,
    Credit,
}

/// What a posting does to the counters of its two accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The money moves.
    Posted,
    /// The money is held.
    Held,
    /// A hold is released and its money moves.
    HoldPosted,
    /// A hold is released and nothing moves.
    Voided,
}

impl Effect {
    /// The number stored.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// The effect with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        let all = [Self::Posted, Self::Held, Self::HoldPosted, Self::Voided];
        all.into_iter().find(|effect| effect.number() == number)
    }
    /// Whether this is the first that a wallet sees of a movement (the rest resolves it).
    pub fn is_first(self) -> bool {
        matches!(self, Self::Posted | Self::Held)
    }
}

/// The counters of an account in minor units. None of them ever falls: what is pending now is
/// held less released.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    pub debits_posted: i64,
    pub credits_posted: i64,
    /// All that was ever held.
    pub debits_held: i64,
    pub credits_held: i64,
    /// All that was held and is resolved, posted or voided.
    pub debits_released: i64,
    pub credits_released: i64,
    /// How many postings made these counters; expected again where they are written.
    pub entries: i64,
}

impl Balance {
    /// Posted credits less posted and pending debits.
    pub fn available(&self) -> i64 {
        self.checked_available().expect("an account whose counters overflow is never written")
    }
    fn checked_available(&self) -> Option<i64> {
        let pending = self.debits_held.checked_sub(self.debits_released)?;
        self.credits_posted.checked_sub(self.debits_posted)?.checked_sub(pending)
    }
    /// The counters after one posting; `None` where one would leave the range of 64 bits, now or
    /// when what is pending is posted: a hold that was granted never fails later.
    pub fn after(mut self, side: Side, effect: Effect, amount: i64) -> Option<Self> {
        let (posted, held, released) = match side {
            Side::Debit => {
                (&mut self.debits_posted, &mut self.debits_held, &mut self.debits_released)
            }
            Side::Credit => {
                (&mut self.credits_posted, &mut self.credits_held, &mut self.credits_released)
            }
        };
        match effect {
            Effect::Posted => *posted = posted.checked_add(amount)?,
            Effect::Held => *held = held.checked_add(amount)?,
            Effect::HoldPosted => {
                *released = released.checked_add(amount)?;
                *posted = posted.checked_add(amount)?;
            }
            Effect::Voided => *released = released.checked_add(amount)?,
        }
        posted.checked_add(held.checked_sub(*released)?)?;
        assert!(*released <= *held, "no more is released than was held");
        self.entries += 1;
        self.checked_available()?;
        Some(self)
    }
}

/// An account in memory.
#[derive(Clone, Debug)]
pub struct Account {
    /// The store's small number.
    pub number: i64,
    pub role: Role,
    pub bucket: u8,
    pub shard: u32,
    pub currency: Currency,
    pub balance: Balance,
}

/// The part of a posting's key that says why it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Hold,
    Post,
    Void,
    Settle,
    Fee,
    Forced,
    GiveBack,
    Hop,
}

impl Step {
    const ALL: [Self; 8] = [
        Self::Hold,
        Self::Post,
        Self::Void,
        Self::Settle,
        Self::Fee,
        Self::Forced,
        Self::GiveBack,
        Self::Hop,
    ];
    /// The step in a posting's key.
    pub fn of_key(key: i64) -> Self {
        Self::ALL[usize::try_from((key >> 3) & 7).expect("three bits")]
    }
    /// The name in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Post => "post",
            Self::Void => "void",
            Self::Settle => "settle",
            Self::Fee => "fee",
            Self::Forced => "forced",
            Self::GiveBack => "give-back",
            Self::Hop => "hop",
        }
    }
}

/// A posting's key: the transfer's row, 2 bits of leg, 3 of step, 3 of line. A posting has two
/// lines, its debit at an even number and its credit at the next one; the key is the debit's.
pub fn key(row: i64, leg: u8, step: Step, line: u8) -> i64 {
    assert!((0..1 << 54).contains(&row), "the row of a fresh id has 54 bits until the year 2109");
    assert!(leg < 4 && line < 8, "2 bits of leg, 3 of line");
    (row << 8) | (i64::from(leg) << 6) | ((step as i64) << 3) | i64::from(line)
}

/// Where a row of a movement takes its account from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The wallet that pays.
    Source,
    /// The wallet that is paid.
    Destination,
    Out,
    In,
    Settlement,
    Adjustments,
    Xout,
    Xin,
}

/// One row of a movement: a debit and a credit of the same amount.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub step: Step,
    pub line: u8,
    pub debit: Place,
    pub credit: Place,
    pub effect: Effect,
}

const fn row(step: Step, line: u8, debit: Place, credit: Place, effect: Effect) -> Row {
    Row { step, line, debit, credit, effect }
}

/// The movements of money that the books know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Movement {
    /// Both wallets in one shard.
    WalletToWallet,
    /// The wallet that is paid is in another shard: out of this one.
    HopOut,
    /// Into the shard of the wallet that is paid.
    HopIn,
    /// Back to the wallet that paid.
    HopBack,
    /// To a rail: held until it answers.
    Hold,
    /// The rail took it: the hold is posted and settled in one step.
    Settle,
    /// The rail refused it.
    Void,
    /// The rail brought it back after it was settled: forced, to whoever paid.
    Return,
    /// From a rail: pending, and not available, until its funds are released.
    HoldIn,
    /// The rail released the funds: the hold is posted and settled in one step.
    SettleIn,
    /// The rail brings nothing.
    VoidIn,
    /// The rail took it back after it was released: forced, from whoever was paid.
    ReturnIn,
    /// What a rail could not give back goes to the wallet of who paid.
    GiveBack,
    /// Put into a wallet by hand.
    Fund,
}

impl Movement {
    /// The postings it is made of, in order.
    pub const fn rows(self) -> &'static [Row] {
        use Effect::{Held, HoldPosted, Posted, Voided};
        use Place::{Adjustments, Destination, In, Out, Settlement, Source, Xin, Xout};
        match self {
            Self::WalletToWallet => const { &[row(Step::Post, 0, Source, Destination, Posted)] },
            Self::HopOut => const { &[row(Step::Hop, 0, Source, Xout, Posted)] },
            Self::HopIn => const { &[row(Step::Hop, 2, Xin, Destination, Posted)] },
            Self::HopBack => const { &[row(Step::Hop, 4, Xout, Source, Posted)] },
            Self::Hold => const { &[row(Step::Hold, 0, Source, Out, Held)] },
            Self::Settle => {
                const {
                    &[
                        row(Step::Post, 0, Source, Out, HoldPosted),
                        row(Step::Settle, 0, Out, Settlement, Posted),
                    ]
                }
            }
            Self::Void => const { &[row(Step::Void, 0, Source, Out, Voided)] },
            Self::Return => {
                const {
                    &[
                        row(Step::Forced, 0, Out, Source, Posted),
                        row(Step::Forced, 2, Settlement, Out, Posted),
                    ]
                }
            }
            Self::HoldIn => const { &[row(Step::Hold, 0, In, Destination, Held)] },
            Self::SettleIn => {
                const {
                    &[
                        row(Step::Post, 0, In, Destination, HoldPosted),
                        row(Step::Settle, 0, Settlement, In, Posted),
                    ]
                }
            }
            Self::VoidIn => const { &[row(Step::Void, 0, In, Destination, Voided)] },
            Self::ReturnIn => {
                const {
                    &[
                        row(Step::Forced, 0, Destination, In, Posted),
                        row(Step::Forced, 2, In, Settlement, Posted),
                    ]
                }
            }
            Self::GiveBack => const { &[row(Step::GiveBack, 0, Source, Destination, Posted)] },
            Self::Fund => const { &[row(Step::Post, 0, Adjustments, Destination, Posted)] },
        }
    }
    /// The key of its first posting.
    pub fn key(self, row: i64, leg: u8) -> i64 {
        let first = &self.rows()[0];
        key(row, leg, first.step, first.line)
    }
}

/// An account's place in the slab of accounts, or [`NOWHERE`].
pub type Slot = u32;
/// There is no such account.
pub const NOWHERE: Slot = Slot::MAX;

/// The accounts that a movement may touch.
#[derive(Clone, Copy, Debug)]
pub struct Places([Slot; 8]);

impl Default for Places {
    fn default() -> Self {
        Self([NOWHERE; 8])
    }
}

impl Places {
    /// The same with one more.
    pub fn with(mut self, place: Place, slot: Slot) -> Self {
        self.0[place as usize] = slot;
        self
    }
    /// The account at a place.
    pub fn at(&self, place: Place) -> Slot {
        self.0[place as usize]
    }
}

/// What is asked of the books.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub movement: Movement,
    pub places: Places,
    /// Minor units, above zero.
    pub amount: i64,
    pub currency: Currency,
}

/// What the books hold under the key of an ask already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// A posting: its debit account's number and its amount.
    Moved { debit: i64, amount: i64 },
    /// No posting: it was refused, or only its end was noted.
    Marked,
}

/// One posting with what it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub step: Step,
    pub line: u8,
    pub effect: Effect,
    pub amount: i64,
    pub debit: Slot,
    pub credit: Slot,
    pub debit_after: Balance,
    pub credit_after: Balance,
}

/// The postings of one movement, at most two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    first: Entry,
    second: Option<Entry>,
}

impl Plan {
    /// The postings in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

/// How the books decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "the common variant is the large one; a box would cost each transfer an allocation"
)]
pub enum Decision {
    /// These postings are made.
    Done(Plan),
    /// It was done before: nothing.
    AlreadyDone,
    /// No posting is made.
    Refused(RefusedReason),
    /// Something else was done under this key: an alarm, and nothing.
    Contradiction,
}

/// Decides an ask. The order of the checks is part of the contract: what was done before, then
/// whether the accounts are there, then currencies, then overflow, then funds.
pub fn decide(accounts: &[Account], ask: &Ask, known: Option<Known>) -> Decision {
    assert!(ask.amount > 0, "an amount is above zero");
    let rows = ask.movement.rows();
    if let Some(known) = known {
        return repeated(accounts, ask, known);
    }
    for row in rows {
        let (debit, credit) = (ask.places.at(row.debit), ask.places.at(row.credit));
        if debit == NOWHERE || credit == NOWHERE || debit == credit {
            return Decision::Refused(RefusedReason::NoSuchWallet);
        }
    }
    let first = match entry(accounts, ask, &rows[0], None) {
        Ok(entry) => entry,
        Err(reason) => return Decision::Refused(reason),
    };
    let second = match rows.get(1).map(|row| entry(accounts, ask, row, Some(&first))) {
        None => None,
        Some(Ok(entry)) => Some(entry),
        Some(Err(reason)) => return Decision::Refused(reason),
    };
    assert!(rows.len() <= 2, "a plan has room for two postings");
    Decision::Done(Plan { first, second })
}

fn repeated(accounts: &[Account], ask: &Ask, known: Known) -> Decision {
    let Known::Moved { debit, amount } = known else { return Decision::AlreadyDone };
    let asked = accounts.get(ask.places.at(ask.movement.rows()[0].debit) as usize);
    if amount == ask.amount && asked.is_some_and(|account| account.number == debit) {
        Decision::AlreadyDone
    } else {
        Decision::Contradiction
    }
}

fn entry(
    accounts: &[Account],
    ask: &Ask,
    row: &Row,
    before: Option<&Entry>,
) -> Result<Entry, RefusedReason> {
    let (debit, credit) = (ask.places.at(row.debit), ask.places.at(row.credit));
    let (from, to) = (&accounts[debit as usize], &accounts[credit as usize]);
    assert_eq!(from.shard, to.shard, "a posting stays in its shard");
    if from.currency != ask.currency || to.currency != ask.currency {
        return Err(RefusedReason::NoSuchWallet);
    }
    let after = |slot: Slot, side: Side| {
        let balance = match before {
            Some(entry) if entry.debit == slot => entry.debit_after,
            Some(entry) if entry.credit == slot => entry.credit_after,
            _ => accounts[slot as usize].balance,
        };
        balance.after(side, row.effect, ask.amount).ok_or(RefusedReason::Overflow)
    };
    let debit_after = after(debit, Side::Debit)?;
    let credit_after = after(credit, Side::Credit)?;
    let takes = matches!(row.effect, Effect::Posted | Effect::Held);
    let forced = matches!(row.step, Step::Forced | Step::GiveBack);
    if takes && !forced && from.role.is_limited() && debit_after.available() < 0 {
        return Err(RefusedReason::InsufficientFunds);
    }
    Ok(Entry {
        step: row.step,
        line: row.line,
        effect: row.effect,
        amount: ask.amount,
        debit,
        credit,
        debit_after,
        credit_after,
    })
}
