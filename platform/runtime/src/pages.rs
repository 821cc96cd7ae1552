//! Pages for a browser: whatever is below one path goes to one handler, headers and all.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::{Body as HttpBody, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, Response},
    routing::any,
};
use contracts::{Code, Refusal};

use crate::{
    http::{BODY_BYTES_MOST, refused},
    platform::Platform,
};

/// A browser's request, its body read.
pub struct PageRequest {
    pub method: Method,
    /// Path from the root, as it was sent.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub platform: Platform,
}

type Call = Arc<
    dyn Fn(PageRequest) -> Pin<Box<dyn Future<Output = Response<HttpBody>> + Send>> + Send + Sync,
>;

/// A path and what is below it.
#[derive(Clone)]
pub(crate) struct Pages {
    below: &'static str,
    call: Call,
}

impl Pages {
    pub fn new<S, F, Fut>(below: &'static str, state: Arc<S>, answer: F) -> Self
    where
        S: Send + Sync + 'static,
        F: Fn(Arc<S>, PageRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<HttpBody>> + Send + 'static,
    {
        let call: Call = Arc::new(move |request| Box::pin(answer(Arc::clone(&state), request)));
        Self { below, call }
    }
    /// The path, and what is below it.
    pub fn paths(&self) -> [String; 2] {
        [self.below.to_owned(), format!("{}/{{*rest}}", self.below)]
    }
    /// Adds the pages to a router.
    pub fn mount(&self, router: Router, platform: &Platform) -> Router {
        let (call, platform) = (Arc::clone(&self.call), platform.clone());
        let handler = move |request: Request| {
            let (call, platform) = (Arc::clone(&call), platform.clone());
            async move {
                match read(request, platform).await {
                    Ok(request) => call(request).await,
                    Err(refusal) => refused(&refusal),
                }
            }
        };
        let [below, rest] = self.paths();
        router.route(&below, any(handler.clone())).route(&rest, any(handler))
    }
}

async fn read(request: Request, platform: Platform) -> Result<PageRequest, Refusal> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MOST)
        .await
        .map_err(|_| Refusal::new(Code::TooLarge, "a form has at most 65536 bytes"))?;
    Ok(PageRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        platform,
    })
}
