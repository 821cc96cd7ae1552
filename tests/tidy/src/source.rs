//! Rust text taken apart as far as the rules need: code, string literals, and what is only a test.

use std::ops::Range;

/// One string literal.
pub struct Literal {
    /// Where its opening quote is.
    pub offset: usize,
    /// What is between the quotes, as written.
    pub text: String,
}

/// A Rust file with comments and the contents of literals blanked out, so that a word found in
/// `code` is a word of the program. Offsets and lines are those of the file.
pub struct Source {
    /// The text, blanked.
    pub code: String,
    /// Its string literals.
    pub strings: Vec<Literal>,
}

impl Source {
    /// Takes all of a file apart.
    pub fn parse(text: &str) -> Self {
        let mut lexer = Lexer { text: text.as_bytes(), at: 0, code: Vec::new(), strings: vec![] };
        while lexer.at < lexer.text.len() {
            lexer.step();
        }
        Self { code: String::from_utf8_lossy(&lexer.code).into_owned(), strings: lexer.strings }
    }
    /// The same without what is compiled for tests only.
    pub fn parse_without_tests(text: &str) -> Self {
        let mut source = Self::parse(text);
        for range in test_items(&source.code) {
            let blank: String = source.code[range.clone()]
                .chars()
                .flat_map(|c| std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, c.len_utf8()))
                .collect();
            source.code.replace_range(range.clone(), &blank);
            source.strings.retain(|literal| !range.contains(&literal.offset));
        }
        source
    }
    /// The line of an offset, counted from one.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.code.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
    }
    /// Where `word` is in the code, not as a part of a longer name.
    pub fn words(&self, word: &str) -> Vec<usize> {
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.code
            .match_indices(word)
            .map(|(offset, _)| offset)
            .filter(|offset| {
                !part(self.code[..*offset].chars().next_back())
                    && !part(self.code[offset + word.len()..].chars().next())
            })
            .collect()
    }
}

/// The parts of blanked code that begin with `#[cfg(test)]`: each an item with its body.
fn test_items(code: &str) -> Vec<Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    if code.contains("#![cfg(test)]") {
        return std::iter::once(0..code.len()).collect();
    }
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        let end = item_end(code, start + MARK.len());
        items.push(start..end);
        from = end;
    }
    items
}

/// Where the item that begins at `start` ends: after its body, or its semicolon.
fn item_end(code: &str, start: usize) -> usize {
    let mut brackets = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 => return offset + 1,
            b'{' if brackets == 0 => return closing(code, offset),
            _ => {}
        }
    }
    code.len()
}

/// Where the block whose brace is at `open` ends.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
    strings: Vec<Literal>,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        match rest[0] {
            b'/' if rest.starts_with(b"//") => {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                self.blank(end);
            }
            b'/' if rest.starts_with(b"/*") => self.blank(comment_length(rest)),
            b'"' => self.string(0),
            b'\'' => self.quote(),
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => self.name(),
            _ => self.copy(1),
        }
    }
    /// A name, or the prefix of a literal: `r`, `b`, `br`, `c`, `cr`.
    fn name(&mut self) {
        let rest = &self.text[self.at..];
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !named(byte)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        let raw = matches!(name, b"r" | b"br" | b"cr");
        let hashes = after.iter().take_while(|byte| **byte == b'#').count();
        self.copy(length);
        if raw && after.get(hashes) == Some(&b'"') {
            self.raw_string(hashes);
        } else if matches!(name, b"b" | b"c") && after.first() == Some(&b'"') {
            self.string(0);
        }
    }
    fn raw_string(&mut self, hashes: usize) {
        self.copy(hashes);
        self.string(hashes + 1);
    }
    /// A string from its opening quote; `raw` is zero, or one more than its hashes.
    fn string(&mut self, raw: usize) {
        let rest = &self.text[self.at + 1..];
        let mut length = 0;
        while length < rest.len() {
            if raw == 0 && rest[length] == b'\\' {
                length += 2;
                continue;
            }
            let hashes = rest[length + 1..].iter().take_while(|byte| **byte == b'#').count();
            if rest[length] == b'"' && (raw == 0 || hashes + 1 >= raw) {
                break;
            }
            length += 1;
        }
        let length = length.min(rest.len());
        let text = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.strings.push(Literal { offset: self.at, text });
        self.copy(1);
        self.blank(length);
        self.copy(1);
    }
    /// A character, or a lifetime.
    fn quote(&mut self) {
        let rest = &self.text[self.at + 1..];
        let width = match rest.first() {
            Some(b'\\') => {
                2 + rest.iter().skip(2).position(|byte| *byte == b'\'').unwrap_or_default()
            }
            Some(first) => first.leading_ones().max(1) as usize,
            None => 0,
        };
        self.copy(1);
        if rest.get(width) == Some(&b'\'') {
            self.blank(width);
            self.copy(1);
        }
    }
    fn copy(&mut self, length: usize) {
        let end = (self.at + length).min(self.text.len());
        self.code.extend_from_slice(&self.text[self.at..end]);
        self.at = end;
    }
    fn blank(&mut self, length: usize) {
        let end = (self.at + length).min(self.text.len());
        let blank = |byte: &u8| if *byte == b'\n' { b'\n' } else { b' ' };
        self.code.extend(self.text[self.at..end].iter().map(blank));
        self.at = end;
    }
}

/// The length of a block comment, comments inside it included.
fn comment_length(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_u32);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}
