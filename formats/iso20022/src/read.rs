//! Typed fields out of elements. A reader collects every error; a field in error is `None`.

use crate::error::{Code, Error};
use crate::tree::{Element, Namespace, is_xml_blank};
use crate::{Amount, Date, DateTime, Uetr};

#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) errors: Vec<Error>,
}

impl Reader {
    /// Adds an error; a second one of the same place and kind adds nothing.
    pub(crate) fn push(&mut self, error: Error) {
        if !self.errors.iter().any(|old| old.path == error.path && old.code == error.code) {
            self.errors.push(error);
        }
    }

    /// Checks the children of `parent` against the schema's sequence: `order` has all its element
    /// names in order, those that may repeat with a `*`.
    pub(crate) fn sequence(&mut self, parent: Element<'_, '_>, order: &[&str]) {
        self.sequence_in(parent, parent.namespace(), order);
    }

    /// As [`Reader::sequence`], for children in a namespace that is not their parent's.
    pub(crate) fn sequence_in(
        &mut self,
        parent: Element<'_, '_>,
        namespace: Namespace,
        order: &[&str],
    ) {
        if !parent.text().chars().all(is_xml_blank) {
            let message = "text where elements are expected";
            self.push(Error::new(parent.path(), Code::UnexpectedText, message));
        }
        let mut at = 0;
        let mut previous = None;
        for child in parent.children() {
            let name = child.name();
            // Most often it is at the place of the one before, or after it.
            let is = |entry: &&str| entry.strip_suffix('*').unwrap_or(entry) == name;
            let place = order[at..].iter().position(is).map(|place| place + at);
            let place = place.or_else(|| order[..at].iter().position(is));
            let Some(place) = place.filter(|_| child.namespace() == namespace) else {
                let message = format!("unexpected element {name}");
                self.push(Error::new(child.path(), Code::UnexpectedElement, message));
                continue;
            };
            if previous == Some(place) && !order[place].ends_with('*') {
                let message = format!("{name} may occur once");
                self.push(Error::new(child.path(), Code::Repeated, message));
            } else if place < at {
                let message = format!("{name} is out of the schema's order");
                self.push(Error::new(child.path(), Code::WrongOrder, message));
            }
            at = at.max(place);
            previous = Some(place);
        }
    }

    /// As [`Reader::sequence`] for the element at a path, if it is there.
    pub(crate) fn sequence_at(&mut self, parent: Element<'_, '_>, path: &str, order: &[&str]) {
        if let Some(element) = find(parent, path) {
            self.sequence(element, order);
        }
    }

    /// The element at `path` (names with `/`), or an error at the first that is missing.
    pub(crate) fn element<'t, 'i>(
        &mut self,
        parent: Element<'t, 'i>,
        path: &str,
    ) -> Option<Element<'t, 'i>> {
        let mut at = parent;
        for name in path.split('/') {
            match at.child(name) {
                Some(child) => at = child,
                None => {
                    self.missing(at, name);
                    return None;
                }
            }
        }
        Some(at)
    }

    pub(crate) fn missing(&mut self, parent: Element<'_, '_>, name: &str) {
        let path = format!("{}/{name}", parent.path());
        let message = format!("mandatory element {name} is missing");
        self.push(Error::new(path, Code::Missing, message));
    }

    pub(crate) fn text(&mut self, parent: Element<'_, '_>, path: &str) -> Option<String> {
        self.value(parent, path, |text| Ok(text.to_owned()))
    }

    pub(crate) fn maybe_text(&mut self, parent: Element<'_, '_>, path: &str) -> Option<String> {
        find(parent, path).and_then(|element| self.leaf(element)).map(str::to_owned)
    }

    pub(crate) fn time(&mut self, parent: Element<'_, '_>, path: &str) -> Option<DateTime> {
        self.value(parent, path, DateTime::parse)
    }

    pub(crate) fn maybe_time(&mut self, parent: Element<'_, '_>, path: &str) -> Option<DateTime> {
        self.maybe(parent, path, DateTime::parse)
    }

    pub(crate) fn maybe_date(&mut self, parent: Element<'_, '_>, path: &str) -> Option<Date> {
        self.maybe(parent, path, Date::parse)
    }

    pub(crate) fn maybe_uetr(&mut self, parent: Element<'_, '_>, path: &str) -> Option<Uetr> {
        self.maybe(parent, path, Uetr::parse)
    }

    pub(crate) fn amount(&mut self, parent: Element<'_, '_>, path: &str) -> Option<Amount> {
        let element = self.element(parent, path)?;
        self.amount_of(element)
    }

    pub(crate) fn maybe_amount(&mut self, parent: Element<'_, '_>, path: &str) -> Option<Amount> {
        find(parent, path).and_then(|element| self.amount_of(element))
    }

    fn amount_of(&mut self, element: Element<'_, '_>) -> Option<Amount> {
        let text = self.leaf(element)?;
        let Some(currency) = element.currency() else {
            let message = "an amount without its Ccy attribute";
            self.push(Error::new(element.path(), Code::Missing, message));
            return None;
        };
        match Amount::parse(text, &currency) {
            Ok(amount) => Some(amount),
            Err(message) => {
                let error = Error::new(element.path(), Code::Value, message);
                self.push(error.found(format!("{text} {currency}")));
                None
            }
        }
    }

    pub(crate) fn value<T>(
        &mut self,
        parent: Element<'_, '_>,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let element = self.element(parent, path)?;
        self.parsed(element, parse)
    }

    pub(crate) fn maybe<T>(
        &mut self,
        parent: Element<'_, '_>,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let element = find(parent, path)?;
        self.parsed(element, parse)
    }

    pub(crate) fn parsed<T>(
        &mut self,
        element: Element<'_, '_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.leaf(element)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.push(Error::new(element.path(), Code::Value, message).found(text));
                None
            }
        }
    }

    /// The text of an element that must have no elements in it.
    fn leaf<'t>(&mut self, element: Element<'t, '_>) -> Option<&'t str> {
        if element.has_children() {
            let message = "elements where text is expected";
            self.push(Error::new(element.path(), Code::UnexpectedElement, message));
            return None;
        }
        Some(element.text())
    }
}

/// The element at `path` below `parent`, if it is there.
pub(crate) fn find<'t, 'i>(parent: Element<'t, 'i>, path: &str) -> Option<Element<'t, 'i>> {
    path.split('/').try_fold(parent, |element, name| element.child(name))
}
