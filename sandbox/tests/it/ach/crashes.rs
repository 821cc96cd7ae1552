//! `kill -9` of the bank while clients upload: what was acknowledged is booked, what was handed over
//! is taken, each once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sandbox::State;

use super::client::Client;
use super::files::credits;
use super::{key, start};
use crate::START;

/// A file of one payment that no other has: its number is in its name, its date, its amount.
fn file(number: u32) -> Vec<u8> {
    let modifiers: Vec<char> = ('A'..='Z').chain('0'..='9').collect();
    let mut file = credits(modifiers[number as usize % 36], &[u64::from(number)]);
    let day = number / 36;
    let part = |part: u32| u8::try_from(part).unwrap();
    let year = u16::try_from(2000 + day / 336).unwrap();
    let date = nacha::Date::new(year, part(day / 28 % 12 + 1), part(day % 28 + 1));
    file.header.created = date.unwrap();
    file.write().unwrap()
}

/// Not a test by itself: the process that the test kills.
#[test]
fn child_process() {
    let Some(dir) = std::env::var_os("SANDBOX_TEST_BANK") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(AtomicI64::new(START));
        let settlement = Some(Duration::from_millis(20));
        let sandbox = start(Path::new(&dir), &clock, settlement).await;
        println!("\nbank {} {}", sandbox.ach_address.unwrap(), sandbox.ach_host_key.unwrap());
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            clock.fetch_add(5000, Ordering::Relaxed);
        }
    });
}

/// Uploads files until the bank is gone; the numbers of those that were acknowledged.
async fn upload_many(address: SocketAddr, fingerprint: String, first: u32) -> Vec<u32> {
    let mut told = Vec::new();
    let Ok(client) = Client::connect_to(address, fingerprint, key()).await else { return told };
    for number in first..first + 10_000 {
        let name = format!("f{number}");
        if client.upload(&name, &file(number)).await.is_err() {
            break;
        }
        let acknowledged = async {
            loop {
                match client.sftp.read(format!("/ack/{name}.ack")).await {
                    Ok(bytes) => return Some(bytes),
                    Err(russh_sftp::client::error::Error::Status(_)) => {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    Err(_) => return None,
                }
            }
        };
        let Some(bytes) = acknowledged.await else { break };
        let ack: serde_json::Value = serde_json::from_slice(&bytes).expect("a whole file");
        assert_eq!(ack["accepted"], true, "{ack}");
        told.push(number);
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["ach::crashes::child_process", "--exact", "--nocapture"])
            .env("SANDBOX_TEST_BANK", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("bank ").map(str::to_owned));
        let line = line.unwrap();
        let (address, fingerprint) = line.split_once(' ').unwrap();
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..3 {
            let first = 1 + round * 300_000 / 4 + client * 20_000;
            clients.spawn(upload_many(address.parse().unwrap(), fingerprint.to_owned(), first));
        }
        tokio::time::sleep(Duration::from_millis(u64::from(180 + 60 * round))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        told.extend(clients.join_all().await.into_iter().flatten());
    }
    let clock = Arc::new(AtomicI64::new(START + 3_600_000_000));
    let sandbox = start(dir.path(), &clock, Some(Duration::from_millis(20))).await;
    // What is taken only now has its time to settle too.
    clock.fetch_add(20_000, Ordering::Relaxed);
    let outbound = dir.path().join("sandbox/ach-root/outbound");
    let names = std::fs::read_dir(outbound).unwrap().map(|e| e.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let handed: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".ach")).collect();
    let begin = tokio::time::Instant::now();
    let books = loop {
        let books = sandbox.books().await.unwrap();
        let settled = books.iter().filter(|payment| payment.state == State::Settled).count();
        if books.len() == handed.len() && settled == books.len() {
            break books;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{settled} settled, {} booked, of {}",
            books.len(),
            handed.len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut times: BTreeMap<i64, u32> = BTreeMap::new();
    for payment in &books {
        *times.entry(payment.amount).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    for number in &told {
        assert!(times.contains_key(&i64::from(*number)), "file {number} is lost");
    }
    for name in &handed {
        let ack = dir.path().join(format!("sandbox/ach-root/ack/{name}.ack"));
        assert!(ack.exists(), "{name} was not acknowledged");
    }
    println!("kill -9: {} files taken in 4 lives, {} acknowledged", books.len(), told.len());
    assert!(told.len() > 10, "{}", told.len());
    sandbox.shutdown().await;
}
