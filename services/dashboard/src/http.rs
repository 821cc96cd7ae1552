//! Requests of browsers: who is signed in, which page it is, and the headers of every answer.

mod ask;
mod create;
mod dead_letters;
mod frame;
mod home;
mod rails;
mod sign_in;
mod transfer;
mod transfers;

use std::sync::Arc;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use maud::Markup;
use runtime::{HttpBody, PageRequest, Platform};

use crate::{
    Dashboard, ROOT,
    domain::{Form, STYLE, Secret, Session, equal, unhex},
};

/// An answer to a browser.
pub(crate) type Page = Response<HttpBody>;

static CSS: &str = include_str!("http/style.css");
static SCRIPT: &str = include_str!("http/script.js");
static ICON: &str = include_str!("http/icon.svg");

/// Nothing but what this server sends: no inline script or style, no frame around it, forms to us.
static POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                       connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                       base-uri 'none'";

/// The session's cookie: over TLS under a name that no other host can set.
const COOKIE: &str = "switchyard";
const COOKIE_OVER_TLS: &str = "__Host-switchyard";

/// A request of somebody who is signed in.
pub(crate) struct Visit {
    pub platform: Platform,
    pub session: Session,
    pub query: Form,
    pub form: Form,
}

/// Why there is no page: it is shown instead.
#[derive(Debug)]
pub(crate) struct NoPage {
    pub status: u16,
    pub detail: String,
}

impl NoPage {
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
    fn not_found() -> Self {
        Self::new(404, "There is no such page.")
    }
}

impl From<contracts::Refusal> for NoPage {
    fn from(refusal: contracts::Refusal) -> Self {
        Self::new(refusal.code.status(), refusal.detail)
    }
}

/// Answers a browser.
pub(crate) async fn answer(dashboard: Arc<Dashboard>, request: PageRequest) -> Page {
    let mut page = page(&dashboard, request).await;
    let headers = page.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without this browsers would not say where a form comes from, and no form would be taken.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let caching = headers.entry(header::CACHE_CONTROL);
    caching.or_insert(HeaderValue::from_static("no-store"));
    page
}

async fn page(dashboard: &Arc<Dashboard>, request: PageRequest) -> Page {
    let path = request.path.strip_prefix(ROOT).unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    match parts.as_slice() {
        ["style.css"] if is_read => return asset("text/css; charset=utf-8", &[CSS, STYLE]),
        ["script.js"] if is_read => return asset("text/javascript; charset=utf-8", &[SCRIPT]),
        ["icon.svg"] if is_read => return asset("image/svg+xml", &[ICON]),
        _ => {}
    }
    if !is_read && (request.method != Method::POST || !is_from_here(&request.headers)) {
        let no_page = NoPage::new(403, "This form does not come from this site: open it here.");
        return frame::refused(None, &no_page);
    }
    if parts == ["sign-in"] {
        return match is_read {
            true => sign_in::show(None, ""),
            false => sign_in::begin(dashboard, &request),
        };
    }
    let Some((secret, session)) = signed_in(dashboard, &request) else {
        return see("/sign-in");
    };
    let form = Form::parse(&request.body);
    if !is_read && !unhex(form.text("token")).is_some_and(|token| equal(&token, &session.token)) {
        let no_page = NoPage::new(403, "This form is too old: go back, reload it, send it again.");
        return frame::refused(Some(&session), &no_page);
    }
    if parts == ["sign-out"] && !is_read {
        return sign_in::end(dashboard, &secret);
    }
    let query = Form::parse(request.query.as_bytes());
    let visit = Visit { platform: request.platform, session, query, form };
    let answered = if is_read {
        shown(dashboard, &visit, &parts).await
    } else {
        done(dashboard, &visit, &parts).await
    };
    match answered {
        Ok(page) => page,
        // The key was revoked meanwhile: the session is worth nothing.
        Err(no_page) if no_page.status == 401 => sign_in::end(dashboard, &secret),
        Err(no_page) => frame::refused(Some(&visit.session), &no_page),
    }
}

/// What a reader asks for.
async fn shown(dashboard: &Arc<Dashboard>, visit: &Visit, parts: &[&str]) -> Result<Page, NoPage> {
    match parts {
        [] if !visit.session.operator => Ok(see("/transfers")),
        [] => home::show(visit).await,
        ["transfers"] => transfers::show(visit).await,
        ["transfers", "new"] => create::show(dashboard, visit).await,
        ["transfers", id] => transfer::show(visit, id).await,
        ["transfers", id, "live"] => transfer::live(visit, id).await,
        ["rails"] => rails::show(visit).await,
        ["dead-letters"] => dead_letters::list(visit).await,
        ["dead-letters", id] => dead_letters::show(visit, id, None).await,
        _ => Err(NoPage::not_found()),
    }
}

/// What a form asks for.
async fn done(dashboard: &Arc<Dashboard>, visit: &Visit, parts: &[&str]) -> Result<Page, NoPage> {
    match parts {
        ["transfers", "new"] => create::create(dashboard, visit).await,
        ["dead-letters", id, "replay"] => dead_letters::replay(visit, id).await,
        ["dead-letters", id, "drop"] => dead_letters::drop(visit, id).await,
        _ => Err(NoPage::not_found()),
    }
}

impl Dashboard {
    /// 128 fresh random bits.
    fn secret(&self) -> Secret {
        let mut secret = Secret::default();
        self.secrets.lock().secret(&mut secret);
        secret
    }
}

/// Whether a form was sent by a page of this host: browsers say so with every form.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let (origin, host) = (text(header::ORIGIN), text(header::HOST));
    let authority = origin.and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    let same = matches!((authority, host), (Some(one), Some(other))
        if one.eq_ignore_ascii_case(other));
    same && site.is_none_or(|site| site == "same-origin")
}

/// Whether the browser reached us over TLS, which a proxy in front says.
fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

/// The session that the cookie names. What a page asks for by itself does not prolong it.
fn signed_in(dashboard: &Dashboard, request: &PageRequest) -> Option<(Secret, Session)> {
    let name = if is_over_tls(&request.headers) { COOKIE_OVER_TLS } else { COOKIE };
    let cookies = request.headers.get_all(header::COOKIE).iter().filter_map(|c| c.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|c| c.split_once('='));
    let secret = pairs
        .filter(|(found, _)| found.trim() == name)
        .find_map(|(_, value)| unhex(value.trim()))?;
    let by_itself = request.headers.contains_key("x-refresh") || request.path.ends_with("/live");
    let now = request.platform.monotonic().micros();
    let mut sessions = dashboard.sessions.lock();
    let session = match by_itself {
        true => sessions.peek(&secret, now),
        false => sessions.touch(&secret, now),
    };
    Some((secret, session?))
}

fn asset(kind: &'static str, parts: &[&str]) -> Page {
    let mut page = Response::new(HttpBody::from(parts.concat()));
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    page
}

/// A page with its status.
fn html(status: u16, markup: Markup) -> Page {
    let mut page = Response::new(HttpBody::from(markup.into_string()));
    *page.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    page.headers_mut().insert(header::CONTENT_TYPE, kind);
    page
}

/// Sends the browser to another page of ours, by GET.
fn see(below: &str) -> Page {
    let mut page = Response::new(HttpBody::empty());
    *page.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::try_from(format!("{ROOT}{below}"));
    let to = to.unwrap_or(HeaderValue::from_static(ROOT));
    page.headers_mut().insert(header::LOCATION, to);
    page
}
