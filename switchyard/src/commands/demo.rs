//! `demo`: from nothing to a completed transfer of each kind, each with its sequence diagram.

use std::{collections::BTreeMap, time::Duration};

use contracts::{
    exchanges::{Exchange, Timeline},
    ids::TransferId,
};
use serde_json::json;
use store::Location;

use crate::{
    cli::{Demo, DiagramFormat, Pace, Run},
    client::Client,
    commands::timeline,
    exit::{Context, Failure, Outcome},
    first_start::Credentials,
    site::{Options, Part, Site},
};

/// The transfers: what they show, and the type of payment method beside the platform's wallet, which
/// is paid, or pays where it is one that pays.
const TRANSFERS: [(&str, &str); 4] = [
    ("wallet to wallet", "moov-wallet"),
    ("wallet to a bank account by RTP", "rtp-credit"),
    ("a card to a wallet", "card-payment"),
    ("wallet to a bank account by ACH", "ach-credit-standard"),
];

/// How often, and how many times, the platform is asked for what comes later.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS_MOST: u32 = 1_000;

/// Starts everything in a temporary directory, and goes on serving unless told to exit.
pub fn run(arguments: &Demo) -> Outcome {
    let monotonic = runtime::Monotonic::system();
    let folder = tempfile::Builder::new().prefix("switchyard-demo-").tempdir();
    let folder = folder.context("no temporary directory")?;
    let run = Run {
        sandbox: true,
        pace: Pace::Fast,
        keep_wire: false,
        send_micro_deposits: false,
        workers: 1,
    };
    let site = Site::start(Options {
        location: Location::Directory(folder.path().to_owned()),
        data: folder.path().to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        run,
        shards: 1,
        part: Part::whole(true),
    })?;
    let credentials = site.credentials.clone();
    let missing = || Failure::could_not("the first start left no credentials");
    let credentials = credentials.ok_or_else(missing)?;
    let since_start = || monotonic.micros();
    let shown = site.tokio().block_on(show(&credentials, arguments.format, since_start));
    let ended = if shown.is_ok() && !arguments.exit {
        super::print(&super::up::welcome(&credentials, &site.data));
        super::print("press Ctrl-C to stop; the temporary directory goes with it\n");
        site.wait()
    } else {
        Ok(())
    };
    site.stop();
    shown.and(ended)
}

async fn show(
    credentials: &Credentials,
    format: DiagramFormat,
    since_start: impl Fn() -> u64,
) -> Outcome {
    let mut client = Client::new(&credentials.base_url, Some(&credentials.key()))?;
    let mut all_completed = true;
    // All at once: the slow ones are on their way while the fast ones are shown.
    let mut made = Vec::with_capacity(TRANSFERS.len());
    for (title, kind) in TRANSFERS {
        made.push((title, transfer(&mut client, credentials, kind).await?));
    }
    for (title, transfer) in made {
        let account = credentials.account_id.to_string();
        await_final(&mut client, &account, transfer).await?;
        let millis = since_start() / 1_000;
        let recorded = whole_timeline(&mut client, &account, transfer).await?;
        let completed = recorded.status == "completed";
        all_completed &= completed;
        if format == DiagramFormat::Text {
            super::print(&format!(
                "\n{title}: {}, {millis} ms after the start\n\n",
                recorded.status
            ));
        }
        super::print(&timeline::drawn(&recorded, format));
        if format == DiagramFormat::Text {
            super::print(&costs(&recorded));
        }
    }
    if all_completed { Ok(()) } else { Err(Failure::Wrong) }
}

/// Posts one transfer over HTTP.
async fn transfer(
    client: &mut Client,
    credentials: &Credentials,
    kind: &str,
) -> Outcome<TransferId> {
    let missing = || Failure::CouldNotRun(format!("the first start made no {kind}"));
    let wallet = credentials.wallet_payment_method_id.as_deref().ok_or_else(missing)?;
    let other = credentials.method(kind).ok_or_else(missing)?;
    let (source, destination) =
        if kind == "card-payment" { (other, wallet) } else { (wallet, other) };
    let body = json!({
        "source": { "paymentMethodID": source },
        "destination": { "paymentMethodID": destination },
        "amount": { "currency": "USD", "value": 1204 },
        "description": "demo",
    });
    let key = format!("demo-{kind}");
    let headers = [("X-Idempotency-Key", key.as_str())];
    let path = format!("/accounts/{}/transfers", credentials.account_id);
    let answer = client.post(&path, &headers, &body).await?.ok()?;
    let id = answer["transferID"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::CouldNotRun(format!("an answer without a transferID: {answer}")))
}

/// Waits until the transfer is final.
async fn await_final(client: &mut Client, account: &str, transfer: TransferId) -> Outcome {
    let path = format!("/accounts/{account}/transfers/{transfer}");
    for _ in 0..LOOKS_MOST {
        let found = client.get(&path).await?.ok()?;
        if !matches!(found["status"].as_str(), Some("created" | "queued" | "pending")) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// The timeline once every consumer has told its part (the public feed comes up to a second later).
async fn whole_timeline(
    client: &mut Client,
    account: &str,
    transfer: TransferId,
) -> Outcome<Timeline> {
    let mut recorded = timeline::fetch(client, account, transfer).await?;
    for _ in 0..LOOKS_MOST {
        let waits = |exchange: &Exchange| exchange.outcome.as_deref() == Some("not yet consumed");
        if recorded.complete && !recorded.exchanges.iter().any(waits) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        recorded = timeline::fetch(client, account, transfer).await?;
    }
    Ok(recorded)
}

/// What each kind of arrow cost in sum.
fn costs(recorded: &Timeline) -> String {
    let mut sums: BTreeMap<String, (u32, u64)> = BTreeMap::new();
    for exchange in &recorded.exchanges {
        let kind = serde_json::to_value(exchange.kind).expect("a kind is plain data");
        let sum = sums.entry(kind.as_str().unwrap_or_default().to_owned()).or_default();
        sum.0 += 1;
        sum.1 += exchange.duration_micros.unwrap_or(0);
    }
    let parts = sums.into_iter().map(|(kind, (count, micros))| {
        format!("{count} {kind} {}", crate::render::duration(micros))
    });
    format!("cost by kind: {}\n", parts.collect::<Vec<_>>().join(", "))
}
