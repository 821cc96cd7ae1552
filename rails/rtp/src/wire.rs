//! Instructions as ISO 20022 messages and reports as words: pure, both ways.

use contracts::{
    Timestamp,
    ids::{TransferId, derive},
    payment_methods::RevealedMethod,
};
use iso20022::{
    Amount, Date, DateTime, Dialect, Envelope, Finality, Header, Message, Original, Purpose, Uetr,
    id,
    pacs002::StatusReport,
    pacs008::{CreditTransfer, Party},
    pacs028::StatusRequest,
};
use uuid::Uuid;

use crate::domain::{Instruction, Key, Word};

/// Namespace of everything that is derived from (transfer, operation) here. Never changed.
const NAMESPACE: Uuid = Uuid::from_u128(0x9b0c_7a54_2f0e_5d2b_8c37_11d4_a5c6_0e93);
/// The operation: one payment for each leg.
const OPERATION: &[u8] = b"credit-transfer";

/// Who we are on the network.
#[derive(Clone, Debug)]
pub struct Us {
    pub dialect: Dialect,
    /// Our routing number, nine digits.
    pub routing: String,
    /// Two more of `A-Z0-9` that make it TCH's participant identifier.
    pub suffix: String,
    /// The network's member identifier: 11 characters in TCH, nine digits in FedNow.
    pub network: String,
}

/// The ids of a payment, all functions of (transfer, operation): a repeat carries the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    pub message: String,
    /// Unique as the message's, and tells bucket, leg and row: an answer finds its instruction
    /// without an index.
    pub instruction: String,
    pub uetr: Uetr,
    pub end_to_end: String,
}

/// Where an instruction is stored, as its `InstrId` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: u8,
    pub leg: u8,
    pub row: i64,
}

fn hash(key: Key, what: &[u8]) -> Uuid {
    let transfer = key.transfer.as_bytes();
    derive(NAMESPACE, &[OPERATION, transfer, &[key.leg], what], key.transfer.bucket())
}

/// 64 bits of a hash, those apart that a version or a bucket overwrites.
fn number(hash: Uuid) -> u64 {
    let bytes = hash.as_bytes();
    let mut picked = [0; 8];
    picked[..6].copy_from_slice(&bytes[..6]);
    picked[6..].copy_from_slice(&bytes[9..11]);
    u64::from_be_bytes(picked)
}

/// The day in the ids: the transfer's own, so that they never depend on when something was tried.
fn day(key: Key) -> Date {
    let millis = key.transfer.row() >> 12;
    Date::from_unix_micros(millis.saturating_mul(1_000))
}

impl Us {
    /// Who the platform is in the sandbox.
    pub fn sandbox(dialect: Dialect) -> Self {
        let network = match dialect {
            Dialect::Tch => "990000001S1",
            Dialect::FedNow => "021150706",
        };
        Self {
            dialect,
            routing: "021000021".to_owned(),
            suffix: "T1".to_owned(),
            network: network.to_owned(),
        }
    }
    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), String> {
        if !iso20022::routing::is_valid(&self.routing) {
            return Err("rtp: our routing number is none".to_owned());
        }
        let is_code = |c: u8| c.is_ascii_digit() || c.is_ascii_uppercase();
        if self.suffix.len() != 2 || !self.suffix.bytes().all(is_code) {
            return Err("rtp: the suffix has two characters of A-Z0-9".to_owned());
        }
        Ok(())
    }
    /// TCH's participant identifier.
    fn participant(&self) -> String {
        format!("{}{}", self.routing, self.suffix)
    }
    fn message_id(&self, prefix: char, key: Key, what: &[u8]) -> String {
        let serial = id::serial(number(hash(key, what)));
        let made = match self.dialect {
            Dialect::Tch => {
                id::tch_message_id(prefix, day(key), &self.participant(), "SWY", &serial)
            }
            Dialect::FedNow => {
                let other = id::serial(number(hash(key, &[what, b"/2"].concat())));
                id::fednow_message_id(day(key), &self.routing, &format!("{serial}{}", &other[..7]))
            }
        };
        made.expect("the configuration's routing number and suffix were checked")
    }
    /// The ids of a payment.
    pub(crate) fn ids(&self, key: Key) -> Ids {
        let bits = key.transfer.row();
        let place = (u64::from(key.transfer.bucket()) << 6)
            | (u64::from(key.leg & 0b11) << 4)
            | u64::try_from(bits >> 56).expect("a row has 60 bits");
        let origin = &id::serial(place)[8..];
        let low = u64::try_from(bits & ((1 << 56) - 1)).expect("56 bits");
        let participant = self.participant();
        let instruction = id::tch_instruction_id(day(key), &participant, origin, &id::serial(low));
        Ids {
            message: self.message_id('M', key, b"message"),
            instruction: instruction
                .expect("the configuration's routing number and suffix were checked"),
            uetr: Uetr::from_bytes(*hash(key, b"uetr").as_bytes()),
            end_to_end: id::end_to_end_id(*key.transfer.as_bytes()),
        }
    }
    /// The ids of a transfer's leg.
    pub fn payment_ids(&self, transfer: TransferId, leg: u8) -> Ids {
        self.ids(Key { transfer, leg })
    }
    fn header(&self, key: Key, what: &[u8], created: &DateTime) -> Header {
        let from = match self.dialect {
            Dialect::Tch => self.participant(),
            Dialect::FedNow => self.routing.clone(),
        };
        let message_id = self.message_id('B', key, what);
        let (to, created) = (self.network.clone(), created.clone());
        Header { from, to, message_id, created, duplicate: false }
    }
    /// The payment (pacs.008); an error names what cannot be written.
    pub(crate) fn credit_transfer(
        &self,
        instruction: &Instruction,
        payer: &str,
        payee: &RevealedMethod,
        created: Timestamp,
    ) -> Result<Vec<u8>, String> {
        let (ids, created) = (self.ids(instruction.key), DateTime::from_unix_micros(created.0));
        let agent = payee.routing_number.clone();
        let message = CreditTransfer {
            message_id: ids.message,
            settlement_date: Some(Date::from_unix_micros(created.unix_micros())),
            created: created.clone(),
            amount: amount(instruction)?,
            transaction_id: Some(ids.instruction.clone()),
            instruction_id: Some(ids.instruction),
            end_to_end_id: ids.end_to_end,
            uetr: Some(ids.uetr),
            purpose: Some(Purpose::Business),
            instructing_agent: self.routing.clone(),
            instructed_agent: agent.clone(),
            debtor: Party {
                name: shortened(payer),
                account: instruction.source.0.simple().to_string(),
                agent: self.routing.clone(),
            },
            creditor: Party {
                name: shortened(&payee.holder_name),
                account: payee.account_number.clone(),
                agent,
            },
            remittance: None,
        };
        let header = self.header(instruction.key, b"message", &created);
        written(Envelope::to_network(self.dialect, header, Message::CreditTransfer(message)))
    }
    /// An enquiry about it (pacs.028); each has an id of its own.
    pub(crate) fn status_request(
        &self,
        instruction: &Instruction,
        now: Timestamp,
    ) -> Result<Vec<u8>, String> {
        let (ids, created) = (self.ids(instruction.key), DateTime::from_unix_micros(now.0));
        let original = DateTime::from_unix_micros(instruction.created);
        let what =
            [&b"enquiry"[..], &instruction.asked.to_be_bytes(), &now.0.to_be_bytes()].concat();
        let message = StatusRequest {
            message_id: self.message_id('M', instruction.key, &what),
            created: created.clone(),
            original: Original {
                message_id: ids.message,
                message_name: iso20022::pacs008::NAME.to_owned(),
                created: Some(original.clone()),
                transaction_id: Some(ids.instruction.clone()),
                instruction_id: Some(ids.instruction),
                end_to_end_id: Some(ids.end_to_end),
                uetr: Some(ids.uetr),
            },
            instructing_agent: Some(self.routing.clone()),
            instructed_agent: Some(instruction.receiver.clone()),
            amount: Some(amount(instruction)?),
            settlement_date: Some(Date::from_unix_micros(original.unix_micros())),
            accepted: Some(original),
        };
        let header = self.header(instruction.key, &what, &created);
        written(Envelope::to_network(self.dialect, header, Message::StatusRequest(message)))
    }
    /// What a report says of this instruction. An error is why it may not be believed: it is about
    /// another payment, another amount, or says what the dialect does not have.
    pub(crate) fn word(
        &self,
        instruction: &Instruction,
        report: &StatusReport,
        is_enquiry: bool,
    ) -> Result<Word, String> {
        self.fits(instruction, report)?;
        let code = report.reason.as_ref().map(|reason| reason.code.clone());
        let status = report.status.as_str().to_owned();
        match report.status.finality(self.dialect) {
            Finality::Accepted => Ok(Word::Accepted { code: status }),
            Finality::Pending => Ok(Word::Pending { code: status }),
            Finality::Unknown => Err(format!("status {status} is none of the dialect's")),
            Finality::Rejected if is_enquiry && report.says_never_arrived() => {
                Ok(Word::NeverArrived { code: code.unwrap_or(status) })
            }
            Finality::Rejected if code.as_deref().is_some_and(is_duplicate) => Ok(Word::Duplicate),
            Finality::Rejected => {
                let code = code.unwrap_or(status);
                let failure = failure_code(&code);
                Ok(Word::Rejected { code, failure })
            }
        }
    }
    /// Whether a report is about this payment: all ids that it has, and the amount if it has one.
    pub(crate) fn fits(
        &self,
        instruction: &Instruction,
        report: &StatusReport,
    ) -> Result<(), String> {
        let (ids, original) = (self.ids(instruction.key), &report.original);
        let differs =
            |found: &Option<String>, ours: &str| found.as_ref().is_some_and(|f| f != ours);
        let other = original.message_id != ids.message
            || differs(&original.instruction_id, &ids.instruction)
            || differs(&original.transaction_id, &ids.instruction)
            || differs(&original.end_to_end_id, &ids.end_to_end)
            || original.uetr.is_some_and(|uetr| uetr != ids.uetr);
        if other {
            return Err("it is about another payment".to_owned());
        }
        let ours = amount(instruction)?;
        match report.amount {
            Some(amount) if amount.currency() != ours.currency() => {
                Err("it names another currency".to_owned())
            }
            Some(amount) if amount != ours => Err("it names another amount".to_owned()),
            _ => Ok(()),
        }
    }
}

fn amount(instruction: &Instruction) -> Result<Amount, String> {
    let amount = instruction.amount;
    Amount::new(amount.value, amount.currency.as_str())
        .ok_or_else(|| "the amount has more than 18 digits".to_owned())
}

/// Whether a reason says that the message was there before (ISO 20022 external codes): refused is
/// this copy of it, and what became of the first one is not said.
fn is_duplicate(reason: &str) -> bool {
    matches!(reason, "DUPL" | "AM05")
}

/// A name of at most 140 characters; none is what XML lacks.
fn shortened(name: &str) -> String {
    let text: String = name.chars().filter(|c| !c.is_control()).take(140).collect();
    if text.trim().is_empty() { "Not provided".to_owned() } else { text }
}

fn written(envelope: Envelope) -> Result<Vec<u8>, String> {
    envelope.write().map_err(|errors| {
        // Paths and rules only: a found value might be an account number.
        let texts: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
        texts.join("; ")
    })
}

/// The report in these bytes; an error where they are none.
pub fn report(bytes: &[u8]) -> Result<StatusReport, String> {
    match iso20022::parse(bytes) {
        Ok(Envelope { message: Message::StatusReport(report), .. }) => Ok(report),
        Ok(other) => Err(format!("a {} where a report belongs", other.message.name())),
        Err(errors) => Err(errors.first().map_or_else(String::new, ToString::to_string)),
    }
}

/// Where the instruction of an `InstrId` that [`Us::ids`] made is stored; `None` for any other.
pub fn place(instruction_id: &str) -> Option<Place> {
    let text = instruction_id.as_bytes();
    if text.len() != 34 || text[19] != b'B' {
        return None;
    }
    let origin = base36(&text[20..23])?;
    let low = base36(&text[23..])?;
    if low >= 1 << 56 || origin >= 1 << 14 {
        return None;
    }
    let row = i64::try_from(((origin & 0xf) << 56) | low).ok()?;
    let leg = u8::try_from((origin >> 4) & 0b11).ok()?;
    Some(Place { bucket: u8::try_from(origin >> 6).ok()?, leg, row })
}

fn base36(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            _ => return None,
        };
        value.checked_mul(36)?.checked_add(u64::from(digit))
    })
}

/// The published table of reasons (ISO external code list, as RTP uses it) to failure codes.
pub fn failure_code(reason: &str) -> &'static str {
    match reason {
        "AC03" | "AC14" => "invalid-account",
        "AC04" => "account-closed",
        "AC06" => "account-blocked",
        "AG01" | "AG03" => "transaction-not-supported",
        "AM02" => "limit-exceeded",
        "AM09" => "invalid-amount",
        "BE04" => "invalid-field",
        "MD07" => "customer-deceased",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::State;
    use contracts::{
        Currency,
        ids::{AccountId, PaymentMethodId},
    };
    use iso20022::{Reason, Status, reasons};

    fn us(dialect: Dialect) -> Us {
        Us::sandbox(dialect)
    }

    fn instruction() -> Instruction {
        Instruction {
            key: Key {
                transfer: TransferId::from_parts((1_795_534_416_123 << 12) | 7, -0x77),
                leg: 0,
            },
            state: State::Unknown,
            queued: 0,
            due: 0,
            attempt: 1,
            epoch: 1,
            asked: 0,
            messages: 0,
            amount: contracts::Amount::new(779_901, Currency::USD),
            method: PaymentMethodId::from_parts(1, 1),
            version: 1,
            source: AccountId::from_parts(4096, 1),
            created: 1_795_534_416_123_000,
            sent: 0,
            receiver: "322271627".to_owned(),
            code: None,
            trace: None,
        }
    }

    fn payee() -> RevealedMethod {
        RevealedMethod {
            payment_method_id: PaymentMethodId::from_parts(1, 1),
            version: 1,
            revoked: false,
            payment_method_type: "rtp-credit".to_owned(),
            holder_name: "Jules <Jackson> & Söhne".to_owned(),
            holder_type: "business".to_owned(),
            routing_number: "322271627".to_owned(),
            account_number: "0004321567".to_owned(),
            bank_account_type: "checking".to_owned(),
            card: None,
        }
    }

    fn answer(us: &Us, status: Status, reason: Option<Reason>) -> StatusReport {
        let ids = us.ids(instruction().key);
        let time = DateTime::from_unix_micros(1_795_534_416_200_000);
        StatusReport {
            message_id: "M20261124990000001S1BOTS00000000001".to_owned(),
            created: time.clone(),
            original: Original {
                message_id: ids.message,
                message_name: iso20022::pacs008::NAME.to_owned(),
                created: Some(DateTime::from_unix_micros(1_795_534_416_123_000)),
                instruction_id: Some(ids.instruction),
                end_to_end_id: None,
                transaction_id: None,
                uetr: Some(ids.uetr),
            },
            status,
            reason,
            accepted: Some(time),
            instructing_agent: Some("021000021".to_owned()),
            instructed_agent: Some("322271627".to_owned()),
            amount: Amount::new(779_901, "USD"),
            settlement_date: None,
        }
    }

    #[test]
    fn messages_are_valid_in_both_dialects_and_the_same_each_time() {
        for dialect in [Dialect::Tch, Dialect::FedNow] {
            let (us, instruction) = (us(dialect), instruction());
            let made = || {
                us.credit_transfer(&instruction, "Acme", &payee(), Timestamp(instruction.created))
                    .unwrap()
            };
            let bytes = made();
            assert_eq!(bytes, made());
            let Message::CreditTransfer(read) = iso20022::parse(&bytes).unwrap().message else {
                panic!("a credit transfer");
            };
            let ids = us.ids(instruction.key);
            assert_eq!(read.message_id, ids.message);
            assert_eq!(read.uetr, Some(ids.uetr));
            assert_eq!(read.end_to_end_id, instruction.key.transfer.0.simple().to_string());
            assert_eq!(read.amount.minor(), 779_901);
            let request =
                us.status_request(&instruction, Timestamp(instruction.created + 9)).unwrap();
            let Message::StatusRequest(read) = iso20022::parse(&request).unwrap().message else {
                panic!("a status request");
            };
            assert_eq!(read.original.message_id, ids.message);
            assert_ne!(read.message_id, ids.message);
        }
    }

    #[test]
    fn an_instruction_id_finds_its_row() {
        let us = us(Dialect::Tch);
        for (row, tail) in [(7, 1), ((1 << 60) - 1, -1), ((1 << 54) - 1, 255), (1 << 56, 0x80)] {
            for leg in [0, 1] {
                let key = Key { transfer: TransferId::from_parts(row, tail), leg };
                let found = place(&us.ids(key).instruction).unwrap();
                assert_eq!((found.row, found.leg), (row, leg));
                assert_eq!(found.bucket, key.transfer.bucket());
            }
        }
        for bad in
            ["", "x", "20230713234567891T1BOTS0208382566!", "20230713234567891T1BZZZZZZZZZZZZZZ"]
        {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn statuses_are_words() {
        let tch = us(Dialect::Tch);
        let fednow = us(Dialect::FedNow);
        let mut lines = Vec::new();
        for (us, code) in [
            (&tch, "ACTC"),
            (&tch, "ACWP"),
            (&tch, "RCVD"),
            (&tch, "ACSC"),
            (&tch, "PDNG"),
            (&tch, "XXXX"),
            (&fednow, "ACSC"),
            (&fednow, "ACTC"),
            (&fednow, "ACWP"),
        ] {
            let word = us.word(&instruction(), &answer(us, Status::parse(code), None), false);
            let word = match word {
                Ok(Word::Accepted { .. }) => "accepted",
                Ok(Word::Pending { .. }) => "pending",
                Ok(_) => "rejected",
                Err(_) => "doubt",
            };
            lines.push(format!("{:?} {code} {word}", us.dialect));
        }
        assert_eq!(
            lines.join("\n"),
            "Tch ACTC accepted\nTch ACWP pending\nTch RCVD pending\n\
            Tch ACSC doubt\nTch PDNG doubt\nTch XXXX doubt\nFedNow ACSC accepted\n\
            FedNow ACTC pending\nFedNow ACWP pending"
        );
    }

    #[test]
    fn reasons_are_failure_codes() {
        let us = us(Dialect::Tch);
        for (code, expected) in [
            ("AC03", "invalid-account"),
            ("AC04", "account-closed"),
            ("AC06", "account-blocked"),
            ("AC14", "invalid-account"),
            ("AG01", "transaction-not-supported"),
            ("AG03", "transaction-not-supported"),
            ("AM02", "limit-exceeded"),
            ("AM04", "other"),
            ("AM09", "invalid-amount"),
            ("BE04", "invalid-field"),
            ("MD07", "customer-deceased"),
            ("TM01", "other"),
            ("NOAT", "other"),
        ] {
            let reason =
                Reason { code: code.to_owned(), proprietary: code == "NOAT", information: None };
            let report = answer(&us, Status::Rjct, Some(reason));
            let word = us.word(&instruction(), &report, false).unwrap();
            assert_eq!(word, Word::Rejected { code: code.to_owned(), failure: expected });
        }
        for code in ["DUPL", "AM05"] {
            let reason = Reason { code: code.to_owned(), proprietary: false, information: None };
            let report = answer(&us, Status::Rjct, Some(reason));
            for is_enquiry in [false, true] {
                let word = us.word(&instruction(), &report, is_enquiry).unwrap();
                assert_eq!(word, Word::Duplicate, "{code}");
            }
        }
        let report = answer(&us, Status::Rjct, Some(reasons::never_arrived(Dialect::Tch)));
        let word = us.word(&instruction(), &report, true).unwrap();
        assert_eq!(word, Word::NeverArrived { code: "NOAT".to_owned() });
    }

    #[test]
    fn what_does_not_fit_is_not_believed() {
        let us = us(Dialect::Tch);
        let good = || answer(&us, Status::Actc, None);
        assert!(us.word(&instruction(), &good(), false).is_ok());
        let spoil: [fn(&mut StatusReport); 5] = [
            |report| report.amount = Amount::new(779_902, "USD"),
            |report| report.amount = Amount::new(779_901, "EUR"),
            |report| report.original.message_id.push('0'),
            |report| report.original.instruction_id = Some("other".to_owned()),
            |report| report.original.uetr = Some(Uetr::from_bytes([1; 16])),
        ];
        for spoil in spoil {
            let mut report = good();
            spoil(&mut report);
            assert!(us.word(&instruction(), &report, false).is_err());
        }
        for bytes in [&b""[..], b"garbage", b"<Document/>", &[0xff; 100]] {
            assert!(super::report(bytes).is_err());
        }
    }
}
