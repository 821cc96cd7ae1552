//! What operators ask of a process: the graph, health, rail connections, dead letters.

use axum::http::header;
use contracts::{
    Code, Endpoint, Refusal,
    operations::{
        DeadLetterId, DropDeadLetter, GetDeadLetter, GetHealth, GetTopology, ListDeadLetters,
        ListRailConnections, RailCircuit, RailConnection, RailQueue, ReplayDeadLetter,
    },
    registry,
};

use crate::{
    access::Projection,
    dead_letters,
    http::{Answer, Answered, Ask},
    peers::{OnBehalf, whole},
    replay::Deed,
};

/// Letters of a page where the caller names no number, and the most it may name.
const PAGE: u32 = 100;
const PAGE_MOST: u32 = 1_000;

impl Answer<GetTopology> for Projection {
    async fn answer(&self, ask: Ask<GetTopology>) -> Result<Answered<GetTopology>, Refusal> {
        Ok(Answered::ok(&ask.platform.topology_of_all().await))
    }
}

impl Answer<GetHealth> for Projection {
    async fn answer(&self, ask: Ask<GetHealth>) -> Result<Answered<GetHealth>, Refusal> {
        let health = ask.platform.health().await;
        let status = if health.status == "ready" { 200 } else { 503 };
        Ok(Answered::json(status, &health))
    }
}

impl Answer<ListRailConnections> for Projection {
    async fn answer(
        &self,
        ask: Ask<ListRailConnections>,
    ) -> Result<Answered<ListRailConnections>, Refusal> {
        let mut connections = Vec::new();
        for rail in ask.platform.rails() {
            let told = ask.platform.fetch(rail, &format!("/internal/{rail}/connection")).await;
            let connection = told.and_then(|(body, _)| {
                let wrong = || Refusal::new(Code::Unavailable, "answered with what is no answer");
                serde_json::from_slice(&body).map_err(|_| wrong())
            });
            connections.push(connection.unwrap_or_else(|refusal| silent(rail, &refusal)));
        }
        Ok(Answered::ok(&connections))
    }
}

/// What is shown of a rail that did not answer.
fn silent(rail: &str, refusal: &Refusal) -> RailConnection {
    RailConnection {
        name: rail.to_owned(),
        address: String::new(),
        state: "unavailable".to_owned(),
        detail: refusal.detail.clone(),
        circuit: RailCircuit { state: "open".to_owned(), failures: 0, next_on: None },
        queue: RailQueue::default(),
        waiting: Vec::new(),
        last_sent_on: None,
        last_looked_on: None,
        files: Vec::new(),
    }
}

impl Answer<ListDeadLetters> for Projection {
    async fn answer(
        &self,
        ask: Ask<ListDeadLetters>,
    ) -> Result<Answered<ListDeadLetters>, Refusal> {
        let count = ask.query.count.unwrap_or(PAGE);
        if !(1..=PAGE_MOST).contains(&count) {
            return Err(Refusal::field("count", "must be from 1 to 1000"));
        }
        let after = ask.query.after.clone();
        let list = move |tx: &mut store::Tx<'_>| {
            dead_letters::list_after(tx, after.as_ref(), i64::from(count))
        };
        Ok(Answered::ok(&ask.platform.read(list).await?))
    }
}

impl Answer<GetDeadLetter> for Projection {
    async fn answer(&self, ask: Ask<GetDeadLetter>) -> Result<Answered<GetDeadLetter>, Refusal> {
        let id = ask.path.id.clone();
        let found = ask.platform.read(move |tx| dead_letters::show(tx, &id)).await?;
        let (mut letter, at) = found.ok_or_else(|| Refusal::not_found("dead letter"))?;
        let topic = ask.path.id.topic.as_str();
        let topic = ask.platform.services().iter().find(|name| **name == topic);
        if let Some(topic) = topic
            && let Some(stored) = ask.platform.event(topic, at).await?
            && let Some(entry) = registry::by_kind(eventlog::kind_of(stored.kind))
        {
            letter.data = (entry.to_json)(&stored.payload);
        }
        Ok(Answered::ok(&letter))
    }
}

impl Answer<ReplayDeadLetter> for Projection {
    async fn answer(
        &self,
        ask: Ask<ReplayDeadLetter>,
    ) -> Result<Answered<ReplayDeadLetter>, Refusal> {
        if let Some(elsewhere) = elsewhere(&ask, &ask.path.id).await {
            return elsewhere;
        }
        let by = ask.caller.account;
        Ok(Answered::ok(&ask.platform.end_letter(ask.path.id, Deed::Replay, by).await?))
    }
}

impl Answer<DropDeadLetter> for Projection {
    async fn answer(&self, ask: Ask<DropDeadLetter>) -> Result<Answered<DropDeadLetter>, Refusal> {
        if let Some(elsewhere) = elsewhere(&ask, &ask.path.id).await {
            return elsewhere;
        }
        let deed = Deed::Drop { reason: ask.body.reason.trim().to_owned() };
        Ok(Answered::ok(&ask.platform.end_letter(ask.path.id, deed, ask.caller.account).await?))
    }
}

/// The answer of the process whose consumer the letter is, where that is another one.
async fn elsewhere<E: Endpoint>(
    ask: &Ask<E>,
    id: &DeadLetterId,
) -> Option<Result<Answered<E>, Refusal>> {
    let asked = OnBehalf {
        path: E::PATH.replace("{deadLetterID}", &id.to_string()),
        authorization: ask.headers.get(header::AUTHORIZATION)?.clone(),
        headers: Vec::new(),
        body: (!ask.raw.is_empty()).then(|| ask.raw.to_vec()),
    };
    let answer = ask.platform.pass_on::<E>(&id.consumer, asked).await?;
    let told = match answer {
        Ok(response) => whole(response).await,
        Err(refusal) => Err(refusal),
    };
    Some(told.and_then(|(status, body)| {
        let body: serde_json::Value = serde_json::from_slice(&body).map_err(|_| {
            Refusal::new(Code::Unavailable, "another process answered with what is no answer")
        })?;
        Ok(Answered::json(status, &body))
    }))
}
