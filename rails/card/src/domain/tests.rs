//! Every state with every news.

use contracts::Currency;

use super::*;

const TIMES: Times = Times { now: 2_000, release: 9_000, reverse_first: 100, reverse_most: 1_000 };

fn at(state: State, direction: Direction) -> Instruction {
    Instruction {
        key: Key { transfer: TransferId::from_parts(4096, 0x1234), leg: 0 },
        state,
        queued: 5,
        due: 0,
        attempt: 2,
        epoch: 1,
        reversals: 1,
        messages: 0,
        direction,
        amount: Amount::new(100, Currency::USD),
        method: PaymentMethodId::from_parts(1, 1),
        version: 1,
        merchant: AccountId::from_parts(1, 1),
        number: 7,
        created: 1_000,
        reversal: 0,
        reversed: 0,
        unknown_there: false,
        code: None,
        trace: None,
    }
}

fn short(before: State, direction: Direction, news: &News) -> String {
    let mut instruction = at(before, direction);
    match instruction.hear(news, TIMES) {
        Decision::AlreadyDone => "-".to_owned(),
        Decision::Refused(_) => "ALARM".to_owned(),
        Decision::Done { outcome, alarm } => {
            let told = outcome.map_or("silent", |outcome| match outcome.state {
                RailState::Pending => "pending",
                RailState::Accepted => "accepted",
                RailState::Rejected => "rejected",
                RailState::Canceled | RailState::Returned => "never",
            });
            let mark = if alarm.is_some() { "!" } else { "" };
            format!("{:?}:{told}{mark}", instruction.state)
        }
    }
}

/// `news | Ready | Sending | Reversing | Confirmed | Accepted | Rejected`, of money that comes in.
const LIVES: &str = "
unsendable   | Rejected:rejected | -                   | -                 | -     | -     | -
not-sent     | -                 | Ready:silent        | -                 | -     | -     | -
not-sent-old | -                 | -                   | -                 | -     | -     | -
silent       | -                 | Reversing:silent    | -                 | -     | -     | -
silent-old   | -                 | -                   | -                 | -     | -     | -
approved     | ALARM             | Confirmed:pending   | -                 | -     | -     | ALARM
approved-old | ALARM             | ALARM               | ALARM             | -     | -     | ALARM
partial      | ALARM             | Reversing:silent    | -                 | ALARM | ALARM | ALARM
declined     | ALARM             | Rejected:rejected   | -                 | ALARM | ALARM | -
garbage      | ALARM             | Reversing:silent!   | -                 | ALARM | ALARM | ALARM
not-reversed | ALARM             | ALARM               | Reversing:silent  | -     | -     | -
reversed     | ALARM             | ALARM               | Rejected:rejected | ALARM | ALARM | -
not-found    | ALARM             | ALARM               | Reversing:silent  | -     | -     | -
no-reversal  | ALARM             | ALARM               | Reversing:silent! | -     | -     | -
";

fn news(name: &str) -> News {
    let code = || "05".to_owned();
    let said = |attempt, word| News::Said { attempt, word };
    match name {
        "unsendable" => News::Unsendable { failure: "other" },
        "not-sent" => News::NotSent { attempt: 2 },
        "not-sent-old" => News::NotSent { attempt: 1 },
        "silent" => News::Silent { attempt: 2 },
        "silent-old" => News::Silent { attempt: 1 },
        "approved" => said(2, Ok(Word::Approved { code: code() })),
        "approved-old" => said(1, Ok(Word::Approved { code: code() })),
        "partial" => said(2, Ok(Word::Conditional { code: code() })),
        "declined" => said(2, Ok(Word::Declined { code: code(), failure: "do-not-honor" })),
        "garbage" => said(2, Err(())),
        "not-reversed" => News::NotReversed,
        "reversed" => News::Reversed,
        "not-found" => News::NotFound,
        "no-reversal" => News::NoReversal,
        other => panic!("no such news: {other}"),
    }
}

#[test]
fn every_state_hears_every_news() {
    use State::{Accepted, Confirmed, Ready, Rejected, Reversing, Sending};
    let states = [Ready, Sending, Reversing, Confirmed, Accepted, Rejected];
    for line in LIVES.lines().filter(|line| !line.trim().is_empty()) {
        let mut cells = line.split('|').map(str::trim);
        let news = news(cells.next().unwrap());
        let expected: Vec<&str> = cells.collect();
        let found = states.map(|state| short(state, Direction::In, &news));
        assert_eq!(found.to_vec(), expected, "{news:?}");
    }
}

#[test]
fn money_to_a_card_is_gone_with_its_approval() {
    assert_eq!(short(State::Sending, Direction::Out, &news("approved")), "Accepted:accepted");
    assert_eq!(short(State::Sending, Direction::Out, &news("silent")), "Reversing:silent");
}

#[test]
fn funds_are_released_at_their_time_and_once() {
    let mut one = at(State::Sending, Direction::In);
    one.hear(&news("approved"), TIMES);
    assert_eq!(one.due, 9_000);
    assert_eq!(one.release(8_999), None);
    assert!(one.release(9_000).is_some_and(|outcome| outcome.state == RailState::Accepted));
    assert_eq!(one.release(9_001), None);
}

#[test]
fn a_reversal_keeps_its_number_and_is_repeated_until_it_is_answered() {
    let mut one = at(State::Sending, Direction::In);
    one.reversals = 0;
    one.hear(&news("silent"), TIMES);
    assert_eq!((one.state, one.due), (State::Reversing, TIMES.now), "at once");
    let mut alarms = Vec::new();
    let mut pauses = Vec::new();
    for round in 1..=12 {
        let claiming = Claiming { epoch: 1, number: 100 + round, created: round, deadline: 1 };
        assert!(one.claim_reversal(claiming));
        let Decision::Done { outcome: None, alarm } = one.hear(&News::NotReversed, TIMES) else {
            panic!("round {round}")
        };
        alarms.extend(alarm.map(|_| round));
        pauses.push(one.due - TIMES.now);
    }
    assert_eq!((one.reversal, one.reversed, one.reversals), (101, 1, 12));
    assert_eq!(alarms, [REVERSALS_QUIET], "a person is called once, and it goes on");
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| (100..=1_250).contains(pause)), "{pauses:?}");
    // Unknown there: asked once more, since the original may come by a connection before.
    assert!(matches!(one.hear(&news("not-found"), TIMES), Decision::Done { outcome: None, .. }));
    assert_eq!(one.state, State::Reversing);
    one.hear(&news("not-found"), TIMES);
    assert_eq!(one.state, State::Rejected);
    let again = Claiming { epoch: 1, number: 1, created: 1, deadline: 1 };
    assert!(!one.claim_reversal(again));
    // It did come: the same reversal takes it back, and the leg has failed as before.
    assert!(matches!(
        one.hear(&news("approved"), TIMES),
        Decision::Done { outcome: None, alarm: Some(_) }
    ));
    assert!(one.claim_reversal(again));
    assert_eq!(one.reversal, 101);
    one.hear(&News::Reversed, TIMES);
    assert_eq!(one.state, State::Rejected);
}

#[test]
fn only_what_is_in_the_queue_is_claimed_and_cancelled() {
    let claiming = Claiming { epoch: 3, number: 9, created: 77, deadline: 500 };
    for state in State::ALL {
        let mut one = at(state, Direction::In);
        assert_eq!(one.claim(claiming), state == State::Ready, "{state:?}");
        let expected = if state == State::Ready { Cancel::Wins } else { Cancel::Late };
        assert_eq!(cancel(Some(state)), expected);
        assert_eq!(State::from_number(state.number()), Some(state));
    }
    let mut one = at(State::Ready, Direction::In);
    one.claim(claiming);
    assert_eq!((one.attempt, one.epoch, one.number, one.due), (3, 3, 9, 500));
    assert_eq!(State::from_number(10), None);
    assert_eq!(cancel(None), Cancel::Bury);
    assert_eq!(reserve(None), Reserve::Queue);
    assert_eq!(reserve(Some(State::Tombstone)), Reserve::Cancel);
    assert_eq!(reserve(Some(State::Rejected)), Reserve::AlreadyDone);
}

/// `line | Ready | Sending | Reversing | Confirmed | Accepted | Rejected | Canceled | Tombstone |
/// Settled | Unsettled`: the state then; `!` where a person is told, `+` where it is accepted by it.
const SETTLEMENTS: &str = "
settled         | Ready! | Sending  | Reversing  | Settled+   | Settled    | Reversing! | Canceled! | Tombstone! | Settled! | Settled
settled-other   | Ready! | Sending! | Reversing! | Confirmed! | Accepted!  | Rejected!  | Canceled! | Tombstone! | Settled! | Unsettled!
settled-amount  | Ready! | Sending! | Reversing! | Confirmed! | Unsettled! | Rejected!  | Canceled! | Tombstone! | Settled! | Unsettled!
taken-back      | Ready! | Sending  | Reversing  | Confirmed! | Accepted!  | Rejected   | Canceled! | Tombstone! | Settled! | Unsettled!
back-other      | Ready! | Sending! | Reversing! | Confirmed! | Accepted!  | Rejected!  | Canceled! | Tombstone! | Settled! | Unsettled!
";

#[test]
fn every_state_with_every_line_of_a_settlement_file() {
    for line in SETTLEMENTS.lines().filter(|line| !line.is_empty()) {
        let mut cells = line.split('|').map(str::trim);
        let name = cells.next().unwrap();
        let (says, fits) = match name {
            "settled" => (Says::Settled, Fits::Whole),
            "settled-other" => (Says::Settled, Fits::OtherMessage),
            "settled-amount" => (Says::Settled, Fits::OtherAmount),
            "taken-back" => (Says::TakenBack, Fits::Whole),
            _ => (Says::TakenBack, Fits::OtherMessage),
        };
        let found: Vec<String> = State::ALL
            .into_iter()
            .map(|state| {
                let mut instruction = at(state, Direction::In);
                let mark = match instruction.settle(says, fits, TIMES) {
                    Matching::Matched(None) | Matching::UnderWay => "",
                    Matching::Matched(Some(outcome)) => {
                        assert_eq!(
                            (outcome.state, outcome.stage),
                            (RailState::Accepted, "completed")
                        );
                        "+"
                    }
                    Matching::TakeBack(_) | Matching::Apart(_) => "!",
                };
                format!("{:?}{mark}", instruction.state)
            })
            .collect();
        let cells: Vec<&str> = cells.collect();
        assert_eq!(found, cells, "{name}");
    }
}

#[test]
fn what_is_paid_and_in_no_file_is_missed_once() {
    for state in State::ALL {
        let mut instruction = at(state, Direction::In);
        assert_eq!(instruction.miss(), state == State::Accepted);
        assert!(!instruction.miss());
        assert_eq!(instruction.state.is_paid(), state.is_paid());
    }
}

#[test]
fn what_the_host_forgot_is_reversed_again_at_once_and_fails_as_before() {
    let mut one = Instruction { reversal: 9, ..at(State::Rejected, Direction::In) };
    assert!(matches!(one.settle(Says::Settled, Fits::Whole, TIMES), Matching::TakeBack(_)));
    assert_eq!(one.due, TIMES.now);
    let claiming = Claiming { epoch: 1, number: 12, created: 3_000, deadline: 4_000 };
    assert!(one.claim_reversal(claiming));
    assert_eq!((one.reversal, one.reversals), (9, 2), "the same reversal, repeated");
    let Decision::Done { outcome: Some(outcome), .. } = one.hear(&News::Reversed, TIMES) else {
        panic!("it has failed again");
    };
    assert_eq!((one.state, outcome.state), (State::Rejected, RailState::Rejected));
}
