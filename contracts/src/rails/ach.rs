//! What the ACH rail answers: why an entry waits, and what an operator asks and decides.

use serde::{Deserialize, Serialize};

use super::WaitingQuery;
use crate::{
    Access, Body, NoBody, NoPath, NoQuery, Refusal, Timestamp, endpoint, endpoint::json,
    transfers::Waiting,
};

/// Answer of [`CutOffAch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AchCutOff {
    /// How many entries go with the next file, at once, instead of at their cut-off.
    pub entries: u64,
}

/// A file of ours and how far it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AchFile {
    /// From 1.
    pub number: i64,
    /// Its name at the bank.
    pub name: String,
    /// `fixed`, `sending`, `renaming`, `held`, `sent`, `acknowledged` or `refused`.
    pub status: String,
    pub entries: i64,
    /// Minor units.
    pub total_debit: i64,
    /// Minor units.
    pub total_credit: i64,
    /// SHA-256 of its bytes.
    pub hash: String,
    /// The cut-off that made it.
    pub created_on: Timestamp,
    /// Why it is held, or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something that the bank said and that fits no entry of ours: a person must look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AchException {
    pub at: Timestamp,
    /// The bank's file.
    pub file: String,
    /// The trace number that it names; empty where it is about a whole file.
    pub trace_number: String,
    /// `R01`, `C01`.
    pub code: String,
    /// Minor units.
    pub amount: i64,
    pub why: String,
}

/// A path that names a file of ours.
#[derive(Clone, Serialize, Deserialize)]
pub struct AchFilePath {
    pub number: i64,
}

/// Body of [`DecideAchFile`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AchFileDecision {
    /// The bank has it; otherwise it has not, and the same file is sent again.
    pub arrived: bool,
}
impl Body for AchFileDecision {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

endpoint!(
    /// Why a transfer's ACH entry waits; 404 where it does not (any more).
    GetAchWaiting, "ach", Get "/internal/ach/waiting", Access::Internal,
    (NoPath, WaitingQuery, NoBody) -> Waiting);
endpoint!(
    /// Makes the cut-off of everything collected now.
    CutOffAch, "ach", Post "/operations/ach/cutoff", Access::Operator,
    (NoPath, NoQuery, NoBody) -> AchCutOff);
endpoint!(
    /// The newest files, the newest first.
    ListAchFiles, "ach", Get "/operations/ach/files", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Vec<AchFile>);
endpoint!(
    /// What the bank said and fits nothing, the newest first.
    ListAchExceptions, "ach", Get "/operations/ach/exceptions", Access::Operator,
    (NoPath, NoQuery, NoBody) -> Vec<AchException>);
endpoint!(
    /// Decides on a file that is held since nobody can tell whether the bank has it. A person has
    /// asked the bank.
    DecideAchFile, "ach", Post "/operations/ach/files/{number}/decision", Access::Operator,
    (AchFilePath, NoQuery, AchFileDecision) -> AchFile);
