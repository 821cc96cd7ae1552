//! Every state with every news.

use contracts::Currency;

use super::*;

fn at(state: State) -> Entry {
    Entry {
        key: Key { transfer: TransferId::from_parts(4096, 0x1234), leg: 0 },
        state,
        queued: 5,
        due: 0,
        direction: Direction::In,
        amount: Amount::new(100, Currency::USD),
        method: PaymentMethodId::from_parts(1, 1),
        version: 1,
        file: 1,
        batch: 1,
        number: 7,
        rdfi: 9_100_001,
        messages: 0,
        code: None,
        trace: None,
        verifies: false,
    }
}

fn short(before: State, news: &News) -> String {
    let mut entry = at(before);
    match entry.hear(news) {
        Decision::AlreadyDone => "-".to_owned(),
        Decision::Refused(_) => "APART".to_owned(),
        Decision::Done(outcome) => {
            let told = match outcome.state {
                RailState::Pending => "pending",
                RailState::Accepted => "accepted",
                RailState::Rejected => "rejected",
                RailState::Returned => "returned",
                RailState::Canceled => "never",
            };
            format!("{:?}:{told}:{}", entry.state, outcome.stage)
        }
    }
}

/// `news`, then a line for each state that does something else than nothing with it.
const LIVES: &str = "
unsendable | Ready      | Rejected:rejected:failed
originated | Ready      | APART
originated | Claimed    | Originated:pending:originated
originated | Canceled   | APART
originated | Tombstone  | APART
refused    | Ready      | APART
refused    | Claimed    | Rejected:rejected:failed
refused    | Originated | Rejected:rejected:failed
refused    | Accepted   | APART
refused    | Canceled   | APART
refused    | Tombstone  | APART
refused    | Returned   | APART
returned   | Ready      | APART
returned   | Claimed    | Rejected:rejected:returned
returned   | Originated | Rejected:rejected:returned
returned   | Accepted   | Returned:returned:returned
returned   | Rejected   | APART
returned   | Canceled   | APART
returned   | Tombstone  | APART
returned   | Returned   | APART
corrected  | Ready      | APART
corrected  | Claimed    | Claimed:pending:corrected
corrected  | Originated | Originated:pending:corrected
corrected  | Accepted   | Accepted:accepted:corrected
corrected  | Rejected   | APART
corrected  | Canceled   | APART
corrected  | Tombstone  | APART
corrected  | Returned   | APART
";

fn news(name: &str) -> News {
    let why = || "why".to_owned();
    match name {
        "unsendable" => News::Unsendable { failure: "other", why: why() },
        "originated" => News::Originated { release: 9_000 },
        "refused" => News::Refused { why: why() },
        "returned" => News::Returned { code: "R01".into(), failure: "other", why: why() },
        "corrected" => News::Corrected { code: "C01".into(), why: why() },
        other => panic!("no such news: {other}"),
    }
}

#[test]
fn every_state_hears_every_news() {
    let mut found = String::from("\n");
    for name in ["unsendable", "originated", "refused", "returned", "corrected"] {
        for state in State::ALL {
            let short = short(state, &news(name));
            if short != "-" {
                found.push_str(&format!("{name:10} | {:10} | {short}\n", format!("{state:?}")));
            }
        }
    }
    assert_eq!(found, LIVES);
}

#[test]
fn funds_are_released_at_their_time_and_once() {
    let mut one = at(State::Claimed);
    one.hear(&news("originated"));
    assert_eq!(one.due, 9_000);
    assert_eq!(one.release(8_999), None);
    one.hear(&news("corrected"));
    let outcome = one.release(9_000).unwrap();
    let change = (outcome.code.as_deref(), outcome.reason.as_deref());
    assert_eq!(change, (Some("C01"), Some("Incorrect account number")), "it is not forgotten");
    assert_eq!((outcome.state, outcome.stage), (RailState::Accepted, "completed"));
    assert_eq!(one.release(9_001), None);
    assert_eq!(at(State::Claimed).release(i64::MAX), None, "the bank may not have it");
}

#[test]
fn a_change_is_told_once_and_a_return_may_follow() {
    let mut one = at(State::Accepted);
    assert!(matches!(one.hear(&news("corrected")), Decision::Done(_)));
    assert_eq!(one.hear(&news("corrected")), Decision::AlreadyDone);
    let Decision::Done(outcome) = one.hear(&news("returned")) else { panic!("{one:?}") };
    assert_eq!(outcome.code.as_deref(), Some("R01"));
    assert_eq!(outcome.reason.as_deref(), Some("why"));
}

#[test]
fn only_what_is_collected_is_claimed_and_cancelled() {
    let place = Place { file: 3, batch: 2, number: 9, rdfi: 1 };
    for state in State::ALL {
        let mut one = at(state);
        assert_eq!(one.claim(place), state == State::Ready, "{state:?}");
        let expected = if state == State::Ready { Cancel::Wins } else { Cancel::Late };
        assert_eq!(cancel(Some(state)), expected);
        assert_eq!(State::from_number(state.number()), Some(state));
    }
    let mut one = at(State::Ready);
    one.claim(place);
    assert_eq!((one.file, one.batch, one.number, one.rdfi), (3, 2, 9, 1));
    assert_eq!(State::from_number(8), None);
    assert_eq!(cancel(None), Cancel::Bury);
    assert_eq!(reserve(None), Reserve::Queue);
    assert_eq!(reserve(Some(State::Tombstone)), Reserve::Cancel);
    assert_eq!(reserve(Some(State::Rejected)), Reserve::AlreadyDone);
}

#[test]
fn a_method_takes_money_one_way() {
    use Direction::{In, Out};
    assert_eq!(kind(Out, "ach-credit-same-day"), Ok(Kind::SameDay));
    assert_eq!(kind(Out, "ach-credit-standard"), Ok(Kind::StandardCredit));
    assert_eq!(kind(Out, "ach-debit-fund"), Ok(Kind::StandardCredit), "given back");
    assert_eq!(kind(In, "ach-debit-collect"), Ok(Kind::StandardDebit));
    assert!(kind(In, "ach-credit-standard").is_err());
    assert!(kind(Out, "rtp-credit").is_err());
}
