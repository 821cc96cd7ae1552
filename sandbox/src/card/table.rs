//! The table of magic amounts, as far as it is the card's.

use iso8583::response::{Verdict, meaning};

/// What becomes of a request of some amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Approved,
    /// 9700: booked, and the answer is lost.
    ApprovedSilently,
    /// 9701: not even booked.
    Swallowed,
    /// 9702: booked, and answered when its reversal has come.
    ApprovedLate,
    /// 97NN: this code of field 39.
    Declined(String),
    /// 9600: approved; then connections are refused for a while.
    ApprovedThenAway,
}

/// The outcome of an amount in minor units.
pub(super) fn outcome(minor: i64) -> Outcome {
    if minor % 1_000_000 / 10_000 != 77 {
        return Outcome::Approved;
    }
    match minor % 10_000 {
        9600 => Outcome::ApprovedThenAway,
        9700 => Outcome::ApprovedSilently,
        9701 => Outcome::Swallowed,
        9702 => Outcome::ApprovedLate,
        row @ 9703..=9799 => {
            let code = format!("{:02}", row - 9700);
            match meaning(&code).verdict {
                Verdict::Declined => Outcome::Declined(code),
                Verdict::Approved | Verdict::Conditional => Outcome::Approved,
            }
        }
        _ => Outcome::Approved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let declined = |code: &str| Outcome::Declined(code.to_owned());
        for (minor, expected) in [
            (779_700, Outcome::ApprovedSilently),
            (779_701, Outcome::Swallowed),
            (779_702, Outcome::ApprovedLate),
            (779_703, declined("03")),
            (779_705, declined("05")),
            (779_751, declined("51")),
            (779_799, declined("99")),
            (12_779_754, declined("54")),
            // Codes that are no declines are no rows.
            (779_708, Outcome::Approved),
            (779_710, Outcome::Approved),
            (779_711, Outcome::Approved),
            (779_716, Outcome::Approved),
            (779_732, Outcome::Approved),
            (779_600, Outcome::ApprovedThenAway),
            (779_500, Outcome::Approved),
            (779_901, Outcome::Approved),
            (789_751, Outcome::Approved),
            (9751, Outcome::Approved),
            (100, Outcome::Approved),
        ] {
            assert_eq!(outcome(minor), expected, "{minor}");
        }
    }
}
