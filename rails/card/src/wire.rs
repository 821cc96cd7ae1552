//! Instructions as ISO 8583 messages and answers as words: pure, both ways.

mod settlement;

use contracts::payment_methods::RevealedMethod;
use iso8583::{
    Expiry, Message, Moment, Pan, Stan,
    authorisation::{self, ECOMMERCE, KEYED, Processing},
    response::{Verdict, meaning},
    reversal::{self, Reason},
};
use uuid::Uuid;

use crate::domain::{Instruction, Key, News, Word};

pub use settlement::{
    BYTES_MOST as SETTLEMENT_BYTES_MOST, Line, Settlements, read as read_settlements,
};

/// Trace numbers of one terminal: 1 to this.
const STANS: i64 = 999_999;
/// The numeric code of the dollar (ISO 4217).
const USD: u16 = 840;

/// Who we are to the host.
#[derive(Clone, Debug)]
pub struct Us {
    /// Up to 11 digits (field 32).
    pub acquirer: String,
    /// Up to 15 characters (field 42).
    pub merchant: String,
    /// Four digits of ISO 18245 (field 18).
    pub category: String,
    /// How many terminals the messages are spread over; each has 999,999 trace numbers, so that one
    /// comes again only after so many messages.
    pub terminals: i64,
}

impl Us {
    /// Who the platform is in the sandbox. A thousand terminals last for 10^9 messages: at 5,000 a
    /// second two days, when no answer can be on its way any more.
    pub fn sandbox() -> Self {
        Self {
            acquirer: "990001".to_owned(),
            merchant: "SWITCHYARD00001".to_owned(),
            category: "6012".to_owned(),
            terminals: 1_000,
        }
    }
    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=11).contains(&self.acquirer.len())
            && digits(&self.acquirer)
            && (1..=15).contains(&self.merchant.len())
            && self.merchant.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && self.category.len() == 4
            && digits(&self.category);
        if !fits {
            return Err(
                "card: acquirer (11 digits), merchant (15 letters and digits) and category \
                        (4 digits) identify us to the host"
                    .to_owned(),
            );
        }
        if !(1..=99_999).contains(&self.terminals) {
            return Err("card: there are 1 to 99,999 terminals".to_owned());
        }
        Ok(())
    }
    /// Trace number and terminal of the rail's n-th message, from 1.
    fn place(&self, number: i64) -> (Stan, String) {
        assert!(number > 0, "numbers begin at 1");
        let stan = u32::try_from((number - 1) % STANS + 1).expect("at most six digits");
        let terminal = (number - 1) / STANS % self.terminals;
        (Stan::new(stan).expect("at most six digits"), format!("SWY{terminal:05}"))
    }
    /// The authorisation request (0100); an error names what cannot be written.
    pub(crate) fn request(
        &self,
        of: &Instruction,
        method: &RevealedMethod,
        merchant_name: &str,
    ) -> Result<authorisation::Request, String> {
        let card = method.card.as_ref().ok_or("its method is no card")?;
        let processing = processing(of, method)?;
        if of.amount.currency.as_str() != "USD" || of.amount.value > 999_999_999_999 {
            return Err(format!("{} does not fit into field 4", of.amount));
        }
        let (stan, terminal) = self.place(of.number);
        let created = Moment::from_unix_micros(of.created);
        let expiry = card.expiration_month.parse().ok().zip(card.expiration_year.parse().ok());
        let expiry = expiry.and_then(|(month, year): (u8, u16)| {
            Expiry::new(u8::try_from(year % 100).expect("below 100"), month)
        });
        Ok(authorisation::Request {
            pan: Pan::parse(&card.number).ok_or("the card number has 8 to 19 digits")?,
            processing,
            amount: of.amount.value,
            transmitted: created,
            stan,
            local: created,
            expiry,
            category: self.category.clone(),
            entry_mode: KEYED.to_owned(),
            condition: ECOMMERCE.to_owned(),
            acquirer: self.acquirer.clone(),
            retrieval_reference: retrieval_reference(of.number),
            terminal,
            merchant: self.merchant.clone(),
            merchant_name: printable(merchant_name),
            currency: USD,
            reference: reference(of.key),
        })
    }
    /// The reversal of an authorisation; a repeat where it was sent before.
    pub(crate) fn reversal(
        &self,
        of: &Instruction,
        original: &authorisation::Request,
    ) -> reversal::Request {
        // From the terminal of the original: hosts look for it there.
        let stan = self.place(of.reversal).0;
        let moment = Moment::from_unix_micros(of.reversed);
        let mut reversal = reversal::Request::of(original, stan, moment, Reason::TimeOut);
        reversal.repeat = of.reversals > 1;
        reversal
    }
    /// What an answer says of this instruction's reversal. An error is why it may not be believed.
    pub(crate) fn reversal_word(
        &self,
        of: &Instruction,
        message: &Message,
    ) -> Result<News, String> {
        let answer = reversal::Response::read(message).map_err(|error| error.to_string())?;
        if of.reversal == 0 {
            return Err("no reversal was sent".to_owned());
        }
        let ours = answer.stan == self.place(of.reversal).0
            && answer.terminal == self.place(of.number).1
            && answer.transmitted == Moment::from_unix_micros(of.reversed)
            && answer.reference.as_ref().is_none_or(|text| *text == reference(of.key));
        if !ours {
            return Err("it is about another reversal".to_owned());
        }
        Ok(match answer.code.as_str() {
            reversal::REVERSED => News::Reversed,
            reversal::NOT_FOUND => News::NotFound,
            _ => News::NoReversal,
        })
    }
    /// What an answer says of this instruction's last message, with its code. An error is why it
    /// may not be believed.
    pub(crate) fn word(&self, of: &Instruction, message: &Message) -> Result<Word, String> {
        let answer = authorisation::Response::read(message).map_err(|error| error.to_string())?;
        let (stan, terminal) = self.place(of.number);
        let ours = answer.stan == stan
            && answer.terminal == terminal
            && answer.transmitted == Moment::from_unix_micros(of.created)
            && answer.retrieval_reference == retrieval_reference(of.number)
            && answer.reference.as_ref().is_none_or(|text| *text == reference(of.key));
        if !ours {
            return Err("it is about another message".to_owned());
        }
        let verdict = answer.verdict();
        let whole = answer.amount == of.amount.value && answer.currency == USD;
        if verdict == Verdict::Approved && !whole {
            return Err(format!("{} of currency {} is approved", answer.amount, answer.currency));
        }
        let code = answer.code;
        Ok(match verdict {
            Verdict::Approved => Word::Approved { code },
            Verdict::Conditional => Word::Conditional { code },
            Verdict::Declined => {
                let failure = failure_code(&code);
                Word::Declined { code, failure }
            }
        })
    }
}

/// What a method's type asks of the host, for money in this direction.
fn processing(of: &Instruction, method: &RevealedMethod) -> Result<Processing, String> {
    use contracts::rails::Direction::{In, Out};
    match (of.direction, method.payment_method_type.as_str()) {
        (In, "card-payment") => Ok(Processing::Payment),
        (In, "pull-from-card") => Ok(Processing::Pull),
        (Out, "push-to-card") => Ok(Processing::Push),
        // What a card paid goes back to it.
        (Out, "card-payment" | "pull-from-card") => Ok(Processing::Refund),
        (direction, kind) => Err(format!("a {kind} does not take money {direction:?}")),
    }
}

/// Twelve digits; unique as the number is, for a trillion messages.
pub(crate) fn retrieval_reference(number: i64) -> String {
    format!("{:012}", number % 1_000_000_000_000)
}

/// The transfer and the operation, as the host gives them back (field 63).
pub(crate) fn reference(key: Key) -> String {
    format!("{}-{}", key.transfer.0.simple(), key.leg)
}

/// The instruction that a reference of ours names.
pub(crate) fn key_of(reference: &str) -> Option<Key> {
    let (transfer, leg) = reference.split_once('-')?;
    let transfer = contracts::ids::TransferId(Uuid::try_parse(transfer).ok()?);
    let leg = leg.parse().ok().filter(|leg| *leg < 4)?;
    Some(Key { transfer, leg })
}

/// Field 43 takes printable ASCII; what a name has besides becomes a space.
fn printable(name: &str) -> String {
    let kept = name.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    let name: String = kept.take(40).collect();
    let name = name.trim();
    if name.is_empty() { "switchyard".to_owned() } else { name.to_owned() }
}

/// Moov's name for what field 39 says; the table that the documentation publishes.
pub(crate) fn failure_code(code: &str) -> &'static str {
    match code {
        "01" | "02" => "call-issuer",
        "03" => "invalid-merchant",
        "04" | "07" | "59" => "suspected-fraud",
        "05" => "do-not-honor",
        "06" | "96" => "processing-error",
        "12" => "invalid-transaction",
        "13" => "invalid-amount",
        "14" => "invalid-card-number",
        "15" => "no-such-issuer",
        "19" => "reenter-transaction",
        "41" | "43" => "lost-or-stolen",
        "46" => "cardholder-account-closed",
        "51" => "insufficient-funds",
        "54" => "expired-card",
        "55" => "incorrect-pin",
        "57" | "58" | "62" => "transaction-not-allowed",
        "61" => "amount-limit-exceeded",
        "65" => "velocity-limit-exceeded",
        "78" => "card-not-activated",
        "82" => "cvv-mismatch",
        "91" => "issuer-not-available",
        "92" => "could-not-route",
        "94" => "duplicate-transaction",
        _ => "unknown-issue",
    }
}

/// A code with its meaning: `51 not sufficient funds`.
pub(crate) fn said(code: &str) -> String {
    format!("{code} {}", meaning(code).text)
}

#[cfg(test)]
mod tests {
    use contracts::ids::TransferId;

    use super::*;

    #[test]
    fn a_trace_number_comes_again_only_on_another_terminal() {
        let us = Us { terminals: 3, ..Us::sandbox() };
        let place = |number| {
            let (stan, terminal) = us.place(number);
            (stan.number(), terminal)
        };
        assert_eq!(place(1), (1, "SWY00000".to_owned()));
        assert_eq!(place(999_999), (999_999, "SWY00000".to_owned()));
        assert_eq!(place(1_000_000), (1, "SWY00001".to_owned()));
        assert_eq!(place(3 * 999_999), (999_999, "SWY00002".to_owned()));
        assert_eq!(place(3 * 999_999 + 1), (1, "SWY00000".to_owned()));
        let near: std::collections::BTreeSet<_> = (999_990..1_000_010).map(place).collect();
        assert_eq!(near.len(), 20);
    }

    #[test]
    fn a_reference_finds_its_instruction() {
        let key = Key { transfer: TransferId::from_parts(4096, 0x77), leg: 2 };
        assert_eq!(key_of(&reference(key)), Some(key));
        for bad in ["", "-", "x-0", "00000000000000000000000000000000", "é-1"] {
            assert_eq!(key_of(bad), None, "{bad}");
        }
        assert_eq!(key_of(&reference(Key { leg: 4, ..key })), None);
    }

    #[test]
    fn names_are_printable() {
        assert_eq!(printable("Café \u{1F600} Müller"), "Caf    M ller");
        assert_eq!(printable("\n\t"), "switchyard");
        assert_eq!(printable(&"x".repeat(99)).len(), 40);
    }

    #[test]
    fn every_decline_has_a_name() {
        let mut named = 0;
        for number in 0..100 {
            let code = format!("{number:02}");
            if meaning(&code).verdict == Verdict::Declined && failure_code(&code) != "unknown-issue"
            {
                named += 1;
            }
        }
        assert_eq!(named, 30, "as many rows as the published table has codes");
        assert_eq!(failure_code("99"), "unknown-issue");
    }
}
