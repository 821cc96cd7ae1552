//! Which characters a field may have, and how a name is folded into them.
//!
//! The rules allow letters, digits, the blank and other printable characters of ASCII: `0x20` to
//! `0x7E`. Anything else is an error in both directions; a writer folds names first.

/// Whether a field may have this byte.
pub fn is_allowed(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// A name in the characters of a field: letters lose their marks (é becomes e, ß ss, Æ AE), quotes
/// and dashes of print become those of ASCII, every other character a question mark; blanks at the
/// ends go, and several in a row become one. The case is kept.
///
/// ```text
/// fold("Zoë  Müller-Lüdenscheidt") == "Zoe Muller-Ludenscheidt"
/// ```
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            blank if blank.is_whitespace() || blank.is_control() => {
                if !folded.is_empty() && !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            '\u{300}'..='\u{36f}' => {} // A mark that follows its letter.
            ascii if ascii.is_ascii() => folded.push(ascii),
            other => folded.push_str(letter(other)),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// [`fold`], cut to `length` characters.
pub fn fit(name: &str, length: usize) -> String {
    let mut folded = fold(name);
    folded.truncate(length);
    folded.truncate(folded.trim_end().len());
    folded
}

/// The Latin letters of European languages without their marks.
fn letter(character: char) -> &'static str {
    match character {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'Æ' => "AE",
        'æ' => "ae",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ð' | 'Ď' | 'Đ' => "D",
        'ð' | 'ď' | 'đ' => "d",
        'È'..='Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => "E",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĥ' | 'Ħ' => "H",
        'ĥ' | 'ħ' => "h",
        'Ì'..='Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' => "I",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'Ĵ' => "J",
        'ĵ' => "j",
        'Ķ' => "K",
        'ķ' => "k",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ł' => "L",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => "N",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'Œ' => "OE",
        'œ' => "oe",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' | 'Ș' => "S",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ẞ' => "SS",
        'ß' => "ss",
        'Þ' => "TH",
        'þ' => "th",
        'Ţ' | 'Ť' | 'Ŧ' | 'Ț' => "T",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'Ù'..='Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'Ŵ' => "W",
        'ŵ' => "w",
        'Ý' | 'Ŷ' | 'Ÿ' => "Y",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ź' | 'ż' | 'ž' => "z",
        '‘' | '’' | '‚' | '′' | '´' => "'",
        '“' | '”' | '„' | '″' | '«' | '»' => "\"",
        '‐'..='―' | '−' => "-",
        '…' => "...",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_into_ascii() {
        for (name, folded) in [
            ("Zoë  Müller-Lüdenscheidt", "Zoe Muller-Ludenscheidt"),
            ("Straße", "Strasse"),
            ("O’Brien & Sons", "O'Brien & Sons"),
            ("  Łukasz\tŻółć\n", "Lukasz Zolc"),
            ("e\u{301}", "e"),
            ("王", "?"),
            ("\u{0}", ""),
        ] {
            assert_eq!(fold(name), folded, "{name}");
            assert!(fold(name).bytes().all(is_allowed));
        }
        assert_eq!(fit("Maximilian von Habsburg-Lothringen", 11), "Maximilian");
    }
}
