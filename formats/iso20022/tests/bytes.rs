//! Messages as bytes: what exactly is written, and what is refused.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod samples;

use iso20022::{Amount, Code, Dialect, Envelope, Message, Status, Wrapper, parse};

/// Joins annotated pieces: `(bytes, what they are)`.
fn joined(pieces: &[(&str, &str)]) -> String {
    pieces.iter().map(|(bytes, _)| *bytes).collect()
}

#[test]
fn tch_credit_transfer() {
    let expected = joined(&[
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "declaration; UTF-8 always"),
        ("<Message xmlns=\"urn:tch\"", "TCH's wrapper"),
        (" xmlns:head=\"urn:iso:std:iso:20022:tech:xsd:head.001.001.01\"", "prefix of the header"),
        (" xmlns:ct=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\">", "prefix of the body"),
        ("<AppHdr>", "in TCH's own namespace, its children in the header's"),
        ("<head:Fr><head:FIId><head:FinInstnId><head:ClrSysMmbId>", "sender:"),
        ("<head:MmbId>021000021T1</head:MmbId>", "11 characters: routing number and 2"),
        ("</head:ClrSysMmbId></head:FinInstnId></head:FIId></head:Fr>", ""),
        ("<head:To><head:FIId><head:FinInstnId><head:ClrSysMmbId>", "receiver:"),
        ("<head:MmbId>011401533T1</head:MmbId>", "11 characters"),
        ("</head:ClrSysMmbId></head:FinInstnId></head:FIId></head:To>", ""),
        ("<head:BizMsgIdr>B20261124021000021T1BSWY0000000001A</head:BizMsgIdr>", "B, date, ..."),
        ("<head:MsgDefIdr>pacs.008.001.08</head:MsgDefIdr>", "from the body's type"),
        ("<head:CreDt>2026-11-24T15:33:36.123Z</head:CreDt>", "UTC, milliseconds"),
        ("</AppHdr><CreditTransfer><ct:FIToFICstmrCdtTrf><ct:GrpHdr>", "the body"),
        ("<ct:MsgId>M20261124021000021T1BSWY0000000001A</ct:MsgId>", "M, date, participant, ..."),
        ("<ct:CreDtTm>2026-11-24T15:33:36.123Z</ct:CreDtTm>", "begin of the acceptance window"),
        ("<ct:NbOfTxs>1</ct:NbOfTxs>", "one payment a message"),
        ("<ct:TtlIntrBkSttlmAmt Ccy=\"USD\">7795.02</ct:TtlIntrBkSttlmAmt>", "the one amount"),
        ("<ct:IntrBkSttlmDt>2026-11-24</ct:IntrBkSttlmDt>", "of the group in TCH"),
        ("<ct:SttlmInf><ct:SttlmMtd>CLRG</ct:SttlmMtd>", "settled by clearing"),
        ("<ct:ClrSys><ct:Cd>TCH</ct:Cd></ct:ClrSys></ct:SttlmInf></ct:GrpHdr>", "by TCH"),
        ("<ct:CdtTrfTxInf><ct:PmtId>", "the payment"),
        ("<ct:InstrId>20261124021000021T1BSWY0000000001A</ct:InstrId>", "no prefix letter"),
        ("<ct:EndToEndId>0192f0c1a2b37c3d8e4f5a6b7c8d9e0f</ct:EndToEndId>", "the transfer"),
        ("<ct:TxId>20261124021000021T1BSWY0000000001A</ct:TxId>", ""),
        ("<ct:UETR>abababab-abab-4bab-abab-abababababab</ct:UETR>", "v4 UUID"),
        ("<ct:ClrSysRef>001</ct:ClrSysRef></ct:PmtId>", "constant"),
        ("<ct:PmtTpInf><ct:SvcLvl><ct:Cd>SDVA</ct:Cd></ct:SvcLvl>", "same day value"),
        ("<ct:LclInstrm><ct:Prtry>STANDARD</ct:Prtry></ct:LclInstrm>", "constant"),
        ("<ct:CtgyPurp><ct:Prtry>CONSUMER</ct:Prtry></ct:CtgyPurp></ct:PmtTpInf>", "purpose"),
        ("<ct:IntrBkSttlmAmt Ccy=\"USD\">7795.02</ct:IntrBkSttlmAmt>", "779502 minor units"),
        ("<ct:ChrgBr>SLEV</ct:ChrgBr>", "constant"),
        ("<ct:InstgAgt><ct:FinInstnId><ct:ClrSysMmbId><ct:MmbId>021000021</ct:MmbId>", "9 digits"),
        ("</ct:ClrSysMmbId></ct:FinInstnId></ct:InstgAgt>", ""),
        ("<ct:InstdAgt><ct:FinInstnId><ct:ClrSysMmbId><ct:MmbId>011401533</ct:MmbId>", ""),
        ("</ct:ClrSysMmbId></ct:FinInstnId></ct:InstdAgt>", ""),
        ("<ct:Dbtr><ct:Nm>Whole Body Fitness &lt;LLC&gt; &amp; Co</ct:Nm></ct:Dbtr>", "escaped"),
        ("<ct:DbtrAcct><ct:Id><ct:Othr><ct:Id>5005001</ct:Id>", "account to debit"),
        ("</ct:Othr></ct:Id></ct:DbtrAcct>", ""),
        ("<ct:DbtrAgt><ct:FinInstnId><ct:ClrSysMmbId><ct:MmbId>021000021</ct:MmbId>", "its bank"),
        ("</ct:ClrSysMmbId></ct:FinInstnId></ct:DbtrAgt>", ""),
        ("<ct:CdtrAgt><ct:FinInstnId><ct:ClrSysMmbId><ct:MmbId>011401533</ct:MmbId>", ""),
        ("</ct:ClrSysMmbId></ct:FinInstnId></ct:CdtrAgt>", "bank before customer, here"),
        ("<ct:Cdtr><ct:Nm>Jos\u{e9} \"Pep\" O'Brien</ct:Nm></ct:Cdtr>", "UTF-8, quotes bare"),
        ("<ct:CdtrAcct><ct:Id><ct:Othr><ct:Id>0072</ct:Id>", "leading zeros kept"),
        ("</ct:Othr></ct:Id></ct:CdtrAcct>", ""),
        ("<ct:RmtInf><ct:Ustrd>Invoice 17</ct:Ustrd></ct:RmtInf>", "up to 140 characters"),
        ("</ct:CdtTrfTxInf></ct:FIToFICstmrCdtTrf></CreditTransfer></Message>\n", ""),
    ]);
    let written = samples::all(Dialect::Tch)[0].write().unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn tch_status_report_that_never_arrived() {
    let expected = joined(&[
        ("<MessageStatusReport><ps:FIToFIPmtStsRpt><ps:GrpHdr>", "the body"),
        ("<ps:MsgId>M20261124011401533T1BSBX00000000001</ps:MsgId>", "the report's own"),
        ("<ps:CreDtTm>2026-11-24T15:33:36.200Z</ps:CreDtTm></ps:GrpHdr>", ""),
        ("<ps:OrgnlGrpInfAndSts>", "which message it is about:"),
        ("<ps:OrgnlMsgId>M20261124021000021T1BSWY0000000001A</ps:OrgnlMsgId>", "its MsgId"),
        ("<ps:OrgnlMsgNmId>pacs.008.001.08</ps:OrgnlMsgNmId>", "its type"),
        ("<ps:OrgnlCreDtTm>2026-11-24T15:33:36.123Z</ps:OrgnlCreDtTm>", "its time"),
        ("<ps:OrgnlNbOfTxs>1</ps:OrgnlNbOfTxs></ps:OrgnlGrpInfAndSts>", "constant"),
        ("<ps:TxInfAndSts>", "which payment, no EndToEndId in TCH's schema:"),
        ("<ps:OrgnlInstrId>20261124021000021T1BSWY0000000001A</ps:OrgnlInstrId>", ""),
        ("<ps:OrgnlTxId>20261124021000021T1BSWY0000000001A</ps:OrgnlTxId>", ""),
        ("<ps:OrgnlUETR>abababab-abab-4bab-abab-abababababab</ps:OrgnlUETR>", ""),
        ("<ps:TxSts>RJCT</ps:TxSts>", "rejected,"),
        ("<ps:StsRsnInf><ps:Rsn><ps:Prtry>NOAT</ps:Prtry></ps:Rsn>", "as no original came,"),
        ("<ps:AddtlInf>The original message never arrived</ps:AddtlInf></ps:StsRsnInf>", ""),
        ("<ps:AccptncDtTm>2026-11-24T15:33:36.200Z</ps:AccptncDtTm>", "mandatory even so"),
        ("<ps:ClrSysRef>001</ps:ClrSysRef>", "constant"),
        ("<ps:InstgAgt><ps:FinInstnId><ps:ClrSysMmbId><ps:MmbId>021000021</ps:MmbId>", ""),
        ("</ps:ClrSysMmbId></ps:FinInstnId></ps:InstgAgt>", ""),
        ("<ps:InstdAgt><ps:FinInstnId><ps:ClrSysMmbId><ps:MmbId>011401533</ps:MmbId>", ""),
        ("</ps:ClrSysMmbId></ps:FinInstnId></ps:InstdAgt>", ""),
        ("<ps:OrgnlTxRef><ps:IntrBkSttlmAmt Ccy=\"USD\">7795.02</ps:IntrBkSttlmAmt>", "to compare"),
        ("<ps:IntrBkSttlmDt>2026-11-24</ps:IntrBkSttlmDt></ps:OrgnlTxRef>", ""),
        ("</ps:TxInfAndSts></ps:FIToFIPmtStsRpt></MessageStatusReport></Message>\n", ""),
    ]);
    let written = String::from_utf8(samples::all(Dialect::Tch)[3].write().unwrap()).unwrap();
    assert_eq!(&written[written.find("<MessageStatusReport>").unwrap()..], expected);
    let Message::StatusReport(report) = parse(written.as_bytes()).unwrap().message else {
        panic!("a status report")
    };
    assert!(report.says_never_arrived());
}

#[test]
fn fednow_status_report() {
    let expected = joined(&[
        (
            "<FedNowOutgoing xmlns=\"urn:fednow:outgoing:v001\"><FedNowOutgoingMessage>",
            "from the Fed",
        ),
        ("<FedNowPaymentStatus>", "one element per kind of message"),
        ("<AppHdr xmlns=\"urn:iso:std:iso:20022:tech:xsd:head.001.001.02\">", "no prefixes"),
        ("<Fr><FIId><FinInstnId><ClrSysMmbId><MmbId>021000021</MmbId>", "9 digits"),
        ("</ClrSysMmbId></FinInstnId></FIId></Fr>", ""),
        ("<To><FIId><FinInstnId><ClrSysMmbId><MmbId>011401533</MmbId>", ""),
        ("</ClrSysMmbId></FinInstnId></FIId></To>", ""),
        ("<BizMsgIdr>20261124021000021SWY0000000001A</BizMsgIdr>", "date, routing number, serial"),
        ("<MsgDefIdr>pacs.002.001.10</MsgDefIdr>", ""),
        ("<MktPrctc><Regy>www2.swift.com/mystandards/#/group/", "constant"),
        ("Federal_Reserve_Financial_Services/FedNow_Service</Regy>", ""),
        ("<Id>frb.fednow.01</Id></MktPrctc>", "constant"),
        ("<CreDt>2026-11-24T15:33:36.123Z</CreDt></AppHdr>", ""),
        ("<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\">", ""),
        ("<FIToFIPmtStsRpt><GrpHdr><MsgId>20261124011401533SBX1</MsgId>", ""),
        ("<CreDtTm>2026-11-24T15:33:36.200Z</CreDtTm></GrpHdr><TxInfAndSts>", ""),
        ("<OrgnlGrpInf><OrgnlMsgId>20261124021000021SWY0000000001A</OrgnlMsgId>", "in the payment"),
        ("<OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId>", ""),
        ("<OrgnlCreDtTm>2026-11-24T15:33:36.123Z</OrgnlCreDtTm></OrgnlGrpInf>", ""),
        ("<OrgnlInstrId>20261124021000021T1BSWY0000000001A</OrgnlInstrId>", ""),
        ("<OrgnlEndToEndId>0192f0c1a2b37c3d8e4f5a6b7c8d9e0f</OrgnlEndToEndId>", "the transfer"),
        ("<OrgnlTxId>20261124021000021T1BSWY0000000001A</OrgnlTxId>", ""),
        ("<OrgnlUETR>abababab-abab-4bab-abab-abababababab</OrgnlUETR>", ""),
        ("<TxSts>ACSC</TxSts>", "settled: FedNow's final acceptance"),
        ("<AccptncDtTm>2026-11-24T15:33:36.200Z</AccptncDtTm>", ""),
        ("<FctvIntrBkSttlmDt><Dt>2026-11-24</Dt></FctvIntrBkSttlmDt>", "here the settlement date"),
        ("<InstgAgt><FinInstnId><ClrSysMmbId><ClrSysId><Cd>USABA</Cd></ClrSysId>", "whose number"),
        ("<MmbId>021000021</MmbId></ClrSysMmbId></FinInstnId></InstgAgt>", ""),
        ("<InstdAgt><FinInstnId><ClrSysMmbId><ClrSysId><Cd>USABA</Cd></ClrSysId>", ""),
        ("<MmbId>011401533</MmbId></ClrSysMmbId></FinInstnId></InstdAgt>", ""),
        ("<OrgnlTxRef><IntrBkSttlmAmt Ccy=\"USD\">7795.02</IntrBkSttlmAmt></OrgnlTxRef>", ""),
        ("</TxInfAndSts></FIToFIPmtStsRpt></Document>", ""),
        ("</FedNowPaymentStatus></FedNowOutgoingMessage></FedNowOutgoing>\n", ""),
    ]);
    let written = String::from_utf8(samples::all(Dialect::FedNow)[1].write().unwrap()).unwrap();
    assert_eq!(&written[written.find("<FedNowOutgoing ").unwrap()..], expected);
}

#[test]
fn what_was_written_is_read_again() {
    for dialect in [Dialect::Tch, Dialect::FedNow] {
        for envelope in samples::all(dialect) {
            let mut read = parse(&envelope.write().unwrap()).unwrap();
            assert_eq!(read.dialect(), Some(dialect));
            // TCH's schema has no room for two of the references.
            let original = match &mut read.message {
                Message::StatusReport(report) => Some(&mut report.original),
                Message::StatusRequest(request) => Some(&mut request.original),
                Message::CreditTransfer(_) => None,
            };
            if let (Some(original), Dialect::Tch) = (original, dialect) {
                let transfer = samples::transfer(dialect);
                original.end_to_end_id = Some(transfer.end_to_end_id);
                original.uetr = transfer.uetr;
            }
            assert_eq!(read, envelope);
        }
    }
}

#[test]
fn a_plain_document_has_no_header() {
    let message = Message::CreditTransfer(samples::transfer(Dialect::FedNow));
    let envelope = Envelope { wrapper: Wrapper::Document, header: None, message };
    let written = envelope.write().unwrap();
    assert!(written.windows(9).any(|window| window == b"<Document"));
    assert_eq!(parse(&written).unwrap(), envelope);
}

/// The TCH credit transfer with `from` replaced by `to`, once.
fn altered(from: &str, to: &str) -> Vec<u8> {
    let written = String::from_utf8(samples::all(Dialect::Tch)[0].write().unwrap()).unwrap();
    assert!(written.contains(from), "{from}");
    written.replacen(from, to, 1).into_bytes()
}

#[test]
fn refusals_name_the_place_and_the_kind() {
    let body = "/Message/CreditTransfer/FIToFICstmrCdtTrf";
    let inner = format!("{body}/CdtTrfTxInf");
    let accounts = "/CdtrAcct/Id/Othr/Id";
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str, Code)] = &[
        ("<Message", "<!DOCTYPE Message><Message", "/", Code::Forbidden),
        ("<Message", "<!DOCTYPE a [<!ENTITY b \"c\">]><Message", "/", Code::Forbidden),
        ("<Message", "<?php x?><Message", "/", Code::Forbidden),
        ("Invoice", "&xxe;", &format!("{inner}/RmtInf/Ustrd"), Code::Forbidden),
        ("Invoice", "&#0;", &format!("{inner}/RmtInf/Ustrd"), Code::Malformed),
        ("Invoice", "&#8;", &format!("{inner}/RmtInf/Ustrd"), Code::Malformed),
        ("Invoice", "\u{1}", "/", Code::Malformed),
        ("encoding=\"UTF-8\"", "encoding=\"UTF-16\"", "/", Code::Malformed),
        ("pacs.008.001.08\">", "pacs.008.001.09\">", "/Message/CreditTransfer", Code::UnknownNamespace),
        ("xmlns=\"urn:tch\"", "xmlns=\"urn:tcha\"", "/", Code::UnknownNamespace),
        ("<ct:NbOfTxs>1<", "<ct:NbOfTxs>2<", &format!("{body}/GrpHdr/NbOfTxs"), Code::Value),
        ("<ct:ChrgBr>SLEV</ct:ChrgBr>", "", &format!("{inner}/ChrgBr"), Code::Missing),
        ("<ct:ChrgBr>SLEV</ct:ChrgBr>", "<ct:ChrgBr>SLEV</ct:ChrgBr><ct:ChrgBr>SLEV</ct:ChrgBr>",
            &format!("{inner}/ChrgBr"), Code::Repeated),
        ("<ct:ChrgBr>", "<ct:Chrgs/><ct:ChrgBr>", &format!("{inner}/Chrgs"), Code::UnexpectedElement),
        ("<ct:ChrgBr>", "<head:Prty/><ct:ChrgBr>", &format!("{inner}/Prty"), Code::UnexpectedElement),
        ("<ct:ChrgBr>", "<ct:IntrBkSttlmDt>2026-11-24</ct:IntrBkSttlmDt><ct:PmtTpInf/><ct:ChrgBr>",
            &format!("{inner}/PmtTpInf"), Code::WrongOrder),
        ("<ct:ChrgBr>", "stray<ct:ChrgBr>", &inner, Code::UnexpectedText),
        ("<ct:ChrgBr>", "<ct:ChrgBr x=\"1\">", &inner, Code::UnexpectedElement),
        ("\">7795.02</ct:IntrBk", "\">-7795.02</ct:IntrBk", &format!("{inner}/IntrBkSttlmAmt"), Code::Value),
        ("\">7795.02</ct:IntrBk", "\">7.79502e3</ct:IntrBk", &format!("{inner}/IntrBkSttlmAmt"), Code::Value),
        ("\">7795.02</ct:IntrBk", "\">7795.020</ct:IntrBk", &format!("{inner}/IntrBkSttlmAmt"), Code::Value),
        ("\">7795.02</ct:IntrBk", "\">7795.03</ct:IntrBk", &inner, Code::Contradiction),
        ("<ct:IntrBkSttlmAmt Ccy=\"USD\">", "<ct:IntrBkSttlmAmt>", &format!("{inner}/IntrBkSttlmAmt"), Code::Missing),
        ("15:33:36.123Z</ct:", "25:33:36.123Z</ct:", &format!("{body}/GrpHdr/CreDtTm"), Code::Value),
        ("abab-4bab-abab", "abab-7bab-abab", &format!("{inner}/PmtId/UETR"), Code::Value),
        ("<ct:MsgId>M2026", "<ct:MsgId>X2026", &format!("{body}/GrpHdr/MsgId"), Code::Value),
        ("<ct:MsgId>M20261124", "<ct:MsgId>M20261324", &format!("{body}/GrpHdr/MsgId"), Code::Value),
        ("<ct:Id>0072<", "<ct:Id><", &format!("{inner}{accounts}"), Code::Value),
        ("<ct:Id>0072<", "<ct:Id>12345678901234567890123456789012345<", &format!("{inner}{accounts}"), Code::Value),
        ("CONSUMER", "CHARITY", &format!("{inner}/PmtTpInf/CtgyPurp/Prtry"), Code::Value),
        ("CreditTransfer>", "Credit>", "/Message/CreditTransfer", Code::Malformed),
        ("</Message>", "</Message><Message/>", "/", Code::Malformed),
        ("</Message>", "</Message>x", "/", Code::Malformed),
        ("</Message>", "", "/Message", Code::Malformed),
    ];
    for (from, to, path, code) in cases {
        let errors = parse(&altered(from, to)).expect_err(to);
        let got = (errors[0].path.as_str(), errors[0].code);
        let close = *code == Code::Malformed && got.1 == *code;
        assert!(close || got == (*path, *code), "{from} -> {to}: {errors:?}");
        assert!(errors[0].found.as_deref() != Some("12345678901234567890123456789012345"));
    }
}

#[test]
fn all_errors_of_a_message_and_not_the_first() {
    let text = String::from_utf8(altered("<ct:NbOfTxs>1<", "<ct:NbOfTxs>2<")).unwrap();
    let text = text.replace("\">7795.02<", "\">1e3<").replace("abab-4bab", "abab-1bab");
    let errors = parse(text.as_bytes()).unwrap_err();
    let mut paths: Vec<_> =
        errors.iter().map(|error| error.path.rsplit('/').next().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["IntrBkSttlmAmt", "NbOfTxs", "TtlIntrBkSttlmAmt", "UETR"]);
}

#[test]
fn too_large_and_too_deep() {
    let large = altered("Invoice 17", &"x".repeat(iso20022::MAX_BYTES));
    assert_eq!(parse(&large).unwrap_err()[0].code, Code::TooLarge);
    let deep = altered("<ct:ChrgBr>", &"<ct:Tax>".repeat(40));
    assert_eq!(parse(&deep).unwrap_err()[0].code, Code::TooDeep);
    let wide: String = (0..20).map(|n| format!(" xmlns:a{n}=\"urn:tch\"")).collect();
    assert_eq!(
        parse(&altered("<ct:ChrgBr>", &format!("<ct:ChrgBr{wide}>"))).unwrap_err()[0].code,
        Code::TooDeep
    );
}

#[test]
fn equal_messages_in_other_clothes() {
    let plain = parse(&altered("Invoice 17", "Invoice 17")).unwrap();
    for (from, to) in [
        ("Invoice 17", "<![CDATA[Invoice 17]]>"),
        ("Invoice 17", "Inv&#x6f;ice<!-- -->&#32;17"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "\u{feff}"),
        ("<ct:ChrgBr>", "\n\t  <ct:ChrgBr>"),
        ("<AppHdr>", "<q:AppHdr xmlns:q=\"urn:tch\">"),
    ] {
        let mut text = String::from_utf8(altered(from, to)).unwrap();
        if to.starts_with("<q:") {
            text = text.replace("</AppHdr>", "</q:AppHdr>");
        }
        assert_eq!(parse(text.as_bytes()).as_ref(), Ok(&plain), "{to}");
    }
}

#[test]
fn nothing_is_written_that_would_be_refused() {
    type Change = fn(&mut iso20022::pacs008::CreditTransfer);
    let changes: [(Change, &str, Code); 9] = [
        (|t| t.creditor.name.clear(), "Cdtr/Nm", Code::Value),
        (|t| t.creditor.name = "x".repeat(141), "Cdtr/Nm", Code::Value),
        (|t| t.creditor.name = "bell\u{7}".to_owned(), "Cdtr/Nm", Code::Value),
        (|t| t.message_id = "M1".to_owned(), "GrpHdr/MsgId", Code::Value),
        (|t| t.instruction_id = None, "PmtId/InstrId", Code::Missing),
        (|t| t.transaction_id = None, "PmtId/TxId", Code::Missing),
        (|t| t.purpose = None, "PmtTpInf/CtgyPurp", Code::Missing),
        (|t| t.amount = Amount::new(1, "EUR").unwrap(), "IntrBkSttlmAmt", Code::Value),
        (|t| t.amount = Amount::new(0, "USD").unwrap(), "IntrBkSttlmAmt", Code::Value),
    ];
    for (change, path, code) in changes {
        let mut transfer = samples::transfer(Dialect::Tch);
        change(&mut transfer);
        let message = Message::CreditTransfer(transfer);
        let envelope = Envelope::to_network(Dialect::Tch, samples::header(Dialect::Tch), message);
        let errors = envelope.write().unwrap_err();
        assert!(errors[0].path.ends_with(path) && errors[0].code == code, "{errors:?}");
    }
    let mut report = samples::report(Dialect::Tch);
    report.status = Status::Acsc;
    let message = Message::StatusReport(report);
    let envelope = Envelope::from_network(Dialect::Tch, samples::header(Dialect::Tch), message);
    assert!(envelope.write().unwrap_err()[0].path.ends_with("TxSts"));
}

#[test]
fn an_unknown_status_is_kept() {
    let mut report = samples::report(Dialect::FedNow);
    report.status = Status::Other("BLCK".to_owned());
    let message = Message::StatusReport(report);
    let header = samples::header(Dialect::FedNow);
    let envelope = Envelope::from_network(Dialect::FedNow, header, message);
    assert_eq!(parse(&envelope.write().unwrap()).unwrap(), envelope);
}

/// Prints what a message costs; the bound is wide, for a machine that is shared.
#[test]
#[expect(clippy::disallowed_methods, reason = "a stop watch, not a decision")]
fn cost_of_a_message() {
    const ROUNDS: u32 = 2000;
    for dialect in [Dialect::Tch, Dialect::FedNow] {
        let envelope = &samples::all(dialect)[0];
        let bytes = envelope.write().unwrap();
        let begin = std::time::Instant::now();
        for _ in 0..ROUNDS {
            assert!(parse(&bytes).is_ok());
        }
        let read = begin.elapsed() / ROUNDS;
        let begin = std::time::Instant::now();
        for _ in 0..ROUNDS {
            assert_eq!(envelope.write().unwrap().len(), bytes.len());
        }
        let written = begin.elapsed() / ROUNDS;
        println!("pacs.008 {dialect:?}, {} bytes: read {read:?}, write {written:?}", bytes.len());
        assert!(read.as_millis() < 5 && written.as_millis() < 5);
    }
}
