//! Ids, time and the small containers that every room may use. Imports nothing of ours.

pub mod glob;
pub mod ids;
pub mod index;
pub mod mutation;
pub mod query;
pub mod secret;
pub mod slab;
pub mod time;
pub mod wheel;
