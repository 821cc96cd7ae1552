//! A whole message: which wrapper, the header, the body. Reading and writing begin here.

use crate::check::Checker;
use crate::error::{Code, Error};
use crate::head001::{Header, Part};
use crate::pacs002::{self, StatusReport};
use crate::pacs008::{self, CreditTransfer};
use crate::pacs028::{self, StatusRequest};
use crate::read::Reader;
use crate::tree::{Element, Namespace, Tree};
use crate::write::Writer;
use crate::{Dialect, MAX_BYTES};

/// One message as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What it is wrapped in.
    pub wrapper: Wrapper,
    /// `AppHdr`; there is one in every wrapper but [`Wrapper::Document`], which has none.
    pub header: Option<Header>,
    /// The body.
    pub message: Message,
}

/// What a message is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    /// ISO's own, no header: a root `Document`.
    Document,
    /// TCH's `Message`, both directions.
    Tch,
    /// `FedNowIncoming`: from a participant to the Federal Reserve.
    FedNowIncoming,
    /// `FedNowOutgoing`: from the Federal Reserve to a participant.
    FedNowOutgoing,
}

/// The bodies that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// pacs.002.001.10.
    StatusReport(StatusReport),
    /// pacs.008.001.08.
    CreditTransfer(CreditTransfer),
    /// pacs.028.001.03.
    StatusRequest(StatusRequest),
}

/// What the wrappers know of a body.
struct Body {
    namespace: Namespace,
    /// Message definition, last part of the namespace's name.
    name: &'static str,
    /// The one child of `Document`.
    root: &'static str,
    tch_element: &'static str,
    tch_prefix: &'static str,
    fednow_element: &'static str,
}

const BODIES: [Body; 3] = [
    Body {
        namespace: Namespace::Pacs002,
        name: pacs002::NAME,
        root: pacs002::ROOT,
        tch_element: "MessageStatusReport",
        tch_prefix: "ps:",
        fednow_element: "FedNowPaymentStatus",
    },
    Body {
        namespace: Namespace::Pacs008,
        name: pacs008::NAME,
        root: pacs008::ROOT,
        tch_element: "CreditTransfer",
        tch_prefix: "ct:",
        fednow_element: "FedNowCustomerCreditTransfer",
    },
    Body {
        namespace: Namespace::Pacs028,
        name: pacs028::NAME,
        root: pacs028::ROOT,
        tch_element: "PaymentStatusRequest",
        tch_prefix: "s8:",
        fednow_element: "FedNowPaymentStatusRequest",
    },
];

/// Reads one message of at most 64 KiB, whatever its wrapper, and checks it by the rules of the
/// wrapper's dialect. Returns every error found; syntax errors and unknown namespaces end the
/// reading and are alone.
pub fn parse(bytes: &[u8]) -> Result<Envelope, Vec<Error>> {
    let tree = Tree::parse(bytes).map_err(|error| vec![error])?;
    let mut reader = Reader::default();
    let envelope = read_root(&mut reader, tree.root());
    match envelope {
        Some(envelope) if reader.errors.is_empty() => {
            let errors = envelope.errors();
            if errors.is_empty() { Ok(envelope) } else { Err(errors) }
        }
        Some(_) | None => {
            assert!(!reader.errors.is_empty(), "a message without value has an error");
            Err(reader.errors)
        }
    }
}

impl Envelope {
    /// A message from a participant to the network: TCH's wrapper, or `FedNowIncoming`.
    pub fn to_network(dialect: Dialect, header: Header, message: Message) -> Self {
        let wrapper = match dialect {
            Dialect::Tch => Wrapper::Tch,
            Dialect::FedNow => Wrapper::FedNowIncoming,
        };
        Self { wrapper, header: Some(header), message }
    }

    /// A message from the network to a participant: TCH's wrapper, or `FedNowOutgoing`.
    pub fn from_network(dialect: Dialect, header: Header, message: Message) -> Self {
        let wrapper = match dialect {
            Dialect::Tch => Wrapper::Tch,
            Dialect::FedNow => Wrapper::FedNowOutgoing,
        };
        Self { wrapper, header: Some(header), message }
    }

    /// The message as bytes of UTF-8, one line, each part with its namespace. Refused, with all
    /// errors, if [`parse`] would refuse it: a value too long, a character that XML lacks, a field
    /// that the dialect demands, more than 64 KiB.
    pub fn write(&self) -> Result<Vec<u8>, Vec<Error>> {
        let errors = self.errors();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut x = Writer::new(self.wrapper.dialect());
        let body = self.message.body();
        let namespace = format!("xmlns=\"urn:iso:std:iso:20022:tech:xsd:{}\"", body.name);
        match (self.wrapper, &self.header) {
            (Wrapper::Tch, Some(header)) => {
                let (_, prefixed) = namespace.split_at("xmlns".len());
                let attributes = format!(
                    "xmlns=\"urn:tch\" \
                     xmlns:head=\"urn:iso:std:iso:20022:tech:xsd:head.001.001.01\" \
                     xmlns:{}{prefixed}",
                    body.tch_prefix.trim_end_matches(':')
                );
                x.part("Message", &attributes, "", |x| {
                    x.part("AppHdr", "", "head:", |x| header.write(x, body.name));
                    x.part(body.tch_element, "", body.tch_prefix, |x| self.message.write(x));
                });
            }
            (Wrapper::FedNowIncoming | Wrapper::FedNowOutgoing, Some(header)) => {
                let (root, inner, urn) = self.wrapper.fednow_elements();
                x.part(root, &format!("xmlns=\"{urn}\""), "", |x| {
                    x.part(inner, "", "", |x| {
                        x.part(body.fednow_element, "", "", |x| {
                            let head = "xmlns=\"urn:iso:std:iso:20022:tech:xsd:head.001.001.02\"";
                            x.part("AppHdr", head, "", |x| header.write(x, body.name));
                            x.part("Document", &namespace, "", |x| self.message.write(x));
                        });
                    });
                });
            }
            _ => x.part("Document", &namespace, "", |x| self.message.write(x)),
        }
        let bytes = x.finish();
        if bytes.len() > MAX_BYTES {
            let message = format!("the message has {} bytes, more than {MAX_BYTES}", bytes.len());
            return Err(vec![Error::new("/", Code::TooLarge, message)]);
        }
        Ok(bytes)
    }

    /// Whose rules the wrapper implies.
    pub fn dialect(&self) -> Option<Dialect> {
        self.wrapper.dialect()
    }

    fn errors(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        let dialect = self.wrapper.dialect();
        let tch = self.wrapper == Wrapper::Tch;
        match &self.header {
            Some(header) => {
                let root = if tch { "/Message/AppHdr" } else { "/AppHdr" }.to_owned();
                header.check(&mut Checker { dialect, root, errors: &mut errors });
            }
            None if self.wrapper != Wrapper::Document => {
                errors.push(Error::new("/AppHdr", Code::Missing, "the header is missing"));
            }
            None => {}
        }
        let root = if tch {
            format!("/Message/{}", self.message.body().tch_element)
        } else {
            "/Document".to_owned()
        };
        self.message.check(&mut Checker { dialect, root, errors: &mut errors });
        errors
    }
}

impl Wrapper {
    /// Whose rules it implies; none for a plain document.
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Document => None,
            Self::Tch => Some(Dialect::Tch),
            Self::FedNowIncoming | Self::FedNowOutgoing => Some(Dialect::FedNow),
        }
    }

    fn fednow_elements(self) -> (&'static str, &'static str, &'static str) {
        if self == Self::FedNowOutgoing {
            ("FedNowOutgoing", "FedNowOutgoingMessage", "urn:fednow:outgoing:v001")
        } else {
            ("FedNowIncoming", "FedNowIncomingMessage", "urn:fednow:incoming:v001")
        }
    }
}

impl Message {
    /// Name of the message definition: `pacs.008.001.08`.
    pub fn name(&self) -> &'static str {
        self.body().name
    }

    /// `MsgId`.
    pub fn message_id(&self) -> &str {
        match self {
            Self::StatusReport(report) => &report.message_id,
            Self::CreditTransfer(transfer) => &transfer.message_id,
            Self::StatusRequest(request) => &request.message_id,
        }
    }

    fn body(&self) -> &'static Body {
        const { &BODIES }
            .get(match self {
                Self::StatusReport(_) => 0,
                Self::CreditTransfer(_) => 1,
                Self::StatusRequest(_) => 2,
            })
            .expect("BODIES is in the order of Message")
    }

    fn read(reader: &mut Reader, body: &Body, root: Element<'_, '_>) -> Option<Self> {
        match body.namespace {
            Namespace::Pacs002 => StatusReport::read(reader, root).map(Self::StatusReport),
            Namespace::Pacs008 => CreditTransfer::read(reader, root).map(Self::CreditTransfer),
            _ => StatusRequest::read(reader, root).map(Self::StatusRequest),
        }
    }

    fn check(&self, checker: &mut Checker<'_>) {
        match self {
            Self::StatusReport(report) => report.check(checker),
            Self::CreditTransfer(transfer) => transfer.check(checker),
            Self::StatusRequest(request) => request.check(checker),
        }
    }

    fn write(&self, x: &mut Writer) {
        match self {
            Self::StatusReport(report) => report.write(x),
            Self::CreditTransfer(transfer) => transfer.write(x),
            Self::StatusRequest(request) => request.write(x),
        }
    }
}

fn read_root(reader: &mut Reader, root: Element<'_, '_>) -> Option<Envelope> {
    match (root.namespace(), root.name()) {
        (Namespace::Tch, "Message") => read_tch(reader, root),
        (Namespace::FedNowIncoming, "FedNowIncoming") => {
            read_fednow(reader, root, Wrapper::FedNowIncoming)
        }
        (Namespace::FedNowOutgoing, "FedNowOutgoing") => {
            read_fednow(reader, root, Wrapper::FedNowOutgoing)
        }
        (namespace, "Document") => {
            let Some(body) = BODIES.iter().find(|body| body.namespace == namespace) else {
                return unknown_wrapper(reader, root);
            };
            let message = read_body(reader, body, root)?;
            Some(Envelope { wrapper: Wrapper::Document, header: None, message })
        }
        _ => unknown_wrapper(reader, root),
    }
}

fn unknown_wrapper<T>(reader: &mut Reader, element: Element<'_, '_>) -> Option<T> {
    let message = format!("{} is not a message or wrapper that is supported", element.name());
    reader.push(Error::new(element.path(), Code::UnknownWrapper, message));
    None
}

/// `Message`: `AppHdr` and one body, both TCH's by name, ISO's by content.
fn read_tch(reader: &mut Reader, root: Element<'_, '_>) -> Option<Envelope> {
    let known = |child: &Element<'_, '_>| BODIES.iter().find(|b| b.tch_element == child.name());
    let found = root.children().find_map(|child| known(&child).map(|body| (body, child)));
    let Some((body, element)) = found else {
        match root.children().find(|child| child.name() != "AppHdr") {
            Some(other) => return unknown_wrapper(reader, other),
            None => reader.missing(root, "CreditTransfer"),
        }
        return None;
    };
    reader.sequence(root, &["AppHdr", body.tch_element]);
    let header = reader
        .element(root, "AppHdr")
        .and_then(|element| Header::read(reader, Part { element, namespace: Namespace::Head01 }));
    let message = read_body(reader, body, element);
    Some(Envelope { wrapper: Wrapper::Tch, header: Some(header?), message: message? })
}

/// `FedNowIncoming/FedNowIncomingMessage/FedNow...`: `AppHdr` and `Document` in their namespaces.
fn read_fednow(reader: &mut Reader, root: Element<'_, '_>, wrapper: Wrapper) -> Option<Envelope> {
    let (_, inner, _) = wrapper.fednow_elements();
    // The real wrapper may carry other parts beside the message (a technical header).
    let inner = reader.element(root, inner)?;
    let mut children = inner.children();
    let Some(element) = children.next() else { return unknown_wrapper(reader, inner) };
    if let Some(second) = children.next() {
        let message = "one message a wrapper";
        reader.push(Error::new(second.path(), Code::Repeated, message));
    }
    let Some(body) = BODIES.iter().find(|body| body.fednow_element == element.name()) else {
        return unknown_wrapper(reader, element);
    };
    let mut header = None;
    let mut document = None;
    for child in element.children() {
        match (child.name(), child.namespace()) {
            ("AppHdr", Namespace::Head02) if header.is_none() && document.is_none() => {
                header = Some(child);
            }
            ("Document", space) if space == body.namespace && document.is_none() => {
                document = Some(child);
            }
            (name, _) => {
                let message = format!("unexpected element {name}");
                reader.push(Error::new(child.path(), Code::UnexpectedElement, message));
            }
        }
    }
    if header.is_none() {
        reader.missing(element, "AppHdr");
    }
    if document.is_none() {
        reader.missing(element, "Document");
    }
    let header = header
        .and_then(|element| Header::read(reader, Part { element, namespace: Namespace::Head02 }));
    let message = document.and_then(|document| read_body(reader, body, document));
    Some(Envelope { wrapper, header: Some(header?), message: message? })
}

/// `Document`, or TCH's element of that type: one child, of the body's namespace.
fn read_body(reader: &mut Reader, body: &Body, document: Element<'_, '_>) -> Option<Message> {
    let part = Part { element: document, namespace: body.namespace };
    part.sequence(reader, &[body.root]);
    let root = part.field(reader, body.root)?;
    Message::read(reader, body, root)
}
