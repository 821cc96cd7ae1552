//! One row is changed behind the platform's back: the invariant that names it must name it.

use contracts::rails::RailState::Accepted;

use crate::harness::{Bed, Harness, To, on_both};

on_both! {
    each_is_named: 4;
}

/// A change, the change that takes it back, and what must be found.
struct Case {
    change: &'static str,
    back: &'static str,
    found: &'static [(&'static str, &'static str)],
}

const CASES: &[Case] = &[
    Case {
        change: "UPDATE ledger_balance SET credits_posted = credits_posted + 1 WHERE account = 1",
        back: "UPDATE ledger_balance SET credits_posted = credits_posted - 1 WHERE account = 1",
        found: &[("V1", "posted debits less credits are -1"), ("V2", "wallet:")],
    },
    Case {
        change: "UPDATE ledger_posting SET amount = amount + 1 WHERE effect = 1",
        back: "UPDATE ledger_posting SET amount = amount - 1 WHERE effect = 1",
        found: &[("V2", "rtp:out"), ("V11", "postings: held"), ("V16", "does not hash")],
    },
    Case {
        change: "UPDATE ledger_posting SET debit_balance = debit_balance - 900000 WHERE effect = 1",
        back: "UPDATE ledger_posting SET debit_balance = debit_balance + 900000 WHERE effect = 1",
        found: &[("V3", "at -89"), ("V16", "does not hash")],
    },
    Case {
        change: "UPDATE ledger_balance SET debits_posted = debits_posted + 1000000 WHERE account = 1",
        back: "UPDATE ledger_balance SET debits_posted = debits_posted - 1000000 WHERE account = 1",
        found: &[("V1", "shard"), ("V2", "wallet:"), ("V3", "wallet:")],
    },
    Case {
        change: "UPDATE ledger_balance SET credits_posted = credits_posted + 5 WHERE account IN \
                 (SELECT min(id) FROM ledger_account WHERE name LIKE 'xout:%')",
        back: "UPDATE ledger_balance SET credits_posted = credits_posted - 5 WHERE account IN \
               (SELECT min(id) FROM ledger_account WHERE name LIKE 'xout:%')",
        found: &[("V1", "shard"), ("V2", "xout:"), ("V4", "on its way are 0")],
    },
    Case {
        change: "UPDATE ledger_hold SET state = 3 - state WHERE state IN (1, 2)",
        back: "UPDATE ledger_hold SET state = 3 - state WHERE state IN (1, 2)",
        found: &[("V11", "the hold of")],
    },
    Case {
        change: "UPDATE ledger_hold SET state = 2 WHERE state = 0",
        back: "UPDATE ledger_hold SET state = 0 WHERE state = 2",
        found: &[("V11", "its open holds are 0")],
    },
    Case {
        change: "UPDATE ledger_seal SET at = at + 1 WHERE sequence = 2",
        back: "UPDATE ledger_seal SET at = at - 1 WHERE sequence = 2",
        found: &[("V16", "seal 2 does not hash")],
    },
    Case {
        change: "UPDATE ledger_posting SET tail = tail + 1 WHERE effect = 2",
        back: "UPDATE ledger_posting SET tail = tail - 1 WHERE effect = 2",
        found: &[("V11", "the hold of"), ("V16", "does not hash")],
    },
    Case {
        change: "UPDATE ledger_seal SET sequence = 1000 WHERE sequence = 1",
        back: "UPDATE ledger_seal SET sequence = 1 WHERE sequence = 1000",
        found: &[("V16", "names no seal")],
    },
    // Not taken back.
    Case {
        change: "DELETE FROM ledger_posting WHERE effect = 2",
        back: "SELECT 1",
        found: &[("V2", "rtp:out"), ("V11", "the hold of"), ("V16", "of its")],
    },
];

fn each_is_named(bed: &Bed) {
    let harness = Harness::start(bed);
    let people = harness.people(6, 1_000);
    for (from, to) in people.iter().zip(&people[1..]) {
        harness.one(*from, To::Wallet(*to), 10);
    }
    let held = harness.make(vec![(people[0], To::Bank, 290), (people[1], To::Bank, 290)]);
    harness.outcome(held[0].0.transfer_id, Accepted);
    harness.stop();
    assert!(bed.faults().is_empty());
    for case in CASES {
        assert!(bed.execute(case.change) > 0, "{}", case.change);
        let faults = bed.faults();
        for (invariant, text) in case.found {
            let named = faults.get(invariant).is_some_and(|f| f.iter().any(|f| f.contains(text)));
            assert!(named, "{}: {invariant} does not say {text}: {faults:?}", case.change);
        }
        let named: Vec<&str> = faults.keys().copied().collect();
        let expected: Vec<&str> = case.found.iter().map(|(invariant, _)| *invariant).collect();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(named, expected, "{}: {faults:?}", case.change);
        if !case.back.starts_with("SELECT") {
            bed.execute(case.back);
            assert!(bed.faults().is_empty(), "{}", case.back);
        }
    }
}
