//! Dead letters: the list, one with its event, and the two ways to end it.

use contracts::{
    Endpoint,
    operations::{
        DeadLetter, DeadLetterId, DropDeadLetter, GetDeadLetter, ListDeadLetters, ReplayDeadLetter,
    },
};
use maud::{Markup, html};
use serde_json::json;

use super::{NoPage, Page, Visit, ask, frame, see};
use crate::domain::encoded;

/// Letters of a page.
const PAGE: usize = 50;

fn path<E: Endpoint>(id: &str) -> Result<String, NoPage> {
    let id: DeadLetterId = id.parse().map_err(|()| NoPage::not_found())?;
    Ok(ask::path::<E>(&[("{deadLetterID}", &id.to_string())]))
}

fn address(letter: &DeadLetter) -> String {
    format!("/dashboard/dead-letters/{}", letter.dead_letter_id)
}

/// The list.
pub async fn list(visit: &Visit) -> Result<Page, NoPage> {
    let after = visit.query.filled("after").map(|id| format!("&after={}", encoded(id)));
    let path = format!("{}?count={}{}", ListDeadLetters::PATH, PAGE + 1, after.unwrap_or_default());
    let letters = ask::get::<ListDeadLetters>(visit, path).await?;
    let more = letters.len() > PAGE;
    let shown = &letters[..letters.len().min(PAGE)];
    let body = html! {
        h1 { "Dead letters" }
        p class="lead" { "Events that a service could not apply, and those parked behind them. \
            Everything else goes on." }
        @if shown.is_empty() {
            p { "There are none." }
        } @else {
            (frame::scroll("list", "Dead letters", &table(shown)))
        }
        @if let (true, Some(last)) = (more, shown.last()) {
            nav aria-label="More dead letters" {
                a href=(format!("/dashboard/dead-letters?after={}",
                    encoded(&last.dead_letter_id.to_string()))) { "More" }
            }
        }
    };
    Ok(super::html(200, frame::page(Some(&visit.session), "Dead letters", &body)))
}

fn table(letters: &[DeadLetter]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Letter" } th scope="col" { "State" } th scope="col" { "Event" }
                th scope="col" { "Error" } th scope="col" class="number" { "Behind it" }
                th scope="col" { "Emitted" }
            } }
            tbody {
                @for letter in letters {
                    tr {
                        td { a href=(address(letter)) { code { (letter.dead_letter_id) } } }
                        td { (frame::badge(&letter.state)) }
                        td { code { (letter.event) } }
                        td { (letter.error) }
                        td class="number" { (letter.behind) }
                        td { (frame::moment(letter.at)) }
                    }
                }
            }
        }
    }
}

/// One letter, with what went wrong when it was to be ended.
pub async fn show(visit: &Visit, id: &str, wrong: Option<(u16, String)>) -> Result<Page, NoPage> {
    let letter = ask::get::<GetDeadLetter>(visit, path::<GetDeadLetter>(id)?).await?;
    let data = letter.data.as_ref().and_then(|data| serde_json::to_string_pretty(data).ok());
    let body = html! {
        p { a href="/dashboard/dead-letters" { "All dead letters" } }
        h1 { "Dead letter " (frame::badge(&letter.state)) }
        @if let Some((_, wrong)) = &wrong { p class="wrong" role="alert" { (wrong) } }
        (facts(&letter))
        @if let Some(data) = &data {
            h2 { "The event" }
            (frame::scroll("event", "The event", &html! { pre { (data) } }))
        }
        @if letter.ended_on.is_none() { (ends(visit, &letter)) }
    };
    let status = wrong.map_or(200, |(status, _)| status);
    Ok(super::html(status, frame::page(Some(&visit.session), "Dead letter", &body)))
}

fn facts(letter: &DeadLetter) -> Markup {
    html! {
        dl class="facts" {
            dt { "Consumer" } dd { (letter.consumer) }
            dt { "Event" } dd { code { (letter.event) } }
            dt { "Stream" } dd { code { (letter.stream) } ", number " (letter.sequence) }
            dt { "Emitted" } dd { (frame::moment(letter.at)) }
            @if !letter.error.is_empty() { dt { "Error" } dd { (letter.error) } }
            @if letter.ended_on.is_none() {
                dt { "Behind it" } dd { (letter.behind) " of the same key wait for it" }
            }
            @if let Some(ended) = letter.ended_on {
                dt { "Ended" } dd { (letter.state) " " (frame::moment(ended))
                    @if let Some(by) = letter.ended_by { " by a key of " code { (by) } } }
            }
            @if let Some(reason) = &letter.reason { dt { "Reason" } dd { (reason) } }
        }
    }
}

fn ends(visit: &Visit, letter: &DeadLetter) -> Markup {
    html! {
        div class="pair" {
            form class="sheet" method="post" action=(format!("{}/replay", address(letter))) {
                h2 { "Replay" }
                p { "Applies the event now, once; those behind it follow in their order. For when \
                    the cause is gone." }
                (frame::token(&visit.session))
                button type="submit" { "Replay" }
            }
            form class="sheet" method="post" action=(format!("{}/drop", address(letter))) {
                h2 { "Drop" }
                p { "Never applies it. The reason is kept." }
                (frame::token(&visit.session))
                label for="reason" { "Reason" }
                input id="reason" name="reason" value=(visit.form.text("reason")) required
                    maxlength="500" autocomplete="off";
                button class="bad" type="submit" { "Drop" }
            }
        }
    }
}

/// Applies a letter again.
pub async fn replay(visit: &Visit, id: &str) -> Result<Page, NoPage> {
    let path = path::<ReplayDeadLetter>(id)?;
    let said = ask::post::<ReplayDeadLetter>(visit, path, Vec::new(), &json!({})).await?;
    ended(visit, id, &said).await
}

/// Gives a letter up.
pub async fn drop(visit: &Visit, id: &str) -> Result<Page, NoPage> {
    let path = path::<DropDeadLetter>(id)?;
    let body = json!({ "reason": visit.form.text("reason") });
    let said = ask::post::<DropDeadLetter>(visit, path, Vec::new(), &body).await?;
    ended(visit, id, &said).await
}

async fn ended(visit: &Visit, id: &str, said: &ask::Said) -> Result<Page, NoPage> {
    match said.status {
        200 => Ok(see(&format!("/dead-letters/{id}"))),
        422 => {
            let wrong = "Write a reason of 1 to 500 characters.".to_owned();
            show(visit, id, Some((422, wrong))).await
        }
        409 => show(visit, id, Some((409, said.words()))).await,
        status => Err(NoPage::new(status, said.words())),
    }
}
