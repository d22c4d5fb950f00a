//! The times at which a session wants to be called: one deadline for the engine, four reasons behind it.

use crate::base::time::NEVER;

/// WebSocket ping frames are sent even where `client.ping_interval` is 0 (upstream: handler_websocket.go).
pub(super) const NATIVE_PING_INTERVAL_MS: u64 = 25_000;

/// The same for `client.pong_timeout`.
pub(super) const NATIVE_PONG_TIMEOUT_MS: u64 = 10_000;

/// Deadlines in milliseconds of the monotonic clock; [`NEVER`] when there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timers {
    /// Before connect: when the connection is stale. Afterwards: the next look at the subscriptions.
    pub(super) housekeeping_at: u64,
    /// When the next ping is sent.
    pub(super) ping_at: u64,
    /// When a pong must have come.
    pub(super) pong_at: u64,
    /// When the connection's lifetime, grace time included, is over.
    pub(super) expire_at: u64,
}

impl Timers {
    /// No deadline at all.
    pub(super) const OFF: Self = Self { housekeeping_at: NEVER, ping_at: NEVER, pong_at: NEVER, expire_at: NEVER };

    /// The earliest one.
    pub(super) fn next(&self) -> u64 {
        self.housekeeping_at.min(self.ping_at).min(self.pong_at).min(self.expire_at)
    }
}

/// Whether a deadline has come; if so it is taken back.
pub(super) fn is_due(deadline: &mut u64, now_ms: u64) -> bool {
    let due = *deadline <= now_ms;
    if due {
        *deadline = NEVER;
    }
    due
}
