//! What operators see of the rail: its connection, its queue and what waits in it.

use contracts::{
    Timestamp,
    operations::{RailCircuit, RailConnection, RailFile, RailQueue, RailWaiting},
};
use runtime::{Connects, Platform};
use store::Tx;

use crate::{
    Card,
    domain::{Instruction, State},
    store as tables,
};

/// Instructions that are listed.
const LISTED_MOST: usize = 50;
/// Settlement files that are listed.
const FILES_MOST: i64 = 20;

impl Connects for Card {
    fn connection(
        &self,
        platform: &Platform,
        tx: &mut Tx<'_>,
    ) -> Result<RailConnection, store::Error> {
        let counts = tables::count_open(tx)?;
        let count = |state: State| counts.get(&state.number()).copied().unwrap_or(0);
        let queue = RailQueue {
            ready: count(State::Ready),
            sending: count(State::Sending),
            unknown: count(State::Reversing),
            pending: count(State::Confirmed),
        };
        let seen = self.link.seen();
        let silent = self.link.is_silent();
        let is_up = seen.state == "signed-on" && silent.is_none();
        let now = platform.monotonic().micros();
        let retry = seen.retry.and_then(|at| i64::try_from(at.saturating_sub(now)).ok());
        let next_on = retry.map(|pause| platform.clock().machine().plus_micros(pause));
        let open = tables::list_open(tx, LISTED_MOST)?;
        let why = seen.why.unwrap_or_else(|| "it was not connected yet".to_owned());
        let (state, detail) = match seen.state {
            "signed-on" if let Some(times) = silent => {
                ("unavailable", format!("it left {times} messages in a row without an answer"))
            }
            "signed-on" => ("connected", "signed on to the host".to_owned()),
            "signing-on" => ("unavailable", "the sign-on is not answered yet".to_owned()),
            _ => ("unavailable", why),
        };
        Ok(RailConnection {
            name: "card".to_owned(),
            address: self.config.host.clone(),
            state: state.to_owned(),
            detail,
            circuit: RailCircuit {
                state: if is_up { "closed" } else { "open" }.to_owned(),
                failures: silent.unwrap_or(u32::from(!is_up)),
                next_on,
            },
            queue,
            waiting: open.iter().map(|one| waiting(one, is_up, silent.is_some())).collect(),
            last_sent_on: None,
            last_looked_on: None,
            files: tables::list_newest_files(tx, FILES_MOST)?.into_iter().map(received).collect(),
        })
    }
}

fn received(file: tables::File) -> RailFile {
    let state = if file.fault.is_some() { "set-aside" } else { "taken-in" };
    let reason = match (file.fault, file.apart) {
        (Some(fault), _) => Some(fault),
        (None, 0) => None,
        (None, 1) => Some("one difference: see /operations/card/exceptions".to_owned()),
        (None, apart) => Some(format!("{apart} differences: see /operations/card/exceptions")),
    };
    RailFile {
        name: file.name,
        direction: "received".to_owned(),
        state: state.to_owned(),
        at: file.at,
        entries: u64::try_from(file.applied).unwrap_or(0),
        reason,
    }
}

fn waiting(one: &Instruction, is_up: bool, is_silent: bool) -> RailWaiting {
    let (state, reason) = match one.state {
        State::Ready if is_silent => {
            ("ready", "the host answers nothing: nothing more is sent to it")
        }
        State::Ready if !is_up => ("ready", "there is no connection to the host"),
        State::Ready => ("ready", "its turn has not come"),
        State::Sending => ("sending", "an answer is waited for"),
        State::Reversing => ("unknown", "it is being reversed until the host says that it is"),
        _ => ("pending", "approved; its funds are released with the settlement"),
    };
    RailWaiting {
        transfer_id: one.key.transfer,
        state: state.to_owned(),
        reason: reason.to_owned(),
        since: Timestamp(one.queued),
    }
}
