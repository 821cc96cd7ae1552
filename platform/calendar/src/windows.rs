//! Cut-offs: until when an entry must be there to go with a file, and when that file settles.

use contracts::Timestamp;

use crate::day::clamped;
use crate::{Day, TimeOfDay};

/// What kind of entries a file has, as far as time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Credits and debits that settle on the day on which they are sent.
    SameDay,
    /// Credits that settle on the next banking day.
    StandardCredit,
    /// Debits that settle on the next banking day.
    StandardDebit,
}

/// A cut-off, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoff {
    /// What comes before this moment goes; what comes at it or later waits for the next one.
    pub at: Timestamp,
    /// When the banks have settled it.
    pub settles_at: Timestamp,
    /// On which day that is: the effective entry date of the file's batches.
    pub settlement_day: Day,
}

/// One of the same-day windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameDayWindow {
    /// Until when.
    pub cutoff: TimeOfDay,
    /// When it settles, later on the same day.
    pub settles: TimeOfDay,
}

/// The cut-offs of a pace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows(Pace);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pace {
    Banking { standard: TimeOfDay, same_day: Vec<SameDayWindow> },
    Fast,
}

/// The fast pace: a cut-off every two seconds, and settlement two seconds after it.
const FAST_MICROS: i64 = 2_000_000;

/// FedACH closes each window half an hour after our cut-off.
const CLOSES_AFTER_MICROS: i64 = 30 * 60 * 1_000_000;

/// When standard entries settle: the Federal Reserve's 8:30.
const STANDARD_SETTLES: TimeOfDay = TimeOfDay::new(8, 30).expect("a time of day");

/// Until when Moov takes standard entries.
const STANDARD: TimeOfDay = TimeOfDay::new(17, 30).expect("a time of day");

/// Until when Moov takes same-day entries, half an hour before FedACH closes each window, and when
/// FedACH settles it.
const SAME_DAY: [SameDayWindow; 3] = [window(10, 0, 13), window(14, 15, 17), window(16, 15, 18)];

const fn window(hour: i8, minute: i8, settles: i8) -> SameDayWindow {
    SameDayWindow {
        cutoff: TimeOfDay::new(hour, minute).expect("a time of day"),
        settles: TimeOfDay::new(settles, 0).expect("a time of day"),
    }
}

impl Default for Windows {
    /// Standard until 17:30; same day until 10:00, 14:15 and 16:15; New York's time.
    fn default() -> Self {
        Self(Pace::Banking { standard: STANDARD, same_day: SAME_DAY.to_vec() })
    }
}

impl Windows {
    /// Windows of these times in New York on every banking day. `None` without a same-day window, or
    /// where these do not ascend, or one settles before it closes.
    pub fn banking(standard: TimeOfDay, same_day: Vec<SameDayWindow>) -> Option<Self> {
        let ascend = same_day.windows(2).all(|pair| pair[0].cutoff < pair[1].cutoff);
        let settle = same_day.iter().all(|window| window.cutoff < window.settles);
        let valid = !same_day.is_empty() && ascend && settle;
        valid.then_some(Self(Pace::Banking { standard, same_day }))
    }

    /// The sandbox's: a cut-off at every even second, and settlement two seconds later, on any day.
    pub fn fast() -> Self {
        Self(Pace::Fast)
    }

    /// The first cut-off after a moment; a moment before 1970 or after 9000 is taken for the nearest
    /// one of these years.
    pub fn next_cutoff(&self, after: Timestamp, kind: Kind) -> Cutoff {
        let after = clamped(after);
        match &self.0 {
            Pace::Fast => {
                let rest = after.0.rem_euclid(FAST_MICROS);
                let at = after.plus_micros(FAST_MICROS - rest);
                let settles_at = at.plus_micros(FAST_MICROS);
                Cutoff { at, settles_at, settlement_day: Day::of(settles_at) }
            }
            Pace::Banking { standard, same_day } => {
                let today = Day::of(after);
                let of_today = |day: Day| match kind {
                    Kind::SameDay => {
                        same_day.iter().map(|window| on(day, *window)).find(|on| on.at > after)
                    }
                    Kind::StandardCredit | Kind::StandardDebit => {
                        Some(overnight(day, *standard)).filter(|cutoff| cutoff.at > after)
                    }
                };
                let first = today.is_banking_day().then(|| of_today(today)).flatten();
                first.unwrap_or_else(|| {
                    let next = of_today(today.next_banking_day());
                    next.expect("every cut-off of a later day is after this one")
                })
            }
        }
    }

    /// The cut-off of an entry that was collected at one moment and goes at another: its own, unless
    /// that is over for so long that the banks take no file of it any more.
    pub fn cutoff_of(&self, collected: Timestamp, now: Timestamp, kind: Kind) -> Cutoff {
        let own = self.next_cutoff(collected, kind);
        if now <= self.closes(&own) { own } else { self.next_cutoff(now, kind) }
    }

    /// When a file of a cut-off settles that was sent at a moment: as the cut-off says, if it was
    /// sent before the banks' own deadline.
    pub fn settles(&self, cutoff: &Cutoff, sent: Timestamp, kind: Kind) -> Timestamp {
        match &self.0 {
            Pace::Fast => cutoff.settles_at.max(sent.plus_micros(FAST_MICROS)),
            Pace::Banking { .. } if sent <= self.closes(cutoff) => cutoff.settles_at,
            Pace::Banking { .. } => self.next_cutoff(sent, kind).settles_at.max(cutoff.settles_at),
        }
    }

    /// The banks' own deadline after a cut-off.
    fn closes(&self, cutoff: &Cutoff) -> Timestamp {
        cutoff.at.plus_micros(match &self.0 {
            Pace::Fast => FAST_MICROS,
            Pace::Banking { .. } => CLOSES_AFTER_MICROS,
        })
    }

    /// When a hold of so many banking days after a settlement ends: on the morning of the last of
    /// them, and not before the settlement. In the fast pace every hold is one settlement long.
    pub fn release(&self, settled_at: Timestamp, banking_days: u16) -> Timestamp {
        match &self.0 {
            Pace::Fast => settled_at.plus_micros(FAST_MICROS),
            Pace::Banking { .. } => {
                let last = Day::of(settled_at).add_banking_days(banking_days);
                last.at(STANDARD_SETTLES).max(settled_at)
            }
        }
    }
}

fn on(day: Day, window: SameDayWindow) -> Cutoff {
    let (at, settles_at) = (day.at(window.cutoff), day.at(window.settles));
    Cutoff { at, settles_at, settlement_day: day }
}

fn overnight(day: Day, cutoff: TimeOfDay) -> Cutoff {
    let settlement_day = day.next_banking_day();
    Cutoff { at: day.at(cutoff), settles_at: settlement_day.at(STANDARD_SETTLES), settlement_day }
}
