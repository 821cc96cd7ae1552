//! What accounts answers and emits: accounts, capabilities, API keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Body, NoBody, NoPath, NoQuery, Refusal, Timestamp, endpoint,
    endpoint::json,
    event,
    ids::{AccountId, KeyId},
};

/// A path that names an account.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccountPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
}

/// Offset paging as Moov's SDKs send it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Paging {
    /// Rows to leave out, 0 where absent.
    pub skip: Option<u32>,
    /// Rows to answer with, 20 where absent, at most 1,000.
    pub count: Option<u32>,
}

/// Who an account belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub individual: Option<Individual>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business: Option<Business>,
}

/// A person, as far as money movement needs one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Individual {
    pub name: PersonName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A person's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonName {
    pub first_name: String,
    pub last_name: String,
}

/// A business, as far as money movement needs one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Business {
    pub legal_business_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Profile {
    /// The name that others see.
    pub fn display_name(&self) -> String {
        match (&self.individual, &self.business) {
            (Some(person), _) => format!("{} {}", person.name.first_name, person.name.last_name),
            (None, Some(business)) => business.legal_business_name.clone(),
            (None, None) => String::new(),
        }
    }
}

/// Body of [`CreateAccount`].
#[derive(Clone, Debug, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateAccountRequest {
    /// `individual` or `business`.
    pub account_type: String,
    pub profile: Profile,
    #[serde(rename = "foreignID", default, skip_serializing_if = "Option::is_none")]
    pub foreign_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Granted at once in the sandbox; default `transfers`, `send-funds`, `collect-funds`, `wallet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// Moov's SDKs may send these; nothing here depends on them, and they are not kept.
    #[serde(default, skip_serializing)]
    pub mode: Option<serde_json::Value>,
    #[serde(default, skip_serializing)]
    pub terms_of_service: Option<serde_json::Value>,
    #[serde(default, skip_serializing)]
    pub customer_support: Option<serde_json::Value>,
    #[serde(default, skip_serializing)]
    pub settings: Option<serde_json::Value>,
}

impl Body for CreateAccountRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// `sandbox` or `production`.
    pub mode: String,
    pub account_type: String,
    pub display_name: String,
    pub profile: Profile,
    #[serde(rename = "foreignID", default, skip_serializing_if = "Option::is_none")]
    pub foreign_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    pub created_on: Timestamp,
    pub updated_on: Timestamp,
}

/// A capability of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// `transfers`, `send-funds`, `collect-funds`, `wallet`, ...
    pub capability: String,
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// `enabled` or `disabled`.
    pub status: String,
    pub created_on: Timestamp,
    pub updated_on: Timestamp,
}

/// Body of [`RequestCapabilities`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCapabilitiesBody {
    pub capabilities: Vec<String>,
}
impl Body for RequestCapabilitiesBody {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

/// A path that names a capability of an account.
#[derive(Clone, Serialize, Deserialize)]
pub struct CapabilityPath {
    #[serde(rename = "accountID")]
    pub account: AccountId,
    #[serde(rename = "capabilityID")]
    pub capability: String,
}

/// Body of [`CreateKey`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKeyRequest {
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// `transfers.read`, ...; empty means all of the account's; `operator` makes an operator's key.
    #[serde(default)]
    pub scopes: Vec<String>,
}
impl Body for CreateKeyRequest {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        json(bytes)
    }
}

/// An API key; the secret is there only in the answer that made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    #[serde(rename = "keyID")]
    pub key_id: KeyId,
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    pub public_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    pub scopes: Vec<String>,
    pub created_on: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_on: Option<Timestamp>,
}

/// A path that names a key.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyPath {
    #[serde(rename = "keyID")]
    pub key: KeyId,
}

endpoint!(
    /// Makes an account connected to the caller's.
    CreateAccount, "accounts", Post "/accounts", Access::Key,
    (NoPath, NoQuery, CreateAccountRequest) -> Account);
endpoint!(
    /// The caller's accounts: its own and those connected to it.
    ListAccounts, "accounts", Get "/accounts", Access::Key,
    (NoPath, Paging, NoBody) -> Vec<Account>);
endpoint!(
    /// One account.
    GetAccount, "accounts", Get "/accounts/{accountID}", Access::Account("profile.read"),
    (AccountPath, NoQuery, NoBody) -> Account);
endpoint!(
    /// Asks for capabilities; the sandbox grants them at once.
    RequestCapabilities, "accounts", Post "/accounts/{accountID}/capabilities",
    Access::Account("capabilities.write"),
    (AccountPath, NoQuery, RequestCapabilitiesBody) -> Vec<Capability>);
endpoint!(
    /// All capabilities of an account.
    ListCapabilities, "accounts", Get "/accounts/{accountID}/capabilities",
    Access::Account("capabilities.read"),
    (AccountPath, NoQuery, NoBody) -> Vec<Capability>);
endpoint!(
    /// One capability by its name.
    GetCapability, "accounts", Get "/accounts/{accountID}/capabilities/{capabilityID}",
    Access::Account("capabilities.read"),
    (CapabilityPath, NoQuery, NoBody) -> Capability);
endpoint!(
    /// Makes an API key; the answer is the only one that shows its secret.
    CreateKey, "accounts", Post "/operations/keys", Access::Operator,
    (NoPath, NoQuery, CreateKeyRequest) -> Key);
endpoint!(
    /// All keys, without their secrets.
    ListKeys, "accounts", Get "/operations/keys", Access::Operator,
    (NoPath, Paging, NoBody) -> Vec<Key>);
endpoint!(
    /// Revokes a key for good.
    RevokeKey, "accounts", Delete "/operations/keys/{keyID}", Access::Operator,
    (KeyPath, NoQuery, NoBody) -> Key);

/// An account was made.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct AccountCreated {
    #[n(0)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// The platform account it is connected to; the platform's own account names itself.
    #[n(1)]
    #[serde(rename = "facilitatorID")]
    pub facilitator_id: AccountId,
    #[n(2)]
    pub display_name: String,
    #[n(3)]
    pub email: Option<String>,
    #[n(4)]
    #[serde(rename = "foreignID")]
    pub foreign_id: Option<String>,
}
event!(AccountCreated, "account.created", kind 1, version 1, by ["accounts"]);

/// A capability of an account was granted or taken.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityUpdated {
    #[n(0)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    #[n(1)]
    pub capability: String,
    #[n(2)]
    pub enabled: bool,
}
event!(CapabilityUpdated, "capability.updated", kind 2, version 1, by ["accounts"]);

/// An API key was made. Carries the SHA-256 of `public:secret`, never the secret.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct KeyCreated {
    #[n(0)]
    #[serde(rename = "keyID")]
    pub key_id: KeyId,
    #[n(1)]
    #[serde(rename = "accountID")]
    pub account_id: AccountId,
    /// SHA-256 of the Basic credentials `public:secret`; 32 bytes.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub hash: Vec<u8>,
    /// Empty: everything the account may do. `operator`: the operations API too.
    #[n(3)]
    pub scopes: Vec<String>,
}
event!(KeyCreated, "key.created", kind 3, version 1, by ["accounts"]);

/// An API key is no longer good.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, minicbor::Encode, minicbor::Decode,
)]
#[serde(rename_all = "camelCase")]
pub struct KeyRevoked {
    #[n(0)]
    #[serde(rename = "keyID")]
    pub key_id: KeyId,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub hash: Vec<u8>,
}
event!(KeyRevoked, "key.revoked", kind 4, version 1, by ["accounts"]);
