//! Cards: field rules, what a number says of its card, and what each input comes to. Pure.

#[cfg(test)]
mod tests;

use contracts::{
    Code, Refusal, Timestamp,
    ids::{AccountId, CardId},
    payment_methods::{self as contract, CardAddress, CardVerification, Expiration},
};

use super::sealing::{CardNumber, Sealed};

/// Whose network a card belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brand {
    AmericanExpress,
    Discover,
    Mastercard,
    Visa,
    Unknown,
}

impl Brand {
    /// Every brand.
    pub const ALL: [Self; 5] =
        [Self::AmericanExpress, Self::Discover, Self::Mastercard, Self::Visa, Self::Unknown];

    /// Moov's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::AmericanExpress => "American Express",
            Self::Discover => "Discover",
            Self::Mastercard => "Mastercard",
            Self::Visa => "Visa",
            Self::Unknown => "Unknown",
        }
    }
    /// The brand by the published ranges of first digits.
    pub fn of(number: &CardNumber) -> Self {
        let first = |count: usize| number.digits().get(..count).and_then(|text| text.parse().ok());
        let starts = (first(2).unwrap_or(0), first(3).unwrap_or(0), first(4).unwrap_or(0));
        match starts {
            (34 | 37, _, _) => Self::AmericanExpress,
            (51..=55, _, _) | (_, _, 2221..=2720) => Self::Mastercard,
            (65, _, _) | (_, 644..=649, _) | (_, _, 6011) => Self::Discover,
            (40..=49, _, _) => Self::Visa,
            _ => Self::Unknown,
        }
    }
    /// Whether its numbers may be this long (ISO/IEC 7812-1 allows up to 19 digits).
    fn has_length(self, length: usize) -> bool {
        match self {
            Self::AmericanExpress => length == 15,
            Self::Discover => (16..=19).contains(&length),
            Self::Mastercard => length == 16,
            Self::Visa => matches!(length, 13 | 16 | 19),
            Self::Unknown => (12..=19).contains(&length),
        }
    }
    fn cvv_length(self) -> usize {
        if self == Self::AmericanExpress { 4 } else { 3 }
    }
}

/// What a card draws on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CardType {
    Debit,
    Credit,
    Unknown,
}

impl CardType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Debit, Self::Credit, Self::Unknown];

    /// Moov's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
            Self::Unknown => "unknown",
        }
    }
    /// We hold no directory of issuers, so only the sandbox's are known, by their first six digits:
    /// those of its debit card and of its four credit cards. Any other card is `unknown`, and can
    /// pay but neither be pushed to nor be pulled from.
    pub fn of(number: &CardNumber, sandbox: bool) -> Self {
        match number.bin() {
            "411110" if sandbox => Self::Debit,
            "411111" | "555555" | "601111" | "371111" if sandbox => Self::Credit,
            _ => Self::Unknown,
        }
    }
}

/// Until when a card is good: a month as `2031-08`, so that texts compare as months do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Expiry(pub String);

impl Expiry {
    /// The month that was stated; `None` where there is no such month of this century.
    pub fn new(stated: &Expiration) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let year = match stated.year.len() {
            2 => format!("20{}", stated.year),
            4 => stated.year.clone(),
            _ => return None,
        };
        let month = stated.month.as_str();
        let good = digits(&year) && year.starts_with("20") && month.len() == 2 && digits(month);
        (good && ("01"..="12").contains(&month)).then(|| Self(format!("{year}-{month}")))
    }
    /// Whether the month is over (UTC).
    pub fn is_past(&self, now: Timestamp) -> bool {
        now.to_string().get(..7).is_some_and(|month| self.0.as_str() < month)
    }
    /// As the API shows it, with a year of two digits.
    pub fn shown(&self) -> Expiration {
        let (year, month) = self.0.split_once('-').unwrap_or_default();
        let year = year.get(2..).unwrap_or_default();
        Expiration { month: month.to_owned(), year: year.to_owned() }
    }
}

/// What is known of a card beside its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Details {
    pub expires: Expiry,
    pub holder_name: Option<String>,
    pub address: CardAddress,
    pub on_file: bool,
    pub merchant: Option<AccountId>,
    /// What came of comparing CVV, address line and postal code.
    pub verification: CardVerification,
}

/// A linked card.
#[derive(Clone)]
pub struct Card {
    pub id: CardId,
    pub account: AccountId,
    pub fingerprint: [u8; 32],
    pub brand: Brand,
    pub card_type: CardType,
    pub bin: String,
    pub last_four: String,
    pub sealed: Sealed,
    pub details: Details,
    /// When it was disabled; its row stays for the transfers that used it.
    pub disabled: Option<Timestamp>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Card {
    /// As the API shows it.
    pub fn shown(&self) -> contract::Card {
        let (push, pull) = match self.card_type {
            CardType::Debit => ("fast-funds", "supported"),
            CardType::Credit => ("not-supported", "not-supported"),
            CardType::Unknown => ("unknown", "unknown"),
        };
        let details = &self.details;
        contract::Card {
            card_id: self.id,
            fingerprint: self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect(),
            brand: self.brand.text().to_owned(),
            card_type: self.card_type.text().to_owned(),
            last_four_card_number: self.last_four.clone(),
            bin: self.bin.clone(),
            expiration: details.expires.shown(),
            holder_name: details.holder_name.clone(),
            billing_address: details.address.clone(),
            card_verification: details.verification.clone(),
            card_on_file: details.on_file,
            merchant_account_id: details.merchant,
            issuer: None,
            issuer_country: None,
            domestic_push_to_card: push.to_owned(),
            domestic_pull_from_card: pull.to_owned(),
            payment_methods: None,
        }
    }
}

/// What happens to a card after it was linked.
pub enum CardInput {
    /// Its owner takes it out of use.
    Disable,
    /// Its owner changes what is known of it.
    Change(Box<CardChange>),
}

/// What is absent stays.
#[derive(Default)]
pub struct CardChange {
    pub expires: Option<Expiry>,
    pub holder_name: Option<String>,
    pub address: Option<CardAddress>,
    pub on_file: Option<bool>,
    pub merchant: Option<AccountId>,
    pub verification: Option<CardVerification>,
}

/// What an input comes to.
pub enum CardDecision {
    /// The card from now on; disabled, its methods end with it, else their versions are raised.
    Done(Box<Card>),
    AlreadyDone,
    Refused(Refusal),
}

/// Decides what an input does to a card.
pub fn decide(card: &Card, input: &CardInput, now: Timestamp) -> CardDecision {
    let mut changed = Card { updated: now, ..card.clone() };
    match input {
        CardInput::Disable if card.disabled.is_some() => return CardDecision::AlreadyDone,
        CardInput::Change(_) if card.disabled.is_some() => {
            return CardDecision::Refused(Refusal::not_found("card"));
        }
        CardInput::Disable => changed.disabled = Some(now),
        CardInput::Change(change) => {
            let (details, given) = (&mut changed.details, change);
            details.expires = given.expires.clone().unwrap_or(details.expires.clone());
            details.holder_name = given.holder_name.clone().or(details.holder_name.take());
            details.address = given.address.clone().unwrap_or(details.address.clone());
            details.on_file = given.on_file.unwrap_or(details.on_file);
            details.merchant = given.merchant.or(details.merchant);
            if let Some(verification) = &given.verification {
                details.verification = verification.clone();
            }
            if changed.details == card.details {
                return CardDecision::AlreadyDone;
            }
        }
    }
    CardDecision::Done(Box::new(changed))
}

/// What is stated of a card, or of a change of one, to be checked together.
pub struct Stated<'a> {
    pub number: Option<&'a CardNumber>,
    pub cvv: Option<&'a str>,
    pub expiration: Option<&'a Expiration>,
    pub holder_name: Option<&'a str>,
    pub address: Option<&'a CardAddress>,
}

/// The field rules; a refusal names each broken one, and no value.
pub fn check(stated: &Stated<'_>, brand: Brand, now: Timestamp) -> Result<(), Refusal> {
    let mut refusal = Refusal::new(Code::InvalidField, "some fields break their rules");
    let rules = &mut refusal.fields;
    let mut broken = |field: &str, broken: bool, rule: &str| {
        if broken {
            rules.entry(field.to_owned()).or_insert_with(|| rule.to_owned());
        }
    };
    if let Some(number) = stated.number {
        broken("cardNumber", !is_card_number(number), "is no card number");
    }
    let cvv = |cvv: &str| cvv.len() == brand.cvv_length() && is_digits(cvv);
    let cvv_rule = "has three digits, four on American Express";
    broken("cardCvv", stated.cvv.is_some_and(|given| !cvv(given)), cvv_rule);
    if let Some(stated) = stated.expiration {
        let expires = Expiry::new(stated);
        let rule = "has a month 01 to 12 and a year of two or four digits";
        broken("expiration", expires.is_none(), rule);
        let past = expires.is_some_and(|expires| expires.is_past(now));
        broken("expiration", past, "is past");
    }
    let holds = |text: &str| stated.number.is_some_and(|number| holds_number(text, number));
    let mut text = |field: &str, value: Option<&str>, most: usize| {
        let Some(value) = value else { return };
        broken(field, value.trim().is_empty(), "must not be empty");
        broken(field, value.chars().count() > most, "is too long");
        broken(field, value.chars().any(char::is_control), "holds a control character");
        broken(field, holds(value), "holds the card's number");
    };
    text("holderName", stated.holder_name, 64);
    if let Some(address) = stated.address {
        text("billingAddress.addressLine1", address.address_line1.as_deref(), 60);
        text("billingAddress.addressLine2", address.address_line2.as_deref(), 32);
        text("billingAddress.city", address.city.as_deref(), 32);
        text("billingAddress.stateOrProvince", address.state_or_province.as_deref(), 32);
        text("billingAddress.postalCode", Some(&address.postal_code), 10);
        text("billingAddress.country", address.country.as_deref(), 2);
        let letters =
            |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
        let wrong = address.country.as_ref().is_some_and(|code| !letters(code));
        broken("billingAddress.country", wrong, "is two capital letters (ISO 3166-1)");
    }
    if refusal.fields.is_empty() { Ok(()) } else { Err(refusal) }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A card's number may stand in no other field: those are kept as they are.
fn holds_number(text: &str, number: &CardNumber) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    !number.digits().is_empty() && digits.contains(number.digits())
}

/// Digits in a length that its brand has, whose Luhn sum is a multiple of ten (ISO/IEC 7812-1
/// annex B); not all zeros.
fn is_card_number(number: &CardNumber) -> bool {
    let digits = number.digits();
    if !is_digits(digits) || digits.bytes().all(|byte| byte == b'0') {
        return false;
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') << (place % 2);
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10) && Brand::of(number).has_length(digits.len())
}

/// What a comparison by the issuer says of each part that was given. The sandbox's issuer agrees
/// with all of it; elsewhere no rail compares, so that nothing is known.
pub fn verified(sandbox: bool, cvv_given: bool, address: &CardAddress) -> CardVerification {
    let part = |given: bool| if sandbox && given { "match" } else { "unavailable" }.to_owned();
    CardVerification {
        cvv: part(cvv_given),
        address_line1: part(address.address_line1.is_some()),
        postal_code: part(true),
    }
}

/// The same after a change; `None` where nothing that is compared was given.
pub fn verified_again(
    sandbox: bool,
    cvv_given: bool,
    address: Option<&CardAddress>,
    before: &Details,
) -> Option<CardVerification> {
    if !cvv_given && address.is_none() {
        return None;
    }
    let mut verification = verified(sandbox, cvv_given, address.unwrap_or(&before.address));
    if !cvv_given {
        verification.cvv.clone_from(&before.verification.cvv);
    }
    Some(verification)
}
