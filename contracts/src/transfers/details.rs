//! What each rail did with a leg, as a transfer shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What an instant rail did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstantBankDetails {
    /// `rtp` or `fednow`
    pub network: String,
    /// `initiated`, `accepted-without-posting`, `completed` or `failed`
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_response_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    #[serde(rename = "endToEndID", default, skip_serializing_if = "Option::is_none")]
    pub end_to_end_id: Option<String>,
}

/// What a card did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardDetails {
    /// `initiated`, `confirmed`, `completed`, `failed` or `canceled`
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_response_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// The retrieval reference number under which the card host knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval_reference: Option<String>,
    /// When it reached each of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub status_updates: BTreeMap<String, Timestamp>,
}

/// A code of ACH with its meaning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AchCode {
    /// `R01`, `C02`
    pub code: String,
    pub reason: String,
    pub description: String,
}

/// What an ACH entry did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AchDetails {
    /// `initiated`, `originated`, `corrected`, `returned`, `completed`, `canceled` or `failed`
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_number: Option<String>,
    #[serde(rename = "return", default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<AchCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<AchCode>,
    /// When it reached each of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub status_updates: BTreeMap<String, Timestamp>,
}
