//! Time as a parameter: pure rooms are told what time it is and never ask.

/// One reading of both clocks, taken once per turn of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the process started; never goes back. All deadlines use it.
    pub mono_ms: u64,
    /// The same clock in microseconds, for measuring.
    pub mono_us: u64,
    /// Milliseconds since the Unix epoch. Only for what other machines see: token expiry, server time.
    pub unix_ms: u64,
}

impl Now {
    /// Whole seconds since the Unix epoch.
    pub fn unix_s(&self) -> i64 {
        (self.unix_ms / 1000) as i64
    }
}

/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// A delay as a deadline, milliseconds; a delay of 0 is off.
pub fn deadline(now_ms: u64, delay_ms: u64) -> u64 {
    if delay_ms == 0 { NEVER } else { now_ms.saturating_add(delay_ms) }
}
