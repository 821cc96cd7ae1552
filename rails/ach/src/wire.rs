//! Entries as NACHA files and the bank's files as news: pure, both ways.

mod incoming;
mod outgoing;

use calendar::{Day, Kind, TimeOfDay};
use contracts::{Timestamp, rails::Direction};
use nacha::{Sec, Trace, routing::RoutingNumber};

pub use incoming::{Acknowledgement, Answer, Said, corrected, read_acknowledgement, read_answers};
pub(crate) use outgoing::hash;
pub use outgoing::{Built, build, entry};

/// Who we are to the bank, and how our customers' statements call us.
#[derive(Clone, Debug)]
pub struct Us {
    /// The bank that files go to, and that sends their entries on: nine digits.
    pub bank: String,
    /// Up to 23 characters.
    pub bank_name: String,
    /// Who sends files, as agreed with the bank: up to 10 characters, of which the last digits count
    /// where there is more than one line.
    pub origin: String,
    /// How many names of that kind there are. A name has 36 files a day; a bank gives one or a few.
    pub lines: i64,
    /// Up to 23 characters.
    pub origin_name: String,
    /// Up to 16 characters.
    pub company_name: String,
    /// Up to 10 characters: `1` and an EIN.
    pub company_id: String,
    /// Up to 10 characters.
    pub entry_description: String,
}

/// Files of one name of ours on one day.
const MODIFIERS: i64 = 36;

impl Us {
    /// Who the platform is in the sandbox, whose fast pace has more files a day than any bank takes.
    pub fn sandbox() -> Self {
        Self {
            bank: "091000019".to_owned(),
            bank_name: "SANDBOX BANK".to_owned(),
            origin: "1990010000".to_owned(),
            lines: 10_000,
            origin_name: "SWITCHYARD".to_owned(),
            company_name: "SWITCHYARD".to_owned(),
            company_id: "1990010001".to_owned(),
            entry_description: "TRANSFER".to_owned(),
        }
    }
    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        let fits = |text: &str, most: usize| {
            (1..=most).contains(&text.len())
                && text.trim() == text
                && text.bytes().all(nacha::text::is_allowed)
        };
        if RoutingNumber::parse(&self.bank).is_none() {
            return Err(format!("ach: {} is no routing number", self.bank));
        }
        let texts = [
            (&self.bank_name, 23),
            (&self.origin, 10),
            (&self.origin_name, 23),
            (&self.company_name, 16),
            (&self.company_id, 10),
            (&self.entry_description, 10),
        ];
        if let Some((text, most)) = texts.into_iter().find(|(text, most)| !fits(text, *most)) {
            return Err(format!("ach: {text:?} has not 1 to {most} characters of NACHA"));
        }
        let digits = self.lines.max(1).ilog10() as usize;
        let counted = &self.origin.as_bytes()[self.origin.len() - digits.min(self.origin.len())..];
        let lines = (1..=1_000_000).contains(&self.lines) && digits <= self.origin.len();
        if !lines || !counted.iter().all(u8::is_ascii_digit) {
            return Err(format!("ach: {} cannot be counted for {} lines", self.origin, self.lines));
        }
        Ok(())
    }
    /// How many files a day can have.
    pub fn slots(&self) -> i64 {
        self.lines * MODIFIERS
    }
    /// The trace number of the rail's n-th entry, from 1.
    pub fn trace(&self, number: i64) -> Trace {
        let bank = RoutingNumber::parse(&self.bank).expect("checked when the rail was made");
        let sequence = u32::try_from(place(number)).expect("at most seven digits");
        Trace::new(bank.dfi(), sequence).expect("at most seven digits")
    }
    /// The numbers that a trace number of ours may stand for: the newest, and that of a round before.
    /// `last` is the last number given.
    pub fn numbers(&self, trace: Trace, last: i64) -> Vec<i64> {
        let sequence = i64::from(trace.sequence());
        if trace.odfi() != self.trace(1).odfi() || sequence == 0 || last <= 0 {
            return Vec::new();
        }
        let round = (last - 1) / SEQUENCES;
        let newest = round * SEQUENCES + sequence;
        let newest = if newest > last { newest - SEQUENCES } else { newest };
        [newest, newest - SEQUENCES].into_iter().filter(|number| *number > 0).collect()
    }
}

/// Trace numbers of one bank: 1 to this.
const SEQUENCES: i64 = Trace::SEQUENCE_MAX as i64;

fn place(number: i64) -> i64 {
    assert!(number > 0, "numbers begin at 1");
    (number - 1) % SEQUENCES + 1
}

/// The first of so many numbers after `last`, so that none of them is beyond the end of a round:
/// within a batch trace numbers ascend.
pub fn first_number(last: i64, count: i64) -> i64 {
    let rest = SEQUENCES - last % SEQUENCES;
    if count <= rest { last + 1 } else { last + rest + 1 }
}

/// What Nacha's rule on micro-entries demands as their entry description.
const MICRO_ENTRY: &str = "ACCTVERIFY";

/// A kind of batch: what a SEC code, a direction, a settlement and a description have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Class {
    pub kind: Kind,
    pub business: bool,
    /// Of micro-deposits.
    pub verifies: bool,
}

impl Class {
    const ALL: [(Kind, bool, bool); 10] = [
        (Kind::StandardCredit, false, false),
        (Kind::StandardCredit, true, false),
        (Kind::StandardDebit, false, false),
        (Kind::StandardDebit, true, false),
        (Kind::SameDay, false, false),
        (Kind::SameDay, true, false),
        (Kind::StandardCredit, false, true),
        (Kind::StandardCredit, true, true),
        (Kind::SameDay, false, true),
        (Kind::SameDay, true, true),
    ];
    /// The class of a payment of this kind. A debit verifies nothing.
    pub fn of(kind: Kind, business: bool, verifies: bool) -> Self {
        Self { kind, business, verifies: verifies && kind != Kind::StandardDebit }
    }
    /// The number stored.
    pub fn number(self) -> i64 {
        let this = (self.kind, self.business, self.verifies);
        let place = Self::ALL.iter().position(|one| *one == this);
        i64::try_from(place.expect("all are in the list")).expect("ten")
    }
    /// The class with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        let (kind, business, verifies) = *Self::ALL.get(usize::try_from(number).ok()?)?;
        Some(Self { kind, business, verifies })
    }
    /// What the batch's header says that it is for.
    fn description(self, us: &Us) -> &str {
        if self.verifies { MICRO_ENTRY } else { &us.entry_description }
    }
    /// Which way its money goes.
    pub fn direction(self) -> Direction {
        if self.kind == Kind::StandardDebit { Direction::In } else { Direction::Out }
    }
    /// People's debits are authorised on the web; what they are paid is prearranged.
    fn sec(self) -> Sec {
        match (self.business, self.direction()) {
            (true, _) => Sec::Ccd,
            (false, Direction::In) => Sec::Web,
            (false, Direction::Out) => Sec::Ppd,
        }
    }
}

/// The day in New York, as headers and the store have it.
pub fn date(day: Day) -> Option<nacha::Date> {
    let (year, month, date) = day.parts();
    let part = |part: i8| u8::try_from(part).ok();
    nacha::Date::new(u16::try_from(year).ok()?, part(month)?, part(date)?)
}

/// A day as one number, `YYYYMMDD`.
pub fn day_number(day: Day) -> i64 {
    let (year, month, date) = day.parts();
    i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(date)
}

/// What a clock in New York shows. It is reckoned from noon, so that on the two days on which a clock
/// is set it is an hour off in the first hours of the night only, in which no cut-off is.
fn time(at: Timestamp) -> Option<nacha::Time> {
    let noon = Day::of(at).at(TimeOfDay::new(12, 0)?);
    let minutes = (at.0 - noon.0).div_euclid(60_000_000) + 12 * 60;
    let minutes = minutes.clamp(0, 24 * 60 - 1);
    nacha::Time::new(u8::try_from(minutes / 60).ok()?, u8::try_from(minutes % 60).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_number_finds_its_entry() {
        let us = Us::sandbox();
        assert_eq!(us.trace(1).to_string(), "091000010000001");
        assert_eq!(us.trace(SEQUENCES).to_string(), "091000019999999");
        assert_eq!(us.trace(SEQUENCES + 1), us.trace(1));
        assert_eq!(us.numbers(us.trace(7), 9), [7]);
        assert_eq!(us.numbers(us.trace(7), 6), [] as [i64; 0]);
        assert_eq!(us.numbers(us.trace(7), SEQUENCES + 3), [7]);
        assert_eq!(us.numbers(us.trace(7), SEQUENCES + 7), [SEQUENCES + 7, 7]);
        assert_eq!(us.numbers(us.trace(7), 0), [] as [i64; 0]);
        let foreign = Trace::parse("021000020000007").unwrap();
        assert_eq!(us.numbers(foreign, 9), [] as [i64; 0]);
        assert_eq!(first_number(0, 5), 1);
        assert_eq!(first_number(SEQUENCES - 5, 5), SEQUENCES - 4);
        assert_eq!(first_number(SEQUENCES - 4, 5), SEQUENCES + 1, "a batch does not begin anew");
        assert_eq!(first_number(SEQUENCES, 5), SEQUENCES + 1);
    }

    #[test]
    fn classes_have_numbers() {
        for number in 0..10 {
            assert_eq!(Class::from_number(number).unwrap().number(), number);
        }
        assert_eq!(Class::from_number(10), None);
        let sec = |number| Class::from_number(number).unwrap().sec();
        assert_eq!([0, 1, 2, 3].map(sec), [Sec::Ppd, Sec::Ccd, Sec::Web, Sec::Ccd]);
        assert_eq!([6, 7, 8, 9].map(sec), [Sec::Ppd, Sec::Ccd, Sec::Ppd, Sec::Ccd]);
        let us = Us::sandbox();
        let described = |number| Class::from_number(number).unwrap().description(&us);
        assert_eq!(
            [0, 5, 6, 9].map(described),
            ["TRANSFER", "TRANSFER", "ACCTVERIFY", "ACCTVERIFY"]
        );
        assert_eq!(Class::of(Kind::StandardDebit, true, true).number(), 3);
        assert_eq!(Class::of(Kind::SameDay, false, true).number(), 8);
    }

    #[test]
    fn times_in_new_york() {
        let at = |text: &str, hour, minute| {
            let day: Day = text.parse().unwrap();
            let at = day.at(TimeOfDay::new(hour, minute).unwrap());
            (date(Day::of(at)).unwrap().to_string(), time(at).unwrap().to_string())
        };
        assert_eq!(at("2026-11-25", 17, 30), ("261125".into(), "1730".into()));
        assert_eq!(at("2026-03-08", 10, 0), ("260308".into(), "1000".into()), "a clock is set");
        assert_eq!(at("2026-11-01", 16, 15), ("261101".into(), "1615".into()));
        assert_eq!(at("2026-11-25", 0, 0), ("261125".into(), "0000".into()));
        assert_eq!(day_number("2026-11-25".parse().unwrap()), 20_261_125);
    }

    #[test]
    fn who_we_are_is_checked() {
        assert_eq!(Us::sandbox().check(), Ok(()));
        for broken in [
            Us { bank: "091000018".to_owned(), ..Us::sandbox() },
            Us { company_name: "A NAME OF 17 CHAR".to_owned(), ..Us::sandbox() },
            Us { origin: "SWITCHYARD".to_owned(), ..Us::sandbox() },
            Us { entry_description: String::new(), ..Us::sandbox() },
            Us { lines: 0, ..Us::sandbox() },
        ] {
            assert!(broken.check().is_err(), "{broken:?}");
        }
        assert!(Us { origin: "SWITCHYARD".to_owned(), lines: 1, ..Us::sandbox() }.check().is_ok());
    }
}
