//! The samples and schemas of `SWITCHYARD_VECTORS` (default `../shared/vectors` beside the
//! workspace). Absent: a loud skip.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod samples;

use std::path::{Path, PathBuf};
use std::process::Command;

use iso20022::{Code, Dialect, Envelope, Message, Status, Wrapper, parse, routing};

fn vectors() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os("SWITCHYARD_VECTORS")
        .map_or_else(|| workspace.join("../shared/vectors"), PathBuf::from);
    let root = if root.is_absolute() { root } else { workspace.join(root) };
    if root.join("iso20022").is_dir() {
        return Some(root);
    }
    eprintln!("vectors: iso20022: SKIPPED, no directory {}", root.join("iso20022").display());
    None
}

fn tch_sample(root: &Path, name: &str) -> (String, String) {
    let read =
        |name: &str| std::fs::read_to_string(root.join("iso20022/rtp-tch").join(name)).expect(name);
    let header = read("head001.nosignature.xml");
    let begin = header.find("<AppHdr>").unwrap();
    let end = header.find("</AppHdr>").unwrap();
    let sample = read(name);
    let (before, rest) = sample.split_once("<AppHdr>").unwrap();
    let (_, after) = rest.split_once("</AppHdr>").unwrap();
    let filled = format!("{before}{}{after}", &header[begin..end + "</AppHdr>".len()]);
    // Both files bind the prefix `head` at the root.
    (sample, filled)
}

#[test]
fn tch_samples() {
    let Some(root) = vectors() else { return };
    for (name, status) in [("pacs008.xml", None), ("pacs002.ACTC.xml", Some(Status::Actc))] {
        let (sample, filled) = tch_sample(&root, name);
        let errors = parse(sample.as_bytes()).expect_err("an empty AppHdr");
        assert!(errors.iter().all(|e| e.path.starts_with("/Message/AppHdr")), "{errors:?}");
        assert!(errors[0].path.starts_with("/Message/AppHdr/Fr"), "{errors:?}");
        let envelope = parse(filled.as_bytes()).expect(name);
        assert_eq!(envelope.wrapper, Wrapper::Tch);
        let header = envelope.header.as_ref().unwrap();
        assert_eq!((header.from.as_str(), header.duplicate), ("990000001T1", true));
        match (&envelope.message, status) {
            (Message::CreditTransfer(transfer), None) => {
                assert_eq!(transfer.message_id, "M20230713234567891T1BOTS02083825666");
                assert_eq!(transfer.amount.minor(), 4_615_449);
                assert_eq!(transfer.created.as_str(), "2023-07-13T15:29:36");
                assert_eq!(transfer.creditor.account, "42341169728762787");
                assert_eq!(transfer.debtor.name, "MRS. GREEN");
            }
            (Message::StatusReport(report), Some(status)) => {
                assert_eq!(report.status, status);
                assert_eq!(report.amount.unwrap().minor(), 200_000);
                assert_eq!(report.original.message_id, "M20230711200000057A1BFFF64928178098");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(parse(&envelope.write().unwrap()), Ok(envelope));
    }
    println!("vectors: iso20022: rtp-tch 2 checked, 2 passed");
}

#[test]
fn other_tch_samples_name_their_namespace() {
    let Some(root) = vectors() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("iso20022/rtp-tch")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if ["pacs008", "pacs002", "head001"].iter().any(|known| name.starts_with(known)) {
            continue;
        }
        let errors = parse(&std::fs::read(&path).unwrap()).expect_err(&name);
        assert_eq!(errors[0].code, Code::UnknownNamespace, "{name}: {errors:?}");
        assert!(errors[0].found.as_deref().unwrap().starts_with("urn:iso:std:"), "{errors:?}");
        count += 1;
    }
    println!("vectors: iso20022: {count} of unsupported namespaces refused by name");
}

#[test]
fn fednow_samples() {
    let Some(root) = vectors() else { return };
    let read = |name: &str| std::fs::read(root.join("iso20022/fednow").join(name)).expect(name);
    let transfer = parse(&read("sample-participant-to-fednow-message.xml")).unwrap();
    assert_eq!(transfer.wrapper, Wrapper::FedNowIncoming);
    let Message::CreditTransfer(body) = &transfer.message else { panic!("a credit transfer") };
    assert_eq!((body.amount.minor(), body.amount.currency()), (5174, "USD"));
    assert_eq!(body.created.offset_minutes(), Some(-240));
    assert_eq!(body.uetr.unwrap().to_string(), "8a562c67-ca16-48ba-b074-65581be6f011");
    assert_eq!(parse(&transfer.write().unwrap()), Ok(transfer));
    let report = parse(&read("fednow-sample-message-outgoing-pacs002.xml")).unwrap();
    assert_eq!(report.wrapper, Wrapper::FedNowOutgoing);
    let Message::StatusReport(body) = &report.message else { panic!("a status report") };
    assert_eq!(body.status, Status::Acsc);
    assert_eq!(body.original.message_id, "20230604111111111Sc01Step1MsgId");
    assert_eq!(parse(&report.write().unwrap()), Ok(report));
    let errors = parse(&read("unit/fednow_incoming.xml")).unwrap_err();
    assert!(errors.iter().any(|error| error.path.starts_with("/AppHdr/Fr")), "{errors:?}");
}

/// Fedwire's plain documents. A transfer without accounts or with a BIC only, which Fedwire has and
/// neither instant network allows, is refused for what is missing, for nothing else.
#[test]
fn fedwire_samples() {
    let Some(root) = vectors() else { return };
    let folder = root.join("iso20022/fedwire-samples");
    let (mut read, mut without) = (0, 0);
    for kind in ["CustomerCreditTransfer", "FedwireFundsPaymentStatus", "PaymentStatusRequest"] {
        for entry in std::fs::read_dir(folder.join(kind).join("swiftSample")).unwrap() {
            let path = entry.unwrap().path();
            match parse(&std::fs::read(&path).unwrap()) {
                Ok(envelope) => {
                    assert_eq!(parse(&envelope.write().unwrap()), Ok(envelope));
                    read += 1;
                }
                Err(errors) => {
                    let missing = errors.iter().all(|error| error.code == Code::Missing);
                    assert!(missing, "{}: {errors:?}", path.display());
                    without += 1;
                }
            }
        }
    }
    println!("vectors: iso20022: fedwire {read} read, {without} lack what instant payments have");
    assert!(read >= 20, "{read}");
}

#[test]
fn all_routing_numbers_pass() {
    let Some(root) = vectors() else { return };
    let table = root.join("reference/fedach-2018-routing-numbers.csv");
    let text = std::fs::read_to_string(table).unwrap();
    let mut checked = 0;
    for line in text.lines().skip(1) {
        let number = line.split(',').next().unwrap();
        assert!(routing::is_valid(number), "{number}");
        checked += 1;
    }
    println!("vectors: {checked} routing numbers");
    assert!(checked > 10_000, "{checked}");
}

/// Everything that is written validates against the network's schema, by xmllint.
#[test]
fn written_messages_validate() {
    let Some(root) = vectors() else { return };
    if Command::new("xmllint").arg("--version").output().is_err() {
        eprintln!("vectors: iso20022: SKIPPED schema validation, no xmllint (libxml2-utils)");
        return;
    }
    let schemas = root.join("iso20022/xsd");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("written");
    std::fs::create_dir_all(&folder).unwrap();
    let validate = |schema: PathBuf, name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).unwrap();
        let output = Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .args([&schema, &file])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {text}");
    };
    let mut count = 0;
    for envelope in samples::all(Dialect::Tch) {
        let name = format!("tch-{count}.xml");
        validate(schemas.join("rtp-tch/messages.xsd"), &name, &envelope.write().unwrap());
        count += 1;
    }
    for envelope in samples::all(Dialect::FedNow) {
        let written = String::from_utf8(envelope.write().unwrap()).unwrap();
        for (element, schema) in
            [("AppHdr", "head.001.001.02".to_owned()), ("Document", envelope.message.name().into())]
        {
            let begin = written.find(&format!("<{element} ")).unwrap();
            let end = written.find(&format!("</{element}>")).unwrap() + element.len() + 3;
            let schema = schemas.join(format!("iso/{schema}.xsd"));
            let name = format!("fednow-{element}-{count}.xml");
            validate(schema, &name, &written.as_bytes()[begin..end]);
        }
        count += 1;
        let document =
            Envelope { wrapper: Wrapper::Document, header: None, message: envelope.message };
        let schema = schemas.join(format!("iso/{}.xsd", document.message.name()));
        validate(schema, &format!("document-{count}.xml"), &document.write().unwrap());
    }
    println!("vectors: iso20022: {count} written messages valid by xmllint");
}
