//! Signing in with an API key, and out.

use ::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::html;
use runtime::PageRequest;

use super::{COOKIE, COOKIE_OVER_TLS, Page, frame, see};
use crate::{
    Dashboard,
    domain::{Form, Secret, Session, hex},
};

/// The form, with what was wrong.
pub fn show(wrong: Option<&str>, public: &str) -> Page {
    let body = html! {
        div class="narrow" {
            p class="brand" { "switchyard" }
            h1 { "Sign in" }
            p { "With an API key of this platform. The first one is in " code { "credentials.json" }
                " of its data directory." }
            @if let Some(wrong) = wrong { p class="wrong" role="alert" { (wrong) } }
            form method="post" action="/dashboard/sign-in" {
                label for="public" { "Public key" }
                input id="public" name="public" value=(public) autocomplete="username" required
                    spellcheck="false";
                label for="secret" { "Secret key" }
                input id="secret" name="secret" type="password" autocomplete="current-password"
                    required;
                button type="submit" { "Sign in" }
            }
        }
    };
    let status = if wrong.is_some() { 401 } else { 200 };
    super::html(status, frame::page(None, "Sign in", &body))
}

/// Begins a session where the key is good.
pub fn begin(dashboard: &Dashboard, request: &PageRequest) -> Page {
    let form = Form::parse(&request.body);
    let (public, secret) = (form.text("public").trim(), form.text("secret").trim());
    let authorization = format!("Basic {}", STANDARD.encode(format!("{public}:{secret}")));
    let known = HeaderValue::try_from(authorization.as_str()).ok().and_then(|value| {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let access = request.platform.access();
        let caller = access.caller(&headers).ok()?;
        let account = caller.account?;
        let name = access.account(account).map(|known| known.display_name.clone());
        Some((account, name.unwrap_or_default(), caller.operator))
    });
    // One sentence for every reason: it tells nobody which half was right.
    let Some(who) = known else { return show(Some("No key has these two halves."), public) };
    let now = request.platform.monotonic().micros();
    let session = Session::new(authorization, who, dashboard.secret(), now);
    let secret = dashboard.secret();
    dashboard.sessions.lock().begin(secret, session);
    let cookie = match super::is_over_tls(&request.headers) {
        true => {
            format!("{COOKIE_OVER_TLS}={}; Path=/; Secure; HttpOnly; SameSite=Strict", hex(&secret))
        }
        false => format!("{COOKIE}={}; Path=/dashboard; HttpOnly; SameSite=Strict", hex(&secret)),
    };
    let mut page = see("");
    let cookie = HeaderValue::try_from(cookie).expect("hex digits and names are a header's value");
    page.headers_mut().insert(header::SET_COOKIE, cookie);
    page
}

/// Ends a session; its cookie names nothing any more.
pub fn end(dashboard: &Dashboard, secret: &Secret) -> Page {
    dashboard.sessions.lock().end(secret);
    see("/sign-in")
}
