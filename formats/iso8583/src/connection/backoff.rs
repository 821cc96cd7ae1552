//! How long to wait before connecting again.

/// No connection is tried twice within a second.
const LEAST: i64 = 1_000_000;

/// Pauses that double from a first to a longest one, each up to a half longer by chance.
#[derive(Debug)]
pub(super) struct Backoff {
    first: i64,
    most: i64,
    pause: i64,
}

impl Backoff {
    pub(super) fn new(first: i64, most: i64) -> Self {
        let first = first.max(LEAST);
        Self { first, most: most.max(first), pause: first }
    }

    /// The time of the next attempt.
    pub(super) fn next(&mut self, now: i64, jitter: u64) -> i64 {
        let half = self.pause.unsigned_abs() / 2;
        let more = i64::try_from(jitter % (half + 1)).expect("less than a pause");
        let at = now.saturating_add(self.pause).saturating_add(more);
        self.pause = self.pause.saturating_mul(2).min(self.most);
        at
    }

    /// It worked: the next pause is the first again.
    pub(super) fn reset(&mut self) {
        self.pause = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_and_never_fall_under_a_second() {
        let mut backoff = Backoff::new(10, 5_000_000);
        let pauses: Vec<i64> = (0..4).map(|_| backoff.next(0, 0)).collect();
        assert_eq!(pauses, [1_000_000, 2_000_000, 4_000_000, 5_000_000]);
        backoff.reset();
        for jitter in [0, 1, 499_999, 500_000, 500_001, u64::MAX] {
            let at = backoff.next(7, jitter);
            assert!((1_000_007..=1_500_007).contains(&at), "{jitter}: {at}");
            backoff.reset();
        }
    }
}
