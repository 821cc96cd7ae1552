//! Code, strings and tests are told apart.

use tidy::source::Source;

fn strings(text: &str) -> Vec<String> {
    Source::parse(text).strings.into_iter().map(|literal| literal.text).collect()
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "let a = \"word\"; // word\n/* word /* word */ word */ let b = r#\"word \" word\"#;";
    let source = Source::parse(text);
    assert!(!source.code.contains("word"), "{}", source.code);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(strings(text), ["word", "word \" word"]);
}

#[test]
fn quotes_inside_literals_end_nothing() {
    assert_eq!(
        strings(r#"f("a \" b", '"', '\'', b"c", br"d\", '\u{22}', "é")"#),
        [r#"a \" b"#, "c", r"d\", "é"]
    );
}

#[test]
fn lifetimes_are_not_characters() {
    let source = Source::parse("fn f<'a>(x: &'a str) -> Foo<'a> { word('x', 'é', \"word\") }");
    assert_eq!(source.words("word").len(), 1);
    assert!(source.code.contains("fn f<'a>(x: &'a str)"), "{}", source.code);
}

#[test]
fn a_raw_name_is_code() {
    let source = Source::parse("let r#type = r\"word\"; word();");
    assert!(source.code.contains("r#type"));
    assert_eq!(source.words("word").len(), 1);
}

#[test]
fn an_open_literal_ends_with_the_file() {
    assert_eq!(strings("let a = \"open\\"), ["open\\"]);
    assert_eq!(strings("r##\"open\"#"), ["open\"#"]);
    assert_eq!(Source::parse("'").code, "'");
}

#[test]
fn words_are_whole() {
    let source = Source::parse("word words my_word word_s\nword!()");
    let lines: Vec<usize> = source.words("word").into_iter().map(|at| source.line(at)).collect();
    assert_eq!(lines, [1, 2]);
}

#[test]
fn test_items_are_left_out() {
    let text = "fn a() { one(); }\n#[cfg(test)]\nmod tests { fn b() { two(\"é\"); } }\nfn c() { three(); }\n#[cfg(test)]\nmod more;\nfn d() { four(); }";
    let source = Source::parse_without_tests(text);
    assert_eq!(source.code.len(), text.len());
    let found = ["one", "two", "three", "four"].map(|word| source.words(word).len());
    assert_eq!(found, [1, 0, 1, 1]);
    assert!(source.strings.is_empty());
}

#[test]
fn a_file_for_tests_is_left_out() {
    let source = Source::parse_without_tests("//! Tests.\n#![cfg(test)]\nfn a() { one(); }");
    assert!(source.words("one").is_empty());
}
