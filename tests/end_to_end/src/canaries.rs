//! Numbers that must be nowhere, and a search that finds them in whatever form they got there.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// The bytes by which a pattern is looked up; the shortest pattern has as many.
const TAIL: usize = 7;
/// Bits of the table that says quickly that nothing ends here.
const TABLE_BITS: u32 = 20;

/// Where a number was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Which one, in the order in which they were given.
    pub number: usize,
    /// `digits` (ASCII or UTF-16, also with single characters between), `packed`, `base64`, `hex`,
    /// `binary`.
    pub form: &'static str,
    /// The name of what was searched.
    pub place: String,
    /// The byte at which it was recognized.
    pub offset: usize,
}

struct Pattern {
    number: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// The numbers, ready to be looked for.
pub struct Canaries {
    /// By length: the numbers by their value.
    values: BTreeMap<u32, BTreeMap<u64, usize>>,
    patterns: Vec<Pattern>,
    by_tail: BTreeMap<u64, Vec<usize>>,
    table: Vec<bool>,
}

/// Digits as they come by, and the numbers that end with the newest one.
struct Run<'a> {
    of: &'a Canaries,
    value: u64,
    length: u32,
}

impl Run<'_> {
    fn end(&mut self) {
        (self.value, self.length) = (0, 0);
    }
    fn digit(&mut self, digit: u8) -> Option<usize> {
        // Eighteen digits are more than any number here has.
        self.value = (self.value % 10_u64.pow(17)) * 10 + u64::from(digit);
        self.length += 1;
        let mut fitting = self.of.values.range(..=self.length);
        fitting.find_map(|(length, all)| all.get(&(self.value % 10_u64.pow(*length))).copied())
    }
}

fn window(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

fn slot(window: u64) -> usize {
    let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_BITS);
    usize::try_from(hash).expect("a few bits")
}

/// The base64 text of these bytes without what depends on their neighbours, when so many bytes
/// stand before them.
fn base64_inside(bytes: &[u8], before: usize) -> Vec<u8> {
    let padded = [&vec![0; before][..], bytes].concat();
    let text = STANDARD_NO_PAD.encode(&padded).into_bytes();
    let first = (before * 8).div_ceil(6);
    text[first..padded.len() * 8 / 6].to_vec()
}

impl Canaries {
    /// Looks for these, of 14 to 17 digits each and without a leading zero.
    pub fn new(numbers: &[String]) -> Self {
        let mut values: BTreeMap<u32, BTreeMap<u64, usize>> = BTreeMap::new();
        let mut patterns = Vec::new();
        for (number, digits) in numbers.iter().enumerate() {
            assert!((14..=17).contains(&digits.len()) && !digits.starts_with('0'), "{digits}");
            let value: u64 = digits.parse().expect("digits");
            let length = u32::try_from(digits.len()).expect("it is short");
            assert!(values.entry(length).or_default().insert(value, number).is_none(), "twice");
            let mut add = |form, bytes| patterns.push(Pattern { number, form, bytes });
            for before in 0..3 {
                add("base64", base64_inside(digits.as_bytes(), before));
            }
            add(
                "hex",
                digits.bytes().map(|digit| format!("{digit:02x}")).collect::<String>().into(),
            );
            let (big, little) = (value.to_be_bytes(), value.to_le_bytes());
            add("binary", big[8 - TAIL..].to_vec());
            add("binary", little[..TAIL].to_vec());
        }
        let mut table = vec![false; 1 << TABLE_BITS];
        let mut by_tail: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let tail = window(&pattern.bytes[pattern.bytes.len() - TAIL..]);
            table[slot(tail)] = true;
            by_tail.entry(tail).or_default().push(index);
        }
        Self { values, patterns, by_tail, table }
    }
    /// All that is in these bytes.
    pub fn search(&self, place: &str, bytes: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut add = |number, form, offset| {
            found.push(Found { number, form, place: place.to_owned(), offset });
        };
        let run = || Run { of: self, value: 0, length: 0 };
        let (mut text, mut packed, mut tail) = (run(), run(), 0);
        let mut between = false;
        for (offset, byte) in bytes.iter().copied().enumerate() {
            // One character that is no letter may stand between two digits: a blank, a hyphen, the
            // other half of UTF-16.
            if byte.is_ascii_digit() {
                between = false;
                if let Some(number) = text.digit(byte - b'0') {
                    add(number, "digits", offset);
                }
            } else if between || byte.is_ascii_alphabetic() || byte > 127 {
                text.end();
            } else {
                between = true;
            }
            for half in [byte >> 4, byte & 15] {
                if half > 9 {
                    packed.end();
                } else if let Some(number) = packed.digit(half) {
                    add(number, "packed", offset);
                }
            }
            tail = (tail << 8 | u64::from(byte)) & ((1 << (8 * TAIL)) - 1);
            if self.table[slot(tail)] {
                for index in self.by_tail.get(&tail).into_iter().flatten() {
                    let pattern = &self.patterns[*index];
                    if bytes[..=offset].ends_with(&pattern.bytes) {
                        add(pattern.number, pattern.form, offset);
                    }
                }
            }
        }
        found
    }
    /// All that is in the files below a folder, but for the folders to leave out, and how many bytes
    /// were looked at. A file that goes away meanwhile is passed over.
    pub fn search_folder(&self, folder: &Path, but: &[&Path]) -> (Vec<Found>, usize) {
        let (mut found, mut size) = (Vec::new(), 0);
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder can be listed") {
                let path = entry.expect("a folder can be listed").path();
                if path.is_dir() {
                    if !but.contains(&path.as_path()) {
                        folders.push(path);
                    }
                    continue;
                }
                match std::fs::read(&path) {
                    Ok(bytes) => {
                        size += bytes.len();
                        found.extend(self.search(&path.display().to_string(), &bytes));
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    // A socket is no file.
                    Err(error) if error.raw_os_error() == Some(6) => {}
                    Err(error) => panic!("{}: {error}", path.display()),
                }
            }
        }
        (found, size)
    }
}

/// Which numbers these are.
pub fn distinct(found: &[Found]) -> BTreeSet<usize> {
    found.iter().map(|one| one.number).collect()
}
