//! XML text into a bounded tree of elements with resolved namespaces. Everything dangerous in XML
//! is refused here, so that the messages' files see elements and text only.

use std::borrow::Cow;

use quick_xml::NsReader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::error::{Code, Error};
use crate::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH};

/// The namespaces that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    Tch,
    FedNowIncoming,
    FedNowOutgoing,
    Head01,
    Head02,
    Pacs002,
    Pacs008,
    Pacs028,
    /// Under `Sgntr` or `SplmtryData`, where any is allowed and none is read.
    Foreign,
}

/// Their names.
const NAMESPACES: [(Namespace, &str); 8] = [
    (Namespace::Tch, "urn:tch"),
    (Namespace::FedNowIncoming, "urn:fednow:incoming:v001"),
    (Namespace::FedNowOutgoing, "urn:fednow:outgoing:v001"),
    (Namespace::Head01, "urn:iso:std:iso:20022:tech:xsd:head.001.001.01"),
    (Namespace::Head02, "urn:iso:std:iso:20022:tech:xsd:head.001.001.02"),
    (Namespace::Pacs002, "urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10"),
    (Namespace::Pacs008, "urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08"),
    (Namespace::Pacs028, "urn:iso:std:iso:20022:tech:xsd:pacs.028.001.03"),
];

/// No index: the root's parent, the last child's next.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Tree<'i> {
    nodes: Vec<Node<'i>>,
}

#[derive(Debug)]
struct Node<'i> {
    start: BytesStart<'i>,
    /// Where in the start tag's name its local part begins.
    local: usize,
    namespace: Namespace,
    parent: u32,
    first: u32,
    last: u32,
    next: u32,
    text: Cow<'i, str>,
}

/// One element of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'t, 'i> {
    tree: &'t Tree<'i>,
    index: u32,
}

impl<'i> Tree<'i> {
    /// Reads a whole document. The first error ends it: what comes after a syntax error is guess.
    pub(crate) fn parse(bytes: &'i [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::new("/", Code::TooLarge, "the message is too large")
                .found(format!("{} bytes", bytes.len()))
                .expected(format!("at most {MAX_BYTES}")));
        }
        let malformed = |message: &str| Error::new("/", Code::Malformed, message);
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Fast for the usual: printable ASCII and line ends.
        let plain = |byte: &u8| matches!(byte, 0x20..=0x7f | b'\n' | b'\r' | b'\t');
        if !text.as_bytes().iter().all(plain) && !text.chars().all(is_xml_char) {
            return Err(malformed("a character that XML does not allow"));
        }
        let mut builder = Builder { nodes: Vec::with_capacity(128), open: Vec::new() };
        let mut reader = NsReader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        let mut first = true;
        loop {
            let (namespace, event) = match reader.read_resolved_event() {
                Ok(read) => read,
                Err(error) => return Err(builder.malformed(&error.to_string())),
            };
            match event {
                Event::Start(start) => builder.open(start, &namespace)?,
                Event::Empty(start) => {
                    builder.open(start, &namespace)?;
                    builder.open.pop();
                }
                Event::End(_) => drop(builder.open.pop()),
                Event::Text(text) => builder.text(text.xml10_content())?,
                Event::CData(text) => builder.text(text.xml10_content())?,
                Event::GeneralRef(reference) => builder.reference(&reference)?,
                Event::Comment(_) => {}
                Event::Decl(decl) => {
                    if !first {
                        return Err(builder.malformed("an XML declaration that is not first"));
                    }
                    check_declaration(&decl).map_err(|message| malformed(&message))?;
                }
                Event::PI(_) => return Err(builder.forbidden("a processing instruction")),
                Event::DocType(_) => return Err(builder.forbidden("a DOCTYPE")),
                Event::Eof => break,
            }
            first = false;
        }
        if !builder.open.is_empty() || builder.nodes.is_empty() {
            return Err(builder.malformed("the document ends before its root element does"));
        }
        Ok(Self { nodes: builder.nodes })
    }

    pub(crate) fn root(&self) -> Element<'_, 'i> {
        Element { tree: self, index: 0 }
    }

    fn path(&self, index: u32) -> String {
        let mut names = Vec::new();
        let mut at = index;
        while at != NONE {
            let node = &self.nodes[at as usize];
            names.push(node.name());
            // Paths begin at the part, as the schemas' do; TCH's schema includes its wrapper.
            if matches!(names.last(), Some(&("AppHdr" | "Document")))
                && self.nodes[0].namespace != Namespace::Tch
            {
                break;
            }
            at = node.parent;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }
}

impl Node<'_> {
    fn name(&self) -> &str {
        &self.start.name().into_inner()[self.local..]
    }
}

struct Builder<'i> {
    nodes: Vec<Node<'i>>,
    open: Vec<u32>,
}

impl<'i> Builder<'i> {
    fn open(&mut self, start: BytesStart<'i>, found: &ResolveResult<'_>) -> Result<(), Error> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(Code::TooDeep, format!("more than {MAX_DEPTH} levels")));
        }
        if self.open.is_empty() && !self.nodes.is_empty() {
            return Err(self.malformed("a second root element"));
        }
        self.check_attributes(&start)?;
        let parent = self.open.last().copied().unwrap_or(NONE);
        let namespace = self.namespace(parent, &start, found)?;
        let index = u32::try_from(self.nodes.len()).expect("fewer elements than bytes");
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            let previous = std::mem::replace(&mut parent.last, index);
            if previous == NONE {
                parent.first = index;
            } else {
                self.nodes[previous as usize].next = index;
            }
        }
        let text = Cow::Borrowed("");
        let (first, last, next) = (NONE, NONE, NONE);
        let name = start.name().into_inner();
        let local = name.find(':').map_or(0, |colon| colon + 1);
        self.nodes.push(Node { start, local, namespace, parent, first, last, next, text });
        self.open.push(index);
        Ok(())
    }

    fn namespace(
        &self,
        parent: u32,
        start: &BytesStart<'_>,
        found: &ResolveResult<'_>,
    ) -> Result<Namespace, Error> {
        if let Some(parent) = self.nodes.get(parent as usize) {
            let name = parent.name();
            if parent.namespace == Namespace::Foreign || matches!(name, "Sgntr" | "SplmtryData") {
                return Ok(Namespace::Foreign);
            }
        }
        let name = match found {
            ResolveResult::Bound(namespace) => namespace.0,
            ResolveResult::Unbound => "",
            ResolveResult::Unknown(_) => return Err(self.malformed("an undeclared prefix")),
        };
        NAMESPACES.iter().find(|(_, known)| *known == name).map(|(known, _)| *known).ok_or_else(
            || {
                let element = start.local_name().into_inner();
                self.error(
                    Code::UnknownNamespace,
                    format!("unsupported namespace {name:?} of element {element}"),
                )
                .found(name)
            },
        )
    }

    /// Only `Ccy`, namespace declarations and schema locations may stand in a start tag.
    fn check_attributes(&self, start: &BytesStart<'_>) -> Result<(), Error> {
        let foreign = self.open.last().is_some_and(|index| {
            let node = &self.nodes[*index as usize];
            node.namespace == Namespace::Foreign || matches!(node.name(), "Sgntr" | "SplmtryData")
        });
        for (count, attribute) in start.attributes().enumerate() {
            if count >= MAX_ATTRIBUTES {
                let message = format!("more than {MAX_ATTRIBUTES} attributes");
                return Err(self.error(Code::TooDeep, message));
            }
            let attribute = attribute.map_err(|error| self.malformed(&error.to_string()))?;
            let name = attribute.key.0;
            let harmless = foreign
                || name == "Ccy"
                || attribute.key.as_namespace_binding().is_some()
                || matches!(
                    attribute.key.local_name().into_inner(),
                    "schemaLocation" | "noNamespaceSchemaLocation"
                );
            if !harmless {
                let message = format!("unexpected attribute {name}");
                return Err(self.error(Code::UnexpectedElement, message));
            }
            if attribute.value.contains('<') {
                return Err(self.malformed("a < in an attribute"));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: Cow<'i, str>) -> Result<(), Error> {
        let Some(&index) = self.open.last() else {
            let blank = text.chars().all(is_xml_blank);
            return if blank { Ok(()) } else { Err(self.malformed("text outside the root")) };
        };
        let node = &mut self.nodes[index as usize];
        if node.text.is_empty() {
            node.text = text
        } else {
            node.text.to_mut().push_str(&text)
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'i>) -> Result<(), Error> {
        let character = match &**reference {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => match reference.resolve_char_ref() {
                Ok(Some(character)) if is_xml_char(character) => character,
                Ok(None) => return Err(self.forbidden("an entity")),
                _ => return Err(self.malformed("a reference to no character")),
            },
        };
        self.text(Cow::Owned(character.to_string()))
    }

    fn error(&self, code: Code, message: impl Into<String>) -> Error {
        let names = self.open.iter().map(|index| self.nodes[*index as usize].name());
        let path = names.fold(String::new(), |path, name| path + "/" + name);
        Error::new(if path.is_empty() { "/".to_owned() } else { path }, code, message)
    }

    fn malformed(&self, message: &str) -> Error {
        self.error(Code::Malformed, message)
    }

    fn forbidden(&self, what: &str) -> Error {
        self.error(Code::Forbidden, format!("{what} is not allowed in a payment message"))
    }
}

impl<'t, 'i> Element<'t, 'i> {
    fn node(&self) -> &'t Node<'i> {
        &self.tree.nodes[self.index as usize]
    }

    pub(crate) fn name(&self) -> &'t str {
        self.node().name()
    }

    pub(crate) fn namespace(&self) -> Namespace {
        self.node().namespace
    }

    /// The text of the element itself.
    pub(crate) fn text(&self) -> &'t str {
        &self.node().text
    }

    pub(crate) fn currency(&self) -> Option<Cow<'t, str>> {
        let attribute = self.node().start.try_get_attribute("Ccy").ok().flatten()?;
        Some(Cow::Owned(attribute.value.into_owned()))
    }

    pub(crate) fn has_children(&self) -> bool {
        self.node().first != NONE
    }

    pub(crate) fn children(self) -> impl Iterator<Item = Element<'t, 'i>> {
        let tree = self.tree;
        let element = move |index: u32| (index != NONE).then_some(Element { tree, index });
        std::iter::successors(element(self.node().first), move |child| element(child.node().next))
    }

    /// The first child of that name in this element's own namespace.
    pub(crate) fn child(&self, name: &str) -> Option<Element<'t, 'i>> {
        let namespace = self.namespace();
        self.children().find(|child| child.name() == name && child.namespace() == namespace)
    }

    pub(crate) fn path(&self) -> String {
        self.tree.path(self.index)
    }
}

/// `Char` of XML 1.0.
pub(crate) fn is_xml_char(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

pub(crate) fn is_xml_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn check_declaration(decl: &quick_xml::events::BytesDecl<'_>) -> Result<(), String> {
    let version = decl.version().map_err(|error| error.to_string())?;
    if version != "1.0" {
        return Err("XML 1.0 only".to_owned());
    }
    match decl.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err("UTF-8 only".to_owned()),
    }
}
