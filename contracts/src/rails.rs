//! What a rail tells the others: the outcome of one leg.

mod ach;
mod card;

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Body, NoBody, NoPath, NoQuery, Refusal, endpoint, event,
    ids::{PaymentMethodId, TransferId},
    transfers::Waiting,
};

pub use ach::{
    AchCutOff, AchException, AchFile, AchFileDecision, AchFilePath, CutOffAch, DecideAchFile,
    GetAchWaiting, ListAchExceptions, ListAchFiles,
};
pub use card::{CardException, GetCardWaiting, ListCardExceptions};

/// The payment rails. Its name is the service's name, its folder and its topic.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Rail {
    /// NACHA files by SFTP.
    #[n(0)]
    Ach,
    /// ISO 8583 over TCP.
    #[n(1)]
    Card,
    /// ISO 20022 over HTTP.
    #[n(2)]
    Rtp,
}

/// Why money moves, where its rail has rules of its own for that. The ledger hands it on unread.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Purpose {
    /// A micro-deposit: a credit of some cents that shows who can read an account's statements.
    #[n(0)]
    AccountVerification,
}

impl Rail {
    /// The service that runs this rail.
    pub fn service(self) -> &'static str {
        match self {
            Self::Ach => "ach",
            Self::Card => "card",
            Self::Rtp => "rtp",
        }
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service())
    }
}
impl FromStr for Rail {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Ach, Self::Card, Self::Rtp].into_iter().find(|rail| rail.service() == text).ok_or(())
    }
}

/// How far a leg came on its rail.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum RailState {
    /// On its way: nothing final is known (`accepted-without-posting` is in the network code).
    #[n(0)]
    Pending,
    /// The network took it for good.
    #[n(1)]
    Accepted,
    /// The network refused it for good, or it never arrived and can arrive no more.
    #[n(2)]
    Rejected,
    /// Taken back before a byte was sent.
    #[n(3)]
    Canceled,
    /// Taken for good, and brought back by the other side later: an ACH return after settlement.
    #[n(4)]
    Returned,
}

/// Which way a leg's money goes.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
    minicbor::Encode,
    minicbor::Decode,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Direction {
    /// From us to the outside: a credit to a bank account or card, a refund.
    #[default]
    #[n(0)]
    Out,
    /// From the outside to us: a debit of a bank account, a card payment.
    #[n(1)]
    In,
}

/// The rail's word on one leg of a transfer.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct RailOutcome {
    #[n(0)]
    #[serde(rename = "transferID")]
    pub transfer_id: TransferId,
    /// 0 the only or source leg, 1 the destination leg of two.
    #[n(1)]
    pub leg: u8,
    #[n(2)]
    pub rail: Rail,
    #[n(3)]
    pub state: RailState,
    /// The network's own code, `ACTC`, `AC04`, `R01`.
    #[n(4)]
    pub network_code: Option<String>,
    /// Moov's name of the failure, `account-closed`.
    #[n(5)]
    pub failure_code: Option<String>,
    /// The reference under which the network knows it: UETR, trace number, retrieval reference.
    #[n(6)]
    pub reference: Option<String>,
    /// The payment method that the leg used, so that its owner can act on a hard refusal.
    #[n(7)]
    #[serde(rename = "paymentMethodID", default, skip_serializing_if = "Option::is_none")]
    pub payment_method_id: Option<PaymentMethodId>,
    /// How far it is in the rail's own words, as Moov names them: `originated`, `confirmed`,
    /// `corrected`, `returned`.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What the network's code means, in words.
    #[n(9)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
event!(RailOutcome, "rail.outcome", kind 40, version 1, by ["ach", "card", "rtp"]);

/// Body of [`ReceiveRtpMessage`]: one ISO 20022 message, as it came.
#[derive(Clone)]
pub struct RtpMessage(pub Vec<u8>);

impl Body for RtpMessage {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        Ok(Self(bytes.to_vec()))
    }
}

/// Answer of [`ReceiveRtpMessage`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RtpReceived {
    /// `known` where it is about a payment of ours, `kept` where it is not.
    pub message: String,
}

/// Query of [`GetRtpWaiting`] and its sisters.
#[derive(Clone, Serialize, Deserialize)]
pub struct WaitingQuery {
    pub transfer: TransferId,
}

endpoint!(
    /// Where the RTP network posts later answers (pacs.002). Anybody may post here, so nothing is
    /// believed for having come: a report that fits a payment of ours makes the rail ask the network.
    ReceiveRtpMessage, "rtp", Post "/rails/rtp/messages", Access::Open,
    (NoPath, NoQuery, RtpMessage) -> RtpReceived);
endpoint!(
    /// Why a transfer's RTP instruction waits; 404 where it does not (any more).
    GetRtpWaiting, "rtp", Get "/internal/rtp/waiting", Access::Internal,
    (NoPath, WaitingQuery, NoBody) -> Waiting);
