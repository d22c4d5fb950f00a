//! The one place where shards ask what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::time::Now;

/// Both clocks, counted from the same start on all shards of a process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks. A system clock before 1970 counts as 1970.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mono = self.start.elapsed();
        // Monotonic time starts above zero, so that zero can mean "never happened".
        Now { mono_ms: mono.as_millis() as u64 + 1, mono_us: mono.as_micros() as u64, unix_ms: unix.as_millis() as u64 }
    }
}
