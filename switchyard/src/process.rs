//! What the system says of a process and a disk: CPU, memory, kind of file system, sizes.

use std::path::Path;

use crate::exit::{Context, Failure, Outcome};

/// Clock ticks a second in `/proc/PID/stat`; 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds that a process used, user and system.
pub fn cpu_seconds(process: u32) -> Outcome<f64> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).context(&path)?;
    // The name in brackets may hold anything; the fields after it are numbers.
    let ticks = text.rsplit_once(')').and_then(|(_, rest)| {
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let user: u64 = fields.get(11)?.parse().ok()?;
        let system: u64 = fields.get(12)?.parse().ok()?;
        Some(user + system)
    });
    let ticks = ticks.ok_or_else(|| Failure::could_not(format!("{path} has another form")))?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Memory of a process that no file backs (RssAnon), in MiB.
pub fn anonymous_mebibytes(process: u32) -> Outcome<f64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).context(&path)?;
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
        .ok_or_else(|| Failure::could_not(format!("{path} has no RssAnon")))?;
    Ok(kibibytes as f64 / 1024.0)
}

/// Whether a folder is on a file system that lives in memory (tmpfs, ramfs): nothing can be
/// measured there, since an fsync costs nothing.
pub fn is_in_memory(folder: &Path) -> Outcome<bool> {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
    const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
    let found = rustix::fs::statfs(folder).context(folder.display())?;
    Ok(IN_MEMORY.contains(&found.f_type))
}

/// Bytes that the files of a folder take on the disk, its folders included.
pub fn bytes_of(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_of(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
