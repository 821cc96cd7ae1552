//! What an endpoint is: a route, who may use it, the types of what goes in and out.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::refusal::{Code, Refusal};

/// The HTTP methods in use. Only `Get` never changes anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method's name in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anybody.
    Open,
    /// A key whose account is the path's `accountID` or that account's facilitator, with this scope.
    Account(&'static str),
    /// Any key; the answer is limited to what that key's account may see.
    Key,
    /// An operator's key.
    Operator,
    /// Another service, never a customer.
    Internal,
}

/// One endpoint of one service.
pub trait Endpoint: Send + Sync + 'static {
    /// Verb and noun, `CreateTransfer`.
    const NAME: &'static str;
    /// The service that answers.
    const SERVICE: &'static str;
    /// Method.
    const METHOD: Method;
    /// Path with `{names}`.
    const PATH: &'static str;
    /// Who may call.
    const ACCESS: Access;
    /// The path's names.
    type Path: DeserializeOwned + Send + 'static;
    /// The query's names.
    type Query: DeserializeOwned + Send + 'static;
    /// The body, parsed and checked.
    type Body: Body;
    /// What a 200 carries.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// A request body: bytes in, a checked value or a refusal out.
pub trait Body: Sized + Send + 'static {
    /// Parses and checks; a refusal names every broken field rule.
    fn parse(bytes: &[u8]) -> Result<Self, Refusal>;
}

/// No body is expected; one that is there is ignored.
pub struct NoBody;
impl Body for NoBody {
    fn parse(_: &[u8]) -> Result<Self, Refusal> {
        Ok(Self)
    }
}

/// A path without names.
#[derive(Serialize, Deserialize)]
pub struct NoPath {}

/// A query without names.
#[derive(Serialize, Deserialize)]
pub struct NoQuery {}

/// Parses JSON into `T`: 400 where it is no JSON, 422 with the field's path where a field is wrong.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // An array would be read as a struct's fields in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::new(Code::MalformedRequest, "the body must be a JSON object"));
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) if error.is_data() => Err(json_field::<T>(bytes, &error)),
        Err(error) => Err(Refusal::new(Code::MalformedRequest, format!("no valid JSON: {error}"))),
    }
}

fn json_field<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Refusal {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (path, rule) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => (String::new(), error.to_string()),
        Err(error) => (error.path().to_string(), error.inner().to_string()),
    };
    let rule = rule.split(" at line ").next().unwrap_or("invalid").to_owned();
    // Only these name a field in their backquotes; others repeat the value that was sent.
    let names = rule.starts_with("missing field") || rule.starts_with("unknown field");
    let named = rule.split('`').nth(1).filter(|_| names).map(str::to_owned);
    let path = match path.as_str() {
        "." | "" => named.unwrap_or_else(|| "error".to_owned()),
        _ => path,
    };
    Refusal::field(path, rule)
}

/// Declares an endpoint: a unit type and its [`Endpoint`] impl.
#[macro_export]
macro_rules! endpoint {
    ($(#[$doc:meta])* $name:ident, $service:literal, $method:ident $path:literal, $access:expr,
     ($p:ty, $q:ty, $b:ty) -> $r:ty) => {
        $(#[$doc])*
        pub struct $name;
        impl $crate::Endpoint for $name {
            const NAME: &'static str = stringify!($name);
            const SERVICE: &'static str = $service;
            const METHOD: $crate::Method = $crate::Method::$method;
            const PATH: &'static str = $path;
            const ACCESS: $crate::Access = $access;
            type Path = $p;
            type Query = $q;
            type Body = $b;
            type Reply = $r;
        }
    };
}
