//! The form for a new transfer. A hidden key makes a form that is sent twice one transfer.

use ::http::{HeaderName, HeaderValue};
use contracts::{
    payment_methods::{ListPaymentMethods, PaymentMethod},
    transfers::{CreateTransfer, CreatedTransfer, IDEMPOTENCY_HEADERS},
};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{NoPage, Page, Visit, ask, frame, see};
use crate::{
    Dashboard,
    domain::{cents, hex, unhex},
};

/// An account with the ways to pay from or to it.
struct Payer {
    name: String,
    methods: Vec<PaymentMethod>,
}

/// What is wrong with the form: a field's name (none for all of it) and a sentence.
type Wrong = Vec<(&'static str, String)>;

/// The fields by the API's names for them.
const FIELDS: [(&str, &str); 4] = [
    ("sourcePaymentMethodID", "source"),
    ("destinationPaymentMethodID", "destination"),
    ("amount", "amount"),
    ("description", "description"),
];

/// The empty form.
pub async fn show(dashboard: &Dashboard, visit: &Visit) -> Result<Page, NoPage> {
    form(dashboard, visit, &Wrong::new(), None).await
}

/// Makes the transfer, or shows the form again with what is wrong.
pub async fn create(dashboard: &Dashboard, visit: &Visit) -> Result<Page, NoPage> {
    let form_key = visit.form.text("key");
    let Some(key) = unhex(form_key) else {
        let wrong = vec![("", "This form was incomplete: please send it again.".to_owned())];
        return form(dashboard, visit, &wrong, None).await;
    };
    let text = |name| visit.form.text(name).trim();
    let mut wrong = Wrong::new();
    let value = cents(text("amount")).map_err(|rule| wrong.push(("amount", rule.to_owned())));
    for side in ["source", "destination"] {
        if text(side).is_empty() {
            wrong.push((side, "Choose a payment method.".to_owned()));
        }
    }
    if !wrong.is_empty() {
        return form(dashboard, visit, &wrong, Some(form_key)).await;
    }
    let mut body = json!({
        "source": { "paymentMethodID": text("source") },
        "destination": { "paymentMethodID": text("destination") },
        "amount": { "currency": "USD", "value": value.unwrap_or_default() },
    });
    if let Some(description) = visit.form.filled("description") {
        body["description"] = description.into();
    }
    let account = visit.session.account.to_string();
    let path = ask::path::<CreateTransfer>(&[("{accountID}", &account)]);
    let key = HeaderValue::try_from(hex(&key)).expect("hex digits are a header's value");
    let headers = vec![(HeaderName::from_static(IDEMPOTENCY_HEADERS[0]), key)];
    let said = ask::post::<CreateTransfer>(visit, path, headers, &body).await?;
    // A repeat of the same form is answered with the transfer that the first one made.
    if matches!(said.status, 200 | 409)
        && let Ok(made) = serde_json::from_value::<CreatedTransfer>(said.body.clone())
    {
        return Ok(see(&format!("/transfers/{}", made.transfer_id)));
    }
    // A key is used up by a transfer alone; with another content the form needs a new one.
    let reused = said.status == 422 && said.body.get("error").is_some();
    let kept = Some(form_key).filter(|_| !reused);
    form(dashboard, visit, &broken(&said), kept).await
}

/// The rules that the API found broken, by field.
fn broken(said: &ask::Said) -> Wrong {
    let mut wrong = Wrong::new();
    for (name, rule) in said.body.as_object().into_iter().flatten() {
        let field = FIELDS.iter().find(|(theirs, _)| theirs == name).map(|(_, field)| *field);
        if let (Some(field), Value::String(rule)) = (field, rule) {
            let mut letters = rule.chars();
            let first = letters.next().map(|letter| letter.to_uppercase().to_string());
            let sentence = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
            wrong.push((field, sentence));
        }
    }
    if wrong.is_empty() {
        wrong.push(("", said.words()));
    }
    wrong
}

async fn form(
    dashboard: &Dashboard,
    visit: &Visit,
    wrong: &Wrong,
    key: Option<&str>,
) -> Result<Page, NoPage> {
    let payers = payers(visit).await?;
    let key = key.map_or_else(|| hex(&dashboard.secret()), str::to_owned);
    let body = html! {
        h1 { "New transfer" }
        @if !wrong.is_empty() {
            div class="wrong" role="alert" {
                p { "This transfer was not made:" }
                ul {
                    @for (field, sentence) in wrong {
                        li {
                            @if field.is_empty() { (sentence) }
                            @else { a href=(format!("#{field}")) { (sentence) } }
                        }
                    }
                }
            }
        }
        form class="sheet" method="post" action="/dashboard/transfers/new" novalidate {
            (frame::token(&visit.session))
            input type="hidden" name="key" value=(key);
            (select(visit, wrong, ("source", "From"), &payers, true))
            (select(visit, wrong, ("destination", "To"), &payers, false))
            (input(visit, wrong, ("amount", "Amount in US dollars"), "decimal"))
            (input(visit, wrong, ("description", "Description (optional)"), "text"))
            button type="submit" { "Make the transfer" }
        }
    };
    let status = if wrong.is_empty() { 200 } else { 422 };
    Ok(super::html(status, frame::page(Some(&visit.session), "New transfer", &body)))
}

/// The visitor's own and connected accounts, each with its payment methods.
async fn payers(visit: &Visit) -> Result<Vec<Payer>, NoPage> {
    let mut payers = Vec::new();
    for account in ask::accounts(visit).await? {
        let id = account.account_id.to_string();
        let path = ask::path::<ListPaymentMethods>(&[("{accountID}", &id)]);
        let methods = ask::get::<ListPaymentMethods>(visit, path).await?;
        payers.push(Payer { name: account.display_name, methods });
    }
    Ok(payers)
}

/// What a payment method is called.
fn named(method: &PaymentMethod) -> String {
    match (&method.bank_account, method.payment_method_type.as_str()) {
        (None, "moov-wallet") => "Wallet".to_owned(),
        (Some(bank), kind) => {
            let (name, digits) = (&bank.bank_name, &bank.last_four_account_number);
            format!("{kind}: {name} ending in {digits} ({})", bank.holder_name)
        }
        (None, kind) => kind.to_owned(),
    }
}

/// Whether money can come from it.
fn is_source(method: &PaymentMethod) -> bool {
    !method.payment_method_type.ends_with("-credit")
        && !method.payment_method_type.starts_with("push-to-")
}

fn what_is_wrong<'w>(wrong: &'w Wrong, field: &str) -> Option<&'w str> {
    wrong.iter().find(|(name, _)| *name == field).map(|(_, sentence)| sentence.as_str())
}

fn select(
    visit: &Visit,
    wrong: &Wrong,
    (field, label): (&'static str, &str),
    payers: &[Payer],
    sources: bool,
) -> Markup {
    let error = what_is_wrong(wrong, field);
    let chosen = visit.form.text(field);
    html! {
        div class="field" {
            label for=(field) { (label) }
            select id=(field) name=(field) required aria-invalid=[error.map(|_| "true")]
                aria-describedby=[error.map(|_| format!("{field}-wrong"))] {
                option value="" { "Choose" }
                @for payer in payers {
                    optgroup label=(payer.name) {
                        @for method in payer.methods.iter().filter(|m| !sources || is_source(m)) {
                            @let id = method.payment_method_id.to_string();
                            option value=(id) selected[id == chosen] { (payer.name) ", " (named(method)) }
                        }
                    }
                }
            }
            (why(field, error))
        }
    }
}

fn input(visit: &Visit, wrong: &Wrong, (field, label): (&'static str, &str), mode: &str) -> Markup {
    let error = what_is_wrong(wrong, field);
    html! {
        div class="field" {
            label for=(field) { (label) }
            input id=(field) name=(field) value=(visit.form.text(field)) inputmode=(mode)
                autocomplete="off" aria-invalid=[error.map(|_| "true")]
                aria-describedby=[error.map(|_| format!("{field}-wrong"))];
            (why(field, error))
        }
    }
}

fn why(field: &str, error: Option<&str>) -> Markup {
    html! {
        @if let Some(error) = error {
            p class="why" id=(format!("{field}-wrong")) { (error) }
        }
    }
}
