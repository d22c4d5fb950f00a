//! Notices shards that are stuck: nothing preempts a shard, so a turn that takes long delays everyone on it.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often shards are looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// A turn longer than this is a stall.
const STALL: Duration = Duration::from_secs(1);

/// One look at a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Turns so far.
    pub turns: u64,
    /// It waits for its bell.
    pub is_asleep: bool,
}

/// What the watchdog knows of one shard.
#[derive(Clone, Copy, Debug)]
struct Watched {
    turns: u64,
    since: Instant,
    reported: Duration,
}

/// Starts the watchdog. `look` reads a shard. It ends when the sender of `end` is dropped.
///
/// It only speaks up: how much time goes by in long turns is counted by the shard itself, to the microsecond
/// (`spindle_shard_stall_seconds_total`).
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    shards: usize,
    look: impl Fn(usize) -> Look + Send + 'static,
    end: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        let mut watched: Vec<_> =
            (0..shards).map(|_| Watched { turns: 0, since: Instant::now(), reported: Duration::ZERO }).collect();
        while end.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            for (shard, state) in watched.iter_mut().enumerate() {
                if let Some(stalled) = step(state, look(shard), Instant::now()) {
                    let stalled_ms = stalled.as_millis() as u64;
                    tracing::warn!(shard, stalled_ms, "a shard is stuck: one turn takes too long");
                }
            }
        }
    })
}

/// Returns how long the shard has been stuck, when that is to be reported: at first, and each time it doubled.
fn step(state: &mut Watched, look: Look, now: Instant) -> Option<Duration> {
    if look.is_asleep || look.turns != state.turns {
        *state = Watched { turns: look.turns, since: now, reported: Duration::ZERO };
        return None;
    }
    let length = now.duration_since(state.since);
    if length < STALL.max(state.reported * 2) {
        return None;
    }
    state.reported = length;
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_awake_shard_that_does_not_turn_is_stuck() {
        let start = Instant::now();
        let mut state = Watched { turns: 5, since: start, reported: Duration::ZERO };
        let at = |ms| start + Duration::from_millis(ms);
        let look = |turns, is_asleep| Look { turns, is_asleep };
        assert_eq!(step(&mut state, look(5, false), at(900)), None);
        assert_eq!(step(&mut state, look(5, false), at(1100)), Some(Duration::from_millis(1100)));
        assert_eq!(step(&mut state, look(5, false), at(2000)), None, "it has not doubled yet");
        assert_eq!(step(&mut state, look(5, false), at(2300)), Some(Duration::from_millis(2300)));
        assert_eq!(step(&mut state, look(6, false), at(2400)), None);
        assert_eq!(step(&mut state, look(6, false), at(3300)), None);
        assert_eq!(step(&mut state, look(6, true), at(9000)), None, "sleeping is in order");
    }
}
