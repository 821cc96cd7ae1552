//! Corrections: what a receiving bank says of a bank account's details (Nacha's notification of
//! change), from the rail that heard it to the service that keeps them.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::Nothing;
use crate::{
    Access, Body, Code, NoPath, NoQuery, Refusal, endpoint, endpoint::json, ids::PaymentMethodId,
};

/// Body of [`CorrectBankAccount`]. No `Debug`: it may hold an account number.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorrectBankAccountRequest {
    /// The method that the corrected entry used, and the version of it.
    #[serde(rename = "paymentMethodID")]
    pub payment_method_id: PaymentMethodId,
    pub version: i64,
    /// `C01` to `C14`.
    pub change_code: String,
    pub corrected: Corrected,
    /// One notice has one cause, of 1 to 128 characters: the same again changes nothing.
    pub cause: String,
}
impl Body for CorrectBankAccountRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        // What a parser says may repeat a number.
        json(bytes).map_err(|_| Refusal::new(Code::MalformedRequest, "this is no correction"))
    }
}

/// What is right from now on; what is absent stays. Wiped when dropped.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Corrected {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_number: Option<String>,
    /// `checking`, `savings`, `general-ledger` or `loan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_account_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
}
impl Drop for Corrected {
    fn drop(&mut self) {
        self.account_number.zeroize();
    }
}

endpoint!(
    /// Corrects a bank account as its bank said. Its methods' versions are raised, and none is
    /// revoked: whatever waits goes where the account is now. 404 where there never was such a
    /// method or version, 409 where the account has linked the corrected one besides, 422 where
    /// what is right breaks a field rule. Its body is never recorded.
    CorrectBankAccount, "payment-methods", Post "/internal/payment-methods/corrections",
    Access::Internal, (NoPath, NoQuery, CorrectBankAccountRequest) -> Nothing);
