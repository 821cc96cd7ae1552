//! XML out: compact, one prefix per part, text escaped.

use crate::{Amount, Dialect};

#[derive(Debug)]
pub(crate) struct Writer {
    out: String,
    /// `ct:` and the like within a part of TCH's wrapper; empty elsewhere.
    prefix: &'static str,
    pub(crate) dialect: Option<Dialect>,
}

impl Writer {
    pub(crate) fn new(dialect: Option<Dialect>) -> Self {
        let mut out = String::with_capacity(4096);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self { out, prefix: "", dialect }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push('\n');
        self.out.into_bytes()
    }

    pub(crate) fn is_tch(&self) -> bool {
        self.dialect == Some(Dialect::Tch)
    }

    /// A wrapper's element, with its attributes as text, never prefixed.
    pub(crate) fn part(
        &mut self,
        name: &str,
        attributes: &str,
        inner_prefix: &'static str,
        write: impl FnOnce(&mut Self),
    ) {
        self.out.push('<');
        self.out.push_str(name);
        if !attributes.is_empty() {
            self.out.push(' ');
            self.out.push_str(attributes);
        }
        self.out.push('>');
        let outer = std::mem::replace(&mut self.prefix, inner_prefix);
        write(self);
        self.prefix = outer;
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element with elements in it.
    pub(crate) fn within(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.open(name);
        self.out.push('>');
        write(self);
        self.close(name);
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        self.out.push('>');
        escape(&mut self.out, text);
        self.close(name);
    }

    pub(crate) fn maybe_leaf(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    pub(crate) fn amount(&mut self, name: &str, amount: &Amount) {
        self.open(name);
        self.out.push_str(" Ccy=\"");
        self.out.push_str(amount.currency());
        self.out.push_str("\">");
        self.out.push_str(&amount.to_string());
        self.close(name);
    }

    /// An agent: `FinInstnId/ClrSysMmbId`, with the system's code where the dialect has it.
    pub(crate) fn agent(&mut self, name: &str, member: &str) {
        let system = !self.is_tch();
        self.within(name, |x| {
            x.within("FinInstnId", |x| {
                x.within("ClrSysMmbId", |x| {
                    if system {
                        x.within("ClrSysId", |x| x.leaf("Cd", "USABA"));
                    }
                    x.leaf("MmbId", member);
                });
            });
        });
    }

    fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(self.prefix);
        self.out.push_str(name);
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(self.prefix);
        self.out.push_str(name);
        self.out.push('>');
    }
}

fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['<', '>', '&', '\r']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            _ => "&#13;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}
