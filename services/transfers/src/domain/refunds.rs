//! Which transfers can be refunded, and how much of them is left to refund.

use contracts::transfers::TransferStatus;

use super::{Parties, is_final};

/// A refund that was made: minor units, and how its transfer stands.
pub struct Given {
    pub amount: i64,
    pub status: TransferStatus,
}

/// Refunds of one transfer at most: each is shown with it.
pub const REFUNDS_MOST: usize = 100;

/// Why a transfer is not refunded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRefund {
    /// Its money has not moved; it can be cancelled.
    Unfinished,
    /// It moved no money, or its money came back.
    Ended(TransferStatus),
    /// Its money is with a bank or card of somebody else: only they can send it back.
    Gone,
    /// It is a refund itself.
    OfRefund,
    /// All of it is refunded.
    Nothing,
    /// More than is left: minor units.
    TooMuch(i64),
    /// It was refunded [`REFUNDS_MOST`] times, those that failed among them.
    TooOften,
}

impl NoRefund {
    /// What the caller is told.
    pub fn rule(self) -> String {
        match self {
            Self::Unfinished => "the transfer is not completed yet: cancel it instead".to_owned(),
            Self::Ended(status) => format!("the transfer is {}", status.as_str()),
            Self::Gone => "its money has left for an outside account: only its owner can send it \
                           back"
                .to_owned(),
            Self::OfRefund => "a refund is not refunded".to_owned(),
            Self::Nothing => "all of the transfer is refunded".to_owned(),
            Self::TooOften => format!("a transfer is refunded {REFUNDS_MOST} times at most"),
            Self::TooMuch(left) => format!("only {left} is left to refund"),
        }
    }
}

/// Whether a refund's money is taken from the transfer: it is on its way or there. One that failed, or
/// that came back, may be made again.
fn in_force(status: TransferStatus) -> bool {
    !is_final(status) || status == TransferStatus::Completed
}

/// What refunds take together: minor units. They were limited when they were made.
pub fn taken(given: &[Given]) -> i64 {
    given.iter().filter(|given| in_force(given.status)).map(|given| given.amount).sum()
}

/// The amount of a new refund, and between whom it moves. All that are in force together never exceed
/// the transfer.
pub fn refund(
    parties: &Parties,
    amount: i64,
    status: TransferStatus,
    given: &[Given],
    asked: Option<i64>,
) -> Result<(i64, Parties), NoRefund> {
    match status {
        TransferStatus::Completed => {}
        ended if is_final(ended) => return Err(NoRefund::Ended(ended)),
        _ => return Err(NoRefund::Unfinished),
    }
    if parties.destination.party.wallet_id().is_none() {
        return Err(NoRefund::Gone);
    }
    let left = amount.checked_sub(taken(given)).expect("both are amounts");
    assert!(left >= 0, "more was refunded than was paid");
    let refund = asked.unwrap_or(left);
    match refund {
        _ if left == 0 => Err(NoRefund::Nothing),
        _ if given.len() >= REFUNDS_MOST => Err(NoRefund::TooOften),
        refund if refund > left => Err(NoRefund::TooMuch(left)),
        refund => {
            assert!(refund > 0, "a request is checked before");
            let back = Parties {
                source: parties.destination.clone(),
                destination: parties.source.clone(),
            };
            Ok((refund, back))
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::{
        ids::{AccountId, PaymentMethodId, WalletId},
        rails::Rail,
        transfers::{Party, TransferStatus as Status},
    };
    use uuid::Uuid;

    use super::*;
    use crate::domain::{MethodType, Side};

    fn side(number: u8, kind: MethodType) -> Side {
        let id = Uuid::from_bytes([number; 16]);
        let account_id = AccountId(id);
        let party = match kind.rail() {
            None => Party::Wallet { account_id, wallet_id: WalletId(id) },
            Some(rail) => Party::External {
                account_id,
                payment_method_id: PaymentMethodId(id),
                version: 1,
                rail,
            },
        };
        Side { party, method: PaymentMethodId(id), kind }
    }

    /// `status source destination amount | given | asked` and what comes of it.
    fn decided(line: &str) -> String {
        let (given, found) = line.split_once(" => ").unwrap();
        let parts: Vec<&str> = given.split('|').map(str::trim).collect();
        let words: Vec<&str> = parts[0].split_whitespace().collect();
        let status = |name: &str| Status::ALL.into_iter().find(|s| s.as_str() == name).unwrap();
        let parties = Parties {
            source: side(1, MethodType::from_name(words[1]).unwrap()),
            destination: side(2, MethodType::from_name(words[2]).unwrap()),
        };
        let made: Vec<Given> = parts[1]
            .split_whitespace()
            .map(|one| {
                let (amount, state) = one.split_once(':').unwrap();
                Given { amount: amount.parse().unwrap(), status: status(state) }
            })
            .collect();
        let asked = parts[2].parse().ok();
        let said = match refund(&parties, words[3].parse().unwrap(), status(words[0]), &made, asked)
        {
            Ok((amount, back)) => {
                assert_eq!((back.source, back.destination), (parties.destination, parties.source));
                amount.to_string()
            }
            Err(no) => format!("{no:?}"),
        };
        assert_eq!(said, found, "{line}");
        said
    }

    #[test]
    fn what_is_left_is_refunded_and_no_more() {
        let table = "
            completed card-payment moov-wallet 500 | | all => 500
            completed card-payment moov-wallet 500 | | 200 => 200
            completed card-payment moov-wallet 500 | | 501 => TooMuch(500)
            completed card-payment moov-wallet 500 | 200:completed | all => 300
            completed card-payment moov-wallet 500 | 200:created 100:pending | 201 => TooMuch(200)
            completed card-payment moov-wallet 500 | 200:created 300:pending | 1 => Nothing
            completed card-payment moov-wallet 500 | 500:completed | all => Nothing
            completed card-payment moov-wallet 500 | 500:failed 500:canceled | all => 500
            completed ach-debit-collect moov-wallet 500 | 500:reversed | 500 => 500
            completed moov-wallet moov-wallet 500 | | all => 500
            completed pull-from-card moov-wallet 500 | | all => 500
            completed moov-wallet rtp-credit 500 | | all => Gone
            completed card-payment ach-credit-standard 500 | | all => Gone
            created card-payment moov-wallet 500 | | all => Unfinished
            pending card-payment moov-wallet 500 | | all => Unfinished
            failed card-payment moov-wallet 500 | | all => Ended(Failed)
            canceled card-payment moov-wallet 500 | | all => Ended(Canceled)
            reversed ach-debit-collect moov-wallet 500 | | all => Ended(Reversed)";
        let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
        assert_eq!(lines.map(decided).count(), 18);
    }

    #[test]
    fn a_rail_is_named_for_the_way_back() {
        let parties = Parties {
            source: side(1, MethodType::CardPayment),
            destination: side(2, MethodType::MoovWallet),
        };
        let (_, back) = refund(&parties, 5, Status::Completed, &[], None).unwrap();
        assert_eq!(back.rail(), Some(Rail::Card));
        assert_eq!(back.bucket(), 2);
    }
}
