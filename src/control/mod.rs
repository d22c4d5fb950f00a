//! What runs beside the shards: signals and the watchdog on threads of their own, and the control plane, which runs
//! what is slow or foreign. Nothing here is on a message's way.

pub mod backend;
pub mod broker;
mod complaints;
pub mod cores;
mod dial;
mod http;
mod key_sets;
pub mod limits;
pub mod link;
pub mod nats;
pub mod plane;
mod polls;
pub mod redis;
pub mod signals;
pub mod watchdog;
