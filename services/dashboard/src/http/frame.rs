//! The frame of every page: head, navigation, refusals, and parts that several pages use.

use contracts::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::{NoPage, Page};
use crate::domain::{Session, hex};

/// Pages in the navigation: where, what, and whether only operators see it.
const PAGES: [(&str, &str, bool); 5] = [
    ("/dashboard", "Map", true),
    ("/dashboard/transfers", "Transfers", false),
    ("/dashboard/transfers/new", "New transfer", false),
    ("/dashboard/rails", "Rails", true),
    ("/dashboard/dead-letters", "Dead letters", true),
];

/// A whole page.
pub fn page(session: Option<&Session>, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " - switchyard" }
                link rel="stylesheet" href="/dashboard/style.css";
                link rel="icon" href="/dashboard/icon.svg" type="image/svg+xml";
                script src="/dashboard/script.js" defer {}
            }
            body {
                a class="skip" href="#content" { "Skip to content" }
                @if let Some(session) = session { (header(session, title)) }
                main id="content" { (body) }
            }
        }
    }
}

fn header(session: &Session, title: &str) -> Markup {
    let pages = PAGES.iter().filter(|(_, _, operators)| session.operator || !operators);
    html! {
        header class="top" {
            a class="brand" href="/dashboard" { "switchyard" }
            nav aria-label="Pages" {
                ul {
                    @for (to, name, _) in pages {
                        li {
                            @if *name == title {
                                a href=(to) aria-current="page" { (name) }
                            } @else {
                                a href=(to) { (name) }
                            }
                        }
                    }
                }
            }
            form class="who" method="post" action="/dashboard/sign-out" {
                (token(session))
                span { (session.name) @if session.operator { " (operator)" } }
                button class="plain" type="submit" { "Sign out" }
            }
        }
    }
}

/// The hidden field that proves a form to be ours.
pub fn token(session: &Session) -> Markup {
    html! { input type="hidden" name="token" value=(hex(&session.token)); }
}

/// What is shown where there is no page.
pub fn refused(session: Option<&Session>, no_page: &NoPage) -> Page {
    let title = match no_page.status {
        403 => "Not allowed",
        404 => "Not found",
        _ => "That did not work",
    };
    let body = html! {
        h1 { (title) }
        p { (no_page.detail) }
        p { a href="/dashboard" { "Back to the start" } }
    };
    super::html(no_page.status, page(session, title, &body))
}

/// A status with its name, never by colour alone.
pub fn badge(status: &str) -> Markup {
    let class = match status {
        "completed" | "ok" | "closed" | "connected" | "replayed" | "ready" | "acknowledged"
        | "taken-in" => "badge good",
        "failed" | "reversed" | "open" | "unavailable" | "poisoned" | "held" | "refused"
        | "set-aside" => "badge bad",
        "canceled" | "dropped" | "idle" => "badge still",
        _ => "badge under-way",
    };
    html! { span class=(class) { (status) } }
}

/// A moment as people read it, exact for those who point at it.
pub fn moment(at: Timestamp) -> Markup {
    let exact = at.to_string();
    let short = exact.get(..19).unwrap_or(&exact).replace('T', " ");
    html! { time datetime=(exact) title=(exact) { (short) " UTC" } }
}

/// Something wide that scrolls by itself, by keyboard too.
pub fn scroll(id: &str, label: &str, inside: &Markup) -> Markup {
    html! { div class="scroll" id=(id) tabindex="0" role="region" aria-label=(label) { (inside) } }
}
