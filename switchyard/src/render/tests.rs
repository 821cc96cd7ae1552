//! Diagrams of a short wallet transfer, as they are printed.

use contracts::{
    Timestamp,
    exchanges::{Exchange, ExchangeKind, Timeline},
};

use super::{duration, sequence_mermaid, sequence_text};

fn exchange(number: u32, from: &str, to: &str, kind: ExchangeKind, name: &str) -> Exchange {
    Exchange {
        number,
        at: Timestamp(1_700_000_000_000_000 + i64::from(number) * 150),
        duration_micros: None,
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        name: name.to_owned(),
        synchronous: !matches!(kind, ExchangeKind::Event | ExchangeKind::Rail),
        stream: None,
        sequence: None,
        bytes: None,
        cause: number.checked_sub(1).filter(|cause| *cause > 0),
        outcome: None,
    }
}

fn timeline() -> Timeline {
    let mut exchanges = vec![
        exchange(1, "client", "transfers", ExchangeKind::Request, "POST transfers"),
        exchange(2, "transfers", "payment-methods", ExchangeKind::Request, "GET methods"),
        exchange(3, "transfers", "transfers", ExchangeKind::Commit, "commit"),
        exchange(4, "transfers", "ledger", ExchangeKind::Event, "transfer.created"),
        exchange(5, "transfers", "client", ExchangeKind::Response, "200"),
    ];
    exchanges[1].duration_micros = Some(40);
    exchanges[2].duration_micros = Some(1_250);
    exchanges[4].outcome = Some("created".to_owned());
    Timeline {
        transfer_id: "019a8f3e-1c40-7000-8000-0000000000aa".parse().unwrap(),
        status: "completed".to_owned(),
        complete: true,
        exchanges,
    }
}

#[test]
fn a_diagram_for_a_terminal() {
    let expected = "\
transfer 019a8f3e-1c40-7000-8000-0000000000aa completed
client             transfers       payment-methods  ledger
 |                  |               |                |
 | 1 POST transfers |               |                |
 |=================>|               |                |  at 0 us, cost -
 |                  | 2 GET methods |                |
 |                  |==============>|                |  at 150 us, cost 40 us
 |                  | 3 commit      |                |
 |                  *               |                |  at 300 us, cost 1.2 ms
 |                  | 4 transfer.created             |
 |                  |------------------------------->|  at 450 us, cost +150 us
 | 5 200 [created]  |               |                |
 |<=================|               |                |  at 600 us, cost +150 us
 |                  |               |                |
";
    let found = sequence_text(&timeline());
    assert!(found == expected, "found:\n{found}");
}

#[test]
fn a_diagram_in_mermaid() {
    let expected = "\
sequenceDiagram
    actor client as client
    participant transfers as transfers
    participant payment_methods as payment-methods
    participant ledger as ledger
    client->>transfers: 1 POST transfers
    transfers->>payment_methods: 2 GET methods (40 us)
    transfers->>transfers: 3 commit (1.2 ms)
    transfers-)ledger: 4 transfer.created (+150 us)
    transfers-->>client: 5 200 [created] (+150 us)
    Note over client,ledger: completed
";
    let found = sequence_mermaid(&timeline());
    assert!(found == expected, "found:\n{found}");
}

#[test]
fn an_empty_or_incomplete_timeline_is_drawn_too() {
    let mut timeline = timeline();
    timeline.exchanges.clear();
    timeline.complete = false;
    assert!(sequence_text(&timeline).contains("its part is missing"));
    assert!(sequence_mermaid(&timeline).contains("Note over client"));
}

#[test]
fn durations_have_a_fitting_unit() {
    let found: Vec<String> = [0, 999, 1_000, 12_340, 2_040_000].map(duration).to_vec();
    assert_eq!(found, ["0 us", "999 us", "1.0 ms", "12.3 ms", "2.04 s"]);
}
