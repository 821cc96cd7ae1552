//! What a database's URL says of TLS, by libpq's names. It is taken out of the URL: the driver
//! knows fewer modes, and refuses a name that it does not know.

use crate::{Error, Result};
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// The names, in the order of [`Wish::new`]'s argument.
const NAMES: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The words of `sslmode`.
const MODES: [(&str, Mode); 5] = [
    ("disable", Mode::Disable),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

/// How much is demanded of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    Prefer,
    /// TLS, with whomever.
    Require,
    /// TLS with a server whose certificate comes from the given authority.
    VerifyCa,
    /// The same, and the certificate is for the name of the host.
    VerifyFull,
}

/// What the URL asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) mode: Mode,
    /// The file of the authorities that may have signed the server's certificate.
    pub(crate) roots: Option<PathBuf>,
    /// The files of our own certificate and its key.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
}

impl Wish {
    fn new([mode, roots, certificate, key]: [Option<String>; 4]) -> Result<Wish> {
        let mode = match mode {
            None => Mode::Prefer,
            Some(word) => match MODES.iter().find(|(known, _)| *known == word) {
                Some((_, mode)) => *mode,
                None => {
                    let known = MODES.map(|(known, _)| known).join(", ");
                    return Err(Error::Url(format!("sslmode={word} is none of {known}")));
                }
            },
        };
        // As libpq takes it: an empty value is none.
        let path = |value: Option<String>| value.filter(|v| !v.is_empty()).map(PathBuf::from);
        let roots = path(roots);
        if roots.as_ref().is_some_and(|file| file.as_os_str() == "system") {
            let system =
                "sslrootcert=system is not known: name the file of the system's authorities";
            return Err(Error::Url(system.into()));
        }
        if matches!(mode, Mode::VerifyCa | Mode::VerifyFull) && roots.is_none() {
            let lacking = "sslmode=verify-ca and verify-full need sslrootcert=FILE";
            return Err(Error::Url(lacking.into()));
        }
        let own = match (path(certificate), path(key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Error::Url("sslcert and sslkey go together".into())),
        };
        Ok(Wish { mode, roots, own })
    }
}

/// The URL, or the `key=value` pairs, without what is said of TLS; and that.
pub(crate) fn take_out(text: &str) -> Result<(String, Wish)> {
    let mut taken = [const { None }; 4];
    let mut take = |name: &str, value: String| match NAMES.iter().position(|known| *known == name) {
        Some(index) => {
            taken[index] = Some(value);
            true
        }
        None => false,
    };
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    let rest = if is_url { from_url(text, &mut take) } else { from_pairs(text, &mut take) };
    Ok((rest, Wish::new(taken)?))
}

fn from_url(url: &str, take: &mut impl FnMut(&str, String) -> bool) -> String {
    // A password may hold a question mark: the driver looks for the parameters behind the `@`.
    let credentials = url.find('@').unwrap_or(0);
    let Some(mark) = url[credentials..].find('?').map(|at| credentials + at) else {
        return url.into();
    };
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let is_other = |parameter: &&str| match parameter.split_once('=') {
        Some((name, value)) => !take(&decode(name), decode(value)),
        None => true,
    };
    let others: Vec<&str> = url[mark + 1..].split('&').filter(is_other).collect();
    let sign = if others.is_empty() { "" } else { "?" };
    format!("{}{sign}{}", &url[..mark], others.join("&"))
}

/// What is no row of pairs comes back as it is: the driver says what is wrong with it.
fn from_pairs(text: &str, take: &mut impl FnMut(&str, String) -> bool) -> String {
    let mut others = Vec::new();
    let mut left = text.trim_start();
    while !left.is_empty() {
        let Some((name, behind)) = left.split_once('=') else { return text.into() };
        let behind = behind.trim_start();
        let Some((value, length)) = value(behind) else { return text.into() };
        let (pair, next) = left.split_at(left.len() - behind.len() + length);
        if !take(name.trim_end(), value) {
            others.push(pair);
        }
        left = next.trim_start();
    }
    others.join(" ")
}

/// The value at the beginning of a text, and how many bytes it took; `None` if it does not end.
fn value(text: &str) -> Option<(String, usize)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return Some((value, at + 1)),
            blank if !quoted && blank.is_whitespace() => return Some((value, at)),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (!quoted).then_some((value, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given, what is left for the driver, and the wish in the order of [`NAMES`].
    const TAKEN: &str = r"
        postgres://h/d                                   | postgres://h/d         | prefer
        postgres://h/d?sslmode=disable                   | postgres://h/d         | disable
        postgresql://u:p@h:1,g:2/d?sslmode=require&user=v | postgresql://u:p@h:1,g:2/d?user=v | require
        postgres://u:p?sslmode=x@h/d?sslmode=require     | postgres://u:p?sslmode=x@h/d | require
        postgres://h?options=-c%20a%3Db&sslmode=verify-ca&sslrootcert=%2Fa%20b%2Fca.pem&port=1 | postgres://h?options=-c%20a%3Db&port=1 | verify-ca /a b/ca.pem
        postgres://h/d?%73slmode=require                 | postgres://h/d         | require
        postgres://h/d?sslmode=require&sslmode=disable   | postgres://h/d         | disable
        postgres://h/d?sslmode=prefer&sslcert=c&sslkey=k | postgres://h/d         | prefer - c k
        postgres://h/d?sslrootcert=&sslmode=require      | postgres://h/d         | require
        postgres://h/d?sslmodes=x&flag                   | postgres://h/d?sslmodes=x&flag | prefer
        host=h user=u                                    | host=h user=u          | prefer
        host=h sslmode=require user=u                    | host=h user=u          | require
        sslmode = 'verify-full'  sslrootcert='/it\'s' host=h | host=h             | verify-full /it's
        host=h password='sslmode=require' sslmode=disable | host=h password='sslmode=require' | disable
        password=a\ sslmode=b host=h                     | password=a\ sslmode=b host=h | prefer
        password=ü'\'' sslrootcert=ä host=h              | password=ü'\'' host=h  | prefer ä
        password='sslmode=require                        | password='sslmode=require | prefer
        host=h nonsense                                  | host=h nonsense        | prefer
    ";

    #[test]
    fn what_is_said_of_tls_is_taken_out() {
        for line in TAKEN.trim().lines() {
            let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [given, left, expected] = columns[..] else { panic!("{line}") };
            let (rest, wish) = take_out(given).unwrap();
            let file = |path: Option<PathBuf>| path.map_or("-".into(), |p| p.display().to_string());
            let (certificate, key) = wish.own.unzip();
            let mode = MODES.iter().find(|(_, mode)| *mode == wish.mode).unwrap().0.to_owned();
            let found = [mode, file(wish.roots), file(certificate), file(key)].join(" ");
            assert_eq!((&rest[..], found.trim_end_matches(" -")), (left, expected), "{given}");
        }
    }

    const REFUSED: &str = "
        postgres://u:hush@h/d?sslmode=allow       | sslmode=allow is none of disable, prefer, require, verify-ca, verify-full
        host=h password=hush sslmode=''           | sslmode= is none of disable, prefer, require, verify-ca, verify-full
        postgres://u:hush@h/d?sslmode=verify-full | sslmode=verify-ca and verify-full need sslrootcert=FILE
        postgres://h/d?sslrootcert=system         | sslrootcert=system is not known: name the file of the system's authorities
        postgres://h/d?sslcert=c                  | sslcert and sslkey go together
        postgres://h/d?sslkey=k                   | sslcert and sslkey go together
    ";

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        for line in REFUSED.trim().lines() {
            let (given, expected) = line.split_once(" | ").unwrap();
            let error = take_out(given.trim()).unwrap_err().to_string();
            assert_eq!(error, format!("the database's URL: {expected}"), "{given}");
        }
    }
}
