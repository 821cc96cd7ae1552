//! Messages as the platform would send them.

use iso20022::pacs002::StatusReport;
use iso20022::pacs008::{CreditTransfer, Party};
use iso20022::pacs028::StatusRequest;
use iso20022::{
    Amount, Date, DateTime, Dialect, Envelope, Header, Message, Original, Purpose, Uetr, id, parse,
};

fn header(dialect: Dialect, number: u64, now: i64) -> Header {
    let date = Date::from_unix_micros(now);
    let serial = id::serial(number);
    let (from, to) = match dialect {
        Dialect::Tch => ("021000021T1", "011401533T1"),
        Dialect::FedNow => ("021000021", "011401533"),
    };
    let message_id = match dialect {
        Dialect::Tch => id::tch_message_id('B', date, from, "SWY", &serial).unwrap(),
        Dialect::FedNow => id::fednow_message_id(date, from, &serial).unwrap(),
    };
    let created = DateTime::from_unix_micros(now);
    Header { from: from.to_owned(), to: to.to_owned(), message_id, created, duplicate: false }
}

/// Transfer `number`; its UUID is the number.
pub fn transfer(dialect: Dialect, number: u64, minor: i64, now: i64) -> CreditTransfer {
    let date = Date::from_unix_micros(now);
    let serial = id::serial(number);
    let party = |name: &str, account: &str, agent: &str| Party {
        name: name.to_owned(),
        account: account.to_owned(),
        agent: agent.to_owned(),
    };
    let instruction = id::tch_instruction_id(date, "021000021T1", "SWY", &serial);
    let uuid = u128::from(number).to_be_bytes();
    CreditTransfer {
        message_id: match dialect {
            Dialect::Tch => id::tch_message_id('M', date, "021000021T1", "SWY", &serial).unwrap(),
            Dialect::FedNow => id::fednow_message_id(date, "021000021", &serial).unwrap(),
        },
        created: DateTime::from_unix_micros(now),
        settlement_date: Some(date),
        amount: Amount::new(minor, "USD").unwrap(),
        instruction_id: instruction.clone(),
        end_to_end_id: id::end_to_end_id(uuid),
        transaction_id: instruction,
        uetr: Some(Uetr::from_bytes(uuid)),
        purpose: Some(Purpose::Consumer),
        instructing_agent: "021000021".to_owned(),
        instructed_agent: "011401533".to_owned(),
        debtor: party("Whole Body Fitness LLC", "5005001", "021000021"),
        creditor: party("Jules Jackson", "7007002", "011401533"),
        remittance: None,
    }
}

pub fn pacs008(dialect: Dialect, transfer: &CreditTransfer, now: i64) -> Vec<u8> {
    let message = Message::CreditTransfer(transfer.clone());
    Envelope::to_network(dialect, header(dialect, 1, now), message).write().unwrap()
}

pub fn pacs028(dialect: Dialect, transfer: &CreditTransfer, now: i64) -> Vec<u8> {
    let date = Date::from_unix_micros(now);
    let serial = id::serial(999_999);
    let message = Message::StatusRequest(StatusRequest {
        message_id: match dialect {
            Dialect::Tch => id::tch_message_id('M', date, "021000021T1", "SWY", &serial).unwrap(),
            Dialect::FedNow => id::fednow_message_id(date, "021000021", &serial).unwrap(),
        },
        created: DateTime::from_unix_micros(now),
        original: Original::of(transfer),
        accepted: Some(transfer.created.clone()),
        instructing_agent: Some("021000021".to_owned()),
        instructed_agent: Some("011401533".to_owned()),
        amount: Some(transfer.amount),
        settlement_date: transfer.settlement_date,
    });
    Envelope::to_network(dialect, header(dialect, 2, now), message).write().unwrap()
}

/// The report in an answer.
pub fn report(bytes: &[u8]) -> StatusReport {
    match parse(bytes).unwrap().message {
        Message::StatusReport(report) => report,
        other => panic!("not a status report: {other:?}"),
    }
}

/// `ACTC`, `RJCT AC04`, ...
pub fn status(bytes: &[u8]) -> String {
    let report = report(bytes);
    match report.reason {
        Some(reason) => format!("{} {}", report.status, reason.code),
        None => report.status.to_string(),
    }
}
