//! One authorisation in the host's books: the line of the journal, and what is answered by it.

use std::hash::{DefaultHasher, Hash, Hasher};

use iso8583::authorisation::{self, Processing, Request};
use iso8583::{Moment, Stan, reversal};
use serde::{Deserialize, Serialize};

use crate::books::{Direction, Payment, State};

/// Field 39 of a request that its reversal overtook: no action taken.
pub(super) const OVERTAKEN: &str = "21";
/// Field 39: approved.
pub(super) const APPROVED: &str = "00";
/// Field 39: duplicate transmission; the same trace, other content.
pub(super) const DUPLICATE: &str = "94";
/// Field 39 of a reversal: original amount incorrect.
pub(super) const WRONG_AMOUNT: &str = "64";

/// By what a request, its repeat and its reversal name the same authorisation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Trace {
    /// Field 11.
    stan: String,
    /// Field 7.
    transmitted: String,
    /// Field 41.
    terminal: String,
}

/// What is booked of an authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// Approved and captured; it settles by itself.
    Approved,
    /// Declined.
    Declined,
    /// Approved, then reversed.
    Reversed,
    /// Its reversal came before it, or it never came: no payment.
    Overtaken,
}

/// A line of `card-books.jsonl`. The last line of a trace is what holds. The card's number is
/// masked in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Booking {
    pub(super) trace: Trace,
    pub(super) standing: Standing,
    /// Field 39 of the answer.
    pub(super) code: String,
    /// Field 38 of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<String>,
    /// Field 3.
    pub(super) processing: String,
    pub(super) amount: i64,
    /// Field 49: the number of ISO 4217.
    pub(super) currency: u16,
    card: String,
    /// Field 37.
    pub(super) retrieval_reference: String,
    /// Field 63.
    pub(super) reference: String,
    /// When it came, microseconds of the business clock.
    pub(super) at: i64,
    /// When it was taken back, of the same clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reversed_at: Option<i64>,
    /// Hash of the content, to tell a repeat from another request of the same trace.
    fingerprint: u64,
}

impl Trace {
    pub(super) fn of(request: &Request) -> Self {
        Self::new(request.stan, request.transmitted, &request.terminal)
    }

    pub(super) fn of_original(reversal: &reversal::Request) -> Self {
        let original = &reversal.original;
        Self::new(original.stan, original.transmitted, &reversal.request.terminal)
    }

    fn new(stan: Stan, transmitted: Moment, terminal: &str) -> Self {
        let terminal = terminal.to_owned();
        Self { stan: stan.to_string(), transmitted: transmitted.to_string(), terminal }
    }

    /// Fields 11, 7 and 41.
    pub(super) fn parts(&self) -> [&str; 3] {
        [&self.stan, &self.transmitted, &self.terminal]
    }

    /// 128 bits of it: no two of those that one sandbox sees are equal.
    pub(super) fn key(&self) -> u128 {
        let of = |salt: u8| hash(&(salt, &self.stan, &self.transmitted, &self.terminal));
        u128::from(of(1)) << 64 | u128::from(of(2))
    }
}

impl Booking {
    /// An approval at a time of the business clock.
    pub(super) fn approved(request: &Request, at: i64) -> Self {
        let trace = Trace::of(request);
        let approval = format!("{:06}", hash(&trace.key()) % 1_000_000);
        let approval = Some(approval);
        Self::new(request, trace, Standing::Approved, APPROVED, at).with_approval(approval)
    }

    /// The same, declined.
    pub(super) fn declined(request: &Request, code: &str, at: i64) -> Self {
        Self::new(request, Trace::of(request), Standing::Declined, code, at)
    }

    /// What stands for an original that has not come, when its reversal has.
    pub(super) fn overtaken(reversal: &reversal::Request, at: i64) -> Self {
        let trace = Trace::of_original(reversal);
        Self::new(&reversal.request, trace, Standing::Overtaken, OVERTAKEN, at)
    }

    /// The same, taken back at a time of the business clock.
    pub(super) fn reversed(self, at: i64) -> Self {
        Self { standing: Standing::Reversed, reversed_at: Some(at), ..self }
    }

    fn new(request: &Request, trace: Trace, standing: Standing, code: &str, at: i64) -> Self {
        Self {
            trace,
            standing,
            code: code.to_owned(),
            approval: None,
            processing: request.processing.code().to_owned(),
            amount: request.amount,
            currency: request.currency,
            card: request.pan.to_string(),
            retrieval_reference: request.retrieval_reference.clone(),
            reference: request.reference.clone(),
            at,
            reversed_at: None,
            fingerprint: fingerprint(request),
        }
    }

    fn with_approval(self, approval: Option<String>) -> Self {
        Self { approval, ..self }
    }

    /// The answer to the request that this is booked of, or to another of the same trace.
    pub(super) fn answer(&self, request: &Request) -> authorisation::Response {
        match self.standing {
            Standing::Overtaken => request.response(OVERTAKEN, None),
            _ if self.fingerprint != fingerprint(request) => request.response(DUPLICATE, None),
            _ => request.response(&self.code, self.approval.as_deref()),
        }
    }

    /// As the books show it at a time of the business clock; nothing where nothing ever came.
    pub(super) fn payment(&self, now: i64, settlement: i64) -> Option<Payment> {
        let state = match self.standing {
            Standing::Approved if now >= self.at.saturating_add(settlement) => State::Settled,
            Standing::Approved => State::Approved,
            Standing::Declined => State::Rejected,
            Standing::Reversed => State::Reversed,
            Standing::Overtaken => return None,
        };
        let processing = Processing::parse(&self.processing)?;
        Some(Payment {
            rail: "card",
            transfer_id: transfer_of_reference(&self.reference),
            reference: self.retrieval_reference.clone(),
            amount: self.amount,
            currency: currency_code(self.currency),
            state,
            direction: Some(match processing.is_credit() {
                true => Direction::Credit,
                false => Direction::Debit,
            }),
            kind: Some(match processing {
                Processing::Payment => "payment",
                Processing::Pull => "pull",
                Processing::Refund => "refund",
                Processing::Push => "push",
            }),
        })
    }
}

/// The transfer in field 63: 32 hexadecimal digits before a hyphen, as a UUID.
fn transfer_of_reference(reference: &str) -> Option<String> {
    let (digits, _) = reference.split_once('-')?;
    let hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| {
        let digits = digits.to_ascii_lowercase();
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        parts.join("-")
    })
}

/// The letters of a currency's number; of one that there is not, the number.
fn currency_code(number: u16) -> String {
    iso_currency::Currency::from_numeric(number)
        .map_or_else(|| format!("{number:03}"), |currency| currency.code().to_owned())
}

/// A hash that is the same in every process (fixed keys).
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What makes two requests the same. The card is in it as masked, since a hash of its number could
/// be guessed.
fn fingerprint(request: &Request) -> u64 {
    hash(&(
        (request.pan.to_string(), request.processing.code()),
        (request.amount, request.currency),
        (&request.retrieval_reference, &request.reference),
        (&request.terminal, &request.merchant),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_and_currencies() {
        assert_eq!(
            transfer_of_reference("0123456789ABCDEF0123456789abcdef-a").as_deref(),
            Some("01234567-89ab-cdef-0123-456789abcdef")
        );
        for other in ["", "-a", "0123-a", "0123456789abcdef0123456789abcdef", "é"] {
            assert_eq!(transfer_of_reference(other), None, "{other}");
        }
        assert_eq!(currency_code(840), "USD");
        assert_eq!(currency_code(392), "JPY");
        assert_eq!(currency_code(1), "001");
    }
}
