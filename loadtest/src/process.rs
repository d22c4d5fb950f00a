//! What the kernel says of a process: CPU time, private memory; and this program's own core and limits.

use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// A process that is being watched.
pub struct Process {
    pid: u32,
}

impl Process {
    /// Watches `pid`.
    pub fn new(pid: u32) -> Process {
        Process { pid }
    }

    /// CPU time of all its threads so far, user and system. The kernel counts in ticks of 10 ms: measure over seconds.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let text = self.read("stat")?;
        cpu_ticks(&text)
            .map(|ticks| Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
            .ok_or_else(|| format!("/proc/{}/stat: unknown form", self.pid).into())
    }

    /// Memory that belongs to this process alone, bytes.
    pub fn private_memory(&self) -> Result<u64, Failure> {
        Ok(private_kib(&self.read("smaps_rollup")?) * 1024)
    }

    fn read(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.pid);
        std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}").into())
    }
}

/// User and system ticks of a `stat` file. The command's name may hold blanks and brackets, so count from its end.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn private_kib(rollup: &str) -> u64 {
    rollup
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

/// Pins the calling thread to a core.
pub fn pin_to(core: usize) -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(format!("core {core}: there is no such core").into());
    }
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|e| format!("core {core}: {e}").into())
}

/// CPU time of the calling thread so far.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Allows at least `count` open files, if the hard limit does.
pub fn allow_files(count: usize) -> Result<(), Failure> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = count as u64 + 64;
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised)
        .map_err(|e| format!("{count} connections need {wanted} open files (ulimit -n): {e}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_behind_a_strange_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 3 0 88 1 1";
        assert_eq!(cpu_ticks(stat), Some(175));
        assert_eq!(cpu_ticks("12 (a) S 1"), None);
    }

    #[test]
    fn private_memory_is_clean_and_dirty() {
        assert_eq!(
            private_kib("Rss: 100 kB\nPrivate_Clean:      4 kB\nPrivate_Dirty:    38 kB\nPrivate_Hugetlb: 1 kB\n"),
            42
        );
    }
}
