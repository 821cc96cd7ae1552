//! Where the counterparties are, for rails that run in other processes: a file that they share.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{ACH_KEY, write_whole};
use crate::{
    compose::AchPlan,
    exit::{Context, Failure, Outcome},
};

/// How often, and how many times, the file is looked for: 30 s in all.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MOST: u32 = 600;

/// `DIR/sandbox/addresses.json`. A sandbox that is started again takes the same ports.
#[derive(Serialize, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    pub rtp: SocketAddr,
    pub card: SocketAddr,
    pub ach: Option<SocketAddr>,
    pub ach_host_key: Option<String>,
    pub card_settlements: PathBuf,
}

impl Addresses {
    fn file(data: &Path) -> PathBuf {
        data.join("sandbox").join("addresses.json")
    }
    /// What an earlier sandbox left, or this one.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::file(data)).ok()?).ok()
    }
    pub fn save(&self, data: &Path) -> Outcome {
        let bytes = serde_json::to_vec_pretty(self).expect("addresses are plain data");
        let path = Self::file(data);
        write_whole(&path, &bytes, 0o644).context(path.display())
    }
    /// Those of a sandbox that is about to start beside this process.
    pub fn wait_for(data: &Path) -> Outcome<Self> {
        for _ in 0..LOOKS_MOST {
            if let Some(found) = Self::read(data) {
                return Ok(found);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Err(Failure::CouldNotRun(format!(
            "no sandbox has left its addresses in {} (start `serve sandbox` with the same --data)",
            Self::file(data).display()
        )))
    }
    pub fn rtp_url(&self) -> String {
        format!("http://{}/messages", self.rtp)
    }
    /// How to reach the bank.
    pub fn bank(&self, data: &Path) -> Outcome<Option<AchPlan>> {
        let (Some(address), Some(host_key)) = (self.ach, self.ach_host_key.clone()) else {
            return Ok(None);
        };
        let client_key =
            ach::ClientKey::load_or_create(&data.join(ACH_KEY)).context("the ACH key")?;
        Ok(Some(AchPlan { address: address.to_string(), host_key, client_key }))
    }
}
