//! Which cores the process may use, and which of them each shard gets.

use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::config::snapshot::Shards;

/// The cores this process may use, in order.
///
/// # Errors
/// The kernel does not tell.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// The core of each shard, or none for all of them when they are not pinned.
///
/// # Errors
/// What to change, in a sentence.
pub fn assign(shards: &Shards, allowed: &[usize]) -> Result<Vec<Option<usize>>, String> {
    if let Some(core) = shards.cores.iter().find(|core| !allowed.contains(core)) {
        return Err(format!(
            "shards.cores names core {core}, but this process may only use {allowed:?}; change --cores or the process's CPU affinity"
        ));
    }
    let cores = if shards.cores.is_empty() { allowed } else { &shards.cores };
    let count = if shards.count == 0 { cores.len() } else { usize::from(shards.count) };
    Ok((0..count).map(|shard| shards.pin.then(|| cores[shard % cores.len()])).collect())
}

/// Confines the calling thread, and the threads it starts later, to the control cores.
///
/// # Errors
/// A core does not exist or may not be used.
pub fn confine(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for core in cores {
        if *core >= CpuSet::MAX_CPU {
            return Err(io::Error::other(format!("core {core} does not exist; change --control-cores")));
        }
        set.set(*core);
    }
    Ok(sched_setaffinity(None::<Pid>, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u16, cores: &[usize], pin: bool) -> Shards {
        Shards { count, cores: cores.to_vec(), pin, control_cores: Vec::new(), spin_us: 0, broker_hold_us: 100 }
    }

    fn check(shards: Shards, expected: &[Option<usize>]) {
        assert_eq!(assign(&shards, &[0, 1, 4, 5]).unwrap(), expected, "{shards:?}");
    }

    #[test]
    fn shards_get_cores_in_order() {
        check(shards(0, &[], true), &[Some(0), Some(1), Some(4), Some(5)]);
        check(shards(2, &[], true), &[Some(0), Some(1)]);
        check(shards(3, &[5, 4], true), &[Some(5), Some(4), Some(5)]);
        check(shards(0, &[4], true), &[Some(4)]);
        check(shards(2, &[], false), &[None, None]);
        assert!(assign(&shards(0, &[2], true), &[0, 1]).unwrap_err().contains("core 2"));
    }
}
