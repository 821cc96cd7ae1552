//! The host's settlement files as lines: all of a file, or why nothing of it is applied.
//!
//! One dialect: ASCII lines, commas between fields. `H` with version, from and until (the approvals of
//! this stretch of time are in the file); `D` what is settled and `R` what is taken back after it was,
//! with retrieval reference, trace number, transmission time, terminal, processing code, amount,
//! currency and reference; `T` with counts and sums of both.

use std::str::FromStr;

use contracts::Timestamp;
use iso8583::Moment;

use super::{USD, Us, key_of, reference, retrieval_reference};
use crate::domain::{Fits, Instruction, Key, Says};

/// Bytes of a file at most.
pub const BYTES_MOST: usize = 64 << 20;

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlements {
    /// Business time.
    pub from: i64,
    pub until: i64,
    pub lines: Vec<Line>,
}

/// What it says of one payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub says: Says,
    /// Field 37.
    pub retrieval_reference: String,
    /// Field 11.
    stan: u32,
    /// Field 7.
    transmitted: String,
    /// Field 41.
    terminal: String,
    /// Minor units.
    pub amount: i64,
    currency: u16,
    /// Field 63.
    pub reference: String,
}

impl Line {
    /// The instruction that it names.
    pub fn key(&self) -> Option<Key> {
        key_of(&self.reference)
    }
}

impl Us {
    /// How a line and the instruction that it names go together.
    pub(crate) fn fits(&self, of: &Instruction, line: &Line) -> Fits {
        if of.number == 0 {
            return Fits::OtherMessage;
        }
        let (stan, terminal) = self.place(of.number);
        let same = line.retrieval_reference == retrieval_reference(of.number)
            && line.stan == stan.number()
            && line.terminal == terminal
            && line.transmitted == Moment::from_unix_micros(of.created).to_string()
            && line.reference == reference(of.key);
        match same {
            false => Fits::OtherMessage,
            true if line.amount == of.amount.value && line.currency == USD => Fits::Whole,
            true => Fits::OtherAmount,
        }
    }
}

/// Reads a file; an error says what is wrong and where.
pub fn read(bytes: &[u8]) -> Result<Settlements, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
    let body = text.strip_suffix('\n').ok_or("its last line has no end")?;
    let mut lines = (1..).zip(body.split('\n'));
    let first = lines.next().map(|(_, line)| line.split(',').collect::<Vec<_>>());
    let (from, until) = match first.as_deref() {
        Some(["H", "1", from, until]) => (time(from)?, time(until)?),
        _ => return Err("line 1: H,1 with from and until is expected".to_owned()),
    };
    if from >= until {
        return Err("line 1: it ends before it begins".to_owned());
    }
    let (mut all, mut totals) = (Vec::new(), [(0_u64, 0_i64); 2]);
    let mut trailer = None;
    for (number, line) in lines {
        let wrong = |why: &str| format!("line {number}: {why}");
        if trailer.is_some() {
            return Err(wrong("nothing follows the totals"));
        }
        let fields: Vec<&str> = line.split(',').collect();
        if let ["T", settled, sum, back, back_sum] = fields[..] {
            let count = |text| u64::from_str(text).map_err(|_| wrong("a count has digits"));
            trailer = Some([
                (count(settled)?, amount(sum).ok_or_else(|| wrong("a sum has digits"))?),
                (count(back)?, amount(back_sum).ok_or_else(|| wrong("a sum has digits"))?),
            ]);
            continue;
        }
        let line = payment(&fields).map_err(|why| wrong(&why))?;
        let total = &mut totals[usize::from(line.says == Says::TakenBack)];
        let sum = total.1.checked_add(line.amount).ok_or_else(|| wrong("the sum is too large"))?;
        *total = (total.0 + 1, sum);
        all.push(line);
    }
    match trailer {
        None => Err("the line of totals is missing: it is not whole".to_owned()),
        Some(stated) if stated != totals => Err(format!("its totals are {totals:?}")),
        Some(_) => Ok(Settlements { from, until, lines: all }),
    }
}

fn payment(fields: &[&str]) -> Result<Line, String> {
    let [kind, rrn, stan, transmitted, terminal, processing, value, currency, named] = *fields
    else {
        return Err("nine fields are expected".to_owned());
    };
    let says = match kind {
        "D" => Says::Settled,
        "R" => Says::TakenBack,
        _ => return Err("H, D, R or T begins a line".to_owned()),
    };
    let digits = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let plain = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let shape = plain(rrn, 12)
        && digits(stan, 6)
        && digits(transmitted, 10)
        && plain(terminal, 8)
        && digits(processing, 6)
        && plain(named, 99);
    if !shape {
        return Err("a field has another form".to_owned());
    }
    Ok(Line {
        says,
        retrieval_reference: rrn.to_owned(),
        stan: stan.parse().map_err(|_| "no trace number")?,
        transmitted: transmitted.to_owned(),
        terminal: terminal.to_owned(),
        amount: amount(value).ok_or("an amount has digits")?,
        currency: currency.parse().map_err(|_| "a currency has digits")?,
        reference: named.to_owned(),
    })
}

fn amount(text: &str) -> Option<i64> {
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn time(text: &str) -> Result<i64, String> {
    let time = Timestamp::from_str(text);
    time.map(|time| time.0).map_err(|_| format!("line 1: no time is {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "H,1,1970-01-01T00:00:00.000Z,2026-11-24T15:33:36.003Z\n";
    const ONE: &str = "D,000000000007,000007,1124153336,SWY00000,000000,100,840,x-0\n";
    const BACK: &str = "R,000000000006,000006,1124153336,SWY00000,000000,250,840,y-1\n";

    #[test]
    fn a_whole_file() {
        let read = read(format!("{HEAD}{ONE}{BACK}T,1,100,1,250\n").as_bytes()).unwrap();
        assert_eq!((read.from, read.until), (0, 1_795_534_416_003_000));
        let line = &read.lines[0];
        assert_eq!((line.says, line.stan, line.amount), (Says::Settled, 7, 100));
        assert_eq!(line.retrieval_reference, "000000000007");
        assert_eq!((line.reference.as_str(), line.key()), ("x-0", None));
        assert_eq!(read.lines[1].says, Says::TakenBack);
    }

    #[test]
    fn what_is_not_whole_is_not_read() {
        let cases = [
            ("", "its last line has no end"),
            ("\n", "line 1: H,1 with from and until is expected"),
            (HEAD, "the line of totals is missing: it is not whole"),
            (&format!("{HEAD}{ONE}"), "the line of totals is missing: it is not whole"),
            (&format!("{HEAD}{ONE}T,1,100,0,0"), "its last line has no end"),
            (&format!("{HEAD}{ONE}T,1,101,0,0\n"), "its totals are [(1, 100), (0, 0)]"),
            (&format!("{HEAD}{ONE}{ONE}T,1,100,0,0\n"), "its totals are [(2, 200), (0, 0)]"),
            (&format!("{HEAD}T,0,0,0,0\n{ONE}"), "line 3: nothing follows the totals"),
            (&format!("{HEAD}T,0,0,0\n"), "line 2: nine fields are expected"),
            (&format!("{HEAD}T,x,0,0,0\n"), "line 2: a count has digits"),
            (&format!("{HEAD}{}", ONE.replace("D,", "X,")), "line 2: H, D, R or T begins a line"),
            (&format!("{HEAD}{}", ONE.replace(",100,", ",-1,")), "line 2: an amount has digits"),
            (&format!("{HEAD}{}", ONE.replace(",100,", ",1e3,")), "line 2: an amount has digits"),
            (
                &format!("{HEAD}{}", ONE.replace("000007,", "7,")),
                "line 2: a field has another form",
            ),
            (&format!("{HEAD}{}", ONE.replace("SWY0", "é")), "line 2: a field has another form"),
            (&format!("{HEAD}{}", ONE.replace("840", "USD")), "line 2: a currency has digits"),
            ("H,1,x,y\n", "line 1: no time is \"x\""),
            (
                "H,2,1970-01-01T00:00:00Z,1970-01-02T00:00:00Z\n",
                "line 1: H,1 with from and until is expected",
            ),
            ("H,1,1970-01-02T00:00:00Z,1970-01-02T00:00:00Z\n", "line 1: it ends before it begins"),
        ];
        for (text, why) in cases {
            assert_eq!(read(text.as_bytes()).unwrap_err(), why, "{text}");
        }
        assert_eq!(read(&[0xff, b'\n']).unwrap_err(), "it is no text");
    }
}
