//! Micro-deposits: which there are, and what comes back of them.

use contracts::{
    ids::{BankAccountId, TransferId},
    rails::{RailOutcome, RailState},
};

use super::{Exception, Input, Reason, sealing::Sealed};

/// The largest amount, in cents. Two of them have 325 pairs, of which five may be tried.
const CENTS_MOST: u8 = 25;

/// Which micro-deposits a platform has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deposits {
    /// Credits by ACH from the platform's wallet.
    Sent,
    /// 0 and 0, as in Moov's test mode: no credit is needed to tell them.
    Simulated,
    /// No rail could send them.
    Unavailable,
}

/// One that was sent, or is to be.
pub struct Deposit {
    /// The transfer that pays it.
    pub transfer: TransferId,
    pub bank_account: BankAccountId,
    /// A bank account may get them anew where the former were not sent: from 1.
    pub round: i64,
    /// Its cents.
    pub sealed: Sealed,
}

/// The cents that a random byte gives; none where it would favour some.
pub fn cents(random: u8) -> Option<i64> {
    (random < u8::MAX / CENTS_MOST * CENTS_MOST).then(|| i64::from(random % CENTS_MOST) + 1)
}

/// Whether these are the amounts; which came first does not count.
pub fn are_equal(mut named: [i64; 2], mut sent: [i64; 2]) -> bool {
    named.sort_unstable();
    sent.sort_unstable();
    named == sent
}

/// What the end of a micro-deposit's transfer says of its bank account. Any return does: the account
/// did not take a few cents. What was not sent may be sent again.
pub fn outcome(outcome: &RailOutcome) -> Option<Input> {
    match (outcome.state, Exception::of(outcome)) {
        (RailState::Rejected | RailState::Returned, Some(exception)) => {
            Some(Input::HardReturn(Reason::MicroDepositReturn, exception))
        }
        (RailState::Rejected | RailState::Canceled, _) => Some(Input::DepositUnsent),
        _ => None,
    }
}
