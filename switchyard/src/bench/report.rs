//! The figures of a measurement and how they are printed.

use std::{collections::BTreeMap, fs::File, io::Write, path::Path, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use crate::exit::{Context, Outcome};

/// Three percentiles of a duration in milliseconds.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Percentiles {
    /// Of durations in microseconds, by the nearest rank; zeros where there is none.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let rank = |share: f64| {
            let at = (share * micros.len() as f64).ceil() as usize;
            micros.get(at.saturating_sub(1)).map_or(0.0, |micros| f64::from(*micros) / 1e3)
        };
        Self { p50: rank(0.5), p99: rank(0.99), p999: rank(0.999) }
    }
}

/// What the disk's own fdatasync of 4 KiB takes.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Disk {
    pub p50: u64,
    pub p99: u64,
}

/// Measures the disk under a folder: 4 KiB and an fdatasync, so many times.
pub fn probe(folder: &Path, times: usize) -> Outcome<Disk> {
    let mut left = times;
    let mut micros = probe_until(folder, Duration::ZERO, || {
        left = left.saturating_sub(1);
        left == 0
    })?;
    micros.sort_unstable();
    let at = |share: usize| u64::from(micros[micros.len() * share / 100]);
    Ok(Disk { p50: at(50), p99: at(99) })
}

/// The same again and again with a pause between, until it is enough; each in microseconds.
pub fn probe_until(
    folder: &Path,
    pause: Duration,
    mut is_enough: impl FnMut() -> bool,
) -> Outcome<Vec<u32>> {
    let path = folder.join("fdatasync.probe");
    let mut file = File::create(&path).context(path.display())?;
    let mut micros = Vec::new();
    while micros.is_empty() || !is_enough() {
        let begin = Instant::now();
        file.write_all(&[7; 4096]).context(path.display())?;
        file.sync_data().context(path.display())?;
        micros.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
        std::thread::sleep(pause);
    }
    drop(file);
    std::fs::remove_file(&path).context(path.display())?;
    Ok(micros)
}

/// The result, in the shape that scripts rely on (additions only).
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub transfers: u64,
    pub connections: u32,
    pub mix: String,
    pub hot: bool,
    pub accepted_per_second: f64,
    pub completed_per_second: f64,
    /// Accepted in the first and in the last tenth of a closed loop: what the transfers before cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenths_per_second: Option<[f64; 2]>,
    /// Entries that the bank acknowledged in files; of a rail that has files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filed_per_second: Option<f64>,
    /// From the last acceptance until everything was final.
    pub drain_millis: f64,
    pub post_millis: Percentiles,
    pub completed_millis: Percentiles,
    /// The server's.
    #[serde(rename = "cpuSecondsPer1000")]
    pub cpu_seconds_per_1000: f64,
    /// The same by process, where there are several.
    #[serde(rename = "cpuSecondsPer1000Of", skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_per_1000_of: Option<BTreeMap<String, f64>>,
    #[serde(rename = "loadCpuSecondsPer1000")]
    pub load_cpu_seconds_per_1000: f64,
    #[serde(rename = "fsyncsPer1000")]
    pub fsyncs_per_1000: f64,
    pub bytes_per_transfer: Option<f64>,
    pub fdatasync_micros: Disk,
    #[serde(rename = "rssMiB")]
    pub rss_mebibytes: f64,
    pub other_answers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_loop: Option<OpenLoop>,
    /// Absent where it was not asked for.
    pub verified: Option<bool>,
}

/// What an open loop adds.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct OpenLoop {
    pub wanted_per_second: u32,
    /// What the client could send.
    pub offered_per_second: f64,
    pub accepted: u64,
    pub refused: u64,
    pub refused_millis: Percentiles,
    /// Of accepted ones from sending; `postMillis` counts from the intended time.
    pub answered_millis: Percentiles,
    /// How late the client itself sent.
    pub late_millis: Percentiles,
}

impl Report {
    /// The figures for a person.
    pub fn text(&self) -> String {
        let three = |p: &Percentiles| {
            format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", p.p50, p.p99, p.p999)
        };
        let mut lines = vec![
            format!(
                "{} transfers ({}{}), {} connections",
                self.transfers,
                self.mix,
                if self.hot { ", one source" } else { "" },
                self.connections
            ),
            format!("accepted    {:>10.0} /s", self.accepted_per_second),
            format!(
                "completed   {:>10.0} /s, all {:.0} ms after the last acceptance",
                self.completed_per_second, self.drain_millis
            ),
            format!("POST        {}", three(&self.post_millis)),
            format!("completion  {}", three(&self.completed_millis)),
            format!(
                "CPU         {:.1} us a transfer in the platform, {:.1} us in the load client",
                self.cpu_seconds_per_1000 * 1e3,
                self.load_cpu_seconds_per_1000 * 1e3
            ),
            format!("fsyncs      {:.1} per 1,000 transfers", self.fsyncs_per_1000),
        ];
        for (name, cpu) in self.cpu_seconds_per_1000_of.iter().flatten() {
            lines.push(format!("  {name:<20} {:>8.1} us a transfer", cpu * 1e3));
        }
        if let Some(filed) = self.filed_per_second {
            let line = format!("in files    {filed:>10.0} /s, acknowledged by the bank");
            lines.insert(3, line);
        }
        if let Some([first, last]) = self.tenths_per_second {
            let line = format!("  {first:>12.0} /s in the first tenth, {last:.0} /s in the last");
            lines.insert(2, line);
        }
        if let Some(bytes) = self.bytes_per_transfer {
            lines.push(format!("disk        {bytes:.0} bytes a transfer"));
        }
        lines.push(format!(
            "fdatasync   p50 {} us, p99 {} us (the disk's own, 4 KiB)",
            self.fdatasync_micros.p50, self.fdatasync_micros.p99
        ));
        lines.push(format!("memory      {:.0} MiB", self.rss_mebibytes));
        if let Some(open) = &self.open_loop {
            lines.push(format!(
                "open loop   {} /s wanted, {:.0} /s offered: {} accepted, {} refused ({})",
                open.wanted_per_second,
                open.offered_per_second,
                open.accepted,
                open.refused,
                three(&open.refused_millis)
            ));
            lines.push(format!("  from sending  {}", three(&open.answered_millis)));
            lines.push(format!("  client late   {}", three(&open.late_millis)));
        }
        if self.other_answers > 0 {
            lines.push(format!("other answers, or none: {}", self.other_answers));
        }
        match self.verified {
            Some(true) => lines.push("verified    every invariant holds".to_owned()),
            Some(false) => lines.push("verified    NO: an invariant is broken".to_owned()),
            None => {}
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::Percentiles;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let found = Percentiles::of((1..=1_000).rev().collect());
        assert_eq!(found, Percentiles { p50: 0.5, p99: 0.99, p999: 0.999 });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
        assert_eq!(Percentiles::of(vec![7_000]).p999, 7.0);
    }
}
