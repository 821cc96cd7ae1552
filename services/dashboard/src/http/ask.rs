//! Questions to the public API and the operations API, with the visitor's own key.

use ::http::{HeaderName, HeaderValue, Response};
use contracts::{
    Code, Endpoint, Refusal,
    accounts::{Account, ListAccounts},
};
use runtime::{HttpBody, OnBehalf, whole};
use serde_json::Value;

use super::{NoPage, Visit};

/// Accounts that a form offers; more are reached by the API.
const ACCOUNTS_MOST: usize = 50;

/// What the API said to a write.
pub struct Said {
    pub status: u16,
    pub body: Value,
}

impl Said {
    /// Its own words, where it refused.
    pub fn words(&self) -> String {
        let said = self.body.get("detail").or_else(|| self.body.get("error"));
        said.and_then(Value::as_str).unwrap_or("The platform refused without a word.").to_owned()
    }
}

/// Where an endpoint is, with the names of its path filled in.
pub fn path<E: Endpoint>(names: &[(&str, &str)]) -> String {
    let fill = |path: String, (name, value): &(&str, &str)| path.replace(name, value);
    names.iter().fold(E::PATH.to_owned(), fill)
}

async fn send<E: Endpoint>(
    visit: &Visit,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<&Value>,
) -> Result<Response<HttpBody>, NoPage> {
    let authorization = HeaderValue::try_from(visit.session.authorization.as_str());
    let authorization = authorization.map_err(|_| NoPage::new(401, "no valid API key"))?;
    let body = body.map(|body| body.to_string().into_bytes());
    let asked = OnBehalf { path, authorization, headers, body };
    Ok(visit.platform.ask_for::<E>("dashboard", asked).await?)
}

/// The reply to a GET; whatever else came is the page's end.
pub async fn get<E: Endpoint>(visit: &Visit, path: String) -> Result<E::Reply, NoPage> {
    let (status, body) = whole(send::<E>(visit, path, Vec::new(), None).await?).await?;
    let unread = || Refusal::new(Code::Internal, "an answer has another shape");
    match serde_json::from_slice(&body) {
        // A process that is not ready says so in the body that is asked for.
        Ok(reply) if status == 200 || status == 503 => Ok(reply),
        _ => {
            let body = serde_json::from_slice(&body).map_err(|_| unread())?;
            Err(NoPage::new(status, Said { status, body }.words()))
        }
    }
}

/// What a write was answered.
pub async fn post<E: Endpoint>(
    visit: &Visit,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: &Value,
) -> Result<Said, NoPage> {
    let (status, body) = whole(send::<E>(visit, path, headers, Some(body)).await?).await?;
    if status == 401 {
        return Err(NoPage::new(401, "the key is no longer good"));
    }
    Ok(Said { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// A stream of events; refused where there is none.
pub async fn follow<E: Endpoint>(visit: &Visit, path: String) -> Result<HttpBody, NoPage> {
    let accept = HeaderValue::from_static("text/event-stream");
    let headers = vec![(::http::header::ACCEPT, accept)];
    let response = send::<E>(visit, path, headers, None).await?;
    match response.status().as_u16() {
        200 => Ok(response.into_body()),
        status => Err(NoPage::new(status, "There is nothing to follow.")),
    }
}

/// The visitor's own account and those connected to it.
pub async fn accounts(visit: &Visit) -> Result<Vec<Account>, NoPage> {
    let path = format!("{}?count={ACCOUNTS_MOST}", ListAccounts::PATH);
    get::<ListAccounts>(visit, path).await
}
