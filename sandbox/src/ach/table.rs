//! The table of magic amounts, as far as it is ACH's.

use nacha::{ChangeCode, ReturnCode};

/// What becomes of an entry of some amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Settles,
    /// 99NN: returned before it settles.
    Returned(ReturnCode),
    /// 94NN: returned after it settled.
    ReturnedLate(ReturnCode),
    /// 98NN: settles, and is notified of a change.
    Changed(ChangeCode),
    /// 9600: settles; after its file connections are refused for a while.
    SettlesThenAway,
}

/// The outcome of an amount in cents.
pub(super) fn outcome(cents: i64) -> Outcome {
    if cents % 1_000_000 / 10_000 != 77 {
        return Outcome::Settles;
    }
    let code = cents % 10_000;
    let number = u8::try_from(code % 100).expect("two digits");
    let returned = || ReturnCode::new(number).filter(|_| number <= 85);
    let outcome = match code / 100 {
        99 => returned().map(Outcome::Returned),
        94 => returned().map(Outcome::ReturnedLate),
        98 => ChangeCode::new(number).filter(|_| number <= 14).map(Outcome::Changed),
        96 if number == 0 => Some(Outcome::SettlesThenAway),
        _ => None,
    };
    outcome.unwrap_or(Outcome::Settles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let code = |number| ReturnCode::new(number).unwrap();
        for (cents, expected) in [
            (779_901, Outcome::Returned(code(1))),
            (779_985, Outcome::Returned(code(85))),
            (779_990, Outcome::Settles),
            (779_948, Outcome::Settles),
            (779_900, Outcome::Settles),
            (779_403, Outcome::ReturnedLate(code(3))),
            (779_801, Outcome::Changed(ChangeCode::new(1).unwrap())),
            (779_810, Outcome::Settles),
            (779_861, Outcome::Settles),
            (779_600, Outcome::SettlesThenAway),
            (779_601, Outcome::Settles),
            (5_779_901, Outcome::Returned(code(1))),
            (7_799_010, Outcome::Settles),
            (789_901, Outcome::Settles),
            (0, Outcome::Settles),
        ] {
            assert_eq!(outcome(cents), expected, "{cents}");
        }
    }
}
