//! What a process has used, as Linux reports it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

/// The processor time of all threads of a process. Threads that have ended are left out.
pub(crate) fn cpu(process: u32) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task")).context("the process is gone")? {
        // The thread may have ended since it was listed.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += on_processor(&text).with_context(|| format!("not as schedstat is written: {text}"))?;
    }
    Ok(sum)
}

/// The first of the three numbers of `schedstat`: nanoseconds on a processor.
fn on_processor(schedstat: &str) -> Option<Duration> {
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that a process has had at once, in bytes.
pub(crate) fn peak_memory(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process is gone")?;
    high_water(&status).context("no VmHWM")
}

/// Parses `VmHWM:     13512 kB`; returns bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Keeps all threads of a process on one core.
pub(crate) async fn pin(process: u32, core: usize) -> anyhow::Result<()> {
    let mut taskset = Command::new("taskset");
    taskset.args(["-a", "-c", "-p"]).arg(core.to_string()).arg(process.to_string()).stdout(Stdio::null());
    let status = taskset.status().await.context("taskset is missing")?;
    anyhow::ensure!(status.success(), "core {core} can't be had");
    Ok(())
}

/// A share of one processor, as Lambda gives it by memory. Needs a writable control group of version 1.
pub(crate) struct Share(PathBuf);

/// The scheduler's period, in microseconds.
const PERIOD: u64 = 20_000;

impl Share {
    /// Limits a process to `share` of a processor. Returns `None` if that is not possible.
    pub(crate) fn of(share: f64, process: u32) -> Option<Self> {
        let group = Path::new("/sys/fs/cgroup/cpu").join(format!("bench-{process}"));
        fs::create_dir(&group).ok()?;
        let group = Self(group);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 20,000")]
        let quota = (PERIOD as f64 * share) as u64;
        fs::write(group.0.join("cpu.cfs_period_us"), PERIOD.to_string()).ok()?;
        fs::write(group.0.join("cpu.cfs_quota_us"), quota.to_string()).ok()?;
        fs::write(group.0.join("cgroup.procs"), process.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Succeeds once the process has ended.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_texts_are_parsed() {
        assert_eq!(on_processor("1234567 89 10\n"), Some(Duration::from_nanos(1_234_567)));
        assert_eq!(on_processor("no"), None);
        assert_eq!(high_water("VmPeak:\t  2 kB\nVmHWM:\t   13512 kB\nVmRSS:\t 1 kB\n"), Some(13_512 * 1024));
        assert_eq!(high_water("VmPeak: 1 kB"), None);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let me = std::process::id();
        assert!(cpu(me).unwrap() > Duration::ZERO && peak_memory(me).unwrap() > 1 << 20);
    }
}
