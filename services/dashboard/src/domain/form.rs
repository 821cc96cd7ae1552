//! Forms and queries: `name=value&...` as browsers send them (URL Standard, 5.1).

/// The fields in their order.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

/// Fields of a form at most.
const FIELDS_MOST: usize = 64;

impl Form {
    /// Reads a form; what is no UTF-8 is replaced.
    pub fn parse(text: &[u8]) -> Self {
        let fields = text.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let pair = |field: &[u8]| {
            let at = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
            (decoded(&field[..at]), decoded(field.get(at + 1..).unwrap_or_default()))
        };
        Self(fields.take(FIELDS_MOST).map(pair).collect())
    }
    /// The value of a field; empty where it is absent.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
    /// The value of a field that was filled in.
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }
}

fn decoded(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
                continue;
            }
            (b'+', _, _) => plain.push(b' '),
            (byte, _, _) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// A value as it stands in a query.
pub fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                safe.push(char::from(byte));
            }
            byte => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{Form, encoded};

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let form = Form::parse(b"a=1+2&b=%C3%A9%2B&empty=&flag&a=later&bad=%zz%4");
        assert_eq!(form.text("a"), "1 2", "the first one counts");
        assert_eq!(form.text("b"), "é+");
        assert_eq!(form.filled("empty"), None);
        assert_eq!((form.text("flag"), form.text("missing")), ("", ""));
        assert_eq!(form.text("bad"), "%zz%4");
        assert_eq!(Form::parse(b"x=%ff").text("x"), "\u{fffd}");
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let text = "a b&c=<é>\"%+/";
        let query = format!("q={}", encoded(text));
        assert_eq!(Form::parse(query.as_bytes()).text("q"), text);
        assert!(query.is_ascii() && !query[2..].contains(['&', '<', '"', ' ']));
    }
}
