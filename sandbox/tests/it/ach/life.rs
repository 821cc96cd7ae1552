//! The life of a file: taken once, acknowledged, settled, returned, notified of changes; over
//! restarts too.

use std::time::Duration;

use nacha::{Addenda, Correction, parse};
use sandbox::{Direction, State};

use super::files::{credits, file, transfer};
use super::{World, return_code};

const SETTLEMENT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_file_is_taken_acknowledged_and_settled() {
    let world = World::new().await;
    let bytes = credits('A', &[100, 250]).write().unwrap();
    let client = world.client().await;
    client.upload("one", &bytes).await.unwrap();
    let ack = client.acknowledgement("one").await;
    assert_eq!((&ack["file"], &ack["accepted"]), (&"one.ach".into(), &true.into()));
    assert_eq!((&ack["reason"], &ack["entryCount"]), (&serde_json::Value::Null, &2.into()));
    assert_eq!((&ack["totalDebit"], &ack["totalCredit"]), (&0.into(), &350.into()));
    assert_eq!(ack["sha256"].as_str().unwrap().len(), 64);
    let books = world.books_when(&[State::Accepted; 2]).await;
    assert_eq!((books[0].rail, books[0].amount), ("ach", 100));
    assert_eq!(books[0].reference, "021000020000001");
    assert_eq!(books[0].direction, Some(Direction::Credit));
    let id = transfer(1);
    let hyphenated =
        format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
    assert_eq!(books[0].transfer_id, Some(hyphenated));
    world.advance(SETTLEMENT);
    world.books_when(&[State::Settled; 2]).await;
    assert!(client.names("/returned").await.is_empty());
    assert_eq!(client.sftp.read("/outbound/one.ach").await.unwrap(), bytes);
    let kept = world.dir.path().join("sandbox/ach/00000001-received.ach");
    world.sandbox.shutdown().await;
    assert_eq!(std::fs::read(kept).unwrap(), bytes, "every byte is kept");
}

#[tokio::test]
async fn a_file_is_taken_once() {
    let world = World::new().await;
    assert_eq!(world.send("one", &credits('A', &[100])).await["accepted"], true);
    let again = world.send("two", &credits('A', &[100])).await;
    assert_eq!(again["accepted"], false);
    assert_eq!(again["reason"], "duplicate: a file of the same content was taken");
    let same_id = world.send("three", &credits('A', &[200])).await;
    assert!(same_id["reason"].as_str().unwrap().contains("same origin, date and modifier"));
    assert_eq!(world.send("four", &credits('B', &[200])).await["accepted"], true);
    world.books_when(&[State::Accepted; 2]).await;
    let world = world.restarted(|_| {}).await;
    assert_eq!(world.send("five", &credits('A', &[100])).await["accepted"], false);
    world.advance(SETTLEMENT);
    world.books_when(&[State::Settled; 2]).await;
}

#[tokio::test]
async fn a_bad_file_is_refused_with_its_errors() {
    let world = World::new().await;
    let mut bytes = credits('A', &[100]).write().unwrap();
    bytes[2 * 95 + 38] = b'7';
    let client = world.client().await;
    client.upload("bad", &bytes).await.unwrap();
    let ack = client.acknowledgement("bad").await;
    assert_eq!(ack["accepted"], false);
    let reason = ack["reason"].as_str().unwrap();
    assert!(reason.contains("totalCredit: not what the records add up to"), "{reason}");
    // What was refused has not taken its name: the repaired file may have it.
    assert_eq!(world.send("good", &credits('A', &[100])).await["accepted"], true);
}

#[tokio::test]
async fn returns_and_changes_by_the_table() {
    let world = World::new().await;
    let original = file('A', "27", &[779_903, 779_904, 779_401, 779_801, 100]);
    world.send("one", &original).await;
    let client = world.client().await;
    world.books_when(&[State::Accepted; 5]).await;
    // Before the settlement: R03 and R04, by two banks.
    world.advance(Duration::from_millis(500));
    let returned = parse(&client.read_when("/returned/return-000001.ach").await).unwrap();
    let [returned_state, accepted] = [State::Returned, State::Accepted];
    world.books_when(&[returned_state, returned_state, accepted, accepted, accepted]).await;
    assert_eq!(returned.header.immediate_destination.to_string(), "021000021");
    assert_eq!(returned.header.immediate_origin, "011401533");
    assert_eq!(returned.batches.len(), 2);
    for batch in &returned.batches {
        let entry = &batch.entries[0];
        let Addenda::Return(addenda) = &entry.addenda[0] else { panic!("{entry:?}") };
        let of = &original.batches[0].entries[usize::from(addenda.code == return_code(4))];
        assert_eq!((addenda.original_trace, addenda.original_rdfi), (of.trace, of.rdfi.dfi()));
        assert_eq!((entry.account.as_str(), entry.amount), (of.account.as_str(), of.amount));
        assert_eq!(entry.transaction_code.to_string(), "26");
        assert_eq!(
            (entry.rdfi.to_string().as_str(), batch.header.odfi),
            ("021000021", of.rdfi.dfi())
        );
        assert_eq!(
            (&batch.header.company_name, batch.header.sec),
            (&original.batches[0].header.company_name, original.batches[0].header.sec)
        );
        assert_eq!(addenda.trace, entry.trace);
    }
    assert_ne!(returned.batches[0].entries[0].trace, returned.batches[1].entries[0].trace);
    // With the settlement: C01.
    world.advance(Duration::from_millis(1500));
    let change = parse(&client.read_when("/returned/change-000002.ach").await).unwrap();
    let Addenda::Change(addenda) = &change.batches[0].entries[0].addenda[0] else { panic!() };
    assert_eq!(addenda.original_trace, original.batches[0].entries[3].trace);
    assert_eq!(addenda.correction(), Ok(Correction::Account("12345".to_owned())));
    assert_eq!(client.names("/returned").await.len(), 2);
    let before = [State::Returned, State::Returned, State::Settled, State::Settled, State::Settled];
    world.books_when(&before).await;
    // A settlement later: R01.
    world.advance(SETTLEMENT);
    let late = parse(&client.read_when("/returned/return-000003.ach").await).unwrap();
    let Addenda::Return(addenda) = &late.batches[0].entries[0].addenda[0] else { panic!() };
    assert_eq!(addenda.code, return_code(1));
    assert_eq!(addenda.original_trace, original.batches[0].entries[2].trace);
    let after = [State::Returned, State::Returned, State::Returned, State::Settled, State::Settled];
    world.books_when(&after).await;
}

#[tokio::test]
async fn every_code_of_the_table_makes_a_file_that_can_be_read() {
    let world = World::new().await;
    let changes = (1..=14).filter(|number| nacha::ChangeCode::new(*number).is_some());
    let returns = (1..=85).filter(|number| nacha::ReturnCode::new(*number).is_some());
    let mut cents: Vec<u64> = changes.map(|number| 779_800 + u64::from(number)).collect();
    let (changes, returns) = (cents.len(), returns.collect::<Vec<u8>>());
    cents.extend(returns.iter().map(|number| 779_900 + u64::from(*number)));
    cents.extend(returns.iter().map(|number| 779_400 + u64::from(*number)));
    world.send("all", &credits('A', &cents)).await;
    let client = world.client().await;
    let mut answered = 0;
    world.advance(3 * SETTLEMENT);
    for name in ["return-000001.ach", "change-000002.ach", "return-000003.ach"] {
        let bytes = client.read_when(&format!("/returned/{name}")).await;
        for entry in parse(&bytes).unwrap().batches.iter().flat_map(|batch| &batch.entries) {
            if let Addenda::Change(change) = &entry.addenda[0] {
                assert!(change.correction().is_ok(), "{change:?}");
            }
            answered += 1;
        }
    }
    assert_eq!(answered, changes + 2 * returns.len());
    assert_eq!(answered, 11 + 2 * 70);
}

#[tokio::test]
async fn what_is_due_is_done_after_a_restart() {
    let world = World::new().await;
    world.send("one", &credits('A', &[779_901, 779_402, 779_802, 5])).await;
    let world = world.restarted(|_| {}).await;
    world.books_when(&[State::Accepted; 4]).await;
    // Days later.
    world.advance(Duration::from_secs(3 * 24 * 3600));
    let states = [State::Returned, State::Returned, State::Settled, State::Settled];
    let books = world.books_when(&states).await;
    let client = world.client().await;
    let names = client.names("/returned").await;
    assert_eq!(names.len(), 3, "{names:?}");
    client.sftp.remove_file("/returned/return-000001.ach").await.unwrap();
    let world = world.restarted(|_| {}).await;
    assert_eq!(world.books_when(&states).await, books);
    let names = world.client().await.names("/returned").await;
    assert_eq!(names, ["change-000002.ach", "return-000003.ach"], "seen files do not come again");
}

/// Crashes between two steps leave a line of the books without its effect.
#[tokio::test]
async fn what_a_crash_left_is_made_up() {
    let world = World::new().await;
    world.send("one", &credits('A', &[779_901])).await;
    world.advance(Duration::from_millis(500));
    let client = world.client().await;
    let first = client.read_when("/returned/return-000001.ach").await;
    world.books_when(&[State::Returned]).await;
    let second = credits('B', &[7]).write().unwrap();
    let uploaded = second.clone();
    let world = world
        .restarted(move |dir| {
            let books = dir.join("ach-books.jsonl");
            let text = std::fs::read_to_string(&books).unwrap();
            let seen = |line: &&str| !line.contains("acknowledged") && !line.contains("delivered");
            let lines: Vec<&str> = text.lines().filter(seen).collect();
            assert!(lines.len() + 2 <= text.lines().count(), "{text}");
            std::fs::write(&books, format!("{}\n{{\"line\":\"ta", lines.join("\n"))).unwrap();
            std::fs::remove_file(dir.join("ach-root/returned/return-000001.ach")).unwrap();
            std::fs::remove_file(dir.join("ach-root/ack/one.ack")).unwrap();
            // Handed over, and not judged.
            std::fs::write(dir.join("ach-root/outbound/two.ach"), uploaded).unwrap();
        })
        .await;
    let client = world.client().await;
    assert_eq!(client.acknowledgement("one").await["accepted"], true);
    assert_eq!(client.acknowledgement("two").await["accepted"], true);
    assert_eq!(client.read_when("/returned/return-000001.ach").await, first, "the same bytes");
    world.books_when(&[State::Returned, State::Accepted]).await;
}

#[tokio::test]
async fn an_unknown_key_is_refused_and_the_host_key_stays() {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::private::Ed25519Keypair;

    let world = World::new().await;
    let stranger = PrivateKey::from(Ed25519Keypair::from_seed(&[2; 32]));
    let refused = super::Client::connect_with(&world, stranger).await.err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    let fingerprint = world.sandbox.ach_host_key.clone();
    assert!(fingerprint.as_deref().unwrap().starts_with("SHA256:"));
    let world = world.restarted(|_| {}).await;
    assert_eq!(world.sandbox.ach_host_key, fingerprint);
    world.client().await;
}

/// In true time a file settles in the morning of its effective entry date; one without such a date,
/// or with one that is over, on the next day; a same-day one when it asks for it.
#[tokio::test]
async fn true_days() {
    let world = World::with(None).await;
    // It is 10:33 on November 24 in New York.
    let mut of_tomorrow = credits('A', &[1]);
    of_tomorrow.batches[0].header.effective_date = nacha::Date::parse("261127");
    let mut over = credits('B', &[2]);
    over.batches[0].header.effective_date = nacha::Date::parse("261124");
    let mut same_day = credits('C', &[3]);
    same_day.batches[0].header.effective_date = nacha::Date::parse("261124");
    same_day.batches[0].header.descriptive_date = "SD1300".to_owned();
    for (name, file) in [("one", &of_tomorrow), ("two", &over), ("three", &same_day)] {
        assert_eq!(world.send(name, file).await["accepted"], true);
    }
    let [accepted, settled] = [State::Accepted, State::Settled];
    world.books_when(&[accepted; 3]).await;
    world.advance(Duration::from_secs(3 * 3600));
    world.books_when(&[accepted, accepted, settled]).await;
    world.advance(Duration::from_secs(21 * 3600));
    world.books_when(&[accepted, settled, settled]).await;
    world.advance(Duration::from_secs(3 * 24 * 3600));
    world.books_when(&[settled; 3]).await;
}
