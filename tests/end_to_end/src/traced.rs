//! A process whose system calls are watched: counted, or one of them its last.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

/// How long it may take until every thread is watched.
const ATTACHED_MOST: Duration = Duration::from_secs(10);

/// strace on a process.
pub struct Traced {
    strace: Child,
    output: PathBuf,
}

impl Traced {
    /// Watches one kind of call; with a number, the kernel kills the process (SIGKILL) as a thread of
    /// it enters its so-manieth from now. `None` (said loudly) where there is no strace.
    pub async fn attach(
        process: u32,
        folder: &Path,
        call: &str,
        kill_at: Option<u32>,
    ) -> Option<Self> {
        let output = folder.join("strace.txt");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", &format!("trace={call}"), "-p", &process.to_string()]);
        if let Some(number) = kill_at {
            command.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
        }
        command.arg("-o").arg(&output).stdin(Stdio::null()).stderr(Stdio::null());
        let Ok(strace) = command.spawn() else {
            eprintln!("\n!!! SKIPPED: kills at chosen points: there is no strace !!!\n");
            return None;
        };
        let begun = Instant::now();
        while !every_thread_is_traced(process) {
            assert!(begun.elapsed() < ATTACHED_MOST, "strace does not attach");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Some(Self { strace, output })
    }
    /// Ends the watching; how many of its calls the busiest thread made.
    pub fn end(mut self) -> u32 {
        // Asked to stop it lets go of a process that lives.
        let _ = Command::new("kill").args(["-INT", &self.strace.id().to_string()]).status();
        let _ = self.strace.wait();
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        let mut counts = BTreeMap::new();
        for line in text.lines().filter(|line| line.contains('(')) {
            *counts.entry(line.split(' ').next()).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }
}

fn every_thread_is_traced(process: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    let mut traced = tasks.flatten().map(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    });
    traced.all(|traced| traced)
}
