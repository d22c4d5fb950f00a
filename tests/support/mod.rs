//! A server of its own for a test: the real binary, its log, and clients that speak to it byte by byte.

pub mod http;
pub mod server;
pub mod ws;

use std::time::Duration;

/// A failure bound, not a pace: whatever a test waits for has come long before. Longer than the 5 s that a server
/// waits for a peer's close frame, and shorter than the 10 s after which a shard wakes to look at a new connection:
/// a shard that misses a wake-up must not be saved by that.
pub const PATIENCE: Duration = Duration::from_secs(8);
