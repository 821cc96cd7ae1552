//! The rules as text tables, and random movements against a model.
//!
//! A table is a list of lines: an account, a command, or what is expected after it.
//! `account NAME ROLE CURRENCY [debits credits held]`, `do MOVEMENT SOURCE DESTINATION AMOUNT ->
//! OUTCOME`, `NAME available posted_debits posted_credits held released`.

use std::collections::BTreeMap;

use contracts::{
    Currency,
    ids::{WalletId, from_parts},
    rails::{Direction, Rail, RailState},
};
use proptest::prelude::*;

use contracts::ledger::Undone;

use super::*;

/// Books of one shard.
#[derive(Default)]
struct Books {
    accounts: Vec<Account>,
    names: BTreeMap<String, Slot>,
}

impl Books {
    fn open(&mut self, name: &str, currency: &str, balance: Balance) {
        let number = i64::try_from(self.accounts.len()).unwrap() + 1;
        let role = match name {
            "out" => Role::Out(Rail::Rtp),
            "in" => Role::In(Rail::Rtp),
            "settlement" => Role::Settlement(Rail::Rtp),
            "adjustments" => Role::Adjustments,
            "xout" => Role::Xout(1),
            "xin" => Role::Xin(1),
            "transit" => Role::Transit,
            _ => Role::Wallet(WalletId(from_parts(number, number))),
        };
        let currency = Currency::new(currency).unwrap();
        self.names.insert(name.to_owned(), Slot::try_from(self.accounts.len()).unwrap());
        self.accounts.push(Account { number, role, bucket: 0, shard: 0, currency, balance });
    }
    fn slot(&self, name: &str) -> Slot {
        self.names.get(name).copied().unwrap_or(NOWHERE)
    }
    fn ask(&self, movement: Movement, from: &str, to: &str, amount: i64) -> Ask {
        let mut places = Places::default()
            .with(Place::Source, self.slot(from))
            .with(Place::Destination, self.slot(to));
        for (place, name) in [
            (Place::Out, "out"),
            (Place::In, "in"),
            (Place::Settlement, "settlement"),
            (Place::Adjustments, "adjustments"),
            (Place::Xout, "xout"),
            (Place::Xin, "xin"),
        ] {
            places = places.with(place, self.slot(name));
        }
        Ask { movement, places, amount, currency: Currency::USD }
    }
    fn decide(&mut self, ask: &Ask, known: Option<Known>) -> String {
        match decide(&self.accounts, ask, known) {
            Decision::Done(plan) => {
                for entry in plan.entries() {
                    self.accounts[entry.debit as usize].balance = entry.debit_after;
                    self.accounts[entry.credit as usize].balance = entry.credit_after;
                }
                self.assert_conserved();
                "done".to_owned()
            }
            Decision::AlreadyDone => "already-done".to_owned(),
            Decision::Contradiction => "contradiction".to_owned(),
            Decision::Refused(reason) => format!("{reason:?}"),
        }
    }
    fn assert_conserved(&self) {
        let mut sums = BTreeMap::<Currency, [i128; 3]>::new();
        for Account { balance, currency, .. } in &self.accounts {
            let sum = sums.entry(*currency).or_default();
            sum[0] += i128::from(balance.debits_posted) - i128::from(balance.credits_posted);
            sum[1] += i128::from(balance.debits_held) - i128::from(balance.credits_held);
            sum[2] += i128::from(balance.debits_released) - i128::from(balance.credits_released);
        }
        assert!(sums.values().all(|sum| *sum == [0; 3]), "{sums:?}");
    }
}

fn number(text: &str) -> i64 {
    match text.strip_prefix("max") {
        Some("") => i64::MAX,
        Some(less) => i64::MAX + less.parse::<i64>().unwrap(),
        None => text.replace('_', "").parse().unwrap(),
    }
}

fn movement(name: &str) -> Movement {
    match name {
        "transfer" => Movement::WalletToWallet,
        "hop-out" => Movement::HopOut,
        "hop-in" => Movement::HopIn,
        "hop-back" => Movement::HopBack,
        "hold" => Movement::Hold,
        "settle" => Movement::Settle,
        "void" => Movement::Void,
        "return" => Movement::Return,
        "hold-in" => Movement::HoldIn,
        "settle-in" => Movement::SettleIn,
        "void-in" => Movement::VoidIn,
        "return-in" => Movement::ReturnIn,
        "give-back" => Movement::GiveBack,
        "fund" => Movement::Fund,
        other => panic!("no movement {other}"),
    }
}

/// Runs a table; the answer is the table with what was found in place of what was expected.
fn check(table: &str) {
    let mut books = Books::default();
    let mut found = String::new();
    let table: Vec<&str> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for line in &table {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = match words[..] {
            ["account", name, currency] => {
                books.open(name, currency, Balance::default());
                (*line).to_owned()
            }
            ["account", name, currency, debits, credits, held] => {
                let balance = Balance {
                    debits_posted: number(debits),
                    credits_posted: number(credits),
                    debits_held: number(held),
                    ..Balance::default()
                };
                books.open(name, currency, balance);
                // The other side of what it begins with.
                let other = Balance {
                    credits_posted: number(debits),
                    debits_posted: number(credits),
                    credits_held: number(held),
                    ..Balance::default()
                };
                books.open(&format!("against-{name}"), currency, other);
                (*line).to_owned()
            }
            ["do", name, from, to, amount, "->", _] => {
                let ask = books.ask(movement(name), from, to, number(amount));
                let outcome = books.decide(&ask, None);
                format!("do {name} {from} {to} {amount} -> {outcome}")
            }
            ["again", name, from, to, amount, "of", debit, was, "->", _] => {
                let ask = books.ask(movement(name), from, to, number(amount));
                let known = match debit {
                    "nothing" => Known::Marked,
                    debit => Known::Moved {
                        debit: books.accounts[books.slot(debit) as usize].number,
                        amount: number(was),
                    },
                };
                let outcome = books.decide(&ask, Some(known));
                format!("again {name} {from} {to} {amount} of {debit} {was} -> {outcome}")
            }
            ["=", name, ..] => {
                let balance = books.accounts[books.slot(name) as usize].balance;
                format!(
                    "= {name} {} {} {} {} {}",
                    balance.available(),
                    balance.debits_posted,
                    balance.credits_posted,
                    balance.debits_held + balance.credits_held,
                    balance.debits_released + balance.credits_released,
                )
            }
            _ => panic!("no such line: {line}"),
        };
        found += &line;
        found.push('\n');
    }
    let word = |word: &str| match word.starts_with("max") {
        true => number(word).to_string(),
        false => word.to_owned(),
    };
    let normal = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    let expected: String = table.iter().map(|line| normal(line) + "\n").collect();
    let found: String = found.lines().map(|line| normal(line) + "\n").collect();
    assert_eq!(expected, found, "\nexpected:\n{expected}\nfound:\n{found}");
}

#[test]
fn transfers_between_wallets() {
    check(
        "account adjustments USD
         account a           USD
         account b           USD
         do fund     - a 1000    -> done
         do transfer a b  400    -> done
         do transfer a b  601    -> InsufficientFunds
         do transfer a b  600    -> done
         do transfer a b    1    -> InsufficientFunds
         do transfer b a 1000    -> done
         = a           1000 1000 2000 0 0
         = b              0 1000 1000 0 0
         = adjustments -1000 1000   0 0 0",
    );
}

#[test]
fn the_order_of_refusals() {
    // What is wrong first is what is said: accounts, currencies, overflow, funds.
    check(
        "account a     USD 0      100     0
         account full  USD 0      max     0
         account euro  EUR 0      100     0
         do transfer no   no   1000 -> NoSuchWallet
         do transfer a    no   1000 -> NoSuchWallet
         do transfer no   a    1000 -> NoSuchWallet
         do transfer a    a    1    -> NoSuchWallet
         do transfer a    euro 1000 -> NoSuchWallet
         do transfer euro a    1000 -> NoSuchWallet
         do transfer a    full 1000 -> Overflow
         do transfer a    full 1    -> Overflow
         do transfer full a    max  -> Overflow
         do transfer full a    max-100 -> done
         do transfer full a    100  -> Overflow
         = a    max 0 max 0 0",
    );
}

#[test]
fn what_was_done_before() {
    check(
        "account a USD 0 100 0
         account b USD
         again transfer a b 100 of a 100 -> already-done
         again transfer a b 100 of a 99  -> contradiction
         again transfer a b 100 of b 100 -> contradiction
         again transfer a b 100 of nothing 0 -> already-done
         again transfer no b 100 of a 100 -> contradiction
         = a 100 0 100 0 0",
    );
}

#[test]
fn holds() {
    check(
        "account a          USD 0 1000 0
         account out        USD
         account settlement USD
         do hold   a - 300 -> done
         = a          700   0 1000 300   0
         = out          0   0    0 300   0
         do hold   a - 701 -> InsufficientFunds
         do hold   a - 700 -> done
         do hold   a - 1   -> InsufficientFunds
         do void   a - 700 -> done
         = a          700   0 1000 1000 700
         do settle a - 300 -> done
         = a          700 300 1000 1000 1000
         = out          0 300  300 1000 1000
         = settlement 300   0  300    0    0",
    );
}

#[test]
fn money_that_comes_back() {
    check(
        "account a          USD 0 1000 0
         account out        USD
         account settlement USD
         do hold   a - 300 -> done
         do settle a - 300 -> done
         do return a - 300 -> done
         = a          1000 300 1300 300 300
         = out           0 600  600 300 300
         = settlement    0 300  300   0   0",
    );
}

#[test]
fn money_from_a_rail() {
    // Pending money is not available; what is taken back may leave less than nothing.
    check(
        "account a          USD 0 100 0
         account b          USD
         account in         USD
         account settlement USD
         do hold-in   - a 300 -> done
         = a           100   0 100 300   0
         do transfer  a b 101 -> InsufficientFunds
         do hold-in   - a 50  -> done
         do void-in   - a 50  -> done
         do settle-in - a 300 -> done
         = a           400   0 400 350 350
         = in            0 300 300 350 350
         = settlement -300 300   0   0   0
         do transfer  a b 350 -> done
         do return-in - a 300 -> done
         = a          -250 650 400 350 350
         = in            0 600 600 350 350
         = settlement    0 300 300   0   0
         do transfer  a b 1 -> InsufficientFunds",
    );
}

#[test]
fn pending_money_has_room_to_arrive() {
    check(
        "account a  USD 0 max-10 0
         account in USD
         account settlement USD
         do hold-in - a 11 -> Overflow
         do hold-in - a 10 -> done
         do hold-in - a 1  -> Overflow
         do settle-in - a 10 -> done
         = a max 0 max 10 10",
    );
}

#[test]
fn a_hold_that_was_granted_never_fails_later() {
    // The room for a posting is taken when it is held.
    check(
        "account a          USD 0       max   0
         account out        USD 0       max-10 0
         account settlement USD
         do hold a - 11 -> Overflow
         do hold a - 10 -> done
         do hold a - 1  -> Overflow
         do settle a - 10 -> done
         = out max-10 10 max 10 10",
    );
}

#[test]
fn hops() {
    check(
        "account a    USD 0 100 0
         account b    USD
         account xout USD
         account xin  USD
         do hop-out  a - 60 -> done
         do hop-out  a - 41 -> InsufficientFunds
         do hop-in   - b 60 -> done
         do hop-in   - no 60 -> NoSuchWallet
         do hop-out  a - 40 -> done
         do hop-back a - 40 -> done
         = a     40 100 140 0 0
         = b     60   0  60 0 0
         = xout  60  40 100 0 0
         = xin  -60  60   0 0 0",
    );
}

#[test]
fn a_rail_decides_once() {
    use HoldState::{Canceled, Open, Posted, Returned, Voided};
    let all = [
        RailState::Pending,
        RailState::Accepted,
        RailState::Rejected,
        RailState::Canceled,
        RailState::Returned,
    ];
    let shown = |resolution| match resolution {
        Resolution::Done(state, _) => format!("{state:?}"),
        Resolution::AlreadyDone => "-".to_owned(),
        Resolution::Contradiction => "alarm".to_owned(),
    };
    let table: Vec<(HoldState, [&str; 5])> = vec![
        // said:     Pending  Accepted  Rejected  Canceled  Returned
        (Open, ["-", "Posted", "Voided", "Canceled", "alarm"]),
        (Posted, ["-", "-", "alarm", "alarm", "Returned"]),
        (Voided, ["-", "alarm", "-", "alarm", "alarm"]),
        (Canceled, ["-", "alarm", "alarm", "-", "alarm"]),
        (Returned, ["-", "-", "alarm", "alarm", "-"]),
    ];
    for direction in [Direction::Out, Direction::In] {
        for (state, expected) in &table {
            let found = all.map(|said| shown(resolve(*state, direction, said)));
            assert_eq!(found, *expected, "{state:?} {direction:?}");
        }
    }
}

/// `leg | how it ended | first leg | second leg | what follows`
const FOLLOWS: &str = "
0 | Posted   | Posted   | Waiting  | Begin
0 | Posted   | Posted   | Dropped  | GiveBack
0 | Voided   | Voided   | Waiting  | Drop
0 | Voided   | Voided   | Dropped  | Nothing
0 | Canceled | Canceled | Waiting  | Drop
0 | Returned | Returned | Open     | Nothing
0 | Returned | Returned | Posted   | Nothing
1 | Posted   | Posted   | Posted   | Nothing
1 | Voided   | Posted   | Voided   | GiveBack
1 | Canceled | Posted   | Canceled | GiveBack
1 | Returned | Posted   | Returned | GiveBack
1 | Voided   | Returned | Voided   | ToWallet
1 | Returned | Returned | Returned | ToWallet
2 | Posted   | Posted   | Voided   | Nothing
2 | Voided   | Posted   | Voided   | ToWallet
2 | Returned | Posted   | Voided   | ToWallet
";

#[test]
fn what_follows_for_the_other_legs() {
    let states = (0..7).filter_map(HoldState::from_number);
    let named: BTreeMap<String, HoldState> =
        states.map(|state| (format!("{state:?}"), state)).collect();
    for line in FOLLOWS.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [leg, ended, first, second, expected] = cells[..] else { panic!("{line}") };
        let found = follow(leg.parse().unwrap(), named[ended], named[first], named[second]);
        assert_eq!(format!("{found:?}"), expected, "{line}");
    }
    assert_eq!(undone(HoldState::Voided), Undone::Refused);
    assert_eq!(undone(HoldState::Returned), Undone::Returned);
    assert_eq!(undone(HoldState::Canceled), Undone::Canceled);
    assert_eq!(undone(HoldState::Dropped), Undone::Canceled);
}

#[test]
fn transit_has_no_more_than_came() {
    check(
        "account transit    USD
         account in         USD
         account out        USD
         account settlement USD
         account a          USD
         do hold      transit - 1         -> InsufficientFunds
         do hold-in   - transit 300       -> done
         do hold      transit - 300       -> InsufficientFunds
         do settle-in - transit 300       -> done
         do hold      transit - 300       -> done
         do void      transit - 300       -> done
         do give-back transit a 300       -> done
         = transit      0 300 300 600 600
         = a          300   0 300   0   0",
    );
}

#[test]
fn keys_are_packed() {
    let row = (1 << 54) - 1;
    assert_eq!(key(0, 0, Step::Hold, 0), 0);
    assert_eq!(key(row, 3, Step::Hop, 7), (row << 8) | 0xff);
    assert_eq!(key(1, 1, Step::Settle, 0), 256 + 64 + 24);
    for (number, step) in Step::ALL.into_iter().enumerate() {
        assert_eq!(step as usize, number);
        assert_eq!(Step::of_key(key(row, 2, step, 5)), step);
    }
}

#[test]
fn names_are_read_back() {
    let wallet = Role::Wallet(WalletId(from_parts(5, 6)));
    let all = [
        wallet,
        Role::Out(Rail::Rtp),
        Role::In(Rail::Card),
        Role::Settlement(Rail::Ach),
        Role::Transit,
        Role::Adjustments,
        Role::Xout(63),
        Role::Xin(0),
    ];
    for role in all {
        assert_eq!(Role::from_name(&role.name()), Some(role));
    }
    for name in ["", "wallet", "wallet:x", "rtp:inn", "xout:", "xout:-1", "adjustments:"] {
        assert_eq!(Role::from_name(name), None, "{name}");
    }
}

/// One random command: movement, source, destination, amount.
fn commands() -> impl Strategy<Value = Vec<(u8, usize, usize, i64)>> {
    prop::collection::vec((0_u8..11, 0_usize..4, 0_usize..4, 1_i64..2_000), 1..120)
}

proptest! {
    /// Money is kept, no wallet falls below zero, counters never fall, and a void gives back all.
    #[test]
    fn random_movements(commands in commands()) {
        let mut books = Books::default();
        let wallets = ["a", "b", "c", "d"];
        let own = ["out", "in", "settlement", "adjustments", "xout", "xin"];
        wallets.iter().chain(&own).for_each(|name| books.open(name, "USD", Balance::default()));
        let mut model = [0_i64; 4];
        let mut open: Vec<(usize, i64)> = Vec::new();
        let mut coming: Vec<(usize, i64)> = Vec::new();
        for (which, from, to, amount) in commands {
            let before: Vec<Balance> = books.accounts.iter().map(|a| a.balance).collect();
            if which >= 8 {
                // Money that comes in: pending, then there or gone.
                let (movement, to, amount) = match (which, coming.first()) {
                    (9, Some((to, amount))) => (Movement::SettleIn, *to, *amount),
                    (10, Some((to, amount))) => (Movement::VoidIn, *to, *amount),
                    _ => (Movement::HoldIn, to, amount),
                };
                let ask = books.ask(movement, "-", wallets[to], amount);
                prop_assert_eq!(books.decide(&ask, None), "done");
                match movement {
                    Movement::HoldIn => coming.push((to, amount)),
                    Movement::SettleIn => { model[to] += amount; coming.remove(0); }
                    _ => { coming.remove(0); }
                }
                continue;
            }
            let (movement, from, amount) = match (which, open.is_empty()) {
                (0, _) => (Movement::Fund, from, amount),
                (1, _) => (Movement::Hold, from, amount),
                (2, false) => { let (from, amount) = open[0]; (Movement::Settle, from, amount) }
                (3, false) => { let (from, amount) = open[0]; (Movement::Void, from, amount) }
                (4, _) => (Movement::HopOut, from, amount),
                (5, _) => (Movement::HopIn, from, amount),
                _ => (Movement::WalletToWallet, from, amount),
            };
            let ask = books.ask(movement, wallets[from], wallets[to], amount);
            let done = books.decide(&ask, None) == "done";
            if done {
                match movement {
                    Movement::Fund | Movement::HopIn => model[to] += amount,
                    Movement::Hold => { model[from] -= amount; open.push((from, amount)); }
                    Movement::HopOut => model[from] -= amount,
                    Movement::Settle => { open.remove(0); }
                    Movement::Void => { model[from] += amount; open.remove(0); }
                    _ => { model[from] -= amount; model[to] += amount; }
                }
            } else {
                let takes = matches!(
                    movement, Movement::WalletToWallet | Movement::Hold | Movement::HopOut);
                prop_assert!(takes && (model[from] < amount || from == to), "{movement:?}");
            }
            for (index, expected) in model.iter().enumerate() {
                prop_assert_eq!(books.accounts[index].balance.available(), *expected);
                prop_assert!(*expected >= 0);
            }
            for (old, account) in before.iter().zip(&books.accounts) {
                let new = &account.balance;
                prop_assert!(new.debits_posted >= old.debits_posted);
                prop_assert!(new.credits_posted >= old.credits_posted);
                prop_assert!(new.debits_held >= old.debits_held);
                prop_assert!(new.credits_held >= old.credits_held);
                prop_assert!(new.debits_released >= old.debits_released);
                prop_assert!(new.credits_released >= old.credits_released);
            }
        }
    }
}
