//! What operators see of the rail: its connection, its circuit, its queue and what waits in it.

use contracts::{
    Timestamp,
    operations::{RailCircuit, RailConnection, RailQueue, RailWaiting},
};
use runtime::{Connects, Platform};
use store::Tx;

use crate::{
    Rtp,
    domain::{Instruction, State},
    link::Allowed,
    store as tables,
};

/// Instructions that are listed.
const LISTED_MOST: usize = 50;

impl Connects for Rtp {
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
            unknown: count(State::Unknown),
            pending: count(State::Pending),
        };
        let circuit = self.circuit(platform);
        let open = tables::list_open(tx, LISTED_MOST)?;
        let waiting = open.iter().map(|one| waiting(one, circuit.state != "closed")).collect();
        let (state, detail) = match circuit.state.as_str() {
            "closed" if queue.sending > 0 => ("connected", "messages are on their way".to_owned()),
            "closed" => ("idle", "nothing is under way, and the last answer came".to_owned()),
            _ => {
                let times = circuit.failures;
                ("unavailable", format!("it refused or was silent {times} times in a row"))
            }
        };
        Ok(RailConnection {
            name: "rtp".to_owned(),
            address: self.config.participant.clone(),
            state: state.to_owned(),
            detail,
            circuit,
            queue,
            waiting,
            last_sent_on: None,
            last_looked_on: None,
            files: Vec::new(),
        })
    }
}

impl Rtp {
    fn circuit(&self, platform: &Platform) -> RailCircuit {
        let now = platform.monotonic().micros();
        let circuit = self.link.circuit.lock();
        let (state, until) = match circuit.allows(now) {
            Allowed::All => ("closed", None),
            Allowed::Probe => ("probing", None),
            Allowed::Nothing { until } => ("open", Some(until)),
        };
        let pause = until.and_then(|until| i64::try_from(until.saturating_sub(now)).ok());
        RailCircuit {
            state: state.to_owned(),
            failures: circuit.failures(),
            next_on: pause.map(|pause| platform.clock().machine().plus_micros(pause)),
        }
    }
}

fn waiting(one: &Instruction, refused: bool) -> RailWaiting {
    let (state, reason) = match one.state {
        State::Ready if refused => ("ready", "the network refuses connections"),
        State::Ready => ("ready", "its turn has not come"),
        State::Sending => ("sending", "an answer is waited for"),
        State::Unknown => ("unknown", "there was no answer; the network is being asked"),
        _ => ("pending", "the network has it and has not decided"),
    };
    RailWaiting {
        transfer_id: one.key.transfer,
        state: state.to_owned(),
        reason: reason.to_owned(),
        since: Timestamp(one.queued),
    }
}
