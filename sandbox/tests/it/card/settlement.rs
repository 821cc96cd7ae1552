//! The settlement files, byte by byte.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbox::{Fault, Limit, Rail};

use super::{Client, SOON, request, reversal};
use crate::World;

fn path(world: &World, number: u32) -> std::path::PathBuf {
    world.sandbox.card_settlements.join(format!("settlement-{number:06}.csv"))
}

/// The lines of a file, once it is there.
async fn file(world: &World, number: u32) -> Vec<String> {
    for _ in 0..500 {
        if let Ok(text) = std::fs::read_to_string(path(world, number)) {
            return text.lines().map(str::to_owned).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is no file {number}");
}

fn advance(world: &World, millis: i64) {
    world.clock.fetch_add(millis * 1_000, Ordering::Relaxed);
}

#[tokio::test]
async fn what_settles_is_in_a_file_once_and_what_is_taken_back_later_too() {
    let world = World::new().await;
    let mut client = Client::signed_on(&world).await;
    for number in 1..=3 {
        assert_eq!(client.authorise(&request(number, 100 * i64::from(number))).await.code, "00");
        advance(&world, 1);
    }
    assert_eq!(client.authorise(&request(4, 779_751)).await.code, "51");
    assert_eq!(client.reverse(&reversal(&request(3, 300))).await.code, "00");
    tokio::time::sleep(SOON).await;
    assert!(!path(&world, 1).exists(), "nothing has settled yet");
    // Settlement is two seconds after the approval.
    advance(&world, 2_000);
    let [first, second] = ["000001,1124153336,SWITCH01", "000002,1124153336,SWITCH01"];
    let reference = |number: u32| format!("{number:032x}-a");
    assert_eq!(
        file(&world, 1).await,
        [
            // Version, from and until: approvals of this stretch.
            "H,1,1970-01-01T00:00:00.000Z,2026-11-24T15:33:36.003Z".to_owned(),
            // Fields 37, 11, 7, 41, 3, 4, 49, 63.
            format!("D,R00000000001,{first},000000,100,840,{}", reference(1)),
            format!("D,R00000000002,{second},000000,200,840,{}", reference(2)),
            // Neither the one reversed in time nor the declined one.
            "T,2,300,0,0".to_owned(),
        ]
    );
    assert_eq!(client.reverse(&reversal(&request(1, 100))).await.code, "00");
    world.sandbox.fault(Rail::Card, Fault::ForgetReversals, Limit::Count(1)).unwrap();
    assert_eq!(client.reverse(&reversal(&request(2, 200))).await.code, "00");
    assert_eq!(client.authorise(&request(5, 500)).await.code, "00");
    drop(client);
    // What is still to come is in the journal.
    let world = world.restarted().await;
    advance(&world, 4_000);
    assert_eq!(
        file(&world, 2).await,
        [
            "H,1,2026-11-24T15:33:36.003Z,2026-11-24T15:33:40.003Z".to_owned(),
            format!("D,R00000000005,000005,1124153336,SWITCH01,000000,500,840,{}", reference(5)),
            format!("R,R00000000001,{first},000000,100,840,{}", reference(1)),
            "T,1,500,1,100".to_owned(),
        ]
    );
    // Nothing more happened: no file.
    let world = world.restarted().await;
    advance(&world, 86_400_000);
    tokio::time::sleep(SOON).await;
    assert!(!path(&world, 3).exists());
}
