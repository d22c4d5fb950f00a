//! What the kernel says of a process (CPU time, private memory), and this program's cores and limits.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// The scheduler's exact figure is trusted while it is this near to the ticks; threads that ended are missing in it.
const TRUST: Duration = Duration::from_millis(40);

/// A process that is being watched.
#[derive(Clone, Copy)]
pub struct Process {
    pid: u32,
}

/// CPU time of a process and its threads so far, user and system, by two counters.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    exact: Duration,
    ticks: Duration,
}

impl Cpu {
    /// Time used since `before`.
    pub fn since(&self, before: &Cpu) -> Duration {
        let ticks = self.ticks.saturating_sub(before.ticks);
        let exact = self.exact.saturating_sub(before.exact);
        if exact.abs_diff(ticks) <= TRUST + ticks / 20 { exact } else { ticks }
    }
}

impl Process {
    /// Watches `pid`, which this option gave.
    pub fn new(pid: u32, option: &str) -> Result<Process, Failure> {
        let process = Process { pid };
        let told = |e| format!("{option} {pid}: there is no such process, or it is another user's ({e})");
        process.cpu().map_err(told)?;
        Ok(process)
    }

    /// CPU time so far: nanoseconds from the scheduler, and ticks of 10 ms.
    pub fn cpu(&self) -> Result<Cpu, Failure> {
        let text = self.read("stat")?;
        let ticks = cpu_ticks(&text).ok_or_else(|| format!("/proc/{}/stat: unknown form", self.pid))?;
        let ticks = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        let mut exact = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            // A thread may end meanwhile.
            let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let run = text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
            exact += Duration::from_nanos(run);
        }
        Ok(Cpu { exact, ticks })
    }

    /// Memory that belongs to this process alone, bytes.
    pub fn private_memory(&self) -> Result<u64, Failure> {
        Ok(private_kib(&self.read("smaps_rollup")?) * 1024)
    }

    /// The only core it may run on, if there is only one.
    pub fn only_core(&self) -> Option<usize> {
        let cores = sched_getaffinity(Pid::from_raw(self.pid as i32)).ok()?;
        let mut set = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core));
        let first = set.next()?;
        set.next().is_none().then_some(first)
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

/// The cores that the calling thread may use.
pub fn cores() -> Result<CpuSet, Failure> {
    Ok(sched_getaffinity(None)?)
}

/// Lets the calling thread use these cores.
pub fn use_cores(cores: &CpuSet) -> Result<(), Failure> {
    Ok(sched_setaffinity(None, cores)?)
}

/// Pins the calling thread to a core.
pub fn pin_to(core: usize) -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    let pinned = if core < CpuSet::MAX_CPU {
        cores.set(core);
        sched_setaffinity(None, &cores)
    } else {
        Err(rustix::io::Errno::INVAL)
    };
    pinned.map_err(|e| {
        let available = std::thread::available_parallelism().map_or(1, |count| count.get());
        format!("core {core} is not to be had ({e}): this process may use {available}; see nproc and taskset").into()
    })
}

/// CPU time of this whole process so far.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Allows at least `count` open files beside this program's own few, if the hard limit does.
pub fn allow_files(count: usize) -> Result<(), Failure> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = count as u64 + 64;
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    let raised = [limit.maximum, maximum]
        .into_iter()
        .any(|maximum| rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok());
    if raised {
        return Ok(());
    }
    let most = limit.maximum.unwrap_or(u64::MAX);
    Err(format!(
        "{count} sockets need {wanted} open files and this process may have {most}: raise the limit (ulimit -Hn, \
         LimitNOFILE=), or ask for fewer connections"
    )
    .into())
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
    fn the_exact_counter_yields_where_threads_ended() {
        let cpu = |exact, ticks| Cpu { exact: Duration::from_millis(exact), ticks: Duration::from_millis(ticks) };
        assert_eq!(cpu(1512, 1510).since(&cpu(500, 510)), Duration::from_millis(1012));
        assert_eq!(cpu(600, 1510).since(&cpu(500, 510)), Duration::from_millis(1000));
    }

    #[test]
    fn private_memory_is_clean_and_dirty() {
        assert_eq!(
            private_kib("Rss: 100 kB\nPrivate_Clean:      4 kB\nPrivate_Dirty:    38 kB\nPrivate_Hugetlb: 1 kB\n"),
            42
        );
    }

    #[test]
    fn too_many_files_say_what_to_raise() {
        let failure = allow_files(u32::MAX as usize).expect_err("more than any machine allows");
        assert!(failure.to_string().contains("ulimit"), "{failure}");
    }
}
