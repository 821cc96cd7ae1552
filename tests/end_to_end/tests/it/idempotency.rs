//! One key, one transfer: repeats, other bodies, many at once, after kill -9.

use std::collections::BTreeSet;

use end_to_end::{Api, Process, key};

on_both!(sixty_four_at_once_make_one_each);

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_original_under_both_names() {
    let mut process = Process::start().await;
    let api = process.api();
    let body = Api::transfer_body(api.wallet(), api.method(0, "moov-wallet"), 55);
    let path = format!("/accounts/{}/transfers", api.account());
    let draft = |key: &str, body: &serde_json::Value| {
        api.request(reqwest::Method::POST, &path).header("Idempotency-Key", key).json(body)
    };
    let (moov, drafted) = (key(), key());
    let first = api.send(api.transfer_request(&moov, &body)).await.unwrap();
    let other = api.send(draft(&drafted, &body)).await.unwrap();
    assert_eq!((first.status, other.status), (200, 200));
    process.kill();
    process.again().await;
    let again = api.send(api.transfer_request(&moov, &body)).await.unwrap();
    assert_eq!(again.status, 409);
    assert_eq!(again.text_of("transferID"), first.text_of("transferID"));
    let again = api.send(draft(&drafted, &body)).await.unwrap();
    assert_eq!((again.status, again.text), (200, other.text));
    // One namespace under two names.
    let crossed = api.send(draft(&moov, &body)).await.unwrap();
    assert_eq!(crossed.text_of("transferID"), first.text_of("transferID"));
    // Another body.
    let changed = Api::transfer_body(api.wallet(), api.method(0, "moov-wallet"), 56);
    assert_eq!(api.send(api.transfer_request(&moov, &changed)).await.unwrap().status, 422);
    assert_eq!(api.send(draft(&drafted, &changed)).await.unwrap().status, 422);
    // None, and two that differ.
    let none = api.request(reqwest::Method::POST, &path).json(&body);
    assert_eq!(api.send(none).await.unwrap().status, 400);
    let two = api.transfer_request(&key(), &body).header("Idempotency-Key", key());
    assert_eq!(api.send(two).await.unwrap().status, 400);
}

async fn sixty_four_at_once_make_one_each(process: Process) {
    let _alone = crate::machine(&process).await;
    let api = process.api();
    let body = Api::transfer_body(api.wallet(), api.method(0, "moov-wallet"), 1);
    let had = api.balance(api.account()).await;
    let mut made = BTreeSet::new();
    // A thousand keys where that takes seconds; on PostgreSQL, where it takes a minute and more,
    // enough that each pair of processes meets.
    let rounds: usize = if process.database().is_some() { 10 } else { 50 };
    for _ in 0..rounds {
        let mut all = Vec::new();
        for _ in 0..20 {
            let key = key();
            for _ in 0..64 {
                let (api, body, key) = (api.clone(), body.clone(), key.clone());
                all.push(tokio::spawn(async move {
                    let reply = api.send(api.transfer_request(&key, &body)).await.unwrap();
                    (key, reply)
                }));
            }
        }
        let mut replies = Vec::new();
        for one in all {
            replies.push(one.await.unwrap());
        }
        let mut ids = std::collections::BTreeMap::<String, BTreeSet<String>>::new();
        for (key, mut reply) in replies {
            // Refused in the crowd: repeated once it is gone, as a client does.
            if reply.status == 429 {
                reply = api.send(api.transfer_request(&key, &body)).await.unwrap();
            }
            assert!([200, 409].contains(&reply.status), "{reply:?}");
            ids.entry(key).or_default().insert(reply.text_of("transferID"));
        }
        assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
        assert_eq!(ids.len(), 20);
        made.extend(ids.into_values().flatten());
    }
    assert_eq!(made.len(), rounds * 20);
    // An answer says that it is durable; the ledger of another process may still have to hear of it.
    for id in &made {
        assert_eq!(api.settled(id).await["status"], "completed");
    }
    assert_eq!(api.balance(api.account()).await, had - made.len() as i64);
}
