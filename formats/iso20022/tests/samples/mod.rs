//! Messages that the tests share.

use iso20022::pacs002::StatusReport;
use iso20022::pacs008::{CreditTransfer, Party};
use iso20022::pacs028::StatusRequest;
use iso20022::{
    Amount, Date, DateTime, Dialect, Envelope, Header, Message, Original, Purpose, Reason, Status,
    Uetr, reasons,
};

pub fn header(dialect: Dialect) -> Header {
    let (from, to, message_id) = match dialect {
        Dialect::Tch => ("021000021T1", "011401533T1", "B20261124021000021T1BSWY0000000001A"),
        Dialect::FedNow => ("021000021", "011401533", "20261124021000021SWY0000000001A"),
    };
    Header {
        from: from.to_owned(),
        to: to.to_owned(),
        message_id: message_id.to_owned(),
        created: DateTime::parse("2026-11-24T15:33:36.123Z").unwrap(),
        duplicate: false,
    }
}

pub fn transfer(dialect: Dialect) -> CreditTransfer {
    let message_id = match dialect {
        Dialect::Tch => "M20261124021000021T1BSWY0000000001A",
        Dialect::FedNow => "20261124021000021SWY0000000001A",
    };
    let party = |name: &str, account: &str, agent: &str| Party {
        name: name.to_owned(),
        account: account.to_owned(),
        agent: agent.to_owned(),
    };
    CreditTransfer {
        message_id: message_id.to_owned(),
        created: DateTime::parse("2026-11-24T15:33:36.123Z").unwrap(),
        settlement_date: Date::new(2026, 11, 24),
        amount: Amount::new(779_502, "USD").unwrap(),
        instruction_id: Some("20261124021000021T1BSWY0000000001A".to_owned()),
        end_to_end_id: "0192f0c1a2b37c3d8e4f5a6b7c8d9e0f".to_owned(),
        transaction_id: Some("20261124021000021T1BSWY0000000001A".to_owned()),
        uetr: Some(Uetr::from_bytes([0xab; 16])),
        purpose: Some(Purpose::Consumer),
        instructing_agent: "021000021".to_owned(),
        instructed_agent: "011401533".to_owned(),
        debtor: party("Whole Body Fitness <LLC> & Co", "5005001", "021000021"),
        creditor: party("Jos\u{e9} \"Pep\" O'Brien", "0072", "011401533"),
        remittance: Some("Invoice 17".to_owned()),
    }
}

pub fn report(dialect: Dialect) -> StatusReport {
    let transfer = transfer(dialect);
    let status = match dialect {
        Dialect::Tch => Status::Actc,
        Dialect::FedNow => Status::Acsc,
    };
    StatusReport {
        message_id: match dialect {
            Dialect::Tch => "M20261124011401533T1BSBX00000000001".to_owned(),
            Dialect::FedNow => "20261124011401533SBX1".to_owned(),
        },
        created: DateTime::parse("2026-11-24T15:33:36.200Z").unwrap(),
        original: Original::of(&transfer),
        status,
        reason: None,
        accepted: Some(DateTime::parse("2026-11-24T15:33:36.200Z").unwrap()),
        instructing_agent: Some("021000021".to_owned()),
        instructed_agent: Some("011401533".to_owned()),
        amount: Some(transfer.amount),
        settlement_date: transfer.settlement_date,
    }
}

pub fn rejection(dialect: Dialect) -> StatusReport {
    let reason = Reason { code: "AC04".to_owned(), proprietary: false, information: None };
    StatusReport { status: Status::Rjct, reason: Some(reason), ..report(dialect) }
}

pub fn never_arrived(dialect: Dialect) -> StatusReport {
    let reason = Some(reasons::never_arrived(dialect));
    StatusReport { status: Status::Rjct, reason, ..report(dialect) }
}

pub fn request(dialect: Dialect) -> StatusRequest {
    let transfer = transfer(dialect);
    StatusRequest {
        message_id: match dialect {
            Dialect::Tch => "M20261124021000021T1BSWY0000000002B".to_owned(),
            Dialect::FedNow => "20261124021000021SWY0000000002B".to_owned(),
        },
        created: DateTime::parse("2026-11-24T15:33:41.000Z").unwrap(),
        original: Original::of(&transfer),
        accepted: Some(transfer.created.clone()),
        instructing_agent: Some("021000021".to_owned()),
        instructed_agent: Some("011401533".to_owned()),
        amount: Some(transfer.amount),
        settlement_date: transfer.settlement_date,
    }
}

/// Every kind of message in a dialect, in the direction in which it travels.
pub fn all(dialect: Dialect) -> Vec<Envelope> {
    let in_or_out = |message: Message| match message {
        Message::StatusReport(_) => Envelope::from_network(dialect, header(dialect), message),
        _ => Envelope::to_network(dialect, header(dialect), message),
    };
    vec![
        in_or_out(Message::CreditTransfer(transfer(dialect))),
        in_or_out(Message::StatusReport(report(dialect))),
        in_or_out(Message::StatusReport(rejection(dialect))),
        in_or_out(Message::StatusReport(never_arrived(dialect))),
        in_or_out(Message::StatusRequest(request(dialect))),
    ]
}
