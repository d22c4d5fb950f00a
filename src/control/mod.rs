//! What runs beside the shards: signals and the watchdog. Plain threads so far; nothing here is on a message's way.

pub mod cores;
pub mod limits;
pub mod signals;
pub mod watchdog;
