//! The auditor: what clients were told, against what the platform says in the end. It has its own model
//! and reads no table.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    client::{Door, Told},
    plan::{FUNDS, Plan, WALLETS},
};

/// Everything is final so long after the last fault, in virtual time.
const DRAINED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(250);

/// What the auditor knows of the installation.
pub struct Books {
    /// By wallet of the plan: the account and the wallet.
    pub wallets: Vec<(String, String)>,
}

/// Waits until everything is final, and judges; how many transfers are completed, and how many failed.
pub async fn judge(
    door: &Door,
    (plan, books): (&Plan, &Books),
    told: &Arc<Mutex<Told>>,
) -> Option<(usize, usize)> {
    let ids = told.lock().ids.clone();
    for transfer in 0..plan.transfers.len() {
        if !ids.contains_key(&transfer) {
            told.lock().problems.push(format!("transfer {transfer} was never answered"));
        }
    }
    let mut moved = [0i64; WALLETS];
    let (mut completed, mut failed) = (0, 0);
    for (transfer, id) in &ids {
        let body = ended(door, id).await?;
        let mut told = told.lock();
        told.sees(*transfer, &body);
        let planned = &plan.transfers[*transfer];
        let amount = body["amount"]["value"].as_i64();
        if amount != Some(planned.amount) {
            told.problems.push(format!("transfer {transfer} has the amount {amount:?}"));
        }
        match body["status"].as_str() {
            Some("completed") => {
                completed += 1;
                moved[planned.from] -= planned.amount;
                moved[planned.to] += planned.amount;
            }
            // Nothing else may fail a transfer between two wallets that are there.
            Some("failed") if body["failureReason"] == "wallet-insufficient-funds" => failed += 1,
            other => {
                told.problems.push(format!("transfer {transfer} {id} ended as {other:?}: {body}"))
            }
        }
    }
    for (wallet, (account, id)) in books.wallets.iter().enumerate() {
        let shown = door.get(&format!("/accounts/{account}/wallets/{id}")).await?.body;
        let balance = shown["availableBalance"]["value"].as_i64();
        let due = FUNDS + moved[wallet];
        let mut told = told.lock();
        if balance != Some(due) {
            told.problems.push(format!("wallet {wallet} has {balance:?}, by its transfers {due}"));
        }
        if due < 0 {
            told.problems.push(format!("wallet {wallet} spent more than it had: {due}"));
        }
        told.history.push(format!("wallet {wallet} {balance:?}"));
    }
    let path = format!("/accounts/{}/transfers?count=1000", door.account);
    let listed = door.get(&path).await?.body.as_array().map_or(0, Vec::len);
    if listed != ids.len() {
        let problem = format!("{listed} transfers are listed, {} keys were used", ids.len());
        told.lock().problems.push(problem);
    }
    Some((completed, failed))
}

/// A transfer once it is final, or as it is at last.
async fn ended(door: &Door, id: &str) -> Option<Value> {
    let path = format!("/accounts/{}/transfers/{id}", door.account);
    let mut waited = Duration::ZERO;
    loop {
        let answer = door.get(&path).await?;
        let is_final = matches!(answer.body["status"].as_str(), Some("completed" | "failed"));
        if is_final || waited >= DRAINED {
            return Some(answer.body);
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
}
