//! Synchronous questions to other services: deadline, one retry of what changes nothing, circuit
//! breaker, recording.
//!
//! In one process the request goes to the other service's handler as real request and response
//! bytes, without a socket; to another process it goes over HTTP.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, header},
};
use contracts::{Code, Endpoint, Method, Refusal};
use tower::ServiceExt;

use crate::{
    clock::Monotonic,
    http::BODY_BYTES_MOST,
    remote::{PUBLIC_BUDGET, Remote},
};

/// The whole time a question may take, its retry included.
const BUDGET: Duration = Duration::from_millis(1_000);
/// Failures in a row that open the circuit.
const FAILURES_MOST: u32 = 5;
/// How long an open circuit refuses before one question is let through.
const OPEN_MICROS: u64 = 1_000_000;

/// The most bytes of an answer that is read whole.
const ANSWER_BYTES_MOST: usize = 4 * 1024 * 1024;

/// A request of the public API that is made for a caller, with that caller's own credentials: the
/// other service judges them as if the caller had come itself.
pub struct OnBehalf {
    /// The endpoint's path with its names filled in, and its query.
    pub path: String,
    /// The caller's `Authorization`.
    pub authorization: HeaderValue,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A JSON body; none for a GET.
    pub body: Option<Vec<u8>>,
}

impl OnBehalf {
    fn request(self, method: Method) -> Result<Request<Body>, Refusal> {
        let mut request = Request::builder()
            .method(method.as_str())
            .uri(self.path)
            .header(header::AUTHORIZATION, self.authorization);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Body::from(self.body.unwrap_or_default());
        request.body(body).map_err(|_| Refusal::not_found("path"))
    }
}

/// A response with its whole body.
pub async fn whole(response: Response<Body>) -> Result<(u16, Vec<u8>), Refusal> {
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MOST)
        .await
        .map_err(|_| Refusal::new(Code::Unavailable, "an answer broke off"))?;
    Ok((status, body.to_vec()))
}

/// An answer and what it took.
pub struct Called<R> {
    pub reply: R,
    /// From sending to the last byte of the answer.
    pub micros: u64,
    /// Bytes of the answer's body.
    pub bytes: u64,
}

#[derive(Default)]
struct Circuit {
    failures: AtomicU32,
    open_until: AtomicU64,
}

/// Where a service is.
pub(crate) enum Place {
    /// In this process: its internal routes.
    Here(Router),
    /// In another one.
    There(Arc<Remote>),
}

impl Place {
    async fn ask(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        match self {
            Self::Here(router) => {
                Ok(router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
            Self::There(remote) => remote.ask(request).await,
        }
    }
}

/// How to reach each service.
pub(crate) struct Peers {
    places: BTreeMap<&'static str, Place>,
    public: Router,
    circuits: BTreeMap<&'static str, Circuit>,
    monotonic: Monotonic,
}

impl Peers {
    /// Where each service is, and the public routes of all.
    pub fn new(
        places: BTreeMap<&'static str, Place>,
        public: Router,
        monotonic: Monotonic,
    ) -> Self {
        let circuits = places.keys().map(|name| (*name, Circuit::default())).collect();
        Self { places, public, circuits, monotonic }
    }
    /// What each process of each service elsewhere tells at `/internal/{service}/{what}`.
    pub async fn ask_each(&self, what: &str) -> Vec<Vec<u8>> {
        let mut told = Vec::new();
        for (service, place) in &self.places {
            if let Place::There(remote) = place {
                told.extend(remote.ask_each(&format!("/internal/{service}/{what}")).await);
            }
        }
        told
    }
    /// Asks a public endpoint for a caller. It is never asked twice: a write may have happened.
    pub async fn ask_for<E: Endpoint>(&self, asked: OnBehalf) -> Result<Response<Body>, Refusal> {
        let request = asked.request(E::METHOD)?;
        let answer = self.public.clone().oneshot(request);
        match tokio::time::timeout(PUBLIC_BUDGET, answer).await {
            Ok(response) => Ok(response.unwrap_or_else(|never| match never {})),
            Err(_) => Err(unavailable(E::SERVICE, "did not answer in time")),
        }
    }
    /// Asks a public endpoint at the process of a service; `None` where that is this one.
    pub async fn pass_on<E: Endpoint>(
        &self,
        service: &str,
        asked: OnBehalf,
    ) -> Option<Result<Response<Body>, Refusal>> {
        let Some(Place::There(remote)) = self.places.get(service) else { return None };
        match asked.request(E::METHOD) {
            Ok(request) => Some(remote.pass_on(request).await),
            Err(refusal) => Some(Err(refusal)),
        }
    }
    /// Asks `GET path` of a service. A 4xx is its answer; a fault is tried once more in the budget.
    pub async fn get<E: Endpoint>(&self, path: &str) -> Result<Called<E::Reply>, Refusal> {
        called::<E>(self.fetch(E::SERVICE, path).await?)
    }
    /// Sends a body to a service. It is sent once: whether it may be repeated is for the caller to
    /// know. A 4xx keeps its meaning.
    pub async fn send<E: Endpoint>(&self, body: Vec<u8>) -> Result<Called<E::Reply>, Refusal> {
        let question = Question { method: E::METHOD, path: E::PATH, body };
        called::<E>(self.exchange(E::SERVICE, &question).await?)
    }
    /// The body of `GET path` of a service, and the microseconds it took.
    pub async fn fetch(
        &self,
        service: &'static str,
        path: &str,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        let question = Question { method: Method::Get, path, body: Vec::new() };
        self.exchange(service, &question).await
    }
    async fn exchange(
        &self,
        service: &'static str,
        question: &Question<'_>,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        let (Some(place), Some(circuit)) = (self.places.get(service), self.circuits.get(service))
        else {
            return Err(unavailable(service, "is not configured"));
        };
        let began = self.monotonic.micros();
        if began < circuit.open_until.load(Ordering::Relaxed) {
            return Err(unavailable(service, "failed repeatedly and is left alone for a second"));
        }
        let tries = async {
            let answer = ask(place, question).await;
            let failed = answer.as_ref().is_err_and(|refusal| refusal.code.status() >= 500);
            if failed && question.method == Method::Get {
                return ask(place, question).await;
            }
            answer
        };
        let answer = match tokio::time::timeout(BUDGET, tries).await {
            Ok(answer) => answer,
            Err(_) => Err(unavailable(service, "did not answer in time")),
        };
        let ended = self.monotonic.micros();
        let failed = answer.as_ref().is_err_and(|refusal| refusal.code.status() >= 500);
        if !failed {
            circuit.failures.store(0, Ordering::Relaxed);
        } else if circuit.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MOST {
            circuit.open_until.store(ended + OPEN_MICROS, Ordering::Relaxed);
        }
        answer.map(|body| (body, ended - began))
    }
}

fn unavailable(service: &str, what: &str) -> Refusal {
    Refusal::new(Code::Unavailable, format!("{service} {what}")).retry_after(1)
}

/// What is asked of a service.
struct Question<'a> {
    method: Method,
    path: &'a str,
    body: Vec<u8>,
}

fn called<E: Endpoint>((body, micros): (Vec<u8>, u64)) -> Result<Called<E::Reply>, Refusal> {
    let reply = serde_json::from_slice(&body)
        .map_err(|_| unavailable(E::SERVICE, "answered with what is no answer"))?;
    Ok(Called { reply, micros, bytes: body.len() as u64 })
}

async fn ask(place: &Place, question: &Question<'_>) -> Result<Vec<u8>, Refusal> {
    let mut request = Request::builder().method(question.method.as_str()).uri(question.path);
    if !question.body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request
        .body(Body::from(question.body.clone()))
        .map_err(|_| Refusal::new(Code::Internal, "no valid internal path"))?;
    let response = place.ask(request).await?;
    let status = response.status();
    let body = to_bytes(response.into_body(), 16 * BODY_BYTES_MOST)
        .await
        .map_err(|_| Refusal::new(Code::Unavailable, "an answer broke off"))?;
    match status {
        StatusCode::OK => Ok(body.to_vec()),
        StatusCode::MISDIRECTED_REQUEST => {
            let said = String::from_utf8_lossy(&body).into_owned();
            tracing::error!(path = question.path, said, "look at the peers and the peer key");
            Err(Refusal::new(Code::Unavailable, "an internal question reached the wrong process"))
        }
        status if question.method != Method::Get && status.is_client_error() => {
            Err(refused(status, &body))
        }
        StatusCode::NOT_FOUND => Err(Refusal::not_found("thing")),
        status if status.is_client_error() => {
            Err(Refusal::new(Code::Internal, "an internal question was refused"))
        }
        _ => Err(Refusal::new(Code::Unavailable, "an internal question failed")),
    }
}

/// The refusal of something sent: who sent it may have to tell a person why.
fn refused(status: StatusCode, body: &[u8]) -> Refusal {
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::CONFLICT => Code::Conflict,
        StatusCode::UNPROCESSABLE_ENTITY => Code::InvalidField,
        StatusCode::TOO_MANY_REQUESTS => Code::Busy,
        _ => Code::MalformedRequest,
    };
    let said: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(body).unwrap_or_default();
    let detail = match said.get("error").and_then(serde_json::Value::as_str) {
        Some(error) => error.to_owned(),
        None => {
            let rule = |(field, rule): (&String, &serde_json::Value)| {
                Some(format!("{field} {}", rule.as_str()?))
            };
            said.iter().filter_map(rule).collect::<Vec<_>>().join(", ")
        }
    };
    Refusal::new(code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_reached_a_wrong_process_says_nothing_of_a_thing() {
        for (method, status, code) in [
            (Method::Get, StatusCode::NOT_FOUND, Code::NotFound),
            (Method::Get, StatusCode::MISDIRECTED_REQUEST, Code::Unavailable),
            (Method::Post, StatusCode::MISDIRECTED_REQUEST, Code::Unavailable),
            (Method::Get, StatusCode::FORBIDDEN, Code::Internal),
            (Method::Post, StatusCode::CONFLICT, Code::Conflict),
            (Method::Get, StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        ] {
            let place = Place::Here(Router::new().fallback(move || async move { status }));
            let question = Question { method, path: "/internal/things", body: Vec::new() };
            assert_eq!(ask(&place, &question).await.unwrap_err().code, code, "{status}");
        }
    }
}
