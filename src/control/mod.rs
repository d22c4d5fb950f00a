//! What runs beside the shards: signals and the watchdog on threads of their own, and the control plane, which runs
//! what is slow or foreign. Nothing here is on a message's way.

mod backend;
mod complaints;
pub mod cores;
mod http;
mod key_sets;
pub mod limits;
pub mod plane;
mod polls;
pub mod redis;
pub mod signals;
pub mod watchdog;
