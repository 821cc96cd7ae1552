//! Refusal codes: every way in which an endpoint says no, with its HTTP status.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)+) => {
        /// A stable machine code; its documentation is the first line of what to do about it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {$($(#[$doc])* #[serde(rename = $text)] $name,)+}

        impl Code {
            /// All codes, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// The code as it stands in an answer.
            pub fn text(self) -> &'static str {
                match self {$(Self::$name => $text,)+}
            }
            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self {$(Self::$name => $status,)+}
            }
        }
    };
}

codes! {
    /// The body is no JSON, or not the shape of this request.
    MalformedRequest = "malformed-request", 400;
    /// A write needs an `X-Idempotency-Key` (or `Idempotency-Key`) of 1 to 36 characters.
    IdempotencyKeyMissing = "idempotency-key-missing", 400;
    /// Both idempotency headers are there and differ.
    IdempotencyKeyAmbiguous = "idempotency-key-ambiguous", 400;
    /// No key, an unknown or a revoked one.
    Unauthenticated = "unauthenticated", 401;
    /// The key lacks the scope, or the account is not the key's to use.
    Forbidden = "forbidden", 403;
    /// No such thing, or not the caller's to see.
    NotFound = "not-found", 404;
    /// The path is known, the method is not.
    MethodNotAllowed = "method-not-allowed", 405;
    /// The key was used before: the original is in the body.
    DuplicateKey = "duplicate-key", 409;
    /// The first request with this key is still under way.
    KeyInFlight = "key-in-flight", 409;
    /// The thing is in a state that does not allow this.
    Conflict = "conflict", 409;
    /// The body is over 64 KiB.
    TooLarge = "too-large", 413;
    /// One of our own asked a process that cannot answer: it has another peer key, or other services.
    Misdirected = "misdirected", 421;
    /// A field breaks its rule; the body names each.
    InvalidField = "invalid-field", 422;
    /// The key was used before with another body.
    KeyReused = "key-reused", 422;
    /// Our own work is behind; try again after the seconds of `Retry-After`.
    Busy = "busy", 429;
    /// A fault of ours; nothing was done unless the answer says so.
    Internal = "internal", 500;
    /// Not now: a part we need is not there.
    Unavailable = "unavailable", 503;
}

/// A refusal: what an endpoint answers instead of a reply. Nothing was changed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// One sentence for a person, without secrets or internals.
    pub detail: String,
    /// Field rules that were broken, by the API's field key.
    pub fields: BTreeMap<String, String>,
    /// Seconds after which a new try makes sense.
    pub retry_after_seconds: Option<u32>,
    /// A JSON body that takes the place of the problem (Moov's 409 carries the original transfer).
    pub body: Option<Box<serde_json::Value>>,
}

impl Refusal {
    /// A refusal with this code and sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: BTreeMap::new(),
            retry_after_seconds: None,
            body: None,
        }
    }
    /// One broken field rule.
    pub fn field(name: impl Into<String>, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        let mut refusal = Self::new(Code::InvalidField, rule.clone());
        refusal.fields.insert(name.into(), rule);
        refusal
    }
    /// The same with a time after which to try again.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
    /// No such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("no such {what}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.text(), self.detail)
    }
}
impl std::error::Error for Refusal {}
