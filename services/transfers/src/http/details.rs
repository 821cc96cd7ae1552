//! What each rail did with a transfer, in Moov's words.

use std::collections::BTreeMap;

use contracts::{
    Timestamp,
    ids::TransferId,
    rails::{Rail, RailState},
    transfers::{AchCode, AchDetails, CardDetails, GivenBack, InstantBankDetails, TransferStatus},
};

use crate::domain::{Legs, Parties, Progress, RailWord, Side};

/// What a leg's rail said last, and which leg it is.
pub struct Leg<'p> {
    number: u8,
    word: Option<&'p RailWord>,
}

/// The leg of a side.
pub fn leg<'p>(parties: &Parties, side: &Side, progress: &'p Progress) -> Leg<'p> {
    let detail = &progress.detail;
    if parties.legs() == Legs::Two && side.method == parties.destination.method {
        return Leg { number: 1, word: detail.second.as_deref() };
    }
    Leg { number: 0, word: detail.rail.as_ref() }
}

/// How the first leg's money goes back, where it does.
pub fn given_back(progress: &Progress) -> Option<GivenBack> {
    let detail = &progress.detail;
    let status = match (detail.gave_back, &detail.back) {
        (Some(true), _) => "completed",
        (Some(false), _) => "wallet",
        (None, Some(_)) => "pending",
        (None, None) => return None,
    };
    let reference = detail.back.as_ref().and_then(|word| word.reference.clone());
    Some(GivenBack { status: status.to_owned(), reference })
}

/// The rail's own word for where it is; before the first, `initiated`, or `failed` and `canceled`
/// where the transfer ended before its rail heard of it.
fn status(progress: &Progress, leg: &Leg<'_>) -> String {
    let named = leg.word.and_then(|word| word.stage.clone());
    named.unwrap_or_else(|| {
        let status = match progress.status {
            TransferStatus::Failed => "failed",
            TransferStatus::Canceled => "canceled",
            _ => "initiated",
        };
        status.to_owned()
    })
}

/// When the rail reached each of its stages.
fn updates(progress: &Progress, leg: &Leg<'_>) -> BTreeMap<String, Timestamp> {
    let stages = progress.detail.stages.iter().filter(|stage| stage.leg == leg.number);
    stages.map(|stage| (stage.name.clone(), Timestamp(stage.at))).collect()
}

/// What the card host did with a transfer.
pub fn card(leg: &Leg<'_>, progress: &Progress) -> CardDetails {
    let word = leg.word;
    CardDetails {
        status: status(progress, leg),
        network_response_code: word.and_then(|word| word.network_code.clone()),
        failure_code: word.and_then(|word| word.failure_code.clone()),
        retrieval_reference: word.and_then(|word| word.reference.clone()),
        status_updates: updates(progress, leg),
    }
}

/// What the banks did with an entry.
pub fn ach(leg: &Leg<'_>, progress: &Progress) -> AchDetails {
    let word = leg.word;
    let code = |kind: char| {
        let word = word?;
        let code = word.network_code.clone().filter(|code| code.starts_with(kind))?;
        let reason = word.reason.clone().unwrap_or_default();
        Some(AchCode { code, description: reason.clone(), reason })
    };
    AchDetails {
        status: status(progress, leg),
        trace_number: word.and_then(|word| word.reference.clone()),
        returned: code('R'),
        correction: code('C'),
        status_updates: updates(progress, leg),
    }
}

/// What the instant rail did with a transfer.
pub fn instant(transfer: TransferId, leg: &Leg<'_>, progress: &Progress) -> InstantBankDetails {
    let word = leg.word;
    let code = word.and_then(|word| word.network_code.clone());
    let unsent = matches!(progress.status, TransferStatus::Failed | TransferStatus::Canceled);
    let status = match word.map(|word| word.state) {
        None if unsent => "failed",
        None => "initiated",
        Some(RailState::Pending) if code.as_deref() == Some("ACWP") => "accepted-without-posting",
        Some(RailState::Pending) => "initiated",
        Some(RailState::Accepted | RailState::Returned) => "completed",
        Some(RailState::Rejected | RailState::Canceled) => "failed",
    };
    InstantBankDetails {
        network: Rail::Rtp.service().to_owned(),
        status: status.to_owned(),
        network_response_code: code,
        failure_code: word.and_then(|word| word.failure_code.clone()),
        // 36 characters do not fit into a message: the id without its dashes.
        end_to_end_id: Some(transfer.0.simple().to_string()),
    }
}
