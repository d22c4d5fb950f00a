//! A shard at work: one thread, one executor, one loop that turns news from sockets and other shards into writes.
//!
//! Turn order: events of the ring, input of readable sockets, the engine's work, frames for other shards, owed frames
//! to sockets, closing. HTTP requests run as tasks of the same executor between turns.

mod clock;
mod host;
mod io;
mod sockets;
mod start;
mod turn;

pub use clock::Clock;
pub use start::{PlanePart, Pulse, RingPlane, Rules, Running, StartError, Startup, sides, start};
