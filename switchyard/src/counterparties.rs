//! The sandbox beside the platform: its counterparties, its clock, and their HTTP addresses.

mod addresses;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use contracts::{Code, Refusal, Timestamp};
use runtime::Clock;
use sandbox::{Limit, Pace, Sandbox, Timings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    cli,
    exit::{Context, Outcome},
    moment,
};

pub use addresses::Addresses;

/// The key with which the ACH rail logs in at the bank, in the data directory.
const ACH_KEY: &str = "ach.key";

/// The running counterparties and the clock that they share with the platform.
pub struct Counterparties {
    sandbox: Sandbox,
    clock: Clock,
    /// Where the clock's offset is kept, so that business time never goes back.
    clock_file: PathBuf,
}

/// Body of `POST /sandbox/clock/advance`: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// `2d`, `36h`
    duration: Option<String>,
    /// `2026-12-01T00:00:00Z`
    to: Option<String>,
}

/// Body of `POST /sandbox/faults`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFault {
    rail: String,
    fault: String,
    /// To so many messages; 0 ends the fault; 1 where neither is there.
    count: Option<u32>,
    /// `10s`
    duration: Option<String>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct SavedClock {
    offset_micros: i64,
}

impl Counterparties {
    /// Starts them in the current runtime, at this address; their later answers go to `callback`.
    pub async fn start(
        data: &Path,
        run: &cli::Run,
        clock: &Clock,
        at: IpAddr,
        callback: String,
    ) -> Outcome<Self> {
        let folder = data.join("sandbox");
        std::fs::create_dir_all(&folder).context(folder.display())?;
        let clock_file = folder.join("clock.json");
        if let Ok(bytes) = std::fs::read(&clock_file) {
            let saved: SavedClock = serde_json::from_slice(&bytes).context(clock_file.display())?;
            clock.advance_to_offset(saved.offset_micros);
        }
        let pace = match run.pace {
            cli::Pace::Fast => Pace::Fast,
            cli::Pace::Real => Pace::Real,
        };
        let business = clock.clone();
        let ach_key = ach::ClientKey::load_or_create(&data.join(ACH_KEY)).context("the ACH key")?;
        // Rails in other processes know where it was.
        let before = Addresses::read(data);
        let listen = |before: Option<SocketAddr>| {
            SocketAddr::new(at, before.map_or(0, |before| before.port()))
        };
        let mut ach_host_seed = [0; 32];
        runtime::Ids::system(0).secret(&mut ach_host_seed);
        let config = sandbox::Config {
            dir: data.to_owned(),
            rtp_listen: listen(before.as_ref().map(|before| before.rtp)),
            card_listen: listen(before.as_ref().map(|before| before.card)),
            callback_url: Some(callback),
            ach_listen: listen(before.as_ref().and_then(|before| before.ach)),
            ach_client_key: Some(ach_key.public()),
            ach_host_seed,
            keep_wire: run.keep_wire,
            clock: Arc::new(move || business.now().0),
            timings: Timings::of(pace),
        };
        let sandbox = Sandbox::start(config).await.context("the sandbox cannot start")?;
        Ok(Self { sandbox, clock: clock.clone(), clock_file })
    }
    /// Where they are.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            rtp: self.sandbox.rtp_address,
            card: self.sandbox.card_address,
            ach: self.sandbox.ach_address,
            ach_host_key: self.sandbox.ach_host_key.clone(),
            card_settlements: self.sandbox.card_settlements.clone(),
        }
    }
    /// Stops them.
    pub async fn stop(self) {
        self.sandbox.shutdown().await;
    }
    /// `GET /sandbox/clock`
    pub fn clock(&self) -> Value {
        json!({
            "now": self.clock.now(),
            "machine": self.clock.machine(),
            "offsetSeconds": self.clock.offset_micros() / 1_000_000,
        })
    }
    /// `POST /sandbox/clock/advance`
    pub fn advance(&self, body: &[u8]) -> Result<Value, Refusal> {
        let advance: Advance = contracts::endpoint::json(body)?;
        let offset = match (&advance.duration, &advance.to) {
            (Some(duration), None) => moment::duration_micros(duration)
                .and_then(|micros| self.clock.offset_micros().checked_add(micros))
                .ok_or_else(|| Refusal::field("duration", "is no duration such as 2d or 36h"))?,
            (None, Some(to)) => {
                let to = moment::moment(to).ok_or_else(|| {
                    Refusal::field("to", "is no moment such as 2026-12-01T00:00Z")
                })?;
                if to < self.clock.now() {
                    return Err(Refusal::field("to", "lies in the past: time never goes back"));
                }
                to.0.saturating_sub(self.clock.machine().0)
            }
            _ => return Err(Refusal::field("duration", "one of duration and to is needed")),
        };
        if Timestamp(self.clock.machine().0.saturating_add(offset)).0 > FAR_FUTURE_MICROS {
            return Err(Refusal::field("to", "lies after the year 2100"));
        }
        // Durable before it is in force: after a crash business time must not be earlier.
        self.save(offset).map_err(|error| {
            tracing::error!(%error, "the sandbox clock cannot be saved");
            Refusal::new(Code::Unavailable, "the sandbox clock cannot be saved")
        })?;
        self.clock.advance_to_offset(offset);
        Ok(self.clock())
    }
    fn save(&self, offset_micros: i64) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(&SavedClock { offset_micros })?;
        write_whole(&self.clock_file, &bytes, 0o644)
    }
    /// `GET /sandbox/faults`
    pub fn faults(&self) -> Value {
        let faults = self.sandbox.faults();
        let shown = faults.iter().map(|active| {
            let mut fault = json!({ "rail": active.rail.name(), "fault": active.fault.name() });
            match active.left {
                Limit::Count(count) => fault["count"] = count.into(),
                Limit::For(left) => fault["seconds"] = left.as_secs_f64().into(),
            }
            fault
        });
        shown.collect()
    }
    /// `POST /sandbox/faults`
    pub fn fault(&self, body: &[u8]) -> Result<Value, Refusal> {
        let new: NewFault = contracts::endpoint::json(body)?;
        let rail = new.rail.parse().map_err(|error| unknown("rail", &error))?;
        let fault = new.fault.parse().map_err(|error| unknown("fault", &error))?;
        let limit = match (new.count, &new.duration) {
            (count, None) => Limit::Count(count.unwrap_or(1)),
            (None, Some(duration)) => {
                let micros = moment::duration_micros(duration)
                    .and_then(|micros| u64::try_from(micros).ok())
                    .ok_or_else(|| Refusal::field("duration", "is no duration such as 10s"))?;
                Limit::For(Duration::from_micros(micros))
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::field("duration", "count and duration exclude each other"));
            }
        };
        self.sandbox.fault(rail, fault, limit).map_err(|error| unknown("fault", &error))?;
        Ok(self.faults())
    }
    /// `GET /sandbox/books`
    pub async fn books(&self) -> Result<Value, Refusal> {
        let books = self.sandbox.books().await.map_err(|error| {
            tracing::error!(%error, "the counterparties' books cannot be read");
            Refusal::new(Code::Unavailable, "the counterparties' books cannot be read")
        })?;
        Ok(serde_json::to_value(books).expect("books are plain data"))
    }
}

/// 2100-01-01: ids have room until 2109.
const FAR_FUTURE_MICROS: i64 = 4_102_444_800_000_000;

fn unknown(field: &str, error: &sandbox::UnknownName) -> Refusal {
    Refusal::field(field, error.to_string())
}

/// Writes a file so that after a crash it is whole or not there: a new file, synced, renamed.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::{fs, io::Write, os::unix::fs::OpenOptionsExt};
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
