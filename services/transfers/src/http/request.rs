//! What the requests that move money have in common: the idempotency key, the wish to wait, the
//! platform account that they are made under.

use std::time::Duration;

use contracts::{Code, Endpoint, Refusal, ids::AccountId, transfers::IDEMPOTENCY_HEADERS};
use runtime::{Ask, Platform};
use serde_json::Value;

/// The longest wait that a caller may ask for.
const WAIT_MOST_SECONDS: u64 = 15;

/// The key of a request, and under which header's rules a repeat is answered.
pub struct Key {
    pub text: String,
    /// Moov's: a repeat is a 409 with the original transfer.
    pub moov: bool,
}

/// The key stands for another request.
pub fn reused() -> Refusal {
    Refusal::new(Code::KeyReused, "this idempotency key was used before with another request")
}

/// The key made this before, which is the body: how Moov's header is answered.
pub fn made_before(detail: &str, original: serde_json::Result<Value>) -> Refusal {
    let mut refusal = Refusal::new(Code::DuplicateKey, detail);
    refusal.body = Some(Box::new(original.expect("answers are plain data")));
    refusal
}

/// The idempotency key: 1 to 36 printable characters under either header.
pub fn key<E: Endpoint>(ask: &Ask<E>) -> Result<Key, Refusal> {
    let missing = |detail: &str| Refusal::new(Code::IdempotencyKeyMissing, detail);
    let mut keys: Vec<String> = Vec::new();
    for name in IDEMPOTENCY_HEADERS {
        for value in ask.headers.get_all(name) {
            let rule = "an idempotency key has 1 to 36 printable ASCII characters";
            let text = value.to_str().map_err(|_| missing(rule))?.trim();
            // The draft's header is a quoted string; the quotes are no part of the key.
            let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let text = quoted.unwrap_or(text);
            let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if text.is_empty() || text.len() > 36 || !printable {
                return Err(missing(rule));
            }
            keys.push(text.to_owned());
        }
    }
    let text = keys.pop().ok_or_else(|| missing("X-Idempotency-Key is missing"))?;
    if keys.iter().any(|other| *other != text) {
        let detail = "the idempotency keys of this request differ";
        return Err(Refusal::new(Code::IdempotencyKeyAmbiguous, detail));
    }
    Ok(Key { text, moov: ask.headers.contains_key(IDEMPOTENCY_HEADERS[0]) })
}

/// How long the caller wants to wait: `X-Wait-For: rail-response`, or `Prefer: wait=N`.
pub fn wait<E: Endpoint>(ask: &Ask<E>) -> Option<Duration> {
    if ask.header("x-wait-for").is_some_and(|value| value.trim() == "rail-response") {
        return Some(Duration::from_secs(WAIT_MOST_SECONDS));
    }
    let preferences = ask.header("prefer")?.split([',', ';']);
    let seconds = preferences
        .filter_map(|preference| preference.trim().strip_prefix("wait="))
        .find_map(|seconds| seconds.trim().parse::<u64>().ok())?;
    Some(Duration::from_secs(seconds.min(WAIT_MOST_SECONDS)))
}

/// The path's account, which must be a platform account.
pub fn facilitator(platform: &Platform, account: AccountId) -> Result<AccountId, Refusal> {
    let known = platform.access().account(account);
    let known = known.ok_or_else(|| Refusal::not_found("account"))?;
    if known.facilitator == account {
        return Ok(account);
    }
    Err(Refusal::new(Code::Forbidden, "transfers are made under the platform's own account"))
}

/// A short hash of these parts.
pub fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}
