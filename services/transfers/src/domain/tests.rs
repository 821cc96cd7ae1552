//! The lattice as text tables: what is said on each topic, in every order between topics.

use contracts::{
    Timestamp,
    exchanges::EventPlace,
    ids::{AccountId, PaymentMethodId, WalletId, from_parts},
    ledger::{PostedState, RefusedReason, Undone},
    rails::{Rail, RailState},
    transfers::{Party, TransferStatus},
};

use super::{
    Decision, End, Input, Legs, Mark, MethodType, Parties, Progress, RailWord, Side, Trail, decide,
    is_final, may_follow,
};

fn word(state: RailState) -> Input {
    let code = |text: &str| Some(text.to_owned());
    let (network_code, failure_code) = match state {
        RailState::Pending => (code("ACWP"), None),
        RailState::Accepted => (code("ACTC"), None),
        RailState::Rejected => (code("AC04"), code("account-closed")),
        RailState::Canceled => (None, None),
        RailState::Returned => (code("R01"), None),
    };
    Input::Rail(
        0,
        RailWord {
            rail: Rail::Rtp,
            state,
            network_code,
            failure_code,
            reference: None,
            stage: None,
            reason: None,
        },
    )
}

fn input(name: &str) -> Input {
    match name {
        "reserved" => Input::Reserved,
        "no-funds" => Input::Refused(RefusedReason::InsufficientFunds),
        "no-wallet" => Input::Refused(RefusedReason::NoSuchWallet),
        "overflow" => Input::Refused(RefusedReason::Overflow),
        "called-off" => Input::Refused(RefusedReason::Canceled),
        "posted" => Input::Books(0, PostedState::Posted, None),
        "voided" => Input::Books(0, PostedState::Voided, None),
        "reversed" => Input::Books(0, PostedState::Reversed, None),
        "on-its-way" => word(RailState::Pending),
        "second-posted" => Input::Books(1, PostedState::Posted, None),
        "second-voided" => Input::Books(1, PostedState::Voided, None),
        "second-reversed" => Input::Books(1, PostedState::Reversed, None),
        "back-refused" => Input::Books(2, PostedState::Posted, Some(Undone::Refused)),
        "back-canceled" => Input::Books(2, PostedState::Posted, Some(Undone::Canceled)),
        "back-returned" => Input::Books(2, PostedState::Posted, Some(Undone::Returned)),
        "accepted" => word(RailState::Accepted),
        "rejected" => word(RailState::Rejected),
        "canceled" => word(RailState::Canceled),
        "returned" => word(RailState::Returned),
        "corrected" => match word(RailState::Accepted) {
            Input::Rail(leg, word) => {
                let code = |text: &str| Some(text.to_owned());
                let (network_code, stage) = (code("C01"), code("corrected"));
                Input::Rail(leg, RailWord { network_code, stage, ..word })
            }
            _ => unreachable!(),
        },
        other => panic!("no such input {other}"),
    }
}

/// Applies inputs in order; the last state, the ways that it went, and how many alarms rang.
fn run(inputs: &[&str], legs: Legs) -> (Progress, Vec<TransferStatus>, usize) {
    let mut state = Progress::created();
    let mut ways = vec![state.status];
    let mut alarms = 0;
    for (now, name) in inputs.iter().enumerate() {
        let now = Timestamp(i64::try_from(now).unwrap() + 1);
        match decide(&state, legs, &input(name), now) {
            Decision::Done(next) => {
                if next.status != state.status {
                    assert!(may_follow(state.status, next.status), "{inputs:?}");
                    ways.push(next.status);
                }
                state = next;
            }
            Decision::AlreadyDone => {}
            Decision::Alarm(_) => alarms += 1,
        }
    }
    (state, ways, alarms)
}

/// Every order of two topics that keeps the order within each.
fn interleaved<'a>(ledger: &[&'a str], rail: &[&'a str]) -> Vec<Vec<&'a str>> {
    match (ledger.split_first(), rail.split_first()) {
        (None, _) => vec![rail.to_vec()],
        (_, None) => vec![ledger.to_vec()],
        (Some((first, ledger_rest)), Some((second, rail_rest))) => {
            let with = |first: &'a str, rest: Vec<Vec<&'a str>>| {
                rest.into_iter().map(move |rest| [vec![first], rest].concat())
            };
            with(first, interleaved(ledger_rest, rail))
                .chain(with(second, interleaved(ledger, rail_rest)))
                .collect()
        }
    }
}

/// `ledger's words | rail's words | outside | status | reason | network code`
const ENDINGS: &str = "
reserved          |                     | destination | pending   | -                         | -
reserved          | on-its-way          | destination | pending   | -                         | ACWP
reserved          | accepted            | destination | pending   | -                         | ACTC
reserved posted   | accepted            | destination | completed | -                         | ACTC
reserved posted   | on-its-way accepted | destination | completed | -                         | ACTC
reserved voided   | rejected            | destination | failed    | destination-payment-error | AC04
reserved voided   | on-its-way rejected | destination | failed    | destination-payment-error | AC04
reserved voided   | rejected            | source      | failed    | source-payment-error      | AC04
reserved voided   | canceled            | destination | canceled  | -                         | -
reserved          | rejected            | destination | pending   | -                         | AC04
reserved voided   |                     | destination | pending   | -                         | -
called-off        | canceled            | destination | canceled  | -                         | -
no-funds          | canceled            | destination | failed    | wallet-insufficient-funds | -
reserved posted reversed | accepted rejected | destination | reversed | -                   | AC04
reserved posted reversed | accepted returned | destination | reversed | -                   | R01
reserved posted reversed | accepted returned | source      | reversed | -                   | R01
reserved posted   | accepted corrected corrected | destination | completed | -                | C01
posted            |                     | none        | completed | -                         | -
no-funds          |                     | none        | failed    | wallet-insufficient-funds | -
no-wallet         |                     | none        | failed    | processing-error          | -
overflow          |                     | none        | failed    | processing-error          | -
called-off        |                     | none        | canceled  | -                         | -
";

#[test]
fn every_order_between_topics_has_the_same_end() {
    for line in ENDINGS.lines().filter(|line| !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [ledger, rail, outside, status, reason, code] = columns[..] else { panic!("{line}") };
        let ledger: Vec<&str> = ledger.split_whitespace().collect();
        let rail: Vec<&str> = rail.split_whitespace().collect();
        let legs = match outside {
            "source" => Legs::One(End::Source),
            "destination" => Legs::One(End::Destination),
            _ => Legs::None,
        };
        for order in interleaved(&ledger, &rail) {
            let (state, ways, alarms) = run(&order, legs);
            let failure = state.detail.failure.map_or("-", |failure| failure.as_str());
            let network = state.detail.rail.as_ref().and_then(|word| word.network_code.as_deref());
            let found = (state.status.as_str(), failure, network.unwrap_or("-"), alarms);
            assert_eq!(found, (status, reason, code, 0), "{line}\n{order:?} {ways:?}");
            let done = matches!(state.status, TransferStatus::Completed | TransferStatus::Reversed);
            assert_eq!(
                state.completed.is_some(),
                done && ways.contains(&TransferStatus::Completed)
            );
        }
    }
}

/// `said, in order | status | reason`, of a transfer from outside to outside.
const THROUGH: &str = "
reserved                                       | pending   | -
reserved rejected voided                       | failed    | source-payment-error
reserved voided rejected                       | failed    | source-payment-error
reserved voided canceled                       | canceled  | -
reserved accepted posted reserved              | pending   | -
reserved posted reserved second-posted         | completed | -
reserved posted second-voided                  | pending   | -
reserved posted second-voided back-refused     | failed    | destination-payment-error
reserved posted back-canceled                  | canceled  | -
reserved posted second-posted second-reversed back-returned | reversed | -
reserved posted second-posted reversed         | reversed  | -
reserved posted reversed second-posted         | reversed  | -
reserved posted reversed second-voided back-refused | reversed | -
no-funds                                       | failed    | wallet-insufficient-funds
";

#[test]
fn from_outside_to_outside() {
    for line in THROUGH.lines().filter(|line| !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [said, status, reason] = columns[..] else { panic!("{line}") };
        let said: Vec<&str> = said.split_whitespace().collect();
        for said in [said.clone(), said.iter().flat_map(|name| [*name, *name]).collect()] {
            let (state, _, alarms) = run(&said, Legs::Two);
            let failure = state.detail.failure.map_or("-", |failure| failure.as_str());
            assert_eq!((state.status.as_str(), failure, alarms), (status, reason, 0), "{said:?}");
        }
    }
}

#[test]
fn everything_said_twice_changes_nothing() {
    for line in ENDINGS.lines().filter(|line| !line.trim().is_empty()) {
        let mut columns = line.split('|');
        let mut said: Vec<&str> = columns.next().unwrap().split_whitespace().collect();
        said.extend(columns.next().unwrap().split_whitespace());
        let legs = Legs::One(End::Destination);
        let (mut once, ways, _) = run(&said, legs);
        let twice: Vec<&str> = said.iter().flat_map(|name| [*name, *name]).collect();
        let (mut again, ways_again, _) = run(&twice, legs);
        // The clock of a run is the number of its inputs.
        let stages = once.detail.stages.iter_mut().chain(&mut again.detail.stages);
        stages.for_each(|stage| stage.at = 0);
        assert_eq!((again.status, &again.detail), (once.status, &once.detail), "{line}");
        assert_eq!(ways, ways_again, "{line}");
    }
}

/// `said so far | said then`: an alarm, and nothing moves.
const ALARMS: &str = "
reserved posted            | no-funds
reserved posted            | voided
reserved voided rejected   | posted
reserved voided canceled   | posted
reserved voided rejected   | reversed
reserved voided rejected   | accepted
reserved voided canceled   | rejected
reserved voided canceled   | accepted
reserved accepted posted   | canceled
reserved rejected          | accepted
reserved accepted          | voided
reserved accepted returned | rejected
reserved voided canceled   | returned
no-funds                   | posted
no-funds                   | accepted
no-funds                   | called-off
called-off                 | no-funds
";

#[test]
fn what_contradicts_an_end_is_an_alarm_and_no_write() {
    for line in ALARMS.lines().filter(|line| !line.trim().is_empty()) {
        let (before, then) = line.split_once('|').unwrap();
        let before: Vec<&str> = before.split_whitespace().collect();
        let (state, _, alarms) = run(&before, Legs::One(End::Destination));
        assert_eq!(alarms, 0, "{line}");
        let decision =
            decide(&state, Legs::One(End::Destination), &input(then.trim()), Timestamp(99));
        assert!(matches!(decision, Decision::Alarm(_)), "{line}: {decision:?}");
    }
}

#[test]
fn no_run_of_words_moves_a_status_back() {
    const NAMES: [&str; 12] = [
        "reserved",
        "no-funds",
        "no-wallet",
        "overflow",
        "called-off",
        "posted",
        "voided",
        "reversed",
        "on-its-way",
        "accepted",
        "rejected",
        "canceled",
    ];
    // All runs of four words: `run` asserts that each step is in the table.
    for number in 0..NAMES.len().pow(4) {
        let pick = |place: u32| NAMES[number / NAMES.len().pow(place) % NAMES.len()];
        let (state, ways, _) = run(&[pick(0), pick(1), pick(2), pick(3)], Legs::One(End::Source));
        assert_eq!(ways.last(), Some(&state.status));
    }
}

#[test]
fn the_table_of_legal_ways() {
    let legal: Vec<String> = TransferStatus::ALL
        .into_iter()
        .map(|from| {
            let to = TransferStatus::ALL.into_iter().filter(|to| may_follow(from, *to));
            let to: Vec<&str> = to.map(TransferStatus::as_str).collect();
            format!("{} > {}", from.as_str(), to.join(" "))
        })
        .collect();
    assert_eq!(
        legal,
        [
            "created > queued pending completed failed canceled reversed",
            "queued > pending completed failed canceled reversed",
            "pending > completed failed canceled reversed",
            "completed > reversed",
            "failed > ",
            "canceled > ",
            "reversed > ",
        ]
    );
    assert_eq!(TransferStatus::ALL.into_iter().filter(|s| is_final(*s)).count(), 4);
}

#[test]
fn a_trail_keeps_order_and_length() {
    let mut trail = Trail::with_room(false);
    let length = trail.as_bytes().len();
    let places = [("transfers", 0, 1), ("ledger", 63, 70_000), ("transfers", 1, 200_000_000)];
    for (topic, shard, place) in places {
        assert!(trail.push(Mark::new(topic, EventPlace { shard, place })));
        assert!(!trail.push(Mark::new(topic, EventPlace { shard, place })), "once only");
    }
    assert_eq!(trail.as_bytes().len(), length, "a wallet transfer's trail does not grow its row");
    let read = Trail::from_bytes(trail.as_bytes());
    let named: Vec<String> = read.marks().map(|mark| mark.named()).collect();
    assert_eq!(named, ["transfers:0:1", "ledger:63:70000", "transfers:1:200000000"]);
    assert_eq!(read, trail);
    let mut longer = read;
    for place in 0..40 {
        assert!(longer.push(Mark::new("rtp", EventPlace { shard: 3, place })));
    }
    assert_eq!(Trail::from_bytes(longer.as_bytes()).marks().count(), 43);
}

#[test]
fn arbitrary_bytes_are_a_trail_that_ends() {
    let mut byte = 1u8;
    for length in 0..64 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            byte = byte.wrapping_mul(73).wrapping_add(41);
            byte
        })
        .take(length)
        .collect();
        let mut trail = Trail::from_bytes(&bytes);
        let count = trail.marks().count();
        trail.push(Mark::new("card", EventPlace { shard: 9, place: i64::MAX }));
        assert!(trail.marks().count() >= count);
    }
}

#[test]
fn the_home_is_the_source_wallet_or_else_the_destination() {
    let account = AccountId(from_parts(1, 0x10));
    let method = PaymentMethodId(from_parts(2, 0x20));
    let wallet = |bucket: i64| Side {
        party: Party::Wallet { account_id: account, wallet_id: WalletId(from_parts(3, bucket)) },
        method,
        kind: MethodType::MoovWallet,
    };
    let outside = Side {
        party: Party::External {
            account_id: account,
            payment_method_id: method,
            version: 1,
            rail: Rail::Rtp,
        },
        method,
        kind: MethodType::RtpCredit,
    };
    let bucket = |source: &Side, destination: &Side| {
        Parties { source: source.clone(), destination: destination.clone() }.bucket()
    };
    assert_eq!(bucket(&wallet(7), &wallet(9)), 7);
    assert_eq!(bucket(&wallet(7), &outside), 7);
    assert_eq!(bucket(&outside, &wallet(9)), 9);
}
