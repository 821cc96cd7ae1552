//! 100,000 seeded mutations of good files: the reader ends with a file or with errors, never with a
//! panic, and what it accepts it can write and read again.

use nacha::parse;

use crate::samples;

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

const TOKENS: [&str; 16] = [
    "\n",
    "\r\n",
    "\r",
    " ",
    "0",
    "9",
    "1",
    "5",
    "6",
    "7",
    "8",
    "\u{0}",
    "é",
    "R48",
    "99999999999",
    "\u{1a}",
];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let to = (at + random.below(200)).min(bytes.len());
        match random.below(8) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at.max(1)),
            4 => {
                let copy = bytes[at..to].to_vec();
                let place = random.below(bytes.len());
                bytes.splice(place..place, copy);
            }
            5 => {
                let token = TOKENS[random.below(TOKENS.len())].bytes();
                bytes.splice(at..at, token);
            }
            // A field that says nothing of money, so that some files stay good.
            _ => bytes[94 + 1 + 20 + random.below(20)] = b'A',
        }
        bytes.resize(bytes.len().max(400), b' ');
    }
}

#[test]
fn no_input_panics() {
    let seeds = [samples::payments().write().unwrap(), samples::answers().write().unwrap()];
    let mut random = Random(20_261_126);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..100_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut random, &mut bytes);
        match parse(&bytes) {
            Ok(file) => {
                accepted += 1;
                let again = file.write().expect("what was read can be written");
                assert_eq!(parse(&again).as_ref(), Ok(&file), "round {round}");
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

#[test]
fn nor_does_noise() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let length = random.below(600);
        let bytes: Vec<u8> = (0..length)
            .map(|_| match random.below(8) {
                0 => u8::try_from(random.below(256)).unwrap(),
                1 => b'\n',
                2 => b' ',
                _ => b"156789015"[random.below(9)],
            })
            .collect();
        assert!(parse(&bytes).is_err());
    }
}
