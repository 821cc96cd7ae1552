//! The clients: they ask for what is planned, repeat what was not answered, and remember what they were
//! told.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use runtime::{HttpBody, Router};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::plan::{Ask, Plan, Step};

/// The pause before a request is repeated that was refused for now.
const AGAIN: Duration = Duration::from_millis(200);
/// So often it is repeated.
const AGAIN_MOST: u32 = 1_000;

/// The machine's time in microseconds.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// An answer as a client saw it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

/// What all clients were told, in all lives.
#[derive(Default)]
pub struct Told {
    /// By transfer of the plan: the id that was answered first.
    pub ids: BTreeMap<usize, String>,
    /// By transfer: the last status that was seen.
    pub statuses: BTreeMap<usize, String>,
    /// What must not be.
    pub problems: Vec<String>,
    /// Everything, a line each.
    pub history: Vec<String>,
}

/// The process as clients see it, for one life.
pub struct Door {
    pub public: Router,
    pub authorization: String,
    /// The platform's account.
    pub account: String,
    /// By wallet of the plan: its payment method.
    pub methods: Vec<String>,
    /// The process is dead: whatever still comes out of it does not reach anybody.
    pub dead: Arc<AtomicBool>,
    /// Requests so far, and who is told of each.
    pub requests: AtomicU64,
    pub asked: Notify,
}

impl Door {
    /// One request; `None` where the process died before its answer.
    pub async fn ask(&self, request: Request<HttpBody>) -> Option<Answer> {
        self.requests.fetch_add(1, Relaxed);
        self.asked.notify_one();
        let response = self.public.clone().oneshot(request).await.ok()?;
        let status = response.status();
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        if self.dead.load(Relaxed) {
            // Nothing comes any more: the task ends with its runtime.
            std::future::pending::<()>().await;
        }
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Some(Answer { status, body })
    }
    /// A request with the key.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
    }
    /// The body of a GET that must be answered.
    pub async fn get(&self, path: &str) -> Option<Answer> {
        let request = self.request("GET", path);
        self.ask(request.body(HttpBody::empty()).ok()?).await
    }
    fn creates(&self, plan: &Plan, transfer: usize, amount: i64, waits: bool) -> Request<HttpBody> {
        let planned = &plan.transfers[transfer];
        let body = json!({
            "source": { "paymentMethodID": self.methods[planned.from] },
            "destination": { "paymentMethodID": self.methods[planned.to] },
            "amount": { "currency": "USD", "value": amount },
        });
        let path = format!("/accounts/{}/transfers", self.account);
        let mut request = self.request("POST", &path);
        request = request.header("X-Idempotency-Key", &planned.key);
        if waits {
            request = request.header("X-Wait-For", "rail-response");
        }
        request.body(HttpBody::from(body.to_string())).expect("a request of plain texts")
    }
}

/// One client's steps; one is taken away once it was answered.
pub async fn runs(
    number: usize,
    steps: Arc<Mutex<VecDeque<Step>>>,
    (door, plan): (Arc<Door>, Arc<Plan>),
    (told, now): (Arc<Mutex<Told>>, Now),
) {
    loop {
        let Some(step) = steps.lock().front().copied() else { return };
        tokio::time::sleep(Duration::from_micros(step.pause_micros)).await;
        let known = |transfer: usize| told.lock().ids.get(&transfer).cloned();
        let request = match step.ask {
            Ask::Create { transfer, waits } => {
                let amount = plan.transfers[transfer].amount;
                Some(door.creates(&plan, transfer, amount, waits))
            }
            Ask::Misuse { transfer } => known(transfer).map(|_| {
                let amount = plan.transfers[transfer].amount + 1;
                door.creates(&plan, transfer, amount, false)
            }),
            Ask::Get { transfer } => known(transfer).and_then(|id| {
                let path = format!("/accounts/{}/transfers/{id}", door.account);
                door.request("GET", &path).body(HttpBody::empty()).ok()
            }),
        };
        if let Some(request) = request {
            let Some(answer) = answered(&door, request).await else { return };
            told.lock().notes(number, (&step, &plan), &answer, now());
        }
        steps.lock().pop_front();
    }
}

/// The answer, once it is not "later".
async fn answered(door: &Door, request: Request<HttpBody>) -> Option<Answer> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.ok()?.to_bytes();
    for _ in 0..AGAIN_MOST {
        let again = Request::from_parts(parts.clone(), HttpBody::from(bytes.clone()));
        let answer = door.ask(again).await?;
        let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        if !later.contains(&answer.status) {
            return Some(answer);
        }
        tokio::time::sleep(AGAIN).await;
    }
    None
}

fn is_taken(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::CONFLICT
}

impl Told {
    /// Notes an answer, and whether it may be.
    fn notes(&mut self, client: usize, (step, plan): (&Step, &Plan), answer: &Answer, now: i64) {
        let Answer { status, body } = answer;
        let line = format!("{now} client {client} {:?} {} {body}", step.ask, status.as_u16());
        let id = body["transferID"].as_str();
        match step.ask {
            // One whose key was used before is told so, with what that made.
            Ask::Create { transfer, .. } => match id.filter(|_| is_taken(*status)) {
                Some(id) => {
                    let first = self.ids.entry(transfer).or_insert_with(|| id.to_owned());
                    if first != id {
                        let key = &plan.transfers[transfer].key;
                        self.problems.push(format!("key {key} made {first} and {id}"));
                    }
                    self.sees(transfer, body);
                }
                None => self.problems.push(format!("a valid transfer was not taken: {line}")),
            },
            Ask::Misuse { .. } if *status == StatusCode::UNPROCESSABLE_ENTITY => {}
            Ask::Misuse { .. } => self.problems.push(format!("a key was used twice: {line}")),
            Ask::Get { transfer } if *status == StatusCode::OK => self.sees(transfer, body),
            Ask::Get { .. } => self.problems.push(format!("what was answered is gone: {line}")),
        }
        self.history.push(line);
    }
    /// A status never goes back.
    pub fn sees(&mut self, transfer: usize, body: &Value) {
        let Some(status) = body["status"].as_str() else { return };
        let rank = |status: &str| match status {
            "created" => 0,
            "pending" => 1,
            _ => 2,
        };
        let last = self.statuses.insert(transfer, status.to_owned());
        if let Some(last) = last
            && (rank(&last) > rank(status) || (rank(&last) == 2 && last != status))
        {
            self.problems.push(format!("transfer {transfer} was {last} and is {status}"));
        }
    }
}
