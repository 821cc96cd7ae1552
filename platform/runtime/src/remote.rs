//! A service in another process: its synchronous endpoints over HTTP, kept alive, never redirected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Response, Uri, header, request::Parts, uri::PathAndQuery},
    routing::any,
};
use contracts::{Code, Refusal};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::http::{BODY_BYTES_MOST, refused};

/// How long a connection may take.
const CONNECT_MOST: Duration = Duration::from_millis(500);
/// Idle connections are closed before the listener at the other end does it.
const IDLE: Duration = Duration::from_secs(5);
/// The whole time until the head of an answer of the public API; its caller may have asked to wait.
pub(crate) const PUBLIC_BUDGET: Duration = Duration::from_secs(20);
/// How long one of several processes has to tell of itself.
const EACH_MOST: Duration = Duration::from_millis(500);
/// The most bytes of what it tells.
const ANSWER_BYTES_MOST: usize = 4 * 1024 * 1024;
/// Headers of one connection (RFC 9110, 7.6.1), which are nobody's at the other end.
static OF_A_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// A service that runs in another process.
#[derive(Clone, Debug)]
pub struct Peer {
    pub service: &'static str,
    /// `http://HOST:PORT` of each process of it.
    pub urls: Vec<String>,
    /// The public paths that it answers, with names in braces.
    pub paths: Vec<String>,
    /// It is no service of the platform.
    pub outside: bool,
}

/// How a peer key is shown.
const SCHEME: &str = "Bearer ";

/// The credential that services show each other.
#[derive(Clone)]
pub struct PeerKey(HeaderValue);

impl std::fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerKey")
    }
}

impl PeerKey {
    /// A key of at least 16 visible characters.
    pub fn new(key: &str) -> Option<Self> {
        let long = key.len() >= 16 && key.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value = HeaderValue::try_from(format!("{SCHEME}{key}")).ok().filter(|_| long)?;
        value.set_sensitive(true);
        Some(Self(value))
    }
    /// Whether a request shows a peer key, this one or another.
    pub fn is_any_shown_by(headers: &axum::http::HeaderMap) -> bool {
        shown(headers).starts_with(SCHEME.as_bytes())
    }
    /// Whether a request shows this key; in a time that does not depend on where it differs.
    pub fn is_shown_by(&self, headers: &axum::http::HeaderMap) -> bool {
        let (shown, known) = (shown(headers), self.0.as_bytes());
        let differs = shown.iter().zip(known).fold(0, |all, (one, other)| all | (one ^ other));
        shown.len() == known.len() && differs == 0
    }
}

fn shown(headers: &axum::http::HeaderMap) -> &[u8] {
    headers.get(header::AUTHORIZATION).map_or(&[], HeaderValue::as_bytes)
}

/// The connections to one peer. Its processes are asked in turn; one that cannot be reached was sent
/// nothing, so that the next one may be asked in its place.
pub(crate) struct Remote {
    service: &'static str,
    bases: Vec<Uri>,
    turn: AtomicUsize,
    key: Option<PeerKey>,
    client: Client<HttpConnector, Body>,
}

impl Remote {
    /// `None` where a URL is none of `http://HOST:PORT`.
    pub fn new(peer: &Peer, key: Option<PeerKey>) -> Option<Self> {
        let base = |url: &String| {
            let base: Uri = url.parse().ok()?;
            let good = base.scheme_str() == Some("http") && base.authority().is_some();
            good.then_some(base)
        };
        let bases = peer.urls.iter().map(base).collect::<Option<Vec<Uri>>>()?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_MOST));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Some(Self { service: peer.service, bases, turn: AtomicUsize::new(0), key, client })
    }
    /// An internal question, with the credential.
    pub async fn ask(&self, request: Request) -> Result<Response<Body>, Refusal> {
        self.send(self.with_key(request)).await
    }
    /// The same question to each of its processes: the bodies of those that answered.
    pub async fn ask_each(&self, path: &str) -> Vec<Vec<u8>> {
        let mut told = Vec::new();
        for base in &self.bases {
            let Ok(request) = Request::builder().uri(path).body(Body::empty()) else { continue };
            let (head, _) = self.with_key(request).into_parts();
            let nothing = Bytes::new();
            let asked = tokio::time::timeout(EACH_MOST, self.once(base, &head, &nothing));
            if let Ok(Ok(response)) = asked.await
                && response.status().is_success()
                && let Ok(body) = to_bytes(response.into_body(), ANSWER_BYTES_MOST).await
            {
                told.push(body.to_vec());
            }
        }
        told
    }
    fn with_key(&self, mut request: Request) -> Request {
        if let Some(key) = &self.key {
            request.headers_mut().insert(header::AUTHORIZATION, key.0.clone());
        }
        request
    }
    /// Someone else's request as it came, `Host` included, by which a page knows its own forms; whoever
    /// answers judges its credentials.
    pub async fn pass_on(&self, request: Request) -> Result<Response<Body>, Refusal> {
        let answer = tokio::time::timeout(PUBLIC_BUDGET, self.send(request)).await;
        answer.unwrap_or_else(|_| Err(self.silent("did not answer in time")))
    }
    async fn forward(&self, mut request: Request) -> Response<Body> {
        for name in &OF_A_CONNECTION {
            request.headers_mut().remove(name);
        }
        match self.pass_on(request).await {
            Ok(mut response) => {
                for name in &OF_A_CONNECTION {
                    response.headers_mut().remove(name);
                }
                response
            }
            Err(refusal) => refused(&refusal),
        }
    }
    async fn send(&self, request: Request) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_BYTES_MOST)
            .await
            .map_err(|_| Refusal::new(Code::TooLarge, "a body has at most 65536 bytes"))?;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for number in 0..self.bases.len() {
            let base = &self.bases[first.wrapping_add(number) % self.bases.len()];
            match self.once(base, &head, &body).await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() => {}
                Err(_) => {
                    return Err(self.silent("broke off; a repeat with the same key is safe"));
                }
            }
        }
        Err(self.silent("cannot be reached"))
    }
    async fn once(
        &self,
        base: &Uri,
        head: &Parts,
        body: &Bytes,
    ) -> Result<Response<Body>, hyper_util::client::legacy::Error> {
        let mut to = base.clone().into_parts();
        let path = head.uri.path_and_query().cloned();
        to.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let mut request = Request::new(Body::from(body.clone()));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = Uri::from_parts(to).expect("a base and a path are a URI");
        *request.headers_mut() = head.headers.clone();
        self.client.request(request).await.map(|response| response.map(Body::new))
    }
    fn silent(&self, what: &str) -> Refusal {
        Refusal::new(Code::Unavailable, format!("{} {what}", self.service)).retry_after(1)
    }
}

/// Adds the public paths of a peer: they are passed on.
pub(crate) fn mount(router: Router, peer: &Peer, remote: &Arc<Remote>) -> Router {
    peer.paths.iter().fold(router, |router, path| {
        let remote = Arc::clone(remote);
        let pass_on = move |request: Request| {
            let remote = Arc::clone(&remote);
            async move { remote.forward(request).await }
        };
        router.route(path, any(pass_on))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn a_key_is_shown_whole_or_not() {
        let key = PeerKey::new("0123456789abcdef").unwrap();
        let shows = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            key.is_shown_by(&headers)
        };
        assert!(shows(Some("Bearer 0123456789abcdef")));
        for other in ["Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "", "Bearer "] {
            assert!(!shows(Some(other)), "{other}");
        }
        assert!(!shows(None));
        assert!(PeerKey::new("short").is_none() && PeerKey::new("sixteen letters with").is_none());
        assert!(!format!("{key:?}").contains("0123"));
    }
}
