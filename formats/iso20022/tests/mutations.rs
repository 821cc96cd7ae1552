//! 100,000 seeded mutations of good messages: the reader ends with a message or with errors, never
//! with a panic, and what it accepts it can write and read again.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod samples;

use iso20022::{Dialect, parse};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

const TOKENS: &[&str] = &[
    "<",
    ">",
    "/",
    "&",
    "&amp;",
    "&#x0;",
    "&x;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?",
    "?>",
    "<!DOCTYPE x>",
    " xmlns=\"\"",
    " xmlns:ct=\"urn:tch\"",
    " Ccy=\"USD\"",
    "\"",
    "=",
    "\u{feff}",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{1f600}",
    "99999999999999999999",
    "-",
    ".",
    "1e9",
    "<ct:GrpHdr>",
    "</ct:GrpHdr>",
    "<AppHdr/>",
    "<a:b>",
    "xml",
    "\u{663}",
    "T",
    "Z",
    "+14:00",
];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1));
        let to = (at + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at.max(1)),
            4 => {
                let copy = bytes[at..to].to_vec();
                let place = random.below(bytes.len());
                bytes.splice(place..place, copy);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())].bytes();
                bytes.splice(at..at, token);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'<');
        }
    }
}

#[test]
fn no_input_panics() {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for dialect in [Dialect::Tch, Dialect::FedNow] {
        seeds.extend(samples::all(dialect).iter().map(|envelope| envelope.write().unwrap()));
    }
    let mut random = Random(20_261_124);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..100_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut random, &mut bytes);
        match parse(&bytes) {
            Ok(envelope) => {
                accepted += 1;
                let again = envelope.write().expect("what was read can be written");
                assert_eq!(parse(&again).as_ref(), Ok(&envelope), "round {round}");
            }
            Err(errors) => {
                refused += 1;
                assert!(!errors.is_empty(), "round {round}");
            }
        }
    }
    println!("mutations: {accepted} accepted, {refused} refused");
    assert!(accepted > 1000 && refused > 10_000);
}
