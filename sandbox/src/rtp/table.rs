//! The table of magic amounts, as far as it is RTP's.

/// What becomes of a payment of some amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// 9500: booked, never acknowledged.
    AcceptedSilently,
    /// 9501: not even booked.
    Swallowed,
    /// 9502: accepted without posting, final later.
    AcceptedLater,
    /// 9511 to 9521.
    Rejected(&'static str),
    /// 9600: accepted; then connections are refused for a while.
    AcceptedThenAway,
}

const REASONS: [&str; 11] =
    ["AC03", "AC04", "AC06", "AC14", "AG01", "AG03", "AM02", "AM04", "AM09", "BE04", "MD07"];

/// The outcome of an amount in minor units.
pub(super) fn outcome(minor: i64) -> Outcome {
    if minor % 1_000_000 / 10_000 != 77 {
        return Outcome::Accepted;
    }
    match minor % 10_000 {
        9500 => Outcome::AcceptedSilently,
        9501 => Outcome::Swallowed,
        9502 => Outcome::AcceptedLater,
        code @ 9511..=9521 => {
            let index = usize::try_from(code - 9511).expect("between 0 and 10");
            Outcome::Rejected(REASONS[index])
        }
        9600 => Outcome::AcceptedThenAway,
        _ => Outcome::Accepted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (minor, expected) in [
            (779_500, Outcome::AcceptedSilently),
            (779_501, Outcome::Swallowed),
            (779_502, Outcome::AcceptedLater),
            (779_511, Outcome::Rejected("AC03")),
            (779_521, Outcome::Rejected("MD07")),
            (779_510, Outcome::Accepted),
            (779_522, Outcome::Accepted),
            (779_600, Outcome::AcceptedThenAway),
            (5_779_501, Outcome::Swallowed),
            (779_901, Outcome::Accepted),
            (789_501, Outcome::Accepted),
            (7_795_010, Outcome::Accepted),
            (9501, Outcome::Accepted),
            (0, Outcome::Accepted),
        ] {
            assert_eq!(outcome(minor), expected, "{minor}");
        }
    }
}
