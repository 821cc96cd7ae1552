//! `kill -9` at any moment loses no approval that anyone was told of.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use iso8583::network::{self, Information};
use iso8583::{Moment, Stan};
use sandbox::Sandbox;

use super::{Client, request};
use crate::{START, config};

/// Asks until the host is killed; the references of what was approved.
async fn ask(address: SocketAddr, first: u32) -> Vec<String> {
    let mut told = Vec::new();
    let Ok(mut client) = Client::connect(address).await else { return told };
    let transmitted = Moment::from_unix_micros(START);
    let information = Information::SignOn;
    let sign_on = network::Request { transmitted, stan: Stan::FIRST, information };
    let mut next = sign_on.message();
    for number in first.. {
        let bytes = iso8583::write(&next, &iso8583::Spec::ascii87()).unwrap();
        if client.say_bytes(&iso8583::frame(&bytes)).await.is_err() {
            return told;
        }
        match client.hear().await {
            Ok(answer) => told.extend(answer.field(37).map(str::to_owned)),
            Err(_) => return told,
        }
        next = request(number, 100).message();
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = 0;
    for round in 0..3_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["books::child_process", "--exact", "--nocapture"])
            .env("SANDBOX_TEST_CHILD", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().strip_prefix("cards at ").map(str::to_owned))
            .unwrap()
            .parse()
            .unwrap();
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..8_u32 {
            clients.spawn(ask(address, 1 + 100_000 * round + 10_000 * client));
        }
        tokio::time::sleep(Duration::from_millis(80 + 45 * u64::from(round))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let told: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
        let clock = Arc::new(AtomicI64::new(START));
        let config = config(dir.path(), &clock, "127.0.0.1:1".parse().unwrap());
        let sandbox = Sandbox::start(config).await.unwrap();
        let books = sandbox.books().await.unwrap();
        let mut references: Vec<_> = books.iter().map(|p| p.reference.as_str()).collect();
        references.sort_unstable();
        for reference in &told {
            assert!(references.binary_search(&reference.as_str()).is_ok(), "{reference} is lost");
        }
        answered += told.len();
        assert!(!told.is_empty() && books.len() >= answered);
        sandbox.shutdown().await;
    }
    println!("kill -9: {answered} card payments answered in 3 lives, none lost");
}
