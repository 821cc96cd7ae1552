//! Endpoints as HTTP: from a request to a typed question, from a typed answer to a response.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::{Body as HttpBody, Bytes, to_bytes},
    extract::{FromRequestParts, Path, Query, RawPathParams, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
    routing::{MethodFilter, on},
};
use contracts::{Access as Who, Body, Code, Endpoint, Method, Refusal, Timestamp};
use serde::Serialize;

use crate::{access::Caller, platform::Platform};

/// The most bytes a request body may have.
pub const BODY_BYTES_MOST: usize = 64 * 1024;

/// Answers one endpoint: load, decide, save, reply.
pub trait Answer<E: Endpoint>: Send + Sync + 'static {
    /// Answers, or refuses and has changed nothing.
    fn answer(&self, ask: Ask<E>) -> impl Future<Output = Result<Answered<E>, Refusal>> + Send;
}

/// A question, parsed and checked, from a caller that may ask it.
pub struct Ask<E: Endpoint> {
    pub path: E::Path,
    pub query: E::Query,
    pub body: E::Body,
    pub caller: Caller,
    pub headers: HeaderMap,
    pub platform: Platform,
    /// Machine time at which the request was read.
    pub received: Timestamp,
    /// W3C trace id and parent id, where the caller sent a `traceparent`.
    pub trace: Option<[u8; 24]>,
    /// The body as it came, for a fingerprint.
    pub raw: Bytes,
}

impl<E: Endpoint> Ask<E> {
    /// A header's text; `None` where it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer with its status.
pub struct Answered<E: Endpoint> {
    status: u16,
    kind: &'static str,
    body: HttpBody,
    endpoint: PhantomData<fn() -> E>,
}

impl<E: Endpoint> Answered<E> {
    /// 200 with the endpoint's reply.
    pub fn ok(reply: &E::Reply) -> Self {
        Self::json(200, reply)
    }
    /// 204, where there is nothing to say.
    pub fn nothing() -> Self {
        Self { status: 204, kind: "", body: HttpBody::empty(), endpoint: PhantomData }
    }
    /// Another status or another body than the endpoint's usual one.
    pub fn json<T: Serialize>(status: u16, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("replies are plain data");
        let (kind, body) = ("application/json", HttpBody::from(body));
        Self { status, kind, body, endpoint: PhantomData }
    }
    /// 200 with server-sent events: what [`crate::event_stream`] made.
    pub fn events(body: HttpBody) -> Self {
        Self { status: 200, kind: "text/event-stream", body, endpoint: PhantomData }
    }
}

type Call =
    Arc<dyn Fn(Platform, Request) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// One route with what it does.
#[derive(Clone)]
pub(crate) struct Route {
    pub service: &'static str,
    pub method: Method,
    pub path: &'static str,
    pub access: Who,
    call: Call,
}

impl Route {
    pub fn new<S, E: Endpoint>(service: &'static str, state: Arc<S>) -> Self
    where
        S: Answer<E>,
    {
        assert_eq!(E::SERVICE, service, "{} is another service's endpoint", E::NAME);
        let call: Call = Arc::new(move |platform, request| {
            let state = Arc::clone(&state);
            Box::pin(async move { serve::<S, E>(&state, platform, request).await })
        });
        let (method, path, access) = (E::METHOD, E::PATH, E::ACCESS);
        Self { service, method, path, access, call }
    }
    fn filter(&self) -> MethodFilter {
        match self.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        }
    }
}

/// The router of these routes.
pub(crate) fn router(routes: &[Route], platform: &Platform) -> Router {
    let mut router = Router::new();
    for route in routes {
        let (call, platform) = (Arc::clone(&route.call), platform.clone());
        let handler = move |request: Request| {
            let (call, platform) = (Arc::clone(&call), platform.clone());
            async move { call(platform, request).await }
        };
        router = router.route(route.path, on(route.filter(), handler));
    }
    router.fallback(|| async { refused(&Refusal::not_found("path")) }).method_not_allowed_fallback(
        || async { refused(&Refusal::new(Code::MethodNotAllowed, "this path has other methods")) },
    )
}

async fn serve<S: Answer<E>, E: Endpoint>(
    state: &S,
    platform: Platform,
    request: Request,
) -> Response {
    match ask::<E>(platform, request).await {
        Err(refusal) => refused(&refusal),
        Ok(ask) => match state.answer(ask).await {
            Ok(answered) => respond(answered.status, answered.kind, answered.body),
            Err(refusal) => refused(&refusal),
        },
    }
}

async fn ask<E: Endpoint>(platform: Platform, request: Request) -> Result<Ask<E>, Refusal> {
    let received = platform.clock().machine();
    if E::METHOD != Method::Get && E::ACCESS != Who::Internal {
        platform.admit().await?;
    }
    let (mut parts, body) = request.into_parts();
    let caller = authorize::<E>(&platform, &mut parts).await?;
    let path = Path::<E::Path>::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Refusal::not_found("path"))?
        .0;
    let query = Query::<E::Query>::from_request_parts(&mut parts, &())
        .await
        .map_err(|error| Refusal::field("query", error.body_text()))?
        .0;
    let raw = read(body).await?;
    let body = E::Body::parse(&raw)?;
    let headers = parts.headers;
    let trace = headers.get("traceparent").and_then(traceparent);
    Ok(Ask { path, query, body, caller, headers, platform, received, trace, raw })
}

async fn authorize<E: Endpoint>(platform: &Platform, parts: &mut Parts) -> Result<Caller, Refusal> {
    let needs = match E::ACCESS {
        Who::Open => return Ok(Caller::nobody()),
        Who::Internal => return Ok(Caller::service()),
        needs => needs,
    };
    match permitted(platform, parts, needs).await {
        // What another process made a moment ago may not be known here yet.
        Err(refusal) if matches!(refusal.code, Code::Unauthenticated | Code::NotFound) => {
            platform.catch_up().await;
            permitted(platform, parts, needs).await
        }
        permitted => permitted,
    }
}

async fn permitted(platform: &Platform, parts: &mut Parts, needs: Who) -> Result<Caller, Refusal> {
    let caller = platform.access().caller(&parts.headers)?;
    match needs {
        Who::Operator if !caller.operator => {
            Err(Refusal::new(Code::Forbidden, "this needs an operator's key"))
        }
        Who::Account(scope) => {
            let names = RawPathParams::from_request_parts(parts, &()).await.ok();
            let account = names
                .as_ref()
                .and_then(|names| names.iter().find(|(name, _)| *name == "accountID"))
                .and_then(|(_, id)| id.parse().ok())
                .ok_or_else(|| Refusal::not_found("account"))?;
            platform.access().allows(&caller, account, scope)?;
            Ok(caller)
        }
        _ => Ok(caller),
    }
}

async fn read(body: HttpBody) -> Result<Bytes, Refusal> {
    to_bytes(body, BODY_BYTES_MOST).await.map_err(|error| {
        let text = error.to_string();
        if text.contains("limit") {
            Refusal::new(Code::TooLarge, "a body has at most 65536 bytes")
        } else {
            Refusal::new(Code::MalformedRequest, "the body could not be read")
        }
    })
}

/// `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context level 1): the two ids.
fn traceparent(value: &HeaderValue) -> Option<[u8; 24]> {
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || trace.len() != 32 || parent.len() != 16 {
        return None;
    }
    let mut ids = [0; 24];
    for (byte, pair) in
        ids.iter_mut().zip(trace.as_bytes().chunks(2).chain(parent.as_bytes().chunks(2)))
    {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(ids)
}

/// The response of a refusal: Moov's shapes where its SDKs read them, else `problem+json`.
pub fn refused(refusal: &Refusal) -> Response {
    let status = refusal.code.status();
    let (kind, body) = match status {
        _ if refusal.body.is_some() => ("application/json", refusal.body.as_deref().cloned()),
        422 => {
            let mut fields: serde_json::Map<_, _> =
                refusal.fields.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
            if fields.is_empty() {
                fields.insert("error".into(), refusal.detail.clone().into());
            }
            ("application/json", Some(serde_json::Value::Object(fields)))
        }
        400 | 409 => {
            let body = serde_json::json!({ "error": refusal.detail, "code": refusal.code.text() });
            ("application/json", Some(body))
        }
        _ => {
            let title = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
            let body = serde_json::json!({
                "type": format!("/docs#{}", refusal.code.text()), "title": title, "status": status,
                "detail": refusal.detail, "code": refusal.code.text(), "error": refusal.detail,
            });
            ("application/problem+json", Some(body))
        }
    };
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let mut response = respond(status, kind, HttpBody::from(body));
    if let Some(seconds) = refusal.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == 401 {
        let basic = HeaderValue::from_static("Basic realm=\"switchyard\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}

/// 200 with this body.
pub fn replied<T: Serialize>(body: &T) -> Response {
    let body = serde_json::to_vec(body).expect("replies are plain data");
    respond(200, "application/json", HttpBody::from(body))
}

fn respond(status: u16, kind: &'static str, body: HttpBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !kind.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}
