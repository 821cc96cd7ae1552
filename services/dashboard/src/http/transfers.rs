//! The list of transfers, newest first, with filters and a cursor.

use contracts::transfers::{ListTransfers, Transfer, TransferStatus};
use maud::{Markup, html};

use super::{NoPage, Page, Visit, ask, frame};
use crate::domain::encoded;

/// Transfers of a page.
const PAGE: usize = 25;
/// What may be filtered by beside the status: the field, its name in the API, its label.
const TEXTS: [(&str, &str, &str); 2] =
    [("account", "accountIDs", "Account ID"), ("foreign", "foreignID", "Foreign ID")];

/// The page.
pub async fn show(visit: &Visit) -> Result<Page, NoPage> {
    let account = visit.session.account.to_string();
    let mut filters = String::new();
    let status = visit.query.filled("status");
    if let Some(status) = status {
        filters.push_str(&format!("&status={}", encoded(status)));
    }
    for (field, name, _) in TEXTS {
        if let Some(text) = visit.query.filled(field) {
            filters.push_str(&format!("&{name}={}", encoded(text)));
        }
    }
    let before = visit.query.filled("before").map(|id| format!("&before={}", encoded(id)));
    let list = ask::path::<ListTransfers>(&[("{accountID}", &account)]);
    let path = format!("{list}?count={}{filters}{}", PAGE + 1, before.unwrap_or_default());
    let (transfers, wrong) = match ask::get::<ListTransfers>(visit, path).await {
        Ok(transfers) => (transfers, None),
        // A filter that is none is said beside the filters.
        Err(no_page) if matches!(no_page.status, 400 | 422) => (Vec::new(), Some(no_page.detail)),
        Err(no_page) => return Err(no_page),
    };
    let more = transfers.len() > PAGE;
    let shown = &transfers[..transfers.len().min(PAGE)];
    let body = html! {
        div class="heading" {
            h1 { "Transfers" }
            a class="button" href="/dashboard/transfers/new" { "New transfer" }
        }
        (filter(visit))
        @if let Some(wrong) = &wrong { p class="wrong" role="alert" { "No such filter: " (wrong) } }
        @if shown.is_empty() {
            p { "No transfers here." }
        } @else {
            (frame::scroll("list", "Transfers", &table(shown)))
        }
        @if let (true, Some(last)) = (more, shown.last()) {
            nav aria-label="More transfers" {
                a href=(next(visit, &last.transfer_id.to_string())) { "Older transfers" }
            }
        }
    };
    let status = if wrong.is_some() { 422 } else { 200 };
    Ok(super::html(status, frame::page(Some(&visit.session), "Transfers", &body)))
}

/// The address of the next page with the same filters.
fn next(visit: &Visit, last: &str) -> String {
    let mut to = format!("/dashboard/transfers?before={}", encoded(last));
    for field in ["status", "account", "foreign"] {
        if let Some(text) = visit.query.filled(field) {
            to.push_str(&format!("&{field}={}", encoded(text)));
        }
    }
    to
}

fn filter(visit: &Visit) -> Markup {
    let chosen = visit.query.text("status");
    html! {
        form class="filters" method="get" action="/dashboard/transfers" role="search"
            aria-label="Filter transfers" {
            div {
                label for="status" { "Status" }
                select id="status" name="status" {
                    option value="" { "any" }
                    @for status in TransferStatus::ALL {
                        option value=(status.as_str()) selected[status.as_str() == chosen] {
                            (status.as_str())
                        }
                    }
                }
            }
            @for (field, _, label) in TEXTS {
                div {
                    label for=(field) { (label) }
                    input id=(field) name=(field) value=(visit.query.text(field)) spellcheck="false";
                }
            }
            button class="plain" type="submit" { "Filter" }
        }
    }
}

fn table(transfers: &[Transfer]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "Created" } th scope="col" { "Status" }
                th scope="col" class="number" { "Amount" } th scope="col" { "From" }
                th scope="col" { "To" } th scope="col" { "Description" }
            } }
            tbody {
                @for transfer in transfers {
                    tr {
                        td { a href=(format!("/dashboard/transfers/{}", transfer.transfer_id)) {
                            (frame::moment(transfer.created_on))
                        } }
                        td { (frame::badge(transfer.status.as_str())) }
                        td class="number" { (transfer.amount) }
                        td { (transfer.source.account.display_name) }
                        td { (transfer.destination.account.display_name)
                            " " small { (transfer.destination.payment_method_type) } }
                        td { (transfer.description.as_deref().unwrap_or_default()) }
                    }
                }
            }
        }
    }
}
