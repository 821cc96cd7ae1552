//! Rules about what Rust code may say, and where.

use crate::{
    Finding,
    source::Source,
    tree::{File, Tree},
};

/// Nothing is left for later, hidden or switched off.
pub const UNFINISHED: &str = "unfinished";
/// SQL is written in one file of a service.
pub const SQL_PLACE: &str = "sql-place";
/// Time and randomness are arguments.
pub const AMBIENT: &str = "ambient";
/// Nothing happens in random order.
pub const RANDOM_ORDER: &str = "random-order";
/// Answers are given in `http`, events handled in `events`.
pub const HANDLER_PLACE: &str = "handler-place";
/// What decides and what maps does nothing else.
pub const PURE: &str = "pure";
/// Money is counted in whole minor units.
pub const FLOAT: &str = "float";

/// The only files that ask the machine for time or randomness.
const SOURCES_OF_CHANCE: [&str; 2] =
    ["platform/runtime/src/clock.rs", "platform/runtime/src/ids.rs"];

/// Names that ask the machine, each with what to take instead.
const CHANCE: [(&str, &str); 12] = [
    ("SystemTime::now", "runtime::Clock"),
    ("Instant::now", "runtime::Monotonic"),
    ("Timestamp::now", "runtime::Clock"),
    ("Zoned::now", "runtime::Clock"),
    ("Uuid::new_v4", "runtime::Ids"),
    ("now_v7", "runtime::Ids"),
    ("thread_rng", "runtime::Ids"),
    ("getrandom", "runtime::Ids"),
    ("fastrand", "runtime::Ids"),
    ("OsRng", "runtime::Ids"),
    ("SysRng", "runtime::Ids"),
    ("RandomState", "a map with a fixed order or hasher"),
];

fn outside_tests(tree: &Tree) -> impl Iterator<Item = (&File, Source)> {
    let written = tree.rust().filter(|file| !file.is_test());
    written.map(|file| (file, Source::parse_without_tests(&file.text)))
}

fn each_word(rule: &'static str, file: &File, source: &Source, word: (&str, &str)) -> Vec<Finding> {
    let (word, message) = word;
    let found = source.words(word).into_iter();
    found
        .map(|offset| {
            let message = format!("`{word}`: {message}");
            Finding::line(rule, &file.path, source.line(offset), message)
        })
        .collect()
}

/// No `todo!`, `unimplemented!` or `dbg!`, and no test that is switched off.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let source = Source::parse(&file.text);
        for word in ["todo!", "unimplemented!", "dbg!"] {
            let word = (word, "finish it, or leave it out");
            findings.extend(each_word(UNFINISHED, file, &source, word));
        }
        for (offset, _) in source.code.match_indices("#[ignore") {
            let message = "a test that cannot run says `SKIPPED:` and why".to_owned();
            findings.push(Finding::line(UNFINISHED, &file.path, source.line(offset), message));
        }
    }
    findings
}

/// SQL only in `store.rs` or `store/`, in `platform/`, in migrations and in tests.
pub fn sql_place(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in outside_tests(tree) {
        let at_home = file.path.starts_with("platform/")
            || file.name() == "store.rs"
            || file.path.contains("/store/")
            || file.path.contains("/migrations/");
        if at_home {
            continue;
        }
        for literal in source.strings.iter().filter(|literal| is_sql(&literal.text)) {
            let message = "SQL is written in store.rs".to_owned();
            findings.push(Finding::line(
                SQL_PLACE,
                &file.path,
                source.line(literal.offset),
                message,
            ));
        }
    }
    findings
}

/// Capitals anywhere in the literal, as SQL is written here; in small letters a literal that
/// begins as a statement does.
fn is_sql(literal: &str) -> bool {
    let words: Vec<&str> =
        literal.split_whitespace().filter(|word| *word != "\\" && *word != "\\n").collect();
    let sentence = format!("{} ", words.join(" "));
    let holds = |first: &str, then: &str| {
        sentence
            .match_indices(first)
            .filter(|(offset, _)| !sentence[..*offset].ends_with(|c: char| c.is_alphanumeric()))
            .any(|(offset, _)| sentence[offset..].contains(then))
    };
    let small = sentence.to_lowercase();
    let begins = |first: &str, then: &str| small.starts_with(first) && small.contains(then);
    holds("SELECT ", "")
        || holds("INSERT INTO ", "")
        || holds("DELETE FROM ", "")
        || holds("UPDATE ", " SET ")
        || begins("select ", " from ")
        || begins("insert into ", " values")
        || begins("delete from ", " where ")
        || begins("update ", " set ")
}

/// No clock and no randomness but those of the runtime.
pub fn ambient(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in outside_tests(tree) {
        if SOURCES_OF_CHANCE.contains(&file.path.as_str()) {
            continue;
        }
        for (word, instead) in CHANCE {
            for offset in source.words(word) {
                if word == "Instant::now" && is_tokio(&source, offset) {
                    continue;
                }
                let message = format!("`{word}`: take it from {instead}, as an argument");
                findings.push(Finding::line(AMBIENT, &file.path, source.line(offset), message));
            }
        }
    }
    findings
}

/// Whether the `Instant` at this offset is Tokio's: a clock that a test pauses and moves.
fn is_tokio(source: &Source, offset: usize) -> bool {
    let imported = source.words("use").into_iter().any(|at| {
        let path = source.code[at + "use".len()..].split(';').next().unwrap_or_default();
        path.trim_start().starts_with("tokio::") && path.contains("Instant")
    });
    imported || source.code[..offset].ends_with("tokio::time::")
}

/// No map or set with the default hasher, and no `select!` that picks a branch by chance.
pub fn random_order(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in outside_tests(tree) {
        let mut find = |offset: usize, message: &str| {
            let line = source.line(offset);
            findings.push(Finding::line(RANDOM_ORDER, &file.path, line, message.to_owned()));
        };
        for (name, arguments) in [("HashMap", 3), ("HashSet", 2)] {
            for offset in source.words(name) {
                if default_hasher(&source.code[offset + name.len()..], arguments) {
                    find(offset, "iterates by chance: use a BTree, or name a fixed hasher");
                }
            }
        }
        for offset in source.words("select!") {
            let body = source.code[offset + "select!".len()..].trim_start();
            if !body.trim_start_matches(['{', '(', '[']).trim_start().starts_with("biased;") {
                find(offset, "picks by chance: begin it with `biased;`");
            }
        }
    }
    findings
}

/// Whether what follows the name of a map or set leaves its hasher to the default: a constructor
/// that exists for the default only, or fewer type arguments than name one.
fn default_hasher(after: &str, arguments: usize) -> bool {
    let path = after.strip_prefix("::").unwrap_or(after);
    if let Some(list) = path.strip_prefix('<') {
        return type_arguments(list) < arguments;
    }
    let call: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    after.starts_with("::") && matches!(call.as_str(), "new" | "with_capacity" | "from")
}

/// How many types are listed up to the closing `>`.
fn type_arguments(list: &str) -> usize {
    let (mut depth, mut commas, mut last, mut word_since_comma) = (0_i32, 0, ' ', false);
    for c in list.chars() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if matches!(last, '-' | '=') => {}
            '>' if depth == 0 => break,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                commas += 1;
                word_since_comma = false;
            }
            c if !c.is_whitespace() => word_since_comma = true,
            _ => {}
        }
        last = c;
    }
    commas + usize::from(word_since_comma)
}

/// `impl Answer` is in `http`, `impl Handle` in `events`.
pub fn handler_place(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in outside_tests(tree) {
        let Some((_, _, inside)) = file.in_service() else { continue };
        for offset in source.words("impl") {
            let rest = &source.code[offset..];
            let head = rest.split(['{', ';']).next().unwrap_or_default();
            for (name, module) in [("Answer<", "http"), ("Handle<", "events")] {
                if head.contains(name) && head.contains(" for ") && !is_module(inside, module) {
                    let message = format!("`impl {name}..>` is written in {module}.rs");
                    let line = source.line(offset);
                    findings.push(Finding::line(HANDLER_PLACE, &file.path, line, message));
                }
            }
        }
    }
    findings
}

/// `domain` decides without waiting, SQL or clock; `wire` maps without waiting or SQL.
pub fn pure(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in outside_tests(tree) {
        let Some((_, _, inside)) = file.in_service() else { continue };
        let words: &[&str] = match inside {
            _ if is_module(inside, "domain") => &["async", "await", "Tx", "Clock", "Monotonic"],
            _ if is_module(inside, "wire") => &["async", "await", "Tx"],
            _ => continue,
        };
        for word in words {
            let word = (*word, "domain and wire are pure: load, save and wait elsewhere");
            findings.extend(each_word(PURE, file, &source, word));
        }
    }
    findings
}

fn is_module(inside: &str, module: &str) -> bool {
    inside
        .strip_prefix("src/")
        .and_then(|path| path.strip_prefix(module))
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// No floating point where money is.
pub fn float(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tiers = ["contracts/", "formats/", "services/", "rails/"];
    for (file, source) in outside_tests(tree) {
        if tiers.iter().any(|tier| file.path.starts_with(tier)) {
            for word in ["f32", "f64"] {
                let word = (word, "amounts are whole minor units, rates are fractions of them");
                findings.extend(each_word(FLOAT, file, &source, word));
            }
        }
    }
    findings
}
