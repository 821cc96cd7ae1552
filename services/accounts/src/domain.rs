//! Accounts, capabilities and keys: the field rules, and what each request comes to. Pure.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::{
    Code, Refusal, Timestamp,
    accounts::{self as contract, CreateAccountRequest, Profile},
    ids::{AccountId, KeyId},
};
use sha2::{Digest, Sha256};

#[cfg(test)]
mod tests;

/// Capabilities of an account that asks for none by name.
pub const DEFAULT_CAPABILITIES: [&str; 4] = ["transfers", "send-funds", "collect-funds", "wallet"];

/// Every capability that can be asked for, by Moov's names.
pub const CAPABILITIES: [&str; 14] = [
    "transfers",
    "send-funds",
    "send-funds.ach",
    "send-funds.rtp",
    "send-funds.instant-bank",
    "send-funds.push-to-card",
    "collect-funds",
    "collect-funds.ach",
    "collect-funds.card-payments",
    "money-transfer.push-to-card",
    "money-transfer.pull-from-card",
    "wallet",
    "wallet.balance",
    "platform.wallet-transfers",
];

/// An account as it is stored; the mode is the installation's.
#[derive(Clone)]
pub struct Account {
    pub id: AccountId,
    /// Itself for the platform's own account.
    pub facilitator: AccountId,
    pub account_type: String,
    pub profile: Profile,
    pub foreign_id: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Account {
    /// The name that others see.
    pub fn display_name(&self) -> String {
        self.profile.display_name()
    }
    /// The address of its person or business.
    pub fn email(&self) -> Option<String> {
        let person = self.profile.individual.as_ref().and_then(|person| person.email.clone());
        person.or_else(|| self.profile.business.as_ref().and_then(|own| own.email.clone()))
    }
    /// As the API shows it.
    pub fn shown(&self, mode: &str) -> contract::Account {
        contract::Account {
            account_id: self.id,
            mode: mode.to_owned(),
            account_type: self.account_type.clone(),
            display_name: self.display_name(),
            profile: self.profile.clone(),
            foreign_id: self.foreign_id.clone(),
            metadata: self.metadata.clone(),
            created_on: self.created,
            updated_on: self.updated,
        }
    }
}

/// A capability of an account.
#[derive(Clone)]
pub struct Capability {
    pub account: AccountId,
    pub name: String,
    pub enabled: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Capability {
    /// As the API shows it.
    pub fn shown(&self) -> contract::Capability {
        contract::Capability {
            capability: self.name.clone(),
            account_id: self.account,
            status: if self.enabled { "enabled" } else { "disabled" }.to_owned(),
            created_on: self.created,
            updated_on: self.updated,
        }
    }
}

/// An API key as it is stored: never the secret, only the hash of the credentials.
#[derive(Clone)]
pub struct Key {
    pub id: KeyId,
    pub account: AccountId,
    pub public: String,
    /// SHA-256 of `public:secret`, the credentials of HTTP Basic. The secret has 256 random bits,
    /// so a plain hash is the right one.
    pub hash: [u8; 32],
    pub scopes: Vec<String>,
    pub created: Timestamp,
    pub revoked: Option<Timestamp>,
}

impl Key {
    /// As the API shows it, without its secret.
    pub fn shown(&self) -> contract::Key {
        contract::Key {
            key_id: self.id,
            account_id: self.account,
            public_key: self.public.clone(),
            secret_key: None,
            scopes: self.scopes.clone(),
            created_on: self.created,
            revoked_on: self.revoked,
        }
    }
}

/// The two halves of a new key, from 48 random bytes: 16 for the public half, 32 for the secret.
pub fn key_pair(random: &[u8; 48]) -> (String, String) {
    let public = format!("pk_{}", URL_SAFE_NO_PAD.encode(&random[..16]));
    let secret = format!("sk_{}", URL_SAFE_NO_PAD.encode(&random[16..]));
    (public, secret)
}

/// What is stored of the two halves.
pub fn credentials_hash(public: &str, secret: &str) -> [u8; 32] {
    Sha256::new().chain_update(public).chain_update(":").chain_update(secret).finalize().into()
}

/// What revoking a key comes to.
pub enum Revocation {
    /// The key as it is from now on.
    Done(Box<Key>),
    /// It was revoked before; the first time stands.
    AlreadyDone,
}

/// Revokes a key for good.
pub fn revoke(key: &Key, now: Timestamp) -> Revocation {
    match key.revoked {
        Some(_) => Revocation::AlreadyDone,
        None => Revocation::Done(Box::new(Key { revoked: Some(now), ..key.clone() })),
    }
}

/// The capabilities that a request adds to those held, granted at once; none where all are held.
pub fn grant(
    account: AccountId,
    held: &[Capability],
    asked: &[String],
    now: Timestamp,
) -> Vec<Capability> {
    let mut granted: Vec<Capability> = Vec::new();
    for name in asked {
        let before = held.iter().find(|capability| capability.name == *name);
        let enabled = before.is_some_and(|capability| capability.enabled);
        if enabled || granted.iter().any(|capability| capability.name == *name) {
            continue;
        }
        let created = before.map_or(now, |capability| capability.created);
        let name = name.clone();
        granted.push(Capability { account, name, enabled: true, created, updated: now });
    }
    granted
}

/// Collects broken field rules, then refuses once with all of them.
struct Rules(Refusal);

impl Rules {
    fn new() -> Self {
        Self(Refusal::new(Code::InvalidField, "some fields break their rules"))
    }
    fn broken(&mut self, field: &str, broken: bool, rule: &str) {
        if broken {
            self.0.fields.entry(field.to_owned()).or_insert_with(|| rule.to_owned());
        }
    }
    fn text(&mut self, field: &str, text: &str, most: usize) {
        self.broken(field, text.trim().is_empty(), "must not be empty");
        self.broken(field, text.chars().count() > most, &format!("has at most {most} characters"));
        self.broken(field, text.chars().any(char::is_control), "holds a control character");
    }
    fn email(&mut self, field: &str, email: Option<&str>) {
        let Some(email) = email else { return };
        self.text(field, email, 255);
        let parts: Vec<&str> = email.split('@').collect();
        let shaped = parts.len() == 2
            && parts.iter().all(|part| !part.is_empty())
            && !email.contains(char::is_whitespace);
        self.broken(field, !shaped, "is no e-mail address");
    }
    fn done(self) -> Result<(), Refusal> {
        if self.0.fields.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// The field rules of a new account; a refusal names each that is broken by its JSON path.
pub fn check_account(request: &CreateAccountRequest) -> Result<(), Refusal> {
    let mut rules = Rules::new();
    check_profile(&mut rules, request);
    if let Some(foreign_id) = &request.foreign_id {
        rules.text("foreignID", foreign_id, 64);
    }
    let metadata = &request.metadata;
    rules.broken("metadata", metadata.len() > 100, "has at most 100 names");
    let bad = metadata.iter().any(|(name, value)| {
        let long = name.chars().count() > 100 || value.chars().count() > 1_000;
        name.is_empty() || long || name.contains('\0') || value.contains('\0')
    });
    rules.broken("metadata", bad, "names have 1 to 100 characters, values at most 1,000, no NUL");
    if let Some(asked) = &request.capabilities {
        capability_rules(&mut rules, asked);
    }
    rules.done()
}

fn check_profile(rules: &mut Rules, request: &CreateAccountRequest) {
    let profile = &request.profile;
    let (person, business) = (profile.individual.as_ref(), profile.business.as_ref());
    match request.account_type.as_str() {
        "individual" => {
            rules.broken("profile.individual", person.is_none(), "is needed");
            rules.broken("profile.business", business.is_some(), "is for a business only");
        }
        "business" => {
            rules.broken("profile.business", business.is_none(), "is needed");
            rules.broken("profile.individual", person.is_some(), "is for an individual only");
        }
        _ => rules.broken("accountType", true, "is individual or business"),
    }
    if let Some(person) = person {
        rules.text("profile.individual.name.firstName", &person.name.first_name, 64);
        rules.text("profile.individual.name.lastName", &person.name.last_name, 64);
        rules.email("profile.individual.email", person.email.as_deref());
    }
    if let Some(business) = business {
        rules.text("profile.business.legalBusinessName", &business.legal_business_name, 64);
        rules.email("profile.business.email", business.email.as_deref());
    }
}

fn capability_rules(rules: &mut Rules, asked: &[String]) {
    rules.broken("capabilities", asked.is_empty(), "names at least one");
    let unknown = asked.iter().any(|name| !CAPABILITIES.contains(&name.as_str()));
    let rule = format!("each is one of {}", CAPABILITIES.join(", "));
    rules.broken("capabilities", unknown, &rule);
}

/// The field rules of a request for capabilities.
pub fn check_capabilities(asked: &[String]) -> Result<(), Refusal> {
    let mut rules = Rules::new();
    capability_rules(&mut rules, asked);
    rules.done()
}

/// The field rules of a key's scopes: `operator`, or `<family>.read` or `.write`.
pub fn check_scopes(scopes: &[String]) -> Result<(), Refusal> {
    let good = |scope: &String| {
        let family = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        match scope.split_once('.') {
            Some((name, "read" | "write")) => family(name),
            Some(_) => false,
            None => scope == "operator",
        }
    };
    let mut rules = Rules::new();
    rules.broken("scopes", scopes.len() > 64, "has at most 64 scopes");
    let rule = "each is operator, or a family with .read or .write, as transfers.read";
    rules.broken("scopes", !scopes.iter().all(good), rule);
    rules.done()
}
