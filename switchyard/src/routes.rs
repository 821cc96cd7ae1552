//! What the listener answers: the services' public API, and around it what belongs to the process:
//! health, metrics, topology, the sandbox's controls. Every answer carries an `X-Request-Id`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use contracts::{Code, Refusal, Timestamp};
use http::{HeaderName, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use runtime::{HttpBody, Platform, Router};
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::counterparties::Counterparties;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most bytes of a body that is for the process itself.
const BODY_BYTES_MOST: usize = 64 * 1024;
/// A consumer is behind once an event has waited for it so long.
const BEHIND_SECONDS: f64 = 10.0;

/// Everything that is answered on the public listener.
pub struct Routes {
    platform: Platform,
    public: Router,
    counterparties: Option<Arc<Counterparties>>,
    /// The state of each part, and since when.
    since: Mutex<BTreeMap<String, (String, Timestamp)>>,
    /// The first half of request ids; the second counts.
    process: u64,
    requests: AtomicU64,
}

/// One part of `/health/ready`.
#[derive(Serialize)]
struct Part {
    name: String,
    state: String,
    since: Timestamp,
}

impl Routes {
    /// The routes of a running platform; `process` tells its requests from another's.
    pub fn new(
        platform: Platform,
        public: Router,
        counterparties: Option<Arc<Counterparties>>,
        process: u64,
    ) -> Self {
        let since = Mutex::default();
        Self { platform, public, counterparties, since, process, requests: AtomicU64::new(0) }
    }
    /// Answers one request.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<HttpBody>, Infallible> {
        let mut response = if is_own(request.uri().path()) {
            let (parts, body) = request.into_parts();
            self.own(&parts, body).await.unwrap_or_else(|refusal| runtime::refused(&refusal))
        } else {
            self.public.clone().oneshot(request).await?
        };
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{number:016x}", self.process);
        let id = HeaderValue::try_from(id).expect("hex digits are a header's value");
        response.headers_mut().insert(REQUEST_ID.clone(), id);
        Ok(response)
    }

    async fn own(&self, parts: &Parts, body: Incoming) -> Result<Response<HttpBody>, Refusal> {
        let get = parts.method == Method::GET || parts.method == Method::HEAD;
        let post = parts.method == Method::POST;
        match parts.uri.path() {
            "/health/live" if get => Ok(runtime::replied(&json!({ "status": "live" }))),
            "/health/ready" if get => Ok(self.ready().await),
            "/metrics" if get => Ok(text(self.platform.metrics())),
            "/ping" if get => {
                self.platform.access().caller(&parts.headers)?;
                Ok(runtime::replied(&json!({})))
            }
            "/operations/topology" if get => {
                self.operator(parts)?;
                Ok(runtime::replied(&self.platform.topology()))
            }
            path if path.starts_with("/sandbox/") && (get || post) => {
                let Some(counterparties) = &self.counterparties else {
                    return Err(Refusal::not_found("path (the sandbox is not running)"));
                };
                self.operator(parts)?;
                let bytes = if post { whole(body).await? } else { Vec::new() };
                let value = sandbox(counterparties, path, post, &bytes).await?;
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

    /// 200 where every part is `ok`, else 503; each part with its state and since when.
    async fn ready(&self) -> Response<HttpBody> {
        let states = self.states().await;
        let now = self.platform.clock().machine();
        let mut since = self.since.lock().expect("nothing panics while it is held");
        let parts: Vec<Part> = states
            .into_iter()
            .map(|(name, state)| {
                let known = since.entry(name.clone()).or_insert_with(|| (state.clone(), now));
                if known.0 != state {
                    *known = (state.clone(), now);
                }
                Part { name, state, since: known.1 }
            })
            .collect();
        drop(since);
        let ready = parts.iter().all(|part| part.state == "ok");
        let status = if ready { "ready" } else { "not-ready" };
        let mut response = runtime::replied(&json!({ "status": status, "parts": parts }));
        if !ready {
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }

    async fn states(&self) -> Vec<(String, String)> {
        let store = match self.platform.read(|_| Ok(())).await {
            Ok(()) => "ok".to_owned(),
            Err(refusal) => refusal.detail,
        };
        let process =
            if self.platform.is_stopping() { "stopping".to_owned() } else { "ok".to_owned() };
        let writer = if self.platform.is_writing() { "ok" } else { "ended: restart the process" };
        let mut states = vec![("process".to_owned(), process), ("store".to_owned(), store)];
        states.push(("writer".to_owned(), writer.to_owned()));
        for (consumer, seconds) in ages(&self.platform.metrics()) {
            let state = if seconds < BEHIND_SECONDS {
                "ok".to_owned()
            } else {
                "behind: its oldest event waits too long".to_owned()
            };
            states.push((format!("consumer {consumer}"), state));
        }
        states
    }
}

/// Whether a path belongs to the process; everything else is the services'.
fn is_own(path: &str) -> bool {
    match path.as_bytes().get(1) {
        Some(b'h') => path.starts_with("/health/"),
        Some(b'm') => path == "/metrics",
        Some(b'o') => path == "/operations/topology",
        Some(b'p') => path == "/ping",
        Some(b's') => matches!(
            path,
            "/sandbox/clock" | "/sandbox/clock/advance" | "/sandbox/faults" | "/sandbox/books"
        ),
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

/// How old the oldest event is that each consumer has not applied, from the metrics' text.
fn ages(metrics: &str) -> Vec<(String, f64)> {
    const NAME: &str = "switchyard_unconsumed_age_seconds{consumer=\"";
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(NAME));
    let pairs = lines.filter_map(|line| {
        let (consumer, value) = line.split_once("\"} ")?;
        Some((consumer.to_owned(), value.parse().ok()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::{ages, is_own};

    #[test]
    fn the_services_keep_their_paths() {
        for own in ["/health/ready", "/metrics", "/ping", "/sandbox/books", "/operations/topology"]
        {
            assert!(is_own(own), "{own}");
        }
        for theirs in ["/", "/accounts", "/sandbox/fund", "/operations/keys", "/healthy", ""] {
            assert!(!is_own(theirs), "{theirs}");
        }
    }

    #[test]
    fn ages_are_read_from_the_metrics() {
        let text = "# TYPE switchyard_unconsumed_age_seconds gauge\n\
            switchyard_unconsumed_age_seconds{consumer=\"ledger\"} 0.250000\nother 1\n";
        assert_eq!(ages(text), [("ledger".to_owned(), 0.25)]);
    }
}
