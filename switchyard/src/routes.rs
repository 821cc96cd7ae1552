//! What the listener answers: the services' public API, and around it what belongs to the process:
//! liveness, metrics, the sandbox's controls. Every answer carries an `X-Request-Id`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use contracts::{Code, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use runtime::{HttpBody, PeerKey, Platform, Router, Running};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::counterparties::Counterparties;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The paths of the counterparties.
pub const OF_THE_SANDBOX: [&str; 4] =
    ["/sandbox/clock", "/sandbox/clock/advance", "/sandbox/faults", "/sandbox/books"];
/// The most bytes of a body that is for the process itself.
const BODY_BYTES_MOST: usize = 64 * 1024;

/// Everything that is answered on the public listener.
pub struct Routes {
    platform: Platform,
    public: Router,
    /// What services of other processes may ask, by service, and the key that they show.
    internal: BTreeMap<&'static str, Router>,
    key: Option<PeerKey>,
    counterparties: Option<Arc<Counterparties>>,
    /// The counterparties run in another process, to which their paths are passed on.
    sandbox_elsewhere: bool,
    /// The first half of request ids; the second counts.
    process: u64,
    requests: AtomicU64,
}

impl Routes {
    /// The routes of a running platform; `process` tells its requests from another's.
    pub fn new(
        running: &Running,
        counterparties: Option<Arc<Counterparties>>,
        sandbox_elsewhere: bool,
        (key, process): (Option<PeerKey>, u64),
    ) -> Self {
        Self {
            platform: running.platform.clone(),
            public: running.public.clone(),
            internal: running.internal.clone(),
            key,
            sandbox_elsewhere: sandbox_elsewhere && counterparties.is_none(),
            counterparties,
            process,
            requests: AtomicU64::new(0),
        }
    }
    /// Answers one request.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<HttpBody>, Infallible> {
        let path = request.uri().path();
        let mut response = if let Some(rest) = path.strip_prefix("/internal/") {
            match self.asked_by_a_service(rest, request.headers()) {
                Ok(router) => router.oneshot(request).await?,
                Err(refusal) => runtime::refused(&refusal),
            }
        } else if is_own(path) && !(self.sandbox_elsewhere && path.starts_with("/sandbox/")) {
            let (parts, body) = request.into_parts();
            self.own(&parts, body).await.unwrap_or_else(|refusal| runtime::refused(&refusal))
        } else if !is_read(request.method())
            && let Err(refusal) = self.platform.admits()
        {
            runtime::refused(&refusal)
        } else {
            self.public.clone().oneshot(request).await?
        };
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{number:016x}", self.process);
        let id = HeaderValue::try_from(id).expect("hex digits are a header's value");
        response.headers_mut().insert(REQUEST_ID.clone(), id);
        Ok(response)
    }

    /// Where a service of another process may ask, if it is one. To others there is no such path. A
    /// service must not take that for its answer: to it, "no such thing" is a fact about a thing.
    fn asked_by_a_service(&self, rest: &str, headers: &HeaderMap) -> Result<Router, Refusal> {
        if !PeerKey::is_any_shown_by(headers) {
            return Err(Refusal::not_found("path"));
        }
        let misdirected = |why: &str| Refusal::new(Code::Misdirected, why);
        if !self.key.as_ref().is_some_and(|key| key.is_shown_by(headers)) {
            return Err(misdirected("this process has another peer key"));
        }
        let router = rest.split('/').next().and_then(|service| self.internal.get(service));
        router.cloned().ok_or_else(|| misdirected("this process does not run that service"))
    }

    async fn own(&self, parts: &Parts, body: Incoming) -> Result<Response<HttpBody>, Refusal> {
        let get = is_read(&parts.method);
        let post = parts.method == Method::POST;
        match parts.uri.path() {
            "/health/live" if get => Ok(runtime::replied(&json!({ "status": "live" }))),
            "/metrics" if get => Ok(text(self.platform.metrics())),
            "/ping" if get => {
                self.platform.access().caller(&parts.headers)?;
                Ok(runtime::replied(&json!({})))
            }
            path if path.starts_with("/sandbox/") && (get || post) => {
                let Some(counterparties) = &self.counterparties else {
                    return Err(Refusal::not_found("path (the sandbox is not running)"));
                };
                self.operator(parts)?;
                let bytes = if post { whole(body).await? } else { Vec::new() };
                let value = sandbox(counterparties, path, post, &bytes).await?;
                if post && path == OF_THE_SANDBOX[1] {
                    self.platform.share_clock().await?;
                }
                Ok(runtime::replied(&value))
            }
            _ => Err(Refusal::new(Code::MethodNotAllowed, "this path has other methods")),
        }
    }

    fn operator(&self, parts: &Parts) -> Result<(), Refusal> {
        if self.platform.access().caller(&parts.headers)?.operator {
            Ok(())
        } else {
            Err(Refusal::new(Code::Forbidden, "this needs an operator's key"))
        }
    }
}

/// Whether a request changes nothing, by its method.
fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether a path belongs to the process; everything else is the services'.
fn is_own(path: &str) -> bool {
    match path.as_bytes().get(1) {
        Some(b'h') => path == "/health/live",
        Some(b'm') => path == "/metrics",
        Some(b'p') => path == "/ping",
        Some(b's') => OF_THE_SANDBOX.contains(&path),
        _ => false,
    }
}

async fn sandbox(
    counterparties: &Counterparties,
    path: &str,
    post: bool,
    body: &[u8],
) -> Result<Value, Refusal> {
    match (path, post) {
        ("/sandbox/clock", false) => Ok(counterparties.clock()),
        ("/sandbox/clock/advance", true) => counterparties.advance(body),
        ("/sandbox/faults", false) => Ok(counterparties.faults()),
        ("/sandbox/faults", true) => counterparties.fault(body),
        ("/sandbox/books", false) => counterparties.books().await,
        _ => Err(Refusal::new(Code::MethodNotAllowed, "this path has other methods")),
    }
}

async fn whole(body: Incoming) -> Result<Vec<u8>, Refusal> {
    match Limited::new(body, BODY_BYTES_MOST).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::new(Code::TooLarge, "a body has at most 65536 bytes"))
        }
        Err(_) => Err(Refusal::new(Code::MalformedRequest, "the body could not be read")),
    }
}

fn text(body: String) -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::from(body));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn the_services_keep_their_paths() {
        for own in ["/health/live", "/metrics", "/ping", "/sandbox/books"] {
            assert!(is_own(own), "{own}");
        }
        for theirs in ["/", "/accounts", "/sandbox/fund", "/operations/keys", "/health/ready", ""] {
            assert!(!is_own(theirs), "{theirs}");
        }
    }
}
